//! One process at a time: an advisory lock that ends with its holder, and a line saying who that is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::event::Timestamp;

/// Why the lock was not given.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Somebody has it.
    Held(String),
    Disk(io::Error),
}

/// Takes the lock. The operating system frees it however the process ends; the line stays behind, and means nothing
/// without the lock.
pub(super) fn acquire(path: &Path) -> Result<File, Refusal> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let flags = libc::O_NOFOLLOW;
    let mut file = options
        .mode(0o600)
        .custom_flags(flags)
        .open(path)
        .map_err(Refusal::Disk)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(read_holder(&mut file).map_or_else(Refusal::Disk, Refusal::Held));
        }
        Err(TryLockError::Error(error)) => return Err(Refusal::Disk(error)),
    }
    write_holder(&mut file).map_err(Refusal::Disk)?;
    Ok(file)
}

fn write_holder(file: &mut File) -> io::Result<()> {
    let (process, now) = (std::process::id(), Timestamp::now());
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {process} since {now}")
}

fn read_holder(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(256).read_to_end(&mut bytes)?;
    let line = String::from_utf8_lossy(&bytes);
    Ok(match line.trim() {
        // Between taking the lock and writing its line a holder is nameless for an instant.
        "" => "an unnamed process".to_owned(),
        line => line.to_owned(),
    })
}
