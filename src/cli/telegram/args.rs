//! The arguments and help of `login`, `logout`, `session`, `channels` and `backfill`.

use clap::{Args, Subcommand};

use crate::config::Chat;
use crate::event::{Since, SinceError, Timestamp};

const AFTER_LOGIN: &str = "\
Asks for the phone number, the code that Telegram sends, and the password if the account has one.
Nothing of it is ever an argument: it is typed, or comes line by line with --stdin.
A running daemon that waits for the login goes on by itself. docs/first-login.md shows every step.
Exit codes: 0 logged in, 1 not finished, 2 nobody to ask, 69 Telegram unreachable or to be left
alone for a while, 75 session in use, 77 refused or mistyped, 78 wrong configuration.

Examples:
  telegram-gateway login
  telegram-gateway login --qr --account second
  telegram-gateway login --bot --stdin < token";

const AFTER_LOGOUT: &str = "\
Ends the session at Telegram, then removes its file. Nothing of the log is touched.
Exit codes: 0 logged out, or there was no session, 69 Telegram unreachable (nothing is removed),
75 session in use, 77 not allowed, 78 wrong configuration.

Examples:
  telegram-gateway logout
  telegram-gateway logout --account second --local";

const AFTER_SESSION: &str = "\
Example:
  telegram-gateway session status";

const AFTER_STATUS: &str = "\
Reads the session files and asks nobody: `telegram-gateway status` says how a running daemon fares.
Exit codes: 0 told, 65 a file is damaged, 77 not allowed or another session_key, 78 wrong configuration.

Example:
  telegram-gateway session status --json";

const AFTER_CHANNELS: &str = "\
A running daemon answers, through the account that it runs. Where none runs, the command opens the
log and the session itself, so there is never a second connection with one session.
Exit codes: 0 done, 1 no such chat, 2 wrong command line, 69 Telegram unreachable or to be left
alone for a while, 75 log or session in use, 77 not logged in or not allowed, 78 wrong configuration.

Examples:
  telegram-gateway channels discover --dry-run
  telegram-gateway channels resolve @durov
  telegram-gateway channels list --json";

const AFTER_LIST: &str = "\
Chats that the log knows or telegram.follow names, whether each is mirrored, and why. Asks nobody.
How long a chat has been quiet is known to a running daemon only.

Example:
  telegram-gateway channels list";

const AFTER_RESOLVE: &str = "\
Asks Telegram who it is, and keeps id and access hash in the session. A name is asked for once:
a channel that is known by it keeps it, whoever takes the name later.

Examples:
  telegram-gateway channels resolve t.me/durov
  telegram-gateway channels resolve -1001234567890 --json";

const AFTER_DISCOVER: &str = "\
Asks Telegram for all dialogs of the account, and shows which of them are mirrored. Their ids and
access hashes are kept in the session, and what is new of those that are mirrored in the log; with
--dry-run nothing is.

Example:
  telegram-gateway channels discover --dry-run";

const AFTER_BACKFILL: &str = "\
Has the running daemon fetch the past of a channel that is followed, newest first, under
telegram.requests_per_minute. An order that was taken survives restarts; messages that the log has
already are not doubled.
Exit codes: 0 taken, 1 refused, 2 wrong command line, 69 no daemon runs or it cannot take it now,
77 not logged in, 78 wrong configuration.

Examples:
  telegram-gateway backfill --channel @durov --since 30d
  telegram-gateway backfill --channel -1001234567890 --since 2026-01-31 --limit 5000
  telegram-gateway backfill status
  telegram-gateway backfill cancel --channel @durov";

const AFTER_BACKFILL_STATUS: &str = "\
What waits to be fetched, by the log; how the last stretch of each channel ended is known to a
running daemon only.

Example:
  telegram-gateway backfill status --json";

const AFTER_CANCEL: &str = "\
What was fetched stays. A gap that was being filled stays open.

Example:
  telegram-gateway backfill cancel --channel @durov";

/// Arguments of `login`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_LOGIN)]
pub struct LoginArgs {
    /// The account, by its name in telegram.accounts [default: the first]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Log in as a bot, by its token
    #[arg(long, conflicts_with = "qr")]
    pub bot: bool,
    /// Show a code to scan with an app of Telegram (Settings, Devices)
    #[arg(long)]
    pub qr: bool,
    /// Read the answers from stdin, one a line, in the order they are asked for
    #[arg(long)]
    pub stdin: bool,
}

/// Arguments of `logout`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_LOGOUT)]
pub struct LogoutArgs {
    /// The account, by its name in telegram.accounts [default: the first]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Remove the file without asking Telegram; end the session in an app of Telegram (Settings, Devices)
    #[arg(long)]
    pub local: bool,
}

/// Arguments of `session`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_SESSION)]
pub struct SessionArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SessionCommand,
}

/// What is done with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Show who is logged in
    Status(SessionStatusArgs),
}

/// Arguments of `session status`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_STATUS)]
pub struct SessionStatusArgs {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `channels`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_CHANNELS)]
pub struct ChannelsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ChannelsCommand,
}

/// What is done with channels.
#[derive(Debug, Subcommand)]
pub enum ChannelsCommand {
    /// Show which chats are known, and which are mirrored
    List(ListArgs),
    /// Ask Telegram who is behind a name or an id
    Resolve(ResolveArgs),
    /// Ask Telegram for all chats of the account
    Discover(DiscoverArgs),
}

/// Arguments of `channels list`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_LIST)]
pub struct ListArgs {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `channels resolve`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_RESOLVE)]
pub struct ResolveArgs {
    /// @name, t.me/name, or an id as -1001234567890
    #[arg(value_name = "CHAT", value_parser = chat, allow_negative_numbers = true)]
    pub chat: Chat,
    /// The account, by its name in telegram.accounts [default: the first]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `channels discover`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_DISCOVER)]
pub struct DiscoverArgs {
    /// Keep nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The account, by its name in telegram.accounts [default: the first]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `backfill`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_BACKFILL, args_conflicts_with_subcommands = true)]
#[command(subcommand_negates_reqs = true, disable_help_subcommand = true)]
pub struct BackfillArgs {
    /// Of which channel: @name, t.me/name, or its id as -1001234567890
    #[arg(long, required = true, value_name = "CHAT", value_parser = chat, allow_negative_numbers = true)]
    pub channel: Option<Chat>,
    /// Nothing older: a date (2026-01-31), a duration until now (12h, 30d), or a message id
    #[arg(long, value_name = "SINCE", value_parser = since)]
    pub since: Option<Since>,
    /// So many messages at most [default: 1000; with --since as many as there are, up to 1000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limit: Option<u32>,
    /// The account, by its name in telegram.accounts [default: the first]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Something else.
    #[command(subcommand)]
    pub command: Option<BackfillCommand>,
}

/// What else is done about the past.
#[derive(Debug, Subcommand)]
pub enum BackfillCommand {
    /// Show what is being fetched
    Status(BackfillStatusArgs),
    /// Stop all that is fetched of a channel
    Cancel(CancelArgs),
}

/// Arguments of `backfill status`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_BACKFILL_STATUS)]
pub struct BackfillStatusArgs {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `backfill cancel`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_CANCEL)]
pub struct CancelArgs {
    /// Of which channel: @name, t.me/name, or its id as -1001234567890
    #[arg(long, value_name = "CHAT", value_parser = chat, allow_negative_numbers = true)]
    pub channel: Chat,
    /// The account, by its name in telegram.accounts [default: the first]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

fn chat(text: &str) -> Result<Chat, &'static str> {
    Chat::parse(text)
        .ok_or("write @name, t.me/name, or the id of a channel or group, as -1001234567890")
}

fn since(text: &str) -> Result<Since, SinceError> {
    Since::parse(text, Timestamp::now())
}
