//! Projectors: a feed and a projection, joined by one loop.
//!
//! Live, catch-up, replay and rebuild are all "some feed, the same `apply`": [`tail`] follows the log, [`queue`]
//! takes frames from RabbitMQ and mends what the broker lost from the log.

pub mod inbox;
pub mod queue;
pub mod tail;

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wal::{Identity, Record, Seq};

use crate::event::Envelope;
use crate::failure::{Class, Classify, chain};
use crate::journal::{JournalError, JournalReader};
use crate::status::{Stage, Status};
use crate::store::{Batch, Checkpoint, Entry, Poison, Projection, ProjectionError, ProjectionName};

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
    /// Most events in one transaction.
    pub batch_events_max: usize,
    /// First and longest wait after a failure.
    pub backoff: (Duration, Duration),
}

/// Feeds a projection until stopped. Trouble of the store or the feed is shown on the board and retried without
/// limit; only a log that is not the projection's own ends it.
pub async fn run<P: Projection, F: Feed>(
    projection: &mut P,
    feed: &mut F,
    journal: &JournalReader,
    options: Options,
    status: &Status,
    stop: &CancellationToken,
) -> Result<(), ProjectionError> {
    let stage = stage(projection.name());
    let mut wait = options.backoff.0;
    loop {
        let step = async {
            let applied = position(projection, journal).await?;
            status.starts_at(stage, applied);
            let identity = journal.identity();
            follow(projection, feed, identity, applied, options, status, stop).await
        };
        // A stop is honoured inside, between two batches; a store that hangs runs into its own time-outs.
        let error = match step.await {
            Ok(()) => return Ok(()),
            Err(Stopped::Projection(
                error @ (ProjectionError::OtherLog { .. }
                | ProjectionError::AheadOfLog { .. }
                | ProjectionError::UnknownSchema { .. }),
            )) => return Err(error),
            Err(error) => error,
        };
        let text = error.text();
        tracing::warn!(projection = %projection.name(), error = text, retry_in = ?wait, "projection waits");
        // Success in between shows as an empty fault, so the back-off starts anew.
        if status
            .snapshot()
            .stages
            .get(&stage)
            .is_none_or(|progress| progress.fault.is_none())
        {
            wait = options.backoff.0;
        }
        match error.class() {
            Class::Operator => status.stuck(stage, text),
            Class::Transient | Class::Corrupt | Class::Bug => status.fault(stage, Some(text)),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(options.backoff.1);
    }
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
}

impl Stopped {
    fn class(&self) -> Class {
        match self {
            Stopped::Projection(error) => error.class(),
            Stopped::Feed(error) => error.class(),
        }
    }
}

impl From<ProjectionError> for Stopped {
    fn from(error: ProjectionError) -> Stopped {
        Stopped::Projection(error)
    }
}

/// Where the projection is, or 0; refuses one that was fed from another log, or that knows more than this one: what
/// comes next would be taken for what it has already.
pub async fn position<P: Projection>(
    projection: &mut P,
    journal: &JournalReader,
) -> Result<u64, ProjectionError> {
    let Some(checkpoint) = projection.checkpoint().await? else {
        return Ok(0);
    };
    if checkpoint.identity != journal.identity() {
        return Err(ProjectionError::OtherLog {
            projection: projection.name(),
            found: show(checkpoint.identity),
            ours: show(journal.identity()),
        });
    }
    let found = checkpoint.seq.get();
    if found > journal.tail() {
        // Another process may have appended since the log was opened here.
        let tail = journal.refresh().await.unwrap_or(u64::MAX);
        if found > tail {
            let projection = projection.name();
            return Err(ProjectionError::AheadOfLog {
                projection,
                found,
                tail,
            });
        }
    }
    Ok(found)
}

fn show(identity: Identity) -> String {
    format!("{} epoch {}", identity.log_id, identity.epoch)
}

/// The loop itself: next, apply, applied. A stop is honoured between batches, never inside one.
async fn follow<P: Projection, F: Feed>(
    projection: &mut P,
    feed: &mut F,
    identity: Identity,
    mut applied: u64,
    options: Options,
    status: &Status,
    stop: &CancellationToken,
) -> Result<(), Stopped> {
    let stage = stage(projection.name());
    loop {
        let records = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            records = feed.next(applied, options.batch_events_max) => records.map_err(Stopped::Feed)?,
        };
        let Some(batch) = full_batch(identity, applied, &records) else {
            continue;
        };
        projection.apply(&batch).await?;
        let poison = batch
            .entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Poison(_)))
            .count();
        status.quarantined(poison as u64);
        applied = batch
            .entries
            .last()
            .map_or(applied, |entry| entry.seq().get());
        let received = batch
            .entries
            .iter()
            .map(|entry| entry.received_at().micros());
        status.passed(stage, applied, received);
        feed.applied(applied).await;
    }
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
