//! Putting a replacement in the place of a damaged segment, so that a crash at any step leaves
//! what the next open can complete or undo.
//!
//! ```text
//! 1  segment-N.redb.salvaged   written, read back, durable: from here on it is completed
//! 2  the catalog               gets its manifest, holes and keys
//! 3  segment-N.redb            becomes segment-N.redb.damaged
//! 4  segment-N.redb.salvaged   becomes segment-N.redb
//! ```
//!
//! A replacement of the newest segment comes before the segment that follows it. Without that
//! one it is undone: it would be taken for a log sealed in good order, and what may be lost at
//! its end would not be fenced off.

use redb::ReadableDatabase;

use crate::catalog::Catalog;
use crate::contain::contained;
use crate::dedup;
use crate::error::{AtFile, OpenError};
use crate::open::remove;
use crate::plan::{CATALOG, parse_segment_name, segment_name, segments_in};
use crate::storage::Storage;
use crate::{segment, tables};

const SALVAGED: &str = ".salvaged";
const DAMAGED: &str = ".damaged";

/// The name of the replacement until it is in its place.
pub(super) fn replacement_name(first: u64) -> String {
    format!("{}{SALVAGED}", segment_name(first))
}

/// Whether this is an original that was put aside.
pub(super) fn is_put_aside(name: &str) -> bool {
    name.starts_with("segment-") && name.contains(DAMAGED)
}

/// First numbers of the replacements among `names`.
pub(crate) fn replacements_in(names: &[String]) -> Vec<u64> {
    let bases = names.iter().filter_map(|name| name.strip_suffix(SALVAGED));
    bases.filter_map(parse_segment_name).collect()
}

/// Completes or undoes what a crash interrupted; says whether there was anything.
pub(crate) fn settle(
    storage: &dyn Storage,
    catalog: &Catalog,
    names: &[String],
) -> Result<bool, OpenError> {
    let newest = segments_in(names).last().copied().unwrap_or(0);
    let replacements = replacements_in(names);
    for first in replacements.iter().copied() {
        if newest > first {
            put_in_place(storage, catalog, first)?;
        } else {
            let name = replacement_name(first);
            remove(storage, &name)?;
            storage.sync_dir().at(&name)?;
        }
    }
    Ok(!replacements.is_empty())
}

/// Steps 2 to 4. Returns the name that the original has now, if there was one.
pub(super) fn put_in_place(
    storage: &dyn Storage,
    catalog: &Catalog,
    first: u64,
) -> Result<Option<String>, OpenError> {
    let (file, replacement) = (segment_name(first), replacement_name(first));
    absorb(storage, catalog, &replacement)?;
    let names = storage.list().at("the log directory")?;
    let mut kept_as = None;
    if names.contains(&file) {
        let name = free_name(&names, &file);
        storage.rename(&file, &name).at(&file)?;
        kept_as = Some(name);
    }
    storage.rename(&replacement, &file).at(&replacement)?;
    storage.sync_dir().at(&file)?;
    Ok(kept_as)
}

/// Takes a sealed segment file into the catalog if all of it that the catalog wants is readable.
pub(crate) fn absorb(
    storage: &dyn Storage,
    catalog: &Catalog,
    file: &str,
) -> Result<(), OpenError> {
    let db = segment::open_read_only(storage, file).at(file)?;
    let txn = db.begin_read().at(file)?;
    let manifest = contained::<_, OpenError>(file, || {
        // First by itself: damage of the segment is not that of the catalog.
        dedup::sorted(&txn).at(file)?;
        segment::read_holes(&txn).at(file)?;
        segment::read_seal(&txn, file)?.ok_or(OpenError::BadFile {
            file: file.to_owned(),
            what: tables::MANIFEST,
        })
    })?;
    Ok(catalog.absorb(&manifest, &txn).at(CATALOG)?)
}

/// An original is evidence: it never replaces an earlier one.
fn free_name(names: &[String], file: &str) -> String {
    let first = format!("{file}{DAMAGED}");
    let more = (2..).map(|n| format!("{file}{DAMAGED}-{n}"));
    let mut candidates = std::iter::once(first).chain(more);
    let free = candidates.find(|name| !names.contains(name));
    free.unwrap_or_else(|| format!("{file}{DAMAGED}"))
}
