//! Making a log again from a backup, in an empty directory.
//!
//! While a restore is under way the directory has a marker, and no log opens there. A restore
//! that was interrupted is started over by running it again.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use redb::ReadableDatabase;

use crate::archive::read_error;
use crate::backup::BackupError;
use crate::backup::index::{self, Entry, INDEX, Index};
use crate::catalog::{Catalog, Floor};
use crate::clock;
use crate::container::{Container, ContainerError, Source, container_name, parse_container_name};
use crate::error::{AtFile, DiskError, OpenError};
use crate::hole::{Hole, HoleCause, Holes};
use crate::log::segment_mode;
use crate::open::remove;
use crate::options::Options;
use crate::plan::{CATALOG, RESTORE_MARKER, TEMPORARY, parse_segment_name, segment_name};
use crate::rewrite::{Keys, NONE, Whole, rewrite};
use crate::segment::{self, Carried, Meta, Mode};
use crate::seq::{Identity, Seq};
use crate::storage::{Access, Disk, LockError, LockGuard, Role, Storage};

/// How far past the highest number known to have been given out a restored log goes on.
pub const FENCE_MARGIN: u64 = 1_000_000;

/// Where a restored log goes on, so that no number is given out twice: those of the log's last
/// hours may be in stores and brokers, though not in the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// [`FENCE_MARGIN`] past this number (the highest checkpoint known) or past the tail that
    /// the backup names, whichever is higher.
    Past(Option<Seq>),
    /// Right after this number.
    To(Seq),
}

/// What a restore came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The log in its new life.
    pub identity: Identity,
    /// Segments made.
    pub segments: usize,
    /// Records in them.
    pub records: u64,
    /// Number of the first record.
    pub first: Option<Seq>,
    /// Number of the last record.
    pub last: Option<Seq>,
    /// The tail: numbers from after `last` up to here are a hole. The next record is after it.
    pub tail: Seq,
}

/// Why no log was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The directory is not empty; nothing was changed in it.
    #[error("{dir} is not empty: it holds {found}")]
    NotEmpty {
        /// The directory.
        dir: String,
        /// One of its files.
        found: String,
    },
    /// A log is open in the directory, or another restore is under way.
    #[error("the directory is in use by {holder}")]
    Locked {
        /// By whom.
        holder: String,
    },
    /// A number that the log may have given out lies past the fence. Nothing was changed, unless
    /// the backup is a stream, whose tail is known at its end.
    #[error("the fence {fence} is below {tail}, a number that was given out")]
    FenceTooLow {
        /// The fence asked for.
        fence: Seq,
        /// The highest number given out.
        tail: u64,
    },
    /// A container of the backup is damaged or is not the one the index names. Running the
    /// restore again with a sound backup starts over.
    #[error("{file}: {source}")]
    Container {
        /// The container.
        file: String,
        /// What is wrong with it.
        source: ContainerError,
    },
    /// A container does not follow on the one before it.
    #[error("{file} does not continue the chain of segments")]
    Chain {
        /// The container.
        file: String,
    },
    /// The stream is no tar of a backup, or ends too early.
    #[error("the stream is not a whole backup: {what}")]
    Stream {
        /// What is wrong.
        what: String,
    },
    /// The directory of the new log failed.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<crate::error::At> for RestoreError {
    fn from(at: crate::error::At) -> Self {
        RestoreError::Open(at.into())
    }
}

/// Restores the backup of the directory `from` into the directory `to`, which is made if it is
/// not there. Everything is checked. `progress` is told the bytes of containers done so far.
///
/// # Errors
/// [`RestoreError`]; after an error other than those that say that nothing was changed, `to`
/// opens as no log until a restore is run again.
pub fn restore(
    from: &Path,
    to: &Path,
    fence: Fence,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let disk = Disk::new(to);
    disk.create_dir().at(&to.display().to_string())?;
    let dir = from.display().to_string();
    restore_to(&Disk::new(from), &dir, &disk, fence, progress)
}

/// As [`restore`], from a tar that [`crate::backup_tar`] wrote. Holds one container in memory.
///
/// # Errors
/// As [`restore`].
pub fn restore_tar(
    from: &mut dyn Read,
    to: &Path,
    fence: Fence,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let disk = Disk::new(to);
    disk.create_dir().at(&to.display().to_string())?;
    restore_stream(from, &disk, fence, progress)
}

/// As [`restore`], between directories of a machine whose power can be cut.
///
/// # Errors
/// As [`restore`].
#[cfg(any(test, feature = "fault"))]
pub fn restore_on(
    from: &crate::fault::Machine,
    to: &crate::fault::Machine,
    fence: Fence,
) -> Result<Restored, RestoreError> {
    restore_to(from, "the machine", to, fence, &mut |_| {})
}

pub(crate) fn restore_to(
    from: &dyn Storage,
    dir: &str,
    to: &dyn Storage,
    fence: Fence,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let index = index::load(from)?.ok_or(BackupError::NotABackup {
        dir: dir.to_owned(),
    })?;
    let fence_to = fence.number(index.tail)?;
    let mut work = Work::begin(to)?;
    for entry in &index.entries {
        let file = container_name(entry.first);
        let opened = from.open(&file, Access::Read).map_err(|e| bad(&file, e))?;
        let container = Container::open(opened).map_err(|e| bad(&file, e))?;
        let made = work.segment(&container)?;
        if made != *entry {
            return Err(bad(&file, NOT_NAMED));
        }
        progress(work.bytes());
    }
    work.finish(&index, fence_to)
}

pub(crate) fn restore_stream(
    from: &mut dyn Read,
    to: &dyn Storage,
    fence: Fence,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let mut work = Work::begin(to)?;
    let mut tar = tar::Archive::new(from);
    let mut index = None;
    for entry in tar.entries().map_err(stream)? {
        let mut entry = entry.map_err(stream)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut bytes = Vec::new();
        if name == INDEX {
            let limit = index::BYTES_MAX + 1;
            entry.take(limit).read_to_end(&mut bytes).map_err(stream)?;
            index = Some(Index::decode(&bytes)?);
            continue;
        }
        if parse_container_name(&name).is_none() {
            let what = format!("it holds {name:?}");
            return Err(RestoreError::Stream { what });
        }
        // Grows with what is really there, whatever the header says.
        entry.read_to_end(&mut bytes).map_err(stream)?;
        let container = Container::open(bytes).map_err(|e| bad(&name, e))?;
        work.segment(&container)?;
        progress(work.bytes());
    }
    // To the end, so that whoever writes into a pipe can finish.
    std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(stream)?;
    let index = index.ok_or_else(|| RestoreError::Stream {
        what: "it ends before its index".to_owned(),
    })?;
    let fence_to = fence.number(index.tail)?;
    work.finish(&index, fence_to)
}

const NOT_NAMED: ContainerError = ContainerError::Damaged {
    what: "it is not the one the index names",
};

fn bad(file: &str, source: impl Into<ContainerError>) -> RestoreError {
    RestoreError::Container {
        file: file.to_owned(),
        source: source.into(),
    }
}

fn stream(e: std::io::Error) -> RestoreError {
    RestoreError::Stream {
        what: e.to_string(),
    }
}

impl Fence {
    fn number(self, tail: u64) -> Result<u64, RestoreError> {
        match self {
            Fence::Past(known) => {
                let highest = known.map_or(0, Seq::get).max(tail);
                Ok(highest.saturating_add(FENCE_MARGIN))
            }
            Fence::To(fence) if fence.get() < tail => {
                Err(RestoreError::FenceTooLow { fence, tail })
            }
            Fence::To(fence) => Ok(fence.get()),
        }
    }
}

/// A restore under way.
struct Work<'s> {
    to: &'s dyn Storage,
    catalog: Option<Catalog>,
    made: Vec<Entry>,
    records: u64,
    /// What the last segment hands on.
    identity: Option<Identity>,
    link: Option<[u8; 32]>,
    carried: Carried,
    _lock: LockGuard,
}

impl<'s> Work<'s> {
    /// Takes the directory: only an empty one, or one where a restore was interrupted.
    fn begin(to: &'s dyn Storage) -> Result<Work<'s>, RestoreError> {
        // Looked at before the lock is taken, since that writes into the directory.
        check_empty(to)?;
        let lock = match to.lock(Role::Writer) {
            Ok(lock) => lock,
            Err(LockError::Held { holder, .. }) => return Err(RestoreError::Locked { holder }),
            Err(LockError::Io(e)) => return Err(crate::error::At::new("lock", e).into()),
        };
        let names = check_empty(to)?;
        mark(to).at(RESTORE_MARKER)?;
        for name in names.iter().filter(|name| is_ours(name)) {
            remove(to, name)?;
        }
        Ok(Work {
            to,
            catalog: None,
            made: Vec::new(),
            records: 0,
            identity: None,
            link: None,
            carried: Carried::default(),
            _lock: lock,
        })
    }

    fn bytes(&self) -> u64 {
        self.made.iter().map(|entry| entry.bytes).sum()
    }

    /// Makes the next segment from its container.
    fn segment<S: Source>(&mut self, container: &Container<S>) -> Result<Entry, RestoreError> {
        let manifest = container.manifest();
        let (name, file) = (container_name(manifest.first), segment_name(manifest.first));
        let sum = container.check().map_err(|e| bad(&name, e))?;
        if let Some(last) = self.made.last() {
            let log_id = self.identity.map(|identity| identity.log_id);
            let follows = last.last + 1 == manifest.first
                && self.link == manifest.previous
                && log_id == Some(manifest.identity.log_id);
            if !follows {
                return Err(RestoreError::Chain { file: name });
            }
        }
        let carried = container.carried().map_err(|e| bad(&name, e))?;
        let mut keys = Keys::default();
        let copied = container.each_key(|key, seq| keys.push(seq, key));
        copied.map_err(|e| bad(&name, e))?;
        let whole = Whole {
            meta: Meta {
                identity: manifest.identity,
                first: manifest.first,
                previous: manifest.previous,
                created_at: manifest.created_at,
                recovered: manifest.recovered,
            },
            carried: carried.clone(),
            holes: container.holes().clone(),
            manifest: Some(manifest.clone()),
        };
        let records = records(container, &name);
        rewrite(self.to, &file, &whole, records, keys.iter())?;
        let floor = Floor {
            first: manifest.first,
            previous: manifest.previous,
        };
        let db = segment::open_read_only(self.to, &file).at(&file)?;
        let txn = db.begin_read().at(&file)?;
        let catalog = self.catalog(manifest.identity, floor)?;
        catalog.absorb(manifest, &txn).at(CATALOG)?;
        let entry = Entry::of_manifest(manifest, sum);
        self.made.push(entry);
        self.records += manifest.count;
        (self.identity, self.link) = (Some(manifest.identity), Some(manifest.link()));
        self.carried = carried;
        Ok(entry)
    }

    /// The catalog, made with the first segment.
    fn catalog(&mut self, identity: Identity, floor: Floor) -> Result<&Catalog, RestoreError> {
        let catalog = match self.catalog.take() {
            Some(catalog) => catalog,
            None => Catalog::create(self.to, mode(), identity.log_id, floor, floor.first)?,
        };
        Ok(self.catalog.insert(catalog))
    }

    /// Makes the active segment behind the fence and lets the directory be a log.
    fn finish(mut self, index: &Index, fence_to: u64) -> Result<Restored, RestoreError> {
        if self.made != index.entries {
            let what = "its files are not those of its index".to_owned();
            return Err(RestoreError::Stream { what });
        }
        let last = self.made.last().map_or(0, |entry| entry.last);
        let newest_epoch = self.identity.map_or(0, |identity| identity.epoch);
        let identity = Identity {
            log_id: index.identity.log_id,
            epoch: newest_epoch.max(index.identity.epoch).saturating_add(1),
        };
        if self
            .identity
            .is_some_and(|own| own.log_id != identity.log_id)
        {
            let what = "its files are of another log than its index".to_owned();
            return Err(RestoreError::Stream { what });
        }
        let first = last + 1;
        let whole = Whole {
            meta: Meta {
                identity,
                first,
                previous: self.link,
                created_at: clock::unix_micros(),
                recovered: false,
            },
            carried: std::mem::take(&mut self.carried),
            holes: fence_hole(first, fence_to),
            manifest: None,
        };
        rewrite(
            self.to,
            &segment_name(first),
            &whole,
            NONE,
            Keys::default().iter(),
        )?;
        let floor = Floor {
            first,
            previous: None,
        };
        let catalog = self.catalog(identity, floor)?;
        catalog.note_newest(first).at(CATALOG)?;
        // Every commit to it was durable; nothing else has it.
        if let Some(db) = self.catalog.take().and_then(|c| Arc::into_inner(c.db)) {
            db.close().at(CATALOG)?;
        }
        remove(self.to, RESTORE_MARKER)?;
        self.to.sync_dir().at(RESTORE_MARKER)?;
        Ok(Restored {
            identity,
            segments: self.made.len(),
            records: self.records,
            first: self.made.first().and_then(|entry| Seq::new(entry.first)),
            last: Seq::new(last),
            tail: Seq::at_least_first(fence_to),
        })
    }
}

/// Makes the marker, at once under its name: a half-written one is one too.
fn mark(to: &dyn Storage) -> std::io::Result<()> {
    let text = b"A log is being restored here. Until that is done there is none.\n";
    let file = to.open(RESTORE_MARKER, Access::Create)?;
    file.set_len(text.len() as u64)?;
    file.write(0, text)?;
    file.sync_data()?;
    file.close()?;
    to.sync_dir()
}

fn fence_hole(first: u64, last: u64) -> Holes {
    if last < first {
        return Holes::default();
    }
    let hole = Hole {
        first: Seq::at_least_first(first),
        last: Seq::at_least_first(last),
        cause: HoleCause::Fence,
        noted_at: clock::unix_micros(),
    };
    Holes::new(vec![hole]).unwrap_or_default()
}

/// The names in the directory, if a restore may have it.
fn check_empty(to: &dyn Storage) -> Result<Vec<String>, RestoreError> {
    let names = to.list().at("the log directory")?;
    let marked = names.iter().any(|name| name == RESTORE_MARKER);
    let in_the_way = |name: &&String| {
        let known = is_ours(name) && marked || name.as_str() == RESTORE_MARKER;
        // The lock is made by whoever looks; the other by the file system itself.
        !known && !matches!(name.as_str(), "lock" | "lost+found")
    };
    if let Some(found) = names.iter().find(in_the_way).cloned() {
        let dir = format!("{to:?}");
        return Err(RestoreError::NotEmpty { dir, found });
    }
    Ok(names)
}

/// What an interrupted restore leaves, but for the marker.
fn is_ours(name: &str) -> bool {
    let whole = name.strip_suffix(TEMPORARY).unwrap_or(name);
    whole == CATALOG || parse_segment_name(whole).is_some()
}

fn mode() -> Mode {
    segment_mode(&Options {
        cache_bytes: 16 << 20,
        ..Options::default()
    })
}

/// All records of a container, which was checked.
fn records<'c, S: Source>(
    container: &'c Container<S>,
    file: &'c str,
) -> impl Iterator<Item = Result<(u64, Vec<u8>), OpenError>> + 'c {
    let mut records = container.records(container.manifest().first);
    std::iter::from_fn(move || match records.next() {
        Ok(record) => record.map(|(seq, bytes)| Ok((seq, bytes.to_vec()))),
        Err(e) => {
            let what = read_error(e, file).to_string();
            let source: DiskError = std::io::Error::other(what).into();
            Some(Err(crate::error::At::new(file, source).into()))
        }
    })
}
