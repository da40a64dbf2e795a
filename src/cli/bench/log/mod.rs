//! `bench log`: the log against the disk, against SQLite and against itself at other sizes.
//!
//! All in one run on one disk: what is compared takes short turns, so that other work on the machine falls on both
//! sides.
//!
//! | file | what |
//! |---|---|
//! | `engine` `sqlite` | what takes turns: raw writes, the log, SQLite |
//! | `figures` | turns, medians, percentiles |
//! | `commits` | the log against the disk and SQLite |
//! | `roll` | what an append feels of a seal |
//! | `growth` | small log and large: opening after a kill, memory, commits |
//! | `reading` | reading, and appending meanwhile |
//! | `space` | bytes on the disk |
//! | `child` | what runs in processes of its own |
//! | `report` | the table |

mod child;
mod commits;
mod engine;
mod figures;
mod growth;
mod reading;
mod report;
mod roll;
mod space;
mod sqlite;

use std::error::Error;
use std::path::{Path, PathBuf};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub use child::Task;
pub(super) use child::run as child;

use self::report::{Disk, Report};
use super::Scratch;
use super::machine::Machine;
use crate::cli::{CommandError, output};
use crate::config::Config;
use crate::failure::{Class, Classify};

/// Why a measurement ended early.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum BenchError {
    /// Something that is measured failed.
    #[error("cannot measure: {doing}")]
    Failed {
        /// What was done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// By a signal.
    #[error("stopped")]
    Stopped,
}

impl Classify for BenchError {
    fn class(&self) -> Class {
        Class::Operator
    }
}

fn failed<E: Into<Box<dyn Error + Send + Sync>>>(doing: &'static str) -> impl Fn(E) -> BenchError {
    move |source| BenchError::Failed {
        doing,
        source: source.into(),
    }
}

/// What every step needs.
struct Run {
    dir: PathBuf,
    /// Record bytes of the largest log.
    size: u64,
    /// Record bytes a second of a backup, as configured.
    backup_pace: u64,
    stop: CancellationToken,
    runtime: Handle,
}

impl Run {
    /// A new data directory of a log.
    fn data_dir(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn go_on(&self) -> Result<(), BenchError> {
        if self.stop.is_cancelled() {
            return Err(BenchError::Stopped);
        }
        Ok(())
    }
}

/// Measures and prints.
pub(super) async fn log(
    config: &Config,
    size: u64,
    json: bool,
    stop: CancellationToken,
) -> Result<(), CommandError> {
    let scratch = Scratch::new(&config.data_dir)?;
    let run = Run {
        dir: scratch.path().to_owned(),
        size,
        backup_pace: config.wal.copy_bytes_per_second_max,
        stop,
        runtime: Handle::current(),
    };
    let measured = tokio::task::spawn_blocking(move || measure(&run)).await;
    let report = measured.map_err(failed("the thread ended"))??;
    output::result(&report, json, Report::text)?;
    Ok(())
}

fn measure(run: &Run) -> Result<Report, BenchError> {
    let machine = Machine::now();
    let say = |what: &str| output::say(&format!("bench log: {what}"));
    say("commits");
    let commits = commits::measure(run)?;
    say("seals");
    let roll = roll::measure(run)?;
    say("space");
    let space = space::measure(run)?;
    say("growing the log, killing its writer");
    let mut growth = growth::measure(run)?;
    say("reading");
    let reading = reading::measure(run, &mut growth.large)?;
    Ok(Report {
        size: run.size,
        disk: Disk::of(&run.dir),
        load_after: Machine::now().load_1m,
        machine,
        commits,
        roll,
        growth: growth.figures,
        reading,
        space,
    })
}

/// Bytes that the files of a folder occupy, those whose names `counts`.
fn allocated(dir: &Path, counts: impl Fn(&str) -> bool) -> Result<u64, BenchError> {
    use std::os::unix::fs::MetadataExt as _;
    let doing = failed::<std::io::Error>("listing the log's files");
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).map_err(&doing)? {
        let entry = entry.map_err(&doing)?;
        if counts(&entry.file_name().to_string_lossy()) {
            bytes += entry.metadata().map_err(&doing)?.blocks() * 512;
        }
    }
    Ok(bytes)
}
