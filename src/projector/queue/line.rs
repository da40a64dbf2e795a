//! The line to the queue: connected or not, heard or not.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use super::Options;
use crate::backoff::Backoff;
use crate::broker::{BrokerError, Delivery, Subscription};
use crate::projector::hearing::Hearing;

type Opened = Result<(Box<Subscription>, Vec<String>), BrokerError>;
/// Kept between calls, so that neither a cancelled `next` nor an address that swallows packets holds anything up.
type Connecting = Pin<Box<dyn Future<Output = Opened> + Send>>;

/// How long a connection that is given up may take to say goodbye.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// After so many connections in a row on which nobody answered for the queue it is made anew. One may be a bad line.
const UNANSWERED_MAX: u32 = 2;

/// What the line had to tell.
pub(super) enum Heard {
    /// A message, or the end of the connection.
    Delivery(Result<Delivery, BrokerError>),
    /// The queue is being read, with what was missing at the broker; or it cannot be.
    Opened(Result<Vec<String>, BrokerError>),
}

/// The line. Makes its connection again by itself; nothing it does waits for the broker but `heard`.
pub(super) struct Line {
    options: Options,
    subscription: Option<Box<Subscription>>,
    /// The one before, which may have to be told: while the server believes in it, no other consumer gets anything.
    old: Option<Box<Subscription>>,
    connecting: Option<Connecting>,
    backoff: Backoff,
    /// When the next connection is tried.
    connect_at: Instant,
    /// Connections in a row on which nobody answered for the queue.
    unanswered: u32,
    pub(super) hearing: Hearing,
}

impl Line {
    pub(super) fn new(options: Options, now: Instant) -> Line {
        Line {
            backoff: Backoff::new(options.backoff.0, options.backoff.1),
            hearing: match options.shared {
                true => Hearing::shared(options.marker_interval, now),
                false => Hearing::new(options.marker_interval, now),
            },
            options,
            subscription: None,
            old: None,
            connecting: None,
            connect_at: now,
            unanswered: 0,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.subscription.is_some()
    }

    /// Something of ours came: the line is good.
    pub(super) fn is_good(&mut self, now: Instant) {
        self.backoff.reset();
        self.hearing.heard(now);
    }

    /// The connection is of no use any more. Returns how long the next one is waited for, which grows until something
    /// comes: one that can be made and stays silent is no better than none.
    pub(super) fn drop(&mut self, now: Instant) -> Duration {
        self.old = self.subscription.take();
        self.hearing.disconnected(now);
        let wait = self.backoff.wait(fastrand::f64());
        self.connect_at = now + wait;
        wait
    }

    /// When the line itself has something to do.
    pub(super) fn due_at(&self, now: Instant) -> Instant {
        let look_at = Some(self.hearing.look_at()).filter(|at| *at > now);
        let connect_at = (!self.is_open() && self.connecting.is_none()).then_some(self.connect_at);
        let due = look_at.into_iter().chain(connect_at).min();
        due.unwrap_or(now + self.options.marker_interval)
    }

    /// Starts connecting when it is time.
    pub(super) fn tend(&mut self, now: Instant) {
        if !self.is_open() && self.connecting.is_none() && now >= self.connect_at {
            let (options, old) = (self.options.clone(), self.old.take());
            let is_dead = self.unanswered >= UNANSWERED_MAX;
            self.connecting = Some(Box::pin(async move {
                if let Some(old) = old {
                    // One that is gone does not answer.
                    let _ = tokio::time::timeout(CLOSE_LIMIT, old.close()).await;
                }
                let name = format!("telegram-gateway {}", options.projection);
                let (url, projection) = (&options.url, &options.projection);
                if is_dead {
                    tracing::warn!(projection, "nobody answers for the queue; it is made anew");
                    Subscription::delete_queue(url, &name, projection).await?;
                }
                let opened = Subscription::open(url, &name, projection, options.prefetch);
                let (subscription, missing) = opened.await?;
                Ok((Box::new(subscription), missing))
            }));
        }
    }

    /// The next message, if it is here already.
    pub(super) fn next_now(&mut self) -> Option<Result<Delivery, BrokerError>> {
        self.subscription.as_mut()?.next_now()
    }

    /// Waits for whatever comes. Cancel safe.
    pub(super) async fn heard(&mut self) -> Heard {
        if let Some(subscription) = &mut self.subscription {
            return Heard::Delivery(subscription.next().await);
        }
        let Some(connecting) = &mut self.connecting else {
            return std::future::pending().await;
        };
        let opened = connecting.await;
        self.connecting = None;
        self.unanswered = match &opened {
            Err(BrokerError::Unanswered { .. }) => self.unanswered + 1,
            _ => 0,
        };
        Heard::Opened(opened.map(|(subscription, missing)| {
            self.subscription = Some(subscription);
            self.hearing.connected(Instant::now());
            missing
        }))
    }

    pub(super) async fn ack_upto(&mut self, tag: u64) -> Result<(), BrokerError> {
        match &mut self.subscription {
            Some(subscription) => subscription.ack_upto(tag).await,
            None => Ok(()),
        }
    }

    pub(super) async fn reject(&mut self, tag: u64) -> Result<(), BrokerError> {
        match &mut self.subscription {
            Some(subscription) => subscription.reject(tag).await,
            None => Ok(()),
        }
    }
}
