//! Reading beside a writer, in its process or in another.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use redb::ReadTransaction;

use crate::archive::Archive;
use crate::error::{AtFile, OpenError, ReadError};
use crate::files::Files;
use crate::frame::Record;
use crate::hole::Hole;
use crate::info::{self, SegmentInfo};
use crate::part::{self, Part, Window};
use crate::plan::segment_name;
use crate::segment;
use crate::seq::{Identity, Seq};
use crate::storage::Disk;

/// Reads while a writer (this process or another) appends; cheap to clone; holds no read
/// transaction between calls, so it never keeps disk space from being used again.
///
/// From another process it sees a commit as soon as it is durable, follows the log into new
/// segments by itself, and goes on when the writer dies or starts again between two calls.
#[derive(Clone)]
pub struct Reader {
    files: Arc<Files>,
    identity: Identity,
}

/// How often one read lists the directory.
const LISTS_MAX: u32 = 4;

impl Reader {
    pub(crate) fn new(files: Files, identity: Identity) -> Reader {
        Reader {
            files: Arc::new(files),
            identity,
        }
    }

    /// Opens the log of `dir` beside a running writer, or with none running. In the latter case
    /// a file that a crash left unclean is repaired first, which takes as long as the writer's
    /// own open would.
    ///
    /// # Errors
    /// [`OpenError::NotALog`] where there is no segment; the others name the file.
    pub fn open(dir: &Path) -> Result<Reader, OpenError> {
        match std::fs::metadata(dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::Disk {
                    file: dir.display().to_string(),
                    source: e.into(),
                });
            }
            Ok(found) if found.is_dir() => {}
            _ => {
                return Err(OpenError::NotALog {
                    dir: dir.display().to_string(),
                });
            }
        }
        let files = Files::new(Arc::new(Disk::new(dir)), None);
        let identity = newest_identity(&files).map_err(|e| match e {
            ReadError::Open(OpenError::NotALog { .. }) => OpenError::NotALog {
                dir: dir.display().to_string(),
            },
            ReadError::Open(e) => e,
            ReadError::Disk { file, source } => OpenError::Disk { file, source },
            // Reading a description meets no record.
            ReadError::Trimmed { .. }
            | ReadError::Damaged { .. }
            | ReadError::Misplaced { .. }
            | ReadError::Unreadable { .. }
            | ReadError::Missing { .. }
            | ReadError::Container { .. } => OpenError::NotALog {
                dir: dir.display().to_string(),
            },
        })?;
        Ok(Reader::new(files, identity))
    }

    /// As [`Reader::open`], and reads the segments in the `archive` as the older part of the
    /// log, however far it goes back without a gap.
    ///
    /// # Errors
    /// As [`Reader::open`]; whether the archive can be read shows when it is read.
    pub fn open_archived(dir: &Path, archive: &Path) -> Result<Reader, OpenError> {
        let identity = Reader::open(dir)?.identity;
        let archive = Archive::new(Arc::new(Disk::new(archive)), identity.log_id);
        let files = Files::new(Arc::new(Disk::new(dir)), None);
        Ok(Reader::new(
            files.with_archive(Some(Arc::new(archive))),
            identity,
        ))
    }

    /// Which log this is, as of opening.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// Which log this is at this moment.
    pub(crate) fn identity_now(&self) -> Result<Identity, ReadError> {
        newest_identity(&self.files)
    }

    /// The first number still kept, which may lie in a hole; `None` when no number is.
    ///
    /// # Errors
    /// [`ReadError::Disk`], [`ReadError::Open`].
    pub fn first(&self) -> Result<Option<Seq>, ReadError> {
        let first = self.first_kept(self.files.refresh()?[0])?;
        Ok(self.tail()?.filter(|tail| *tail >= first).and(Some(first)))
    }

    /// The highest number ever given out, which may lie in a hole; `None` in a new log. One look
    /// at the active segment.
    ///
    /// # Errors
    /// [`ReadError::Disk`], [`ReadError::Open`].
    pub fn tail(&self) -> Result<Option<Seq>, ReadError> {
        self.on_newest(|txn, first| {
            let last = segment::read_last(txn).at(&segment_name(first))?;
            let last = last.unwrap_or(first - 1);
            Ok(Seq::new(
                self.files
                    .durable()
                    .map_or(last, |durable| last.min(durable)),
            ))
        })
    }

    /// Records `from..`, in order, every one checked; empty when there is none from `from` on.
    /// Passes over the numbers of recorded holes ([`Reader::holes`]) and over no others. Stops
    /// before `records_max` or `bytes_max` (record bytes) is exceeded, but gives at least one
    /// record if there is one, so that a reader always gets on.
    ///
    /// # Errors
    /// [`ReadError::Trimmed`] below the first number; [`ReadError::Damaged`],
    /// [`ReadError::Misplaced`], [`ReadError::Unreadable`], [`ReadError::Missing`] name the record.
    pub fn read(
        &self,
        from: Seq,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let mut out: Vec<Record> = Vec::new();
        let mut window = Window {
            next: from.get(),
            last: self.files.durable().unwrap_or(u64::MAX),
            records_max,
            bytes_left: bytes_max,
            take_one: true,
        };
        let mut firsts = self.files.firsts()?;
        // Each pass reads on, or lists the directory again; the latter only so often, since a
        // list can be outrun by a writer that seals and trims without pause.
        let mut lists_left = LISTS_MAX;
        while window.records_max > 0 && window.next <= window.last {
            if let Some(part) = self.files.read_archived(firsts[0], &window)? {
                window = window.after(&part);
                out.extend(part.records);
                if part.full {
                    break;
                }
                continue;
            }
            let at = firsts.partition_point(|first| *first <= window.next);
            let part = match at.checked_sub(1) {
                Some(at) => self.part(firsts[at], window)?,
                None => None,
            };
            if let Some(part) = part {
                window = window.after(&part);
                let ends = part.full || !part.sealed;
                out.extend(part.records);
                match firsts.get(at) {
                    _ if ends => break,
                    Some(first) if *first == window.next => continue,
                    Some(_) => return Err(missing(window.next, firsts[at - 1])),
                    // Read to the end of a sealed segment: there may be a newer one by now.
                    None => {}
                }
            } else if lists_left < LISTS_MAX && window.next < firsts[0] {
                if out.is_empty() {
                    return Err(self.before_first(window.next, firsts[0])?);
                }
                break;
            }
            if lists_left == 0 {
                break;
            }
            let known = firsts;
            firsts = self.files.refresh()?;
            lists_left -= 1;
            if firsts == known && window.next >= firsts[0] {
                break;
            }
        }
        Ok(out)
    }

    fn part(&self, first: u64, window: Window) -> Result<Option<Part>, ReadError> {
        let read = |window| {
            self.files
                .with(first, |txn| part::read_part(txn, first, window))
        };
        match read(window) {
            Err(e) if e.is_damage() => Err(part::narrow(window, e, read)),
            other => other,
        }
    }

    /// Why a number before the first segment cannot be read: removed on purpose, or lost.
    fn before_first(&self, next: u64, first: u64) -> Result<ReadError, ReadError> {
        let catalog = self.files.catalog().ok().flatten();
        let lost = catalog.filter(|contents| contents.floor.first <= next);
        Ok(match lost {
            Some(contents) => {
                let starts = contents.manifests.iter().map(|manifest| manifest.first);
                let segment = starts.filter(|first| *first <= next).max();
                missing(next, segment.unwrap_or(contents.floor.first))
            }
            None => ReadError::Trimmed {
                first: self.first_kept(first)?,
            },
        })
    }

    /// Every hole ever recorded, in order, those of trimmed segments included. Opens the catalog
    /// and every segment that is not in it.
    ///
    /// # Errors
    /// [`ReadError::Disk`], [`ReadError::Open`].
    pub fn holes(&self) -> Result<Vec<Hole>, ReadError> {
        let catalog = self.files.catalog()?;
        let known = |first: u64| {
            let mut manifests = catalog.iter().flat_map(|contents| &contents.manifests);
            manifests.any(|manifest| manifest.first == first)
        };
        let mut holes: Vec<Hole> = Vec::new();
        for first in self.files.refresh()?.iter().copied() {
            if !known(first) {
                let file = segment_name(first);
                let found = self
                    .files
                    .with(first, |txn| Ok(segment::read_holes(txn).at(&file)?));
                match found {
                    // What is damaged gets its holes when it is salvaged.
                    Err(e) if e.is_damage() => {}
                    found => holes.extend(found?.unwrap_or_default().iter()),
                }
            }
        }
        holes.extend(catalog.iter().flat_map(|contents| contents.holes.iter()));
        holes.sort_unstable_by_key(|hole| (hole.first, hole.last));
        holes.dedup_by_key(|hole| hole.first);
        Ok(holes)
    }

    /// All cursors, by name.
    ///
    /// # Errors
    /// [`ReadError::Disk`], [`ReadError::Open`].
    pub fn cursors(&self) -> Result<Vec<(String, Seq)>, ReadError> {
        let carried = self.carried()?;
        let pairs = carried.cursors.into_iter();
        Ok(pairs
            .map(|(name, at)| (name, Seq::at_least_first(at)))
            .collect())
    }

    /// All bookmarks, by name.
    ///
    /// # Errors
    /// [`ReadError::Disk`], [`ReadError::Open`].
    pub fn bookmarks(&self) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        Ok(self.carried()?.bookmarks)
    }

    /// All segments, oldest first. Looks into each sealed segment once in a reader's life; from
    /// another process than the writer's it walks the active one to add up its bytes. One that
    /// is missing or damaged is listed as the catalog knows it ([`SegmentInfo::damage`]).
    ///
    /// # Errors
    /// [`ReadError::Disk`], [`ReadError::Open`].
    pub fn segments(&self) -> Result<Vec<SegmentInfo>, ReadError> {
        let firsts = self.files.refresh()?;
        let mut infos = Vec::with_capacity(firsts.len());
        let mut broken = Vec::new();
        for first in firsts.iter().copied() {
            match self.segment(first) {
                // `None`: trimmed since it was listed.
                Ok(info) => infos.extend(info),
                Err(e) if e.is_damage() => broken.push((first, e.to_string())),
                Err(e) => return Err(e),
            }
        }
        let mut pairs = infos.iter().zip(infos.iter().skip(1));
        let whole = pairs.all(|(one, next)| one.last.map(Seq::next) == Some(next.first))
            && infos.first().is_some_and(|info| info.previous.is_none());
        if !broken.is_empty() || !whole {
            let catalog = self.files.catalog().ok().flatten();
            let manifests = catalog.map(|contents| contents.manifests);
            info::fill_in(&mut infos, broken, &manifests.unwrap_or_default(), |file| {
                self.files.storage().len(file).unwrap_or(0)
            });
        }
        let archived = self
            .files
            .archived(infos.first().map_or(firsts[0], |info| info.first.get()))?;
        infos.splice(0..0, archived.iter().cloned());
        Ok(infos)
    }

    fn segment(&self, first: u64) -> Result<Option<SegmentInfo>, ReadError> {
        let file_bytes = self.files.storage().len(&segment_name(first)).unwrap_or(0);
        // Another length: it was compacted or salvaged.
        let known = self.files.sealed(first);
        if let Some(info) = known.filter(|info| info.file_bytes == file_bytes) {
            return Ok(Some(info));
        }
        let live_bytes = self.files.live_bytes(first);
        let looked = self
            .files
            .with(first, |txn| info::look(txn, first, file_bytes, live_bytes))?;
        if let Some(info) = looked.as_ref().filter(|info| info.sealed) {
            self.files.remember_sealed(first, info.clone());
        }
        Ok(looked)
    }

    /// The first number of the log whose live part begins at `floor`.
    fn first_kept(&self, floor: u64) -> Result<Seq, ReadError> {
        let archived = self.files.archived(floor)?;
        let first = archived.first().map(|info| info.first);
        Ok(first.unwrap_or(Seq::at_least_first(floor)))
    }

    fn carried(&self) -> Result<segment::Carried, ReadError> {
        self.on_newest(|txn, first| Ok(segment::read_carried(txn).at(&segment_name(first))?))
    }

    fn on_newest<T>(
        &self,
        work: impl Fn(&ReadTransaction, u64) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        on_newest(&self.files, work)
    }
}

/// Runs `work` on the newest segment, following the log when the known one is sealed.
fn on_newest<T>(
    files: &Files,
    work: impl Fn(&ReadTransaction, u64) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let mut firsts = files.firsts()?;
    loop {
        let newest = firsts[firsts.len() - 1];
        let found = files.with(newest, |txn| {
            let sealed = segment::is_sealed(txn).at(&segment_name(newest))?;
            Ok((sealed, work(txn, newest)?))
        })?;
        let listed = match &found {
            Some((false, _)) => None,
            Some((true, _)) | None => Some(files.refresh()?),
        };
        match (found, listed) {
            // Sealed a moment ago and its successor not there yet: it is still the newest.
            (Some((_, value)), Some(listed)) if listed[listed.len() - 1] == newest => {
                return Ok(value);
            }
            (Some((_, value)), None) => return Ok(value),
            (_, Some(listed)) => firsts = listed,
            (None, None) => firsts = files.refresh()?,
        }
    }
}

fn missing(next: u64, segment: u64) -> ReadError {
    ReadError::Missing {
        seq: Seq::at_least_first(next),
        file: segment_name(segment),
    }
}

fn newest_identity(files: &Files) -> Result<Identity, ReadError> {
    on_newest(files, |txn, first| {
        let meta = segment::read_meta(txn, &segment_name(first))?;
        Ok(meta.identity)
    })
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
