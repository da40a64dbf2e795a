//! Backups: a directory, or a tar stream, of containers with an index that is written last.
//!
//! A backup holds what is sealed; whoever wants the records of the active segment in it seals
//! that first. It is taken beside a running writer and has no lock. A later backup into the same
//! directory adds what is new, and keeps what the log has trimmed meanwhile. An index names
//! exactly what was whole when it was written, so that an interrupted backup leaves the one
//! before it.
//!
//! Dedup keys of records that were trimmed, and not archived, before the first backup was taken
//! are in a file of their own. Not in a backup: lock, catalog and archive, which follow from the
//! rest.

mod check;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod orphans;
mod stream;

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::Path;

#[cfg(test)]
pub(crate) use check::verify_on;
pub use check::{BackupCheck, verify_backup};
pub use stream::backup_tar;

use crate::clock;
use crate::container::{
    self, Container, ContainerError, Sum, container_name, parse_container_name,
};
use crate::error::{AtFile, DiskError, OpenError, ReadError};
use crate::info::SegmentInfo;
use crate::pace::{Pace, Pacer};
use crate::plan::TEMPORARY;
use crate::reader::Reader;
use crate::seq::{Identity, Seq};
use crate::storage::{Access, Disk, Storage};
use index::{Entry, INDEX, Index};
use keys::{KeysEntry, is_keys_name};
use orphans::Orphans;

/// How often a backup looks again at a log that is trimmed meanwhile.
const LOOKS_MAX: u32 = 5;

/// What a backup came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupReport {
    /// The log and its life.
    pub identity: Identity,
    /// Segments in the backup now.
    pub segments: usize,
    /// Those written by this run; the others were there.
    pub written: usize,
    /// Bytes this run wrote.
    pub written_bytes: u64,
    /// Number of the first record in the backup.
    pub first: Option<Seq>,
    /// Number of the last record in the backup.
    pub last: Option<Seq>,
    /// The highest number given out when the backup was taken. Numbers after `last` up to here
    /// are not in it: they were not sealed.
    pub tail: Option<Seq>,
    /// Dedup keys in the backup of records that are not in it: they were trimmed before.
    pub keys: u64,
}

/// Why there is no backup, or none that can be read. An earlier backup in the same place is as
/// it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The log could not be looked at.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A segment or its container failed; the other segments were written.
    #[error("{file}: {source}")]
    Segment {
        /// The segment or container.
        file: String,
        /// What failed.
        source: ContainerError,
    },
    /// The place of the backup failed.
    #[error("{file}: {source}")]
    Disk {
        /// The file.
        file: String,
        /// What failed.
        source: DiskError,
    },
    /// There is no backup.
    #[error("{dir} holds no backup")]
    NotABackup {
        /// The directory.
        dir: String,
    },
    /// The index is not as it was written.
    #[error("the index of the backup is damaged: {what}")]
    Index {
        /// The part.
        what: &'static str,
    },
    /// The directory holds a backup of another log.
    #[error("the directory holds a backup of log {found}")]
    Foreign {
        /// Its log.
        found: crate::LogId,
    },
    /// The backup has records that this log never had, or has others under their numbers: it is
    /// of another life of the log, and may be all that is left of it.
    #[error(
        "the backup differs from the log from record {first} on; back up to an empty directory"
    )]
    Diverged {
        /// Where they part.
        first: Seq,
    },
    /// The log was trimmed of records that no backup has.
    #[error(
        "the backup ends at record {last} and the log begins at {first}; back up to an empty directory"
    )]
    Gap {
        /// The last record in the backup.
        last: Seq,
        /// The first record in the log.
        first: Seq,
    },
    /// The log was trimmed faster than it was read.
    #[error("segments were removed while the backup was taken, again and again")]
    Outrun,
}

impl From<crate::error::At> for BackupError {
    fn from(at: crate::error::At) -> Self {
        BackupError::Disk {
            file: at.file,
            source: at.source,
        }
    }
}

/// Backs the sealed segments of a log up into `dir`, which is made if it is not there. What is
/// there already with the same digest is not written again. Everything written is read back.
/// It is done at `pace`. `progress` is told the record bytes done so far.
///
/// # Errors
/// [`BackupError`]; what was in the directory is still a backup, unless there was none.
pub fn backup(
    reader: &Reader,
    dir: &Path,
    pace: Pace,
    progress: &mut dyn FnMut(u64),
) -> Result<BackupReport, BackupError> {
    let disk = Disk::new(dir);
    disk.create_dir().at(&dir.display().to_string())?;
    backup_to(reader, &disk, pace, progress)
}

/// As [`backup`], into a directory of a machine whose power can be cut.
///
/// # Errors
/// As [`backup`].
#[cfg(any(test, feature = "fault"))]
pub fn backup_on(
    reader: &Reader,
    machine: &crate::fault::Machine,
) -> Result<BackupReport, BackupError> {
    backup_to(reader, machine, Pace::UNLIMITED, &mut |_| {})
}

pub(crate) fn backup_to(
    reader: &Reader,
    to: &dyn Storage,
    pace: Pace,
    progress: &mut dyn FnMut(u64),
) -> Result<BackupReport, BackupError> {
    for name in to.list().at("the backup")? {
        let half = name.strip_suffix(TEMPORARY);
        let is_ours = |n| n == INDEX || is_keys_name(n) || parse_container_name(n).is_some();
        if half.is_some_and(is_ours) {
            to.remove(&name).at(&name)?;
        }
    }
    let before = match index::load(to) {
        // Made again from the containers.
        Err(BackupError::Index { .. }) => None,
        other => other?,
    };
    let identity = reader.identity_now()?;
    let foreign = before.as_ref().map(|index| index.identity.log_id);
    if let Some(found) = foreign.filter(|found| *found != identity.log_id) {
        return Err(BackupError::Foreign { found });
    }
    let (before, keys) = before.map_or_else(Default::default, |it| (it.entries, it.keys));
    let mut run = Run {
        reader,
        to,
        pacer: Pacer::new(pace),
        before,
        written: 0,
        written_bytes: 0,
    };
    for _ in 0..LOOKS_MAX {
        if let Some(entries) = run.all(identity, progress)? {
            let orphans = Orphans::of(reader, identity.log_id, &entries)?;
            let index = Index {
                keys: run.keys(&orphans, keys)?,
                // Only now: a fence may have started another life meanwhile.
                identity: reader.identity_now()?,
                tail: reader.tail()?.map_or(0, Seq::get),
                created_at: clock::unix_micros(),
                entries,
            };
            index::save(to, &index)?;
            orphans::clear(to, index.keys)?;
            return Ok(index.report(run.written, run.written_bytes));
        }
    }
    Err(BackupError::Outrun)
}

/// The sealed segments of a log, archived ones first.
fn sealed(reader: &Reader) -> Result<Vec<SegmentInfo>, ReadError> {
    let mut segments = reader.segments()?;
    segments.retain(|info| info.sealed);
    Ok(segments)
}

struct Run<'r> {
    reader: &'r Reader,
    to: &'r dyn Storage,
    pacer: Pacer,
    before: Vec<Entry>,
    written: usize,
    written_bytes: u64,
}

impl Run<'_> {
    /// Brings every segment into the backup. `None` when one was trimmed before it could be read.
    fn all(
        &mut self,
        identity: Identity,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Option<Vec<Entry>>, BackupError> {
        let mut segments = self.reader.segments()?;
        let mut entries = self.older(segments.first())?;
        segments.retain(|info| info.sealed);
        let end = segments.last().and_then(|info| info.last);
        let end = end.map_or(entries.last().map_or(0, |entry| entry.last), Seq::get);
        if let Some(ahead) = self.before.iter().find(|entry| entry.last > end) {
            let first = Seq::at_least_first(ahead.first);
            return Err(BackupError::Diverged { first });
        }
        let mut failed = None;
        let mut done = 0;
        for info in &segments {
            match self.one(info, identity) {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => return Ok(None),
                // The others are worth having on disk all the same.
                Err(e @ BackupError::Segment { .. }) => failed = failed.or(Some(e)),
                Err(e) => return Err(e),
            }
            done += info.bytes;
            progress(done);
        }
        match failed {
            Some(e) => Err(e),
            None => Ok(Some(entries)),
        }
    }

    /// What an earlier backup has of before the log's first segment.
    fn older(&self, first: Option<&SegmentInfo>) -> Result<Vec<Entry>, BackupError> {
        let Some(first) = first.map(|info| info.first) else {
            return Ok(Vec::new());
        };
        let older = self.before.iter().filter(|entry| entry.first < first.get());
        let older: Vec<Entry> = older.copied().collect();
        match older.last() {
            Some(last) if last.last + 1 < first.get() => Err(BackupError::Gap {
                last: Seq::at_least_first(last.last),
                first,
            }),
            _ => Ok(older),
        }
    }

    fn one(
        &mut self,
        info: &SegmentInfo,
        identity: Identity,
    ) -> Result<Option<Entry>, BackupError> {
        let first = info.first.get();
        let name = container_name(first);
        let same = |digest| info.digest == Some(digest) || info.replaces == Some(digest);
        if let Some(known) = self.before.iter().find(|entry| entry.first == first)
            && same(known.digest)
            && self.to.len(&name).is_ok_and(|len| len == known.bytes)
        {
            return Ok(Some(*known));
        }
        if let Some(entry) = self.there(&name)? {
            let found = entry.0;
            if found != identity.log_id {
                return Err(BackupError::Foreign { found });
            }
            if !same(entry.1.digest) {
                return Err(BackupError::Diverged { first: info.first });
            }
            return Ok(Some(entry.1));
        }
        if info.damage.is_some() && !info.archived {
            let what = "the segment cannot be read";
            let source = ContainerError::Damaged { what };
            let file = info.file.clone();
            return Err(BackupError::Segment { file, source });
        }
        let fill = |out: &mut dyn Write| fill(self.reader, info, out, &self.pacer);
        // As the container says: of one in the archive that could not be read a moment ago the
        // log knows hardly more than the name.
        let written = container::put(self.to, &name, fill, |file| {
            let container = Container::open(file)?;
            let sum = container.check_at(&self.pacer)?;
            Ok(Entry::of_manifest(container.manifest(), sum))
        });
        let entry = match written {
            Ok(entry) => entry,
            Err(ContainerError::Disk(e)) if e.is_absent() => return Ok(None),
            Err(source) => return Err(BackupError::Segment { file: name, source }),
        };
        self.written += 1;
        self.written_bytes += entry.bytes;
        Ok(Some(entry))
    }

    /// Brings the keys without a container into the backup, those of the backup before with them.
    fn keys(
        &mut self,
        orphans: &Orphans<'_>,
        before: Option<KeysEntry>,
    ) -> Result<Option<KeysEntry>, BackupError> {
        let kept = orphans.keep(self.to, before, &self.pacer)?;
        if kept != before {
            self.written_bytes += kept.map_or(0, |entry| entry.bytes);
        }
        Ok(kept)
    }

    /// The container that has the name, if it is whole, and the log it is of.
    fn there(&self, name: &str) -> Result<Option<(crate::LogId, Entry)>, BackupError> {
        let opened = match self.to.open(name, Access::Read) {
            Ok(opened) => opened,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.at(name)?,
        };
        let checked = Container::open(opened).and_then(|container| {
            let sum = container.check_at(&self.pacer)?;
            let manifest = container.manifest();
            Ok((manifest.identity.log_id, Entry::of_manifest(manifest, sum)))
        });
        match checked {
            Ok(there) => Ok(Some(there)),
            Err(ContainerError::Disk(source)) => Err(BackupError::Disk {
                file: name.to_owned(),
                source,
            }),
            Err(e @ ContainerError::TooNew { .. }) => Err(BackupError::Segment {
                file: name.to_owned(),
                source: e,
            }),
            Err(_) => Ok(None),
        }
    }
}

/// Writes the container of a sealed segment: packs a live one, copies an archived one.
fn fill(
    reader: &Reader,
    info: &SegmentInfo,
    out: &mut dyn Write,
    pacer: &Pacer,
) -> Result<(), ContainerError> {
    let gone = || ContainerError::from(io::Error::from(io::ErrorKind::NotFound));
    if info.archived {
        let container = reader.files().container(info.first.get())?;
        return container::copy(container.ok_or_else(gone)?.source(), out, pacer);
    }
    let out = RefCell::new(out);
    let packed = reader.files().with(info.first.get(), |txn| {
        let manifest = crate::segment::read_seal(txn, &info.file)?;
        let packed = manifest
            .ok_or(ContainerError::NotSealed)
            .and_then(|manifest| {
                container::pack(txn, &manifest, &mut *out.borrow_mut(), pacer).map(drop)
            });
        Ok(packed)
    });
    match packed {
        Ok(Some(packed)) => packed,
        Ok(None) => Err(gone()),
        Err(ReadError::Disk { source, .. } | ReadError::Open(OpenError::Disk { source, .. })) => {
            Err(source.into())
        }
        Err(_) => Err(ContainerError::Damaged {
            what: "the description of the segment",
        }),
    }
}

impl Entry {
    pub(crate) fn of_manifest(manifest: &crate::manifest::Manifest, sum: Sum) -> Entry {
        Entry {
            first: manifest.first,
            last: manifest.last,
            bytes: sum.bytes,
            sha256: sum.sha256,
            digest: manifest.digest,
        }
    }
}
