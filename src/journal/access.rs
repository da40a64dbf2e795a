//! Whether the data directory is ours alone: whoever may write it may rewrite the only truth.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::{JournalError, LOG_DIR};

/// Write permission of group and others.
const SHARED_WRITE: u32 = 0o022;

/// Refuses a data directory, or a log in it, that belongs to another user or that others may write. What is not there
/// yet will be made private.
pub(super) fn check(data_dir: &Path) -> Result<(), JournalError> {
    let us = effective_user();
    for path in [data_dir.to_owned(), data_dir.join(LOG_DIR)] {
        let found = match std::fs::metadata(&path) {
            Ok(found) => found,
            // Opening the log meets the same error and tells it.
            Err(_) => return Ok(()),
        };
        let shown = path.display().to_string();
        check_one(&found, us, shown)?;
    }
    Ok(())
}

/// As a daemon does before it opens the log: makes the data directory if it is not there, private to this user, and
/// refuses one that is not.
pub fn prepare(data_dir: &Path) -> Result<(), JournalError> {
    check(data_dir)?;
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir);
    made.map_err(|error| {
        JournalError::Open(wal::OpenError::Disk {
            file: data_dir.display().to_string(),
            source: wal::DiskError::Io(error),
        })
    })
}

fn check_one(found: &Metadata, us: Option<u32>, path: String) -> Result<(), JournalError> {
    let owner = found.uid();
    if us.is_some_and(|us| us != owner) {
        return Err(JournalError::Foreign { path, owner });
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & SHARED_WRITE != 0 {
        return Err(JournalError::Shared { path, mode });
    }
    Ok(())
}

/// The user that this process acts as; none where the system does not tell.
fn effective_user() -> Option<u32> {
    std::fs::metadata("/proc/self").ok().map(|it| it.uid())
}

/// Whether the system did not let us: permissions, or a file system that cannot be written.
pub fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}
