//! Opening: take the lock, complete what a crash interrupted, refuse what is not whole.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::ReadableDatabase;

use crate::catalog::{Catalog, Floor};
use crate::chain;
use crate::clock;
use crate::contain::contained;
use crate::dedup;
use crate::error::{At, AtFile, OpenError};
use crate::keeper::{Ahead, Digest};
use crate::key_index::Index;
use crate::live::{Active, Live};
use crate::log::{Age, Closer, Log, segment_mode};
use crate::manifest::Manifest;
use crate::options::{Damaged, Options, Recovery};
use crate::plan::{CATALOG, RESTORE_MARKER, TEMPORARY, plan, segment_name, segments_in};
use crate::redo;
use crate::roll::start_next;
use crate::salvage;
use crate::segment::{self, Carried, Marks, Meta, Mode};
use crate::seq::{Identity, LogId, Seq};
use crate::storage::{LockError, LockGuard, Role, Storage};
use crate::sum::{self, Summed};
use crate::upgrade::upgrade;

/// How long a reader may hold the lock to repair a file. A segment of the default size takes
/// under a second.
pub(crate) const REPAIR_WAIT: Duration = Duration::from_secs(30);
/// How often to look again meanwhile.
pub(crate) const REPAIR_POLL: Duration = Duration::from_millis(5);
/// How soon whoever takes the lock writes who it is, on a busy machine.
const NAMED_WITHIN: Duration = Duration::from_millis(200);
/// Where a damaged catalog is put aside.
const DAMAGED_CATALOG: &str = "catalog-damaged.redb";

pub(crate) fn open(storage: Arc<dyn Storage>, options: Options) -> Result<Log, OpenError> {
    let started = Instant::now();
    let lock = take_lock(&*storage)?;
    let mut names = clear_temporaries(&*storage)?;
    if names.iter().any(|n| n == RESTORE_MARKER) {
        return Err(OpenError::RestoreUnfinished);
    }
    redo::replay(&*storage)?;
    let mut recovery = Recovery::default();
    let catalog_there = names.iter().any(|n| n == CATALOG);
    if segments_in(&names).is_empty() && !catalog_there {
        // The segment first: it holds the identity, and a catalog can be made from it.
        create_first(&*storage, segment_mode(&options))?;
        recovery.created = true;
        names.push(segment_name(1));
    }
    let settled = match settle(&*storage, &options, catalog_there, &names, &mut recovery) {
        // What is damaged in the catalog may be met only when it is written to.
        Err(e) if catalog_there && e.is_damage() && e.file() == Some(CATALOG) => {
            put_catalog_aside(&*storage)?;
            recovery.damaged.clear();
            let names = storage.list().at("the log directory")?;
            settle(&*storage, &options, false, &names, &mut recovery)
        }
        settled => settled,
    };
    let (catalog, newest) = settled?;
    let (active, meta) = contained(&segment_name(newest), || {
        open_newest(&*storage, &catalog, &options, newest, &mut recovery)
    })?;
    let contents = catalog.contents()?;
    note(&mut recovery.damaged, chain::check(&contents, &meta)?);
    if contents.newest < meta.first {
        catalog.note_newest(meta.first).at(CATALOG)?;
    }
    let found = contained(&segment_name(meta.first), || measure(&active, &meta))?;
    let live = Arc::new(Live::default());
    live.set_bytes(found.bytes);
    live.set_durable(found.tail);
    live.set_catalog(Some(Arc::clone(&catalog.db)));
    *live.change() = Some(active);
    recovery.tail = Seq::new(found.tail);
    recovery.took = started.elapsed();
    Ok(Log {
        storage,
        archive: None,
        _closer: Closer(Arc::clone(&live)),
        live,
        catalog,
        options,
        identity: meta.identity,
        first: meta.first,
        tail: found.tail,
        keys: found.keys,
        marks: found.marks,
        sealed_keys: None,
        absorbing: None,
        digest: Digest::new(found.nothing),
        ahead: Ahead::default(),
        age: Age::of(meta.created_at),
        recovery,
        poisoned: false,
        _lock: lock,
    })
}

/// Refused by a writer; a reader that only repairs is waited for, so that a status command cannot
/// keep a restarting daemon out. Whoever took the lock a moment ago has not said yet what it is:
/// the line may be empty, or that of the holder before.
pub(crate) fn take_lock(storage: &dyn Storage) -> Result<LockGuard, OpenError> {
    let started = Instant::now();
    loop {
        match storage.lock(Role::Writer) {
            Ok(guard) => return Ok(guard),
            Err(LockError::Held { holder, repair }) => {
                let wait = if repair { REPAIR_WAIT } else { NAMED_WITHIN };
                if started.elapsed() >= wait {
                    return Err(OpenError::Locked { holder });
                }
                std::thread::sleep(REPAIR_POLL);
            }
            Err(LockError::Io(e)) => return Err(At::new("lock", e).into()),
        }
    }
}

/// Removes half-made files; returns the names that are left.
pub(crate) fn clear_temporaries(storage: &dyn Storage) -> Result<Vec<String>, At> {
    let (temporary, names): (Vec<_>, Vec<_>) = storage
        .list()
        .at("the log directory")?
        .into_iter()
        .partition(|name| name.ends_with(TEMPORARY));
    for name in temporary {
        remove(storage, &name)?;
    }
    // The names just listed may be there for this process and gone after a power cut: the one
    // before may have died between a rename and the sync of the directory.
    storage.sync_dir().at("the log directory")?;
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
    let active = segment::create(storage, mode, &meta, &Carried::default(), false)?;
    Ok(active.db.close().at(&segment_name(1))?)
}

/// Opens the catalog and completes what a crash interrupted, of a salvage and of everything else,
/// up to the newest segment, which is returned.
fn settle(
    storage: &dyn Storage,
    options: &Options,
    catalog_there: bool,
    names: &[String],
    recovery: &mut Recovery,
) -> Result<(Catalog, u64), OpenError> {
    let catalog = open_catalog(storage, options, catalog_there, names, recovery)?;
    let mut files = segments_in(names);
    if salvage::settle(storage, &catalog, names)? {
        files = segments_in(&storage.list().at("the log directory")?);
    }
    let newest = complete(storage, &catalog, &files, recovery)?;
    Ok((catalog, newest))
}

/// Opens the catalog, or makes a new one starting at the first segment when it is missing or
/// damaged. A damaged one is kept beside it.
pub(crate) fn open_catalog(
    storage: &dyn Storage,
    options: &Options,
    there: bool,
    names: &[String],
    recovery: &mut Recovery,
) -> Result<Catalog, OpenError> {
    let mut files = segments_in(names);
    files.extend(salvage::replacements_in(names));
    files.sort_unstable();
    let mode = Mode {
        cache_bytes: options.catalog_cache(),
        redo_bytes: 0,
    };
    if there {
        let opened = contained::<_, OpenError>(CATALOG, || {
            let catalog = Catalog::open(storage, mode).at(CATALOG)?;
            catalog.contents()?;
            Ok(catalog)
        });
        match opened {
            Err(e) if e.is_damage() && !files.is_empty() => {
                put_catalog_aside(storage)?;
            }
            opened => return opened,
        }
    }
    let (Some(first), Some(newest)) = (files.first().copied(), files.last().copied()) else {
        return Err(OpenError::SegmentMissing { first: Seq::FIRST });
    };
    recovery.catalog_rebuilt = !recovery.created;
    let log_id = id_of(storage, &files, recovery)?;
    let own = contained(&segment_name(first), || describe(storage, first));
    let own = own.ok().filter(|(meta, ..)| meta.first == first);
    let floor = Floor {
        first,
        previous: own.and_then(|(meta, ..)| meta.previous),
    };
    Ok(Catalog::create(storage, mode, log_id, floor, newest)?)
}

/// Leaves the log without a catalog, which the next open makes again.
pub(crate) fn put_catalog_aside(storage: &dyn Storage) -> Result<(), At> {
    storage.rename(CATALOG, DAMAGED_CATALOG).at(CATALOG)
}

/// The newest segment that can be read says which log this is.
fn id_of(
    storage: &dyn Storage,
    files: &[u64],
    recovery: &mut Recovery,
) -> Result<LogId, OpenError> {
    let mut first_error = None;
    for (age, first) in files.iter().rev().enumerate() {
        match contained(&segment_name(*first), || describe(storage, *first)) {
            Ok((meta, _, repaired)) => {
                recovery.unclean |= repaired && age == 0;
                return Ok(meta.identity.log_id);
            }
            Err(e) => first_error = first_error.or(Some(e)),
        }
    }
    Err(first_error.unwrap_or(OpenError::SegmentMissing { first: Seq::FIRST }))
}

/// Adds what is damaged, each segment once.
pub(crate) fn note(known: &mut Vec<Damaged>, found: Vec<Damaged>) {
    for damaged in found {
        if !known.iter().any(|other| other.first == damaged.first) {
            known.push(damaged);
        }
    }
    known.sort_unstable_by_key(|damaged| damaged.first);
}

/// Carries out interrupted trims and seals of all segments but the newest, which is returned.
pub(crate) fn complete(
    storage: &dyn Storage,
    catalog: &Catalog,
    files: &[u64],
    recovery: &mut Recovery,
) -> Result<u64, OpenError> {
    let contents = catalog.contents()?;
    let known: Vec<u64> = contents.manifests.iter().map(|m| m.first).collect();
    let plan = plan(files, &known, contents.floor.first, contents.newest)
        .map_err(|newest| OpenError::SegmentMissing { first: newest.0 })?;
    for first in &plan.remove {
        remove(storage, &segment_name(*first))?;
    }
    if !plan.remove.is_empty() {
        storage.sync_dir().at(CATALOG)?;
    }
    for first in plan.missing {
        recovery.damaged.push(Damaged {
            file: segment_name(first),
            first: Seq::at_least_first(first),
            why: "the file is missing".to_owned(),
        });
    }
    for first in plan.absorb {
        let next = files.iter().copied().find(|next| *next > first);
        let next = next.unwrap_or(u64::MAX);
        match absorb(storage, catalog, contents.log_id, first, next) {
            Ok(()) => recovery.seal_completed |= !recovery.catalog_rebuilt,
            Err(e) if e.is_damage() && e.file() != Some(CATALOG) => {
                let damaged = Damaged {
                    file: segment_name(first),
                    first: Seq::at_least_first(first),
                    why: e.to_string(),
                };
                note(&mut recovery.damaged, vec![damaged]);
            }
            Err(e) => return Err(e),
        }
    }
    Ok(plan.newest)
}

/// Takes an old segment into the catalog, if it is what its name says and whole as far as the
/// catalog wants it.
fn absorb(
    storage: &dyn Storage,
    catalog: &Catalog,
    log_id: LogId,
    first: u64,
    next: u64,
) -> Result<(), OpenError> {
    let file = segment_name(first);
    let (meta, manifest, _) = contained(&file, || describe(storage, first))?;
    if meta.identity.log_id != log_id {
        return Err(OpenError::Foreign { file });
    }
    let Some(manifest) = manifest else {
        return Err(OpenError::ChainBroken { file });
    };
    if meta.first != first || manifest.first != first || manifest.last >= next {
        return Err(OpenError::SegmentMisplaced {
            file,
            expected: Seq::at_least_first(first),
            found: Seq::at_least_first(manifest.first),
        });
    }
    salvage::absorb(storage, catalog, &file)
}

/// Description and, if sealed, manifest of a segment, repairing the file if needed; and whether
/// it was.
fn describe(
    storage: &dyn Storage,
    first: u64,
) -> Result<(Meta, Option<Manifest>, bool), OpenError> {
    let file = segment_name(first);
    let mut repaired = false;
    let db = match segment::open_read_only(storage, &file) {
        Err(e) if e.needs_repair() => {
            segment::repair(storage, &file)?;
            repaired = true;
            segment::open_read_only(storage, &file)
        }
        other => other,
    }
    .at(&file)?;
    let txn = db.begin_read().at(&file)?;
    Ok((
        segment::read_meta(&txn, &file)?,
        segment::read_seal(&txn, &file)?,
        repaired,
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
    let (active, unclean) = segment::open_active(storage, mode, first, options.progress.clone())?;
    recovery.unclean |= unclean;
    if unclean {
        segment::mark_recovered(&active.db).at(&file)?;
    }
    let txn = active.db.begin_read().at(&file)?;
    let meta = segment::read_meta(&txn, &file)?;
    let manifest = segment::read_seal(&txn, &file)?;
    let carried = segment::read_carried(&txn).at(&file)?;
    drop(txn);
    let Some(manifest) = manifest else {
        upgrade(&active.db).at(&file)?;
        active.guard.defer();
        return Ok((active, meta));
    };
    recovery.seal_completed = true;
    active.db.close().at(&file)?;
    start_next(storage, catalog, mode, &manifest, &carried)
}

/// What the writer knows of the log and of its active segment.
struct Found {
    tail: u64,
    bytes: u64,
    keys: Index,
    marks: Marks,
    nothing: Summed,
}

fn measure(active: &Active, meta: &Meta) -> Result<Found, At> {
    let file = segment_name(active.first);
    let txn = active.db.begin_read().at(&file)?;
    let last = segment::read_last(&txn).at(&file)?;
    let holes = segment::read_holes(&txn).at(&file)?;
    Ok(Found {
        tail: last.unwrap_or(meta.first - 1),
        bytes: sum::sum_checked(&txn, meta.first).at(&file)?,
        keys: dedup::load(&txn).at(&file)?,
        marks: segment::read_carried(&txn).at(&file)?.into(),
        nothing: Summed::nothing(meta.first, &holes),
    })
}
