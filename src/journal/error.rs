//! What can go wrong with the log, as the rest of the house sees it.

use std::io;

use super::access;
use super::edge::EdgeError;
use crate::failure::{Class, Classify, Exit};

/// What helps when the segment that is written is damaged.
pub(super) const SALVAGE_WITHOUT_DAEMON: &str =
    "stop the daemon, then: telegram-gateway wal salvage";

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
    /// A segment could not be written anew.
    #[error("cannot write a segment of the log anew")]
    Rewrite(#[source] wal::RewriteError),
    /// The active segment is damaged, which its writer cannot replace.
    #[error("the active segment is damaged, and the daemon cannot replace what it writes")]
    ActiveDamaged,
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
    /// The data directory's path leaves no room for the daemon's socket.
    #[error("{path} is longer than the {max} bytes that the path of a socket may have")]
    PathTooLong {
        /// The socket's path.
        path: String,
        /// The limit.
        max: usize,
    },
    /// The daemon that holds the log could not do what it was asked.
    #[error("the daemon answers: {0}")]
    Remote(String),
    /// The address for projectors elsewhere cannot be taken.
    #[error("cannot listen on {address} for projectors elsewhere")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The log on another machine did not answer.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// The data directory belongs to another user.
    #[error("{path} belongs to another user (id {owner})")]
    Foreign {
        /// The directory.
        path: String,
        /// Its owner.
        owner: u32,
    },
    /// Others may write the data directory.
    #[error("{path} can be written by other users (mode {mode:04o})")]
    Shared {
        /// The directory.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
}

impl JournalError {
    /// Whether the system does not let this user at the files.
    fn is_refused(&self) -> bool {
        let shared = matches!(
            self,
            JournalError::Foreign { .. } | JournalError::Shared { .. }
        );
        shared || self.io_cause().is_some_and(access::is_refusal)
    }

    /// Whether no daemon is there to be spoken to.
    pub fn is_absent(&self) -> bool {
        let JournalError::Socket { source, .. } = self else {
            return false;
        };
        matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
        )
    }

    fn is_read_only(&self) -> bool {
        self.io_cause()
            .is_some_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
    }

    /// What the system said, where that is the cause.
    fn io_cause(&self) -> Option<&io::Error> {
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            if let Some(error) = cause.downcast_ref() {
                return Some(error);
            }
            source = cause.source();
        }
        None
    }
}

impl JournalError {
    /// Whether what was asked for was removed by retention.
    pub fn is_trimmed(&self) -> bool {
        matches!(
            self,
            JournalError::Read(wal::ReadError::Trimmed { .. })
                | JournalError::Edge(EdgeError::Answer { trimmed: true, .. })
        )
    }

    /// Whether the log is on another machine that cannot be reached at the moment.
    pub fn is_away(&self) -> bool {
        matches!(self, JournalError::Edge(EdgeError::Away { .. }))
    }
}

impl Classify for JournalError {
    fn class(&self) -> Class {
        use wal::ReadError as R;
        match self {
            JournalError::Open(error) => open_class(error),
            JournalError::Append(error) => append_class(error),
            JournalError::Read(error) => match error {
                R::Trimmed { .. } => Class::Operator,
                R::Damaged { .. }
                | R::Misplaced { .. }
                | R::Unreadable { .. }
                | R::Container { .. }
                | R::Missing { .. } => Class::Corrupt,
                R::Disk { source, .. } => disk_class(source),
                R::Open(error) => open_class(error),
            },
            JournalError::Rewrite(error) => match error {
                wal::RewriteError::Poisoned => Class::Transient,
                wal::RewriteError::NotSealed { .. } => Class::Operator,
                wal::RewriteError::Disk { source, .. } => disk_class(source),
                wal::RewriteError::Open(error) => open_class(error),
            },
            JournalError::Reopening | JournalError::Remote(_) => Class::Transient,
            JournalError::Edge(error) => error.class(),
            JournalError::ActiveDamaged => Class::Corrupt,
            JournalError::Closed => Class::Bug,
            JournalError::Thread(_)
            | JournalError::PathTooLong { .. }
            | JournalError::Listen { .. }
            | JournalError::Foreign { .. }
            | JournalError::Shared { .. } => Class::Operator,
            JournalError::Socket { source, .. } => crate::failure::io_class(source),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            JournalError::Edge(error) => error.hint(),
            JournalError::Open(wal::OpenError::Locked { .. }) => {
                Some("stop the other process, or give this one its own --data-dir".to_owned())
            }
            JournalError::Read(wal::ReadError::Trimmed { first }) => Some(format!(
                "start at the oldest number that is kept: --from {first}"
            )),
            JournalError::Open(wal::OpenError::NotALog { dir }) => Some(format!(
                "no log is in {dir}: `run` or `import` makes one; that of `demo` is in telegram-gateway-demo"
            )),
            JournalError::Open(wal::OpenError::RestoreUnfinished)
            | JournalError::Read(wal::ReadError::Open(wal::OpenError::RestoreUnfinished)) => {
                Some(
                    "telegram-gateway restore DIR finishes it; to begin with an empty log, remove the folder log"
                        .to_owned(),
                )
            }
            JournalError::PathTooLong { .. } => Some(
                "choose a shorter --data-dir, or one relative to the working directory".to_owned(),
            ),
            JournalError::Listen { .. } => Some(
                "set serve.listen to an address of this machine that no other program has".to_owned(),
            ),
            JournalError::Socket { .. } => Some(
                "if a daemon was stopped meanwhile, run the command again: nothing is doubled"
                    .to_owned(),
            ),
            JournalError::Foreign { path, owner } => Some(format!(
                "run it as that user (sudo -u '#{owner}' ...), or: chown -R $(id -u) {path}"
            )),
            JournalError::Shared { path, .. } => Some(format!("chmod 700 {path}")),
            _ if self.is_read_only() => Some(
                "mount the file system writable (mount -o remount,rw), or choose another --data-dir"
                    .to_owned(),
            ),
            _ if self.is_refused() => {
                Some("run it as the owner of the files, or mend their permissions".to_owned())
            }
            JournalError::ActiveDamaged => {
                Some(SALVAGE_WITHOUT_DAEMON.to_owned())
            }
            // Read back other than it was written: what is stored is not to blame, and salvage would meet the same.
            JournalError::Open(wal::OpenError::Rewrite { .. })
            | JournalError::Rewrite(wal::RewriteError::Open(wal::OpenError::Rewrite { .. })) => {
                Some(
                    "the file is as it was before: run the command again, and when that fails too, check the machine's \
                     disk (smartctl -a, dmesg) and memory"
                        .to_owned(),
                )
            }
            JournalError::Open(_) | JournalError::Append(_) if self.class() == Class::Corrupt => {
                Some("telegram-gateway wal salvage".to_owned())
            }
            _ if self.class() == Class::Corrupt => Some(
                "telegram-gateway verify log lists all damage, telegram-gateway wal salvage mends it"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            JournalError::Open(wal::OpenError::Locked { .. })
            | JournalError::Rewrite(wal::RewriteError::Open(wal::OpenError::Locked { .. })) => {
                Exit::Locked
            }
            _ if self.is_refused() => Exit::Auth,
            _ => match self.class() {
                Class::Corrupt => Exit::Data,
                _ => Exit::Failure,
            },
        }
    }
}

/// The number of a record of the log's own files that is damaged or missing, which a salvage mends; none for any other
/// error.
pub(super) fn damaged_record(error: &wal::ReadError) -> Option<wal::Seq> {
    use wal::ReadError as R;
    match error {
        R::Damaged { seq, file, .. }
        | R::Misplaced { seq, file, .. }
        | R::Missing { seq, file } => {
            // What is in the archive is no longer the log's to mend.
            (!file.ends_with(".walz")).then_some(*seq)
        }
        R::Unreadable { seq, source } => is_damage(source).then_some(*seq),
        R::Trimmed { .. } | R::Disk { .. } | R::Container { .. } | R::Open(_) => None,
    }
}

/// Whether reading a file of the log failed for what is in it.
fn is_damage(error: &wal::ReadError) -> bool {
    use wal::ReadError as R;
    match error {
        R::Disk { source, .. } => disk_class(source) == Class::Corrupt,
        R::Open(error) => open_class(error) == Class::Corrupt,
        error => damaged_record(error).is_some(),
    }
}

pub(super) fn append_class(error: &wal::AppendError) -> Class {
    use wal::AppendError as A;
    match error {
        A::Poisoned => Class::Transient,
        A::Disk { source, .. } => disk_class(source),
        A::Structure(_) => Class::Corrupt,
        // The log itself goes on; only the trim was not done.
        A::Archive(_) => Class::Operator,
        A::PayloadTooLarge { .. }
        | A::KeyTooLong { .. }
        | A::NameTooLong { .. }
        | A::BookmarkTooLarge { .. }
        | A::CursorPastTail { .. }
        | A::NumbersExhausted => Class::Bug,
    }
}

fn open_class(error: &wal::OpenError) -> Class {
    use wal::OpenError as O;
    match error {
        O::Locked { .. }
        | O::NotALog { .. }
        | O::TooNew { .. }
        | O::Foreign { .. }
        | O::RestoreUnfinished => Class::Operator,
        O::Disk { source, .. } => disk_class(source),
        O::BeingRepaired { .. } => Class::Transient,
        O::BadFile { .. }
        | O::Rewrite { .. }
        | O::SegmentMissing { .. }
        | O::SegmentMisplaced { .. }
        | O::ChainBroken { .. } => Class::Corrupt,
    }
}

/// The class of a failure of the disk below the log.
pub fn disk_class(error: &wal::DiskError) -> Class {
    match error {
        // A file that ends early was cut; on a socket the same error would be a lost connection.
        wal::DiskError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Class::Corrupt,
        wal::DiskError::Io(error) => crate::failure::io_class(error),
        wal::DiskError::Full(_) => Class::Operator,
        wal::DiskError::Engine(_) | wal::DiskError::Panicked { .. } => Class::Corrupt,
    }
}
