//! Arguments of `generation`.

use clap::{Args, Subcommand};

const AFTER: &str = "\
A rebuild of TimescaleDB loads a generation of its tables beside the one that readers see, and then shows it. The one
before is kept for timescale.keep_generation (1d) and can be shown again.
Exit codes: 0 done, 1 refused or stopped, 2 nobody agreed, 69 server unreachable.

Examples:
  telegram-gateway generation list
  telegram-gateway generation rollback
  telegram-gateway generation drop 3 --yes";

/// Arguments of `generation`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct GenerationArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: GenerationCommand,
}

/// What to do with the generations of TimescaleDB.
#[derive(Debug, Subcommand)]
pub enum GenerationCommand {
    /// Show the generations, how far they have come and what they take on the disk
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring the one before up to the log, and show it again
    Rollback {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Drop one that is not shown
    Drop {
        /// Its number, as `list` shows it
        #[arg(value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        number: i32,
        /// Do not ask; needed when stdin is no terminal
        #[arg(long)]
        yes: bool,
    },
}
