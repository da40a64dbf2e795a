//! What the writer shares with readers of its own process: the open active segment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::Database;

/// The active segment, open for writing.
pub(crate) struct Active {
    pub(crate) first: u64,
    pub(crate) db: Database,
}

/// Readers use the slot under the read lock for the length of one call, so the writer can take
/// the database out and close it cleanly. Empty between two segments and after the log closed.
#[derive(Default)]
pub(crate) struct Live {
    slot: RwLock<Option<Active>>,
    /// Record bytes of the active segment.
    bytes: AtomicU64,
}

impl Live {
    pub(crate) fn active(&self) -> RwLockReadGuard<'_, Option<Active>> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for readers inside a call.
    pub(crate) fn change(&self) -> RwLockWriteGuard<'_, Option<Active>> {
        self.slot.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}
