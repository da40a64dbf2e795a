//! Writing a whole segment at once: what compacting, salvaging and restoring have in common.
//!
//! Everything goes into one transaction in the order of the numbers, in blocks that fill the
//! engine's largest pages, so that the file has no more than its contents need.

use std::ops::Range;

use redb::{Database, ReadableDatabase, WriteTransaction};

use crate::block;
use crate::catalog::write_holes;
use crate::error::{AtFile, DiskError, OpenError};
use crate::hole::Holes;
use crate::manifest::{Manifest, Tally};
use crate::paced::Paced;
use crate::plan::TEMPORARY;
use crate::segment::{self, Carried, Meta, Mode};
use crate::storage::{Access, Storage};
use crate::tables;

/// Memory for pages while a segment is written.
const CACHE_BYTES: usize = 16 << 20;
/// Rows are cut from about this much at a time: several of the largest pages.
const PENDING_BYTES: usize = 1 << 20;

/// A segment to be written, but for its records and keys.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    pub(crate) meta: Meta,
    pub(crate) carried: Carried,
    pub(crate) holes: Holes,
    /// `None` for a segment that is to be written on: the active one.
    pub(crate) manifest: Option<Manifest>,
}

/// Dedup keys with the numbers of their records, ascending.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    rows: Vec<(u64, Range<usize>)>,
}

impl Keys {
    /// The number must be above all others.
    pub(crate) fn push(&mut self, seq: u64, key: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.rows.push((seq, start..self.bytes.len()));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let rows = self.rows.iter();
        rows.map(|(seq, place)| (*seq, &self.bytes[place.clone()]))
    }
}

/// The records of a segment that has none.
pub(crate) const NONE: std::iter::Empty<Result<(u64, Vec<u8>), OpenError>> = std::iter::empty();

/// Writes the segment under the name, replacing what has that name, complete and durable: it is
/// written under a temporary name, read back and compared with its manifest, renamed, and the
/// directory synced. Readers that have the replaced file open go on reading that.
///
/// `records` are numbers with stored bytes, ascending, leaving out exactly the holes; `keys`
/// numbers with dedup keys, ascending. Returns the length of the file in bytes.
///
/// # Errors
/// What `records` gives; [`OpenError::Disk`]; [`OpenError::Rewrite`] when the records are not
/// those of the manifest. The name then still has what it had.
pub(crate) fn rewrite<'k>(
    storage: &dyn Storage,
    name: &str,
    whole: &Whole,
    records: impl Iterator<Item = Result<(u64, Vec<u8>), OpenError>>,
    keys: impl Iterator<Item = (u64, &'k [u8])>,
) -> Result<u64, OpenError> {
    let temporary = format!("{name}{TEMPORARY}");
    let written = write(storage, &temporary, whole, records, keys)
        .and_then(|()| read_back(storage, &temporary, whole));
    if let Err(e) = written {
        // Worthless, and the next open removes it if this fails too.
        drop(storage.remove(&temporary));
        return Err(e);
    }
    let bytes = storage.len(&temporary).at(&temporary)?;
    storage.rename(&temporary, name).at(&temporary)?;
    storage.sync_dir().at(name)?;
    Ok(bytes)
}

fn write<'k>(
    storage: &dyn Storage,
    temporary: &str,
    whole: &Whole,
    records: impl Iterator<Item = Result<(u64, Vec<u8>), OpenError>>,
    keys: impl Iterator<Item = (u64, &'k [u8])>,
) -> Result<(), OpenError> {
    let mode = Mode {
        cache_bytes: CACHE_BYTES,
        redo_bytes: 0,
    };
    let backend = storage.open(temporary, Access::Create).at(temporary)?;
    let mut db = mode
        .builder()
        .create_with_backend(Paced::new(backend))
        .at(temporary)?;
    let txn = db.begin_write().at(temporary)?;
    write_records(&txn, records, temporary)?;
    write_rest(&txn, whole, keys).at(temporary)?;
    txn.commit().at(temporary)?;
    shrink(&mut db).at(temporary)?;
    Ok(db.close().at(temporary)?)
}

/// Frees what the engine held for later; a segment of this kind is never written again, or only
/// appended to.
fn shrink(db: &mut Database) -> Result<(), DiskError> {
    db.compact()?;
    Ok(())
}

fn write_records(
    txn: &WriteTransaction,
    records: impl Iterator<Item = Result<(u64, Vec<u8>), OpenError>>,
    file: &str,
) -> Result<(), OpenError> {
    let mut rows = txn.open_table(tables::RECORDS).at(file)?;
    let mut pending = Pending::default();
    for record in records {
        let (seq, bytes) = record?;
        if !pending.takes(seq) {
            pending
                .flush(0, |run, block| rows.insert(run.last, block).map(drop))
                .at(file)?;
        }
        pending.add(seq, |out| out.extend_from_slice(&bytes));
    }
    pending
        .flush(0, |run, block| rows.insert(run.last, block).map(drop))
        .at(file)?;
    Ok(())
}

fn write_keys<'k>(
    txn: &WriteTransaction,
    keys: impl Iterator<Item = (u64, &'k [u8])>,
) -> Result<(), DiskError> {
    let mut rows = txn.open_table(tables::SEGMENT_KEYS)?;
    let mut row = Vec::new();
    let mut put = |run: Run, keys: &[u8]| {
        row.clear();
        row.extend_from_slice(keys);
        block::end_keys(run.first, &mut row);
        rows.insert(run.first, row.as_slice()).map(drop)
    };
    let mut pending = Pending::default();
    for (seq, key) in keys {
        // A few records without a key in between cost less than a new block.
        while pending
            .next()
            .is_some_and(|next| next < seq && seq - next < 16)
        {
            let next = pending.next().unwrap_or(seq);
            pending.add(next, |out| block::put_key(None, out));
        }
        if !pending.takes(seq) {
            pending.flush(block::KEYS_SUM, &mut put)?;
        }
        pending.add(seq, |out| block::put_key(Some(key), out));
    }
    pending.flush(block::KEYS_SUM, put)?;
    Ok(())
}

fn write_rest<'k>(
    txn: &WriteTransaction,
    whole: &Whole,
    keys: impl Iterator<Item = (u64, &'k [u8])>,
) -> Result<(), DiskError> {
    write_keys(txn, keys)?;
    segment::write_description(txn, &whole.meta, &whole.carried)?;
    write_holes(txn, &whole.holes)?;
    if let Some(manifest) = &whole.manifest {
        let mut rows = txn.open_table(tables::SEAL)?;
        rows.insert(tables::MANIFEST, manifest.encode().as_slice())?;
    }
    Ok(())
}

/// A run of numbers that becomes a row.
struct Run {
    first: u64,
    last: u64,
}

/// Things with consecutive numbers that wait to be cut into rows.
#[derive(Default)]
struct Pending {
    first: u64,
    lens: Vec<usize>,
    bytes: Vec<u8>,
}

impl Pending {
    /// The number that goes on with what is there; `None` when nothing is.
    fn next(&self) -> Option<u64> {
        (!self.lens.is_empty()).then(|| self.first + self.lens.len() as u64)
    }

    fn takes(&self, seq: u64) -> bool {
        self.bytes.len() < PENDING_BYTES && self.next().is_none_or(|next| next == seq)
    }

    fn add(&mut self, seq: u64, put: impl FnOnce(&mut Vec<u8>)) {
        if self.lens.is_empty() {
            self.first = seq;
        }
        let start = self.bytes.len();
        put(&mut self.bytes);
        self.lens.push(self.bytes.len() - start);
    }

    /// Hands out the rows, to each of which `more` bytes will be added.
    fn flush<E>(
        &mut self,
        more: usize,
        mut row: impl FnMut(Run, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut start = 0;
        for run in block::runs(&self.lens, more) {
            let end = start + self.lens[run.clone()].iter().sum::<usize>();
            let numbers = Run {
                first: self.first + run.start as u64,
                last: self.first + run.end as u64 - 1,
            };
            row(numbers, &self.bytes[start..end])?;
            start = end;
        }
        self.lens.clear();
        self.bytes.clear();
        Ok(())
    }
}

/// Reads the file as a reader would and compares it with what it should hold.
fn read_back(storage: &dyn Storage, file: &str, whole: &Whole) -> Result<(), OpenError> {
    let db = segment::open_read_only(storage, file).at(file)?;
    let txn = db.begin_read().at(file)?;
    let wrong = |what| OpenError::Rewrite {
        file: file.to_owned(),
        what,
    };
    if segment::read_meta(&txn, file)? != whole.meta {
        return Err(wrong("the description"));
    }
    if segment::read_holes(&txn).at(file)? != whole.holes {
        return Err(wrong("the holes"));
    }
    let manifest = segment::read_seal(&txn, file)?;
    if manifest != whole.manifest {
        return Err(wrong("the manifest"));
    }
    let (tally, last) = crate::sum::tally(&txn, whole.meta.first, &whole.holes).at(file)?;
    match manifest {
        Some(manifest) if !is_of(&manifest, &tally, last) => Err(wrong("the records")),
        None if tally.count > 0 => Err(wrong("the records")),
        _ => Ok(()),
    }
}

/// Whether the manifest describes these records.
pub(crate) fn is_of(manifest: &Manifest, tally: &Tally, last: u64) -> bool {
    manifest.last == last
        && manifest.count == tally.count
        && manifest.record_bytes == tally.record_bytes
        && manifest.payload_bytes == tally.payload_bytes
        && manifest.codecs == tally.codecs
        && manifest.digest == tally.digest()
}
