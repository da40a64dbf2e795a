//! Which log lies in a directory, whatever of it can still be read.

use std::path::Path;

use super::gather;
use crate::catalog::{self, Contents};
use crate::contain::contained;
use crate::error::{AtFile, OpenError};
use crate::files::open_settled;
use crate::plan::{CATALOG, segment_name, segments_in};
use crate::seq::LogId;
use crate::storage::{Disk, Storage};

/// Which log is in `dir`: as its catalog says, or else its newest segment that says so. `None`
/// when nothing does. Changes nothing, and needs no lock.
pub fn log_id(dir: &Path) -> Option<LogId> {
    let disk = Disk::new(dir);
    let names = disk.list().ok()?;
    identify(&disk, &names)
}

pub(crate) fn identify(storage: &dyn Storage, names: &[String]) -> Option<LogId> {
    if let Some(contents) = catalog_of(storage) {
        return Some(contents.log_id);
    }
    let firsts = segments_in(names);
    let newest_first = firsts.iter().rev().map(|first| segment_name(*first));
    newest_first
        .filter_map(|file| gather::description(storage, &file))
        .map(|meta| meta.identity.log_id)
        .next()
}

/// The catalog if it can be read.
pub(crate) fn catalog_of(storage: &dyn Storage) -> Option<Contents> {
    let read = contained::<_, OpenError>(CATALOG, || {
        let Some(db) = open_settled(storage, CATALOG)? else {
            return Ok(None);
        };
        catalog::read(&db.begin_read().at(CATALOG)?).map(Some)
    });
    read.ok().flatten()
}
