//! Reading beside a writer, in its process or in another.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use redb::ReadTransaction;

use crate::block::{Piece, Pieces};
use crate::error::{AtFile, OpenError, ReadError};
use crate::files::Files;
use crate::frame::Record;
use crate::hole::{Hole, Holes};
use crate::info::{self, SegmentInfo};
use crate::plan::segment_name;
use crate::segment;
use crate::seq::{Identity, Seq};
use crate::storage::Disk;
use crate::tables;

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

/// What one look at a segment found.
pub(crate) struct Part {
    pub(crate) records: Vec<Record>,
    /// The number to go on with, past the holes that end here.
    next: u64,
    /// The segment is sealed and was read to its end.
    sealed: bool,
    /// The window was used up.
    full: bool,
    bytes_left: usize,
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
            | ReadError::Missing { .. } => OpenError::NotALog {
                dir: dir.display().to_string(),
            },
        })?;
        Ok(Reader::new(files, identity))
    }

    /// Which log this is, as of opening.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The first number still kept, which may lie in a hole; `None` when no number is.
    ///
    /// # Errors
    /// [`ReadError::Disk`], [`ReadError::Open`].
    pub fn first(&self) -> Result<Option<Seq>, ReadError> {
        let first = self.files.refresh()?[0];
        Ok(self
            .tail()?
            .filter(|tail| tail.get() >= first)
            .and(Seq::new(first)))
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
    /// [`ReadError::Misplaced`], [`ReadError::Missing`] name the record.
    pub fn read(
        &self,
        from: Seq,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let mut out: Vec<Record> = Vec::new();
        let mut bytes_left = bytes_max;
        let mut next = from.get();
        let records_max = match self.files.durable() {
            Some(durable) => {
                let durable = (durable + 1).saturating_sub(next);
                records_max.min(usize::try_from(durable).unwrap_or(usize::MAX))
            }
            None => records_max,
        };
        let mut firsts = self.files.firsts()?;
        // Each pass reads on, or lists the directory again; the latter only so often, since a
        // list can be outrun by a writer that seals and trims without pause.
        let mut lists_left = LISTS_MAX;
        while out.len() < records_max {
            let at = firsts.partition_point(|first| *first <= next);
            let part = match at.checked_sub(1) {
                Some(at) => self.files.with(firsts[at], |txn| {
                    let records_max = records_max - out.len();
                    let take_one = out.is_empty();
                    let window = Window {
                        next,
                        records_max,
                        bytes_left,
                        take_one,
                    };
                    read_part(txn, firsts[at], window)
                })?,
                None => None,
            };
            if let Some(part) = part {
                next = part.next;
                bytes_left = part.bytes_left;
                out.extend(part.records);
                match firsts.get(at) {
                    _ if part.full || !part.sealed => break,
                    Some(first) if *first == next => continue,
                    Some(_) => {
                        let file = segment_name(firsts[at - 1]);
                        return Err(ReadError::Missing {
                            seq: Seq::at_least_first(next),
                            file,
                        });
                    }
                    // Read to the end of a sealed segment: there may be a newer one by now.
                    None => {}
                }
            } else if lists_left < LISTS_MAX && next < firsts[0] {
                let first = Seq::at_least_first(firsts[0]);
                return if out.is_empty() {
                    Err(ReadError::Trimmed { first })
                } else {
                    Ok(out)
                };
            }
            if lists_left == 0 {
                break;
            }
            let known = firsts;
            firsts = self.files.refresh()?;
            lists_left -= 1;
            if firsts == known && next >= firsts[0] {
                break;
            }
        }
        Ok(out)
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
                    .with(first, |txn| Ok(segment::read_holes(txn).at(&file)?))?;
                holes.extend(found.unwrap_or_default().iter());
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
    /// another process than the writer's it walks the active one to add up its bytes.
    ///
    /// # Errors
    /// [`ReadError::Disk`], [`ReadError::Open`].
    pub fn segments(&self) -> Result<Vec<SegmentInfo>, ReadError> {
        let firsts = self.files.refresh()?;
        let mut infos = Vec::with_capacity(firsts.len());
        for first in firsts.iter().copied() {
            let file_bytes = self.files.storage().len(&segment_name(first)).unwrap_or(0);
            // Another length: it was compacted or salvaged.
            let known = self.files.sealed(first);
            if let Some(info) = known.filter(|info| info.file_bytes == file_bytes) {
                infos.push(info);
                continue;
            }
            let live_bytes = self.files.live_bytes(first);
            let looked = self
                .files
                .with(first, |txn| info::look(txn, first, file_bytes, live_bytes))?;
            // `None`: trimmed since it was listed.
            if let Some(info) = looked {
                if info.sealed {
                    self.files.remember_sealed(first, info.clone());
                }
                infos.push(info);
            }
        }
        Ok(infos)
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

fn newest_identity(files: &Files) -> Result<Identity, ReadError> {
    on_newest(files, |txn, first| {
        let meta = segment::read_meta(txn, &segment_name(first))?;
        Ok(meta.identity)
    })
}

/// What is still wanted.
pub(crate) struct Window {
    pub(crate) next: u64,
    pub(crate) records_max: usize,
    pub(crate) bytes_left: usize,
    /// The first record is taken whatever its size.
    pub(crate) take_one: bool,
}

pub(crate) fn read_part(
    txn: &ReadTransaction,
    first: u64,
    window: Window,
) -> Result<Part, ReadError> {
    let file = segment_name(first);
    let table = txn.open_table(tables::RECORDS).at(&file)?;
    let holes = segment::read_holes(txn).at(&file)?;
    let bytes_left = window.bytes_left;
    let mut part = Part {
        records: Vec::new(),
        next: holes.after(window.next),
        sealed: false,
        full: false,
        bytes_left,
    };
    let mut before = match table.range(..part.next).at(&file)?.next_back() {
        Some(row) => row.at(&file)?.0.value(),
        None => first - 1,
    };
    for row in table.range(part.next..).at(&file)? {
        let (key, block) = row.at(&file)?;
        let last = key.value();
        before = holes.after(before.saturating_add(1)) - 1;
        for piece in Pieces::new(before, last, block.value()) {
            take(&mut part, &window, &holes, &piece, &file)?;
            if part.full {
                return Ok(part);
            }
        }
        before = last;
    }
    part.sealed = segment::is_sealed(txn).at(&file)?;
    Ok(part)
}

/// Adds the piece's record to the part if it is wanted and there is room.
fn take(
    part: &mut Part,
    window: &Window,
    holes: &Holes,
    piece: &Piece<'_>,
    file: &str,
) -> Result<(), ReadError> {
    let seq = part.next;
    if piece.last < seq {
        return Ok(());
    }
    let must_take = window.take_one && part.records.is_empty();
    part.full = part.records.len() == window.records_max
        || (piece.bytes.len() > part.bytes_left && !must_take);
    if part.full {
        return Ok(());
    }
    if piece.seq > seq {
        return Err(ReadError::Missing {
            seq: Seq::at_least_first(seq),
            file: file.to_owned(),
        });
    }
    part.records.push(decode(piece.bytes, seq, file)?);
    part.next = holes.after(seq + 1);
    part.bytes_left = part.bytes_left.saturating_sub(piece.bytes.len());
    Ok(())
}

/// Decodes the record stored under `seq`.
pub(crate) fn decode(bytes: &[u8], seq: u64, file: &str) -> Result<Record, ReadError> {
    let seq = Seq::at_least_first(seq);
    let file = || file.to_owned();
    let record = Record::decode(bytes.to_vec()).map_err(|source| ReadError::Damaged {
        seq,
        file: file(),
        source,
    })?;
    let found = record.header().seq;
    if found != seq {
        return Err(ReadError::Misplaced {
            seq,
            file: file(),
            found,
        });
    }
    Ok(record)
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
