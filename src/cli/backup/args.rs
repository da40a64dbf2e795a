//! The arguments and help of `backup` and `restore`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

const AFTER_BACKUP: &str = "\
Seals the log first (the running daemon does, or this command when none runs), then copies what is
sealed beside the daemon and reads back what it wrote. Run it again into the same directory and it
adds what is new; what the log has trimmed meanwhile stays. A tar is whole every time.

So that appends go on nearly as fast beside it, it packs so many bytes of records a second as --rate
or wal.copy_bytes_per_second_max says, and reads back as many.

In it: the records, the sources' positions and the cursors, and the dedup keys even of records that
were trimmed (of a log that was trimmed of everything: only those). Not in it: the configuration, its
secrets, Telegram sessions, the stores (they are made again from the log). It is not encrypted.

Exit codes: 0 done, 1 failed (the backup before it is as it was), 65 a segment is damaged (the
others were written), 75 log in use by something that does not answer.

Examples:
  telegram-gateway backup /mnt/backup/telegram-gateway
  telegram-gateway backup - | ssh host 'cat > telegram-gateway.tar'
  telegram-gateway backup verify /mnt/backup/telegram-gateway";

const AFTER_VERIFY: &str = "\
Needs nothing but the directory: no log, no configuration.
Exit codes: 0 clean, 1 damaged, 2 could not run.

Example:
  telegram-gateway backup verify /mnt/backup/telegram-gateway --json";

const AFTER_RESTORE: &str = "\
Only where no log is. Asks each configured store how far it is and goes on far behind all of them
and the backup, in a new epoch, so that no number is given out twice. Interrupted, the same command
starts over. No configuration and no Telegram session comes out of a backup.

Exit codes: 0 done, 1 a log is there already, 2 --fence is too low, 65 the backup is damaged,
69 a store cannot be asked and --fence is not given, 75 the directory is in use.

Examples:
  telegram-gateway restore /mnt/backup/telegram-gateway
  ssh host 'cat telegram-gateway.tar' | telegram-gateway restore -";

/// Arguments of `backup`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_BACKUP, args_conflicts_with_subcommands = true)]
#[command(subcommand_negates_reqs = true, disable_help_subcommand = true)]
pub struct BackupArgs {
    /// Directory of the backup, made if it is not there; - writes a tar to stdout
    #[arg(required = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub to: Option<PathBuf>,
    /// Bytes of records a second, as 64MiB; 0: as fast as it goes [default: wal.copy_bytes_per_second_max]
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    pub rate: Option<u64>,
    /// Print the result as JSON (with -, to stderr)
    #[arg(long)]
    pub json: bool,
    /// Something else.
    #[command(subcommand)]
    pub command: Option<BackupCommand>,
}

fn rate(text: &str) -> Result<u64, &'static str> {
    crate::config::size(text).ok_or("write a size, as 16MiB or 0")
}

/// What else is done with a backup.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Read a whole backup and tell whether a log can be restored from it
    #[command(after_help = AFTER_VERIFY)]
    Verify {
        /// Directory of the backup
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        /// Print the findings as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_RESTORE)]
pub struct RestoreArgs {
    /// Directory of the backup; - reads a tar from stdin
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub from: PathBuf,
    /// The last number to skip [default: 1000000 past all that the stores and the backup know]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub fence: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
