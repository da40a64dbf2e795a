//! Making things of a store anew from the log: the part of `verify --repair` that is the stores'.
//!
//! The guards of `apply` keep what a store has against older numbers, so a row that was changed under its own number is
//! not put right by applying its events again. So all rows about a thing are taken out, and all that the log has about
//! it is applied, in one transaction: readers see the thing as it was or as it should be. No checkpoint moves. What is
//! applied ends at the store's checkpoint, whatever that has become meanwhile, so the store stays the fold of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::ops::RangeInclusive;

use wal::Identity;

use super::sql::StoredCheckpoint;
use super::{Batch, Entry, Inspect, ProjectionError, ProjectionName};

/// What rows are about: a message; or a channel as such, with its names and gaps, where `message_id` is 0. Peer 0 has
/// the gaps that are of no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The peer, in the marked form.
    pub peer_id: i64,
    /// The message, or 0.
    pub message_id: i64,
}

impl Subject {
    /// Whether it is a message.
    pub fn is_message(self) -> bool {
        self.message_id != 0
    }
}

/// Things to make anew.
#[derive(Debug, Clone)]
pub struct Mending {
    /// The log that knows them.
    pub identity: Identity,
    /// The events about each of them, of all numbers up to `until`.
    pub subjects: BTreeMap<Subject, Vec<Entry>>,
    /// Up to where the log was read.
    pub until: u64,
    /// Numbers that the log can never give again: a thing with anything of those is left as it is.
    pub lost: Vec<RangeInclusive<u64>>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Mended {
    /// Things that were made anew.
    pub things: u64,
    /// Events that were applied for that.
    pub events: u64,
    /// Things that were left, since the store may have the only copy of something of them.
    pub left: u64,
}

/// A projection in whose rows things can be made anew.
pub trait Mend: Inspect {
    /// Makes them anew in one transaction. `CheckpointMoved` when the store has come further than the log was read.
    fn mend(
        &mut self,
        mending: &Mending,
    ) -> impl Future<Output = Result<Mended, ProjectionError>> + Send;
    /// Puts right what is kept beside the rows and follows from them; whether there was need.
    fn settle(&mut self) -> impl Future<Output = Result<bool, ProjectionError>> + Send;
}

impl Mending {
    /// The number at which the store is, whose writer's lock is held.
    pub(super) fn reach(
        &self,
        projection: ProjectionName,
        stored: Option<&StoredCheckpoint>,
    ) -> Result<u64, ProjectionError> {
        let Some(stored) = stored else { return Ok(0) };
        if stored.log_id != self.identity.log_id.to_string()
            || stored.epoch > i64::from(self.identity.epoch)
        {
            return Err(ProjectionError::OtherLog {
                projection,
                found: stored.identity(),
                ours: format!("{} epoch {}", self.identity.log_id, self.identity.epoch),
            });
        }
        let found = u64::try_from(stored.seq).unwrap_or(0);
        if found > self.until {
            return Err(ProjectionError::CheckpointMoved {
                projection,
                found,
                after: self.until,
            });
        }
        Ok(found)
    }

    /// Whether a number in a row is one that the log can never give again.
    pub(super) fn is_lost(&self, seq: i64) -> bool {
        u64::try_from(seq).is_ok_and(|seq| self.lost.iter().any(|range| range.contains(&seq)))
    }

    /// What is to be applied up to the store's checkpoint, but for the things that are left.
    pub(super) fn batch(&self, left: &BTreeSet<Subject>, until: u64) -> Batch {
        let subjects = self.subjects.iter();
        let mut entries: Vec<Entry> = subjects
            .filter(|(subject, _)| !left.contains(subject))
            .flat_map(|(_, entries)| entries)
            .filter(|entry| entry.seq().get() <= until)
            .cloned()
            .collect();
        entries.sort_by_key(Entry::seq);
        Batch::partial(entries)
    }

    /// What has been done.
    pub(super) fn done(&self, left: &BTreeSet<Subject>, batch: &Batch) -> Mended {
        Mended {
            things: (self.subjects.len() - left.len()) as u64,
            events: batch.entries.len() as u64,
            left: left.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use crate::store::Poison;
    use wal::{LogId, Seq};

    fn entry(seq: u64) -> Entry {
        Entry::Poison(Poison {
            seq: Seq::new(seq).expect("from 1"),
            kind: 1,
            received_at: Timestamp::from_seconds(0),
            reason: String::new(),
            raw: Vec::new(),
        })
    }

    fn subject(message_id: i64) -> Subject {
        Subject {
            peer_id: 5,
            message_id,
        }
    }

    fn mending() -> Mending {
        Mending {
            identity: Identity {
                log_id: LogId([7; 16]),
                epoch: 2,
            },
            subjects: BTreeMap::from([
                (subject(1), vec![entry(3), entry(9)]),
                (subject(2), vec![entry(4)]),
                (subject(3), Vec::new()),
            ]),
            until: 10,
            lost: vec![1..=2, 6..=7],
        }
    }

    fn stored(epoch: i64, seq: i64) -> StoredCheckpoint {
        StoredCheckpoint {
            log_id: mending().identity.log_id.to_string(),
            epoch,
            seq,
            updated_at: Timestamp::from_seconds(0),
        }
    }

    #[test]
    fn it_ends_at_the_stores_checkpoint_and_never_behind_what_was_read() {
        let mending = mending();
        let reach = |stored: &StoredCheckpoint| mending.reach(ProjectionName::Sqlite, Some(stored));
        assert_eq!(reach(&stored(2, 10)).expect("as far as was read"), 10);
        assert_eq!(reach(&stored(1, 4)).expect("of an epoch before"), 4);
        assert!(matches!(
            reach(&stored(2, 11)),
            Err(ProjectionError::CheckpointMoved { found: 11, .. })
        ));
        assert!(matches!(
            reach(&stored(3, 4)),
            Err(ProjectionError::OtherLog { .. })
        ));
        let other = StoredCheckpoint {
            log_id: "other".to_owned(),
            ..stored(2, 4)
        };
        assert!(matches!(
            reach(&other),
            Err(ProjectionError::OtherLog { .. })
        ));
        let seqs = |left: &[Subject], until| {
            let left = left.iter().copied().collect();
            let batch = mending.batch(&left, until);
            assert!(batch.checkpoint.is_none(), "no checkpoint moves");
            let done = mending.done(&left, &batch);
            assert_eq!(done.things + done.left, 3);
            let entries = batch.entries.iter();
            entries.map(|entry| entry.seq().get()).collect::<Vec<u64>>()
        };
        assert_eq!(seqs(&[], 10), [3, 4, 9]);
        assert_eq!(seqs(&[], 8), [3, 4]);
        assert_eq!(seqs(&[subject(1)], 10), [4]);
    }

    #[test]
    fn what_the_log_cannot_give_again_is_told() {
        let lost: Vec<i64> = (-1..12).filter(|seq| mending().is_lost(*seq)).collect();
        assert_eq!(lost, [1, 2, 6, 7]);
    }
}
