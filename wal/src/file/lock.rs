//! The lock file: an advisory lock that ends with its holder, and a line saying who that is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::clock;
use crate::storage::{LockError, Role, private};

/// Ends the holder line of a reader that only repairs.
const REPAIRING: &str = "(repairing)";

/// Between taking the lock and writing its line a holder is nameless for an instant.
const UNNAMED: &str = "an unnamed process";

/// Locks the file at `path`, making it if needed, and writes the holder line into it.
pub(crate) fn acquire(path: &Path, role: Role) -> Result<File, LockError> {
    let file = private(OpenOptions::new().read(true).write(true).create(true))
        .truncate(false)
        .open(path)
        .map_err(LockError::Io)?;
    hold_as(file, role)
}

/// Locks a file that is open for reading and writing, and writes into it who has it: for files beside a log that only
/// one process may have, too. The lock belongs to the open file, so the operating system frees it however the process
/// ends; the line stays behind and means nothing without the lock.
pub fn hold(file: File) -> Result<File, LockError> {
    hold_as(file, Role::Writer)
}

fn hold_as(mut file: File, role: Role) -> Result<File, LockError> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = read_holder(&mut file).map_err(LockError::Io)?;
            // One that has not said yet what it is doing may be repairing.
            let repair = holder.ends_with(REPAIRING) || holder == UNNAMED;
            return Err(LockError::Held { holder, repair });
        }
        Err(TryLockError::Error(e)) => return Err(LockError::Io(e)),
    }
    let mut line = format!(
        "process {} on {} since {}",
        std::process::id(),
        host(),
        clock::utc_text(clock::unix_micros())
    );
    if role == Role::Repair {
        line.push(' ');
        line.push_str(REPAIRING);
    }
    write_holder(&mut file, &line).map_err(LockError::Io)?;
    Ok(file)
}

fn write_holder(file: &mut File, line: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{line}")
}

fn read_holder(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.take(1024).read_to_string(&mut text)?;
    let line = text.trim();
    Ok(if line.is_empty() { UNNAMED } else { line }.to_owned())
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .unwrap_or_default();
    match name.trim() {
        "" => "an unknown host".to_owned(),
        name => name.to_owned(),
    }
}
