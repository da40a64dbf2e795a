//! What the writer shares with readers of its own process: the open active segment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::WriteTransaction;

use crate::contain::Held;
use crate::error::DiskError;
use crate::guarded::Shared;

/// In place of a number that is never given out.
const CLOSED: u64 = u64::MAX;

/// The active segment, open for writing.
pub(crate) struct Active {
    pub(crate) first: u64,
    pub(crate) db: Held,
    pub(crate) guard: Arc<Shared>,
}

impl Active {
    /// Commits, and returns once that is durable.
    pub(crate) fn commit(&self, txn: WriteTransaction) -> Result<(), DiskError> {
        txn.commit()?;
        Ok(self.guard.flush()?)
    }
}

/// Readers use the slot under the read lock for the length of one call, so the writer can take
/// the database out and close it cleanly. Empty between two segments and after the log closed.
#[derive(Default)]
pub(crate) struct Live {
    slot: RwLock<Option<Active>>,
    /// The writer's catalog: readers of its process must not open the file beside it.
    catalog: RwLock<Option<Arc<Held>>>,
    /// Record bytes of the active segment.
    bytes: AtomicU64,
    /// The last number that is on disk. The engine shows readers of this process a commit before
    /// it is durable; what a reader passes on must never be taken back by a power cut.
    durable: AtomicU64,
}

impl Live {
    pub(crate) fn active(&self) -> RwLockReadGuard<'_, Option<Active>> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for readers inside a call.
    pub(crate) fn change(&self) -> RwLockWriteGuard<'_, Option<Active>> {
        self.slot.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn catalog(&self) -> RwLockReadGuard<'_, Option<Arc<Held>>> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for readers inside a call.
    pub(crate) fn set_catalog(&self, catalog: Option<Arc<Held>>) {
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = catalog;
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// `None` once the log is closed: its readers then see what the files hold, all of it durable.
    pub(crate) fn durable(&self) -> Option<u64> {
        let durable = self.durable.load(Ordering::Acquire);
        (durable != CLOSED).then_some(durable)
    }

    pub(crate) fn close(&self) {
        drop(self.change().take());
        self.set_catalog(None);
        self.durable.store(CLOSED, Ordering::Release);
    }

    pub(crate) fn set_durable(&self, tail: u64) {
        self.durable.store(tail, Ordering::Release);
    }

    pub(crate) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}
