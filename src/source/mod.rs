//! Sources: where events come from. One normaliser per source; from here on all events look alike.
//!
//! | file | what |
//! |---|---|
//! | `script` | plays JSON lines from a file (tests, demonstrations) |
//! | `synthetic` | makes channels and load from a seed (demo, bench) |
//! | `import` | reads export files: Telegram Desktop, Telethon |
//! | `telegram` | the live source: Telegram itself |

pub mod import;
pub mod script;
pub mod synthetic;
pub mod telegram;

use std::future::Future;

use crate::event::{Event, Timestamp};
use crate::failure::{Class, Classify, Exit};

/// Events that are appended together, with the source's new position: all of it is durable, or nothing (I2).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceBatch {
    /// The events in order. At most 10,000.
    pub events: Vec<Event>,
    /// When they were due, for sources with a schedule: latencies are counted from it even if the source was late, so
    /// that a stall is not left out of the statistics. None: now.
    pub due_at: Option<Timestamp>,
    /// The source's position after these events, by name of the box.
    pub bookmarks: Vec<(String, Vec<u8>)>,
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
}

impl Classify for SourceError {
    fn class(&self) -> Class {
        match self {
            SourceError::Io { .. } => Class::Operator,
            SourceError::Input { .. } => Class::Corrupt,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            SourceError::Io { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Exit::Auth
            }
            SourceError::Io { .. } => Exit::Failure,
            SourceError::Input { .. } => Exit::Data,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            SourceError::Io { .. } => None,
            SourceError::Input { hint, .. } => hint.clone(),
        }
    }
}

/// A source of events.
pub trait Source: Send {
    /// The next batch, or none when the source is exhausted. Cancel safe: a batch is either returned or kept.
    fn next(&mut self) -> impl Future<Output = Result<Option<SourceBatch>, SourceError>> + Send;
}
