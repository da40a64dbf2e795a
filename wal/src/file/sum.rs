//! Walking the records of a segment: their sum for the manifest, their bytes, their numbers.

use redb::{ReadTransaction, ReadableTable};

use crate::block::Pieces;
use crate::error::DiskError;
use crate::frame::{HEADER_LEN, decode_header};
use crate::hole::Holes;
use crate::manifest::Tally;
use crate::segment::read_holes;
use crate::tables;

/// Record bytes of a segment, by walking it.
pub(crate) fn sum_bytes(txn: &ReadTransaction) -> Result<u64, DiskError> {
    let mut bytes = 0;
    for row in txn.open_table(tables::RECORDS)?.iter()? {
        bytes += row?.1.value().len() as u64;
    }
    Ok(bytes)
}

/// The sum over a segment's records up to a number.
#[derive(Clone)]
pub(crate) struct Summed {
    pub(crate) tally: Tally,
    pub(crate) last: u64,
}

impl Summed {
    /// Nothing yet of a segment that starts at `first`, perhaps with a hole.
    pub(crate) fn nothing(first: u64, holes: &Holes) -> Summed {
        Summed {
            tally: Tally::default(),
            last: holes.after(first) - 1,
        }
    }

    /// Adds the records up to number `until`.
    pub(crate) fn add(
        &mut self,
        txn: &ReadTransaction,
        holes: &Holes,
        until: u64,
    ) -> Result<(), DiskError> {
        let rows = txn.open_table(tables::RECORDS)?;
        for row in rows.range(self.last.saturating_add(1)..=until)? {
            let (key, block) = row?;
            let before = holes.after(self.last.saturating_add(1)) - 1;
            for piece in Pieces::new(before, key.value(), block.value()) {
                self.tally.add(&piece);
            }
            self.last = key.value();
        }
        Ok(())
    }
}

/// Adds up all records; gives the last number of the segment beside.
pub(crate) fn tally(
    txn: &ReadTransaction,
    first: u64,
    holes: &Holes,
) -> Result<(Tally, u64), DiskError> {
    let mut summed = Summed::nothing(first, holes);
    summed.add(txn, holes, u64::MAX)?;
    Ok((summed.tally, summed.last.max(holes.last().unwrap_or(0))))
}

/// Record bytes of the active segment, by walking it. Its numbers must be beyond doubt, since the
/// next is given out after the last: rows carry no checksum for theirs, so they are held against
/// each other, against what there can be in so many bytes, and against the last record.
pub(crate) fn sum_checked(txn: &ReadTransaction, first: u64) -> Result<u64, DiskError> {
    let wrong = |number: u64| {
        let what = format!("a row of records has the number {number}");
        Err(redb::Error::Corrupted(what).into())
    };
    let holes = read_holes(txn)?;
    let records = txn.open_table(tables::RECORDS)?;
    let (mut bytes, mut last, mut before) = (0u64, first.saturating_sub(1), 0);
    for row in records.iter()? {
        let (number, block) = row?;
        if number.value() <= last || holes.covers(number.value()) {
            return wrong(number.value());
        }
        before = holes.after(last.saturating_add(1)) - 1;
        last = number.value();
        bytes += block.value().len() as u64;
    }
    let Some((number, block)) = records.last()? else {
        return Ok(bytes);
    };
    let count = (last - first).saturating_sub(holes.count());
    if number.value() != last || count > bytes / HEADER_LEN as u64 {
        return wrong(last);
    }
    let record = Pieces::new(before, last, block.value()).last();
    match record.map(|piece| decode_header(piece.bytes)) {
        // Behind a damaged length nothing can be told apart, and the number is all there is.
        Some(Ok(header)) if header.seq.get() != last => wrong(last),
        _ => Ok(bytes),
    }
}
