//! Ingest: from a source into the log.
//!
//! Several batches may be on their way to the disk at once; they become durable in order. An event counts as
//! acknowledged when its commit was fsynced (I1), and only then is its receipt written.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use tokio_util::sync::CancellationToken;
use wal::Outcome;

use crate::event::{CodecError, Event, PeerId, Timestamp};
use crate::failure::{Class, Classify};
use crate::journal::{Append, JournalError, JournalWriter, Pending};
use crate::source::{Source, SourceBatch, SourceError};
use crate::status::{Stage, Status};

/// Batches on their way to the disk. Two keep the disk busy while the next one is made; more only add latency.
const IN_FLIGHT_MAX: usize = 4;

/// Unless they are small, as those of a live source are, which brings one update at a time: then so many events are on
/// their way, and one commit takes what has gathered.
const EVENTS_IN_FLIGHT_MAX: usize = 1024;

/// How long the events on their way may take to become durable once a stop was asked for; with a full disk they never do.
const FLUSH_DEADLINE: std::time::Duration = std::time::Duration::from_secs(5);

/// Why ingest ended before its source did.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The log failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An event does not fit a record.
    #[error("an event of the source cannot be stored")]
    Event(#[source] CodecError),
    /// A stop came while the log could not be written.
    #[error(
        "stopped while the log cannot be written: the last events were not acknowledged ({why})"
    )]
    NotDurable {
        /// Why it cannot.
        why: String,
        /// The disk is full.
        full: bool,
    },
    /// The receipts file cannot be written.
    #[error("cannot write the receipts file")]
    Receipts(#[source] io::Error),
}

impl Classify for IngestError {
    fn class(&self) -> Class {
        match self {
            IngestError::Source(error) => error.class(),
            IngestError::Journal(error) => error.class(),
            IngestError::Event(_) => Class::Bug,
            IngestError::Receipts(_) | IngestError::NotDurable { .. } => Class::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            IngestError::Source(error) => error.hint(),
            IngestError::Journal(error) => error.hint(),
            IngestError::NotDurable { full: false, .. } => Some(
                "look after the disk (dmesg); the same command goes on where the log ends"
                    .to_owned(),
            ),
            IngestError::NotDurable { full: true, .. } => {
                Some("free some disk space; the same command goes on where the log ends".to_owned())
            }
            IngestError::Event(_) | IngestError::Receipts(_) => None,
        }
    }

    fn exit(&self) -> crate::failure::Exit {
        match self {
            IngestError::Source(error) => error.exit(),
            IngestError::Journal(error) => error.exit(),
            IngestError::Event(_) | IngestError::Receipts(_) | IngestError::NotDurable { .. } => {
                crate::failure::Exit::Failure
            }
        }
    }
}

/// What a source gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ingested {
    /// Events that are new in the log.
    pub appended: u64,
    /// Events that were in it already.
    pub duplicates: u64,
}

/// One line `seq peer_id message_id kind` for each acknowledged event, synchronous to the disk (O_DSYNC): what a crash
/// test compares the log with.
#[derive(Debug)]
pub struct Receipts(std::fs::File);

impl Receipts {
    /// Opens the file for appending. A last line that a kill cut short is removed: it was not acknowledged.
    pub fn open(path: &Path) -> io::Result<Receipts> {
        if let Ok(text) = std::fs::read(path) {
            let whole = text
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            if whole < text.len() {
                std::fs::OpenOptions::new()
                    .write(true)
                    .open(path)?
                    .set_len(whole as u64)?;
            }
        }
        let mut options = std::fs::OpenOptions::new();
        options
            .create(true)
            .append(true)
            .mode(0o600)
            .custom_flags(OFlags::DSYNC.bits().cast_signed());
        options.open(path).map(Receipts)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.write_all(lines)
    }
}

/// A batch on its way, with what is needed once it is durable.
struct Flight {
    pending: Pending,
    received_at: Timestamp,
    labels: Vec<(Option<PeerId>, Option<i64>, &'static str)>,
}

impl Flight {
    /// Its events; a batch of none, with positions only, counts as one.
    fn weight(&self) -> usize {
        self.labels.len().max(1)
    }
}

/// Feeds a source into the log until it is exhausted or stopped; returns only when all it took is durable.
pub async fn run<S: Source>(
    source: &mut S,
    journal: &JournalWriter,
    mut receipts: Option<Receipts>,
    status: &Status,
    stop: &CancellationToken,
) -> Result<Ingested, IngestError> {
    let mut flights = VecDeque::with_capacity(IN_FLIGHT_MAX);
    let mut weight = 0;
    let mut ingested = Ingested::default();
    loop {
        let full = flights.len() >= IN_FLIGHT_MAX && weight >= EVENTS_IN_FLIGHT_MAX;
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // Waiting for a reply is cancel safe: the reply stays in its channel.
            landed = land(&mut flights), if !flights.is_empty() => {
                let landed = landed?;
                weight -= landed.0.weight();
                settle(landed, &mut receipts, status, &mut ingested)?;
            }
            batch = source.next(), if !full => {
                let Some(batch) = batch? else { break };
                tokio::select! {
                    // A batch that found no room in the queue was not taken; the source gives it again.
                    () = stop.cancelled() => break,
                    flight = launch(batch, journal, status) => {
                        let flight = flight?;
                        weight += flight.weight();
                        flights.push_back(flight);
                    }
                }
            }
        }
    }
    let flush = async {
        while !flights.is_empty() {
            settle(
                land(&mut flights).await?,
                &mut receipts,
                status,
                &mut ingested,
            )?;
        }
        Ok::<(), IngestError>(())
    };
    let given_up = async {
        stop.cancelled().await;
        tokio::time::sleep(FLUSH_DEADLINE).await;
    };
    tokio::select! {
        biased;
        flushed = flush => flushed?,
        () = given_up => {
            let (why, full) = status.log_fault();
            return Err(IngestError::NotDurable { why, full });
        }
    }
    Ok(ingested)
}

async fn launch(
    batch: SourceBatch,
    journal: &JournalWriter,
    status: &Status,
) -> Result<Flight, IngestError> {
    let received_at = batch.due_at.unwrap_or_else(Timestamp::now);
    let records = to_append(&batch, received_at).map_err(IngestError::Event)?;
    status.received(batch.events.len() as u64);
    let labels = batch.events.iter().map(label).collect();
    let pending = journal.submit(records).await?;
    Ok(Flight {
        pending,
        received_at,
        labels,
    })
}

/// The append of a source's batch.
pub fn to_append(batch: &SourceBatch, received_at: Timestamp) -> Result<Append, CodecError> {
    let records = batch
        .events
        .iter()
        .map(|event| event.to_record(received_at))
        .collect::<Result<_, _>>()?;
    Ok(Append {
        records,
        bookmarks: batch.bookmarks.clone(),
        cursors: Vec::new(),
    })
}

fn label(event: &Event) -> (Option<PeerId>, Option<i64>, &'static str) {
    (
        event.peer,
        event.body.message_id(),
        event.body.kind().as_str(),
    )
}

/// Waits for the oldest batch.
async fn land(flights: &mut VecDeque<Flight>) -> Result<(Flight, Vec<Outcome>), IngestError> {
    let Some(flight) = flights.front_mut() else {
        return std::future::pending().await;
    };
    let outcomes = flight.pending.durable().await?;
    match flights.pop_front() {
        Some(flight) => Ok((flight, outcomes)),
        None => std::future::pending().await,
    }
}

fn settle(
    (flight, outcomes): (Flight, Vec<Outcome>),
    receipts: &mut Option<Receipts>,
    status: &Status,
    ingested: &mut Ingested,
) -> Result<(), IngestError> {
    let mut lines = Vec::new();
    let (mut last, mut appended) = (0, 0u64);
    for (outcome, (peer, message_id, kind)) in outcomes.iter().zip(&flight.labels) {
        let seq = match outcome {
            Outcome::Appended(seq) => {
                appended += 1;
                last = seq.get();
                seq
            }
            Outcome::Duplicate(seq) => seq,
        };
        if receipts.is_some() {
            let peer = peer.map_or(0, PeerId::marked);
            let message_id = message_id.unwrap_or(0);
            lines.extend(format!("{seq} {peer} {message_id} {kind}\n").into_bytes());
        }
    }
    if let Some(receipts) = receipts {
        receipts.write(&lines).map_err(IngestError::Receipts)?;
    }
    let duplicates = outcomes.len() as u64 - appended;
    ingested.appended += appended;
    ingested.duplicates += duplicates;
    status.duplicates(duplicates);
    let received = std::iter::repeat_n(flight.received_at.micros(), outcomes.len());
    status.passed(Stage::Durable, last, received);
    Ok(())
}
