//! An open file of a machine.

use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};

use super::disk::Change;
use super::{Io, Machine};

#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) machine: Machine,
    pub(super) file: usize,
}

fn index(n: u64) -> io::Result<usize> {
    usize::try_from(n).map_err(io::Error::other)
}

impl OpenFile {
    /// Carries out a change that leaves the file at least `len` bytes long.
    fn change(&self, change: Change, len: usize) -> io::Result<()> {
        let mut state = self.machine.powered()?;
        let old = state.disk.files[self.file].current.len();
        if let Some(most) = state.capacity.filter(|_| len > old)
            && state.disk.used() + (len - old) as u64 > most
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let counted = state.count(Io::Write);
        let change = if counted.is_err() {
            change.half()
        } else {
            change
        };
        state.disk.files[self.file].change(change);
        counted
    }
}

impl StorageBackend for OpenFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.machine.powered()?;
        Ok(state.disk.files[self.file].current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.machine.powered()?;
        state.count(Io::Read)?;
        let at = index(offset)?;
        state.reads.insert((self.file, at, out.len()));
        if state.disk.files[self.file].current.read(at, out) {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = index(len)?;
        self.change(Change::Length(len), len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.machine.sync()?;
        let counted = state.count(Io::Sync);
        if state.lies {
            return counted;
        }
        let file = &mut state.disk.files[self.file];
        match counted {
            Ok(()) => file.sync(),
            Err(_) => file.fail_sync(),
        }
        counted
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = index(offset)?;
        self.change(Change::Bytes(at, data.to_vec()), at + data.len())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }
    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }
    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
