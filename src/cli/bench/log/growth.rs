//! A small log and a large one: opening after a kill, memory, commits.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use wal::Options;

use super::child::{Child, Task};
use super::engine::{Engine, RECORD, Whole};
use super::figures::{Figures, Turns, in_turns, median};
use super::{BenchError, Run, failed};

/// A segment is left with so much room: full enough to be the longest to repair, not so full that it is sealed.
const ROOM: u64 = 4 << 20;
/// Parts of the largest size that are looked at.
const PARTS: [u64; 3] = [100, 10, 1];
const KILLS: usize = 3;
const TURNS: Turns = Turns(40, Duration::from_millis(70));

/// A log of one size.
#[derive(Debug, Serialize)]
pub(super) struct Grown {
    /// Record bytes in it.
    pub bytes: u64,
    /// Events in it.
    pub events: u64,
    /// Opening it after kill -9 in the middle of commits, the active segment all but full; each kill, in
    /// milliseconds, files in the page cache.
    pub open_ms: Vec<f64>,
    /// Resident memory of the process that wrote it, in bytes.
    pub rss: u64,
    /// The most it had.
    pub rss_peak: u64,
}

impl Grown {
    /// The median.
    pub(super) fn open_median_ms(&self) -> f64 {
        median(self.open_ms.clone())
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Growth {
    /// By size, ascending.
    pub sizes: Vec<Grown>,
    /// Commits of one event in the smallest.
    pub small: Figures,
    /// Commits of one event in the largest.
    pub large: Figures,
}

/// The figures, and the largest log for further use.
pub(super) struct Measured {
    pub(super) figures: Growth,
    pub(super) large: Large,
}

/// The largest log.
pub(super) struct Large {
    pub(super) data_dir: std::path::PathBuf,
    pub(super) log: Whole,
}

/// Record bytes of the logs, ascending: whole segments, the last one with room for little.
fn sizes(largest: u64) -> Vec<u64> {
    let segment = Options::default().segment_bytes_max;
    let full = |bytes: u64| bytes.div_ceil(segment).max(1) * segment - ROOM;
    let mut sizes: Vec<u64> = PARTS.iter().map(|part| full(largest / part)).collect();
    sizes.dedup();
    sizes
}

pub(super) fn measure(run: &Run) -> Result<Measured, BenchError> {
    let (small_dir, large_dir) = (run.data_dir("small"), run.data_dir("large"));
    let mut grown = Vec::new();
    for (at, bytes) in sizes(run.size).into_iter().enumerate() {
        let data_dir = if at == 0 { &small_dir } else { &large_dir };
        grown.push(grow(run, data_dir, bytes)?);
    }
    let mut small = Whole::open(&small_dir, true)?;
    let mut large = Whole::open(&large_dir, true)?;
    // Both begin an empty segment, or its fill would be compared and not the log's size.
    small.seal()?;
    large.seal()?;
    let mut engines: [&mut dyn Engine; 2] = [&mut small, &mut large];
    let mut figures = in_turns(run, &mut engines, 1, TURNS)?.into_iter();
    let mut next = || figures.next().unwrap_or_default();
    Ok(Measured {
        figures: Growth {
            sizes: grown,
            small: next(),
            large: next(),
        },
        large: Large {
            data_dir: large_dir,
            log: large,
        },
    })
}

/// Lets a process fill the log, kills it in the middle of its commits, and opens the log, several times.
fn grow(run: &Run, data_dir: &Path, bytes: u64) -> Result<Grown, BenchError> {
    let mut grown = Grown {
        bytes,
        events: bytes / RECORD as u64,
        open_ms: Vec::new(),
        rss: 0,
        rss_peak: 0,
    };
    for kill in 0..KILLS {
        run.go_on()?;
        let mut child = Child::start(run, Task::Fill, data_dir, Some(bytes))?;
        let told = child.line()?;
        let mut told = told.split(' ').filter_map(|word| word.parse().ok());
        drop(child);
        if kill == 0 {
            grown.rss = told.next().unwrap_or(0);
            grown.rss_peak = told.next().unwrap_or(0);
        }
        let start = Instant::now();
        let dir = data_dir.join(crate::journal::LOG_DIR);
        let log = wal::Log::open(&dir, Options::default()).map_err(failed("opening the log"))?;
        grown.open_ms.push(start.elapsed().as_secs_f64() * 1e3);
        if !log.recovery().unclean {
            return Err(failed("killing the writer")("it had closed the log"));
        }
        log.close().map_err(failed("closing the log"))?;
    }
    Ok(grown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_ends_with_an_all_but_full_segment() {
        let segment = Options::default().segment_bytes_max;
        assert_eq!(sizes(segment * 8), [segment - ROOM, segment * 8 - ROOM]);
        let large = sizes(10 << 30);
        assert_eq!(large.len(), 3);
        assert!(large.iter().all(|bytes| bytes % segment == segment - ROOM));
    }
}
