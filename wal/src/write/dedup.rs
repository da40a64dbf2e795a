//! Dedup keys. Those of the active segment are in memory, those of all sealed ones in the catalog.
//! The catalog is searched and merged into in key order, so that the cost is one descent per run
//! of neighbouring keys instead of one per key.

use std::ops::{Bound, Range};

use redb::{CursorError, ReadTransaction, ReadableTable, Table};

use crate::error::DiskError;
use crate::frame::NewRecord;
use crate::hole::Holes;
use crate::key_index::Index;
use crate::manifest::Manifest;
use crate::segment::read_layout;
use crate::{block, tables};

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
    let mut index = Index::default();
    each(segment, |key, seq| {
        let hash = index.hash(key);
        index.insert(key, hash, seq);
    })?;
    Ok(index)
}

/// Walks the keys of a segment in the order of their records. Without any of them a record could
/// come in twice, so a row that is not what was written is an error.
pub(crate) fn each(
    segment: &ReadTransaction,
    mut take: impl FnMut(&[u8], u64),
) -> Result<(), DiskError> {
    let layout = read_layout(segment)?;
    for row in segment.open_table(tables::SEGMENT_KEYS)?.iter()? {
        let (first, keys) = row?;
        if block::keys(layout, first.value(), keys.value(), &mut take).is_none() {
            let what = format!("the dedup keys from record {} on", first.value());
            return Err(redb::Error::Corrupted(what).into());
        }
    }
    Ok(())
}

/// The keys of a segment in byte order, as far as their rows are what was written, and the first
/// records of the other rows.
pub(crate) fn readable(segment: &ReadTransaction) -> Result<(Sorted, Vec<u64>), DiskError> {
    let layout = read_layout(segment)?;
    let mut damaged = Vec::new();
    let sorted = Sorted::collect(|take| {
        for row in segment.open_table(tables::SEGMENT_KEYS)?.iter()? {
            let (first, keys) = row?;
            let mut found = Vec::new();
            let keep = |key: &[u8], seq| found.push((key.to_vec(), seq));
            match block::keys(layout, first.value(), keys.value(), keep) {
                Some(()) => found.iter().for_each(|(key, seq)| take(key, *seq)),
                None => damaged.push(first.value()),
            }
        }
        Ok::<(), DiskError>(())
    })?;
    Ok((sorted, damaged))
}

/// One fate per record, in the order of the batch. `hashes` are those of the keys in each index,
/// one per record.
pub(crate) fn fates(
    records: &[NewRecord],
    hashes: &[u32],
    active: &Index,
    absorbing: Option<&Index>,
    sealed: &impl ReadableTable<&'static [u8], u64>,
) -> Result<Vec<Fate>, DiskError> {
    let mut fates = vec![Fate::New; records.len()];
    let mut probe = Probe::new(sealed);
    let recent: Vec<(&Index, Vec<bool>)> = std::iter::once(active)
        .chain(absorbing)
        .map(|index| (index, index.glance(hashes)))
        .collect();
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
        let mut likely = recent.iter().filter(|(_, glance)| glance[index]);
        let known = match likely.find_map(|(keys, _)| keys.get(key, hashes[index])) {
            Some(seq) => Some(seq),
            None => probe.find(key)?,
        };
        let fate = known.map_or(Fate::New, Fate::Known);
        fates[index] = fate;
        leader = Some((key, index, fate));
    }
    Ok(fates)
}

/// The keys of a batch in byte order, equal ones in order of their index.
fn sorted_keys(records: &[NewRecord]) -> impl Iterator<Item = (&[u8], usize)> {
    let shared = shared_prefix(records.iter().filter_map(|record| record.key.as_deref()));
    let keyed = records.iter().enumerate();
    let mut order: Vec<(u128, u32)> = keyed
        .filter_map(|(index, record)| {
            let key = record.key.as_deref()?;
            Some((head(key, shared), index as u32))
        })
        .collect();
    let key = |index: u32| records[index as usize].key.as_deref().unwrap_or_default();
    order.sort_unstable_by(|(a, a_index), (b, b_index)| {
        let whole = || key(*a_index).cmp(key(*b_index));
        a.cmp(b).then_with(whole).then(a_index.cmp(b_index))
    });
    order
        .into_iter()
        .map(move |(_, index)| (key(index), index as usize))
}

/// How many bytes all of these keys begin with.
fn shared_prefix<'k>(mut keys: impl Iterator<Item = &'k [u8]>) -> usize {
    let Some(first) = keys.next() else {
        return 0;
    };
    let same = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    keys.fold(first.len(), |shared, key| same(&first[..shared], key))
}

/// A key's first bytes behind what all of them begin with, as a number that orders as they do:
/// most comparisons need no more.
fn head(key: &[u8], shared: usize) -> u128 {
    let key = &key[shared..];
    let mut bytes = [0; 16];
    let len = key.len().min(bytes.len());
    bytes[..len].copy_from_slice(&key[..len]);
    u128::from_be_bytes(bytes)
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

/// Keys of a segment in byte order.
#[derive(Default)]
pub(crate) struct Sorted {
    bytes: Vec<u8>,
    rows: Vec<(u128, Range<usize>, u64)>,
}

impl Sorted {
    /// Takes the keys that `each` hands out.
    pub(crate) fn collect<E>(
        each: impl FnOnce(&mut dyn FnMut(&[u8], u64)) -> Result<(), E>,
    ) -> Result<Sorted, E> {
        let Sorted {
            mut bytes,
            mut rows,
        } = Sorted::default();
        each(&mut |key, seq| {
            let start = bytes.len();
            bytes.extend_from_slice(key);
            rows.push((0, start..bytes.len(), seq));
        })?;
        let shared = shared_prefix(rows.iter().map(|(_, place, _)| &bytes[place.clone()]));
        for (first, place, _) in &mut rows {
            *first = head(&bytes[place.clone()], shared);
        }
        rows.sort_unstable_by(|(a, a_place, a_seq), (b, b_place, b_seq)| {
            let whole = || bytes[a_place.clone()].cmp(&bytes[b_place.clone()]);
            a.cmp(b).then_with(whole).then(a_seq.cmp(b_seq))
        });
        Ok(Sorted { bytes, rows })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let rows = self.rows.iter();
        rows.map(|(_, place, seq)| (&self.bytes[place.clone()], *seq))
    }
}

/// The keys of a segment in byte order: what the catalog takes in.
pub(crate) fn sorted(segment: &ReadTransaction) -> Result<Sorted, DiskError> {
    Sorted::collect(|take| each(segment, take))
}

/// Inserts rows whose keys ascend. A key that is already there keeps its older number.
pub(crate) fn insert_sorted(
    table: &mut Table<'_, &'static [u8], u64>,
    rows: &Sorted,
) -> Result<(), DiskError> {
    let mut rows = rows.iter().peekable();
    while let Some((key, seq)) = rows.next() {
        let mut cursor = table.upper_bound_mut(Bound::Included(key))?;
        match cursor.insert_before(key, seq) {
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
            match cursor.insert_before(*key, seq) {
                Ok(()) => drop(rows.next()),
                Err(CursorError::UnorderedKey) => break,
                Err(e) => return Err(e.into()),
            }
        }
        cursor.close()?;
    }
    Ok(())
}

/// Compares the keys of a segment with the catalog's: numbers whose key the catalog does not
/// know, or knows under a later number, and how many it has under the very number.
pub(crate) fn compare(
    segment: &Sorted,
    catalog: &impl ReadableTable<&'static [u8], u64>,
) -> Result<(Vec<u64>, u64), DiskError> {
    let mut probe = Probe::new(catalog);
    let (mut unknown, mut same) = (Vec::new(), 0);
    for (key, seq) in segment.iter() {
        match probe.find(key)? {
            Some(known) if known == seq => same += 1,
            Some(known) if known < seq => {}
            _ => unknown.push(seq),
        }
    }
    Ok((unknown, same))
}

/// How many keys the catalog has for the numbers of each of these segments. Those of numbers in a
/// hole do not count: a key outlives its record, and a log that was restored may have them in
/// segments that never had a record.
pub(crate) fn count(
    catalog: &ReadTransaction,
    manifests: &[Manifest],
    holes: &Holes,
) -> Result<Vec<u64>, DiskError> {
    let mut counts = vec![0; manifests.len()];
    for row in catalog.open_table(tables::KEYS)?.iter()? {
        let seq = row?.1.value();
        let after = manifests.partition_point(|manifest| manifest.first <= seq);
        let at = after.checked_sub(1).filter(|at| seq <= manifests[*at].last);
        if let Some(at) = at.filter(|_| !holes.covers(seq)) {
            counts[at] += 1;
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_whatever_they_begin_with() {
        let stems = ["", "a", "ab", "ab\0", "abcdefghijklmnopqrst"];
        for stem in stems {
            let tails = [
                "zz",
                "",
                "\0",
                "b",
                "\0\0",
                "0123456789abcdefg",
                "0123456789abcdefh",
            ];
            let mut keys: Vec<Vec<u8>> = tails
                .iter()
                .map(|tail| format!("{stem}{tail}").into_bytes())
                .collect();
            let sorted = Sorted::collect(|take| {
                keys.iter().for_each(|key| take(key, 1));
                Ok::<(), ()>(())
            });
            let sorted: Vec<Vec<u8>> = sorted
                .unwrap()
                .iter()
                .map(|(key, _)| key.to_vec())
                .collect();
            keys.sort();
            assert_eq!(sorted, keys, "{stem:?}");
        }
    }

    #[test]
    fn the_shared_prefix_is_that_of_all() {
        let of = |keys: &[&str]| shared_prefix(keys.iter().map(|key| key.as_bytes()));
        assert_eq!([of(&[]), of(&["abc"]), of(&["abc", "ab"])], [0, 3, 2]);
        assert_eq!([of(&["abc", "abd", "ax"]), of(&["a", "b"])], [1, 0]);
    }
}
