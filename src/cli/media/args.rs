//! The arguments and help of `media`.

use clap::{Args, Subcommand};

use crate::event::PeerId;

const AFTER_MEDIA: &str = "\
Files are downloaded by `run`, when [telegram.media] says so. These commands ask nobody and may be
used beside a running daemon.

Examples:
  telegram-gateway media status
  telegram-gateway media list --peer -1001234567890 --json";

const AFTER_STATUS: &str = "\
States: waiting, stored, too_large (above bytes_max), no_room (above store_bytes_max), unwanted (a kind
that download does not name) and failed (given up; tried again when another message brings the file).
Exit codes: 0 told, 1 the list of files cannot be used, 78 wrong configuration.

Example:
  telegram-gateway media status --json";

const AFTER_LIST: &str = "\
The newest first. A file is in the folder under its SHA-256: the first two digits, a slash, the rest.
Exit codes: 0 told, 1 the list of files cannot be used, 78 wrong configuration.

Examples:
  telegram-gateway media list --state failed
  telegram-gateway media list --peer -1001234567890 --limit 1000 --json";

const AFTER_VERIFY: &str = "\
Reads every stored file and compares it with its SHA-256.
Exit codes: 0 all are sound, 1 the list of files cannot be used, 65 files are missing or damaged,
78 wrong configuration.

Example:
  telegram-gateway media verify --json";

/// Arguments of `media`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_MEDIA)]
pub struct MediaArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: MediaCommand,
}

/// What is done with files.
#[derive(Debug, Subcommand)]
pub enum MediaCommand {
    /// Show how many files there are, and in which state
    #[command(after_help = AFTER_STATUS)]
    Status(MediaShownArgs),
    /// List the files
    List(MediaListArgs),
    /// Read the stored files, and compare
    #[command(after_help = AFTER_VERIFY)]
    Verify(MediaShownArgs),
}

/// Arguments of `media status` and `media verify`.
#[derive(Debug, Args)]
pub struct MediaShownArgs {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `media list`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_LIST)]
pub struct MediaListArgs {
    /// Only files in this state
    #[arg(
        long,
        value_parser = ["waiting", "stored", "too_large", "no_room", "unwanted", "failed"]
    )]
    pub state: Option<String>,
    /// Only files of messages of this channel, chat or user
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub peer: Option<PeerId>,
    /// So many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub limit: u32,
    /// Print as JSON, one file a line
    #[arg(long)]
    pub json: bool,
}
