//! Retention and archive as the log and its readers offer them.

use std::sync::Arc;

use crate::archive::{Archive, ArchiveError};
use crate::clock;
use crate::dedup::Sorted;
use crate::error::{AppendError, AtFile, OpenError, ReadError};
use crate::hole::Holes;
use crate::log::Log;
use crate::manifest::Manifest;
use crate::pace::{Pace, Pacer};
use crate::plan::CATALOG;
use crate::reader::Reader;
use crate::retention::{RetentionFloor, RetentionPlan, RetentionPolicy, plan_retention};
use crate::seq::Seq;
use crate::storage::Storage;

impl Log {
    /// Brings the archive into use. Whatever is wrong with it, the log goes on without.
    pub(crate) fn attach(&mut self, storage: Arc<dyn Storage>, made: Result<(), OpenError>) {
        let archive = Arc::new(Archive::new(storage, self.identity.log_id));
        let attached = made.and_then(|()| archive.attach(&self.catalog));
        self.recovery.archive_error = attached.err().map(|e| e.to_string());
        self.archive = Some(archive);
    }

    /// What writes containers beside the running log, so that a trim afterwards takes no time;
    /// `None` without [`crate::Options::archive`].
    pub fn archiver(&self) -> Option<Archiver> {
        Some(Archiver {
            log: Arc::clone(&self.storage),
            archive: Arc::clone(self.archive.as_ref()?),
            pace: Pace::UNLIMITED,
        })
    }

    /// Plans with the clock of this moment and with the cursors of the log besides `floors`, then
    /// trims. What was planned is returned; see [`crate::Reader::retention_plan`] to only look.
    ///
    /// # Errors
    /// As [`Log::trim`].
    pub fn retain(
        &mut self,
        policy: &RetentionPolicy,
        floors: &[RetentionFloor],
    ) -> Result<RetentionPlan, RetainError> {
        let plan = self.reader().retention_plan(policy, floors)?;
        if let Some(keep_from) = plan.keep_from() {
            self.trim(keep_from)?;
        }
        Ok(plan)
    }

    /// Archives segments, durably known to the catalog, before they may go.
    pub(crate) fn keep(&self, gone: &[Manifest]) -> Result<(), AppendError> {
        let Some(archive) = &self.archive else {
            return Ok(());
        };
        let pacer = Pacer::new(Pace::UNLIMITED);
        for manifest in gone {
            let archived = archive.keep(&*self.storage, manifest.first, &pacer)?;
            // Keys and holes came into the catalog when the segment was sealed.
            let (keys, holes) = (Sorted::default(), Holes::default());
            self.catalog
                .note_archived(&archived, &keys, &holes)
                .at(CATALOG)?;
        }
        Ok(())
    }
}

/// Why retention was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RetainError {
    /// The log could not be looked at.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Trimming failed.
    #[error(transparent)]
    Trim(#[from] AppendError),
}

impl Reader {
    /// What retention would do now: the policy over the segments of the log, held back by its
    /// cursors and by `floors`, which are the checkpoints of everything else fed from it.
    ///
    /// # Errors
    /// As [`Reader::segments`].
    pub fn retention_plan(
        &self,
        policy: &RetentionPolicy,
        floors: &[RetentionFloor],
    ) -> Result<RetentionPlan, ReadError> {
        let mut all = floors.to_vec();
        all.extend(
            self.cursors()?
                .into_iter()
                .map(|(name, at)| RetentionFloor {
                    name: format!("cursor {name}"),
                    done: Some(at),
                }),
        );
        let now = clock::unix_micros();
        Ok(plan_retention(&self.segments()?, now, policy, &all))
    }
}

/// Writes containers of sealed segments into the archive of a log, from any thread.
#[derive(Debug, Clone)]
pub struct Archiver {
    log: Arc<dyn Storage>,
    archive: Arc<Archive>,
    pace: Pace,
}

impl Archiver {
    /// The same at a pace that leaves processor and disk to the appends.
    pub fn at(self, pace: Pace) -> Archiver {
        Archiver { pace, ..self }
    }

    /// Writes and checks the container of the sealed segment that starts at `first`, unless it
    /// is there already. The segment stays in the log; [`Log::trim`] of the same log then finds
    /// it archived. Takes about a second for a segment of the default size, or as
    /// long as the pace says.
    ///
    /// # Errors
    /// [`ArchiveError`]: a segment that is damaged, not sealed or gone; an archive that cannot
    /// be written.
    pub fn archive(&self, first: Seq) -> Result<(), ArchiveError> {
        let pacer = Pacer::new(self.pace);
        self.archive.keep(&*self.log, first.get(), &pacer).map(drop)
    }
}
