//! From one segment to the next. A crash between any two of the steps is completed by the next
//! open, which is why their order must not change:
//!
//! ```text
//! 1  the manifest, last row of the old segment; the file is closed
//! 2  the next segment, made under a temporary name and renamed; appends go on from here
//! 3  manifest and keys into the catalog, beside the appends
//! ```

use crate::ahead;
use crate::catalog::Catalog;
use crate::clock;
use crate::error::{AppendError, AtFile, OpenError};
use crate::hole::Holes;
use crate::keeper::{Absorbing, Digest, absorb};
use crate::live::Active;
use crate::log::{Age, Log, open_to_append, segment_mode};
use crate::manifest::Manifest;
use crate::plan::segment_name;
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
            let manifest = segment::seal(&active.db, summed, &file).map_err(open_to_append)?;
            // Not together with what closing writes: that takes the pages which this commit lets
            // go of, and others see them until its header is in the file.
            active.guard.flush().at(&file)?;
            manifest
        };
        {
            // Closed under the lock: a reader that finds the slot empty opens the file itself.
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
        let wanted = ahead::wanted(self.live.bytes(), bytes_max);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Machine;
    use crate::prepared::PREPARED;
    use crate::{Batch, NewRecord, Options};

    fn open(machine: &Machine) -> Log {
        let options = Options {
            segment_bytes_max: 100_000,
            cache_bytes: 1 << 20,
            redo_bytes: 64 << 10,
            ..Options::default()
        };
        Log::open_on(machine, options).unwrap()
    }

    fn one_record(payload: usize) -> Batch {
        let record = NewRecord {
            codec: 1,
            flags: 0,
            kind: 1,
            peer_kind: 1,
            peer_id: 1,
            message_id: 1,
            received_at: 1,
            source_at: 1,
            payload: vec![7; payload],
            key: None,
        };
        Batch {
            records: vec![record],
            ..Batch::default()
        }
    }

    fn len(machine: &Machine, name: &str) -> Option<usize> {
        machine.file(name).map(|bytes| bytes.len())
    }

    #[test]
    fn the_next_segment_is_made_in_blocks_written_ahead_and_closed_without_those_unused() {
        let machine = Machine::new();
        let mut log = open(&machine);
        log.append(&one_record(60_000)).unwrap();
        let ahead = len(&machine, PREPARED).unwrap();
        log.seal().unwrap();
        assert_eq!(len(&machine, PREPARED), None);
        assert_eq!(len(&machine, &segment_name(2)), Some(ahead));
        log.append(&one_record(10)).unwrap();
        log.close().unwrap();
        assert!(len(&machine, &segment_name(2)).unwrap() < ahead);
    }

    #[test]
    fn a_prepared_file_that_was_left_is_removed() {
        let machine = Machine::new();
        open(&machine).close().unwrap();
        machine.put_file(PREPARED, vec![7; 1000]);
        let log = open(&machine);
        assert!(!log.recovery().unclean);
        assert_eq!(len(&machine, PREPARED), None);
    }

    #[test]
    fn a_disk_too_full_to_prepare_the_next_segment_takes_appends_and_gets_the_room_back() {
        let machine = Machine::new();
        let mut log = open(&machine);
        log.append(&one_record(10)).unwrap();
        machine.set_capacity(Some(machine.used() + (128 << 10)));
        log.append(&one_record(60_000)).unwrap();
        assert_eq!(len(&machine, PREPARED), None);
        log.append(&one_record(10)).unwrap();
    }
}
