//! Which segments have to be salvaged.

use redb::{ReadTransaction, ReadableDatabase, ReadableTable};

use crate::block::Pieces;
use crate::catalog::Contents;
use crate::contain::contained;
use crate::dedup;
use crate::error::{At, AtFile, OpenError, RewriteError};
use crate::log::Log;
use crate::manifest::{Manifest, Tally};
use crate::part::decode;
use crate::plan::{CATALOG, segment_name};
use crate::rewrite::is_of;
use crate::segment;
use crate::seq::Seq;
use crate::storage::Storage;
use crate::tables;
use crate::verify::integrity::check;

/// Whether opening failed for the sake of a file of the log rather than of the access to it.
pub(super) fn may_be_damage(e: &OpenError) -> bool {
    match e {
        OpenError::Disk { source, .. } if source.is_absent() => true,
        e => e.is_damage(),
    }
}

/// First numbers of the sealed segments that are not as they should be.
pub(super) fn damaged(log: &Log) -> Result<Vec<Seq>, RewriteError> {
    let mut firsts: Vec<u64> = log
        .recovery
        .damaged
        .iter()
        .map(|damaged| damaged.first.get())
        .collect();
    let Contents {
        manifests, holes, ..
    } = log.catalog.contents()?;
    let catalog = log.catalog.db.begin_read().at(CATALOG)?;
    let count = || dedup::count(&catalog, &manifests, &holes).at(CATALOG);
    let counts = contained::<_, At>(CATALOG, count)?;
    for (manifest, keys) in manifests.iter().zip(counts) {
        let file = segment_name(manifest.first);
        let sound = contained::<_, OpenError>(&file, || {
            is_sound(&*log.storage, manifest, &catalog, keys, &file)
        });
        match sound {
            Ok(true) => {}
            Ok(false) => firsts.push(manifest.first),
            Err(e) if may_be_damage(&e) => firsts.push(manifest.first),
            Err(e) => return Err(e.into()),
        }
    }
    firsts.sort_unstable();
    firsts.dedup();
    Ok(firsts.into_iter().filter_map(Seq::new).collect())
}

/// Whether everything in the file can be read and is what the catalog says, which has so many
/// keys for it. One that is merely not clean is cleaned.
fn is_sound(
    storage: &dyn Storage,
    known: &Manifest,
    catalog: &ReadTransaction,
    keys: u64,
    file: &str,
) -> Result<bool, OpenError> {
    let db = match segment::open_read_only(storage, file) {
        // Everything may be there all the same; without this each reader would repair a copy.
        Err(e) if e.needs_repair() => {
            segment::clean(storage, file).at(file)?;
            segment::open_read_only(storage, file)
        }
        opened => opened,
    }
    .at(file)?;
    let txn = db.begin_read().at(file)?;
    let meta = segment::read_meta(&txn, file)?;
    let same = meta.identity == known.identity
        && meta.first == known.first
        && meta.previous == known.previous
        && segment::read_seal(&txn, file)?.as_ref() == Some(known);
    if !same {
        return Ok(false);
    }
    let table = catalog.open_table(tables::KEYS).at(CATALOG)?;
    let own = dedup::sorted(&txn).at(file)?;
    let (unknown, same) = dedup::compare(&own, &table).at(CATALOG)?;
    if !unknown.is_empty() || keys > same {
        return Ok(false);
    }
    let found = walk(&txn, known.first, known.identity.epoch, file)?;
    let as_known = found.is_some_and(|(tally, last, missing)| {
        is_of(known, &tally, last) && missing == known.missing
    });
    Ok(as_known && check(storage, file).at(file)?)
}

/// Whether everything in the active segment can be read. Where it ends is known in any case: it
/// could be opened.
pub(super) fn active_is_sound(log: &Log) -> bool {
    let file = segment_name(log.first);
    let slot = log.live.active();
    let Some(active) = slot.as_ref() else {
        return false;
    };
    let sound = contained::<_, OpenError>(&file, || {
        let txn = active.db.begin_read().at(&file)?;
        let found = walk(&txn, log.first, log.identity.epoch, &file)?;
        let count = log.tail + 1 - log.first;
        Ok(found.is_some_and(|(tally, _, missing)| tally.count + missing == count))
    });
    sound.is_ok_and(|sound| sound)
}

/// Reads everything in a segment: the sum of its records, the last number, how many are missing.
/// `None` when a record is not sound.
fn walk(
    txn: &ReadTransaction,
    first: u64,
    epoch: u32,
    file: &str,
) -> Result<Option<(Tally, u64, u64)>, OpenError> {
    dedup::sorted(txn).at(file)?;
    segment::read_carried(txn).at(file)?;
    let holes = segment::read_holes(txn).at(file)?;
    let (mut tally, mut last) = (Tally::default(), first.saturating_sub(1));
    for row in txn.open_table(tables::RECORDS).at(file)?.iter().at(file)? {
        let (key, block) = row.at(file)?;
        let before = holes.after(last.saturating_add(1)) - 1;
        for piece in Pieces::new(before, key.value(), block.value()) {
            let record = decode(piece.bytes, piece.seq, file);
            if piece.last > piece.seq || !record.is_ok_and(|r| r.header().epoch == epoch) {
                return Ok(None);
            }
            tally.add(&piece);
        }
        last = key.value();
    }
    let last = last.max(holes.last().unwrap_or(0));
    Ok(Some((tally, last, holes.count())))
}
