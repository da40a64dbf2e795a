//! What goes into one append and what comes out of it.

use std::time::Duration;

use crate::error::AppendError;
use crate::frame::{KEY_BYTES_MAX, NewRecord, PAYLOAD_BYTES_MAX};
use crate::seq::Seq;

/// Most bytes the name of a bookmark or a cursor may have.
pub const NAME_BYTES_MAX: usize = 256;
/// Most bytes one bookmark may hold: 1 MiB. All bookmarks are copied into every new segment.
pub const BOOKMARK_BYTES_MAX: usize = 1 << 20;

/// What is committed together: all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order in which they are to be numbered.
    pub records: Vec<NewRecord>,
    /// Source positions that cover the records; a later value of the same name replaces.
    pub bookmarks: Vec<(String, Vec<u8>)>,
    /// Positions of readers of this log. Forward only: a lower value than the stored one is
    /// ignored. A value past the tail (counting the records of this batch) is an error.
    pub cursors: Vec<(String, Seq)>,
}

/// What became of one record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Stored under this number.
    Appended(Seq),
    /// Its key was already there, under this number; nothing was stored.
    Duplicate(Seq),
}

/// The durable result of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// One per record of the batch, in its order.
    pub outcomes: Vec<Outcome>,
    /// The highest number given out, `None` while the log is empty.
    pub tail: Option<Seq>,
    /// How long sealing the full segment and starting the next took, if this append did.
    pub rolled: Option<Duration>,
}

/// Refuses what breaks a limit, before anything is written. `tail` is the tail before the batch.
pub(crate) fn check(batch: &Batch, tail: u64) -> Result<(), AppendError> {
    for (index, record) in batch.records.iter().enumerate() {
        let bytes = record.payload.len();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(AppendError::PayloadTooLarge { index, bytes });
        }
        let bytes = record.key.as_ref().map_or(0, Vec::len);
        if bytes > KEY_BYTES_MAX {
            return Err(AppendError::KeyTooLong { index, bytes });
        }
    }
    let names = batch.bookmarks.iter().map(|(name, _)| name);
    for name in names.chain(batch.cursors.iter().map(|(name, _)| name)) {
        if name.len() > NAME_BYTES_MAX {
            return Err(AppendError::NameTooLong { bytes: name.len() });
        }
    }
    for (name, value) in &batch.bookmarks {
        if value.len() > BOOKMARK_BYTES_MAX {
            return Err(AppendError::BookmarkTooLarge {
                name: name.clone(),
                bytes: value.len(),
            });
        }
    }
    if tail.checked_add(batch.records.len() as u64 + 1).is_none() {
        return Err(AppendError::NumbersExhausted);
    }
    Ok(())
}
