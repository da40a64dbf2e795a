//! The note of how far a replay came, so that the same command goes on after an interruption.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wal::Identity;

use super::{ReplayError, Selection};
use crate::store::ProjectionName;

/// A file in the data directory, one for each store.
#[derive(Debug)]
pub struct Resume {
    path: PathBuf,
    note: Note,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    log_id: String,
    epoch: u32,
    selection: Selection,
    at: u64,
}

impl Resume {
    /// Of a replay of this selection into this store.
    pub fn of(
        data_dir: &Path,
        name: ProjectionName,
        selection: &Selection,
        identity: Identity,
    ) -> Resume {
        let note = Note {
            log_id: identity.log_id.to_string(),
            epoch: identity.epoch,
            selection: selection.clone(),
            at: 0,
        };
        Resume {
            path: data_dir.join(format!("replay-{name}.json")),
            note,
        }
    }

    /// Where the same replay was interrupted. A note of another replay counts for nothing.
    pub fn load(&self) -> Option<u64> {
        let text = std::fs::read(&self.path).ok()?;
        let found: Note = serde_json::from_slice(&text).ok()?;
        let at = found.at;
        (Note { at: 0, ..found } == self.note).then_some(at)
    }

    /// Notes the last number applied. Not fsynced: an older note only means that a little is applied twice.
    pub fn save(&self, at: u64) -> Result<(), ReplayError> {
        let failed = |source| ReplayError::Progress {
            path: self.path.display().to_string(),
            source,
        };
        let text = serde_json::to_vec(&Note {
            at,
            ..self.note.clone()
        })
        .map_err(|error| failed(io::Error::other(error)))?;
        let temporary = self.path.with_extension("json.new");
        std::fs::write(&temporary, text).map_err(failed)?;
        std::fs::rename(&temporary, &self.path).map_err(failed)
    }

    /// The replay is complete.
    pub fn finish(&self) {
        // A note left behind would only make the same replay skip nothing: it ends at its last number.
        let _ = std::fs::remove_file(&self.path);
    }
}
