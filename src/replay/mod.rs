//! Replay: part or all of the log, once more through the same `apply`.
//!
//! A **replay** re-applies a range to a store that stays in use; it moves no checkpoint, and the guards of the store
//! make it harmless. A **rebuild** empties the store and applies the whole log with the checkpoint moving along.
//! Both work beside a running daemon: the daemon's projector notices that the checkpoint went back and starts from it.
//! [`catch_up`] is the part of it that a store loaded beside the live one needs too.

mod ahead;
mod cache;
mod plan;
mod progress;
mod survey;

use std::path::Path;

use tokio_util::sync::CancellationToken;
use wal::{Record, Seq};

use ahead::Ahead;
pub use cache::rebuild_cache;
pub use plan::Selection;
pub use progress::Resume;
pub use survey::{Survey, survey};

use crate::failure::{Class, Classify, Exit};
use crate::journal::{JournalError, JournalReader};
use crate::projector::{Refused, entry, full_batch};
use crate::store::{Batch, Projection, ProjectionError};

/// Events applied in one transaction, and bytes read at once.
const BATCH_EVENTS_MAX: usize = 5_000;
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a replay or rebuild ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store refused.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The note of how far it came could not be kept.
    #[error("cannot keep the progress of the replay in {path}")]
    Progress {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A record cannot be read; a rebuild stops instead of leaving it out.
    #[error("record {seq} cannot be applied: {reason}")]
    Poison {
        /// Its number.
        seq: Seq,
        /// Why.
        reason: String,
    },
    /// Stopped by a signal.
    #[error("stopped at {at}; the same command goes on from there")]
    Stopped {
        /// The last number applied.
        at: u64,
    },
}

impl Classify for ReplayError {
    fn class(&self) -> Class {
        match self {
            ReplayError::Journal(error) => error.class(),
            ReplayError::Projection(error) => error.class(),
            ReplayError::Progress { .. } | ReplayError::Stopped { .. } => Class::Operator,
            ReplayError::Poison { .. } => Class::Corrupt,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ReplayError::Journal(error) => error.hint(),
            ReplayError::Projection(error) => error.hint(),
            ReplayError::Poison { .. } => Some("telegram-gateway verify log".to_owned()),
            ReplayError::Progress { .. } | ReplayError::Stopped { .. } => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            ReplayError::Journal(error) => error.exit(),
            ReplayError::Projection(error) => error.exit(),
            ReplayError::Poison { .. } => Exit::Data,
            ReplayError::Progress { .. } | ReplayError::Stopped { .. } => Exit::Failure,
        }
    }
}

/// How far a replay has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// First number of the range.
    pub from: u64,
    /// Last number of the range.
    pub until: u64,
    /// Last number read.
    pub at: u64,
    /// Events applied.
    pub applied: u64,
    /// Bytes of the records applied.
    pub bytes: u64,
}

/// What a replay would do, without doing it: the log is read, no store is touched.
pub async fn plan(journal: &JournalReader, selection: &Selection) -> Result<Progress, ReplayError> {
    let mut progress = start(journal, selection).await?;
    while progress.at < progress.until {
        let records = chunk(journal, &progress).await?;
        advance(&mut progress, &records, selection);
    }
    Ok(progress)
}

/// Re-applies the selected part of the log. Goes on where the same replay was interrupted before.
pub async fn replay<P: Projection>(
    journal: &JournalReader,
    projection: &mut P,
    selection: &Selection,
    data_dir: &Path,
    report: &mut (dyn FnMut(&Progress) + Send),
    stop: &CancellationToken,
) -> Result<Progress, ReplayError> {
    let resume = Resume::of(data_dir, projection.name(), selection, journal.identity());
    let mut progress = start(journal, selection).await?;
    // A store that knows another log must not be mixed with this one, even though no checkpoint moves.
    match crate::projector::position(projection, journal).await {
        Err(Refused::Projection(error)) => return Err(error.into()),
        Err(Refused::Journal(error)) => return Err(error.into()),
        Ok(_) => {}
    }
    if let Some(at) = resume.load()
        && at >= progress.from
        && at < progress.until
    {
        tracing::info!(behind = at, "goes on where the same replay was interrupted");
        progress.at = at;
    }
    while progress.at < progress.until {
        if stop.is_cancelled() {
            return Err(ReplayError::Stopped { at: progress.at });
        }
        let records = chunk(journal, &progress).await?;
        let selected: Vec<_> = records
            .iter()
            .filter(|record| selection.selects(record.header()))
            .map(entry)
            .collect();
        if !selected.is_empty() {
            projection.apply(&Batch::partial(selected)).await?;
        }
        advance(&mut progress, &records, selection);
        resume.save(progress.at)?;
        report(&progress);
    }
    resume.finish();
    Ok(progress)
}

/// Empties the store and applies the whole log, the checkpoint moving along: interrupted, the daemon's projector or
/// the next rebuild finishes it. The log is read through first: while a record of it cannot be read, the store may hold
/// the only copy, and is left as it is.
pub async fn rebuild<P: Projection>(
    journal: &JournalReader,
    projection: &mut P,
    report: &mut (dyn FnMut(&Progress) + Send),
    stop: &CancellationToken,
) -> Result<Progress, ReplayError> {
    let selection = Selection::default();
    let mut looked = start(journal, &selection).await?;
    while looked.at < looked.until {
        if stop.is_cancelled() {
            return Err(ReplayError::Stopped { at: 0 });
        }
        let records = chunk(journal, &looked).await?;
        if let Some(batch) = full_batch(journal.identity(), looked.at, &records) {
            refuse_poison(&batch)?;
        }
        advance(&mut looked, &records, &selection);
    }
    projection.clear().await?;
    catch_up(journal, projection, None, report, stop).await
}

/// Applies what the projection does not have yet, the checkpoint moving along, as far as `until`; without a bound until
/// it is at the tail, also with what is appended meanwhile. A record that cannot be applied stops it.
pub async fn catch_up<P: Projection>(
    journal: &JournalReader,
    projection: &mut P,
    until: Option<u64>,
    report: &mut (dyn FnMut(&Progress) + Send),
    stop: &CancellationToken,
) -> Result<Progress, ReplayError> {
    let has = projection.checkpoint().await?;
    let mut selection = Selection {
        from: has.map(|checkpoint| checkpoint.seq.get() + 1),
        until,
        ..Selection::default()
    };
    let mut total = Progress::default();
    loop {
        let range = start(journal, &selection).await?;
        if range.until == 0 {
            // Nothing is left of the range.
            return Ok(total);
        }
        total.from = if total.from == 0 {
            range.from
        } else {
            total.from
        };
        total.until = range.until;
        total.at = range.at;
        // The next batch is read and decoded while the store works on this one.
        let mut ahead = Ahead::read(journal.clone(), range);
        while let Some(next) = ahead.next().await? {
            if stop.is_cancelled() {
                return Err(ReplayError::Stopped { at: total.at });
            }
            if let Some(batch) = next.batch {
                refuse_poison(&batch)?;
                projection.apply(&batch.or_stop()).await?;
            }
            total.at = next.at;
            total.applied += next.applied;
            total.bytes += next.bytes;
            report(&total);
        }
        selection.from = Some(total.until + 1);
    }
}

fn refuse_poison(batch: &Batch) -> Result<(), ReplayError> {
    for entry in &batch.entries {
        if let crate::store::Entry::Poison(poison) = entry {
            return Err(ReplayError::Poison {
                seq: poison.seq,
                reason: poison.reason.clone(),
            });
        }
    }
    Ok(())
}

async fn start(journal: &JournalReader, selection: &Selection) -> Result<Progress, ReplayError> {
    let tail = journal.refresh().await?;
    let first = journal.first().await?.map_or(0, Seq::get);
    Ok(match selection.range(first, tail) {
        Some((from, until)) => Progress {
            from,
            until,
            at: from - 1,
            ..Progress::default()
        },
        None => Progress::default(),
    })
}

async fn chunk(journal: &JournalReader, progress: &Progress) -> Result<Vec<Record>, ReplayError> {
    let from = crate::projector::next_seq(progress.at);
    Ok(journal
        .range(from, progress.until, BATCH_EVENTS_MAX, BATCH_BYTES_MAX)
        .await?)
}

fn advance(progress: &mut Progress, records: &[Record], selection: &Selection) {
    for record in records {
        let header = record.header();
        progress.at = header.seq.get();
        if selection.selects(header) {
            progress.applied += 1;
            progress.bytes += record.as_bytes().len() as u64;
        }
    }
    if records.is_empty() {
        // The range was checked against the log: what is left of it is a hole, or was trimmed meanwhile.
        progress.at = progress.until;
    }
}
