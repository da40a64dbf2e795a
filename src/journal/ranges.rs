//! The log as a projector asks it: where it is, what it holds, and what it will never hold.

use std::future::Future;

use tokio::sync::watch;
use wal::{Identity, Record, Seq};

use super::{Holes, JournalError, JournalReader};

/// A log that can be asked for ranges: one on this machine, or one of another.
pub trait Ranges: Clone + Send + Sync + 'static {
    /// The log's identity. It does not change during the life of this.
    fn identity(&self) -> Identity;
    /// The durable tail as it moves, as far as it is known here; 0 for an empty log.
    fn subscribe(&self) -> watch::Receiver<u64>;
    /// The durable tail as far as it is known here.
    fn tail(&self) -> u64 {
        *self.subscribe().borrow()
    }
    /// Looks up the durable tail.
    fn refresh(&self) -> impl Future<Output = Result<u64, JournalError>> + Send;
    /// The oldest number that is still kept.
    fn first(&self) -> impl Future<Output = Result<Option<Seq>, JournalError>> + Send;
    /// The numbers that no record has and none will ever have.
    fn holes(&self) -> impl Future<Output = Result<Holes, JournalError>> + Send;
    /// Records from `from` on as far as `until`, in order, each checked, at least one where there is one. Numbers that
    /// are left out lie in holes.
    fn range(
        &self,
        from: Seq,
        until: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Vec<Record>, JournalError>> + Send;
}

impl Ranges for JournalReader {
    fn identity(&self) -> Identity {
        JournalReader::identity(self)
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        JournalReader::subscribe(self)
    }

    async fn refresh(&self) -> Result<u64, JournalError> {
        JournalReader::refresh(self).await
    }

    async fn first(&self) -> Result<Option<Seq>, JournalError> {
        JournalReader::first(self).await
    }

    async fn holes(&self) -> Result<Holes, JournalError> {
        JournalReader::holes(self).await
    }

    async fn range(
        &self,
        from: Seq,
        until: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, JournalError> {
        JournalReader::range(self, from, until, records_max, bytes_max).await
    }
}
