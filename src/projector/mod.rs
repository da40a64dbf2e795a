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
use crate::journal::JournalError;
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
    identity: Identity,
    options: Options,
    status: &Status,
    stop: &CancellationToken,
) -> Result<(), ProjectionError> {
    let stage = stage(projection.name());
    let mut wait = options.backoff.0;
    loop {
        let step = async {
            let applied = position(projection, identity).await?;
            status.starts_at(stage, applied);
            follow(projection, feed, identity, applied, options, status, stop).await
        };
        // A stop is honoured inside, between two batches; a store that hangs runs into its own time-outs.
        let error = match step.await {
            Ok(()) => return Ok(()),
            Err(Stopped::Projection(
                error @ (ProjectionError::OtherLog { .. } | ProjectionError::UnknownSchema { .. }),
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
        status.fault(stage, Some(text));
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

impl From<ProjectionError> for Stopped {
    fn from(error: ProjectionError) -> Stopped {
        Stopped::Projection(error)
    }
}

/// Where the projection is, or 0; refuses one that was fed from another log.
pub async fn position<P: Projection>(
    projection: &mut P,
    identity: Identity,
) -> Result<u64, ProjectionError> {
    match projection.checkpoint().await? {
        None => Ok(0),
        Some(checkpoint) if checkpoint.identity == identity => Ok(checkpoint.seq.get()),
        Some(checkpoint) => Err(ProjectionError::OtherLog {
            projection: projection.name(),
            found: show(checkpoint.identity),
            ours: show(identity),
        }),
    }
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
