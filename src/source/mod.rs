//! Sources: where events come from. One normaliser per source; from here on all events look alike.
//!
//! | file | what |
//! |---|---|
//! | `script` | plays JSON lines from a file (tests, demonstrations) |
//! | `synthetic` | makes channels and load from a seed (demo, bench) |
//! | `import` | reads export files: Telegram Desktop, Telethon |
//! | `telegram` | the live source: Telegram itself |
//! | `actions` | the words for service actions |

mod actions;
pub mod import;
pub mod script;
pub mod synthetic;
pub mod telegram;

use std::future::Future;

use crate::event::{Event, Timestamp};
use crate::failure::{Class, Classify, Exit};

/// Events in one append at most: the log's other readers hold one in memory.
pub const BATCH_EVENTS_MAX: usize = 10_000;

/// Events that are appended together, with the source's new position: all of it is durable, or nothing (I2).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceBatch {
    /// The events in order. At most [`BATCH_EVENTS_MAX`].
    pub events: Vec<Event>,
    /// When they were due, for sources with a schedule: latencies are counted from it even if the source was late, so
    /// that a stall is not left out of the statistics. None: now.
    pub due_at: Option<Timestamp>,
    /// The source's position after these events, by name of the box.
    pub bookmarks: Vec<(String, Vec<u8>)>,
}

impl SourceBatch {
    /// What has to be appended, in appends that are not too large. The position comes with the last of them, so that a
    /// stop in between makes the source give all of them again: events with keys are in the log once all the same.
    pub fn parts(mut self) -> impl Iterator<Item = SourceBatch> {
        let mut is_over = self.events.is_empty() && self.bookmarks.is_empty();
        std::iter::from_fn(move || {
            if is_over {
                return None;
            }
            if self.events.len() <= BATCH_EVENTS_MAX {
                is_over = true;
                return Some(std::mem::take(&mut self));
            }
            let rest = self.events.split_off(BATCH_EVENTS_MAX);
            Some(SourceBatch {
                events: std::mem::replace(&mut self.events, rest),
                due_at: self.due_at,
                bookmarks: Vec::new(),
            })
        })
    }
}

/// Why a source could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file could not be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The input is not what it should be.
    #[error("{path}: {problem} at byte {offset}")]
    Input {
        /// The file.
        path: String,
        /// Where, counted from 0.
        offset: u64,
        /// What is wrong, in words.
        problem: String,
        /// What mends it.
        hint: Option<String>,
    },
    /// A part of the source ended that runs for ever.
    #[error("a part of the source ended: {why}")]
    Ended {
        /// Why, as far as it is known.
        why: String,
    },
}

impl Classify for SourceError {
    fn class(&self) -> Class {
        match self {
            SourceError::Io { .. } => Class::Operator,
            SourceError::Input { .. } => Class::Corrupt,
            SourceError::Ended { .. } => Class::Bug,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            SourceError::Io { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Exit::Auth
            }
            SourceError::Io { .. } | SourceError::Ended { .. } => Exit::Failure,
            SourceError::Input { .. } => Exit::Data,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            SourceError::Io { .. } | SourceError::Ended { .. } => None,
            SourceError::Input { hint, .. } => hint.clone(),
        }
    }
}

/// A source of events.
pub trait Source: Send {
    /// The next batch, or none when the source is exhausted. Cancel safe: a batch is either returned or kept.
    fn next(&mut self) -> impl Future<Output = Result<Option<SourceBatch>, SourceError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Origin};

    fn batch(events: usize, bookmarks: &[&str]) -> SourceBatch {
        let event = |message_id| Event {
            peer: None,
            origin: Origin::Live,
            stamp: 1,
            body: Body::Deleted { message_id },
            raw: None,
        };
        SourceBatch {
            events: (1..).take(events).map(event).collect(),
            due_at: Some(Timestamp::from_seconds(7)),
            bookmarks: bookmarks
                .iter()
                .map(|it| (it.to_string(), vec![1]))
                .collect(),
        }
    }

    #[test]
    fn a_batch_that_is_too_large_comes_in_parts_and_its_position_with_the_last() {
        for (events, expected) in [
            (0, &[0][..]),
            (1, &[1]),
            (10_000, &[10_000]),
            (10_001, &[10_000, 1]),
            (25_000, &[10_000, 10_000, 5_000]),
        ] {
            let parts: Vec<SourceBatch> = batch(events, &["here"]).parts().collect();
            let lengths: Vec<usize> = parts.iter().map(|it| it.events.len()).collect();
            assert_eq!(lengths, expected);
            let (last, before) = parts.split_last().expect("a part at least");
            assert_eq!(last.bookmarks.len(), 1);
            assert!(before.iter().all(|part| part.bookmarks.is_empty()));
            assert!(
                parts
                    .iter()
                    .all(|part| part.due_at == Some(Timestamp::from_seconds(7)))
            );
            let together = parts.into_iter().flat_map(|part| part.events);
            assert!(together.eq(batch(events, &[]).events), "nothing is lost");
        }
        assert_eq!(batch(0, &[]).parts().count(), 0, "nothing to append");
    }
}
