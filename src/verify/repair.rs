//! Repair: what a check found, made anew from the log.
//!
//! Only the things that the differing rows are about are touched: all rows about one are taken out and all its events
//! applied, in one transaction of the store (`store::mend`). A cache has no such transactions and needs none: what it
//! lacks meanwhile is a miss.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Serialize;
use wal::Seq;

use super::{Difference, READ_BYTES, READ_EVENTS, Report, VerifyError, subject};
use crate::journal::JournalReader;
use crate::projector::{entry, next_seq};
use crate::store::mend::{Known, Mend, Mended, Mending, Subject};
use crate::store::redis::Redis;
use crate::store::{Batch, Entry, Projection as _};

/// Things whose events are in memory at once; the log is read through once for each so many.
const READ_AT_ONCE: usize = 20_000;
/// Things made anew in one transaction, which keeps the live projection waiting.
const MENDED_AT_ONCE: usize = 500;
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
        // Before anything is read: a trim meanwhile makes the reading fail.
        let first = first(journal).await?;
        let lost = lost(journal, first).await?;
        let mut known = Events::new(journal, part, first);
        known.read_on().await?;
        for subjects in part.chunks(MENDED_AT_ONCE) {
            let mending = Mending {
                identity: journal.identity(),
                subjects,
                lost: &lost,
            };
            let mended = projection.mend(mending, &mut known).await?;
            repair.mended.things += mended.things;
            repair.mended.events += mended.events;
            repair.mended.left += mended.left;
        }
    }
    repair.index = projection.settle().await?;
    Ok(repair)
}

/// Makes anew the messages and names of a cache in which a check found something.
pub async fn repair_cache(
    journal: &JournalReader,
    redis: &mut Redis,
    report: &Report,
) -> Result<Repair, VerifyError> {
    let mut repair = Repair::of(report)?;
    if report.subjects.is_empty() {
        return Ok(repair);
    }
    let subjects: Vec<Subject> = report.subjects.iter().copied().collect();
    redis.take_out(&subjects).await?;
    repair.mended.things = subjects.len() as u64;
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
            .filter(|record| {
                let subject = subject::of_header(record.header());
                report.subjects.contains(&subject)
            })
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

/// Numbers that the log can never give again, where it begins with `first`.
async fn lost(
    journal: &JournalReader,
    first: u64,
) -> Result<Vec<RangeInclusive<u64>>, VerifyError> {
    let holes = journal.holes().await?;
    let holes = holes.iter().map(|it| it.first.get()..=it.last.get());
    Ok(std::iter::once(1..=first - 1).chain(holes).collect())
}

/// What the log has about some things, as far as it was read.
struct Events<'a> {
    journal: &'a JournalReader,
    about: BTreeMap<Subject, Vec<Entry>>,
    until: u64,
}

impl<'a> Events<'a> {
    /// Nothing is read yet.
    fn new(journal: &'a JournalReader, subjects: &[Subject], first: u64) -> Events<'a> {
        Events {
            journal,
            about: subjects.iter().map(|it| (*it, Vec::new())).collect(),
            until: first - 1,
        }
    }

    /// As far as the tail is now.
    async fn read_on(&mut self) -> Result<(), VerifyError> {
        let tail = self.journal.refresh().await?;
        while self.until < tail {
            let from = next_seq(self.until);
            let records = self.journal.range(from, tail, READ_EVENTS, READ_BYTES);
            let records = records.await?;
            for record in &records {
                if let Some(events) = self.about.get_mut(&subject::of_header(record.header())) {
                    // A record that cannot be read makes no row; the quarantine has it.
                    events.extend(Some(entry(record)).filter(|it| matches!(it, Entry::Event(_))));
                }
            }
            // What is left of the range when nothing comes is a hole.
            self.until = records.last().map_or(tail, |it| it.header().seq.get());
        }
        Ok(())
    }
}

impl Known for Events<'_> {
    type Error = VerifyError;

    async fn events(
        &mut self,
        subjects: &[Subject],
        until: u64,
    ) -> Result<Vec<Entry>, VerifyError> {
        if self.until < until {
            self.read_on().await?;
        }
        if self.until < until {
            return Err(VerifyError::Unrepairable(format!(
                "is at {until}, the log ends at {}",
                self.until
            )));
        }
        let about = subjects.iter().filter_map(|it| self.about.get(it));
        let about = about.flatten().filter(|it| it.seq().get() <= until);
        let mut events: Vec<Entry> = about.cloned().collect();
        events.sort_by_key(Entry::seq);
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Event, Origin, PeerId, Timestamp};

    const PEER: i64 = -1_000_000_000_007;

    fn append(log: &mut wal::Log, message_id: i64) {
        let event = Event {
            peer: Some(PeerId::from_marked(PEER).expect("a channel")),
            origin: Origin::Synthetic,
            stamp: 0,
            body: Body::Pinned {
                message_id,
                pinned: true,
            },
            raw: None,
        };
        let record = event.to_record(Timestamp::from_seconds(1)).expect("small");
        let batch = wal::Batch {
            records: vec![wal::NewRecord {
                key: None,
                ..record
            }],
            ..wal::Batch::default()
        };
        log.append(&batch).expect("durable");
    }

    /// A live projection may be further than the log was read, each time that its store is locked.
    #[tokio::test]
    async fn the_log_is_read_on_as_far_as_a_locked_store_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(crate::journal::LOG_DIR);
        let mut log = wal::Log::open(&path, wal::Options::default()).expect("new");
        for message_id in [1, 2, 3] {
            append(&mut log, message_id);
        }
        let journal = JournalReader::open(dir.path()).expect("a log");
        let subjects = [1, 2].map(|message_id| Subject {
            peer_id: PEER,
            message_id,
        });
        let mut events = Events::new(&journal, &subjects, 1);
        events.read_on().await.expect("read");
        append(&mut log, 2);
        for (until, expected) in [(5, None), (4, Some(vec![1, 2, 4])), (2, Some(vec![1, 2]))] {
            let found = events.events(&subjects, until).await.ok();
            let seqs = |it: Vec<Entry>| it.iter().map(|it| it.seq().get()).collect();
            assert_eq!(found.map(seqs), expected, "{until}");
        }
        let some = events.events(&subjects[..1], 4).await.expect("read");
        assert_eq!(some.len(), 1);
    }
}
