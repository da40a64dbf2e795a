//! From one segment to the next. A crash between any two of the steps is completed by the next
//! open, which is why their order must not change:
//!
//! ```text
//! 1  the manifest, last row of the old segment; the file is closed
//! 2  the next segment, made under a temporary name and renamed; appends go on from here
//! 3  manifest and keys into the catalog, beside the appends
//! ```

use crate::catalog::Catalog;
use crate::clock;
use crate::error::{AppendError, AtFile, OpenError};
use crate::hole::Holes;
use crate::keeper::{Absorbing, Digest, absorb};
use crate::live::Active;
use crate::log::{Age, Log, open_to_append, segment_mode};
use crate::manifest::Manifest;
use crate::plan::segment_name;
use crate::prepared;
use crate::segment::{self, Carried, Meta, Mode};
use crate::storage::Storage;
use crate::sum::Summed;

impl Log {
    /// Seals the active segment and starts the next one.
    pub(crate) fn roll(&mut self) -> Result<(), AppendError> {
        // One at a time: a log that rolls faster than it is catalogued must wait.
        self.settle()?;
        let file = segment_name(self.first);
        let nothing = Summed::nothing(self.first, &Holes::default());
        let digest = std::mem::replace(&mut self.digest, Digest::new(nothing));
        let summed = digest.wait().map_err(open_to_append)?;
        let manifest = {
            let slot = self.live.active();
            let Some(active) = slot.as_ref() else {
                return Err(AppendError::Poisoned);
            };
            segment::seal(&active.db, summed, &file).map_err(open_to_append)?
        };
        {
            // Closed under the lock: a reader that finds the slot empty opens the file itself.
            // All that this writes becomes durable together with the manifest.
            let mut slot = self.live.change();
            if let Some(active) = slot.take() {
                active.db.close().at(&file)?;
            }
        }
        let mode = segment_mode(&self.options);
        let carried = self.marks.carried();
        let prepared = std::mem::take(&mut self.ahead).wait();
        let (active, meta) =
            follow(&*self.storage, mode, &manifest, &carried, prepared).map_err(open_to_append)?;
        self.first = meta.first;
        self.age = Age::of(meta.created_at);
        self.live.set_bytes(0);
        self.digest = Digest::new(Summed::nothing(meta.first, &Holes::default()));
        // A new map: the room of a full one is not needed until the next is full.
        let next = self.keys.successor();
        let keys = std::mem::replace(&mut self.keys, next);
        *self.live.change() = Some(active);
        let absorbing = Absorbing::start(&self.storage, &self.catalog, manifest, keys);
        self.absorbing = Some(absorbing);
        Ok(())
    }

    /// Waits until the catalog knows all sealed segments.
    pub(crate) fn settle(&mut self) -> Result<(), AppendError> {
        if let Some(absorbing) = self.absorbing.take() {
            absorbing.wait().map_err(open_to_append)?;
        }
        self.sealed_keys = None;
        Ok(())
    }

    /// What an append looks after: the work beside it, as far as it is done.
    pub(crate) fn tend(&mut self) -> Result<(), AppendError> {
        if self.absorbing.as_ref().is_some_and(Absorbing::is_done) {
            self.settle()?;
        }
        let threads = self.storage.threads();
        let bytes_max = self.options.segment_bytes_max;
        self.digest
            .follow(&self.live, threads, self.tail, bytes_max);
        let wanted = prepared::wanted(self.live.bytes(), bytes_max);
        self.ahead.follow(&self.storage, wanted);
        Ok(())
    }
}

/// Puts a sealed, closed segment into the catalog and makes the one after it.
pub(crate) fn start_next(
    storage: &dyn Storage,
    catalog: &Catalog,
    mode: Mode,
    sealed: &Manifest,
    carried: &Carried,
) -> Result<(Active, Meta), OpenError> {
    let next = follow(storage, mode, sealed, carried, false)?;
    absorb(storage, catalog, sealed)?;
    Ok(next)
}

/// Makes the segment after a sealed one.
fn follow(
    storage: &dyn Storage,
    mode: Mode,
    sealed: &Manifest,
    carried: &Carried,
    prepared: bool,
) -> Result<(Active, Meta), OpenError> {
    let meta = Meta {
        identity: sealed.identity,
        first: sealed.last + 1,
        previous: Some(sealed.link()),
        created_at: clock::unix_micros(),
        recovered: false,
    };
    let active = segment::create(storage, mode, &meta, carried, prepared)?;
    Ok((active, meta))
}
