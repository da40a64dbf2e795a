//! Every command with its arguments and help.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use jiff::tz::TimeZone;

use super::backup::args::{BackupArgs, RestoreArgs};
use super::bench::Task as BenchTask;
use super::bench::args::{BenchArgs, BenchCommand};
use super::generation::args::GenerationArgs;
use super::media::args::MediaArgs;
use super::project::ProjectArgs;
use super::quarantine::args::QuarantineArgs;
use super::republish::RepublishArgs;
use super::telegram::args::{BackfillArgs, ChannelsArgs, LoginArgs, LogoutArgs, SessionArgs};
use super::wal::args::{WalArgs, WalCommand};
use crate::event::{PeerId, Timestamp};
use crate::telemetry::Format;

const AFTER: &str = "\
Exit codes:
  0 done   1 failed   2 wrong command line   65 damaged data   69 server unreachable
  75 log or session in use by another process   77 not allowed   78 wrong configuration

Data goes to stdout, words go to stderr. NO_COLOR is respected.

First steps:
  telegram-gateway demo --seconds 10
  telegram-gateway import result.json
  telegram-gateway status";

const AFTER_DEMO: &str = "\
Needs no server and reads neither configuration file nor TGW_ variables.

Example:
  telegram-gateway demo --seconds 10 --rate 200";

const AFTER_RUN: &str = "\
The first SIGTERM or Ctrl-C drains and exits 0; the second exits at once (143 or 130).
Exit codes: 0 stopped or source exhausted, 69 server unreachable, 75 log in use, 77 not allowed,
78 wrong configuration.

Examples:
  telegram-gateway run --config gateway.toml
  telegram-gateway run --source synthetic --rate 50 --events 3000 --drain";

const AFTER_IMPORT: &str = "\
Importing a file twice adds nothing.
Exit codes: 0 all of it is in the log, 65 a file is damaged, 75 log in use.

Examples:
  telegram-gateway import result.json --dry-run
  telegram-gateway import export/*.json --source-timezone Europe/Berlin";

const AFTER_REPLAY: &str = "\
Applies part of the log again; what is there already is not changed twice.
Exit codes: 0 done, 65 damaged log, 69 server unreachable, 77 not allowed.

Examples:
  telegram-gateway replay --to timescale --from 1000 --until 2000
  telegram-gateway replay --to redis --peer -1001234567890 --since 2026-01-01T00:00:00Z --plan";

const AFTER_REBUILD: &str = "\
timescale: loaded beside the live tables, compared with them and shown at once; readers notice nothing.
Interrupted, the same command goes on with it. generation rollback goes back. Asks only where rows would
be lost that the log does not have.
redis: built beside the keys that readers see, from the newest events back, and shown at once; readers never
see a window empty. Interrupted, nothing has changed.
sqlite: emptied and filled in place; readers see it incomplete until that is done. Interrupted, it is
finished by the running daemon, or by the same command.
Exit codes: 0 done, 1 refused or stopped, 2 nobody agreed, 65 damaged log, 69 server unreachable.

Examples:
  telegram-gateway rebuild timescale
  telegram-gateway rebuild redis";

const AFTER_VERIFY: &str = "\
Works beside a running daemon. With --repair the messages and channels that differ are taken out of the store
and made anew from the log, each with all that the log has of it, in one transaction; no checkpoint moves. What
the store has of numbers that the log no longer has is left as it is. A store that is more wrong than right is
quicker to rebuild. --repair is for stores; a damaged log is for wal salvage.
Exit codes: 0 clean (with --repair: clean now), 1 something differs or is damaged, 2 could not run.

Examples:
  telegram-gateway verify all --json
  telegram-gateway verify timescale --repair";

const AFTER_CONFIG: &str = "\
defaults < file < environment (TGW_SECTION__KEY) < flags
Exit codes: 0 right, 78 wrong, with every problem listed.

Examples:
  telegram-gateway config defaults > gateway.toml
  telegram-gateway config check --config gateway.toml
  TGW_RELAY__WINDOW=512 telegram-gateway config show";

/// A crash-safe mirror of Telegram channels: every update in a local log first, everything else rebuilt from it.
#[derive(Debug, Parser)]
#[command(name = "telegram-gateway", version, after_help = AFTER, max_term_width = 100)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Configuration file (TOML) [env: TGW_CONFIG] [default: none]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Folder of the log [default: data_dir of the configuration]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// How log lines look on stderr: text or json
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    pub log_format: Format,
    /// Log levels by target, as in info,telegram_gateway::relay=debug
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "TGW_LOG",
        hide_env_values = true
    )]
    pub log: Option<String>,
    /// Log more: -v debug, -vv trace
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Log less: -q warnings and errors, -qq errors
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub quiet: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole way with made-up messages, without any server
    Demo(DemoArgs),
    /// Run the gateway until it is stopped
    Run(RunArgs),
    /// Feed TimescaleDB or Redis on another machine than the log
    Project(ProjectArgs),
    /// Log an account in at Telegram
    Login(LoginArgs),
    /// Log an account out, and remove its session
    Logout(LogoutArgs),
    /// Show the sessions of the accounts
    Session(SessionArgs),
    /// Show which channels there are, and which are mirrored
    Channels(ChannelsArgs),
    /// Fetch the past of a channel
    Backfill(BackfillArgs),
    /// Show and check the files that were downloaded
    Media(MediaArgs),
    /// Append the messages of export files to the log
    Import(ImportArgs),
    /// Apply part of the log to a projection again
    Replay(ReplayArgs),
    /// Publish part of the log once more, to the queue of one program
    Republish(RepublishArgs),
    /// Show, retry or drop what a store could not apply
    Quarantine(QuarantineArgs),
    /// Make a projection again from the whole log
    Rebuild(RebuildArgs),
    /// The generations of TimescaleDB that rebuilds made: list, go back, drop
    Generation(GenerationArgs),
    /// Check the log record by record, or a projection against it
    Verify(VerifyArgs),
    /// Show the log, its sinks and how far they are behind
    Status(StatusArgs),
    /// Look into the log, seal it, remove what is old
    Wal(WalArgs),
    /// Copy the log to a directory or a tar, beside a running daemon
    Backup(BackupArgs),
    /// Make the log again from a backup
    Restore(RestoreArgs),
    /// Measure this machine
    Bench(BenchArgs),
    /// Check and show the configuration
    Config(ConfigArgs),
}

impl Command {
    /// It reads the whole log, perhaps beside a daemon, and nobody counts its milliseconds: on a machine that is short
    /// of processors, whoever appends goes first.
    pub fn gives_way(&self) -> bool {
        match self {
            Command::Replay(_)
            | Command::Republish(_)
            | Command::Rebuild(_)
            | Command::Verify(_)
            | Command::Backup(_) => true,
            Command::Wal(args) => matches!(args.command, WalCommand::Dump(_)),
            Command::Bench(args) => match args.command {
                Some(BenchCommand::LogChild { task, .. }) => task != BenchTask::Fill,
                _ => false,
            },
            _ => false,
        }
    }
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_DEMO)]
pub struct DemoArgs {
    /// Stop after this many seconds [default: until stopped]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,
    /// Messages per second
    #[arg(long, value_name = "R", default_value_t = 50, value_parser = rate())]
    pub rate: u32,
    /// Seed of the made-up messages
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_RUN)]
pub struct RunArgs {
    /// Where events come from: synthetic, or script:FILE (JSON lines) [default: the accounts of
    /// [telegram]; without that section or with --drain none, sinks only]
    #[arg(long, value_name = "SOURCE", value_hint = ValueHint::Other)]
    pub source: Option<SourceSpec>,
    /// Messages per second of the synthetic source, 0: as fast as the log takes them [default: 50]
    #[arg(long, value_name = "N", requires = "source", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub rate: Option<u32>,
    /// Seed of the synthetic source [default: 1]
    #[arg(long, value_name = "S", requires = "source")]
    pub seed: Option<u64>,
    /// End the source after this many events [default: no end]
    #[arg(long, value_name = "N", requires = "source", value_parser = clap::value_parser!(u64).range(1..))]
    pub events: Option<u64>,
    /// Append a line per acknowledged event to this file, fsynced, for crash tests
    #[arg(long, value_name = "FILE", requires = "source", value_hint = ValueHint::FilePath)]
    pub receipts: Option<PathBuf>,
    /// Exit 0 once the source, if there is one, is exhausted and every sink has caught up
    #[arg(long)]
    pub drain: bool,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_IMPORT)]
pub struct ImportArgs {
    /// Export files: Telegram Desktop's result.json, Telethon's JSON
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Read and count, but write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the counts as JSON
    #[arg(long)]
    pub json: bool,
    /// Refuse files with the known mistakes of exporters, instead of mending and reporting them
    #[arg(long)]
    pub strict: bool,
    /// Take what a file cut off in the middle still holds
    #[arg(long)]
    pub allow_truncated: bool,
    /// Zone of the exporting computer, for files that give local times only, as Europe/Berlin
    #[arg(long, value_name = "TZ", value_parser = time_zone)]
    pub source_timezone: Option<TimeZone>,
    /// Also take private chats, which are left out otherwise
    #[arg(long)]
    pub include_private: bool,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_REPLAY)]
pub struct ReplayArgs {
    /// The projection
    #[arg(long, value_name = "PROJECTION")]
    pub to: Projection,
    /// First sequence number [default: first of the log]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub from: Option<u64>,
    /// Last sequence number, included [default: last of the log]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub until: Option<u64>,
    /// Only this chat, in marked form (channels -100...); may be repeated
    #[arg(long = "peer", value_name = "ID", allow_negative_numbers = true)]
    pub peers: Vec<PeerId>,
    /// Only events that happened (by Telegram's date; where it gives none, by receipt) at or after this instant,
    /// as 2026-01-31T12:00:00Z (an offset is required)
    #[arg(long, value_name = "T")]
    pub since: Option<Timestamp>,
    /// Only events that happened before this instant
    #[arg(long, value_name = "T")]
    pub before: Option<Timestamp>,
    /// Say what would be applied, and stop
    #[arg(long)]
    pub plan: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `rebuild`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_REBUILD)]
pub struct RebuildArgs {
    /// The projection
    #[arg(value_name = "NAME")]
    pub name: Projection,
    /// Do not ask; needed when stdin is no terminal
    #[arg(long)]
    pub yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_VERIFY)]
pub struct VerifyArgs {
    /// What to check
    #[arg(value_name = "WHAT")]
    pub what: VerifyTarget,
    /// Make anew from the log what differs in a store, and check again
    #[arg(long)]
    pub repair: bool,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_CONFIG)]
pub struct ConfigArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check file, environment and flags; list every problem
    Check,
    /// Show each value that holds and where it comes from; secrets are never shown
    Show {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print every key with its unit, default and limits, commented out
    Defaults,
}

/// A store that is fed from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Projection {
    /// TimescaleDB.
    Timescale,
    /// Redis.
    Redis,
    /// SQLite.
    Sqlite,
}

/// What `verify` checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerifyTarget {
    /// Every record of the log
    Log,
    /// TimescaleDB against the log
    Timescale,
    /// Redis against the log
    Redis,
    /// SQLite against the log
    Sqlite,
    /// The log, and every projection that is configured
    All,
}

/// Where `run` takes events from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// The generator.
    Synthetic,
    /// A file of JSON lines.
    Script(PathBuf),
}

impl FromStr for SourceSpec {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SourceSpec, &'static str> {
        match text.split_once(':') {
            None if text == "synthetic" => Ok(SourceSpec::Synthetic),
            Some(("script", file)) if !file.is_empty() => Ok(SourceSpec::Script(file.into())),
            _ => Err("write synthetic, or script:FILE"),
        }
    }
}

pub(super) fn rate() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1_000_000)
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_| "no such zone; write its IANA name, as Europe/Berlin".to_owned())
}
