//! One append: decide against a snapshot what is new, then write it in one transaction.

use redb::{ReadOnlyTable, ReadableDatabase, WriteTransaction};

use crate::batch::{Appended, Batch, Outcome};
use crate::catalog::Catalog;
use crate::dedup::{self, Fate};
use crate::error::{AppendError, AtFile, DiskError};
use crate::frame::NewRecord;
use crate::key_index::Index;
use crate::log::Log;
use crate::plan::{CATALOG, segment_name};
use crate::segment::Marks;
use crate::seq::Seq;
use crate::{block, frame, tables};

/// What one batch changes.
struct Changes<'b> {
    outcomes: Vec<Outcome>,
    /// Tail after the batch.
    tail: u64,
    bookmarks: Vec<(&'b str, &'b [u8])>,
    cursors: Vec<(&'b str, u64)>,
}

impl Changes<'_> {
    /// Keys of the records that are appended, in order of their numbers, with their places in
    /// the batch.
    fn new_keys<'b>(&self, batch: &'b Batch) -> impl Iterator<Item = (usize, &'b [u8], u64)> {
        let records = batch.records.iter().zip(&self.outcomes).enumerate();
        records.filter_map(|(at, (record, outcome))| match outcome {
            Outcome::Appended(seq) => Some((at, record.key.as_deref()?, seq.get())),
            Outcome::Duplicate(_) => None,
        })
    }
}

/// The batch has passed `batch::check`, and the active segment has room.
pub(crate) fn append(log: &mut Log, batch: &Batch) -> Result<Appended, AppendError> {
    let file = segment_name(log.first);
    let slot = log.live.active();
    let Some(active) = slot.as_ref() else {
        return Err(AppendError::Poisoned);
    };
    let hashes = hashes(batch, &log.keys);
    let fates = fates(
        batch,
        &hashes,
        &log.keys,
        log.absorbing.as_ref().map(|it| &it.keys),
        &log.catalog,
        &mut log.sealed_keys,
    )
    .at(CATALOG)?;
    let (outcomes, tail) = number(&fates, log.tail);
    let changes = Changes {
        outcomes,
        tail,
        bookmarks: changed_bookmarks(batch, &log.marks),
        cursors: moved_cursors(batch, &log.marks, tail)?,
    };
    let nothing =
        changes.tail == log.tail && changes.bookmarks.is_empty() && changes.cursors.is_empty();
    if !nothing {
        let txn = active.db.begin_write().at(&file)?;
        let bytes = write(&txn, batch, &changes, log.identity.epoch).at(&file)?;
        active.commit(txn).at(&file)?;
        log.live.set_bytes(log.live.bytes() + bytes);
    }
    drop(slot);
    // Only now, since a batch that failed must leave no trace.
    log.keys.make_ready(&hashes);
    for (at, key, seq) in changes.new_keys(batch) {
        log.keys.insert(key, hashes[at], seq);
    }
    for (name, value) in &changes.bookmarks {
        log.marks
            .bookmarks
            .insert((*name).to_owned(), value.to_vec());
    }
    for (name, cursor) in &changes.cursors {
        log.marks.cursors.insert((*name).to_owned(), *cursor);
    }
    log.tail = changes.tail;
    log.live.set_durable(log.tail);
    Ok(Appended {
        outcomes: changes.outcomes,
        tail: Seq::new(log.tail),
        rolled: None,
    })
}

/// Of the keys, one per record.
fn hashes(batch: &Batch, keys: &Index) -> Vec<u32> {
    let of = |record: &NewRecord| record.key.as_ref().map_or(0, |key| keys.hash(key));
    batch.records.iter().map(of).collect()
}

fn fates(
    batch: &Batch,
    hashes: &[u32],
    active: &Index,
    absorbing: Option<&Index>,
    catalog: &Catalog,
    sealed: &mut Option<ReadOnlyTable<&'static [u8], u64>>,
) -> Result<Vec<Fate>, DiskError> {
    if batch.records.iter().all(|record| record.key.is_none()) {
        return Ok(vec![Fate::New; batch.records.len()]);
    }
    let sealed = match sealed {
        Some(table) => table,
        None => sealed.insert(catalog.db.begin_read()?.open_table(tables::KEYS)?),
    };
    dedup::fates(&batch.records, hashes, active, absorbing, sealed)
}

/// Gives the new records their numbers.
fn number(fates: &[Fate], tail: u64) -> (Vec<Outcome>, u64) {
    let mut tail = tail;
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(fates.len());
    for fate in fates {
        outcomes.push(match *fate {
            Fate::New => {
                tail += 1;
                Outcome::Appended(Seq::at_least_first(tail))
            }
            Fate::Known(seq) => Outcome::Duplicate(Seq::at_least_first(seq)),
            // The earlier record has its outcome already.
            Fate::SameAs(index) => match outcomes[index] {
                Outcome::Appended(seq) | Outcome::Duplicate(seq) => Outcome::Duplicate(seq),
            },
        });
    }
    (outcomes, tail)
}

fn changed_bookmarks<'b>(batch: &'b Batch, stored: &Marks) -> Vec<(&'b str, &'b [u8])> {
    let mut changed: Vec<(&str, &[u8])> = Vec::new();
    for (index, (name, value)) in batch.bookmarks.iter().enumerate() {
        let replaced_later = batch.bookmarks[index + 1..].iter().any(|(n, _)| n == name);
        let same = stored.bookmarks.get(name) == Some(value);
        if !replaced_later && !same {
            changed.push((name, value));
        }
    }
    changed
}

fn moved_cursors<'b>(
    batch: &'b Batch,
    stored: &Marks,
    tail: u64,
) -> Result<Vec<(&'b str, u64)>, AppendError> {
    let mut moved: Vec<(&str, u64)> = Vec::new();
    for (name, cursor) in &batch.cursors {
        if cursor.get() > tail {
            return Err(AppendError::CursorPastTail {
                name: name.clone(),
                cursor: *cursor,
                tail,
            });
        }
        let pending = moved.iter().filter(|(n, _)| n == name).map(|(_, at)| *at);
        let old = stored.cursors.get(name).copied();
        if cursor.get() > pending.chain(old).max().unwrap_or(0) {
            moved.push((name, cursor.get()));
        }
    }
    Ok(moved)
}

/// Writes everything into the open transaction; returns the record bytes added.
fn write(
    txn: &WriteTransaction,
    batch: &Batch,
    changes: &Changes<'_>,
    epoch: u32,
) -> Result<u64, DiskError> {
    let new = appended(batch, changes);
    let bytes = write_records(txn, &new, epoch)?;
    write_keys(txn, &new)?;
    if !changes.bookmarks.is_empty() {
        let mut rows = txn.open_table(tables::BOOKMARKS)?;
        for (name, value) in &changes.bookmarks {
            rows.insert(*name, *value)?;
        }
    }
    if !changes.cursors.is_empty() {
        let mut rows = txn.open_table(tables::CURSORS)?;
        for (name, cursor) in &changes.cursors {
            rows.insert(*name, cursor)?;
        }
    }
    Ok(bytes)
}

/// The records that are appended, with their numbers, which have no gap.
fn appended<'b>(batch: &'b Batch, changes: &Changes<'_>) -> Vec<(Seq, &'b NewRecord)> {
    let records = batch.records.iter().zip(&changes.outcomes);
    let new = records.filter_map(|(record, outcome)| match outcome {
        Outcome::Appended(seq) => Some((*seq, record)),
        Outcome::Duplicate(_) => None,
    });
    new.collect()
}

fn write_records(
    txn: &WriteTransaction,
    new: &[(Seq, &NewRecord)],
    epoch: u32,
) -> Result<u64, DiskError> {
    let lens: Vec<usize> = new
        .iter()
        .map(|(_, record)| frame::encoded_len(record))
        .collect();
    let mut rows = txn.open_table(tables::RECORDS)?;
    let mut buffer = Vec::new();
    for run in block::runs(&lens, 0) {
        buffer.clear();
        for (seq, record) in &new[run.clone()] {
            frame::encode(record, *seq, epoch, &mut buffer);
        }
        let last = new[run.end - 1].0;
        rows.insert(last.get(), buffer.as_slice())?;
    }
    Ok(lens.iter().sum::<usize>() as u64)
}

fn write_keys(txn: &WriteTransaction, new: &[(Seq, &NewRecord)]) -> Result<(), DiskError> {
    if new.iter().all(|(_, record)| record.key.is_none()) {
        return Ok(());
    }
    let keys: Vec<Option<&[u8]>> = new
        .iter()
        .map(|(_, record)| record.key.as_deref())
        .collect();
    let lens: Vec<usize> = keys.iter().map(|key| block::key_len(*key)).collect();
    let mut rows = txn.open_table(tables::SEGMENT_KEYS)?;
    let mut buffer = Vec::new();
    for run in block::runs(&lens, block::KEYS_SUM) {
        buffer.clear();
        for key in &keys[run.clone()] {
            block::put_key(*key, &mut buffer);
        }
        let first = new[run.start].0.get();
        block::end_keys(first, &mut buffer);
        rows.insert(first, buffer.as_slice())?;
    }
    Ok(())
}
