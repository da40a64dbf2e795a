//! Writing a sealed segment again without the space its appends left unused.

use std::collections::VecDeque;

use redb::{Range, ReadTransaction, ReadableDatabase, ReadableTable};

use crate::block::Pieces;
use crate::contain::contained;
use crate::dedup;
use crate::error::{At, AtFile, DiskError, OpenError, RewriteError};
use crate::hole::Holes;
use crate::log::Log;
use crate::manifest::Manifest;
use crate::plan::segment_name;
use crate::rewrite::{Keys, Whole, rewrite};
use crate::seq::Seq;
use crate::storage::Storage;
use crate::{segment, tables};

/// What compacting a segment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the file before.
    pub before: u64,
    /// Bytes of the file now.
    pub after: u64,
}

impl Compacted {
    /// Bytes less than before.
    pub fn saved(self) -> u64 {
        self.before.saturating_sub(self.after)
    }
}

impl Log {
    /// Writes the sealed segment that starts at `first` again, with the same records, numbers
    /// and digest, without the space that its appends left unused. Takes time in proportion to
    /// the segment and needs as much free space; records are not appended meanwhile. Readers
    /// that hold the old file go on with it, and its space is freed when they let go.
    ///
    /// # Errors
    /// The log is as it was before, and the handle is good as before.
    pub fn compact(&mut self, first: Seq) -> Result<Compacted, RewriteError> {
        self.check_sealed(first)?;
        let file = segment_name(first.get());
        contained(&file, || compact(&*self.storage, first.get())).map_err(RewriteError::from)
    }

    pub(crate) fn check_sealed(&mut self, first: Seq) -> Result<(), RewriteError> {
        if self.poisoned {
            return Err(RewriteError::Poisoned);
        }
        self.settle()?;
        let contents = self.catalog.contents()?;
        let starts = |manifest: &Manifest| manifest.first == first.get();
        if !contents.manifests.iter().any(starts) {
            return Err(RewriteError::NotSealed { first });
        }
        Ok(())
    }
}

pub(crate) fn compact(storage: &dyn Storage, first: u64) -> Result<Compacted, OpenError> {
    let file = segment_name(first);
    let before = storage.len(&file).at(&file)?;
    let db = segment::open_read_only(storage, &file).at(&file)?;
    let txn = db.begin_read().at(&file)?;
    let manifest = segment::read_seal(&txn, &file)?;
    let whole = Whole {
        meta: segment::read_meta(&txn, &file)?,
        carried: segment::read_carried(&txn).at(&file)?,
        holes: segment::read_holes(&txn).at(&file)?,
        manifest: Some(manifest.ok_or(OpenError::BadFile {
            file: file.clone(),
            what: tables::MANIFEST,
        })?),
    };
    let keys = keys_of(&txn).at(&file)?;
    let table = txn.open_table(tables::RECORDS).at(&file)?;
    let rows = table.iter().at(&file)?;
    let records = Records::new(rows, first, &whole.holes, &file);
    let after = rewrite(storage, &file, &whole, records, keys.iter())?;
    Ok(Compacted { before, after })
}

/// The dedup keys of a segment, as its keys table has them.
pub(crate) fn keys_of(segment: &ReadTransaction) -> Result<Keys, DiskError> {
    let mut keys = Keys::default();
    dedup::each(segment, |key, seq| keys.push(seq, key))?;
    Ok(keys)
}

/// The records of a segment as stored, in order, with their numbers. Not checked: the digest of
/// what is made from them is.
pub(crate) struct Records<'t> {
    rows: Range<'t, u64, &'static [u8]>,
    holes: &'t Holes,
    file: &'t str,
    /// Number of the last record handed out or queued.
    last: u64,
    queue: VecDeque<(u64, Vec<u8>)>,
}

impl<'t> Records<'t> {
    pub(crate) fn new(
        rows: Range<'t, u64, &'static [u8]>,
        first: u64,
        holes: &'t Holes,
        file: &'t str,
    ) -> Records<'t> {
        Records {
            rows,
            holes,
            file,
            last: first.saturating_sub(1),
            queue: VecDeque::new(),
        }
    }

    /// Takes the next block apart; `None` at the end.
    fn fill(&mut self) -> Option<Result<(), OpenError>> {
        let (key, block) = match self.rows.next()?.at(self.file) {
            Ok(row) => row,
            Err(e) => return Some(Err(e.into())),
        };
        let before = self.holes.after(self.last.saturating_add(1)) - 1;
        for piece in Pieces::new(before, key.value(), block.value()) {
            if piece.last > piece.seq {
                let what = format!("the length of record {}", piece.seq);
                let error: DiskError = redb::Error::Corrupted(what).into();
                return Some(Err(At::new(self.file, error).into()));
            }
            self.queue.push_back((piece.seq, piece.bytes.to_vec()));
        }
        self.last = key.value();
        Some(Ok(()))
    }
}

impl Iterator for Records<'_> {
    type Item = Result<(u64, Vec<u8>), OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.queue.pop_front() {
                return Some(Ok(record));
            }
            if let Err(e) = self.fill()? {
                return Some(Err(e));
            }
        }
    }
}
