//! The feed that follows the log itself: no broker needed.

use tokio::sync::watch;
use wal::Record;

use super::{BATCH_BYTES_MAX, Feed, FeedError, next_seq};
use crate::journal::{JournalError, JournalReader};

/// Follows the log's durable tail.
pub struct Tail {
    journal: JournalReader,
    durable: watch::Receiver<u64>,
}

impl Tail {
    /// Of a log that this process writes.
    pub fn new(journal: JournalReader) -> Tail {
        let durable = journal.subscribe();
        Tail { journal, durable }
    }
}

impl Feed for Tail {
    async fn next(&mut self, after: u64, events_max: usize) -> Result<Vec<Record>, FeedError> {
        let mut beyond = after;
        loop {
            let tail = self.durable.wait_for(|tail| *tail > beyond).await;
            let tail = *tail.map_err(|_| FeedError::Journal(JournalError::Closed))?;
            let read = self
                .journal
                .read(next_seq(after), events_max, BATCH_BYTES_MAX);
            let records = read.await?;
            if !records.is_empty() {
                return Ok(records);
            }
            // Up to the tail there is nothing but a hole.
            beyond = tail;
        }
    }

    async fn applied(&mut self, _upto: u64) {}
}
