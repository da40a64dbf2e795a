//! What can go wrong with the log, as the rest of the house sees it.

use std::io;

use crate::failure::{Class, Classify, Exit};

/// Why the journal could not answer.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The log could not be opened.
    #[error("cannot open the log")]
    Open(#[source] wal::OpenError),
    /// The batch could not be made durable.
    #[error("cannot append to the log")]
    Append(#[source] wal::AppendError),
    /// Records could not be read.
    #[error("cannot read the log")]
    Read(#[source] wal::ReadError),
    /// The log is being opened again after an I/O error.
    #[error("the log is being opened again after an I/O error")]
    Reopening,
    /// The journal has stopped.
    #[error("the journal has stopped")]
    Closed,
    /// The writer thread could not be started.
    #[error("cannot start the journal's thread")]
    Thread(#[source] io::Error),
    /// The daemon that holds the log could not be spoken to.
    #[error("cannot speak to the daemon through {path}")]
    Socket {
        /// Its socket.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The daemon that holds the log could not append.
    #[error("the daemon could not append: {0}")]
    Remote(String),
}

impl Classify for JournalError {
    fn class(&self) -> Class {
        use wal::{AppendError as A, ReadError as R};
        match self {
            JournalError::Open(error) => open_class(error),
            JournalError::Append(error) => match error {
                A::Poisoned => Class::Transient,
                A::Disk { source, .. } => disk_class(source),
                A::Structure(_) => Class::Corrupt,
                A::PayloadTooLarge { .. }
                | A::KeyTooLong { .. }
                | A::NameTooLong { .. }
                | A::BookmarkTooLarge { .. }
                | A::CursorPastTail { .. }
                | A::NumbersExhausted => Class::Bug,
            },
            JournalError::Read(error) => match error {
                R::Trimmed { .. } => Class::Operator,
                R::Damaged { .. } | R::Misplaced { .. } | R::Missing { .. } => Class::Corrupt,
                R::Disk { source, .. } => disk_class(source),
                R::Open(error) => open_class(error),
            },
            JournalError::Reopening | JournalError::Remote(_) => Class::Transient,
            JournalError::Closed => Class::Bug,
            JournalError::Thread(_) => Class::Operator,
            JournalError::Socket { source, .. } => crate::failure::io_class(source),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            JournalError::Open(wal::OpenError::Locked { .. }) => {
                Some("stop the other process, or give this one its own --data-dir".to_owned())
            }
            JournalError::Read(wal::ReadError::Trimmed { first }) => Some(format!(
                "start at the oldest number that is kept: --from {first}"
            )),
            JournalError::Open(wal::OpenError::NotALog { dir }) => Some(format!(
                "no log is in {dir} yet: `run`, `import` or `demo` makes one; or give its --data-dir"
            )),
            _ if self.class() == Class::Corrupt => Some("telegram-gateway verify log".to_owned()),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            JournalError::Open(wal::OpenError::Locked { .. }) => Exit::Locked,
            _ => match self.class() {
                Class::Corrupt => Exit::Data,
                _ => Exit::Failure,
            },
        }
    }
}

fn open_class(error: &wal::OpenError) -> Class {
    use wal::OpenError as O;
    match error {
        O::Locked { .. } | O::NotALog { .. } | O::TooNew { .. } | O::Foreign { .. } => {
            Class::Operator
        }
        O::Disk { source, .. } => disk_class(source),
        O::BeingRepaired { .. } => Class::Transient,
        O::BadFile { .. }
        | O::SegmentMissing { .. }
        | O::SegmentMisplaced { .. }
        | O::ChainBroken { .. } => Class::Corrupt,
    }
}

fn disk_class(error: &wal::DiskError) -> Class {
    match error {
        wal::DiskError::Full(_) | wal::DiskError::Io(_) => Class::Operator,
        wal::DiskError::Engine(_) | wal::DiskError::Panicked { .. } => Class::Corrupt,
    }
}
