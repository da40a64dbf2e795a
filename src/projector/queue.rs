//! The feed that takes frames from RabbitMQ and mends what the broker lost from the log.
//!
//! The log is the authority, the queue is the doorbell: while the broker cannot be reached, or its queue is deaf, or the
//! projection is far behind, the feed reads the log instead. So a broker that is down holds nothing up.
//!
//! | file | what |
//! |---|---|
//! | `line` | the connection, made again and again |
//! | `body` | what a message carries |

mod body;
mod line;

use std::time::{Duration, Instant};

use tokio::sync::watch;
use wal::Record;

use self::body::Body;
use self::line::{Heard, Line};
use super::inbox::{Inbox, Limits, Need, Verdict};
use super::{BATCH_BYTES_MAX, Feed, FeedError, next_seq};
use crate::broker::topology::log_queue;
use crate::broker::{BrokerError, Delivery};
use crate::config::{self, BackendUrl};
use crate::failure::{Classify, chain};
use crate::journal::{JournalError, Ranges};
use crate::status::{QueueBoard, QueueState, Stage, Status};
use crate::store::ProjectionName;

/// Bytes of records that wait behind a hole.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a hole may stay before it is read from the log: longer than a relay needs to publish again.
const GRACE: Duration = Duration::from_millis(250);
/// How often a log that is on another machine is tried again while it is away.
const AWAY_PAUSE: Duration = Duration::from_secs(1);

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
    /// A projection that is further behind than so many numbers is fed from the log.
    pub catch_up_events: u64,
    /// First and longest wait after a failure.
    pub backoff: (Duration, Duration),
    /// Others take turns at this queue: one of them may hold it still.
    pub shared: bool,
}

impl Options {
    /// Those of the configuration, of a queue that nobody else reads.
    pub fn of(
        rabbitmq: &config::Rabbitmq,
        relay: &config::Relay,
        projection: ProjectionName,
    ) -> Options {
        Options {
            url: rabbitmq.url.clone(),
            projection: projection.to_string(),
            prefetch: rabbitmq.prefetch,
            marker_interval: relay.marker_interval,
            catch_up_events: relay.catch_up_events,
            backoff: (relay.backoff_min, relay.backoff_max),
            shared: false,
        }
    }
}

/// The feed.
pub struct Queue<J> {
    options: Options,
    journal: J,
    durable: watch::Receiver<u64>,
    inbox: Option<Inbox<Record>>,
    line: Line,
    status: Status,
    /// Before then, a log that was away is not asked again.
    ask_at: Instant,
}

/// What woke the feed.
enum Woken {
    Heard(Heard),
    Look,
}

impl<J: Ranges> Queue<J> {
    /// A feed of a log whose tail is followed here.
    pub fn new(options: Options, journal: J, status: Status) -> Queue<J> {
        Queue {
            durable: journal.subscribe(),
            line: Line::new(options.clone(), Instant::now()),
            options,
            journal,
            inbox: None,
            status,
            ask_at: Instant::now(),
        }
    }

    /// What it has seen.
    pub fn seen(&self) -> QueueBoard {
        self.board(|board| board.clone())
    }

    fn board<T>(&self, change: impl FnOnce(&mut QueueBoard) -> T) -> T {
        self.status.queue(&self.options.projection, change)
    }

    fn inbox(&mut self, after: u64) -> &mut Inbox<Record> {
        let identity = self.journal.identity();
        let inbox = self.inbox.get_or_insert_with(|| {
            let limits = Limits {
                bytes_max: WAITING_BYTES_MAX,
                batch_bytes_max: BATCH_BYTES_MAX,
                grace: GRACE,
                behind_max: self.options.catch_up_events,
            };
            Inbox::new(identity, after, limits)
        });
        inbox.seek(after);
        inbox
    }

    fn connected(&mut self, after: u64, missing: &[String]) {
        self.board(|board| {
            board.missing += missing.len() as u64;
            board.fault = None;
            board.needs_operator = false;
        });
        if missing.is_empty() {
            return;
        }
        tracing::warn!(
            projection = self.options.projection,
            missing = missing.join(", "),
            "the broker did not have all it should; comparing with the log"
        );
        if after > 0 {
            // The projection was fed before, so what the broker has confirmed is lost with the queue.
            let confirmed = self.status.seq_of(Stage::Confirmed);
            self.inbox(after).suspect(confirmed, false);
        } else {
            // A new projection: what was before its queue was never in it.
            let tail = *self.durable.borrow();
            self.inbox(after).suspect(tail, true);
        }
    }

    fn disconnected(&mut self, error: &BrokerError) {
        let wait = self.line.drop(Instant::now());
        tracing::warn!(
            projection = self.options.projection,
            error = chain(error),
            hint = error.hint(),
            retry_in = ?wait,
            "the queue cannot be read"
        );
        self.board(|board| {
            board.fault = Some(chain(error));
            board.needs_operator = error.class().needs_person();
        });
        if let Some(inbox) = &mut self.inbox {
            inbox.disconnected();
        }
    }

    /// Takes one body apart. What is no frame of ours, whole and intact, goes to the dead letters.
    async fn accept(&mut self, delivery: Delivery, after: u64) -> Result<(), BrokerError> {
        let inbox = self.inbox(after);
        let tag = delivery.tag;
        let verdict = match body::open(&delivery.body, inbox.known()) {
            Ok(Body::Records(header, records)) => Ok(inbox.deliver(tag, &header, records)),
            Ok(Body::Copy(header, last)) => {
                let verdict = inbox.deliver_copy(tag, &header, last);
                self.board(|board| board.copies += u64::from(verdict == Verdict::Accepted));
                Ok(verdict)
            }
            Err(reason) => Err(reason),
        };
        let reason = match verdict {
            Ok(Verdict::Accepted) => {
                self.line.is_good(Instant::now());
                return Ok(());
            }
            Ok(Verdict::Foreign(identity)) => {
                self.board(|board| board.foreign += 1);
                format!(
                    "it was sent from log {} epoch {}",
                    identity.log_id, identity.epoch
                )
            }
            Err(reason) => {
                self.board(|board| board.rejected += 1);
                reason
            }
        };
        tracing::warn!(
            projection = self.options.projection,
            reason,
            "a body goes to the dead letters"
        );
        self.line.reject(tag).await
    }

    /// Looks whether the queue can be relied on; where it cannot, the log tells what there is.
    fn look(&mut self, after: u64, now: Instant) {
        let tail = *self.durable.borrow();
        self.inbox(after).behind(tail);
        let was_deaf = self.line.hearing.is_deaf();
        if self.line.hearing.is_worthless(now) {
            self.board(|board| board.deaf += u64::from(!was_deaf));
            let queue = log_queue(&self.options.projection);
            self.disconnected(&BrokerError::Silent { queue });
        }
        if self.line.hearing.is_doubted(now) {
            self.inbox(after).suspect(tail, true);
        }
        let state = match (self.line.hearing.is_deaf(), self.line.is_open()) {
            _ if self.inbox(after).is_catching_up() => QueueState::CatchingUp,
            (true, _) => QueueState::Deaf,
            (false, true) => QueueState::Listening,
            (false, false) => QueueState::Away,
        };
        let before = self.board(|board| std::mem::replace(&mut board.state, state));
        if before != state && state == QueueState::CatchingUp {
            tracing::info!(
                projection = self.options.projection,
                at = after,
                tail,
                "far behind; reading the log"
            );
        }
    }

    async fn acknowledge(&mut self, upto: u64) {
        let Some(tag) = self.inbox.as_mut().and_then(|inbox| inbox.applied(upto)) else {
            return;
        };
        if let Err(error) = self.line.ack_upto(tag).await {
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
            .range(next_seq(from - 1), to, events_max, BATCH_BYTES_MAX)
            .await?;
        let upto = records
            .last()
            .map_or(to.min(tail), |last| last.header().seq.get());
        let read = records.len() as u64;
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
            self.board(|board| {
                board.from_log += read;
                board.lost_ranges += ranges;
                board.lost_events += events;
            });
            self.status.broker_lost(events);
        }
        Ok(upto >= from)
    }

    /// What is missing waits until the log can be asked again. What is whole goes on: the queue may still bring it.
    fn held(&mut self, from: u64, error: &JournalError) {
        self.ask_at = Instant::now() + AWAY_PAUSE;
        let fault = format!("holds at {from}: {}", chain(error));
        tracing::warn!(projection = self.options.projection, "{fault}");
        let stages = [Stage::Timescale, Stage::Redis].into_iter();
        for stage in stages.filter(|it| it.as_str() == self.options.projection) {
            self.status.waits(stage, fault.clone(), false);
        }
    }

    /// Waits for the next thing, at most until `until`.
    async fn wait(&mut self, until: Instant) -> Result<Woken, FeedError> {
        let now = Instant::now();
        self.line.tend(now);
        let until = until.min(self.line.due_at(now));
        let doubted = self.line.hearing.is_doubted(now);
        tokio::select! {
            heard = self.line.heard() => Ok(Woken::Heard(heard)),
            changed = self.durable.changed(), if doubted => {
                changed.map_err(|_| FeedError::Journal(JournalError::Closed))?;
                Ok(Woken::Look)
            }
            () = tokio::time::sleep_until(until.into()) => Ok(Woken::Look),
        }
    }

    async fn heard(&mut self, heard: Heard, after: u64) {
        let done = match heard {
            Heard::Delivery(Ok(delivery)) => self.accept(delivery, after).await,
            Heard::Opened(Ok(missing)) => {
                self.connected(after, &missing);
                Ok(())
            }
            Heard::Delivery(Err(error)) | Heard::Opened(Err(error)) => Err(error),
        };
        if let Err(error) = done {
            self.disconnected(&error);
        }
    }
}

impl<J: Ranges> Feed for Queue<J> {
    async fn next(&mut self, after: u64, events_max: usize) -> Result<Vec<Record>, FeedError> {
        loop {
            self.look(after, Instant::now());
            // Everything that is here already goes into the same batch.
            while let Some(delivery) = self.line.next_now() {
                self.heard(Heard::Delivery(delivery), after).await;
            }
            let records = self.inbox(after).take(events_max);
            if !records.is_empty() {
                return Ok(records);
            }
            // Markers and duplicates carry nothing to apply, and would fill the prefetch for ever.
            self.acknowledge(after).await;
            let now = Instant::now();
            let until = match self.inbox(after).need(now) {
                // Deliveries behind the hole would have it asked for each of them.
                Need::Read(..) if now < self.ask_at => self.ask_at,
                Need::Read(from, to) => match self.mend(from, to, events_max).await {
                    Ok(true) => continue,
                    // The log has not got it either, as yet.
                    Ok(false) => now + GRACE,
                    Err(FeedError::Journal(error)) if error.is_away() => {
                        self.held(from, &error);
                        self.ask_at
                    }
                    Err(error) => return Err(error),
                },
                Need::Until(at) => at,
                Need::Nothing => now + self.options.marker_interval,
            };
            if let Woken::Heard(heard) = self.wait(until).await? {
                self.heard(heard, after).await;
            }
        }
    }

    async fn applied(&mut self, upto: u64) {
        self.acknowledge(upto).await;
    }
}
