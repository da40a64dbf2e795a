//! Everything that can be read of one segment, from whatever holds parts of it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use redb::{
    Database, ReadTransaction, ReadableTable, StorageBackend, TableDefinition, WriteTransaction,
};

use crate::block;
use crate::carve::{Carved, Wanted, carve};
use crate::contain::contained;
use crate::error::{At, AtFile, DiskError, OpenError};
use crate::frame::{HEADER_LEN, PAYLOAD_BYTES_MAX};
use crate::hole::{Hole, Holes};
use crate::manifest::Manifest;
use crate::overlay::{open_unchanged, overlaid};
use crate::segment::{self, Carried, Meta};
use crate::storage::{Access, Storage};
use crate::tables;
use crate::verify::integrity::check;

/// How much of a file is searched at a time; more than the longest record has.
const WINDOW: usize = 2 * (HEADER_LEN + PAYLOAD_BYTES_MAX);
/// What is given up where the disk itself cannot be read.
const SECTOR: usize = 4096;
/// After so many rows in a row that cannot be read, the steps get longer: no block has more
/// records, so the damage is above the blocks, and what lies there is left to the search.
const PATIENCE: u64 = 1500;

/// What was read of one segment.
#[derive(Default)]
pub(super) struct Gathered {
    /// As the engine has them: these were committed.
    pub(super) committed: BTreeMap<u64, Vec<u8>>,
    /// Found in the bytes of the files.
    pub(super) carved: Carved,
    pub(super) keys: BTreeMap<u64, Vec<u8>>,
    pub(super) holes: Vec<Hole>,
    pub(super) carried: Option<Carried>,
    pub(super) meta: Option<Meta>,
    pub(super) manifest: Option<Manifest>,
}

impl Gathered {
    /// Numbers of the range that nothing was found for.
    pub(super) fn lacks(&self, numbers: RangeInclusive<u64>, holes: &Holes) -> bool {
        let there = |n: u64| self.committed.contains_key(&n) || self.carved.contains_key(&n);
        let mut next = holes.after(*numbers.start());
        while next <= *numbers.end() {
            if !there(next) {
                return true;
            }
            next = holes.after(next + 1);
        }
        false
    }
}

/// Whether the file can be written to as `write` does: every page is what the engine wrote, by
/// its checksums, and a commit goes through, which also needs what has no checksum. The file is
/// left alone. Only under the directory's lock.
pub(super) fn engine_is_sound(
    storage: &dyn Storage,
    file: &str,
    write: fn(&WriteTransaction) -> Result<(), DiskError>,
) -> bool {
    let commit = |db: &Database| {
        let txn = db.begin_write()?;
        write(&txn)?;
        Ok::<(), DiskError>(txn.commit()?)
    };
    let checked = contained::<_, At>(file, || {
        // Apart: a commit gives the pages it copies new checksums, and the check makes new what
        // it finds damaged.
        commit(&overlaid(storage, file).at(file)?).at(file)?;
        check(storage, file).at(file)
    });
    match checked {
        Ok(sound) => sound,
        Err(At { source, .. }) => !source.is_damage(),
    }
}

/// Rows of all sizes, as an append to a segment writes them. One table at a time: if the engine
/// panics in opening one, dropping another would panic again, and that ends the process.
pub(super) fn as_an_append(txn: &WriteTransaction) -> Result<(), DiskError> {
    for table in [tables::RECORDS, tables::SEGMENT_KEYS] {
        numbered(txn, table)?;
    }
    txn.open_table(tables::BOOKMARKS)?.insert("", &[][..])?;
    txn.open_table(tables::CURSORS)?.insert("", 1)?;
    txn.open_table(tables::SEAL)?.insert("", &[][..])?;
    Ok(())
}

/// Rows of all sizes, as a seal writes them to the catalog; one table at a time, as above.
pub(super) fn as_a_seal(txn: &WriteTransaction) -> Result<(), DiskError> {
    numbered(txn, tables::MANIFESTS)?;
    let mut keys = txn.open_table(tables::KEYS)?;
    for (n, row) in sizes() {
        keys.insert(row.as_slice(), n)?;
    }
    drop(keys);
    txn.open_table(tables::META)?.insert("", &[][..])?;
    Ok(())
}

fn numbered(
    txn: &WriteTransaction,
    table: TableDefinition<u64, &'static [u8]>,
) -> Result<(), DiskError> {
    let mut rows = txn.open_table(table)?;
    for (n, row) in sizes() {
        rows.insert(u64::MAX - n, row.as_slice())?;
    }
    Ok(())
}

fn sizes() -> impl Iterator<Item = (u64, Vec<u8>)> {
    (0..28).map(|n| (n, vec![0; 1 << (n % 14)]))
}

/// What the file says about itself; `None` when it does not say.
pub(super) fn description(storage: &dyn Storage, file: &str) -> Option<Meta> {
    let opened = open_unchanged(storage, file).ok()?;
    contained::<_, OpenError>(file, || {
        segment::read_meta(&opened.begin_read().at(file)?, file)
    })
    .ok()
}

/// Adds what the engine can read of the file. What it cannot is left out; a panic costs the
/// number it was about to read.
pub(super) fn from_tree(storage: &dyn Storage, file: &str, wanted: &Wanted, out: &mut Gathered) {
    let Ok(opened) = open_unchanged(storage, file) else {
        return;
    };
    let Ok(txn) = contained::<_, At>(file, || opened.begin_read().at(file)) else {
        return;
    };
    let meta = contained::<_, OpenError>(file, || segment::read_meta(&txn, file)).ok();
    if meta
        .as_ref()
        .is_none_or(|meta| meta.first == *wanted.numbers.start())
    {
        describe(&txn, file, out);
    }
    out.meta = out.meta.take().or(meta);
    walk(&txn, tables::RECORDS, file, wanted, |_, block| {
        let mut found = Carved::new();
        carve(block, wanted, false, &mut found);
        for (seq, mut versions) in found {
            // Two records of one number in one row: neither is what was written.
            if let (Some(record), true) = (versions.pop(), versions.is_empty()) {
                out.committed.entry(seq).or_insert(record);
            }
        }
    });
    let keys = &mut out.keys;
    let layout = contained::<_, At>(file, || segment::read_layout(&txn).at(file));
    let layout = layout.unwrap_or(tables::SEGMENT_LAYOUT);
    walk(&txn, tables::SEGMENT_KEYS, file, wanted, |first, row| {
        let mut found = Vec::new();
        let take = |key: &[u8], seq| found.push((seq, key.to_vec()));
        if block::keys(layout, first, row, take).is_some() {
            for (seq, key) in found {
                if wanted.numbers.contains(&seq) {
                    keys.entry(seq).or_insert(key);
                }
            }
        }
    });
}

fn describe(txn: &ReadTransaction, file: &str, out: &mut Gathered) {
    let seal = contained::<_, OpenError>(file, || segment::read_seal(txn, file));
    out.manifest = out.manifest.take().or(seal.ok().flatten());
    if let Ok(holes) = contained::<_, At>(file, || segment::read_holes(txn).at(file)) {
        out.holes.extend(holes.iter());
    }
    let carried = contained::<_, At>(file, || segment::read_carried(txn).at(file));
    out.carried = out.carried.take().or(carried.ok());
}

/// Hands out the rows of a table, stepping over what cannot be read.
fn walk(
    txn: &ReadTransaction,
    table: TableDefinition<u64, &'static [u8]>,
    file: &str,
    wanted: &Wanted,
    mut take: impl FnMut(u64, &[u8]),
) {
    let row = |from: u64| {
        contained::<_, At>(file, || {
            let table = txn.open_table(table).at(file)?;
            let row = table.range(from..).at(file)?.next().transpose().at(file)?;
            Ok(row.map(|(number, bytes)| (number.value(), bytes.value().to_vec())))
        })
    };
    // Keys are numbered by the first of their block, which may hold more: none starts earlier.
    let (mut next, mut failures) = (*wanted.numbers.start(), 0u64);
    while next <= *wanted.numbers.end() {
        match row(next) {
            Ok(Some((number, bytes))) => {
                take(number, &bytes);
                // A damaged tree may answer with a row from before, time and again.
                (next, failures) = (number.max(next).saturating_add(1), 0);
            }
            Ok(None) => return,
            Err(_) => {
                failures += 1;
                let step = 1u64.checked_shl((failures.saturating_sub(PATIENCE)) as u32);
                let Some(after) = step.and_then(|step| next.checked_add(step)) else {
                    return;
                };
                next = after;
            }
        }
    }
}

/// Adds every record found in the bytes of the file.
pub(super) fn from_bytes(
    storage: &dyn Storage,
    file: &str,
    wanted: &Wanted,
    out: &mut Carved,
) -> Result<(), DiskError> {
    let backend = storage.open(file, Access::Read)?;
    each_window(&*backend, |_, bytes, more| carve(bytes, wanted, more, out))
}

/// Hands out the file in windows; `take` says how much of one it is done with, and the next
/// starts there. Sectors that cannot be read are zeroes.
fn each_window(
    backend: &dyn StorageBackend,
    mut take: impl FnMut(u64, &[u8], bool) -> usize,
) -> Result<(), DiskError> {
    let len = backend.len()?;
    let mut at = 0;
    let mut window = Vec::new();
    while at < len {
        let size = (len - at).min(WINDOW as u64);
        window.clear();
        window.resize(size as usize, 0);
        if backend.read(at, &mut window).is_err() {
            for (n, sector) in window.chunks_mut(SECTOR).enumerate() {
                if backend.read(at + (n * SECTOR) as u64, sector).is_err() {
                    sector.fill(0);
                }
            }
        }
        // A window is longer than any record, so this always gets on.
        at += take(at, &window, at + size < len).max(1) as u64;
    }
    Ok(())
}

/// Adds the keys that the catalog has for these numbers. It is asked first: a segment that has
/// to be salvaged is known to be damaged, the catalog is not.
pub(super) fn keys_of_catalog(
    txn: &ReadTransaction,
    numbers: &RangeInclusive<u64>,
    out: &mut BTreeMap<u64, Vec<u8>>,
) {
    // What comes before a damaged page is used all the same.
    drop(contained::<_, At>(crate::plan::CATALOG, || {
        let file = crate::plan::CATALOG;
        for row in txn.open_table(tables::KEYS).at(file)?.iter().at(file)? {
            let (key, seq) = row.at(file)?;
            if numbers.contains(&seq.value()) {
                out.entry(seq.value())
                    .or_insert_with(|| key.value().to_vec());
            }
        }
        Ok(())
    }));
}
