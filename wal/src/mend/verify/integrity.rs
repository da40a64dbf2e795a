//! The engine's own checksums, which cover every page in use: keys, bookmarks, cursors, and what
//! the engine keeps for itself. It checks them only in a file that it may write to, so it gets one
//! whose writes go nowhere.

use super::{Check, FindingKind};
use crate::contain::contained;
use crate::error::{AtFile, DiskError, OpenError};
use crate::overlay::overlaid;
use crate::storage::{Role, Storage};

impl Check<'_> {
    /// Checks the pages of a file that nobody writes any more.
    pub(super) fn pages(&mut self, file: &str) {
        let checked = contained::<_, OpenError>(file, || Ok(check(self.storage, file).at(file)?));
        match checked {
            Ok(true) => {}
            Ok(false) => self.find(
                FindingKind::PageDamaged,
                file,
                None,
                "a page does not have its checksum",
            ),
            Err(OpenError::Disk { source, .. }) if source.is_absent() => {}
            Err(e) => self.find(FindingKind::PageDamaged, file, None, e.to_string()),
        }
    }

    /// Checks the pages of a file that a writer writes to, if there is none: under its hands they
    /// change.
    pub(super) fn pages_at_rest(&mut self, file: &str) {
        let Ok(_guard) = self.storage.lock(Role::Repair) else {
            return;
        };
        self.pages(file);
    }
}

/// Whether all pages of the file are as they were written.
pub(crate) fn check(storage: &dyn Storage, file: &str) -> Result<bool, DiskError> {
    Ok(overlaid(storage, file)?.check_integrity()?)
}
