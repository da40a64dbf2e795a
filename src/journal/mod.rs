//! The journal: the async face of the log.
//!
//! One thread owns the log's only writer. [`JournalWriter`] hands it batches through a bounded queue and answers when
//! the commit that holds them has been fsynced (I1); a commit takes whatever queued while the last one ran, so it
//! holds one event at 50/s and hundreds under load. [`JournalReader`] reads checked records and tells when the durable
//! tail moves. A second process appends through the first one's socket ([`socket`]), and reads by itself.

mod error;
pub mod socket;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use wal::{Identity, NewRecord, Outcome, Record, Seq};

pub use error::JournalError;

use crate::config;
use crate::status::Status;

/// Requests that may wait for the writer; the events in them are bounded by `wal.queue_events_max`.
const QUEUE_REQUESTS: usize = 1024;

/// Name of the log's folder inside the data directory.
pub const LOG_DIR: &str = "log";

/// What is appended together: all of it durable, or nothing (I2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Append {
    /// The records, in order.
    pub records: Vec<NewRecord>,
    /// The source's new positions.
    pub bookmarks: Vec<(String, Vec<u8>)>,
    /// Cursors of readers of the log; they only move forward.
    pub cursors: Vec<(String, Seq)>,
}

/// A request on its way to the writer.
struct Request {
    append: Append,
    reply: oneshot::Sender<Result<Vec<Outcome>, JournalError>>,
    /// Room in the queue, given back when the request is answered.
    _room: tokio::sync::OwnedSemaphorePermit,
}

/// Appends to the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JournalWriter {
    queue: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    room_max: u32,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("records", &self.append.records.len())
            .finish()
    }
}

/// An append that is queued: its outcome arrives when it is durable.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Vec<Outcome>, JournalError>>);

impl Pending {
    /// Waits until the append is durable; one outcome for each record. Cancel safe; answers once.
    pub async fn durable(&mut self) -> Result<Vec<Outcome>, JournalError> {
        (&mut self.0).await.unwrap_or(Err(JournalError::Closed))
    }
}

impl JournalWriter {
    fn new(queue_events_max: usize) -> (JournalWriter, mpsc::Receiver<Request>) {
        let (queue, requests) = mpsc::channel(QUEUE_REQUESTS);
        let room_max = u32::try_from(queue_events_max).unwrap_or(u32::MAX).max(1);
        let room = Arc::new(Semaphore::new(room_max as usize));
        (
            JournalWriter {
                queue,
                room,
                room_max,
            },
            requests,
        )
    }

    /// Queues an append; waits only while the queue is full. Appends are durable in the order they were queued.
    pub async fn submit(&self, append: Append) -> Result<Pending, JournalError> {
        // A batch larger than the whole queue takes all of it instead of waiting for ever.
        let wanted = u32::try_from(append.records.len())
            .unwrap_or(u32::MAX)
            .clamp(1, self.room_max);
        let room = Arc::clone(&self.room)
            .acquire_many_owned(wanted)
            .await
            .map_err(|_| JournalError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.queue
            .send(Request {
                append,
                reply,
                _room: room,
            })
            .await
            .map_err(|_| JournalError::Closed)?;
        Ok(Pending(answer))
    }

    /// Appends and waits until it is durable.
    pub async fn append(&self, append: Append) -> Result<Vec<Outcome>, JournalError> {
        self.submit(append).await?.durable().await
    }

    /// Notes how far a reader of the log has come. Durable with the next commit, not before.
    pub async fn save_cursor(&self, name: &str, seq: Seq) -> Result<(), JournalError> {
        let append = Append {
            cursors: vec![(name.to_owned(), seq)],
            ..Append::default()
        };
        self.submit(append).await.map(drop)
    }
}

/// Reads the log while it is written. Cheap to clone; holds no read transaction between calls.
#[derive(Clone)]
pub struct JournalReader {
    /// None while the writer has to open the log again after an I/O error.
    current: Arc<RwLock<Option<wal::Reader>>>,
    identity: Identity,
    tail: watch::Receiver<u64>,
}

impl JournalReader {
    /// Opens a log for reading beside whatever process writes it. The tail is that of this moment until
    /// [`refresh`](Self::refresh) is called.
    pub fn open(data_dir: &Path) -> Result<JournalReader, JournalError> {
        let reader = wal::Reader::open(&data_dir.join(LOG_DIR)).map_err(JournalError::Open)?;
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
        })
    }

    /// The log's identity.
    pub fn identity(&self) -> Identity {
        self.identity
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

    /// Records from `from` on, in order and without a hole, each checked; none past the tail.
    pub async fn read(
        &self,
        from: Seq,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, JournalError> {
        self.with(move |reader| reader.read(from, records_max, bytes_max))
            .await
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
            // The guard is held for the whole read: the writer must not open the log again while a reader uses it.
            let guard = current.read().unwrap_or_else(PoisonError::into_inner);
            match guard.as_ref() {
                Some(reader) => read(reader).map_err(JournalError::Read),
                None => Err(JournalError::Reopening),
            }
        });
        outcome.await.unwrap_or(Err(JournalError::Closed))
    }
}

/// The open journal: its writer thread runs until the last [`JournalWriter`] is gone.
pub struct Journal {
    /// Appends.
    pub writer: JournalWriter,
    /// Reads.
    pub reader: JournalReader,
    /// What opening the log had to do.
    pub recovery: wal::Recovery,
    thread: std::thread::JoinHandle<()>,
}

impl Journal {
    /// Opens the log in a data directory, creating both when they are not there. Fails at once when another process
    /// holds it (I8).
    pub fn open(
        data_dir: &Path,
        options: &config::Wal,
        status: Status,
    ) -> Result<Journal, JournalError> {
        let dir: PathBuf = data_dir.join(LOG_DIR);
        let wal_options = wal_options(options);
        let log = wal::Log::open(&dir, wal_options.clone()).map_err(JournalError::Open)?;
        let recovery = log.recovery().clone();
        let durable = recovery.tail.map_or(0, Seq::get);
        let (tail_sender, tail) = watch::channel(durable);
        status.durable(durable);
        let current = Arc::new(RwLock::new(Some(log.reader())));
        let reader = JournalReader {
            current: Arc::clone(&current),
            identity: log.identity(),
            tail,
        };
        let (writer, requests) = JournalWriter::new(options.queue_events_max);
        let owner = writer::Owner {
            dir,
            options: wal_options,
            commit_events_max: options.commit_events_max.max(1),
            current,
            tail: tail_sender,
            status,
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || owner.run(log, requests))
            .map_err(JournalError::Thread)?;
        Ok(Journal {
            writer,
            reader,
            recovery,
            thread,
        })
    }

    /// Waits until everything queued is durable and the log is closed. All other writers must be gone.
    pub async fn close(self) {
        let Journal {
            writer,
            reader,
            thread,
            ..
        } = self;
        drop(writer);
        drop(reader);
        // A panic of the writer thread was reported by the thread itself.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

fn wal_options(options: &config::Wal) -> wal::Options {
    wal::Options {
        segment_bytes_max: options.segment_bytes_max,
        segment_age_max: options.segment_age_max,
        ..wal::Options::default()
    }
}
