//! Reading the log, from the async side.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use wal::{Identity, Record, Seq};

use super::error::damaged_record;
use super::{Holes, JournalError, LOG_DIR};
use crate::config;
use crate::failure::chain;
use crate::status::Status;

/// How long a read waits while the writer opens the log again, which takes milliseconds. A disk that stays broken is told
/// after this.
const REOPENING_WAIT: Duration = Duration::from_secs(2);
/// How often is looked meanwhile.
const LOOK: Duration = Duration::from_millis(5);

fn open(config: &config::Config) -> Result<wal::Reader, wal::OpenError> {
    let dir = config.data_dir.join(LOG_DIR);
    match &config.wal.archive_dir {
        Some(archive) => wal::Reader::open_archived(&dir, archive),
        None => wal::Reader::open(&dir),
    }
}

/// Opens the configured log, with what is in its archive, for work on whole segments: its calls block on the disk.
pub fn open_log(config: &config::Config) -> Result<wal::Reader, JournalError> {
    open(config).map_err(JournalError::Open)
}

/// Reads the log while it is written. Cheap to clone; holds no read transaction between calls.
#[derive(Clone)]
pub struct JournalReader {
    /// None while the writer has to open the log again after an I/O error.
    pub(super) current: Arc<RwLock<Option<wal::Reader>>>,
    pub(super) identity: Identity,
    pub(super) tail: watch::Receiver<u64>,
    /// Where damage is shown that is met, in the process that writes the log.
    pub(super) status: Option<Status>,
}

impl JournalReader {
    /// Opens a log for reading beside whatever process writes it. The tail is that of this moment until
    /// [`refresh`](Self::refresh) is called.
    pub fn open(data_dir: &Path) -> Result<JournalReader, JournalError> {
        JournalReader::new(wal::Reader::open(&data_dir.join(LOG_DIR)))
    }

    /// Opens the configured log for reading, with what is in its archive.
    pub fn of(config: &config::Config) -> Result<JournalReader, JournalError> {
        JournalReader::new(open(config))
    }

    fn new(opened: Result<wal::Reader, wal::OpenError>) -> Result<JournalReader, JournalError> {
        let reader = opened.map_err(JournalError::Open)?;
        let tail = reader
            .tail()
            .map_err(JournalError::Read)?
            .map_or(0, Seq::get);
        let identity = reader.identity();
        let (_, tail) = watch::channel(tail);
        Ok(JournalReader {
            current: Arc::new(RwLock::new(Some(reader))),
            identity,
            tail,
            status: None,
        })
    }

    /// The log's identity.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Looks the identity up again, after a fence.
    pub(super) async fn learn_identity(&mut self) -> Result<(), JournalError> {
        self.identity = self.with(|reader| Ok(reader.identity())).await?;
        Ok(())
    }

    /// The durable tail as it moves; 0 for an empty log.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.tail.clone()
    }

    /// The durable tail now; 0 for an empty log.
    pub fn tail(&self) -> u64 {
        *self.tail.borrow()
    }

    /// Looks up the tail in the files: for a log that another process writes.
    pub async fn refresh(&self) -> Result<u64, JournalError> {
        let tail = self.with(wal::Reader::tail).await?;
        Ok(tail.map_or(0, Seq::get))
    }

    /// The oldest number that is still kept.
    pub async fn first(&self) -> Result<Option<Seq>, JournalError> {
        self.with(wal::Reader::first).await
    }

    /// Records from `from` on, in order, each checked; none past the tail. Numbers that are left out lie in recorded
    /// holes.
    pub async fn read(
        &self,
        from: Seq,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, JournalError> {
        self.with(move |reader| reader.read(from, records_max, bytes_max))
            .await
    }

    /// Records from `from` on as far as `until`: a hole in between would make a count of records reach past it.
    pub async fn range(
        &self,
        from: Seq,
        until: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, JournalError> {
        let left = (until + 1).saturating_sub(from.get());
        let count = usize::try_from(left).map_or(records_max, |left| left.min(records_max));
        let mut records = self.read(from, count, bytes_max).await?;
        records.truncate(records.partition_point(|record| record.header().seq.get() <= until));
        Ok(records)
    }

    /// The numbers that no record has and none will ever have. Looks into the catalog.
    pub async fn holes(&self) -> Result<Holes, JournalError> {
        self.with(wal::Reader::holes).await.map(Holes::new)
    }

    /// How far each reader of the log has come.
    pub async fn cursors(&self) -> Result<Vec<(String, Seq)>, JournalError> {
        self.with(wal::Reader::cursors).await
    }

    /// The sources' positions.
    pub async fn bookmarks(&self) -> Result<Vec<(String, Vec<u8>)>, JournalError> {
        self.with(wal::Reader::bookmarks).await
    }

    /// The segments, oldest first.
    pub async fn segments(&self) -> Result<Vec<wal::SegmentInfo>, JournalError> {
        self.with(wal::Reader::segments).await
    }

    /// redb reads block on the disk, so they run on the blocking pool.
    async fn with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&wal::Reader) -> Result<T, wal::ReadError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let current = Arc::clone(&self.current);
        let outcome = tokio::task::spawn_blocking(move || {
            let until = Instant::now() + REOPENING_WAIT;
            loop {
                // The guard is held for the whole read: the writer must not open the log again while a reader uses it.
                let guard = current.read().unwrap_or_else(PoisonError::into_inner);
                match guard.as_ref() {
                    Some(reader) => return read(reader).map_err(JournalError::Read),
                    None if Instant::now() >= until => return Err(JournalError::Reopening),
                    None => {}
                }
                drop(guard);
                std::thread::sleep(LOOK);
            }
        });
        let outcome = outcome.await.unwrap_or(Err(JournalError::Closed));
        if let (Some(status), Err(JournalError::Read(error))) = (&self.status, &outcome)
            && let Some(seq) = damaged_record(error)
        {
            status.log(|board| board.met_damage(seq.get(), chain(error)));
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_reads_while_the_log_is_opened_again_waits_for_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = wal::Log::open(&dir.path().join(LOG_DIR), wal::Options::default());
        let log = log.expect("a new log");
        let reader = JournalReader::open(dir.path()).expect("a log");
        let current = reader.current.write().expect("not poisoned").take();
        assert!(current.is_some());
        let segments = tokio::spawn({
            let reader = reader.clone();
            async move { reader.segments().await }
        });
        // The read is under way, and finds nothing to read from, before there is something again.
        while Arc::strong_count(&reader.current) < 3 {
            tokio::task::yield_now().await;
        }
        *reader.current.write().expect("not poisoned") = Some(log.reader());
        let segments = segments.await.expect("no panic").expect("readable again");
        assert_eq!(segments.len(), 1);
    }
}
