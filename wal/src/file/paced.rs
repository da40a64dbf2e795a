//! Files that are written beside the appends without holding them up.

use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{BackendError, StorageBackend};

use crate::storage::Boxed;

type Edge = Bound<u64>;

/// Bytes after which they are synced: an append beside them may have to wait for so many.
const PACE: u64 = 1 << 20;

/// A file whose writes reach the disk as they come, instead of all at its sync, which would hold
/// up every append meanwhile. For large files that nobody waits for.
#[derive(Debug)]
pub(crate) struct Paced {
    file: Boxed,
    unsynced: AtomicU64,
}

impl Paced {
    pub(crate) fn new(file: Box<dyn StorageBackend>) -> Paced {
        Paced {
            file: Boxed(file),
            unsynced: AtomicU64::new(0),
        }
    }
}

impl StorageBackend for Paced {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.unsynced.store(0, Ordering::Relaxed);
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)?;
        let len = data.len() as u64;
        if self.unsynced.fetch_add(len, Ordering::Relaxed) + len >= PACE {
            self.sync_data()?;
        }
        Ok(())
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
    fn try_lock_range(&self, start: Edge, end: Edge) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }
    fn try_lock_shared_range(&self, start: Edge, end: Edge) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }
    fn lock_range(&self, start: Edge, end: Edge) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }
    fn lock_shared_range(&self, start: Edge, end: Edge) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }
    fn unlock_range(&self, start: Edge, end: Edge) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
    fn query_lock_range(&self, start: Edge, end: Edge) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fate, Machine};
    use crate::storage::{Access, Storage};

    #[test]
    fn what_a_paced_file_was_given_is_on_the_disk_but_for_the_last_of_it() {
        let machine = Machine::new();
        let file = Paced::new(machine.open("file", Access::Create).unwrap());
        machine.sync_dir().unwrap();
        let part = vec![7; PACE as usize / 4];
        for n in 0..7 {
            file.write(n * part.len() as u64, &part).unwrap();
        }
        let left = machine.restart(Fate::Lost).file("file");
        assert_eq!(left, Some(vec![7; PACE as usize]));
    }
}
