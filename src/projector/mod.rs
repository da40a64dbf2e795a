//! Projectors: a feed and a projection, joined by one loop.
//!
//! Live, catch-up, replay and rebuild are all "some feed, the same `apply`": [`tail`] follows the log, [`queue`]
//! takes frames from RabbitMQ and mends what the broker lost from the log.

mod hearing;
pub mod inbox;
pub mod queue;
pub mod standing;
pub mod tail;
pub mod warm;

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wal::{Identity, Record, Seq};

use self::standing::{Standing, There, standing};
use crate::backoff::Backoff;
use crate::event::Envelope;
use crate::failure::{Class, Classify, chain};
use crate::journal::{Holes, JournalError, Ranges};
use crate::status::{Stage, Status};
use crate::store::{
    Batch, Checkpoint, Entry, OnRefusal, Poison, Projection, ProjectionError, ProjectionName,
};

/// Bytes of records after which a batch is full, however few events it has: what is made of them on the way into a store
/// takes several times as much memory.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a feed could not go on.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The log could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Classify for FeedError {
    fn class(&self) -> Class {
        match self {
            FeedError::Journal(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            FeedError::Journal(error) => error.hint(),
        }
    }
}

/// Yields the log's records in order.
pub trait Feed: Send {
    /// The records `after + 1 ..`, without a hole, at most `events_max`; waits until there is at least one.
    /// Cancel safe: what is not returned comes again.
    fn next(
        &mut self,
        after: u64,
        events_max: usize,
    ) -> impl Future<Output = Result<Vec<Record>, FeedError>> + Send;
    /// Everything up to here is committed in the projection.
    fn applied(&mut self, upto: u64) -> impl Future<Output = ()> + Send;
}

/// How a projector runs.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Most events in one transaction; of long ones fewer, see `BATCH_BYTES_MAX`.
    pub batch_events_max: usize,
    /// First and longest wait after a failure.
    pub backoff: (Duration, Duration),
}

/// Feeds a projection until stopped. Trouble of the store or the feed is shown on the board and retried without
/// limit; only a log that is not the projection's own ends it.
pub async fn run<P: Projection, F: Feed>(
    projection: &mut P,
    feed: &mut F,
    journal: &impl Ranges,
    options: Options,
    status: &Status,
    stop: &CancellationToken,
) -> Result<(), ProjectionError> {
    let stage = stage(projection.name());
    let mut backoff = Backoff::new(options.backoff.0, options.backoff.1);
    loop {
        // A stop is honoured inside, between two batches; a store that hangs runs into its own time-outs.
        let attempt = attempt(projection, feed, journal, options, status, stop);
        let error = match attempt.await {
            Ok(()) => return Ok(()),
            Err(Stopped::Projection(
                error @ (ProjectionError::OtherLog { .. }
                | ProjectionError::AheadOfLog { .. }
                | ProjectionError::Diverged { .. }
                | ProjectionError::UnknownSchema { .. }),
            )) => return Err(error),
            Err(error) => error,
        };
        let text = error.text();
        // Success in between shows as an empty fault, so the back-off starts anew.
        if status
            .snapshot()
            .stages
            .get(&stage)
            .is_none_or(|progress| progress.fault.is_none())
        {
            backoff.reset();
        }
        let (wait, hint) = (backoff.wait(fastrand::f64()), error.hint());
        tracing::warn!(projection = %projection.name(), error = text, hint, retry_in = ?wait, "projection waits");
        status.waits(stage, text, error.class().needs_person());
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
            () = projection.disturbed() => {}
        }
    }
}

/// Finds out where the projection is and feeds it, until stopped or until something fails.
async fn attempt<P: Projection, F: Feed>(
    projection: &mut P,
    feed: &mut F,
    journal: &impl Ranges,
    options: Options,
    status: &Status,
    stop: &CancellationToken,
) -> Result<(), Stopped> {
    let holes = journal.holes().await.map_err(Refused::Journal)?;
    let applied = start(projection, journal, status, stop).await?;
    status.starts_at(stage(projection.name()), holes.skip(applied));
    let begin = Begin {
        identity: journal.identity(),
        holes,
        applied,
    };
    follow(projection, feed, journal, begin, options, status, stop).await
}

enum Stopped {
    Projection(ProjectionError),
    Feed(FeedError),
}

impl Stopped {
    fn text(&self) -> String {
        match self {
            Stopped::Projection(error) => chain(error),
            Stopped::Feed(error) => chain(error),
        }
    }

    fn class(&self) -> Class {
        match self {
            Stopped::Projection(error) => error.class(),
            Stopped::Feed(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Stopped::Projection(error) => error.hint(),
            Stopped::Feed(error) => error.hint(),
        }
    }
}

impl From<Refused> for Stopped {
    fn from(error: Refused) -> Stopped {
        match error {
            Refused::Projection(error) => Stopped::Projection(error),
            Refused::Journal(error) => Stopped::Feed(FeedError::Journal(error)),
        }
    }
}

impl From<ProjectionError> for Stopped {
    fn from(error: ProjectionError) -> Stopped {
        Stopped::Projection(error)
    }
}

/// Where the projection is, or 0; refuses one that was fed from another log, with other events, or with more than this
/// one has: what comes next would be taken for what it has already.
pub async fn position<P: Projection>(
    projection: &mut P,
    journal: &impl Ranges,
) -> Result<u64, Refused> {
    Ok(judged(projection, journal).await?.0)
}

/// As [`position`]. A cache that was fed by a life of the log that is over is emptied: the log fills it again, and
/// holds more than what was lost with that life. A store keeps what it has: nobody else may have it.
async fn start<P: Projection>(
    projection: &mut P,
    journal: &impl Ranges,
    status: &Status,
    stop: &CancellationToken,
) -> Result<u64, Refused> {
    let (found, standing) = judged(projection, journal).await?;
    if found == 0 && warm::if_worth_it(projection, journal, status, stop).await? {
        return position(projection, journal).await;
    }
    if standing == Standing::Fenced {
        let name = projection.name();
        // What the log does not keep any more it cannot fill again.
        let whole = journal
            .first()
            .await?
            .is_none_or(|first| first == Seq::FIRST);
        if name.is_cache() && whole {
            tracing::warn!(projection = %name, at = found, "the cache holds events of a life of the log that is over, and is filled anew");
            projection.clear().await?;
            return Ok(0);
        }
        tracing::warn!(
            projection = %name,
            at = found,
            "the store holds events of a life of the log that is over; they stay. To have only what the log has: telegram-gateway rebuild {name}"
        );
    }
    Ok(found)
}

async fn judged<P: Projection>(
    projection: &mut P,
    journal: &impl Ranges,
) -> Result<(u64, Standing), Refused> {
    let Some(checkpoint) = projection.checkpoint().await? else {
        return Ok((0, Standing::Ours));
    };
    let found = checkpoint.seq.get();
    let (standing, tail) = judge(&checkpoint, journal).await?;
    let projection = projection.name();
    let refused = match standing {
        Standing::Ours | Standing::Fenced => return Ok((found, standing)),
        Standing::OtherLog => ProjectionError::OtherLog {
            projection,
            found: show(checkpoint.identity),
            ours: show(journal.identity()),
        },
        Standing::Ahead => ProjectionError::AheadOfLog {
            projection,
            found,
            tail,
        },
        Standing::Diverged { ours } => ProjectionError::Diverged {
            projection,
            seq: found,
            theirs: checkpoint.updated_at,
            ours: ours.map_or_else(
                || "and the log has none of that number".to_owned(),
                |at| format!("that of the log at {at}"),
            ),
        },
    };
    Err(refused.into())
}

/// Whose a store with this checkpoint is, and the tail of the log when that was looked at.
pub async fn judge(
    checkpoint: &Checkpoint,
    journal: &impl Ranges,
) -> Result<(Standing, u64), JournalError> {
    let found = checkpoint.seq.get();
    // Another process may have appended since the log was opened here.
    let tail = match journal.tail() {
        tail if found > tail => journal.refresh().await?,
        tail => tail,
    };
    let there = if found > tail {
        There::Gone
    } else {
        look(journal, checkpoint.seq).await?
    };
    let standing = standing(checkpoint, journal.identity(), tail, there);
    Ok((standing, tail))
}

/// What the log has under a number up to its tail. A record that is damaged cannot be compared with, and is told
/// elsewhere.
async fn look(journal: &impl Ranges, seq: Seq) -> Result<There, JournalError> {
    let records = match journal.range(seq, seq.get(), 1, usize::MAX).await {
        Err(error) if error.is_trimmed() || error.class() == Class::Corrupt => {
            return Ok(There::Gone);
        }
        read => read?,
    };
    if let Some(record) = records.first() {
        return Ok(There::Record {
            epoch: record.header().epoch,
            received_at: record.header().received_at,
        });
    }
    let holes = journal.holes().await?;
    let hole = holes.at(seq.get());
    Ok(hole.map_or(There::Gone, |hole| There::Hole(hole.cause)))
}

/// Why a projection cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The store.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The log could not be asked.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

fn show(identity: Identity) -> String {
    format!("{} epoch {}", identity.log_id, identity.epoch)
}

/// Where a projector begins.
struct Begin {
    identity: Identity,
    holes: Holes,
    applied: u64,
}

/// The loop itself: next, apply, applied. A stop is honoured between batches, never inside one.
async fn follow<P: Projection, F: Feed>(
    projection: &mut P,
    feed: &mut F,
    journal: &impl Ranges,
    begin: Begin,
    options: Options,
    status: &Status,
    stop: &CancellationToken,
) -> Result<(), Stopped> {
    let stage = stage(projection.name());
    let Begin {
        identity,
        holes,
        mut applied,
    } = begin;
    loop {
        let records = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            records = feed.next(applied, options.batch_events_max) => records.map_err(Stopped::Feed)?,
            () = projection.disturbed() => {
                let level = holes.skip(applied) >= journal.tail();
                still_there(projection, applied, level).await?;
                continue;
            }
        };
        let Some(batch) = full_batch(identity, applied, &records) else {
            continue;
        };
        projection.apply(&batch).await?;
        for entry in &batch.entries {
            if let Entry::Poison(Poison { seq, reason, .. }) = entry {
                tracing::error!(projection = %projection.name(), seq = seq.get(), reason, "an event goes to the quarantine");
                status.quarantined(1);
            }
        }
        applied = batch
            .entries
            .last()
            .map_or(applied, |entry| entry.seq().get());
        let received = batch
            .entries
            .iter()
            .map(|entry| entry.received_at().micros());
        // Numbers without events are passed with the one before them.
        status.passed(stage, holes.skip(applied), received);
        feed.applied(applied).await;
    }
}

/// A store that has less than was applied to it was emptied, or fell back to an older state.
async fn still_there<P: Projection>(
    projection: &mut P,
    applied: u64,
    level: bool,
) -> Result<(), ProjectionError> {
    let checkpoint = match level {
        true => projection.confirm(applied).await?,
        false => projection.checkpoint().await?,
    };
    let found = checkpoint.map_or(0, |checkpoint| checkpoint.seq.get());
    if found >= applied {
        return Ok(());
    }
    Err(ProjectionError::CheckpointMoved {
        projection: projection.name(),
        found,
        after: applied,
    })
}

/// The batch of a contiguous run of records, with the checkpoint behind its last one; none for no records.
pub fn full_batch(identity: Identity, after: u64, records: &[Record]) -> Option<Batch> {
    let entries: Vec<Entry> = records.iter().map(entry).collect();
    let last = entries.last()?;
    let checkpoint = Checkpoint {
        identity,
        seq: last.seq(),
        updated_at: last.received_at(),
    };
    Some(Batch {
        after,
        checkpoint: Some(checkpoint),
        entries,
        on_refusal: OnRefusal::Quarantine,
    })
}

/// What is applied for a record: its event, or its quarantine entry when it cannot be read.
pub fn entry(record: &Record) -> Entry {
    match Envelope::from_record(record) {
        Ok(envelope) => Entry::Event(envelope),
        Err(error) => {
            let header = record.header();
            Entry::Poison(Poison {
                seq: header.seq,
                kind: header.kind,
                received_at: crate::event::Timestamp::from_micros(header.received_at),
                reason: chain(&error),
                raw: record.as_bytes().to_vec(),
            })
        }
    }
}

/// The mark on the board of a projection.
pub fn stage(name: ProjectionName) -> Stage {
    match name {
        ProjectionName::Sqlite => Stage::Sqlite,
        ProjectionName::Timescale => Stage::Timescale,
        ProjectionName::Redis => Stage::Redis,
    }
}

/// The number after `after`.
pub fn next_seq(after: u64) -> Seq {
    Seq::new(after.saturating_add(1)).unwrap_or(Seq::FIRST)
}
