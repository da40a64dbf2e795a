//! The journal: the async face of the log.
//!
//! One thread owns the log's only writer. [`JournalWriter`] hands it batches through a bounded queue and answers when
//! the commit that holds them has been fsynced (I1); a commit takes whatever queued while the last one ran, so it
//! holds one event at 50/s and hundreds under load. [`JournalReader`] reads checked records and tells when the durable
//! tail moves. A second process appends through the first one's socket ([`socket`]), and reads by itself.
//!
//! | file | what |
//! |---|---|
//! | `request` | what waits for the writer thread, and the answers |
//! | `writer` | the thread: commits, jobs |
//! | `group` | what of that which waits goes into one commit |
//! | `trouble` | a full or failing disk: opened anew, read on, tried again |
//! | `ballast` | room on the disk that is kept for that |
//! | `reader` | reading |
//! | `ranges` | reading as far as a projector needs it, from here or from another machine |
//! | `holes` | numbers that no record has |
//! | `access` | whether the data directory is ours alone |
//! | `opening` | progress of a long opening |
//! | `control` | what can be asked of the log beside appending, and the answers |
//! | `retention` | what a trim removes, and what keeps the rest |
//! | `sources` | where salvage finds records besides the log's own files |
//! | `socket` | all of it from another process |
//! | `edge` | reading from another machine |
//! | `cut` | taking the messages of both apart |

mod access;
mod ballast;
pub mod control;
mod cut;
pub mod edge;
mod error;
mod group;
mod holes;
mod opening;
mod ranges;
mod reader;
mod request;
pub mod retention;
pub mod socket;
pub mod sources;
mod trouble;
mod writer;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use wal::{NewRecord, Outcome, Seq};

pub use access::{is_refusal, prepare};
pub use ballast::BALLAST;
pub use error::{JournalError, disk_class};
pub use holes::Holes;
pub use opening::Opening;
pub use ranges::Ranges;
pub use reader::{JournalReader, open_log};
pub use request::{Done, Job};

use self::ballast::Ballast;
use self::request::{Queued, Request};
use self::trouble::Trouble;
use crate::config;
use crate::failure::chain;
use crate::status::{BallastState, Status};

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

/// Appends to the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JournalWriter {
    queue: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    room_max: u32,
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
        let queued = Queued {
            append,
            reply,
            _room: room,
        };
        self.queue
            .send(Request::Append(queued))
            .await
            .map_err(|_| JournalError::Closed)?;
        Ok(Pending(answer))
    }

    /// Appends and waits until it is durable.
    pub async fn append(&self, append: Append) -> Result<Vec<Outcome>, JournalError> {
        self.submit(append).await?.durable().await
    }

    /// Has the one writer do something else than appending, and waits for it.
    pub async fn perform(&self, job: Job) -> Result<Done, JournalError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Job(job, reply);
        self.queue
            .send(request)
            .await
            .map_err(|_| JournalError::Closed)?;
        answer.await.unwrap_or(Err(JournalError::Closed))
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
    /// holds it (I8), or when the directory is not ours alone. `say` hears of an opening that takes longer than a
    /// second.
    pub fn open(
        data_dir: &Path,
        options: &config::Wal,
        status: Status,
        mut say: impl FnMut(Opening) + Send,
    ) -> Result<Journal, JournalError> {
        access::check(data_dir)?;
        let dir: PathBuf = data_dir.join(LOG_DIR);
        let wal_options = wal_options(options);
        let ballast = Ballast::new(data_dir, options.ballast);
        let log = opening::watched(&mut say, |meter| {
            let open = || wal::Log::open(&dir, meter.on(&wal_options));
            match open() {
                Err(error) if trouble::is_full(&error) && ballast.release().is_ok() => open(),
                opened => opened,
            }
        })
        .map_err(JournalError::Open)?;
        let recovery = log.recovery().clone();
        let durable = recovery.tail.map_or(0, Seq::get);
        let (tail_sender, tail) = watch::channel(durable);
        status.durable(durable);
        status.log(|board| board.opened(&recovery));
        trouble::note_holes(&status, &log);
        let trouble = first_ballast(&ballast, &status);
        let current = Arc::new(RwLock::new(Some(log.reader())));
        let reader = JournalReader {
            current: Arc::clone(&current),
            identity: log.identity(),
            tail,
            status: Some(status.clone()),
        };
        let (writer, requests) = JournalWriter::new(options.queue_events_max);
        let owner = writer::Owner {
            dir,
            options: wal_options,
            commit_events_max: options.commit_events_max.max(1),
            current,
            tail: tail_sender,
            status,
            ballast,
            given_back: trouble.is_some(),
            log: Some(log),
            trouble,
            backlog: VecDeque::new(),
            held: None,
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || owner.run(requests))
            .map_err(JournalError::Thread)?;
        Ok(Journal {
            writer,
            reader,
            recovery,
            thread,
        })
    }

    /// Skips all numbers up to `to` and starts a new epoch, before anything flows: who took the journal apart by
    /// cloning its reader goes on with the identity of before. Gives what is skipped; none when the log is past it.
    pub async fn fence(&mut self, to: Seq) -> Result<Option<wal::Hole>, JournalError> {
        let Done::Fenced(hole) = self.writer.perform(Job::Fence { to }).await? else {
            return Ok(None);
        };
        self.reader.learn_identity().await?;
        Ok(hole)
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

/// Makes the ballast at the start. A disk without room for it counts as full: nothing would be left to stop in order.
fn first_ballast(ballast: &Ballast, status: &Status) -> Option<Trouble> {
    let (state, trouble) = match ballast.fill() {
        Ok(()) if ballast.is_on() => (BallastState::Whole, None),
        Ok(()) => (BallastState::Off, None),
        Err(error) if trouble::is_no_room(&error) => {
            let trouble = Trouble::no_ballast(&error);
            (BallastState::Released, Some(trouble))
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), "the ballast cannot be made");
            (BallastState::Missing, None)
        }
    };
    status.log(|board| {
        board.ballast = state;
        board.full = trouble.is_some();
        board.fault = trouble.as_ref().map(|it| it.text.clone());
    });
    trouble
}

/// The options of the log itself.
pub fn wal_options(options: &config::Wal) -> wal::Options {
    wal::Options {
        segment_bytes_max: options.segment_bytes_max,
        segment_age_max: options.segment_age_max,
        archive: options.archive_dir.clone(),
        ..wal::Options::default()
    }
}
