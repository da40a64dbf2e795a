//! The arguments and help of `login`, `logout` and `session`.

use clap::{Args, Subcommand};

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
