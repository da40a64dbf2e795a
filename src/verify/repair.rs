//! Repair: what a check found, made anew from the log.
//!
//! Only the things that the differing rows are about are touched: all rows about one are taken out and all its events
//! applied, in one transaction of the store (`store::mend`). A cache has no such transactions and needs none: what it
//! lacks meanwhile is a miss.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use serde::Serialize;
use wal::Seq;

use super::{Difference, READ_BYTES, READ_EVENTS, Report, VerifyError, subject};
use crate::journal::JournalReader;
use crate::projector::{entry, next_seq};
use crate::store::mend::{Mend, Mended, Mending, Subject};
use crate::store::redis::Redis;
use crate::store::{Batch, Entry, Projection as _, ProjectionError};

/// Things whose events are in memory at once; the log is read through once for each so many.
const READ_AT_ONCE: usize = 20_000;
/// Things made anew in one transaction, which keeps the live projection waiting.
const MENDED_AT_ONCE: usize = 500;
/// How long a transaction is tried again because the store came further than the log was read: on a busy machine the live
/// projection may be quicker a hundred times in turn.
const TRYING: Duration = Duration::from_secs(60);

/// What a repair did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Repair {
    /// The differences that it was for.
    pub differences: u64,
    /// The first of them.
    pub shown: Vec<Difference>,
    /// What was made anew.
    #[serde(flatten)]
    pub mended: Mended,
    /// The full-text index was not what the rows say, and was made anew.
    pub index: bool,
}

impl Repair {
    fn of(report: &Report) -> Result<Repair, VerifyError> {
        match &report.misplaced {
            Some(what) => Err(VerifyError::Unrepairable(what.clone())),
            None => Ok(Repair {
                differences: report.differences,
                shown: report.shown.clone(),
                ..Repair::default()
            }),
        }
    }
}

/// Makes anew what a check of a SQL store found, and leaves what the store may have the only copy of.
pub async fn repair<P: Mend>(
    journal: &JournalReader,
    projection: &mut P,
    report: &Report,
) -> Result<Repair, VerifyError> {
    let mut repair = Repair::of(report)?;
    let subjects: Vec<Subject> = report.subjects.iter().copied().collect();
    for part in subjects.chunks(READ_AT_ONCE) {
        let mut known = Known::new(journal, part).await?;
        for some in part.chunks(MENDED_AT_ONCE) {
            let mended = known.mend(journal, projection, some).await?;
            repair.mended.things += mended.things;
            repair.mended.events += mended.events;
            repair.mended.left += mended.left;
        }
    }
    repair.index = projection.settle().await?;
    Ok(repair)
}

/// Makes anew the channels of a cache in which a check found something.
pub async fn repair_cache(
    journal: &JournalReader,
    redis: &mut Redis,
    report: &Report,
) -> Result<Repair, VerifyError> {
    let mut repair = Repair::of(report)?;
    let peers: BTreeSet<i64> = report.subjects.iter().map(|it| it.peer_id).collect();
    if peers.is_empty() {
        return Ok(repair);
    }
    for peer in &peers {
        redis.forget_peer(*peer).await?;
    }
    repair.mended.things = peers.len() as u64;
    // Read after the last of them was taken out: what is behind it comes by itself.
    let until = redis.checkpoint().await?.map_or(0, |it| it.seq.get());
    let mut at = first(journal).await? - 1;
    while at < until {
        let next = journal.range(next_seq(at), until, READ_EVENTS, READ_BYTES);
        let records = next.await?;
        let Some(last) = records.last() else { break };
        at = last.header().seq.get();
        let entries: Vec<Entry> = records
            .iter()
            .filter(|record| peers.contains(&subject::of_header(record.header()).peer_id))
            .map(entry)
            .filter(|entry| matches!(entry, Entry::Event(_)))
            .collect();
        if !entries.is_empty() {
            repair.mended.events += entries.len() as u64;
            redis.apply(&Batch::partial(entries)).await?;
        }
    }
    Ok(repair)
}

async fn first(journal: &JournalReader) -> Result<u64, VerifyError> {
    Ok(journal.first().await?.map_or(1, Seq::get))
}

/// What the log knows of some things.
struct Known {
    events: BTreeMap<Subject, Vec<Entry>>,
    lost: Vec<RangeInclusive<u64>>,
    until: u64,
}

impl Known {
    async fn new(journal: &JournalReader, subjects: &[Subject]) -> Result<Known, VerifyError> {
        // Before anything is read: a trim meanwhile makes the reading fail.
        let first = first(journal).await?;
        let holes = journal.holes().await?;
        let holes = holes.iter().map(|it| it.first.get()..=it.last.get());
        let mut known = Known {
            events: subjects.iter().map(|it| (*it, Vec::new())).collect(),
            lost: std::iter::once(1..=first - 1).chain(holes).collect(),
            until: first - 1,
        };
        known.read_on(journal).await?;
        Ok(known)
    }

    /// As far as the tail is now.
    async fn read_on(&mut self, journal: &JournalReader) -> Result<(), VerifyError> {
        let tail = journal.refresh().await?;
        while self.until < tail {
            let next = journal.range(next_seq(self.until), tail, READ_EVENTS, READ_BYTES);
            let records = next.await?;
            for record in &records {
                if let Some(events) = self.events.get_mut(&subject::of_header(record.header())) {
                    // A record that cannot be read makes no row; the quarantine has it.
                    events.extend(Some(entry(record)).filter(|it| matches!(it, Entry::Event(_))));
                }
            }
            // What is left of the range when nothing comes is a hole.
            self.until = records.last().map_or(tail, |it| it.header().seq.get());
        }
        Ok(())
    }

    async fn mend<P: Mend>(
        &mut self,
        journal: &JournalReader,
        projection: &mut P,
        subjects: &[Subject],
    ) -> Result<Mended, VerifyError> {
        let until = Instant::now() + TRYING;
        loop {
            let events = |it: &Subject| (*it, self.events.get(it).cloned().unwrap_or_default());
            let mending = Mending {
                identity: journal.identity(),
                subjects: subjects.iter().map(events).collect(),
                until: self.until,
                lost: self.lost.clone(),
            };
            match projection.mend(&mending).await {
                Err(ProjectionError::CheckpointMoved { .. }) if Instant::now() < until => {
                    self.read_on(journal).await?;
                }
                mended => return Ok(mended?),
            }
        }
    }
}
