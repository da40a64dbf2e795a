//! Dedup keys. Those of the active segment are in memory, those of all sealed ones in the catalog.
//! The catalog is searched and merged into in key order, so that the cost is one descent per run
//! of neighbouring keys instead of one per key.

use std::collections::HashMap;
use std::ops::Bound;

use redb::{CursorError, ReadTransaction, ReadableTable, Table};

use crate::batch::NewRecord;
use crate::error::DiskError;
use crate::tables;

/// The keys of the active segment. One segment bounds it: about 80 bytes and the key for each
/// record, so some 16 MB for a full segment of the default size and 300-byte payloads.
pub(crate) type Index = HashMap<Box<[u8]>, u64>;

/// What is to become of one record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No such key, or no key: append it.
    New,
    /// The key is in the log under this number.
    Known(u64),
    /// The same key as an earlier record of the batch, by index.
    SameAs(usize),
}

/// The keys of a segment, for its writer.
pub(crate) fn load(segment: &ReadTransaction) -> Result<Index, DiskError> {
    let mut index = Index::new();
    for row in segment.open_table(tables::SEGMENT_KEYS)?.iter()? {
        let (seq, key) = row?;
        index.insert(key.value().into(), seq.value());
    }
    Ok(index)
}

/// One fate per record, in the order of the batch.
pub(crate) fn fates(
    records: &[NewRecord],
    active: &Index,
    sealed: &impl ReadableTable<&'static [u8], u64>,
) -> Result<Vec<Fate>, DiskError> {
    let mut fates = vec![Fate::New; records.len()];
    let mut probe = Probe::new(sealed);
    let mut leader: Option<(&[u8], usize, Fate)> = None;
    for (key, index) in sorted_keys(records) {
        // Equal keys are neighbours now, the earliest of the batch first.
        if let Some((same, first, fate)) = leader
            && same == key
        {
            fates[index] = match fate {
                Fate::New => Fate::SameAs(first),
                known => known,
            };
            continue;
        }
        let known = match active.get(key) {
            Some(seq) => Some(*seq),
            None => probe.find(key)?,
        };
        let fate = known.map_or(Fate::New, Fate::Known);
        fates[index] = fate;
        leader = Some((key, index, fate));
    }
    Ok(fates)
}

/// The keys of a batch in byte order, equal ones in order of their index.
fn sorted_keys(records: &[NewRecord]) -> Vec<(&[u8], usize)> {
    let mut keys: Vec<(&[u8], usize)> = records
        .iter()
        .enumerate()
        .filter_map(|(index, record)| Some((record.key.as_deref()?, index)))
        .collect();
    keys.sort_unstable();
    keys
}

/// Looks up ascending keys. Remembers the next key that exists: everything below it is known to
/// be absent without asking again.
pub(crate) struct Probe<'t, T> {
    table: &'t T,
    /// `None` before the first look; then the smallest existing key at or past the last look,
    /// itself `None` at the end of the table.
    next: Option<Option<(Vec<u8>, u64)>>,
}

impl<'t, T: ReadableTable<&'static [u8], u64>> Probe<'t, T> {
    pub(crate) fn new(table: &'t T) -> Self {
        Probe { table, next: None }
    }

    pub(crate) fn find(&mut self, key: &[u8]) -> Result<Option<u64>, DiskError> {
        let must_look = match &self.next {
            None => true,
            Some(None) => false,
            Some(Some((next, _))) => next.as_slice() < key,
        };
        if must_look {
            let found = self.table.range::<&[u8]>(key..)?.next().transpose()?;
            self.next = Some(found.map(|(k, seq)| (k.value().to_vec(), seq.value())));
        }
        Ok(match &self.next {
            Some(Some((next, seq))) if next.as_slice() == key => Some(*seq),
            _ => None,
        })
    }
}

/// The keys of a segment in byte order: what the catalog takes in.
pub(crate) fn sorted(segment: &ReadTransaction) -> Result<Vec<(Vec<u8>, u64)>, DiskError> {
    let mut rows = Vec::new();
    for row in segment.open_table(tables::SEGMENT_KEYS)?.iter()? {
        let (seq, key) = row?;
        rows.push((key.value().to_vec(), seq.value()));
    }
    rows.sort_unstable();
    Ok(rows)
}

/// Inserts rows whose keys ascend. A key that is already there keeps its older number.
pub(crate) fn insert_sorted(
    table: &mut Table<'_, &'static [u8], u64>,
    rows: &[(Vec<u8>, u64)],
) -> Result<(), DiskError> {
    let mut rows = rows.iter().peekable();
    while let Some((key, seq)) = rows.next() {
        let mut cursor = table.upper_bound_mut(Bound::Included(key.as_slice()))?;
        match cursor.insert_before(key.as_slice(), seq) {
            Ok(()) => {}
            // Equal to the key before the gap: already there.
            Err(CursorError::UnorderedKey) => {
                cursor.close()?;
                continue;
            }
            Err(e) => return Err(e.into()),
        }
        // The run goes on until a key lies past the next existing one.
        while let Some((key, seq)) = rows.peek() {
            match cursor.insert_before(key.as_slice(), seq) {
                Ok(()) => drop(rows.next()),
                Err(CursorError::UnorderedKey) => break,
                Err(e) => return Err(e.into()),
            }
        }
        cursor.close()?;
    }
    Ok(())
}
