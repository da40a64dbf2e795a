//! The relay: from the log to the broker.
//!
//! Each [`Lane`] is a publisher of its own with a cursor of its own in the log, so that neither delays the other:
//! [`Lane::Log`] sends frames of whole records to our projectors, [`Lane::Events`] one JSON message an event to the
//! operators' programs. A cursor moves over the contiguous confirmed prefix only; after any trouble everything behind
//! it is published again. Receivers therefore see duplicates, never holes.
//!
//! | file | what |
//! |---|---|
//! | `window` | what is in flight: pure |
//! | `pace` | when a frame leaves: pure |
//! | `lane` | records to messages |
//! | `session` | one connection's life |
//! | `republish` | a range of the log once more, to one queue |

mod lane;
mod pace;
pub mod republish;
mod session;
mod window;

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wal::Seq;

pub use lane::Lane;
pub use pace::{Due, Pace};
pub use window::{Again, Window};

use crate::backoff::Backoff;
use crate::broker::BrokerError;
use crate::config::BackendUrl;
use crate::failure::{Class, Classify, chain};
use crate::journal::{JournalError, JournalReader, JournalWriter};
use crate::status::{Stage, Status};

/// Longest wait for room in the log's queue when the cursor is saved; the next save does it as well.
const SAVE_LIMIT: Duration = Duration::from_secs(1);

/// How a lane runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The broker.
    pub url: BackendUrl,
    /// What is published.
    pub lane: Lane,
    /// Its mark on the board, if it has one.
    pub stage: Option<Stage>,
    /// Publications that may wait for their confirm.
    pub window: usize,
    /// Largest frame, in bytes of records.
    pub frame_bytes_max: usize,
    /// Most records of a frame.
    pub frame_events_max: usize,
    /// Most events a second, where that is limited.
    pub events_per_second_max: Option<u32>,
    /// How often a tail marker is sent while nothing else is.
    pub marker_interval: Duration,
    /// First and longest wait after a failure.
    pub backoff: (Duration, Duration),
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Trouble {
    fn class(&self) -> Class {
        match self {
            Trouble::Broker(error) => error.class(),
            Trouble::Journal(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Trouble::Broker(error) => error.hint(),
            Trouble::Journal(error) => error.hint(),
        }
    }
}

/// Publishes until stopped. Trouble is shown on the board and retried without limit.
pub async fn run(
    journal: &JournalReader,
    writer: &JournalWriter,
    options: &Options,
    status: &Status,
    stop: &CancellationToken,
) {
    let mut backoff = Backoff::new(options.backoff.0, options.backoff.1);
    let mut relay: Option<session::Relay<'_>> = None;
    while !stop.is_cancelled() {
        let trouble = async {
            let relay = match &mut relay {
                Some(relay) => relay,
                None => {
                    let cursor = cursor(journal, options.lane.cursor()).await?;
                    if let Some(stage) = options.stage {
                        status.starts_at(stage, cursor);
                    }
                    relay.insert(session::Relay::new(
                        journal, writer, options, status, cursor,
                    ))
                }
            };
            relay.session(stop, &mut backoff).await
        };
        let Err(trouble) = trouble.await else {
            return;
        };
        let wait = backoff.wait(fastrand::f64());
        let (text, hint) = (chain(&trouble), trouble.hint());
        tracing::warn!(lane = %options.lane, error = text, hint, retry_in = ?wait, "relay waits");
        if let Some(stage) = options.stage {
            status.waits(stage, text, trouble.class().needs_person());
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Where the lane was when its cursor was saved last; 0 for one that never ran.
async fn cursor(journal: &JournalReader, name: &str) -> Result<u64, JournalError> {
    let cursors = journal.cursors().await?;
    let found = cursors.iter().find(|(found, _)| found == name);
    Ok(found.map_or(0, |(_, seq)| seq.get()))
}

async fn save(writer: &JournalWriter, name: &str, upto: u64) {
    let Some(seq) = Seq::new(upto) else { return };
    // Too old a cursor costs duplicates after a crash, nothing else; a full queue must not hold the relay.
    let _ = tokio::time::timeout(SAVE_LIMIT, writer.save_cursor(name, seq)).await;
}
