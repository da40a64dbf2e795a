//! The archive: containers of segments that retention removed from the log, in a directory of
//! their own. A container has its name only when it was read back and found whole.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{ReadableDatabase, StorageBackend};

use crate::catalog::Catalog;
use crate::contain::contained;
use crate::container::{
    self, Container, ContainerError, Sum, container_name, parse_container_name,
};
use crate::dedup::Sorted;
use crate::error::{AtFile, OpenError, ReadError};
use crate::frame::{Record, array};
use crate::info::SegmentInfo;
use crate::manifest::Manifest;
use crate::pace::Pacer;
use crate::part::{Part, Window};
use crate::plan::{CATALOG, TEMPORARY, segment_name};
use crate::segment;
use crate::seq::{LogId, Seq};
use crate::storage::{Access, Storage};

/// Containers kept open at once, each with the frame that was read last.
const OPEN_MAX: usize = 2;

/// Why a segment was not archived. Nothing was removed, and the log goes on.
#[derive(Debug, thiserror::Error)]
#[error("{file} was not archived: {source}")]
pub struct ArchiveError {
    /// The segment or its container.
    pub file: String,
    /// What failed.
    pub source: ContainerError,
}

/// What the catalog knows of an archived segment.
///
/// Layout, little-endian: u64 length of the container, 32 bytes its SHA-256 as in its trailer,
/// u32 crc32 over both, then the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archived {
    pub(crate) manifest: Manifest,
    pub(crate) sum: Sum,
}

impl Archived {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.sum.bytes.to_le_bytes().to_vec();
        out.extend_from_slice(&self.sum.sha256);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out.extend_from_slice(&self.manifest.encode());
        out
    }

    /// `None` for anything that [`Archived::encode`] did not produce.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Archived> {
        let (sum, rest) = bytes.split_at_checked(40)?;
        let (crc, manifest) = rest.split_at_checked(4)?;
        if crc32fast::hash(sum) != u32::from_le_bytes(array(crc, 0)) {
            return None;
        }
        Some(Archived {
            manifest: Manifest::decode(manifest)?,
            sum: Sum {
                bytes: u64::from_le_bytes(array(sum, 0)),
                sha256: array(sum, 8),
            },
        })
    }
}

pub(crate) type Opened = Container<Box<dyn StorageBackend>>;

/// The archive of one log.
pub(crate) struct Archive {
    storage: Arc<dyn Storage>,
    log_id: LogId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Checked by this process: need not be read again before the segment is removed.
    checked: BTreeMap<u64, Archived>,
    /// The run of containers that ends where the live log began when it was made.
    run: Option<(u64, Arc<[SegmentInfo]>)>,
    /// Least recently used first.
    open: Vec<(u64, Arc<Opened>)>,
}

impl Archive {
    pub(crate) fn new(storage: Arc<dyn Storage>, log_id: LogId) -> Archive {
        Archive {
            storage,
            log_id,
            state: Mutex::default(),
        }
    }

    /// Makes sure that the sealed segment is archived: writes its container, or checks the one
    /// that is there. A damaged one is written again.
    pub(crate) fn keep(
        &self,
        log: &dyn Storage,
        first: u64,
        pacer: &Pacer,
    ) -> Result<Archived, ArchiveError> {
        let (segment, name) = (segment_name(first), container_name(first));
        let from = |file: &str| {
            let file = file.to_owned();
            move |source| ArchiveError { file, source }
        };
        let (db, manifest) = contained(&segment, || {
            let db = segment::open_read_only(log, &segment)?;
            let txn = db.begin_read().at(&segment)?;
            let manifest = segment::read_seal(&txn, &segment).map_err(unreadable)?;
            Ok((db, manifest.ok_or(ContainerError::NotSealed)?))
        })
        .map_err(from(&segment))?;
        if let Some(there) = self.state().checked.get(&first)
            && there.manifest == manifest
        {
            return Ok(there.clone());
        }
        let there = match self.already_there(&manifest, pacer).map_err(from(&name))? {
            Some(there) => there,
            None => {
                let sum = contained(&name, || {
                    container::store(&*self.storage, &name, pacer, |out| {
                        let txn = db.begin_read().at(&segment)?;
                        container::pack(&txn, &manifest, out, pacer).map(drop)
                    })
                });
                Archived {
                    sum: sum.map_err(from(&name))?,
                    manifest,
                }
            }
        };
        let mut state = self.state();
        state.checked.insert(first, there.clone());
        state.open.retain(|(known, _)| *known != first);
        Ok(there)
    }

    /// The container of this segment if it is there and whole, and there to stay: a process that
    /// was killed may have left a name that only the running machine knows.
    fn already_there(
        &self,
        manifest: &Manifest,
        pacer: &Pacer,
    ) -> Result<Option<Archived>, ContainerError> {
        let opened = match self
            .storage
            .open(&container_name(manifest.first), Access::Read)
        {
            Ok(opened) => opened,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let there = Container::open(opened).and_then(|container| {
            Ok(Archived {
                sum: container.check_at(pacer)?,
                manifest: container.manifest().clone(),
            })
        });
        // Archived before it was damaged and salvaged: nothing is missing from it.
        let replaced = |there: &Archived| manifest.replaces == Some(there.manifest.digest);
        match there {
            Ok(there) if there.manifest == *manifest || replaced(&there) => {
                self.storage.sync_dir()?;
                Ok(Some(there))
            }
            Ok(_) => Err(ContainerError::Occupied),
            Err(ContainerError::Disk(e)) => Err(ContainerError::Disk(e)),
            // Written by a newer program is not damaged.
            Err(e @ ContainerError::TooNew { .. }) => Err(e),
            Err(_) => Ok(None),
        }
    }

    /// Removes what an interrupted archive left, and puts containers of removed segments into
    /// the catalog that it does not know: it was lost, and made again from the segments.
    pub(crate) fn attach(&self, catalog: &Catalog) -> Result<(), OpenError> {
        let names = self.storage.list().at("the archive")?;
        for name in &names {
            let half = name.strip_suffix(TEMPORARY);
            if half.and_then(parse_container_name).is_some() {
                self.storage.remove(name).at(name)?;
            }
        }
        let contents = catalog.contents()?;
        let floor = contents.floor.first;
        let known = |first: &u64| contents.archived.iter().any(|a| a.manifest.first == *first);
        for first in firsts_below(&names, floor) {
            if known(&first) {
                continue;
            }
            let Ok(Some(container)) = self.container(first) else {
                // Damaged: it is named when it is read.
                continue;
            };
            if container.manifest().identity.log_id != self.log_id {
                continue;
            }
            let keys = Sorted::collect(|take| container.each_key(take));
            let Ok(keys) = keys else { continue };
            let archived = Archived {
                manifest: container.manifest().clone(),
                sum: container.sum(),
            };
            catalog
                .note_archived(&archived, &keys, container.holes())
                .at(CATALOG)?;
        }
        Ok(())
    }

    /// The archived segments that together with the live ones are one log: those without a gap
    /// up to `floor`, where the live log begins. Oldest first.
    pub(crate) fn run(&self, floor: u64) -> Result<Arc<[SegmentInfo]>, ReadError> {
        if let Some((made_for, run)) = &self.state().run
            && *made_for == floor
        {
            return Ok(Arc::clone(run));
        }
        let names = match self.storage.list() {
            Ok(names) => names,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(crate::error::At::new("the archive", e).into()),
        };
        let (mut run, mut all_read) = (Vec::new(), true);
        let mut next = floor;
        for first in firsts_below(&names, floor).into_iter().rev() {
            let container = self.container(first);
            all_read &= !matches!(container, Err(ContainerError::Disk(_)));
            let Some(info) = self.describe(first, next, container) else {
                break;
            };
            next = first;
            run.push(info);
        }
        run.reverse();
        let run: Arc<[SegmentInfo]> = run.into();
        // What the disk did not give this time it may give the next.
        if all_read {
            self.state().run = Some((floor, Arc::clone(&run)));
        }
        Ok(run)
    }

    /// What is known of a container if it ends before `next`. One that cannot be opened is taken
    /// for what its name says, so that reading it is an error and not a gap.
    fn describe(
        &self,
        first: u64,
        next: u64,
        container: Result<Option<Arc<Opened>>, ContainerError>,
    ) -> Option<SegmentInfo> {
        let name = container_name(first);
        match container {
            Ok(container) => {
                let container = container?;
                let manifest = container.manifest();
                let ours = manifest.identity.log_id == self.log_id;
                let info = SegmentInfo {
                    file: name,
                    archived: true,
                    ..SegmentInfo::sealed(manifest, container.sum().bytes)
                };
                (ours && manifest.last.checked_add(1) == Some(next)).then_some(info)
            }
            Err(_) => Some(SegmentInfo {
                file_bytes: self.storage.len(&name).unwrap_or(0),
                file: name,
                first: Seq::at_least_first(first),
                last: next.checked_sub(1).and_then(Seq::new),
                count: next.saturating_sub(first),
                missing: 0,
                replaces: None,
                bytes: 0,
                sealed: true,
                sealed_at: None,
                archived: true,
                digest: None,
                previous: None,
                recovered: false,
                damage: None,
            }),
        }
    }

    /// Opens a container; `None` if it is not there.
    pub(crate) fn container(&self, first: u64) -> Result<Option<Arc<Opened>>, ContainerError> {
        let mut state = self.state();
        if let Some(at) = state.open.iter().position(|(known, _)| *known == first) {
            let entry = state.open.remove(at);
            let container = Arc::clone(&entry.1);
            state.open.push(entry);
            return Ok(Some(container));
        }
        drop(state);
        let opened = match self.storage.open(&container_name(first), Access::Read) {
            Ok(opened) => opened,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let container = Arc::new(Container::open(opened)?);
        let mut state = self.state();
        if state.open.len() >= OPEN_MAX {
            state.open.remove(0);
        }
        state.open.push((first, Arc::clone(&container)));
        Ok(Some(container))
    }

    /// Reads from the archived part of the log. `None` when the number is not in it.
    pub(crate) fn read(&self, floor: u64, window: &Window) -> Result<Option<Part>, ReadError> {
        let run = self.run(floor)?;
        let at = run.partition_point(|info| info.first.get() <= window.next);
        let Some(info) = at.checked_sub(1).and_then(|at| run.get(at)) else {
            return Ok(None);
        };
        let opened = self.container(info.first.get());
        match opened.and_then(|container| container.map(|c| take(&c, window)).transpose()) {
            Ok(Some(part)) => Ok(Some(part)),
            Ok(None) => {
                // Somebody removed it: what is left begins later now.
                self.state().run = None;
                Ok(None)
            }
            Err(e) => Err(read_error(e, &info.file)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Archive").field(&self.storage).finish()
    }
}

/// First numbers of the containers below `floor`, ascending.
fn firsts_below(names: &[String], floor: u64) -> Vec<u64> {
    let firsts = names.iter().filter_map(|name| parse_container_name(name));
    let mut below: Vec<u64> = firsts.filter(|first| *first < floor).collect();
    below.sort_unstable();
    below
}

fn take(container: &Opened, window: &Window) -> Result<Part, ContainerError> {
    let mut part = Part {
        records: Vec::new(),
        next: window.next,
        sealed: true,
        full: false,
        bytes_left: window.bytes_left,
    };
    let mut records = container.records(window.next);
    while let Some((seq, bytes)) = records.next()? {
        let must_take = window.take_one && part.records.is_empty();
        part.full = part.records.len() == window.records_max
            || seq > window.last
            || (bytes.len() > part.bytes_left && !must_take);
        if part.full {
            return Ok(part);
        }
        part.bytes_left = part.bytes_left.saturating_sub(bytes.len());
        let record = Record::decode(bytes.to_vec()).map_err(|source| ContainerError::Record {
            seq: Seq::at_least_first(seq),
            source,
        })?;
        part.records.push(record);
        part.next = seq + 1;
    }
    part.next = container.manifest().last + 1;
    Ok(part)
}

/// The same words for a record, wherever it lies.
pub(crate) fn read_error(e: ContainerError, file: &str) -> ReadError {
    let file = file.to_owned();
    match e {
        ContainerError::Record { seq, source } => ReadError::Damaged { seq, file, source },
        ContainerError::Misplaced { seq, found } => ReadError::Misplaced { seq, file, found },
        ContainerError::Missing { seq } => ReadError::Missing { seq, file },
        ContainerError::Disk(source) => ReadError::Disk { file, source },
        source => ReadError::Container { file, source },
    }
}

fn unreadable(e: OpenError) -> ContainerError {
    match e {
        OpenError::Disk { source, .. } => ContainerError::Disk(source),
        _ => ContainerError::Damaged {
            what: "the description of the segment",
        },
    }
}

#[cfg(test)]
mod tests;
