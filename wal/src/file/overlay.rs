//! A file read without changing it, even one that was not closed cleanly: the engine repairs that
//! before it answers, with writes that go nowhere.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{
    BackendError, Builder, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase,
    StorageBackend, TransactionError,
};

use crate::contain::{Held, contained};
use crate::error::{At, AtFile, DiskError};
use crate::segment::{self, READ_CACHE_BYTES};
use crate::storage::{Access, Storage};

const PAGE: u64 = 4096;

/// A file opened without changing it.
pub(crate) enum Opened {
    AsItIs(ReadOnlyDatabase),
    /// One that is not clean: repaired with writes that go nowhere.
    Copy(Held),
}

impl Opened {
    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, TransactionError> {
        match self {
            Opened::AsItIs(db) => db.begin_read(),
            Opened::Copy(db) => db.begin_read(),
        }
    }
}

/// Opens a file in whatever way is possible without changing it.
pub(crate) fn open_unchanged(storage: &dyn Storage, file: &str) -> Result<Opened, At> {
    contained(file, || match segment::open_read_only(storage, file) {
        Ok(db) => Ok(Opened::AsItIs(db)),
        Err(e) if e.needs_repair() => open_copy(storage, file),
        Err(e) => Err(At::new(file, e)),
    })
}

/// Opens a file that is not clean.
pub(crate) fn open_copy(storage: &dyn Storage, file: &str) -> Result<Opened, At> {
    contained(file, || {
        let db = overlaid(storage, file).at(file)?;
        Ok(Opened::Copy(Held::new(db)))
    })
}

/// Opens the file as its writer would, repair included, with writes that go nowhere.
pub(crate) fn overlaid(storage: &dyn Storage, file: &str) -> Result<Database, DiskError> {
    let backend = Overlay {
        below: storage.open(file, Access::Read)?,
        state: Mutex::default(),
    };
    Ok(Builder::new()
        .set_cache_size(READ_CACHE_BYTES)
        .create_with_backend(backend)?)
}

/// A file over which writes are laid in memory.
#[derive(Debug)]
struct Overlay {
    below: Box<dyn StorageBackend>,
    state: Mutex<Laid>,
}

#[derive(Debug, Default)]
struct Laid {
    /// By number.
    pages: BTreeMap<u64, Vec<u8>>,
    len: Option<u64>,
}

impl Overlay {
    fn state(&self) -> MutexGuard<'_, Laid> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is below, zeroes past its end.
    fn page(&self, number: u64) -> io::Result<Vec<u8>> {
        let mut page = vec![0; PAGE as usize];
        let there = self.below.len()?.saturating_sub(number * PAGE).min(PAGE);
        if there > 0 {
            self.below
                .read(number * PAGE, &mut page[..there as usize])?;
        }
        Ok(page)
    }
}

/// The pages that a range touches, each with its part of the page and of the range.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let from = (at % PAGE) as usize;
        let count = (PAGE as usize - from).min(len - done);
        let part = (count > 0).then_some((at / PAGE, from, done, count));
        done += count;
        part
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        match self.state().len {
            Some(len) => Ok(len),
            None => self.below.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| self.len().is_ok_and(|len| end > len)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let state = self.state();
        if state.pages.is_empty() && state.len.is_none() {
            return self.below.read(offset, out);
        }
        for (number, from, at, count) in parts(offset, out.len()) {
            match state.pages.get(&number) {
                Some(page) => out[at..at + count].copy_from_slice(&page[from..from + count]),
                None => {
                    let page = self.page(number)?;
                    out[at..at + count].copy_from_slice(&page[from..from + count]);
                }
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state().len = Some(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        for (number, from, at, count) in parts(offset, data.len()) {
            let page = match state.pages.entry(number) {
                Entry::Occupied(page) => page.into_mut(),
                Entry::Vacant(place) => place.insert(self.page(number)?),
            };
            page[from..from + count].copy_from_slice(&data[at..at + count]);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.below.close()
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
