//! One append: decide against a snapshot what is new, then write it in one transaction.

use redb::{ReadTransaction, ReadableDatabase, WriteTransaction};

use crate::batch::{Appended, Batch, NewRecord, Outcome};
use crate::dedup::{self, Fate};
use crate::error::{AppendError, AtFile, DiskError};
use crate::key_index::Index;
use crate::log::Log;
use crate::plan::segment_name;
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
    /// Keys of the records that are appended, in order of their numbers.
    fn new_keys<'b>(&self, batch: &'b Batch) -> impl Iterator<Item = (&'b [u8], u64)> {
        let records = batch.records.iter().zip(&self.outcomes);
        records.filter_map(|(record, outcome)| match outcome {
            Outcome::Appended(seq) => Some((record.key.as_deref()?, seq.get())),
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
    // This thread is the only writer, so what a snapshot shows stays true until the commit.
    let snapshot = active.db.begin_read().at(&file)?;
    let catalog = log.catalog.db.begin_read().at(crate::plan::CATALOG)?;
    let fates = fates(batch, &log.keys, &catalog).at(&file)?;
    let (outcomes, tail) = number(&fates, log.tail);
    let changes = Changes {
        outcomes,
        tail,
        bookmarks: changed_bookmarks(batch, &snapshot).at(&file)?,
        cursors: moved_cursors(batch, &snapshot, tail, &file)?,
    };
    drop((snapshot, catalog));
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
    for (key, seq) in changes.new_keys(batch) {
        log.keys.insert(key, seq);
    }
    log.tail = changes.tail;
    log.live.set_durable(log.tail);
    Ok(Appended {
        outcomes: changes.outcomes,
        tail: Seq::new(log.tail),
    })
}

fn fates(batch: &Batch, active: &Index, catalog: &ReadTransaction) -> Result<Vec<Fate>, DiskError> {
    if batch.records.iter().all(|record| record.key.is_none()) {
        return Ok(vec![Fate::New; batch.records.len()]);
    }
    let sealed = catalog.open_table(tables::KEYS)?;
    dedup::fates(&batch.records, active, &sealed)
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

fn changed_bookmarks<'b>(
    batch: &'b Batch,
    snapshot: &ReadTransaction,
) -> Result<Vec<(&'b str, &'b [u8])>, DiskError> {
    let mut changed: Vec<(&str, &[u8])> = Vec::new();
    if batch.bookmarks.is_empty() {
        return Ok(changed);
    }
    let stored = snapshot.open_table(tables::BOOKMARKS)?;
    for (index, (name, value)) in batch.bookmarks.iter().enumerate() {
        let replaced_later = batch.bookmarks[index + 1..].iter().any(|(n, _)| n == name);
        let same = stored
            .get(name.as_str())?
            .is_some_and(|old| old.value() == value.as_slice());
        if !replaced_later && !same {
            changed.push((name, value));
        }
    }
    Ok(changed)
}

fn moved_cursors<'b>(
    batch: &'b Batch,
    snapshot: &ReadTransaction,
    tail: u64,
    file: &str,
) -> Result<Vec<(&'b str, u64)>, AppendError> {
    let mut moved: Vec<(&str, u64)> = Vec::new();
    if batch.cursors.is_empty() {
        return Ok(moved);
    }
    let stored = snapshot.open_table(tables::CURSORS).at(file)?;
    for (name, cursor) in &batch.cursors {
        if cursor.get() > tail {
            return Err(AppendError::CursorPastTail {
                name: name.clone(),
                cursor: *cursor,
                tail,
            });
        }
        let old = stored
            .get(name.as_str())
            .at(file)?
            .map_or(0, |old| old.value());
        let pending = moved
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, c)| *c)
            .max();
        if cursor.get() > old.max(pending.unwrap_or(0)) {
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
    for run in block::runs(&lens) {
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
    for run in block::runs(&lens) {
        buffer.clear();
        for key in &keys[run.clone()] {
            block::put_key(*key, &mut buffer);
        }
        let first = new[run.start].0;
        rows.insert(first.get(), buffer.as_slice())?;
    }
    Ok(())
}
