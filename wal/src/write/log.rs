//! The one writer: its handle, sealing, trimming, closing.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::ReadOnlyTable;

use crate::archive::Archive;
use crate::batch::{Appended, Batch};
use crate::catalog::{Catalog, Floor};
use crate::contain::contained;
use crate::error::{AppendError, AtFile, OpenError, ReadError};
use crate::files::Files;
use crate::info::SegmentInfo;
use crate::keeper::{Absorbing, Ahead, Digest};
use crate::key_index::Index;
use crate::live::Live;
use crate::manifest::Manifest;
use crate::options::{Options, Recovery};
use crate::plan::{CATALOG, segment_name};
use crate::prepared::PREPARED;
use crate::reader::Reader;
use crate::segment::{Marks, Mode};
use crate::seq::{Identity, Seq};
use crate::storage::{Disk, LockGuard, Storage};
use crate::{append, batch, clock, open};

/// The one writer of a log. Holds the directory's lock until it is closed or dropped; dropping
/// closes it cleanly but cannot report an error.
pub struct Log {
    /// The segment sealed last, until the catalog knows it. Before the catalog: it is waited for
    /// when the log goes.
    pub(crate) absorbing: Option<Absorbing>,
    /// Keys of all segments that the catalog knows, as of this snapshot; taken anew when `None`.
    pub(crate) sealed_keys: Option<ReadOnlyTable<&'static [u8], u64>>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) live: Arc<Live>,
    pub(crate) archive: Option<Arc<Archive>>,
    pub(crate) catalog: Catalog,
    pub(crate) options: Options,
    pub(crate) identity: Identity,
    /// First number of the active segment.
    pub(crate) first: u64,
    /// Number of the last record, 0 in an empty log.
    pub(crate) tail: u64,
    /// Dedup keys of the active segment.
    pub(crate) keys: Index,
    /// Bookmarks and cursors as they are durable.
    pub(crate) marks: Marks,
    pub(crate) digest: Digest,
    pub(crate) ahead: Ahead,
    pub(crate) age: Age,
    pub(crate) recovery: Recovery,
    pub(crate) poisoned: bool,
    pub(crate) _closer: Closer,
    /// Last: freed only after the files above are closed.
    pub(crate) _lock: LockGuard,
}

/// How old the active segment is: by the wall clock when it is opened, since it may have been
/// made by an earlier process, and by the monotonic clock from then on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Age {
    at_open: Duration,
    opened: Instant,
}

impl Age {
    pub(crate) fn of(created_at: i64) -> Age {
        let micros = clock::unix_micros().saturating_sub(created_at);
        Age {
            at_open: Duration::from_micros(u64::try_from(micros).unwrap_or(0)),
            opened: Instant::now(),
        }
    }

    fn now(self) -> Duration {
        self.at_open.saturating_add(self.opened.elapsed())
    }
}

impl Log {
    /// Opens the log in `dir`, creating directory and log if they are not there, and completes
    /// what a crash interrupted. Takes time in proportion to the active segment after an unclean
    /// stop (see [`Options::segment_bytes_max`]) and none in proportion to the log.
    ///
    /// # Errors
    /// [`OpenError::Locked`] at once while another writer lives; the others name the file.
    pub fn open(dir: &Path, options: Options) -> Result<Log, OpenError> {
        let disk = Disk::new(dir);
        disk.create_dir().at(&dir.display().to_string())?;
        let archive = options.archive.clone();
        let mut log = open::open(Arc::new(disk), options)?;
        if let Some(dir) = archive {
            let disk = Disk::new(&dir);
            let made = disk.create_dir().at(&dir.display().to_string());
            log.attach(Arc::new(disk), made.map_err(OpenError::from));
        }
        Ok(log)
    }

    /// Opens the log of a machine whose power can be cut.
    ///
    /// # Errors
    /// As [`Log::open`].
    #[cfg(any(test, feature = "fault"))]
    pub fn open_on(machine: &crate::fault::Machine, options: Options) -> Result<Log, OpenError> {
        let archive = options.archive.clone();
        let mut log = open::open(Arc::new(machine.clone()), options)?;
        if let Some(dir) = archive {
            let machine = machine.dir(&dir.display().to_string());
            log.attach(Arc::new(machine), Ok(()));
        }
        Ok(log)
    }

    /// Appends the batch as one transaction and returns once it is on disk: all records that are
    /// not duplicates, their keys, the bookmarks and the cursors, or nothing. A batch that
    /// changes nothing is answered without touching the disk. May seal a full segment first.
    ///
    /// # Errors
    /// A broken limit leaves the log usable. Any other error poisons the handle.
    pub fn append(&mut self, batch: &Batch) -> Result<Appended, AppendError> {
        self.guarded(|log| {
            batch::check(batch, log.tail)?;
            let count = log.tail + 1 - log.first;
            let rule = log.options.seal_rule();
            let mut rolled = None;
            if rule.is_due(count, log.live.bytes(), log.age.now()) {
                let started = Instant::now();
                log.roll()?;
                rolled = Some(started.elapsed());
            }
            let appended = append::append(log, batch);
            if appended.as_ref().is_err_and(AppendError::poisons) {
                // A failure beside the appends comes first: it may be why this one failed.
                log.settle()?;
            }
            let appended = appended?;
            log.tend()?;
            Ok(Appended { rolled, ..appended })
        })
    }

    /// Seals the active segment and starts the next one. Nothing happens to an empty segment.
    ///
    /// # Errors
    /// Any error poisons the handle; opening the log again completes or undoes the seal.
    pub fn seal(&mut self) -> Result<(), AppendError> {
        self.guarded(|log| {
            if log.tail < log.first {
                return Ok(());
            }
            log.roll()?;
            log.settle()
        })
    }

    /// Removes the sealed segments whose records all lie below `keep_from`, and says which. The
    /// active segment stays. Their dedup keys stay too: what was removed is still a duplicate.
    /// With [`Options::archive`] they are archived first.
    ///
    /// # Errors
    /// [`AppendError::Archive`]: nothing was removed, the log goes on. Any other error poisons the handle; opening the log again completes the removal.
    pub fn trim(&mut self, keep_from: Seq) -> Result<Vec<SegmentInfo>, AppendError> {
        self.guarded(|log| {
            log.settle()?;
            log.trim_segments(keep_from.get())
        })
    }

    /// Which log this is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// What opening had to do.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// All bookmarks, by name.
    ///
    /// # Errors
    /// [`ReadError::Disk`].
    pub fn bookmarks(&self) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        self.reader().bookmarks()
    }

    /// A reader that shares this handle's open files. It outlives the log: after that it reads
    /// the files on its own.
    pub fn reader(&self) -> Reader {
        let files = Files::new(Arc::clone(&self.storage), Some(Arc::clone(&self.live)));
        Reader::new(files.with_archive(self.archive.clone()), self.identity)
    }

    /// Closes the files cleanly, so that the next open has nothing to repair, and frees the lock.
    ///
    /// # Errors
    /// [`AppendError::Disk`]; everything appended is safe in any case.
    pub fn close(mut self) -> Result<(), AppendError> {
        self.settle()?;
        if std::mem::take(&mut self.ahead).wait() {
            open::remove(&*self.storage, PREPARED)?;
        }
        let active = self.live.change().take();
        if let Some(active) = active {
            active.db.close().at(&segment_name(active.first))?;
        }
        self.live.set_catalog(None);
        Ok(self.catalog.close()?)
    }

    pub(crate) fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Log) -> Result<T, AppendError>,
    ) -> Result<T, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let file = segment_name(self.first);
        let result = contained(&file, || work(self));
        if result.as_ref().is_err_and(AppendError::poisons) {
            self.poisoned = true;
        }
        result
    }

    fn trim_segments(&mut self, keep_from: u64) -> Result<Vec<SegmentInfo>, AppendError> {
        let contents = self.catalog.contents().map_err(open_to_append)?;
        let gone: Vec<Manifest> = contents
            .manifests
            .into_iter()
            .take_while(|m| m.last < keep_from)
            .collect();
        let Some(last) = gone.last() else {
            return Ok(Vec::new());
        };
        let floor = Floor {
            first: last.last + 1,
            previous: Some(last.link()),
        };
        let mut removed = Vec::with_capacity(gone.len());
        for manifest in &gone {
            let file = segment_name(manifest.first);
            let file_bytes = self.storage.len(&file).unwrap_or(0);
            removed.push(SegmentInfo::sealed(manifest, file_bytes));
        }
        self.keep(&gone)?;
        self.catalog.raise_floor(floor).at(CATALOG)?;
        for info in &removed {
            // In ascending order, so that what a crash leaves behind has no hole.
            open::remove(&*self.storage, &info.file)?;
        }
        self.storage.sync_dir().at(CATALOG)?;
        Ok(removed)
    }
}

/// Empties the slot when the log goes: readers may hold it alive, and the files must be closed
/// before the lock is freed.
pub(crate) struct Closer(pub(crate) Arc<Live>);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("identity", &self.identity)
            .field("first", &self.first)
            .field("tail", &self.tail)
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

/// How the active segment is opened.
pub(crate) fn segment_mode(options: &Options) -> Mode {
    Mode {
        cache_bytes: options.segment_cache(),
        redo_bytes: options.redo_bytes,
    }
}

/// Rolling and trimming meet the errors of opening, since they share its steps.
pub(crate) fn open_to_append(e: OpenError) -> AppendError {
    match e {
        OpenError::Disk { file, source } => AppendError::Disk { file, source },
        e => AppendError::Structure(e),
    }
}
