//! One segment file: making it, opening it, its description, its seal.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use redb::{
    Builder, ConcurrencyMode, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase,
    ReadableTable, StorageBackend, TableError, WriteTransaction,
};

use crate::contain::Held;
use crate::error::{AtFile, DiskError, OpenError};
use crate::frame::array;
use crate::guarded::{Guarded, Shared};
use crate::hole::{Hole, Holes};
use crate::live::Active;
use crate::manifest::{ENGINE, Manifest};
use crate::options::Progress;
use crate::paced::Paced;
use crate::plan::{TEMPORARY, segment_name};
use crate::prepared::PREPARED;
use crate::seq::{Identity, LogId};
use crate::storage::{Access, Boxed, Storage};
use crate::sum::Summed;
use crate::{clock, redo, tables};

/// Pages a reader keeps per open segment. Readers go forward, so more would not be read again.
pub(crate) const READ_CACHE_BYTES: usize = 4 << 20;
/// How files are opened for reading and for repair.
const READING: Mode = Mode {
    cache_bytes: READ_CACHE_BYTES,
    redo_bytes: 0,
};

/// What a segment file says about itself from its first moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) identity: Identity,
    pub(crate) first: u64,
    pub(crate) previous: Option<[u8; 32]>,
    pub(crate) created_at: i64,
    pub(crate) recovered: bool,
}

/// Copied whole into every new segment, so that the newest always has them all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Carried {
    pub(crate) bookmarks: Vec<(String, Vec<u8>)>,
    pub(crate) cursors: Vec<(String, u64)>,
}

/// The same for the writer, to look up.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    pub(crate) bookmarks: HashMap<String, Vec<u8>>,
    pub(crate) cursors: HashMap<String, u64>,
}

impl From<Carried> for Marks {
    fn from(carried: Carried) -> Marks {
        Marks {
            bookmarks: carried.bookmarks.into_iter().collect(),
            cursors: carried.cursors.into_iter().collect(),
        }
    }
}

impl Marks {
    pub(crate) fn carried(&self) -> Carried {
        let bookmarks = self.bookmarks.iter();
        let cursors = self.cursors.iter();
        Carried {
            bookmarks: bookmarks
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            cursors: cursors.map(|(name, at)| (name.clone(), *at)).collect(),
        }
    }
}

/// How the writer opens files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode {
    pub(crate) cache_bytes: usize,
    /// Length of the redo file.
    pub(crate) redo_bytes: usize,
}

impl Mode {
    pub(crate) fn builder(self) -> Builder {
        let mut builder = Builder::new();
        builder.set_cache_size(self.cache_bytes);
        // Readers in other processes follow; the mode makes every commit a two-phase one.
        builder.set_concurrency_mode(ConcurrencyMode::SingleWriter);
        builder
    }
}

/// Makes the file complete under a temporary name, then renames it: a segment file is never
/// seen half made, by a crash or by a reader. In the prepared file, if there is one. Commits wait
/// for [`Shared::flush`] from then on.
pub(crate) fn create(
    storage: &dyn Storage,
    mode: Mode,
    meta: &Meta,
    carried: &Carried,
    prepared: bool,
) -> Result<Active, OpenError> {
    let name = segment_name(meta.first);
    let (temporary, access) = match prepared {
        true => (PREPARED.to_owned(), Access::Write),
        false => (format!("{name}{TEMPORARY}"), Access::Create),
    };
    let guard = guard(storage, mode, meta.first, &temporary, (access, 0))?;
    guard.defer();
    let backend = Guarded(Arc::clone(&guard));
    let db = mode.builder().create_with_backend(backend).at(&temporary)?;
    describe(&db, meta, carried).at(&temporary)?;
    guard.found().at(&temporary)?;
    storage.rename(&temporary, &name).at(&temporary)?;
    storage.sync_dir().at(&name)?;
    let first = meta.first;
    let db = Held::new(db);
    Ok(Active { first, db, guard })
}

fn guard(
    storage: &dyn Storage,
    mode: Mode,
    first: u64,
    name: &str,
    (access, len): (Access, u64),
) -> Result<Arc<Shared>, OpenError> {
    let redo = redo::open(storage, mode.redo_bytes)?;
    let main = storage.open(name, access).at(name)?;
    let header = storage.open(name, Access::Write).at(name)?;
    let files = [main, header];
    Ok(Shared::new(first, files, len, redo, mode.redo_bytes))
}

/// Opens the active segment for writing, which repairs it after an unclean stop; says whether it
/// had to.
pub(crate) fn open_active(
    storage: &dyn Storage,
    mode: Mode,
    first: u64,
    progress: Option<Progress>,
) -> Result<(Active, bool), OpenError> {
    let name = segment_name(first);
    let len = not_empty(storage, &name).at(&name)?;
    let guard = guard(storage, mode, first, &name, (Access::Write, len))?;
    let (db, unclean) = open_database(mode, Guarded(Arc::clone(&guard)), progress).at(&name)?;
    let db = Held::new(db);
    Ok((Active { first, db, guard }, unclean))
}

fn describe(db: &Database, meta: &Meta, carried: &Carried) -> Result<(), DiskError> {
    let txn = db.begin_write()?;
    write_description(&txn, meta, carried)?;
    Ok(txn.commit()?)
}

/// Writes what a segment file has besides records, and all tables.
pub(crate) fn write_description(
    txn: &WriteTransaction,
    meta: &Meta,
    carried: &Carried,
) -> Result<(), DiskError> {
    let mut rows = txn.open_table(tables::META)?;
    rows.insert(tables::LAYOUT, &tables::SEGMENT_LAYOUT.to_le_bytes()[..])?;
    rows.insert(tables::LOG_ID, &meta.identity.log_id.0[..])?;
    rows.insert(tables::EPOCH, &meta.identity.epoch.to_le_bytes()[..])?;
    rows.insert(tables::FIRST, &meta.first.to_le_bytes()[..])?;
    rows.insert(tables::CREATED_AT, &meta.created_at.to_le_bytes()[..])?;
    if let Some(digest) = &meta.previous {
        rows.insert(tables::PREVIOUS, &digest[..])?;
    }
    if meta.recovered {
        rows.insert(tables::RECOVERED, &[1u8][..])?;
    }
    drop(rows);
    let mut bookmarks = txn.open_table(tables::BOOKMARKS)?;
    for (name, value) in &carried.bookmarks {
        bookmarks.insert(name.as_str(), value.as_slice())?;
    }
    drop(bookmarks);
    let mut cursors = txn.open_table(tables::CURSORS)?;
    for (name, value) in &carried.cursors {
        cursors.insert(name.as_str(), value)?;
    }
    drop(cursors);
    txn.open_table(tables::RECORDS)?;
    txn.open_table(tables::SEGMENT_KEYS)?;
    txn.open_table(tables::SEAL)?;
    Ok(())
}

/// Opens an existing file, not the active segment, for writing, which repairs it after an unclean
/// stop; says whether it had to.
pub(crate) fn open_writable(
    storage: &dyn Storage,
    mode: Mode,
    name: &str,
) -> Result<(Database, bool), DiskError> {
    not_empty(storage, name)?;
    let backend = Paced::new(storage.open(name, Access::Write)?);
    open_database(mode, backend, None)
}

/// The length of the file. The engine would turn an empty one into an empty database; here it
/// means lost records.
fn not_empty(storage: &dyn Storage, name: &str) -> Result<u64, DiskError> {
    match storage.len(name)? {
        0 => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
        len => Ok(len),
    }
}

fn open_database(
    mode: Mode,
    backend: impl StorageBackend,
    progress: Option<Progress>,
) -> Result<(Database, bool), DiskError> {
    let repaired = Rc::new(Cell::new(false));
    let seen = Rc::clone(&repaired);
    let db = mode
        .builder()
        .set_repair_callback(move |repair| {
            seen.set(true);
            if let Some(progress) = &progress {
                progress.tell(repair.progress());
            }
        })
        .create_with_backend(backend)?;
    Ok((db, repaired.get()))
}

/// Opens a file for reading beside whoever writes it.
pub(crate) fn open_read_only(
    storage: &dyn Storage,
    name: &str,
) -> Result<ReadOnlyDatabase, DiskError> {
    let backend = storage.open(name, Access::Read)?;
    Ok(READING
        .builder()
        .open_read_only_with_backend(Boxed(backend))?)
}

/// Repairs a segment after an unclean stop and closes it again. Only under the directory's lock.
pub(crate) fn repair(storage: &dyn Storage, name: &str) -> Result<(), OpenError> {
    redo::replay(storage)?;
    let (db, unclean) = open_writable(storage, READING, name).at(name)?;
    let db = Held::new(db);
    if unclean {
        mark_recovered(&db).at(name)?;
    }
    Ok(db.close().at(name)?)
}

/// Has the engine make good what it keeps for itself in a sealed segment that its header calls
/// unclean. Only by the writer; what is sealed stays as it is.
pub(crate) fn clean(storage: &dyn Storage, name: &str) -> Result<(), DiskError> {
    let (db, _) = open_writable(storage, READING, name)?;
    Held::new(db).close()
}

/// Notes in the segment that it went through a repair; its manifest will say so.
pub(crate) fn mark_recovered(db: &Database) -> Result<(), DiskError> {
    let txn = db.begin_write()?;
    {
        let mut rows = txn.open_table(tables::META)?;
        rows.insert(tables::RECOVERED, &[1u8][..])?;
    }
    Ok(txn.commit()?)
}

/// Reads the description.
pub(crate) fn read_meta(txn: &ReadTransaction, file: &str) -> Result<Meta, OpenError> {
    let rows = txn.open_table(tables::META).at(file)?;
    let row = |name: &'static str| -> Result<Option<Vec<u8>>, OpenError> {
        Ok(rows.get(name).at(file)?.map(|v| v.value().to_vec()))
    };
    let need = |name: &'static str, len: usize| match row(name)? {
        Some(value) if value.len() == len => Ok(value),
        _ => Err(OpenError::BadFile {
            file: file.to_owned(),
            what: name,
        }),
    };
    let layout = u32::from_le_bytes(array(&need(tables::LAYOUT, 4)?, 0));
    if layout > tables::SEGMENT_LAYOUT {
        return Err(OpenError::TooNew {
            file: file.to_owned(),
            found: layout,
        });
    }
    let previous = row(tables::PREVIOUS)?.map(|digest| array(&digest, 0));
    Ok(Meta {
        identity: Identity {
            log_id: LogId(array(&need(tables::LOG_ID, 16)?, 0)),
            epoch: u32::from_le_bytes(array(&need(tables::EPOCH, 4)?, 0)),
        },
        first: u64::from_le_bytes(array(&need(tables::FIRST, 8)?, 0)),
        previous,
        created_at: i64::from_le_bytes(array(&need(tables::CREATED_AT, 8)?, 0)),
        recovered: row(tables::RECOVERED)?.is_some(),
    })
}

/// The layout of the rows of a segment.
pub(crate) fn read_layout(txn: &ReadTransaction) -> Result<u32, DiskError> {
    let rows = txn.open_table(tables::META)?;
    let row = rows.get(tables::LAYOUT)?;
    let layout = row.and_then(|row| row.value().try_into().ok());
    let layout = layout.map(u32::from_le_bytes).filter(|layout| *layout > 0);
    layout.ok_or_else(|| redb::Error::Corrupted("the layout of the segment".to_owned()).into())
}

/// The bookmarks and cursors of a segment.
pub(crate) fn read_carried(txn: &ReadTransaction) -> Result<Carried, DiskError> {
    let mut carried = Carried::default();
    for row in txn.open_table(tables::BOOKMARKS)?.iter()? {
        let (name, value) = row?;
        let pair = (name.value().to_owned(), value.value().to_vec());
        carried.bookmarks.push(pair);
    }
    for row in txn.open_table(tables::CURSORS)?.iter()? {
        let (name, value) = row?;
        carried
            .cursors
            .push((name.value().to_owned(), value.value()));
    }
    Ok(carried)
}

/// The highest number given out, in a record or in a hole; `None` in an empty segment.
pub(crate) fn read_last(txn: &ReadTransaction) -> Result<Option<u64>, DiskError> {
    let records = txn.open_table(tables::RECORDS)?;
    let last = records.last()?.map(|(seq, _)| seq.value());
    Ok(last.max(read_holes(txn)?.last()))
}

/// The holes of a segment or of the catalog.
pub(crate) fn read_holes(txn: &ReadTransaction) -> Result<Holes, DiskError> {
    let table = match txn.open_table(tables::HOLES) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Holes::default()),
        other => other?,
    };
    let mut holes = Vec::new();
    for row in table.iter()? {
        let (first, rest) = row?;
        let hole = Hole::decode(first.value(), rest.value());
        holes.push(hole.ok_or_else(|| bad_hole(first.value()))?);
    }
    let first = holes.first().map_or(0, |hole| hole.first.get());
    Holes::new(holes).ok_or_else(|| bad_hole(first))
}

fn bad_hole(first: u64) -> DiskError {
    redb::Error::Corrupted(format!("the hole from number {first} on")).into()
}

/// Whether the segment is sealed.
pub(crate) fn is_sealed(txn: &ReadTransaction) -> Result<bool, DiskError> {
    let rows = txn.open_table(tables::SEAL)?;
    Ok(rows.get(tables::MANIFEST)?.is_some())
}

/// The manifest of a sealed segment; `None` while it is active.
pub(crate) fn read_seal(txn: &ReadTransaction, file: &str) -> Result<Option<Manifest>, OpenError> {
    let rows = txn.open_table(tables::SEAL).at(file)?;
    let row = rows.get(tables::MANIFEST).at(file)?;
    row.map(|bytes| {
        Manifest::decode(bytes.value()).ok_or(OpenError::BadFile {
            file: file.to_owned(),
            what: tables::MANIFEST,
        })
    })
    .transpose()
}

/// Makes the manifest of a segment whose records were added up so far, and writes it as the
/// file's last row, durably.
pub(crate) fn seal(db: &Database, mut summed: Summed, file: &str) -> Result<Manifest, OpenError> {
    let txn = db.begin_read().at(file)?;
    let meta = read_meta(&txn, file)?;
    let holes = read_holes(&txn).at(file)?;
    summed.add(&txn, &holes, u64::MAX).at(file)?;
    drop(txn);
    let tally = summed.tally;
    let manifest = Manifest {
        identity: meta.identity,
        first: meta.first,
        last: summed.last.max(holes.last().unwrap_or(0)),
        count: tally.count,
        payload_bytes: tally.payload_bytes,
        record_bytes: tally.record_bytes,
        codecs: tally.codecs,
        digest: tally.digest(),
        previous: meta.previous,
        recovered: meta.recovered,
        created_at: meta.created_at,
        sealed_at: clock::unix_micros(),
        engine: ENGINE.to_owned(),
        replaces: None,
        missing: holes.count(),
    };
    write_seal(db, &manifest).at(file)?;
    Ok(manifest)
}

fn write_seal(db: &Database, manifest: &Manifest) -> Result<(), DiskError> {
    let txn = db.begin_write()?;
    {
        let mut rows = txn.open_table(tables::SEAL)?;
        rows.insert(tables::MANIFEST, manifest.encode().as_slice())?;
    }
    Ok(txn.commit()?)
}
