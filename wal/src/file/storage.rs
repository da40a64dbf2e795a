//! The directory a log lives in, behind a trait so that tests can cut the power.

use std::any::Any;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::lock;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Make it; whatever was there under this name is worthless.
    Create,
    /// It exists and is written.
    Write,
    /// It exists and is only read.
    Read,
}

/// Who wants the directory's lock, for the holder line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The writer, for its whole life.
    Writer,
    /// A reader that repairs a file a crashed writer left, for a moment.
    Repair,
}

/// Why a lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Held, with the holder's line.
    #[error("held by {holder}")]
    Held {
        /// Who holds it.
        holder: String,
        /// Whether only for a repair, so that waiting is worth it.
        repair: bool,
    },
    /// Could not be tried.
    #[error("the lock could not be tried")]
    Io(#[source] io::Error),
}

/// Keeps the lock while it lives.
pub(crate) type LockGuard = Box<dyn Any + Send + Sync>;

/// One directory of files. Names are plain file names.
pub(crate) trait Storage: Send + Sync + fmt::Debug {
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file for the engine.
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageBackend>>;
    /// Bytes of a file.
    fn len(&self, name: &str) -> io::Result<u64>;
    /// Renames within the directory, replacing.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes created, renamed and removed names durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// Whether work may go on beside the caller's own. Not where it counts what is done.
    fn threads(&self) -> bool {
        true
    }
    /// Takes the lock of the one writer, or says who has it, without waiting.
    fn lock(&self, role: Role) -> Result<LockGuard, LockError>;
}

/// A directory of the file system.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
}

impl Disk {
    pub(crate) fn new(dir: &Path) -> Disk {
        Disk {
            dir: dir.to_owned(),
        }
    }

    /// Makes the directory, private to its owner, with its entry in the parent durable.
    pub(crate) fn create_dir(&self) -> io::Result<()> {
        if self.dir.is_dir() {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.dir)?;
        match self.dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            _ => Ok(()),
        }
    }
}

/// Options that make new files private to their owner.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            // A name that is not Unicode is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageBackend>> {
        let mut options = OpenOptions::new();
        options.read(true).write(access != Access::Read);
        if access == Access::Create {
            private(&mut options).create(true).truncate(true);
        }
        let file = options.open(self.dir.join(name))?;
        let backend = FileBackend::new(file).map_err(|e| match e {
            redb::DatabaseError::Storage(redb::StorageError::Io(e)) => e,
            e => io::Error::other(e),
        })?;
        Ok(Box::new(backend))
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.dir.join(name))?.len())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn lock(&self, role: Role) -> Result<LockGuard, LockError> {
        let guard = lock::acquire(&self.dir.join("lock"), role)?;
        Ok(Box::new(guard))
    }
}

/// Hands a boxed backend to the engine, which takes backends by value.
#[derive(Debug)]
pub(crate) struct Boxed(pub(crate) Box<dyn StorageBackend>);

type Edge = Bound<u64>;

impl StorageBackend for Boxed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
    fn try_lock_range(&self, start: Edge, end: Edge) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }
    fn try_lock_shared_range(&self, start: Edge, end: Edge) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }
    fn lock_range(&self, start: Edge, end: Edge) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }
    fn lock_shared_range(&self, start: Edge, end: Edge) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }
    fn unlock_range(&self, start: Edge, end: Edge) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }
    fn query_lock_range(&self, start: Edge, end: Edge) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}
