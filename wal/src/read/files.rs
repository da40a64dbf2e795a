//! The segment files as a reader sees them: which there are, and a few of them open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use redb::{ReadTransaction, ReadableDatabase};

use crate::archive::{self, Archive};
use crate::catalog::{self, Contents};
use crate::contain::contained;
use crate::container::ContainerError;
use crate::error::{At, AtFile, OpenError, ReadError};
use crate::info::SegmentInfo;
use crate::live::Live;
use crate::open::{REPAIR_POLL, REPAIR_WAIT};
use crate::overlay::{Opened, open_copy, open_unchanged};
use crate::part::{Part, Window};
use crate::plan::{CATALOG, RESTORE_MARKER, parse_segment_name, segment_name, segments_in};
use crate::segment;
use crate::storage::{LockError, Role, Storage};

/// Segments kept open at once. Readers go forward, so more than the one being read and the
/// active one are seldom of use.
const OPEN_MAX: usize = 4;

/// Shared by all clones of a reader.
pub(crate) struct Files {
    storage: Arc<dyn Storage>,
    live: Option<Arc<Live>>,
    archive: Option<Arc<Archive>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// First numbers of the segments, ascending, as last listed.
    firsts: Arc<[u64]>,
    /// Least recently used first.
    open: Vec<(u64, Arc<Opened>)>,
    /// What sealed segments say; it never changes.
    sealed: HashMap<u64, SegmentInfo>,
}

impl Files {
    pub(crate) fn new(storage: Arc<dyn Storage>, live: Option<Arc<Live>>) -> Files {
        Files {
            storage,
            live,
            archive: None,
            state: Mutex::default(),
        }
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    pub(crate) fn with_archive(self, archive: Option<Arc<Archive>>) -> Files {
        Files { archive, ..self }
    }

    /// The archived segments that precede the live ones, which begin at `floor`.
    pub(crate) fn archived(&self, floor: u64) -> Result<Arc<[SegmentInfo]>, ReadError> {
        match &self.archive {
            Some(archive) => archive.run(floor),
            None => Ok(Arc::default()),
        }
    }

    /// Reads archived records; `None` if these are not archived.
    pub(crate) fn read_archived(
        &self,
        floor: u64,
        window: &Window,
    ) -> Result<Option<Part>, ReadError> {
        match &self.archive {
            Some(archive) if window.next < floor => archive.read(floor, window),
            _ => Ok(None),
        }
    }

    /// A container of the archive; `None` if it is not there.
    pub(crate) fn container(
        &self,
        first: u64,
    ) -> Result<Option<Arc<archive::Opened>>, ContainerError> {
        match &self.archive {
            Some(archive) => archive.container(first),
            None => Ok(None),
        }
    }

    /// First numbers of the segments as last listed; never empty.
    ///
    /// # Errors
    /// As [`Files::refresh`].
    pub(crate) fn firsts(&self) -> Result<Arc<[u64]>, ReadError> {
        let known = Arc::clone(&self.state().firsts);
        if known.is_empty() {
            self.refresh()
        } else {
            Ok(known)
        }
    }

    /// Lists the directory again.
    ///
    /// # Errors
    /// [`OpenError::NotALog`] when there is no segment.
    pub(crate) fn refresh(&self) -> Result<Arc<[u64]>, ReadError> {
        let names = self.storage.list().at("the log directory")?;
        if names.iter().any(|name| name == RESTORE_MARKER) {
            return Err(OpenError::RestoreUnfinished.into());
        }
        let firsts: Arc<[u64]> = segments_in(&names).into();
        let Some(floor) = firsts.first().copied() else {
            let dir = format!("{:?}", self.storage);
            return Err(OpenError::NotALog { dir }.into());
        };
        let mut state = self.state();
        state.firsts = Arc::clone(&firsts);
        // What was trimmed must not keep its disk space through an open file.
        state.open.retain(|(first, _)| *first >= floor);
        state.sealed.retain(|first, _| *first >= floor);
        Ok(firsts)
    }

    /// Runs `work` on a fresh snapshot of one segment. `None` if its file is gone. Where that
    /// fails on a file opened before, it is opened anew: it may have been salvaged since.
    pub(crate) fn with<T>(
        &self,
        first: u64,
        work: impl Fn(&ReadTransaction) -> Result<T, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        let file = segment_name(first);
        if let Some(live) = &self.live {
            let slot = live.active();
            if let Some(active) = slot.as_ref().filter(|active| active.first == first) {
                return contained(&file, || work(&active.db.begin_read().at(&file)?).map(Some));
            }
        }
        loop {
            let was_open = self.state().open.iter().any(|(open, _)| *open == first);
            let Some(db) = self.opened(first, &file)? else {
                return Ok(None);
            };
            let result = contained(&file, || work(&db.begin_read().at(&file)?).map(Some));
            if result.is_ok() {
                return result;
            }
            let mut state = self.state();
            state.open.retain(|(open, _)| *open != first);
            state.sealed.remove(&first);
            if !was_open {
                return result;
            }
        }
    }

    /// What the catalog says; `None` where there is no catalog.
    ///
    /// # Errors
    /// [`OpenError`] for one that cannot be read.
    pub(crate) fn catalog(&self) -> Result<Option<Contents>, OpenError> {
        self.with_catalog(catalog::read)
    }

    /// Runs `work` on a fresh snapshot of the catalog; `None` where there is no catalog.
    pub(crate) fn with_catalog<T, E: From<At> + From<OpenError>>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        contained(CATALOG, || {
            if let Some(live) = &self.live
                && let Some(db) = live.catalog().as_ref()
            {
                return work(&db.begin_read().at(CATALOG)?).map(Some);
            }
            let Some(db) = open_settled(&*self.storage, CATALOG)? else {
                return Ok(None);
            };
            work(&db.begin_read().at(CATALOG)?).map(Some)
        })
    }

    /// Record bytes of the active segment if its writer is in this process.
    pub(crate) fn live_bytes(&self, first: u64) -> Option<u64> {
        let live = self.live.as_ref()?;
        let slot = live.active();
        let is_active = slot.as_ref().is_some_and(|active| active.first == first);
        is_active.then(|| live.bytes())
    }

    /// The last number that may be read while the writer is in this process.
    pub(crate) fn durable(&self) -> Option<u64> {
        self.live.as_ref().and_then(|live| live.durable())
    }

    pub(crate) fn sealed(&self, first: u64) -> Option<SegmentInfo> {
        self.state().sealed.get(&first).cloned()
    }

    pub(crate) fn remember_sealed(&self, first: u64, info: SegmentInfo) {
        self.state().sealed.insert(first, info);
    }

    fn opened(&self, first: u64, file: &str) -> Result<Option<Arc<Opened>>, ReadError> {
        let mut state = self.state();
        if let Some(at) = state.open.iter().position(|(f, _)| *f == first) {
            let entry = state.open.remove(at);
            let db = Arc::clone(&entry.1);
            state.open.push(entry);
            return Ok(Some(db));
        }
        drop(state);
        let opened = match &self.live {
            // Its writer here has repaired what it writes to. What is not clean all the same is
            // a sealed file that changed since it was closed.
            Some(_) => absent_is_none(open_unchanged(&*self.storage, file))?,
            None => open_settled(&*self.storage, file)?,
        };
        let Some(db) = opened.map(Arc::new) else {
            return Ok(None);
        };
        let mut state = self.state();
        if state.open.len() >= OPEN_MAX {
            state.open.remove(0);
        }
        state.open.push((first, Arc::clone(&db)));
        Ok(Some(db))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a file read-only. One that a crashed writer left is repaired first, under the writer's
/// lock; while somebody else holds the lock it is they who repair, and this waits for them. A
/// sealed segment needs no waiting: what its manifest seals is there, and nobody changes it.
pub(crate) fn open_settled(storage: &dyn Storage, file: &str) -> Result<Option<Opened>, OpenError> {
    let started = Instant::now();
    loop {
        match segment::open_read_only(storage, file) {
            Ok(db) => return Ok(Some(Opened::AsItIs(db))),
            Err(e) if e.is_absent() => return Ok(None),
            Err(e) if e.needs_repair() => {}
            Err(e) => return Err(At::new(file, e).into()),
        }
        match storage.lock(Role::Repair) {
            Ok(_guard) => segment::repair(storage, file)?,
            Err(LockError::Io(e)) => return Err(At::new("lock", e).into()),
            Err(LockError::Held { .. }) => {
                if let Some(copy) = sealed_copy(storage, file) {
                    return Ok(Some(copy));
                }
                if started.elapsed() >= REPAIR_WAIT {
                    return Err(OpenError::BeingRepaired {
                        file: file.to_owned(),
                    });
                }
                std::thread::sleep(REPAIR_POLL);
            }
        }
    }
}

/// A sealed segment that is not clean; `None` for anything else, and while it is being repaired.
fn sealed_copy(storage: &dyn Storage, file: &str) -> Option<Opened> {
    parse_segment_name(file)?;
    let copy = open_copy(storage, file).ok()?;
    let sealed = contained::<_, At>(file, || {
        segment::is_sealed(&copy.begin_read().at(file)?).at(file)
    });
    sealed.is_ok_and(|sealed| sealed).then_some(copy)
}

/// A file that is gone is trimmed.
fn absent_is_none(opened: Result<Opened, At>) -> Result<Option<Opened>, At> {
    match opened {
        Err(e) if e.source.is_absent() => Ok(None),
        opened => opened.map(Some),
    }
}
