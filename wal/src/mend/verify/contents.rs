//! Checking what one segment holds.

use redb::{ReadTransaction, ReadableTable};

use super::FindingKind::{
    CursorPastTail, KeyMissing, KeyStray, KeyTwice, KeyUnknown, KeysDamaged, ManifestDiffers,
    RecordDamaged, RecordMissing,
};
use super::{Check, FINDINGS_MAX};
use crate::block::{Piece, Pieces};
use crate::error::DiskError;
use crate::manifest::{Manifest, Tally};
use crate::part::decode;
use crate::segment::Meta;
use crate::{dedup, segment, tables};

impl Check<'_> {
    /// Checks every record; returns their sum and the number after the last.
    pub(super) fn records(
        &mut self,
        txn: &ReadTransaction,
        meta: &Meta,
        file: &str,
    ) -> Result<(Tally, u64), DiskError> {
        let holes = segment::read_holes(txn)?;
        let mut tally = Tally::default();
        let mut next = meta.first;
        let mut damaged = 0;
        for row in txn.open_table(tables::RECORDS)?.iter()? {
            let (key, block) = row?;
            next = holes.after(next);
            if key.value() < next {
                let what = format!("record {next} lies under number {}", key.value());
                self.find(RecordMissing, file, Some(next), what);
            }
            for piece in Pieces::new(next.saturating_sub(1), key.value(), block.value()) {
                if piece.seq != next {
                    let what = format!("records {next} to {} are missing", piece.seq - 1);
                    self.find(RecordMissing, file, Some(next), what);
                }
                next = piece.last.saturating_add(1);
                tally.add(&piece);
                if let Some(what) = wrong(&piece, meta, file) {
                    damaged += 1;
                    if damaged <= FINDINGS_MAX {
                        self.find(RecordDamaged, file, Some(piece.seq), what);
                    }
                }
                self.count(&piece);
            }
        }
        if damaged > FINDINGS_MAX {
            let what = format!("{} more damaged records", damaged - FINDINGS_MAX);
            self.find(RecordDamaged, file, None, what);
        }
        self.report.holes.extend(holes.iter());
        Ok((tally, holes.after(next)))
    }

    fn count(&mut self, piece: &Piece<'_>) {
        let records = (piece.last - piece.seq).saturating_add(1);
        self.report.records = self.report.records.saturating_add(records);
        self.report.bytes += piece.bytes.len() as u64;
        if self.report.records.is_multiple_of(1024) {
            (self.progress)(self.report.bytes);
        }
    }

    pub(super) fn manifest(
        &mut self,
        said: &Manifest,
        meta: &Meta,
        found: &Tally,
        next: u64,
        missing: u64,
        file: &str,
    ) {
        let mut differ = |name: &str, same: bool| {
            if !same {
                let what = format!("{name} differs from the manifest");
                self.find(ManifestDiffers, file, None, what);
            }
        };
        differ("the identity", said.identity == meta.identity);
        differ("the first number", said.first == meta.first);
        differ("the previous digest", said.previous == meta.previous);
        differ("the last number", said.last + 1 == next);
        differ("the count", said.count == found.count);
        differ("the record bytes", said.record_bytes == found.record_bytes);
        differ(
            "the payload bytes",
            said.payload_bytes == found.payload_bytes,
        );
        differ("the codec set", said.codecs == found.codecs);
        differ("the time of creation", said.created_at == meta.created_at);
        differ("the number of missing records", said.missing == missing);
        differ("the digest", said.digest == found.digest());
    }

    /// Every row of keys is what was written; every key belongs to a record of its segment and is
    /// a key only once.
    pub(super) fn keys(
        &mut self,
        txn: &ReadTransaction,
        first: u64,
        next: u64,
        file: &str,
    ) -> Result<(), DiskError> {
        let (keys, damaged) = dedup::readable(txn)?;
        for from in damaged {
            let what = "the dedup keys from this record on are not what was written";
            self.find(KeysDamaged, file, Some(from), what);
        }
        for (_, seq) in keys.iter() {
            if !(first..next).contains(&seq) {
                let what = "a dedup key belongs to a record that is not here";
                self.find(KeyStray, file, Some(seq), what);
            }
        }
        let pairs = keys.iter().zip(keys.iter().skip(1));
        for (one, other) in pairs.filter(|(one, other)| one.0 == other.0) {
            let what = format!("has the same dedup key as record {}", one.1);
            self.find(KeyTwice, file, Some(other.1), what);
        }
        Ok(())
    }

    /// The catalog knows every key of a sealed segment, under this or an older number, and has no
    /// other for its records: its own keys have no checksum, but there are two of each.
    pub(super) fn catalogued(
        &mut self,
        txn: &ReadTransaction,
        file: &str,
        in_catalog: u64,
    ) -> Result<(), DiskError> {
        let Some(catalog) = &self.catalog_file else {
            return Ok(());
        };
        let snapshot = catalog.begin_read()?;
        let table = snapshot.open_table(tables::KEYS)?;
        let (unknown, same) = dedup::compare(&dedup::readable(txn)?.0, &table)?;
        for seq in unknown.iter().take(FINDINGS_MAX) {
            let what = "the catalog does not know its dedup key";
            self.find(KeyUnknown, file, Some(*seq), what);
        }
        if in_catalog > same {
            let extra = in_catalog - same;
            let what = format!("the catalog has {extra} dedup keys of its records that it has not");
            self.find(KeyMissing, file, None, what);
        }
        Ok(())
    }

    pub(super) fn cursors(
        &mut self,
        txn: &ReadTransaction,
        next: u64,
        file: &str,
    ) -> Result<(), DiskError> {
        for row in txn.open_table(tables::CURSORS)?.iter()? {
            let (name, at) = row?;
            if at.value() >= next {
                let what = format!("cursor {} is past the tail", name.value());
                self.find(CursorPastTail, file, Some(at.value()), what);
            }
        }
        Ok(())
    }
}

/// What is wrong with a stored record, or with several that cannot be told apart.
fn wrong(piece: &Piece<'_>, meta: &Meta, file: &str) -> Option<String> {
    match decode(piece.bytes, piece.seq, file) {
        Err(e) if piece.last > piece.seq => Some(format!(
            "{e}; the records after it up to {} cannot be told apart",
            piece.last
        )),
        Err(e) => Some(e.to_string()),
        Ok(record) if record.header().epoch != meta.identity.epoch => Some(format!(
            "is of epoch {}, its segment of {}",
            record.header().epoch,
            meta.identity.epoch
        )),
        Ok(_) => None,
    }
}
