//! Dedup keys: finding them and merging them in, both in key order, so that the cost is one
//! descent per run of neighbouring keys instead of one per key.

use std::ops::Bound;

use redb::{CursorError, ReadableTable, Table};

use crate::batch::NewRecord;
use crate::error::DiskError;

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

/// One fate per record, in the order of the batch. `tables` are searched in turn.
pub(crate) fn fates<T: ReadableTable<&'static [u8], u64>>(
    records: &[NewRecord],
    tables: &[T],
) -> Result<Vec<Fate>, DiskError> {
    let mut fates = vec![Fate::New; records.len()];
    let mut probes: Vec<Probe<'_, T>> = tables.iter().map(Probe::new).collect();
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
        let mut fate = Fate::New;
        for probe in &mut probes {
            if let Some(seq) = probe.find(key)? {
                fate = Fate::Known(seq);
                break;
            }
        }
        fates[index] = fate;
        leader = Some((key, index, fate));
    }
    Ok(fates)
}

/// The keys of a batch in byte order, equal ones in order of their index.
pub(crate) fn sorted_keys(records: &[NewRecord]) -> Vec<(&[u8], usize)> {
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
struct Probe<'t, T> {
    table: &'t T,
    /// `None` before the first look; then the smallest existing key at or past the last look,
    /// itself `None` at the end of the table.
    next: Option<Option<(Vec<u8>, u64)>>,
}

impl<'t, T: ReadableTable<&'static [u8], u64>> Probe<'t, T> {
    fn new(table: &'t T) -> Self {
        Probe { table, next: None }
    }

    fn find(&mut self, key: &[u8]) -> Result<Option<u64>, DiskError> {
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

/// Inserts rows whose keys ascend. A key that is already there keeps its older number.
pub(crate) fn insert_sorted<'k>(
    table: &mut Table<'_, &'static [u8], u64>,
    rows: impl Iterator<Item = Result<(std::borrow::Cow<'k, [u8]>, u64), DiskError>>,
) -> Result<(), DiskError> {
    let mut rows = rows.peekable();
    while let Some(row) = rows.next() {
        let (key, seq) = row?;
        let mut cursor = table.upper_bound_mut(Bound::Included(&*key))?;
        match cursor.insert_before(&*key, seq) {
            Ok(()) => {}
            // Equal to the key before the gap: already there.
            Err(CursorError::UnorderedKey) => {
                cursor.close()?;
                continue;
            }
            Err(e) => return Err(e.into()),
        }
        // The run goes on until a key lies past the next existing one.
        while let Some(Ok((key, seq))) = rows.peek() {
            match cursor.insert_before(&**key, seq) {
                Ok(()) => drop(rows.next()),
                Err(CursorError::UnorderedKey) => break,
                Err(e) => return Err(e.into()),
            }
        }
        cursor.close()?;
    }
    Ok(())
}
