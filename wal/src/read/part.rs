//! One look at one segment: its records from a number on, within limits.

use redb::ReadTransaction;

use crate::block::{Piece, Pieces};
use crate::error::{AtFile, ReadError};
use crate::frame::Record;
use crate::hole::Holes;
use crate::plan::segment_name;
use crate::seq::Seq;
use crate::{segment, tables};

/// What is still wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) next: u64,
    /// Nothing past this number.
    pub(crate) last: u64,
    pub(crate) records_max: usize,
    pub(crate) bytes_left: usize,
    /// The first record is taken whatever its size.
    pub(crate) take_one: bool,
}

impl Window {
    /// The one record under a number.
    pub(crate) fn one(seq: u64) -> Window {
        Window {
            next: seq,
            last: seq,
            records_max: 1,
            bytes_left: usize::MAX,
            take_one: true,
        }
    }

    /// What is wanted after the part was read.
    pub(crate) fn after(self, part: &Part) -> Window {
        Window {
            next: part.next,
            records_max: self.records_max - part.records.len(),
            bytes_left: part.bytes_left,
            take_one: self.take_one && part.records.is_empty(),
            ..self
        }
    }
}

/// What one look at a segment found.
pub(crate) struct Part {
    pub(crate) records: Vec<Record>,
    /// The number to go on with, past the holes that end here.
    pub(crate) next: u64,
    /// The segment is sealed and was read to its end.
    pub(crate) sealed: bool,
    /// The window was used up.
    pub(crate) full: bool,
    pub(crate) bytes_left: usize,
}

pub(crate) fn read_part(
    txn: &ReadTransaction,
    first: u64,
    window: Window,
) -> Result<Part, ReadError> {
    let file = segment_name(first);
    let table = txn.open_table(tables::RECORDS).at(&file)?;
    let holes = segment::read_holes(txn).at(&file)?;
    let mut part = Part {
        records: Vec::new(),
        next: holes.after(window.next),
        sealed: false,
        full: false,
        bytes_left: window.bytes_left,
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
        || seq > window.last
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

/// A window could not be read because the file is damaged somewhere: finds the first number that
/// cannot be read, by reading ever less.
pub(crate) fn narrow(
    window: Window,
    e: ReadError,
    read: impl Fn(Window) -> Result<Option<Part>, ReadError>,
) -> ReadError {
    let mut size = window.records_max.min(1024);
    let mut tried = Window {
        bytes_left: usize::MAX,
        ..window
    };
    while size > 0 {
        tried.records_max = size;
        match read(tried) {
            Ok(Some(part)) if part.next > tried.next => tried.next = part.next,
            // Gone meanwhile, or nothing there: what it was can no longer be told.
            Ok(_) => break,
            Err(e) if !e.is_damage() => return e,
            Err(_) => size /= 2,
        }
    }
    ReadError::Unreadable {
        seq: Seq::at_least_first(tried.next),
        source: Box::new(e),
    }
}
