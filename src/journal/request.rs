//! What waits for the writer thread.

use std::path::PathBuf;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wal::{Archiver, Batch, Compacted, HEADER_LEN, Hole, Outcome, Salvaged, SegmentInfo, Seq};

use super::sources::Given;
use super::{Append, JournalError};

/// What goes to the one writer.
pub(super) enum Request {
    /// Records to make durable.
    Append(Queued),
    /// Anything else that changes the log.
    Job(Job, oneshot::Sender<Result<Done, JournalError>>),
}

/// An append with the place where its answer is awaited.
pub(super) struct Queued {
    pub(super) append: Append,
    pub(super) reply: oneshot::Sender<Result<Vec<Outcome>, JournalError>>,
    /// Room in the queue, given back when the request is answered.
    pub(super) _room: OwnedSemaphorePermit,
}

/// What the writer can do beside appending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Seal the active segment; nothing happens to an empty one.
    Seal,
    /// Remove the sealed segments that lie wholly below a number. The caller has made sure that nobody needs them.
    Trim {
        /// The first number to keep.
        keep_from: Seq,
    },
    /// Write a sealed segment anew without the space that its appends left unused.
    Compact {
        /// The number that the segment starts with.
        first: Seq,
    },
    /// Replace a sealed segment by what can still be read of it.
    Salvage {
        /// The number that the segment starts with.
        first: Seq,
        /// Directories of containers that may have what cannot be read.
        from: Vec<PathBuf>,
    },
    /// Say what writes segments into the archive beside the writer.
    Archiver,
    /// Skip all numbers up to this one, and start a new epoch behind it.
    Fence {
        /// The number.
        to: Seq,
    },
}

/// What became of a [`Job`].
#[derive(Debug, Clone)]
pub enum Done {
    /// The active segment is sealed, or was empty.
    Sealed,
    /// These segments are gone.
    Trimmed(Vec<SegmentInfo>),
    /// The segment takes less room, or as much as before.
    Compacted(Compacted),
    /// What came of the segment, and what each directory gave.
    Salvaged(Salvaged, Vec<Given>),
    /// What writes into the archive; none where none is configured.
    Archiver(Option<Archiver>),
    /// The numbers that are skipped; none when the log was past them.
    Fenced(Option<Hole>),
}

/// Answers each append of a group with its own outcomes.
pub(super) fn answer(group: Vec<Queued>, outcomes: Vec<Outcome>) {
    let mut outcomes = outcomes.into_iter();
    for request in group {
        let own = outcomes
            .by_ref()
            .take(request.append.records.len())
            .collect();
        // The asker may have gone; the events are durable all the same.
        let _ = request.reply.send(Ok(own));
    }
}

/// One batch of a group of appends.
pub(super) fn merge(group: &[Queued]) -> Batch {
    let mut batch = Batch::default();
    for Queued { append, .. } in group {
        batch.records.extend(append.records.iter().cloned());
        batch.bookmarks.extend(append.bookmarks.iter().cloned());
        batch.cursors.extend(append.cursors.iter().cloned());
    }
    batch
}

/// Record bytes of what was appended.
pub(super) fn appended_bytes(batch: &Batch, outcomes: &[Outcome]) -> u64 {
    let pairs = batch.records.iter().zip(outcomes);
    let new = pairs.filter(|(_, outcome)| matches!(outcome, Outcome::Appended(_)));
    new.map(|(record, _)| (HEADER_LEN + record.payload.len()) as u64)
        .sum()
}

/// The batch to append again when the first attempt failed and yet turned out to be durable: without the records that
/// have no key, since nothing would recognise those.
pub(super) fn with_keys_only(batch: &Batch) -> Batch {
    let mut again = batch.clone();
    again.records.retain(|record| record.key.is_some());
    again
}

/// The outcomes of an attempt that failed and yet was durable. A batch is there as a whole or not at all, and its new
/// records have the numbers that follow `before`, in order; `keyed` are the outcomes of its records with a key when
/// they were appended again.
pub(super) fn outcomes_of_durable(batch: &Batch, keyed: &[Outcome], before: u64) -> Vec<Outcome> {
    let mut keyed = keyed.iter();
    let mut next = before + 1;
    let mut outcomes = Vec::with_capacity(batch.records.len());
    for record in &batch.records {
        let known = record.key.as_ref().and_then(|_| keyed.next());
        outcomes.push(match known {
            Some(Outcome::Duplicate(seq) | Outcome::Appended(seq)) if seq.get() != next => {
                Outcome::Duplicate(*seq)
            }
            _ => {
                let seq = Seq::new(next).unwrap_or(Seq::FIRST);
                next += 1;
                Outcome::Appended(seq)
            }
        });
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;
    use wal::NewRecord;

    fn record(key: Option<u8>) -> NewRecord {
        NewRecord {
            codec: 0,
            flags: 0,
            kind: 0,
            peer_kind: 0,
            peer_id: 0,
            message_id: 0,
            received_at: 0,
            source_at: 0,
            payload: vec![7],
            key: key.map(|key| vec![key]),
        }
    }

    #[test]
    fn a_failed_append_that_was_durable_is_answered_as_it_would_have_been() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut log = wal::Log::open(dir.path(), wal::Options::default()).expect("a log");
        let known = Batch {
            records: vec![record(Some(1)), record(Some(2))],
            ..Batch::default()
        };
        let before = log
            .append(&known)
            .expect("durable")
            .tail
            .map_or(0, Seq::get);
        // Known, without key, new, the same again, without key, known.
        let keys = [Some(2), None, Some(3), Some(3), None, Some(1)];
        let batch = Batch {
            records: keys.into_iter().map(record).collect(),
            ..Batch::default()
        };
        let first = log.append(&batch).expect("durable").outcomes;
        let again = log.append(&with_keys_only(&batch)).expect("durable");
        assert_eq!(again.tail, Seq::new(5), "nothing is appended twice");
        assert_eq!(outcomes_of_durable(&batch, &again.outcomes, before), first);
    }
}
