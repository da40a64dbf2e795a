//! Opening: take the lock, complete what a crash interrupted, refuse what is not whole.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::ReadableDatabase;

use crate::catalog::{Catalog, Floor};
use crate::clock;
use crate::contain::contained;
use crate::dedup;
use crate::error::{At, AtFile, OpenError};
use crate::key_index::Index;
use crate::live::{Active, Live};
use crate::log::{Age, Closer, Log, segment_mode, start_next};
use crate::manifest::Manifest;
use crate::options::{Options, Recovery};
use crate::plan::{CATALOG, TEMPORARY, plan, segment_name, segments_in};
use crate::redo;
use crate::segment::{self, Carried, Meta, Mode};
use crate::seq::{Identity, LogId, Seq};
use crate::storage::{LockError, LockGuard, Role, Storage};

/// How long a reader may hold the lock to repair a file. A segment of the default size takes
/// under a second.
pub(crate) const REPAIR_WAIT: Duration = Duration::from_secs(30);
/// How often to look again meanwhile.
pub(crate) const REPAIR_POLL: Duration = Duration::from_millis(5);
/// Where a damaged catalog is put aside.
const DAMAGED_CATALOG: &str = "catalog-damaged.redb";

pub(crate) fn open(storage: Arc<dyn Storage>, options: Options) -> Result<Log, OpenError> {
    let started = Instant::now();
    let lock = take_lock(&*storage)?;
    let names = clear_temporaries(&*storage)?;
    redo::replay(&*storage)?;
    let mut recovery = Recovery::default();
    let mut files = segments_in(&names);
    let catalog_there = names.iter().any(|n| n == CATALOG);
    if files.is_empty() && !catalog_there {
        // The segment first: it holds the identity, and a catalog can be made from it.
        create_first(&*storage, segment_mode(&options))?;
        recovery.created = true;
        files.push(1);
    }
    let catalog = open_catalog(&*storage, &options, catalog_there, &files, &mut recovery)?;
    let newest = complete(&*storage, &catalog, &files, &mut recovery)?;
    let (active, meta) = open_newest(&*storage, &catalog, &options, newest, &mut recovery)?;
    check_chain(&catalog, &meta)?;
    if catalog.contents()?.newest < meta.first {
        catalog.note_newest(meta.first).at(CATALOG)?;
    }
    let (tail, bytes, keys) = contained(&segment_name(meta.first), || measure(&active, &meta))?;
    let live = Arc::new(Live::default());
    live.set_bytes(bytes);
    live.set_durable(tail);
    *live.change() = Some(active);
    recovery.tail = Seq::new(tail);
    recovery.took = started.elapsed();
    Ok(Log {
        storage,
        _closer: Closer(Arc::clone(&live)),
        live,
        catalog,
        options,
        identity: meta.identity,
        first: meta.first,
        tail,
        keys,
        age: Age::of(meta.created_at),
        recovery,
        poisoned: false,
        _lock: lock,
    })
}

/// Refused at once by a writer; a reader that only repairs is waited for, so that a status
/// command cannot keep a restarting daemon out.
fn take_lock(storage: &dyn Storage) -> Result<LockGuard, OpenError> {
    let started = Instant::now();
    loop {
        match storage.lock(Role::Writer) {
            Ok(guard) => return Ok(guard),
            Err(LockError::Held { repair: true, .. }) if started.elapsed() < REPAIR_WAIT => {
                std::thread::sleep(REPAIR_POLL);
            }
            Err(LockError::Held { holder, .. }) => return Err(OpenError::Locked { holder }),
            Err(LockError::Io(e)) => return Err(At::new("lock", e).into()),
        }
    }
}

/// Removes half-made files; returns the names that are left.
fn clear_temporaries(storage: &dyn Storage) -> Result<Vec<String>, At> {
    let (temporary, names): (Vec<_>, Vec<_>) = storage
        .list()
        .at("the log directory")?
        .into_iter()
        .partition(|name| name.ends_with(TEMPORARY));
    for name in temporary {
        remove(storage, &name)?;
    }
    Ok(names)
}

/// A file already gone is a state, not an error: an earlier attempt may have got this far.
pub(crate) fn remove(storage: &dyn Storage, name: &str) -> Result<(), At> {
    match storage.remove(name) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at(name),
    }
}

fn create_first(storage: &dyn Storage, mode: Mode) -> Result<(), OpenError> {
    let meta = Meta {
        identity: Identity {
            log_id: LogId::random(),
            epoch: 1,
        },
        first: 1,
        previous: None,
        created_at: clock::unix_micros(),
        recovered: false,
    };
    let active = segment::create(storage, mode, &meta, &Carried::default())?;
    Ok(active.db.close().at(&segment_name(1))?)
}

/// Opens the catalog, or makes a new one starting at the first segment when it is missing or
/// damaged. A damaged one is kept beside it.
fn open_catalog(
    storage: &dyn Storage,
    options: &Options,
    there: bool,
    files: &[u64],
    recovery: &mut Recovery,
) -> Result<Catalog, OpenError> {
    let mode = Mode {
        cache_bytes: options.catalog_cache(),
        redo_bytes: 0,
    };
    if there {
        match Catalog::open(storage, mode).at(CATALOG) {
            Ok(catalog) => return Ok(catalog),
            Err(At { source, .. }) if source.is_damage() && !files.is_empty() => {
                storage.rename(CATALOG, DAMAGED_CATALOG).at(CATALOG)?;
            }
            Err(e) => return Err(e.into()),
        }
    }
    let (Some(first), Some(newest)) = (files.first(), files.last()) else {
        return Err(OpenError::SegmentMissing { first: Seq::FIRST });
    };
    recovery.catalog_rebuilt = !recovery.created;
    let (meta, _) = describe(storage, *first)?;
    let floor = Floor {
        first: meta.first,
        previous: meta.previous,
    };
    let log_id = meta.identity.log_id;
    Ok(Catalog::create(storage, mode, log_id, floor, *newest)?)
}

/// Carries out interrupted trims and seals of all segments but the newest, which is returned.
fn complete(
    storage: &dyn Storage,
    catalog: &Catalog,
    files: &[u64],
    recovery: &mut Recovery,
) -> Result<u64, OpenError> {
    let contents = catalog.contents()?;
    let known: Vec<u64> = contents.manifests.iter().map(|m| m.first).collect();
    let plan = plan(files, &known, contents.floor.first, contents.newest)
        .map_err(|missing| OpenError::SegmentMissing { first: missing.0 })?;
    for first in &plan.remove {
        remove(storage, &segment_name(*first))?;
    }
    if !plan.remove.is_empty() {
        storage.sync_dir().at(CATALOG)?;
    }
    for first in plan.absorb {
        let file = segment_name(first);
        let (meta, manifest) = describe(storage, first)?;
        let Some(manifest) = manifest else {
            return Err(OpenError::ChainBroken { file });
        };
        if meta.identity.log_id != contents.log_id {
            return Err(OpenError::Foreign { file });
        }
        let db = segment::open_read_only(storage, &file).at(&file)?;
        let txn = db.begin_read().at(&file)?;
        catalog.absorb(&manifest, &txn).at(CATALOG)?;
        recovery.seal_completed |= !recovery.catalog_rebuilt;
    }
    Ok(plan.newest)
}

/// Description and, if sealed, manifest of a segment, repairing the file if needed.
fn describe(storage: &dyn Storage, first: u64) -> Result<(Meta, Option<Manifest>), OpenError> {
    let file = segment_name(first);
    let db = match segment::open_read_only(storage, &file) {
        Err(e) if e.needs_repair() => {
            segment::repair(storage, &file)?;
            segment::open_read_only(storage, &file)
        }
        other => other,
    }
    .at(&file)?;
    let txn = db.begin_read().at(&file)?;
    Ok((
        segment::read_meta(&txn, &file)?,
        segment::read_seal(&txn, &file)?,
    ))
}

/// Opens the newest segment for writing. If a crash came after its seal, the steps that follow
/// a seal are done now.
fn open_newest(
    storage: &dyn Storage,
    catalog: &Catalog,
    options: &Options,
    first: u64,
    recovery: &mut Recovery,
) -> Result<(Active, Meta), OpenError> {
    let file = segment_name(first);
    let mode = segment_mode(options);
    let (active, unclean) = segment::open_active(storage, mode, first)?;
    recovery.unclean = unclean;
    if unclean {
        segment::mark_recovered(&active.db).at(&file)?;
    }
    let txn = active.db.begin_read().at(&file)?;
    let meta = segment::read_meta(&txn, &file)?;
    let manifest = segment::read_seal(&txn, &file)?;
    drop(txn);
    let Some(manifest) = manifest else {
        active.guard.defer().at(&file)?;
        return Ok((active, meta));
    };
    recovery.seal_completed = true;
    active.db.close().at(&file)?;
    let next = start_next(storage, catalog, mode, &manifest)?;
    Ok((next.active, next.meta))
}

/// Every segment starts where the one before it ends and names its digest, from the first kept
/// one to the active one.
fn check_chain(catalog: &Catalog, active: &Meta) -> Result<(), OpenError> {
    let contents = catalog.contents()?;
    let (mut expected, mut previous) = (contents.floor.first, contents.floor.previous);
    let link = |first: u64, named: Option<[u8; 32]>, expected: u64, previous| {
        let file = segment_name(first);
        if first != expected {
            return Err(OpenError::SegmentMisplaced {
                file,
                expected: Seq::at_least_first(expected),
                found: Seq::at_least_first(first),
            });
        }
        if named != previous {
            return Err(OpenError::ChainBroken { file });
        }
        Ok(())
    };
    for manifest in &contents.manifests {
        link(manifest.first, manifest.previous, expected, previous)?;
        (expected, previous) = (manifest.last + 1, Some(manifest.link()));
    }
    link(active.first, active.previous, expected, previous)?;
    if active.identity.log_id != contents.log_id {
        return Err(OpenError::Foreign {
            file: segment_name(active.first),
        });
    }
    Ok(())
}

/// Tail of the log; record bytes and keys of the active segment.
fn measure(active: &Active, meta: &Meta) -> Result<(u64, u64, Index), At> {
    let file = segment_name(active.first);
    let txn = active.db.begin_read().at(&file)?;
    let last = segment::read_last(&txn).at(&file)?;
    let bytes = segment::sum_bytes(&txn).at(&file)?;
    let keys = dedup::load(&txn).at(&file)?;
    Ok((last.unwrap_or(meta.first - 1), bytes, keys))
}
