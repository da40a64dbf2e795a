//! Arguments of `quarantine`.

use clap::{Args, Subcommand};

use crate::cli::Projection;

const AFTER: &str = "\
An event that a store refuses, or that cannot be read, waits in the store's quarantine, and those behind it are applied.
Nothing here moves a checkpoint. A rebuild stops at such an event instead.

Examples:
  telegram-gateway quarantine list
  telegram-gateway quarantine retry timescale --all
  telegram-gateway quarantine drop redis --seq 1234 --yes";

const AFTER_RETRY: &str = "\
Exit codes: 0 all of them are applied, 1 some are refused again, 69 server unreachable.";

/// Arguments of `quarantine`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct QuarantineArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: QuarantineCommand,
}

/// What is done with a quarantine.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// Show what the stores could not apply, and why
    List {
        /// Only of this store [default: all that are configured]
        #[arg(value_name = "STORE")]
        name: Option<Projection>,
        /// Print a line of JSON for each event
        #[arg(long)]
        json: bool,
    },
    /// Apply events of a quarantine again, after an upgrade or a repair of the store
    #[command(after_help = AFTER_RETRY)]
    Retry(ChosenArgs),
    /// Take events out of a quarantine without applying them; the log keeps them
    Drop {
        /// Which ones.
        #[command(flatten)]
        chosen: ChosenArgs,
        /// Do not ask; needed when stdin is no terminal
        #[arg(long)]
        yes: bool,
    },
}

/// Events of one store's quarantine.
#[derive(Debug, Args)]
pub struct ChosenArgs {
    /// The store
    #[arg(value_name = "STORE")]
    pub name: Projection,
    /// The event of this number; may be repeated
    #[arg(long = "seq", value_name = "SEQ", required_unless_present = "all", conflicts_with = "all",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub seqs: Vec<u64>,
    /// All there are
    #[arg(long)]
    pub all: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
