//! The log against the disk's own limit and against SQLite.

use std::time::Duration;

use serde::Serialize;

use super::engine::{Engine, Raw, Whole};
use super::figures::{Figures, Turns, in_turns};
use super::sqlite::Lite;
use super::{BenchError, Run};

const OF_ONE: Turns = Turns(40, Duration::from_millis(70));
/// In all long enough for many seals of the log and checkpoints of SQLite.
const OF_MANY: Turns = Turns(40, Duration::from_millis(100));
const MANY: usize = 1000;

/// What was measured at one size of batch.
#[derive(Debug, Serialize)]
pub(super) struct Batches {
    /// Overwriting blocks written before, and a sync.
    pub raw: Figures,
    /// The log with dedup keys and bookmark.
    pub log: Figures,
    /// The log with a bookmark and no keys.
    pub log_without_keys: Figures,
    /// SQLite with a unique index on the keys.
    pub sqlite: Figures,
    /// SQLite without keys.
    pub sqlite_without_keys: Figures,
}

#[derive(Debug, Serialize)]
pub(super) struct Commits {
    /// One event a commit.
    pub one: Batches,
    /// Many events a commit.
    pub many: Batches,
}

pub(super) fn measure(run: &Run) -> Result<Commits, BenchError> {
    Ok(Commits {
        one: batches(run, 1, OF_ONE)?,
        many: batches(run, MANY, OF_MANY)?,
    })
}

fn batches(run: &Run, batch: usize, turns: Turns) -> Result<Batches, BenchError> {
    let path = |name: &str| run.dir.join(format!("{name}-{batch}"));
    let mut raw = Raw::new(&path("raw"))?;
    let mut log = Whole::open(&path("keys"), true)?;
    let mut log_without_keys = Whole::open(&path("no-keys"), false)?;
    let mut sqlite = Lite::new(&path("sqlite-keys"), true, &run.runtime)?;
    let mut sqlite_without_keys = Lite::new(&path("sqlite"), false, &run.runtime)?;
    let mut engines: [&mut dyn Engine; 5] = [
        &mut raw,
        &mut log,
        &mut log_without_keys,
        &mut sqlite,
        &mut sqlite_without_keys,
    ];
    let figures = in_turns(run, &mut engines, batch, turns)?;
    let mut figures = figures.into_iter();
    let mut next = || figures.next().unwrap_or_default();
    Ok(Batches {
        raw: next(),
        log: next(),
        log_without_keys: next(),
        sqlite: next(),
        sqlite_without_keys: next(),
    })
}
