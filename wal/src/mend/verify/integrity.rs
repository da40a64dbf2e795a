//! The engine's own checksums, which cover every page in use: keys, bookmarks, cursors, and what
//! the engine keeps for itself. It checks them only in a file that it may write to, so it gets one
//! whose writes go nowhere.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{BackendError, Builder, Database, StorageBackend};

use super::{Check, FindingKind};
use crate::contain::contained;
use crate::error::{AtFile, DiskError, OpenError};
use crate::segment::READ_CACHE_BYTES;
use crate::storage::{Access, Role, Storage};

const PAGE: u64 = 4096;

impl Check<'_> {
    /// Checks the pages of a file that nobody writes any more.
    pub(super) fn pages(&mut self, file: &str) {
        let checked = contained::<_, OpenError>(file, || Ok(check(self.storage, file).at(file)?));
        match checked {
            Ok(true) => {}
            Ok(false) => self.find(
                FindingKind::PageDamaged,
                file,
                None,
                "a page does not have its checksum",
            ),
            Err(OpenError::Disk { source, .. }) if source.is_absent() => {}
            Err(e) => self.find(FindingKind::PageDamaged, file, None, e.to_string()),
        }
    }

    /// Checks the pages of a file that a writer writes to, if there is none: under its hands they
    /// change.
    pub(super) fn pages_at_rest(&mut self, file: &str) {
        let Ok(_guard) = self.storage.lock(Role::Repair) else {
            return;
        };
        self.pages(file);
    }
}

/// Whether all pages of the file are as they were written.
pub(crate) fn check(storage: &dyn Storage, file: &str) -> Result<bool, DiskError> {
    Ok(overlaid(storage, file)?.check_integrity()?)
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
