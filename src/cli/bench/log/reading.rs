//! Reading the log, and appending while others read it.

use std::time::{Duration, Instant};

use serde::Serialize;
use wal::{Reader, Seq};

use super::child::{Child, Task};
use super::figures::{Figures, Turns, median, under_turns};
use super::growth::Large;
use super::{BenchError, Run, failed};

/// Records read at once.
pub(super) const READ: usize = 10_000;
/// Enough to be steady.
const RECORDS_MAX: u64 = 2_000_000;
const PASSES: usize = 3;
/// Long enough for a backup to come to its syncs.
const TURNS: Turns = Turns(4, Duration::from_secs(2));
/// Records of a commit while others read.
const BATCHES: [usize; 2] = [1, 1000];

/// Nobody reads.
pub(super) const ALONE: &str = "alone";
/// Nobody reads, and a processor is busy all the same.
pub(super) const BUSY_LOOP: &str = "a busy loop";

/// Who reads meanwhile, each in a process of its own.
const BESIDE: [(&str, &[Task]); 6] = [
    (ALONE, &[]),
    (BUSY_LOOP, &[Task::Spin]),
    ("verify", &[Task::Verify]),
    ("read", &[Task::Read]),
    ("backup", &[Task::Backup]),
    ("all three", &[Task::Verify, Task::Read, Task::Backup]),
];

/// Appends beside a reader.
#[derive(Debug, Serialize)]
pub(super) struct Beside {
    /// Who reads meanwhile.
    pub who: &'static str,
    /// The appends.
    pub appends: Figures,
    /// Sustained records a second, as a part of those of nobody reading.
    pub of_alone: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Reading {
    /// Records of sealed segments a second, each decoded and its CRC checked, by one thread, files in the page cache.
    pub scan_per_second: f64,
    /// How many were read for that, each time.
    pub scanned: u64,
    /// Appends of one event, and of many.
    pub beside: Vec<Beside>,
}

pub(super) fn measure(run: &Run, large: &mut Large) -> Result<Reading, BenchError> {
    large.log.seal()?;
    let until = large.log.tail().get().min(RECORDS_MAX);
    let reader = large.log.log.reader();
    // The first pass fills the page cache.
    scan(&reader, until)?;
    let mut rates = Vec::new();
    for _ in 0..PASSES {
        run.go_on()?;
        rates.push(scan(&reader, until)?);
    }
    let mut beside = Vec::new();
    for batch in BATCHES {
        beside.extend(appends(run, large, batch)?);
    }
    Ok(Reading {
        scan_per_second: median(rates),
        scanned: until,
        beside,
    })
}

/// Reads the log up to `until`; records a second.
fn scan(reader: &Reader, until: u64) -> Result<f64, BenchError> {
    let (start, mut read) = (Instant::now(), 0);
    let mut next = Seq::FIRST;
    while next.get() <= until {
        let records = reader.read(next, READ, usize::MAX);
        let records = records.map_err(failed("reading the log"))?;
        let Some(last) = records.last() else { break };
        next = last.header().seq.next();
        read += records.len();
    }
    Ok(read as f64 / start.elapsed().as_secs_f64())
}

fn appends(run: &Run, large: &mut Large, batch: usize) -> Result<Vec<Beside>, BenchError> {
    let Large { data_dir, log } = large;
    let readers = |at: usize| -> Result<Vec<Child>, BenchError> {
        let (_, tasks) = BESIDE[at];
        let mut children = Vec::new();
        for task in tasks {
            let pace = (*task == Task::Backup).then_some(run.backup_pace);
            let mut child = Child::start(run, *task, data_dir, pace)?;
            child.line()?;
            children.push(child);
        }
        Ok(children)
    };
    let figures = under_turns(run, log, batch, TURNS, BESIDE.len(), readers)?;
    let alone = figures
        .first()
        .map_or(1.0, |figures| figures.sustained_per_second);
    Ok(BESIDE
        .iter()
        .zip(figures)
        .map(|((who, _), appends)| Beside {
            who,
            of_alone: appends.sustained_per_second / alone,
            appends,
        })
        .collect())
}
