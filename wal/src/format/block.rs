//! Rows that hold many records or many keys. Pure.
//!
//! The engine's cost of a commit is mostly its cost per row, and its pages are 4 KiB times a
//! power of two. So the records of one append are cut into runs that fill such pages.

use std::ops::Range;

use crate::frame;

/// What the engine adds to a lone row in a leaf page: page header, end of the value, key.
const LEAF_OVERHEAD: usize = 16;
const PAGE: usize = 4096;
/// The largest page to fill, as a power of two of [`PAGE`]: larger ones gain nothing measurable
/// and make reading one record dearer.
const ORDER_MAX: u32 = 4;
/// Most bytes of a row that fills no page by itself. Such rows share pages, and a quarter page
/// leaves less of them empty than a row of just over half.
const SHARED_MAX: usize = PAGE / 4 - LEAF_OVERHEAD;
/// Marks a record without a key.
const NO_KEY: u16 = u16::MAX;
/// Bytes of the checksum at the end of a row of keys.
pub(crate) const KEYS_SUM: usize = size_of::<u32>();
/// The first layout of segments whose rows of keys have one.
const KEYS_SUM_SINCE: u32 = 2;

/// Cuts things of these lengths into runs, each of at least one thing. A row will have `more`
/// bytes besides those of its run.
pub(crate) fn runs(lens: &[usize], more: usize) -> Vec<Range<usize>> {
    let mut left: usize = lens.iter().sum();
    let mut out = Vec::new();
    let mut start = 0;
    while start < lens.len() {
        let (end, bytes) = run(&lens[start..], left, more);
        out.push(start..start + end);
        start += end;
        left -= bytes;
    }
    out
}

/// Things and bytes of the first run: the largest page that it fills to three quarters at least.
fn run(lens: &[usize], left: usize, more: usize) -> (usize, usize) {
    for order in (0..=ORDER_MAX).rev() {
        let room = (PAGE << order) - LEAF_OVERHEAD - more;
        if left >= room {
            let (end, bytes) = fit(lens, room);
            if bytes >= room / 4 * 3 {
                return (end, bytes);
            }
        }
    }
    fit(lens, SHARED_MAX - more)
}

/// How many things fit into `room`, at least one, and their bytes.
fn fit(lens: &[usize], room: usize) -> (usize, usize) {
    let (mut end, mut bytes) = (1, lens[0]);
    while let Some(len) = lens.get(end).filter(|len| bytes + **len <= room) {
        bytes += len;
        end += 1;
    }
    (end, bytes)
}

/// A part of a block of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<'b> {
    pub(crate) seq: u64,
    /// More than `seq` only where a header is so damaged that the records from `seq` on cannot
    /// be told apart: `bytes` are then all that is left, and no record.
    pub(crate) last: u64,
    pub(crate) bytes: &'b [u8],
}

/// Takes a block of records apart. Which numbers it holds is known from its row and the row
/// before it, so that damage in it moves no other record and hides none.
pub(crate) struct Pieces<'b> {
    rest: &'b [u8],
    /// `None` at the end.
    next: Option<u64>,
    last: u64,
}

impl<'b> Pieces<'b> {
    /// The records after number `before` up to `last`. If the first one is whole and has a later
    /// number, the block starts there: rows are missing before it.
    pub(crate) fn new(before: u64, last: u64, bytes: &'b [u8]) -> Pieces<'b> {
        let mut first = before.saturating_add(1);
        if let Some(len) = frame::stored_len(bytes)
            && let Some(found) = frame::numbered_from(&bytes[..len], first)
            && found <= last
        {
            first = found;
        }
        Pieces {
            rest: bytes,
            next: Some(first),
            last,
        }
    }
}

impl<'b> Iterator for Pieces<'b> {
    type Item = Piece<'b>;

    fn next(&mut self) -> Option<Piece<'b>> {
        let seq = self.next?;
        let len = frame::stored_len(self.rest).filter(|_| seq < self.last);
        let Some((bytes, rest)) = len.map(|len| self.rest.split_at(len)) else {
            // The last one gets all that is left: a block must end where its last record does.
            self.next = None;
            return Some(Piece {
                seq,
                last: self.last.max(seq),
                bytes: self.rest,
            });
        };
        self.rest = rest;
        self.next = Some(seq + 1);
        Some(Piece {
            seq,
            last: seq,
            bytes,
        })
    }
}

/// Bytes that a record's key takes in a block of keys.
pub(crate) fn key_len(key: Option<&[u8]>) -> usize {
    size_of::<u16>() + key.map_or(0, <[u8]>::len)
}

/// Appends the key of the next record of a block of keys; `batch::check` bounds its length.
pub(crate) fn put_key(key: Option<&[u8]>, out: &mut Vec<u8>) {
    let len = key.map_or(NO_KEY, |key| u16::try_from(key.len()).unwrap_or(NO_KEY));
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(key.unwrap_or_default());
}

/// Ends a row of keys whose first record is `first`.
pub(crate) fn end_keys(first: u64, row: &mut Vec<u8>) {
    let sum = sum_of_keys(first, row);
    row.extend_from_slice(&sum.to_le_bytes());
}

/// The number counts, since nothing else says whose keys they are.
fn sum_of_keys(first: u64, keys: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&first.to_le_bytes());
    crc.update(keys);
    crc.finalize()
}

/// The keys of a row without its checksum; `None` when that is not theirs.
fn checked(first: u64, row: &[u8]) -> Option<&[u8]> {
    let (keys, sum) = row.split_at_checked(row.len().checked_sub(KEYS_SUM)?)?;
    (sum_of_keys(first, keys) == u32::from_le_bytes(frame::array(sum, 0))).then_some(keys)
}

/// Hands out the keys of a row whose first record is `first`, in a segment of this layout; `None`
/// when it is not what was written. Then none of what was handed out is to be relied on.
pub(crate) fn keys(
    layout: u32,
    first: u64,
    row: &[u8],
    mut take: impl FnMut(&[u8], u64),
) -> Option<()> {
    let keys = match layout {
        0..KEYS_SUM_SINCE => row,
        _ => checked(first, row)?,
    };
    let (mut rest, mut seq) = (keys, first);
    while !rest.is_empty() {
        let (len, after) = rest.split_at_checked(size_of::<u16>())?;
        let len = u16::from_le_bytes(frame::array(len, 0));
        rest = after;
        if len != NO_KEY {
            let (key, after) = rest.split_at_checked(usize::from(len))?;
            take(key, seq);
            rest = after;
        }
        seq = seq.checked_add(1)?;
    }
    Some(())
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
