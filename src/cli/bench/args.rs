//! Arguments of `bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::args::{Projection, rate};

const AFTER: &str = "\
Uses a log of its own below the data folder and removes it. Servers of the configuration take part, and their stores
must be empty: what was fed from another log is never touched.

Examples:
  telegram-gateway bench --rate 50 --seconds 60
  telegram-gateway bench --flat-out --events 100000 --json
  telegram-gateway bench --flat-out --events 100000 --import result.json
  telegram-gateway bench rebuild sqlite --events 100000
  telegram-gateway bench catch-up timescale --events 1000000
  telegram-gateway bench log --size 10GiB";

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(after_help = AFTER, args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    /// Messages per second to hold [default: 50]
    #[arg(long, value_name = "R", value_parser = rate(), conflicts_with = "flat_out")]
    pub rate: Option<u32>,
    /// How long to hold the rate, in seconds [default: 60]
    #[arg(long, value_name = "S", conflicts_with = "flat_out",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,
    /// As fast as the machine can
    #[arg(long, requires = "events")]
    pub flat_out: bool,
    /// Number of events with --flat-out
    #[arg(long, value_name = "N", requires = "flat_out",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub events: Option<u64>,
    /// Seed of the made-up messages
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The messages of an export instead, again and again, as if they came now
    #[arg(
        long,
        value_name = "FILE",
        requires = "flat_out",
        conflicts_with = "seed"
    )]
    pub import: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Another measurement.
    #[command(subcommand)]
    pub command: Option<BenchCommand>,
}

/// The other measurements.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Time the rebuild of a projection from a log of made-up events
    Rebuild {
        /// The projection
        #[arg(value_name = "NAME", default_value = "sqlite")]
        name: Projection,
        /// Events in the log
        #[arg(long, value_name = "N", default_value_t = 100_000,
              value_parser = clap::value_parser!(u64).range(1..))]
        events: u64,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Time how a projection that is far behind gets level with the log, against its rebuild
    CatchUp {
        /// The projection
        #[arg(value_name = "NAME", default_value = "sqlite")]
        name: Projection,
        /// Events it is behind
        #[arg(long, value_name = "N", default_value_t = 100_000,
              value_parser = clap::value_parser!(u64).range(1..))]
        events: u64,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Measure the log against the disk, SQLite and itself at other sizes
    Log {
        /// Size of the largest log, as 512MiB or 10GiB
        #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = size)]
        size: u64,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// A process that `log` starts and kills
    #[command(hide = true)]
    LogChild {
        /// What it does
        task: super::Task,
        /// The data directory
        data_dir: PathBuf,
        /// Record bytes of the log to fill; of a backup, a second
        bytes: u64,
    },
}

fn size(text: &str) -> Result<u64, &'static str> {
    // Two segments at least: small and large are compared.
    let sizes = (128 << 20)..=(1 << 40);
    crate::config::size(text)
        .filter(|size| sizes.contains(size))
        .ok_or("write a size from 128MiB to 1024GiB")
}
