//! The catalog: the chain of manifests, where the log starts, and the dedup keys of everything
//! sealed. All of it can be made again from the segments, except keys of trimmed ones.

use std::sync::Arc;

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableError, WriteTransaction,
};

use crate::archive::Archived;
use crate::contain::Held;
use crate::dedup::{self, Sorted};
use crate::error::{At, AtFile, DiskError, OpenError};
use crate::frame::array;
use crate::hole::Holes;
use crate::manifest::Manifest;
use crate::plan::{CATALOG, TEMPORARY};
use crate::segment::{self, Mode};
use crate::seq::LogId;
use crate::storage::{Access, Boxed, Storage};
use crate::tables;

/// Where the kept log starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) first: u64,
    /// Digest of the last trimmed segment, so that the chain stays checkable at its start.
    pub(crate) previous: Option<[u8; 32]>,
}

/// The open catalog of the writer.
#[derive(Clone)]
pub(crate) struct Catalog {
    pub(crate) db: Arc<Held>,
}

impl Catalog {
    /// Makes an empty catalog, complete before it gets its name.
    pub(crate) fn create(
        storage: &dyn Storage,
        mode: Mode,
        log_id: LogId,
        floor: Floor,
        newest: u64,
    ) -> Result<Catalog, At> {
        let temporary = format!("{CATALOG}{TEMPORARY}");
        let db = write_new(storage, mode, log_id, floor, newest, &temporary).at(&temporary)?;
        storage.rename(&temporary, CATALOG).at(&temporary)?;
        storage.sync_dir().at(CATALOG)?;
        Ok(Catalog {
            db: Arc::new(Held::new(db)),
        })
    }

    /// Opens it; instant at any size even after a crash, since every commit is quick-repairable.
    pub(crate) fn open(storage: &dyn Storage, mode: Mode) -> Result<Catalog, DiskError> {
        let (db, _) = segment::open_writable(storage, mode, CATALOG)?;
        Ok(Catalog {
            db: Arc::new(Held::new(db)),
        })
    }

    /// Closes it cleanly. Nobody else may use it any more.
    pub(crate) fn close(self) -> Result<(), At> {
        match Arc::into_inner(self.db) {
            Some(db) => db.close().at(CATALOG),
            None => Ok(()),
        }
    }

    pub(crate) fn contents(&self) -> Result<Contents, OpenError> {
        read(&self.db.begin_read().at(CATALOG)?)
    }

    /// Takes in a sealed segment: manifest, holes and keys in one commit. Does so again for one
    /// that was replaced: a key that is known stays with its number, and holes are only added.
    pub(crate) fn absorb(
        &self,
        manifest: &Manifest,
        segment: &ReadTransaction,
    ) -> Result<(), DiskError> {
        let holes = segment::read_holes(segment)?;
        let keys = dedup::sorted(segment)?;
        self.write(|txn| {
            write_holes(txn, &holes)?;
            dedup::insert_sorted(&mut txn.open_table(tables::KEYS)?, &keys)?;
            let mut manifests = txn.open_table(tables::MANIFESTS)?;
            manifests.insert(manifest.first, manifest.encode().as_slice())?;
            Ok(())
        })
    }

    /// Records that the segment starting at `first` was made.
    pub(crate) fn note_newest(&self, first: u64) -> Result<(), DiskError> {
        self.write(|txn| {
            let mut rows = txn.open_table(tables::META)?;
            rows.insert(tables::NEWEST, &first.to_le_bytes()[..])?;
            Ok(())
        })
    }

    /// Records that a segment is archived, with its keys and holes, which are there already
    /// unless the catalog was lost. Durable before the segment goes.
    pub(crate) fn note_archived(
        &self,
        archived: &Archived,
        keys: &Sorted,
        holes: &Holes,
    ) -> Result<(), DiskError> {
        self.write(|txn| {
            write_holes(txn, holes)?;
            dedup::insert_sorted(&mut txn.open_table(tables::KEYS)?, keys)?;
            let mut rows = txn.open_table(tables::ARCHIVED)?;
            rows.insert(archived.manifest.first, archived.encode().as_slice())?;
            Ok(())
        })
    }

    /// Takes in keys of records that are not in the log: a key that is known stays with its number.
    pub(crate) fn add_keys(&self, keys: &Sorted) -> Result<(), DiskError> {
        self.write(|txn| dedup::insert_sorted(&mut txn.open_table(tables::KEYS)?, keys))
    }

    /// Records that everything below `floor` is to go. Durable before any file is removed.
    pub(crate) fn raise_floor(&self, floor: Floor) -> Result<(), DiskError> {
        self.write(|txn| {
            txn.open_table(tables::MANIFESTS)?
                .retain(|first, _| first >= floor.first)?;
            write_floor(&mut txn.open_table(tables::META)?, floor)
        })
    }

    /// One commit. In `work` one table is open at a time: if the engine panics in opening one,
    /// dropping another would panic again, and that ends the process.
    fn write(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        self.db.write(|txn| {
            txn.set_quick_repair(true);
            work(txn)
        })
    }
}

/// Writes holes into a file being written; makes no table for none.
pub(crate) fn write_holes(txn: &WriteTransaction, holes: &Holes) -> Result<(), DiskError> {
    if holes.is_empty() {
        return Ok(());
    }
    let mut rows = txn.open_table(tables::HOLES)?;
    for hole in holes.iter() {
        rows.insert(hole.first.get(), hole.encode().as_slice())?;
    }
    Ok(())
}

fn write_floor(
    rows: &mut redb::Table<'_, &'static str, &'static [u8]>,
    floor: Floor,
) -> Result<(), DiskError> {
    rows.insert(tables::FIRST, &floor.first.to_le_bytes()[..])?;
    if let Some(digest) = floor.previous {
        rows.insert(tables::PREVIOUS, &digest[..])?;
    }
    Ok(())
}

fn write_new(
    storage: &dyn Storage,
    mode: Mode,
    log_id: LogId,
    floor: Floor,
    newest: u64,
    temporary: &str,
) -> Result<Database, DiskError> {
    let backend = storage.open(temporary, Access::Create)?;
    let db = mode.builder().create_with_backend(Boxed(backend))?;
    let mut txn = db.begin_write()?;
    txn.set_quick_repair(true);
    {
        let mut rows = txn.open_table(tables::META)?;
        rows.insert(tables::LAYOUT, &tables::CATALOG_LAYOUT.to_le_bytes()[..])?;
        rows.insert(tables::LOG_ID, &log_id.0[..])?;
        rows.insert(tables::NEWEST, &newest.to_le_bytes()[..])?;
        write_floor(&mut rows, floor)?;
    }
    txn.open_table(tables::KEYS)?;
    txn.open_table(tables::MANIFESTS)?;
    txn.commit()?;
    Ok(db)
}

/// What the catalog says, without its keys.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) log_id: LogId,
    pub(crate) floor: Floor,
    /// First number of the newest segment known to have been made.
    pub(crate) newest: u64,
    /// In order of their first numbers.
    pub(crate) manifests: Vec<Manifest>,
    /// Segments in the archive, in order of their first numbers.
    pub(crate) archived: Vec<Archived>,
    /// Of every segment that was ever sealed.
    pub(crate) holes: Holes,
}

/// Reads the catalog through any handle.
pub(crate) fn read(txn: &ReadTransaction) -> Result<Contents, OpenError> {
    let bad = |what| OpenError::BadFile {
        file: CATALOG.to_owned(),
        what,
    };
    let rows = txn.open_table(tables::META).at(CATALOG)?;
    let row = |name: &'static str| -> Result<Option<Vec<u8>>, OpenError> {
        Ok(rows.get(name).at(CATALOG)?.map(|v| v.value().to_vec()))
    };
    let need = |name: &'static str, len: usize| match row(name)? {
        Some(value) if value.len() == len => Ok(value),
        _ => Err(bad(name)),
    };
    let layout = u32::from_le_bytes(array(&need(tables::LAYOUT, 4)?, 0));
    if layout > tables::CATALOG_LAYOUT {
        return Err(OpenError::TooNew {
            file: CATALOG.to_owned(),
            found: layout,
        });
    }
    let mut manifests = Vec::new();
    for row in txn
        .open_table(tables::MANIFESTS)
        .at(CATALOG)?
        .iter()
        .at(CATALOG)?
    {
        let (first, bytes) = row.at(CATALOG)?;
        let manifest = Manifest::decode(bytes.value()).ok_or(bad(tables::MANIFEST))?;
        if manifest.first != first.value() {
            return Err(bad(tables::MANIFEST));
        }
        manifests.push(manifest);
    }
    Ok(Contents {
        log_id: LogId(array(&need(tables::LOG_ID, 16)?, 0)),
        floor: Floor {
            first: u64::from_le_bytes(array(&need(tables::FIRST, 8)?, 0)),
            previous: row(tables::PREVIOUS)?.map(|digest| array(&digest, 0)),
        },
        newest: u64::from_le_bytes(array(&need(tables::NEWEST, 8)?, 0)),
        manifests,
        archived: read_archived(txn)?,
        holes: segment::read_holes(txn).at(CATALOG)?,
    })
}

/// Catalogs of logs that never archived have no such table.
fn read_archived(txn: &ReadTransaction) -> Result<Vec<Archived>, OpenError> {
    let table = match txn.open_table(tables::ARCHIVED) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        other => other.at(CATALOG)?,
    };
    let mut archived = Vec::new();
    for row in table.iter().at(CATALOG)? {
        let (_, bytes) = row.at(CATALOG)?;
        archived.push(Archived::decode(bytes.value()).ok_or(OpenError::BadFile {
            file: CATALOG.to_owned(),
            what: "archived",
        })?);
    }
    Ok(archived)
}
