//! Skipping numbers that may have been given out already, in a new epoch.

use redb::ReadableDatabase;

use crate::clock;
use crate::error::{AppendError, AtFile};
use crate::hole::{Hole, HoleCause, Holes};
use crate::log::{Age, Log, open_to_append, segment_mode};
use crate::plan::segment_name;
use crate::rewrite::{NONE, Whole, rewrite};
use crate::segment::{self, Carried, Meta};
use crate::seq::{Identity, Seq};

impl Log {
    /// Makes `to` the tail: the numbers after the present tail up to `to` become a hole, and a
    /// new epoch starts after it. For a log that is behind something that was made from it:
    /// the numbers there were given out by a life of the log that is lost, and must never mean
    /// other records. `None` when the tail is not below `to`; then nothing happens.
    ///
    /// # Errors
    /// Any error poisons the handle; after opening the log again the fence is there or is not.
    pub fn fence(&mut self, to: Seq) -> Result<Option<Hole>, AppendError> {
        self.guarded(|log| {
            if to.get() <= log.tail {
                return Ok(None);
            }
            if to.get() == u64::MAX {
                return Err(AppendError::NumbersExhausted);
            }
            if log.tail >= log.first {
                log.roll()?;
            }
            log.fence_empty(to).map(Some)
        })
    }

    /// Replaces the active segment, which is empty, by one that starts with the hole.
    fn fence_empty(&mut self, to: Seq) -> Result<Hole, AppendError> {
        let file = segment_name(self.first);
        let (meta, carried) = {
            let slot = self.live.active();
            let active = slot.as_ref().ok_or(AppendError::Poisoned)?;
            let txn = active.db.begin_read().at(&file)?;
            let meta = segment::read_meta(&txn, &file).map_err(open_to_append)?;
            (meta, segment::read_carried(&txn).at(&file)?)
        };
        let (whole, hole) = fenced(&meta, carried, to);
        // No reader may come between: the old file must not be opened again once it is closed.
        let live = std::sync::Arc::clone(&self.live);
        let mut slot = live.change();
        if let Some(active) = slot.take() {
            // The redo file must hold nothing of the old file, or it is written into the new one.
            active.guard.settle().at(&file)?;
            active.db.close().at(&file)?;
        }
        rewrite(&*self.storage, &file, &whole, NONE, std::iter::empty()).map_err(open_to_append)?;
        let mode = segment_mode(&self.options);
        let (active, _) =
            segment::open_active(&*self.storage, mode, self.first, None).map_err(open_to_append)?;
        active.guard.defer();
        *slot = Some(active);
        self.identity = whole.meta.identity;
        self.age = Age::of(whole.meta.created_at);
        self.tail = to.get();
        self.live.set_durable(self.tail);
        Ok(hole)
    }
}

/// An active segment like the one described, in the next epoch, that starts with a hole up to `to`.
pub(crate) fn fenced(meta: &Meta, carried: Carried, to: Seq) -> (Whole, Hole) {
    let now = clock::unix_micros();
    let hole = Hole {
        first: Seq::at_least_first(meta.first),
        last: to,
        cause: HoleCause::Fence,
        noted_at: now,
    };
    let whole = Whole {
        meta: Meta {
            identity: Identity {
                log_id: meta.identity.log_id,
                epoch: meta.identity.epoch.saturating_add(1),
            },
            created_at: now,
            recovered: false,
            ..meta.clone()
        },
        carried,
        holes: Holes::new(vec![hole]).unwrap_or_default(),
        manifest: None,
    };
    (whole, hole)
}
