//! An active segment that cannot be opened: nobody knows where it ended. What is readable of it
//! is sealed, and the log goes on in a new epoch past everything it may have given out.

use crate::catalog::{Catalog, Contents};
use crate::chain;
use crate::contain::contained;
use crate::error::{AtFile, OpenError, RewriteError};
use crate::fence::fenced;
use crate::hole::{Hole, Holes};
use crate::manifest::Manifest;
use crate::open;
use crate::options::{Options, Recovery};
use crate::plan::{CATALOG, segment_name, segments_in};
use crate::redo::REDO;
use crate::rewrite::{NONE, rewrite};
use crate::segment::{self, Carried, Meta};
use crate::seq::Seq;
use crate::storage::Storage;

use super::gather::{self, Gathered};
use super::{RecordSource, Salvaged, Target, assemble, replace};

/// How far past the last known number the fence goes when nobody says. An active segment of the
/// default size has no more records.
const MARGIN: u64 = 1_000_000;

/// Replaces the newest segment if it is the one that `e`, met by opening, is about; `None` if it
/// is not. Damaged older ones come first: what is made anew has to name the digest of the one before.
pub(super) fn salvage(
    storage: &dyn Storage,
    options: &Options,
    e: &OpenError,
    fence_to: Option<Seq>,
    from: Option<&dyn RecordSource>,
) -> Result<Option<(Vec<Salvaged>, Hole)>, RewriteError> {
    let _lock = open::take_lock(storage)?;
    let names = open::clear_temporaries(storage)?;
    let mut files = segments_in(&names);
    let there = names.iter().any(|name| name == CATALOG);
    let mut recovery = Recovery::default();
    let catalog = open::open_catalog(storage, options, there, &names, &mut recovery)?;
    let contents = catalog.contents()?;
    let newest = files.last().copied().unwrap_or(0).max(contents.newest);
    let about_newest = match e {
        OpenError::SegmentMissing { first } => first.get() == newest,
        e => e.file() == Some(&segment_name(newest)),
    };
    if !about_newest {
        catalog.close()?;
        return Ok(None);
    }
    if files.last() != Some(&newest) {
        files.push(newest);
    }
    open::complete(storage, &catalog, &files, &mut recovery)?;
    let before = chain::before(&catalog.contents()?, newest);
    open::note(&mut recovery.damaged, before);
    let mut all = Vec::new();
    for damaged in &recovery.damaged {
        let target = Target::new(storage, &catalog.contents()?, damaged.first.get())?;
        all.push(super::sealed(storage, &catalog, &target, from)?);
    }
    let contents = catalog.contents()?;
    let (salvaged, fence) = contained(&segment_name(newest), || {
        replace_newest(storage, &catalog, &contents, newest, fence_to, from)
    })?;
    all.push(salvaged);
    catalog.close()?;
    Ok(Some((all, fence)))
}

fn replace_newest(
    storage: &dyn Storage,
    catalog: &Catalog,
    contents: &Contents,
    first: u64,
    fence_to: Option<Seq>,
    from: Option<&dyn RecordSource>,
) -> Result<(Salvaged, Hole), RewriteError> {
    let before = contents.manifests.iter().rfind(|m| m.first < first);
    let file = segment_name(first);
    let own = gather::description(storage, &file)
        .filter(|meta| meta.first == first && meta.identity.log_id == contents.log_id);
    let mut target = Target {
        first,
        last: u64::MAX,
        log_id: contents.log_id,
        epoch: own.as_ref().map(|meta| meta.identity.epoch),
        epoch_before: before.map_or(1, |m| m.identity.epoch),
        previous: match before {
            Some(manifest) if manifest.last + 1 == first => Some(manifest.link()),
            _ if first == contents.floor.first => contents.floor.previous,
            _ => own.as_ref().and_then(|meta| meta.previous),
        },
        named: None,
        manifest: None,
        holes: Holes::default(),
    };
    let mut gathered = super::gather(storage, catalog, &target)?;
    // The pages of the last appends went through the redo file and may still be there.
    drop(gather::from_bytes(
        storage,
        REDO,
        &target.wanted(),
        &mut gathered.carved,
    ));
    target.last = end(&gathered, first);
    let carried = carried(storage, contents, &mut gathered);
    gathered.carried = Some(carried.clone());
    let assembled = assemble::assemble(&target, gathered, from);
    let sealed = assembled.whole.manifest.clone();
    let name = replace::replacement_name(first);
    let mut salvaged = super::write(storage, &name, assembled)?;
    let fence = start_after(
        storage,
        catalog,
        &target,
        sealed.as_ref(),
        carried,
        fence_to,
    )?;
    salvaged.kept_as = replace::put_in_place(storage, catalog, first)?;
    Ok((salvaged, fence))
}

/// The highest number that is known to have been in the segment; its first if none is, since a
/// segment without any number cannot be followed by another.
fn end(gathered: &Gathered, first: u64) -> u64 {
    let committed = gathered.committed.last_key_value().map(|(seq, _)| *seq);
    let carved = gathered.carved.last_key_value().map(|(seq, _)| *seq);
    let hole = gathered.holes.iter().map(|hole| hole.last.get()).max();
    let key = gathered.keys.last_key_value().map(|(seq, _)| *seq);
    let cursors = gathered.carried.iter().flat_map(|c| &c.cursors);
    let cursor = cursors.map(|(_, at)| *at).max();
    let highest = committed.max(carved).max(hole).max(key).max(cursor);
    highest.unwrap_or(0).max(first)
}

/// Bookmarks and cursors of the segment or, when they are lost, of the newest one that has any.
/// Older ones only make sources and readers do again what they did.
fn carried(storage: &dyn Storage, contents: &Contents, gathered: &mut Gathered) -> Carried {
    if let Some(carried) = gathered.carried.take() {
        return carried;
    }
    let older = contents.manifests.iter().rev();
    let found = older.map(|m| segment_name(m.first)).find_map(|file| {
        contained::<_, OpenError>(&file, || {
            let db = segment::open_read_only(storage, &file).at(&file)?;
            let txn = redb::ReadableDatabase::begin_read(&db).at(&file)?;
            Ok(segment::read_carried(&txn).at(&file)?)
        })
        .ok()
    });
    found.unwrap_or_default()
}

/// Makes the active segment that follows the replacement, with the fence. The replacement counts
/// only once this is there.
fn start_after(
    storage: &dyn Storage,
    catalog: &Catalog,
    target: &Target,
    sealed: Option<&Manifest>,
    carried: Carried,
    fence_to: Option<Seq>,
) -> Result<Hole, RewriteError> {
    let Some(sealed) = sealed else {
        let first = Seq::at_least_first(target.first);
        return Err(RewriteError::NotSealed { first });
    };
    let first = target.last.saturating_add(1);
    let to = fence_to.map_or(target.last.saturating_add(MARGIN), Seq::get);
    let meta = Meta {
        identity: sealed.identity,
        first,
        previous: Some(sealed.link()),
        created_at: 0,
        recovered: false,
    };
    let (whole, fence) = fenced(&meta, carried, Seq::at_least_first(to.max(first)));
    rewrite(
        storage,
        &segment_name(first),
        &whole,
        NONE,
        std::iter::empty(),
    )?;
    catalog.note_newest(first).at(CATALOG)?;
    Ok(fence)
}
