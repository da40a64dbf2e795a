//! The feed that takes frames from RabbitMQ and mends what the broker lost from the log.
//!
//! The log is the authority, the queue is the doorbell: while the broker cannot be reached, or has been silent for
//! too long, the feed reads the log instead, so a broker that is down holds nothing up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use wal::Record;

use super::inbox::{Inbox, Limits, Need, Verdict};
use super::{Feed, FeedError, next_seq};
use crate::backoff::Backoff;
use crate::broker::frame::{self, FrameKind};
use crate::broker::{BrokerError, Delivery, Subscription};
use crate::config::BackendUrl;
use crate::failure::{Classify, chain};
use crate::journal::{JournalError, JournalReader};
use crate::status::Status;

/// Bytes read from the log at once.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of records that wait behind a hole.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a hole may stay before it is read from the log: longer than a relay needs to publish again.
const GRACE: Duration = Duration::from_millis(250);
/// A broker that does not answer for so long is not waited for: the log is read.
const DISCONNECTED_GRACE: Duration = Duration::from_secs(1);
/// So many marker intervals of silence mean that the queue is deaf, not that nothing happens.
const DEAF_INTERVALS: u32 = 3;

/// How the feed runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The broker.
    pub url: BackendUrl,
    /// The projection whose queue is read.
    pub projection: String,
    /// Frames that may be unacknowledged.
    pub prefetch: u16,
    /// How often the relay sends a marker while nothing else happens.
    pub marker_interval: Duration,
    /// First and longest wait after a failure.
    pub backoff: (Duration, Duration),
}

/// What the feed has seen, for the status page; shared.
#[derive(Debug, Default)]
pub struct Seen {
    lost_ranges: AtomicU64,
    lost_events: AtomicU64,
    rejected: AtomicU64,
    foreign: AtomicU64,
    from_log: AtomicU64,
    missing: AtomicU64,
    connected: AtomicBool,
}

impl Seen {
    /// Ranges that the broker lost and the log gave again.
    pub fn lost_ranges(&self) -> u64 {
        self.lost_ranges.load(Ordering::Relaxed)
    }

    /// Events in them.
    pub fn lost_events(&self) -> u64 {
        self.lost_events.load(Ordering::Relaxed)
    }

    /// Bodies that were no frames of ours, or damaged ones; they are in the dead letters.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Frames of another log or epoch; they are in the dead letters.
    pub fn foreign(&self) -> u64 {
        self.foreign.load(Ordering::Relaxed)
    }

    /// Records that were read from the log.
    pub fn from_log(&self) -> u64 {
        self.from_log.load(Ordering::Relaxed)
    }

    /// Exchanges and queues that were missing at a connect.
    pub fn missing(&self) -> u64 {
        self.missing.load(Ordering::Relaxed)
    }

    /// Whether the queue is being read.
    pub fn connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }
}

/// The feed.
pub struct Queue {
    options: Options,
    journal: JournalReader,
    durable: watch::Receiver<u64>,
    inbox: Option<Inbox<Record>>,
    subscription: Option<Box<Subscription>>,
    connecting: Option<Connecting>,
    backoff: Backoff,
    /// When the next connection is tried.
    connect_at: Instant,
    /// Last time that anything came, or that the connection was lost or made.
    heard_at: Instant,
    seen: Arc<Seen>,
    status: Status,
}

type Opened = Result<(Box<Subscription>, Vec<String>), BrokerError>;
/// Kept between calls, so that neither a cancelled `next` nor an address that swallows packets holds anything up.
type Connecting = Pin<Box<dyn Future<Output = Opened> + Send>>;

/// What woke the feed.
enum Woken {
    Delivery(Result<Delivery, BrokerError>),
    Opened(Opened),
    Look,
}

impl Queue {
    /// A feed of a log that this process writes.
    pub fn new(options: Options, journal: JournalReader, status: Status) -> Queue {
        let now = Instant::now();
        Queue {
            durable: journal.subscribe(),
            backoff: Backoff::new(options.backoff.0, options.backoff.1),
            options,
            journal,
            inbox: None,
            subscription: None,
            connecting: None,
            connect_at: now,
            heard_at: now,
            seen: Arc::default(),
            status,
        }
    }

    /// What it has seen, for the status page.
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }

    fn inbox(&mut self, after: u64) -> &mut Inbox<Record> {
        let identity = self.journal.identity();
        let inbox = self.inbox.get_or_insert_with(|| {
            let limits = Limits {
                bytes_max: WAITING_BYTES_MAX,
                grace: GRACE,
            };
            Inbox::new(identity, after, limits)
        });
        inbox.seek(after);
        inbox
    }

    fn connect(&self) -> Connecting {
        let options = self.options.clone();
        Box::pin(async move {
            let name = format!("telegram-gateway {}", options.projection);
            let opened =
                Subscription::open(&options.url, &name, &options.projection, options.prefetch);
            let (subscription, missing) = opened.await?;
            Ok((Box::new(subscription), missing))
        })
    }

    fn connected(&mut self, after: u64, subscription: Box<Subscription>, missing: &[String]) {
        self.backoff.reset();
        self.subscription = Some(subscription);
        self.heard_at = Instant::now();
        self.seen.connected.store(true, Ordering::Relaxed);
        if missing.is_empty() {
            return;
        }
        let count = missing.len() as u64;
        self.seen.missing.fetch_add(count, Ordering::Relaxed);
        tracing::warn!(
            projection = self.options.projection,
            missing = missing.join(", "),
            "the broker did not have all it should; comparing with the log"
        );
        let tail = *self.durable.borrow();
        self.inbox(after).suspect(tail, true);
    }

    fn disconnected(&mut self, error: &BrokerError) {
        let wait = self.backoff.wait(fastrand::f64());
        tracing::warn!(
            projection = self.options.projection,
            error = chain(error),
            hint = error.hint(),
            retry_in = ?wait,
            "the queue cannot be read"
        );
        let now = Instant::now();
        if self.subscription.take().is_some() {
            self.heard_at = now;
        }
        self.connect_at = now + wait;
        self.seen.connected.store(false, Ordering::Relaxed);
        if let Some(inbox) = &mut self.inbox {
            inbox.disconnected();
        }
    }

    /// Takes one body apart. What is no frame of ours, whole and intact, goes to the dead letters.
    async fn accept(&mut self, delivery: Delivery, after: u64) -> Result<(), BrokerError> {
        self.heard_at = Instant::now();
        let (count, reason) = match open(&delivery.body) {
            Ok((header, records)) => {
                match self.inbox(after).deliver(delivery.tag, &header, records) {
                    Verdict::Accepted => return Ok(()),
                    Verdict::Foreign(identity) => (
                        &self.seen.foreign,
                        format!(
                            "it was sent from log {} epoch {}",
                            identity.log_id, identity.epoch
                        ),
                    ),
                }
            }
            Err(reason) => (&self.seen.rejected, reason),
        };
        count.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            projection = self.options.projection,
            reason,
            "a body goes to the dead letters"
        );
        match &mut self.subscription {
            Some(subscription) => subscription.reject(delivery.tag).await,
            None => Ok(()),
        }
    }

    /// Until when silence is believed.
    fn believed_until(&self) -> Instant {
        let limit = match self.subscription {
            Some(_) => self.options.marker_interval * DEAF_INTERVALS,
            None => DISCONNECTED_GRACE,
        };
        self.heard_at + limit
    }

    /// While there is no queue to hear, or it has been silent for too long, the log tells what there is.
    fn look(&mut self, after: u64, now: Instant) {
        if now < self.believed_until() {
            return;
        }
        let tail = *self.durable.borrow();
        if tail > self.inbox(after).handed() && self.subscription.is_some() {
            tracing::warn!(
                projection = self.options.projection,
                "nothing comes from the queue; reading the log"
            );
        }
        self.inbox(after).suspect(tail, true);
    }

    async fn acknowledge(&mut self, upto: u64) {
        let Some(tag) = self.inbox.as_mut().and_then(|inbox| inbox.applied(upto)) else {
            return;
        };
        if let Some(subscription) = &mut self.subscription
            && let Err(error) = subscription.ack_upto(tag).await
        {
            // What is not acknowledged comes again and is known.
            self.disconnected(&error);
        }
    }

    /// Reads a range from the log; returns whether something of it is known now.
    async fn mend(&mut self, from: u64, to: u64, events_max: usize) -> Result<bool, FeedError> {
        // Before the read: up to there, what is not read does not exist.
        let tail = *self.durable.borrow();
        let records = self
            .journal
            .range(next_seq(from - 1), to, events_max, READ_BYTES_MAX)
            .await?;
        let upto = records
            .last()
            .map_or(to.min(tail), |last| last.header().seq.get());
        let read = records.len() as u64;
        self.seen.from_log.fetch_add(read, Ordering::Relaxed);
        if let Some(inbox) = &mut self.inbox {
            let before = inbox.losses();
            inbox.filled(from, upto, records);
            let losses = inbox.losses();
            if losses.ranges > before.ranges {
                tracing::warn!(
                    projection = self.options.projection,
                    from,
                    to,
                    "the broker lost events; the log gives them again"
                );
            }
            let (ranges, events) = (losses.ranges - before.ranges, losses.events - before.events);
            self.seen.lost_ranges.fetch_add(ranges, Ordering::Relaxed);
            self.seen.lost_events.fetch_add(events, Ordering::Relaxed);
            self.status.broker_lost(events);
        }
        Ok(upto >= from)
    }

    /// Waits for the next thing, at most until `until`.
    async fn wait(&mut self, mut until: Instant) -> Result<Woken, FeedError> {
        let now = Instant::now();
        let believed = self.believed_until();
        if self.subscription.is_none() && self.connecting.is_none() {
            if now >= self.connect_at {
                self.connecting = Some(self.connect());
            } else {
                until = until.min(self.connect_at);
            }
        }
        if believed > now {
            until = until.min(believed);
        }
        let deaf = believed <= now;
        tokio::select! {
            delivery = delivery(&mut self.subscription) => Ok(Woken::Delivery(delivery)),
            opened = opened(&mut self.connecting) => {
                self.connecting = None;
                Ok(Woken::Opened(opened))
            }
            changed = self.durable.changed(), if deaf => {
                changed.map_err(|_| FeedError::Journal(JournalError::Closed))?;
                Ok(Woken::Look)
            }
            () = tokio::time::sleep_until(until.into()) => Ok(Woken::Look),
        }
    }
}

async fn delivery(subscription: &mut Option<Box<Subscription>>) -> Result<Delivery, BrokerError> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

async fn opened(connecting: &mut Option<Connecting>) -> Opened {
    match connecting {
        Some(connecting) => connecting.await,
        None => std::future::pending().await,
    }
}

impl Feed for Queue {
    async fn next(&mut self, after: u64, events_max: usize) -> Result<Vec<Record>, FeedError> {
        loop {
            self.inbox(after);
            // Everything that is here already goes into the same batch.
            while let Some(subscription) = &mut self.subscription
                && let Some(delivery) = subscription.next_now()
            {
                let accepted = match delivery {
                    Ok(delivery) => self.accept(delivery, after).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = accepted {
                    self.disconnected(&error);
                }
            }
            let records = self.inbox(after).take(events_max);
            if !records.is_empty() {
                return Ok(records);
            }
            // Markers and duplicates carry nothing to apply, and would fill the prefetch for ever.
            self.acknowledge(after).await;
            let now = Instant::now();
            self.look(after, now);
            let until = match self.inbox(after).need(now) {
                Need::Read(from, to) => {
                    if self.mend(from, to, events_max).await? {
                        continue;
                    }
                    // The log has not got it either, as yet.
                    now + GRACE
                }
                Need::Until(at) => at,
                Need::Nothing => now + self.options.marker_interval,
            };
            match self.wait(until).await? {
                Woken::Delivery(Ok(delivery)) => {
                    if let Err(error) = self.accept(delivery, after).await {
                        self.disconnected(&error);
                    }
                }
                Woken::Delivery(Err(error)) => self.disconnected(&error),
                Woken::Opened(Ok((subscription, missing))) => {
                    self.connected(after, subscription, &missing);
                }
                Woken::Opened(Err(error)) => self.disconnected(&error),
                Woken::Look => {}
            }
        }
    }

    async fn applied(&mut self, upto: u64) {
        self.acknowledge(upto).await;
    }
}

/// Header and records of a body, each record checked by its CRC.
fn open(body: &[u8]) -> Result<(frame::FrameHeader, Vec<Record>), String> {
    let (header, parts) = frame::decode(body).map_err(|error| error.to_string())?;
    let mut records = Vec::with_capacity(parts.len());
    for part in parts {
        let record = Record::decode(part.to_vec()).map_err(|error| chain(&error))?;
        if record.header().epoch > header.identity.epoch {
            return Err("a record of a later epoch than its frame".to_owned());
        }
        records.push(record);
    }
    debug_assert_eq!(records.is_empty(), header.kind == FrameKind::Marker);
    Ok((header, records))
}
