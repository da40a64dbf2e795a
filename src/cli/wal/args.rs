//! The arguments and help of `wal`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

const AFTER_WAL: &str = "\
Reading (stat, dump, tail) works beside a running daemon and without one. What changes the log
(all others) is done by the running daemon, or here when none runs.

Examples:
  telegram-gateway wal stat
  telegram-gateway wal tail --follow --json
  telegram-gateway wal trim --keep-from 100000 --plan";

const AFTER_STAT: &str = "\
Exit codes: 0 done, 65 damaged log.

Examples:
  telegram-gateway wal stat
  telegram-gateway wal stat --json | jq .live.commit_us.p99";

const AFTER_DUMP: &str = "\
Exit codes: 0 done, 65 a record is damaged; with --skip-damaged, after all others were printed.

Examples:
  telegram-gateway wal dump --from 1000 --until 2000 --json > part.jsonl
  telegram-gateway wal dump --limit 5";

const AFTER_TAIL: &str = "\
Ends with Ctrl-C, or when the reader of its output goes away: exit code 0. 65: a record is damaged.

Examples:
  telegram-gateway wal tail -n 3
  telegram-gateway wal tail --follow --json";

const AFTER_SEAL: &str = "\
The active segment is completed, given its checksum and never changed again; the next one starts.
Nothing happens to an empty one.
Exit codes: 0 done, 75 log in use by something that does not answer.

Example:
  telegram-gateway wal seal --json";

const AFTER_TRIM: &str = "\
Removes whole sealed segments, oldest first, and never what the relay or a configured store still
needs. The cursor of a relay that is no longer configured keeps nothing; the plan names it.
Without --keep-from, what wal.keep_age and wal.keep_bytes of the configuration say.
Exit codes: 0 done or nothing to remove, 1 not confirmed, 2 nobody at a terminal to confirm,
75 log in use.

Examples:
  telegram-gateway wal trim --plan
  telegram-gateway wal trim --keep-from 100000 --yes";

const AFTER_SALVAGE: &str = "\
Checks every segment. A damaged one is replaced by what can still be read of it, under the same
numbers; what the configured archive or a backup (--from) has is taken from there; what is lost is
a hole in the log, recorded for ever. The damaged file is kept beside it as *.damaged. A running daemon replaces all but the active segment; without one, that too.
Exit codes: 0 done or nothing damaged, 1 not confirmed, 2 nobody at a terminal to confirm,
65 the active segment is damaged and a daemon holds it, 75 log in use.

Examples:
  telegram-gateway verify log
  telegram-gateway wal salvage --from /backup/telegram --yes --json";

const AFTER_COMPACT: &str = "\
Numbers, records and checksums stay the same. Needs as much free space as the largest segment; a
running daemon appends between two segments.
Exit codes: 0 done, 1 failed, 65 a segment is damaged, 75 log in use.

Examples:
  telegram-gateway wal compact
  telegram-gateway wal compact --first 1 --json";

/// Arguments of `wal`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_WAL)]
pub struct WalArgs {
    /// What to do with the log.
    #[command(subcommand)]
    pub command: WalCommand,
}

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum WalCommand {
    /// Show what the log is made of, and the figures of a running daemon
    #[command(after_help = AFTER_STAT)]
    Stat {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print records
    #[command(after_help = AFTER_DUMP)]
    Dump(DumpArgs),
    /// Print the last records
    #[command(after_help = AFTER_TAIL)]
    Tail(TailArgs),
    /// Complete the active segment and start the next
    #[command(after_help = AFTER_SEAL)]
    Seal {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove old segments that nobody needs
    #[command(after_help = AFTER_TRIM)]
    Trim(TrimArgs),
    /// Replace damaged segments by what can still be read of them
    #[command(after_help = AFTER_SALVAGE)]
    Salvage(SalvageArgs),
    /// Write sealed segments anew without unused space
    #[command(after_help = AFTER_COMPACT)]
    Compact {
        /// Only the segment that starts with this sequence number [default: all]
        #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
        first: Option<u64>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `wal dump`.
#[derive(Debug, Args)]
pub struct DumpArgs {
    /// First sequence number [default: first of the log]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub from: Option<u64>,
    /// Last sequence number, included [default: last of the log]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub until: Option<u64>,
    /// At most this many records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Print a damaged record as a finding and go on behind it
    #[arg(long)]
    pub skip_damaged: bool,
    /// One JSON object a line, with the whole event
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `wal tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// How many records
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub lines: u64,
    /// Go on with what is appended, until stopped
    #[arg(short, long)]
    pub follow: bool,
    /// One JSON object a line, with the whole event
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `wal salvage`.
#[derive(Debug, Args)]
pub struct SalvageArgs {
    /// A backup to take records from that cannot be read; may be given more than once
    #[arg(long, value_name = "DIR")]
    pub from: Vec<PathBuf>,
    /// Do not ask; needed when stdin is no terminal
    #[arg(long)]
    pub yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `wal trim`.
#[derive(Debug, Args)]
pub struct TrimArgs {
    /// The first sequence number to keep [default: by the configured policy]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub keep_from: Option<u64>,
    /// Say what would go and who needs the rest, and stop
    #[arg(long)]
    pub plan: bool,
    /// Do not ask; needed when stdin is no terminal
    #[arg(long)]
    pub yes: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
