//! One error type per operation; the payload is the facts.

use std::io;

use crate::archive::ArchiveError;
use crate::container::ContainerError;
use crate::frame::FrameError;
use crate::seq::Seq;

/// What the storage below the log answered.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// No space is left. Appending can go on after space is freed and the log is opened again.
    #[error("the disk is full ({0})")]
    Full(#[source] io::Error),
    /// Any other failure of the operating system.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// The storage engine refused or found its file damaged.
    #[error("{0}")]
    Engine(#[source] Box<redb::Error>),
    /// The storage engine panicked on a damaged file; the panic was contained.
    #[error("the storage engine panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
}

impl DiskError {
    /// Whether the file was not shut down cleanly and a reader may not repair it.
    pub(crate) fn needs_repair(&self) -> bool {
        matches!(self, DiskError::Engine(e) if matches!(**e, redb::Error::RepairAborted))
    }

    /// Whether the file does not exist (any more).
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, DiskError::Io(e) if e.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the file itself, rather than the access to it, is bad.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            DiskError::Full(_) => false,
            DiskError::Io(e) => matches!(
                e.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ),
            DiskError::Engine(e) => matches!(
                **e,
                redb::Error::Corrupted(_)
                    | redb::Error::UpgradeRequired(_)
                    | redb::Error::TableDoesNotExist(_)
                    | redb::Error::TableTypeMismatch { .. }
            ),
            DiskError::Panicked { .. } => true,
        }
    }
}

impl From<io::Error> for DiskError {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full(e),
            _ => DiskError::Io(e),
        }
    }
}

impl From<redb::Error> for DiskError {
    fn from(e: redb::Error) -> Self {
        match e {
            redb::Error::Io(e) => e.into(),
            e => DiskError::Engine(Box::new(e)),
        }
    }
}

macro_rules! from_engine {
    ($($phase:ident),*) => {$(
        impl From<redb::$phase> for DiskError {
            fn from(e: redb::$phase) -> Self {
                redb::Error::from(e).into()
            }
        }
    )*};
}
from_engine!(
    StorageError,
    TableError,
    DatabaseError,
    TransactionError,
    CommitError,
    CompactionError,
    CursorError
);

/// A storage error and the file it came from; becomes the `Disk` variant of any operation.
#[derive(Debug)]
pub(crate) struct At {
    pub(crate) file: String,
    pub(crate) source: DiskError,
}

impl At {
    pub(crate) fn new(file: &str, source: impl Into<DiskError>) -> At {
        At {
            file: file.to_owned(),
            source: source.into(),
        }
    }
}

/// Adds the file to an error of the layers below.
pub(crate) trait AtFile<T> {
    fn at(self, file: &str) -> Result<T, At>;
}

impl<T, E: Into<DiskError>> AtFile<T> for Result<T, E> {
    fn at(self, file: &str) -> Result<T, At> {
        self.map_err(|e| At::new(file, e))
    }
}

macro_rules! from_at {
    ($($operation:ident),*) => {$(
        impl From<At> for $operation {
            fn from(At { file, source }: At) -> Self {
                $operation::Disk { file, source }
            }
        }
    )*};
}
from_at!(OpenError, AppendError, ReadError, RewriteError);

impl OpenError {
    /// The file it is about, if it is about one.
    pub(crate) fn file(&self) -> Option<&str> {
        match self {
            OpenError::Disk { file, .. }
            | OpenError::BadFile { file, .. }
            | OpenError::TooNew { file, .. }
            | OpenError::Foreign { file }
            | OpenError::SegmentMisplaced { file, .. }
            | OpenError::ChainBroken { file }
            | OpenError::Rewrite { file, .. }
            | OpenError::BeingRepaired { file } => Some(file),
            OpenError::Locked { .. }
            | OpenError::NotALog { .. }
            | OpenError::SegmentMissing { .. }
            | OpenError::RestoreUnfinished => None,
        }
    }

    /// Whether a file of the log is bad, rather than the access to it.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            OpenError::Disk { source, .. } => source.is_damage(),
            OpenError::BadFile { .. }
            | OpenError::Foreign { .. }
            | OpenError::SegmentMissing { .. }
            | OpenError::SegmentMisplaced { .. }
            | OpenError::ChainBroken { .. } => true,
            OpenError::Locked { .. }
            | OpenError::NotALog { .. }
            | OpenError::TooNew { .. }
            | OpenError::Rewrite { .. }
            | OpenError::BeingRepaired { .. }
            | OpenError::RestoreUnfinished => false,
        }
    }
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process is the writer.
    #[error("the log is in use by {holder}")]
    Locked {
        /// Process, host and start of the holder, as it wrote them.
        holder: String,
    },
    /// A reader was asked for where no log is.
    #[error("{dir} holds no log")]
    NotALog {
        /// The directory.
        dir: String,
    },
    /// A file of the log failed.
    #[error("{file}: {source}")]
    Disk {
        /// The file.
        file: String,
        /// What failed.
        source: DiskError,
    },
    /// A file's own description is missing or unreadable.
    #[error("{file}: the description in the file is not valid ({what})")]
    BadFile {
        /// The file.
        file: String,
        /// The row that is missing or wrong.
        what: &'static str,
    },
    /// A file was written by a newer program.
    #[error("{file}: layout version {found} is newer than this program knows")]
    TooNew {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
    },
    /// A file belongs to another log.
    #[error("{file} belongs to another log")]
    Foreign {
        /// The file.
        file: String,
    },
    /// The newest segment is gone: the end of the log is missing.
    #[error("the segment that starts at {first} is missing")]
    SegmentMissing {
        /// The number it should start with.
        first: Seq,
    },
    /// Two segments do not follow on each other.
    #[error("{file} starts at {found}, but the segment before it ends before {expected}")]
    SegmentMisplaced {
        /// The file.
        file: String,
        /// The number that should come.
        expected: Seq,
        /// The number that comes.
        found: Seq,
    },
    /// A segment that others follow was never sealed, or names another predecessor.
    #[error("{file} does not continue the chain of segments")]
    ChainBroken {
        /// The file.
        file: String,
    },
    /// A segment that was written anew did not read back as it should. What it was to replace is
    /// untouched.
    #[error("{file}: what was written is not what was read back ({what})")]
    Rewrite {
        /// The file.
        file: String,
        /// What differs.
        what: &'static str,
    },
    /// A restore into this directory did not come to its end.
    #[error("a restore into this directory was not finished; run it again")]
    RestoreUnfinished,
    /// No writer holds the log, yet a file stayed unreadable for the time a repair may take.
    #[error("{file} was not closed cleanly and is being repaired by another process")]
    BeingRepaired {
        /// The file.
        file: String,
    },
}

/// Why nothing was appended. After any variant but the limits the handle is poisoned.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// An earlier error closed this handle; open the log again.
    #[error("the log was closed by an earlier error and has to be opened again")]
    Poisoned,
    /// A file of the log failed. Nothing of the batch is acknowledged; whether it is stored is
    /// known only after the log is opened again.
    #[error("{file}: {source}")]
    Disk {
        /// The file.
        file: String,
        /// What failed.
        source: DiskError,
    },
    /// A payload is over [`crate::PAYLOAD_BYTES_MAX`].
    #[error(
        "record {index} of the batch has {bytes} payload bytes, more than {}",
        crate::PAYLOAD_BYTES_MAX
    )]
    PayloadTooLarge {
        /// Which record of the batch.
        index: usize,
        /// Its size.
        bytes: usize,
    },
    /// A dedup key is over [`crate::KEY_BYTES_MAX`].
    #[error(
        "record {index} of the batch has a key of {bytes} bytes, more than {}",
        crate::KEY_BYTES_MAX
    )]
    KeyTooLong {
        /// Which record of the batch.
        index: usize,
        /// Its size.
        bytes: usize,
    },
    /// The name of a bookmark or cursor is over [`crate::NAME_BYTES_MAX`].
    #[error(
        "a bookmark or cursor name has {bytes} bytes, more than {}",
        crate::NAME_BYTES_MAX
    )]
    NameTooLong {
        /// Its size.
        bytes: usize,
    },
    /// A bookmark is over [`crate::BOOKMARK_BYTES_MAX`].
    #[error(
        "bookmark {name} has {bytes} bytes, more than {}",
        crate::BOOKMARK_BYTES_MAX
    )]
    BookmarkTooLarge {
        /// Which.
        name: String,
        /// Its size.
        bytes: usize,
    },
    /// A cursor would stand on a record that does not exist.
    #[error("cursor {name} would be at {cursor}, past the tail {tail}")]
    CursorPastTail {
        /// Which.
        name: String,
        /// Its new value.
        cursor: Seq,
        /// The number of the last record (0: none).
        tail: u64,
    },
    /// The files do not fit together any more: something else changed the directory.
    #[error(transparent)]
    Structure(OpenError),
    /// A segment could not be archived, so nothing was trimmed; the log goes on.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The 64-bit numbers are used up.
    #[error("the sequence numbers are used up")]
    NumbersExhausted,
}

impl AppendError {
    /// Whether the disk has no space left: free some, then open the log again.
    pub fn is_disk_full(&self) -> bool {
        matches!(
            self,
            AppendError::Disk {
                source: DiskError::Full(_),
                ..
            }
        )
    }

    /// A broken limit leaves the log as it was; anything else leaves it in an unknown state.
    pub(crate) fn poisons(&self) -> bool {
        matches!(self, AppendError::Disk { .. } | AppendError::Structure(_))
    }
}

/// Why a segment was not written anew. The log is as it was, or opening it again completes the
/// work.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// An earlier error closed this handle; open the log again.
    #[error("the log was closed by an earlier error and has to be opened again")]
    Poisoned,
    /// The number does not start a sealed segment.
    #[error("no sealed segment starts at {first}")]
    NotSealed {
        /// The number.
        first: Seq,
    },
    /// A file of the log failed.
    #[error("{file}: {source}")]
    Disk {
        /// The file.
        file: String,
        /// What failed.
        source: DiskError,
    },
    /// The segment could not be opened, or what was written is not what it should be.
    #[error(transparent)]
    Open(OpenError),
}

impl From<AppendError> for RewriteError {
    /// Of work that a rewrite has to wait for.
    fn from(e: AppendError) -> Self {
        match e {
            AppendError::Disk { file, source } => RewriteError::Disk { file, source },
            AppendError::Structure(e) => RewriteError::Open(e),
            _ => RewriteError::Poisoned,
        }
    }
}

impl From<OpenError> for RewriteError {
    fn from(e: OpenError) -> Self {
        match e {
            OpenError::Disk { file, source } => RewriteError::Disk { file, source },
            e => RewriteError::Open(e),
        }
    }
}

impl ReadError {
    /// Whether the file is damaged where no record can be named.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            ReadError::Disk { source, .. } => source.is_damage(),
            ReadError::Open(e) => e.is_damage(),
            _ => false,
        }
    }
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The asked number is below what is still kept.
    #[error("records before {first} were removed by retention")]
    Trimmed {
        /// The first number still kept.
        first: Seq,
    },
    /// A record is damaged. Never skipped: the caller decides whether to step over it.
    #[error("record {seq} in {file} is damaged: {source}")]
    Damaged {
        /// Which record.
        seq: Seq,
        /// The segment file.
        file: String,
        /// What is wrong with it.
        source: FrameError,
    },
    /// A record lies under another number than its header says.
    #[error("the record under number {seq} in {file} says it is {found}")]
    Misplaced {
        /// The number it lies under.
        seq: Seq,
        /// The segment file.
        file: String,
        /// The number in its header.
        found: Seq,
    },
    /// The file is damaged where the record lies, or as a whole.
    #[error("record {seq} cannot be read: {source}")]
    Unreadable {
        /// Which record.
        seq: Seq,
        /// What reading its segment met.
        source: Box<ReadError>,
    },
    /// A number has no record: proof of loss.
    #[error("record {seq} is missing from {file}")]
    Missing {
        /// The number.
        seq: Seq,
        /// The segment file that should hold it.
        file: String,
    },
    /// A file of the log failed.
    #[error("{file}: {source}")]
    Disk {
        /// The file.
        file: String,
        /// What failed.
        source: DiskError,
    },
    /// A container of the archive is damaged as a whole or in a part of many records.
    #[error("{file}: {source}")]
    Container {
        /// The container.
        file: String,
        /// What is wrong with it.
        source: ContainerError,
    },
    /// A segment could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}
