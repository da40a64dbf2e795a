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
        match self {
            JournalError::Open(wal::OpenError::Locked { .. }) => Class::Operator,
            JournalError::Open(_) => Class::Operator,
            JournalError::Append(_) | JournalError::Reopening | JournalError::Remote(_) => {
                Class::Transient
            }
            JournalError::Read(wal::ReadError::Trimmed { .. }) => Class::Operator,
            JournalError::Read(_) => Class::Corrupt,
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
            JournalError::Read(_) => Some("telegram-gateway verify log".to_owned()),
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
