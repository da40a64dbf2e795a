//! What an append feels of a seal: events come one by one while a full segment is sealed and the next one begins.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::engine::{Engine, RECORD, Whole};
use super::figures::quantile;
use super::{BenchError, Run};

const ROLLS: usize = 6;
/// From the append that seals on; work that a seal leaves to others is done by then.
const WINDOW: Duration = Duration::from_millis(300);
/// Appends before the one that seals, to compare with.
const BEFORE: u64 = 500;
const FILL_BATCH: usize = 1000;

#[derive(Debug, Serialize)]
pub(super) struct Roll {
    /// Seals measured.
    pub rolls: usize,
    /// Of commits of one event shortly before a seal, in microseconds.
    pub before_p50_us: f64,
    /// The same.
    pub before_p99_us: f64,
    /// Of commits of one event in the time of a seal, in microseconds.
    pub during_p50_us: f64,
    /// The same.
    pub during_p99_us: f64,
    /// The append that seals, in microseconds: the median of them.
    pub sealing_us: f64,
    /// The slowest of all, in microseconds.
    pub worst_us: f64,
    /// So long a time counts, in milliseconds.
    pub window_ms: u64,
}

pub(super) fn measure(run: &Run) -> Result<Roll, BenchError> {
    let mut log = Whole::open(&run.data_dir("roll"), true)?;
    let (mut before, mut during, mut sealing) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROLLS {
        run.go_on()?;
        while log.room() > (FILL_BATCH as u64 + BEFORE) * RECORD as u64 {
            log.append(FILL_BATCH)?;
        }
        while !log.rolls_next() {
            before.push(log.append(1)?.as_secs_f64());
        }
        let start = Instant::now();
        let took = log.append(1)?.as_secs_f64();
        sealing.push(took);
        during.push(took);
        while start.elapsed() < WINDOW {
            during.push(log.append(1)?.as_secs_f64());
        }
    }
    for times in [&mut before, &mut during, &mut sealing] {
        times.sort_by(f64::total_cmp);
    }
    let us = |times: &[f64], at| quantile(times, at) * 1e6;
    Ok(Roll {
        rolls: sealing.len(),
        before_p50_us: us(&before, 0.5),
        before_p99_us: us(&before, 0.99),
        during_p50_us: us(&during, 0.5),
        during_p99_us: us(&during, 0.99),
        sealing_us: us(&sealing, 0.5),
        worst_us: us(&during, 1.0).max(us(&before, 1.0)),
        window_ms: u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX),
    })
}
