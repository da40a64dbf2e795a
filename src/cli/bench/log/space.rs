//! What events take on the disk once their segment is sealed, by blocks and not by length.

use serde::Serialize;

use super::engine::{PAYLOAD, RECORD, Whole};
use super::{BenchError, Run, allocated, failed};
use crate::journal::LOG_DIR;

/// Records of one commit, and commits: single ones are slow, so there are fewer.
const FILLS: [(usize, u64); 3] = [(1, 6_000), (10, 6_000), (1000, 180)];

#[derive(Debug, Serialize)]
pub(super) struct Space {
    /// Records of one commit.
    pub batch: usize,
    /// Events in the sealed segment.
    pub events: u64,
    /// Bytes of a payload.
    pub payload: usize,
    /// Bytes of the sealed segment for each event: record, key, bookmark, what the engine needs.
    pub sealed: f64,
    /// Bytes of the keys in the catalog for each event.
    pub catalog: f64,
}

impl Space {
    /// Times the payload.
    pub(super) fn ratio(&self) -> f64 {
        self.sealed / self.payload as f64
    }
}

pub(super) fn measure(run: &Run) -> Result<Vec<Space>, BenchError> {
    FILLS
        .iter()
        .map(|(batch, commits)| fill(run, *batch, *commits))
        .collect()
}

fn fill(run: &Run, batch: usize, commits: u64) -> Result<Space, BenchError> {
    let data_dir = run.data_dir(&format!("space-{batch}"));
    let mut log = Whole::open(&data_dir, true)?;
    let events = commits * batch as u64;
    log.fill(events * RECORD as u64, batch)?;
    log.seal()?;
    let segments = log.log.reader().segments();
    let segments = segments.map_err(failed("reading the log"))?;
    log.log.close().map_err(failed("closing the log"))?;
    let sealed: Vec<&str> = segments
        .iter()
        .filter(|segment| segment.sealed)
        .map(|segment| segment.file.as_str())
        .collect();
    let dir = data_dir.join(LOG_DIR);
    let each = |bytes: u64| bytes as f64 / events as f64;
    Ok(Space {
        batch,
        events,
        payload: PAYLOAD,
        sealed: each(allocated(&dir, |name| sealed.contains(&name))?),
        catalog: each(allocated(&dir, |name| name.starts_with("catalog"))?),
    })
}
