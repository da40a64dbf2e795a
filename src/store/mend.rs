//! Making things of a store anew from the log: the part of `verify --repair` that is the stores'.
//!
//! The guards of `apply` keep what a store has against older numbers, so a row that was changed under its own number is
//! not put right by applying its events again. So all rows about a thing are taken out, and all that the log has about
//! it is applied, in one transaction: readers see the thing as it was or as it should be. No checkpoint moves. What is
//! applied ends at the store's checkpoint, whatever that has become meanwhile, so the store stays the fold of the log.

use std::collections::BTreeMap;
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
#[derive(Debug, Clone, Copy)]
pub struct Mending<'a> {
    /// The log that knows them.
    pub identity: Identity,
    /// What they are.
    pub subjects: &'a [Subject],
    /// Numbers that the log can never give again: a thing with anything of those is left as it is.
    pub lost: &'a [RangeInclusive<u64>],
}

/// The log, as far as a store asks it while it makes things anew.
pub trait Known: Send {
    /// Why it cannot say, or why the store could not.
    type Error: From<ProjectionError> + Send;
    /// All events about things, of numbers up to `until`, where the store is. It is asked while the store's writer's lock is
    /// held: had the log been read before, a live projection could be further than that each time.
    fn events(
        &mut self,
        subjects: &[Subject],
        until: u64,
    ) -> impl Future<Output = Result<Vec<Entry>, Self::Error>> + Send;
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
    /// Makes them anew in one transaction.
    fn mend<K: Known>(
        &mut self,
        mending: Mending<'_>,
        known: &mut K,
    ) -> impl Future<Output = Result<Mended, K::Error>> + Send;
    /// Puts right what is kept beside the rows and follows from them; whether there was need.
    fn settle(&mut self) -> impl Future<Output = Result<bool, ProjectionError>> + Send;
}

impl Mending<'_> {
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
        Ok(u64::try_from(stored.seq).unwrap_or(0))
    }

    /// The things of which the store has nothing that the log cannot give again, by the numbers in their rows.
    pub(super) fn whole(&self, seqs: &BTreeMap<Subject, Vec<i64>>) -> Vec<Subject> {
        let is_whole = |it: &&Subject| seqs.get(it).is_none_or(|seqs| !self.lose_any(seqs));
        self.subjects.iter().filter(is_whole).copied().collect()
    }

    fn lose_any(&self, seqs: &[i64]) -> bool {
        let is_lost = |seq: u64| self.lost.iter().any(|range| range.contains(&seq));
        let mut seqs = seqs.iter().filter_map(|seq| u64::try_from(*seq).ok());
        seqs.any(is_lost)
    }

    /// What has been done.
    pub(super) fn done(&self, whole: &[Subject], batch: &Batch) -> Mended {
        Mended {
            things: whole.len() as u64,
            events: batch.entries.len() as u64,
            left: (self.subjects.len() - whole.len()) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use wal::LogId;

    fn subject(message_id: i64) -> Subject {
        Subject {
            peer_id: 5,
            message_id,
        }
    }

    const MENDING: Mending<'static> = Mending {
        identity: Identity {
            log_id: LogId([7; 16]),
            epoch: 2,
        },
        subjects: &[],
        lost: &[1..=2, 6..=7],
    };

    #[test]
    fn it_ends_at_the_stores_checkpoint_if_that_is_of_this_log() {
        let stored = |epoch, seq| StoredCheckpoint {
            log_id: MENDING.identity.log_id.to_string(),
            epoch,
            seq,
            updated_at: Timestamp::from_seconds(0),
        };
        let reach = |stored: &StoredCheckpoint| MENDING.reach(ProjectionName::Sqlite, Some(stored));
        assert_eq!(reach(&stored(2, 10)).expect("of this epoch"), 10);
        assert_eq!(reach(&stored(1, 4)).expect("of an epoch before"), 4);
        let other = StoredCheckpoint {
            log_id: "other".to_owned(),
            ..stored(2, 4)
        };
        for of_none in [stored(3, 4), other] {
            let refused = reach(&of_none);
            assert!(matches!(refused, Err(ProjectionError::OtherLog { .. })));
        }
    }

    #[test]
    fn what_has_anything_that_the_log_cannot_give_again_is_left() {
        let subjects: Vec<Subject> = (1..=6).map(subject).collect();
        let seqs = [vec![3, -1], vec![3, 2], vec![], vec![0, 8], vec![6]];
        let seqs: BTreeMap<Subject, Vec<i64>> = subjects.iter().copied().zip(seqs).collect();
        let mending = Mending {
            subjects: &subjects,
            ..MENDING
        };
        let whole = mending.whole(&seqs);
        assert_eq!(whole, [1, 3, 4, 6].map(subject));
        let done = mending.done(&whole, &Batch::partial(Vec::new()));
        assert_eq!((done.things, done.left), (4, 2));
    }
}
