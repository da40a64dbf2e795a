//! A range of the log once more, to one queue.
//!
//! For a program that was away for longer than its queue could hold, or that comes new: nobody else gets the messages
//! again, since they go to the queue by its name and not to the exchange. They are what they were, message id included,
//! with the header `replayed` added, so a receiver that had one knows it.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wal::{Record, Seq};

use super::{Due, Pace, Window, lane};
use crate::broker::{BrokerError, Outcome, Publisher, Topology, topology};
use crate::config::BackendUrl;
use crate::failure::{Class, Classify, Exit};
use crate::journal::{JournalError, JournalReader};

/// Bytes read from the log at once.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// How often a blocked connection, a refusal and a stop are looked at again.
const POLL: Duration = Duration::from_millis(200);
/// A connection on which nothing is confirmed for so long is given up, unless the broker blocks us.
const CONFIRM_LIMIT: Duration = Duration::from_secs(60);

/// What is published, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The broker.
    pub url: BackendUrl,
    /// The queue.
    pub queue: String,
    /// First number.
    pub from: u64,
    /// Last number.
    pub until: u64,
    /// Messages that may wait for their confirm.
    pub window: usize,
    /// Most messages a second.
    pub per_second_max: u32,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// The queue.
    pub queue: String,
    /// First number of the range.
    pub from: u64,
    /// Last number of the range.
    pub until: u64,
    /// The queue has everything of the range up to here.
    pub at: u64,
    /// Messages that it took.
    pub published: u64,
    /// The broker is short of memory or disk, and lets nobody publish.
    pub blocked: bool,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum RepublishError {
    /// It is one of our own queues.
    #[error("{queue} is a queue of the gateway itself")]
    Ours {
        /// The queue.
        queue: String,
    },
    /// There is no such queue.
    #[error("there is no queue {queue}; it has everything up to {at}")]
    NoQueue {
        /// The queue.
        queue: String,
        /// The last number that it took.
        at: u64,
    },
    /// The broker could not go on.
    #[error("{queue} has everything up to {at}")]
    Broker {
        /// The queue.
        queue: String,
        /// The last number that it took.
        at: u64,
        /// Why.
        #[source]
        source: BrokerError,
    },
    /// The log could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Stopped by a signal.
    #[error("stopped: {queue} has everything up to {at}")]
    Stopped {
        /// The queue.
        queue: String,
        /// The last number that it took.
        at: u64,
    },
}

impl Classify for RepublishError {
    fn class(&self) -> Class {
        match self {
            RepublishError::Ours { .. }
            | RepublishError::NoQueue { .. }
            | RepublishError::Stopped { .. } => Class::Operator,
            RepublishError::Broker { source, .. } => source.class(),
            RepublishError::Journal(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            RepublishError::Ours { .. } => Some(
                "a store gets a range again with: telegram-gateway replay --to STORE --from N --until M"
                    .to_owned(),
            ),
            RepublishError::NoQueue { .. } => {
                Some("the program that reads it has to declare it first".to_owned())
            }
            RepublishError::Broker { at, source, .. } => Some(source.hint().map_or_else(
                || format!("go on with --from {}", at + 1),
                |hint| format!("{hint}; then go on with --from {}", at + 1),
            )),
            RepublishError::Journal(error) => error.hint(),
            RepublishError::Stopped { at, .. } => Some(format!("go on with --from {}", at + 1)),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            RepublishError::Broker { source, .. } => source.exit(),
            RepublishError::Journal(error) => error.exit(),
            RepublishError::Ours { .. }
            | RepublishError::NoQueue { .. }
            | RepublishError::Stopped { .. } => Exit::Failure,
        }
    }
}

/// Publishes the range and waits until the broker has confirmed all of it.
pub async fn run(
    journal: &JournalReader,
    options: &Options,
    report: &mut (dyn FnMut(&Progress) + Send),
    stop: &CancellationToken,
) -> Result<Progress, RepublishError> {
    let queue = &options.queue;
    if topology::is_ours(queue) {
        return Err(RepublishError::Ours {
            queue: queue.clone(),
        });
    }
    let before = options.from.saturating_sub(1);
    let name = "telegram-gateway republish";
    let opened = Publisher::open(&options.url, name, &Topology::default()).await;
    let (publisher, _) = opened.map_err(|source| RepublishError::Broker {
        queue: queue.clone(),
        at: before,
        source,
    })?;
    let mut work = Work {
        journal,
        options,
        publisher,
        window: Window::new(before, options.window),
        pace: Pace::new(1, Some(options.per_second_max)),
        published: 0,
        heard_at: Instant::now(),
    };
    while work.window.prefix() < options.until {
        if stop.is_cancelled() {
            return Err(RepublishError::Stopped {
                queue: queue.clone(),
                at: work.window.prefix(),
            });
        }
        work.step(stop).await?;
        report(&work.progress());
    }
    let progress = work.progress();
    work.publisher.close().await;
    Ok(progress)
}

struct Work<'a> {
    journal: &'a JournalReader,
    options: &'a Options,
    publisher: Publisher,
    /// One event each; the note tells messages from numbers that have none.
    window: Window<bool>,
    pace: Pace,
    published: u64,
    heard_at: Instant,
}

impl Work<'_> {
    fn progress(&self) -> Progress {
        Progress {
            queue: self.options.queue.clone(),
            from: self.options.from,
            until: self.options.until,
            at: self.window.prefix(),
            published: self.published,
            blocked: self.publisher.blocked(),
        }
    }

    /// Publishes what may leave, and waits for what comes of it.
    async fn step(&mut self, stop: &CancellationToken) -> Result<(), RepublishError> {
        while let Some(outcome) = self.publisher.outcome_now() {
            self.take(outcome)?;
        }
        let now = Instant::now();
        let blocked = self.publisher.blocked();
        let mut until = now + POLL;
        if blocked || self.publisher.in_flight() == 0 {
            self.heard_at = now;
        } else if now >= self.heard_at + CONFIRM_LIMIT {
            return Err(self.broken(BrokerError::TimedOut {
                doing: "waiting for a confirm".to_owned(),
                limit: CONFIRM_LIMIT,
            }));
        }
        if !blocked && self.window.room() > 0 {
            let left = self.options.until - self.window.last();
            match self.pace.due(now, left) {
                Due::Now => return self.send().await,
                Due::At(at) => until = until.min(at),
                Due::Never => {}
            }
        }
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            outcome = self.publisher.outcome() => self.take(outcome),
            () = tokio::time::sleep_until(until.into()) => self.again().await,
        }
    }

    /// Publishes the next messages.
    async fn send(&mut self) -> Result<(), RepublishError> {
        let from = self.window.last() + 1;
        let records = self
            .read(from, self.options.until, self.window.room())
            .await?;
        for record in &records {
            let name = self.window.sent(record.header().seq.get(), true);
            self.put(name, record);
        }
        if records.is_empty() {
            // The rest of the range lies in a hole.
            let passed = self.window.skip(self.options.until, false);
            self.passed(&passed);
        }
        self.pace.sent(Instant::now(), records.len() as u64);
        Ok(())
    }

    /// Publishes what was refused once more.
    async fn again(&mut self) -> Result<(), RepublishError> {
        while let Some(again) = self.window.again() {
            let records = self.read(again.first, again.last, usize::MAX).await?;
            self.window.sent_again(again.name);
            // One message covers one record and the hole before it.
            for record in &records {
                self.put(again.name, record);
            }
        }
        Ok(())
    }

    async fn read(&self, from: u64, to: u64, count: usize) -> Result<Vec<Record>, JournalError> {
        let from = Seq::new(from).unwrap_or(Seq::FIRST);
        self.journal.range(from, to, count, READ_BYTES_MAX).await
    }

    fn put(&mut self, name: u64, record: &Record) {
        let identity = self.journal.identity();
        let publication = lane::replayed(identity, record, &self.options.queue);
        self.publisher.publish(name, publication);
    }

    fn take(&mut self, outcome: Result<(u64, Outcome), BrokerError>) -> Result<(), RepublishError> {
        self.heard_at = Instant::now();
        let passed = match outcome {
            Ok((name, Outcome::Confirmed)) => self.window.confirmed(name),
            Ok((name, Outcome::Refused)) => self.window.refused(name),
            Ok((_, Outcome::Returned(what))) => {
                if let Some(seq) = lane::seq_of(&what) {
                    self.window.lost(seq);
                }
                return Err(RepublishError::NoQueue {
                    queue: self.options.queue.clone(),
                    at: self.window.prefix(),
                });
            }
            Err(error) => return Err(self.broken(error)),
        };
        self.passed(&passed);
        Ok(())
    }

    fn passed(&mut self, passed: &[bool]) {
        self.published += passed.iter().filter(|is| **is).count() as u64;
    }

    fn broken(&self, source: BrokerError) -> RepublishError {
        RepublishError::Broker {
            queue: self.options.queue.clone(),
            at: self.window.prefix(),
            source,
        }
    }
}
