//! Which segments have to be salvaged.

use redb::{ReadableDatabase, ReadableTable};

use crate::block::Pieces;
use crate::contain::contained;
use crate::dedup;
use crate::error::{AtFile, OpenError, RewriteError};
use crate::log::Log;
use crate::manifest::{Manifest, Tally};
use crate::part::decode;
use crate::plan::segment_name;
use crate::rewrite::is_of;
use crate::segment;
use crate::seq::Seq;
use crate::storage::Storage;
use crate::tables;

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
    for manifest in log.catalog.contents()?.manifests {
        let file = segment_name(manifest.first);
        let sound = contained::<_, OpenError>(&file, || is_sound(&*log.storage, &manifest, &file));
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

/// Whether everything in the file can be read and is what the catalog says.
fn is_sound(storage: &dyn Storage, known: &Manifest, file: &str) -> Result<bool, OpenError> {
    let db = segment::open_read_only(storage, file).at(file)?;
    let txn = db.begin_read().at(file)?;
    let meta = segment::read_meta(&txn, file)?;
    let same = meta.identity == known.identity
        && meta.first == known.first
        && meta.previous == known.previous
        && segment::read_seal(&txn, file)?.as_ref() == Some(known);
    if !same {
        return Ok(false);
    }
    dedup::sorted(&txn).at(file)?;
    segment::read_carried(&txn).at(file)?;
    let holes = segment::read_holes(&txn).at(file)?;
    let (mut tally, mut last) = (Tally::default(), known.first.saturating_sub(1));
    for row in txn.open_table(tables::RECORDS).at(file)?.iter().at(file)? {
        let (key, block) = row.at(file)?;
        let before = holes.after(last.saturating_add(1)) - 1;
        for piece in Pieces::new(before, key.value(), block.value()) {
            let record = decode(piece.bytes, piece.seq, file);
            if piece.last > piece.seq
                || !record.is_ok_and(|r| r.header().epoch == known.identity.epoch)
            {
                return Ok(false);
            }
            tally.add(&piece);
        }
        last = key.value();
    }
    let last = last.max(holes.last().unwrap_or(0));
    Ok(is_of(known, &tally, last) && holes.count() == known.missing)
}
