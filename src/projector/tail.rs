//! The feed that follows the log itself: no broker needed.

use tokio::sync::watch;
use wal::Record;

use super::{Feed, FeedError, next_seq};
use crate::journal::{JournalError, JournalReader};

/// Bytes read from the log at once.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

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
        self.durable
            .wait_for(|tail| *tail > after)
            .await
            .map_err(|_| FeedError::Journal(JournalError::Closed))?;
        Ok(self
            .journal
            .read(next_seq(after), events_max, READ_BYTES_MAX)
            .await?)
    }

    async fn applied(&mut self, _upto: u64) {}
}
