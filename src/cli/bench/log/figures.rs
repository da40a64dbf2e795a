//! Turns, and what is told of them.
//!
//! Turns are short and many, so that whatever else the machine does falls on all sides alike; the figures are of all
//! commits of all turns of one side.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::engine::Engine;
use super::{BenchError, Run};

/// How often, and how long each time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turns(pub usize, pub Duration);

/// What the turns of one side gave.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Figures {
    /// Records of one commit.
    pub batch: usize,
    /// Commits measured.
    pub commits: usize,
    /// Of the commits, in microseconds.
    pub p50_us: f64,
    /// Of the commits, in microseconds.
    pub p99_us: f64,
    /// The slowest commit, in microseconds.
    pub worst_us: f64,
    /// Records a second in the median commit.
    pub median_per_second: f64,
    /// Records a second of all commits, whatever comes between: seals, checkpoints.
    pub sustained_per_second: f64,
}

impl Figures {
    /// `times` are the seconds of each commit.
    fn of(batch: usize, mut times: Vec<f64>) -> Figures {
        times.sort_by(f64::total_cmp);
        let p50 = quantile(&times, 0.5);
        Figures {
            batch,
            commits: times.len(),
            p50_us: p50 * 1e6,
            p99_us: quantile(&times, 0.99) * 1e6,
            worst_us: quantile(&times, 1.0) * 1e6,
            median_per_second: batch as f64 / p50,
            sustained_per_second: (times.len() * batch) as f64 / times.iter().sum::<f64>(),
        }
    }
}

/// One turn: commits of `batch` records, one after another. Adds the seconds of each to `times`.
fn turn(
    engine: &mut dyn Engine,
    batch: usize,
    length: Duration,
    times: &mut Vec<f64>,
) -> Result<(), BenchError> {
    let start = Instant::now();
    while start.elapsed() < length {
        times.push(engine.append(batch)?.as_secs_f64());
    }
    Ok(())
}

/// The engines in turns; before them one that does not count.
pub(super) fn in_turns(
    run: &Run,
    engines: &mut [&mut dyn Engine],
    batch: usize,
    Turns(turns, length): Turns,
) -> Result<Vec<Figures>, BenchError> {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); engines.len()];
    for engine in engines.iter_mut() {
        turn(&mut **engine, batch, length, &mut Vec::new())?;
    }
    for _ in 0..turns {
        for (engine, times) in engines.iter_mut().zip(&mut times) {
            run.go_on()?;
            turn(&mut **engine, batch, length, times)?;
        }
    }
    let of_batch = |times| Figures::of(batch, times);
    Ok(times.into_iter().map(of_batch).collect())
}

/// One engine under changing circumstances, in turns: `under` makes them; they end when its value drops.
pub(super) fn under_turns<C>(
    run: &Run,
    engine: &mut dyn Engine,
    batch: usize,
    Turns(turns, length): Turns,
    circumstances: usize,
    mut under: impl FnMut(usize) -> Result<C, BenchError>,
) -> Result<Vec<Figures>, BenchError> {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); circumstances];
    for _ in 0..turns {
        for (at, times) in times.iter_mut().enumerate() {
            run.go_on()?;
            let circumstance = under(at)?;
            turn(engine, batch, length, times)?;
            drop(circumstance);
        }
    }
    let of_batch = |times| Figures::of(batch, times);
    Ok(times.into_iter().map(of_batch).collect())
}

/// Of values in ascending order; 0 of none.
pub(super) fn quantile(ascending: &[f64], quantile: f64) -> f64 {
    let last = ascending.len().saturating_sub(1);
    let at = (last as f64 * quantile).ceil() as usize;
    ascending.get(at.min(last)).copied().unwrap_or(0.0)
}

/// The middle one.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_all_commits() {
        let figures = Figures::of(10, vec![2.0, 9.0, 1.0, 2.0, 1.0]);
        assert_eq!((figures.p50_us, figures.worst_us), (2e6, 9e6));
        assert_eq!((figures.median_per_second, figures.commits), (5.0, 5));
        assert_eq!(figures.sustained_per_second, 50.0 / 15.0);
        assert_eq!(median(Vec::new()), 0.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.99), 4.0);
    }
}
