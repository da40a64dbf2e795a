//! Work that appends do not wait for: the digest of the active segment as it grows, the file of
//! the next one, and the keys of a sealed one on their way into the catalog.

use std::sync::Arc;
use std::thread::JoinHandle;

use redb::ReadableDatabase;

use crate::catalog::Catalog;
use crate::compact::compact;
use crate::contain::contained;
use crate::error::{At, AtFile, DiskError, OpenError};
use crate::key_index::Index;
use crate::live::Live;
use crate::manifest::Manifest;
use crate::plan::{CATALOG, segment_name};
use crate::prepared::{PREPARED, extend};
use crate::segment;
use crate::storage::Storage;
use crate::sum::Summed;

/// Record bytes by which the digest and the segment's file may lag behind, at most and at least:
/// what is left of them is done at the seal.
const LAG: [u64; 2] = [4 << 20, 64 << 10];

/// A piece of work on a thread of its own, or already done where threads would make tests differ
/// from run to run.
pub(crate) enum Job<T> {
    Running(JoinHandle<T>),
    Done(T),
}

impl<T: Send + 'static> Job<T> {
    pub(crate) fn start(threads: bool, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        if threads {
            Job::Running(std::thread::spawn(work))
        } else {
            Job::Done(work())
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        match self {
            Job::Running(thread) => thread.is_finished(),
            Job::Done(_) => true,
        }
    }

    /// Waits for it. `None` if it panicked outside of what it contains itself.
    pub(crate) fn wait(self) -> Option<T> {
        match self {
            Job::Running(thread) => thread.join().ok(),
            Job::Done(value) => Some(value),
        }
    }
}

/// A sealed segment on its way into the catalog.
pub(crate) struct Absorbing {
    /// Its dedup keys, which nobody else knows until then.
    pub(crate) keys: Index,
    /// `None` once it was waited for.
    job: Option<Job<Result<(), OpenError>>>,
}

impl Drop for Absorbing {
    /// The catalog is not to be used any more after its log is gone.
    fn drop(&mut self) {
        drop(self.job.take().map(Job::wait));
    }
}

impl Absorbing {
    pub(crate) fn start(
        storage: &Arc<dyn Storage>,
        catalog: &Catalog,
        sealed: Manifest,
        keys: Index,
    ) -> Absorbing {
        let (files, catalog) = (Arc::clone(storage), catalog.clone());
        let job = Job::start(storage.threads(), move || {
            contained(CATALOG, || absorb(&*files, &catalog, &sealed))?;
            tighten(&*files, &sealed);
            Ok(())
        });
        Absorbing {
            keys,
            job: Some(job),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.job.as_ref().is_none_or(Job::is_done)
    }

    pub(crate) fn wait(mut self) -> Result<(), OpenError> {
        let done = self.job.take().and_then(Job::wait);
        done.unwrap_or_else(|| Err(ended()))
    }
}

/// Puts a sealed, closed segment into the catalog, and the number of the one after it, which
/// must have been made.
pub(crate) fn absorb(
    storage: &dyn Storage,
    catalog: &Catalog,
    sealed: &Manifest,
) -> Result<(), OpenError> {
    let file = segment_name(sealed.first);
    let db = segment::open_read_only(storage, &file).at(&file)?;
    let txn = db.begin_read().at(&file)?;
    catalog.absorb(sealed, &txn).at(CATALOG)?;
    Ok(catalog.note_newest(sealed.last + 1).at(CATALOG)?)
}

/// Writes the file again if its appends left much of it unused. A segment that cannot be written
/// again stays as it is: sealed, and good.
fn tighten(storage: &dyn Storage, sealed: &Manifest) {
    let file = segment_name(sealed.first);
    let len = storage.len(&file).unwrap_or(0);
    if is_loose(len, sealed.record_bytes) {
        let _ = contained(&file, || compact(storage, sealed.first));
    }
}

/// Small files are not worth it, and a quarter more than the records is what full pages with
/// their keys take.
fn is_loose(file_bytes: u64, record_bytes: u64) -> bool {
    record_bytes >= 1 << 20 && file_bytes > record_bytes / 4 * 5
}

fn ended() -> OpenError {
    let message = "its thread ended".to_owned();
    At::new(CATALOG, DiskError::Panicked { message }).into()
}

/// So much has to come before it is worth following: less and less as the segment gets full.
fn lag(bytes: u64, bytes_max: u64) -> u64 {
    let [most, least] = LAG;
    (bytes_max.saturating_sub(bytes) / 8).clamp(least, most)
}

/// The digest of the active segment, kept near its end, and with it the segment's file.
pub(crate) struct Digest {
    job: Job<Result<Summed, OpenError>>,
    /// Record bytes when the job was started.
    bytes: u64,
}

impl Digest {
    /// Of a segment with this much summed.
    pub(crate) fn new(summed: Summed) -> Digest {
        Digest {
            job: Job::Done(Ok(summed)),
            bytes: 0,
        }
    }

    /// Sums on, beside the appends, when enough has come since. `tail` is the last number that
    /// is durable: what is not yet may still be taken back.
    pub(crate) fn follow(&mut self, live: &Arc<Live>, threads: bool, tail: u64, bytes_max: u64) {
        let bytes = live.bytes();
        if bytes < self.bytes + lag(bytes, bytes_max) || !self.job.is_done() {
            return;
        }
        let done = std::mem::replace(&mut self.job, Job::Done(Err(ended())));
        self.bytes = bytes;
        let live = Arc::clone(live);
        self.job = match done.wait().unwrap_or_else(|| Err(ended())) {
            Ok(summed) => Job::start(threads, move || sum(&live, summed, tail)),
            failed => Job::Done(failed),
        };
    }

    /// What is summed by now.
    pub(crate) fn wait(self) -> Result<Summed, OpenError> {
        self.job.wait().unwrap_or_else(|| Err(ended()))
    }
}

fn sum(live: &Live, mut summed: Summed, tail: u64) -> Result<Summed, OpenError> {
    let slot = live.active();
    let Some(active) = slot.as_ref() else {
        return Err(ended());
    };
    let file = segment_name(active.first);
    contained(&file, || {
        let txn = active.db.begin_read().at(&file)?;
        let holes = segment::read_holes(&txn).at(&file)?;
        summed.add(&txn, &holes, tail).at(&file)?;
        active.guard.sync_ahead().at(&file)?;
        Ok(summed)
    })
}

/// The file of the next segment, on its way.
pub(crate) struct Ahead {
    /// Whether it is as long as was asked for: there is none otherwise.
    job: Job<bool>,
    asked: u64,
}

impl Default for Ahead {
    fn default() -> Ahead {
        Ahead {
            job: Job::Done(true),
            asked: 0,
        }
    }
}

impl Ahead {
    /// Makes the file as long as is wanted by now, beside the appends. A disk that is full or
    /// fails ends that: the next segment is made without it, and its errors are the log's.
    pub(crate) fn follow(&mut self, storage: &Arc<dyn Storage>, wanted: u64) {
        if wanted <= self.asked || !self.job.is_done() {
            return;
        }
        let done = std::mem::replace(&mut self.job, Job::Done(false));
        if done.wait() != Some(true) {
            return;
        }
        let (files, asked) = (Arc::clone(storage), self.asked);
        self.asked = wanted;
        self.job = Job::start(storage.threads(), move || {
            let extended = extend(&*files, asked, wanted);
            if extended.is_err() {
                // Its space may be what is missing.
                let _ = files.remove(PREPARED);
            }
            extended.is_ok()
        });
    }

    /// Whether there is a file. Nobody writes to it any more.
    pub(crate) fn wait(mut self) -> bool {
        self.end() && self.asked > 0
    }

    fn end(&mut self) -> bool {
        std::mem::replace(&mut self.job, Job::Done(false)).wait() == Some(true)
    }
}

impl Drop for Ahead {
    /// The name is the next writer's after its log is gone.
    fn drop(&mut self) {
        self.end();
    }
}
