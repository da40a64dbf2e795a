//! A projector without a log: it takes its queue, asks the daemon that holds the log for what the broker lost, and says how
//! its store is doing. Of several, one works: the one that has the seat at the store.
//!
//! While the edge cannot be reached, what the queue brings without a hole is applied; at a hole the projector holds.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::stages::projector_options;
use super::upkeep;
use crate::backoff::Backoff;
use crate::config::{self, Config};
use crate::failure::{Class, Classify, Exit, chain};
use crate::journal::Ranges as _;
use crate::journal::edge::{EdgeError, Remote, Report};
use crate::projector::queue::{self, Queue};
use crate::projector::{self, stage};
use crate::status::{Stage, Status};
use crate::store::redis::{Redis, RedisSeat};
use crate::store::seat::{RENEWAL, Seat, until_lost};
use crate::store::timescale::{Timescale, TimescaleSeat};
use crate::store::{Projection, ProjectionError, ProjectionName};

/// How often the edge is told how the store is doing.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long the store may take to say where it is.
const ASK_LIMIT: Duration = Duration::from_secs(3);

/// Why a projector elsewhere cannot work, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum ElsewhereError {
    /// A section is missing.
    #[error("{0} is not configured")]
    NotConfigured(&'static str),
    /// A store that is always fed where the log is.
    #[error("{0} is fed by the daemon that holds the log, and nowhere else")]
    Local(ProjectionName),
    /// The store is none that this log feeds.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

impl Classify for ElsewhereError {
    fn class(&self) -> Class {
        match self {
            ElsewhereError::NotConfigured(_) | ElsewhereError::Local(_) => Class::Operator,
            ElsewhereError::Projection(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ElsewhereError::NotConfigured(section) => Some(format!(
                "write the section [{section}] into the file given with --config: docs/elsewhere.md has a whole one"
            )),
            ElsewhereError::Local(_) => None,
            ElsewhereError::Projection(error) => error.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            ElsewhereError::NotConfigured(_) | ElsewhereError::Local(_) => Exit::Config,
            ElsewhereError::Projection(error) => error.exit(),
        }
    }
}

/// Feeds a store until stopped, while no other projector does.
pub async fn project(
    config: &Config,
    name: ProjectionName,
    status: &Status,
    stop: &CancellationToken,
) -> Result<(), ElsewhereError> {
    let missing = ElsewhereError::NotConfigured;
    let rabbitmq = config.rabbitmq.as_ref().ok_or(missing("rabbitmq"))?;
    let post = Post {
        name,
        edge: config.edge.clone().ok_or(missing("edge"))?,
        queue: queue::Options {
            shared: true,
            ..queue::Options::of(rabbitmq, &config.relay, name)
        },
        options: projector_options(&config.relay),
        timescale: config.timescale.clone(),
        status: status.clone(),
    };
    match name {
        ProjectionName::Timescale => {
            let section = config.timescale.clone().ok_or(missing("timescale"))?;
            let seat = TimescaleSeat::new(section.clone());
            post.keep(seat, || Timescale::new(section.clone()), stop)
                .await
        }
        ProjectionName::Redis => {
            let section = config.redis.clone().ok_or(missing("redis"))?;
            let seat = RedisSeat::new(section.clone());
            post.keep(seat, || Redis::new(section.clone()), stop).await
        }
        ProjectionName::Sqlite => Err(ElsewhereError::Local(name)),
    }
}

/// What a projector works with.
struct Post {
    name: ProjectionName,
    edge: config::Edge,
    queue: queue::Options,
    options: projector::Options,
    timescale: Option<config::Timescale>,
    status: Status,
}

/// How a turn at the store ended.
enum Turn {
    Stopped,
    Lost,
    Trouble(EdgeError),
}

impl Post {
    /// Waits for the seat, feeds the store while it is held, and waits again.
    async fn keep<P: Projection>(
        &self,
        mut seat: impl Seat,
        make: impl Fn() -> P,
        stop: &CancellationToken,
    ) -> Result<(), ElsewhereError> {
        let mut backoff = Backoff::new(self.options.backoff.0, self.options.backoff.1);
        while self.take(&mut seat, stop).await {
            let ended = tokio::select! {
                ended = self.turn(&make, &mut backoff, stop) => ended,
                () = until_lost(&mut seat) => Ok(Turn::Lost),
            };
            // Whoever stands by need not wait until it runs out.
            seat.leave().await;
            match ended? {
                Turn::Stopped => break,
                Turn::Lost => {
                    tracing::warn!(store = %self.name, "the seat at the store is lost: this projector stands by");
                }
                Turn::Trouble(error) => self.pause(&error, &mut backoff, stop).await,
            }
        }
        Ok(())
    }

    /// Waits until the seat is held; false when stopped.
    async fn take(&self, seat: &mut impl Seat, stop: &CancellationToken) -> bool {
        let mut backoff = Backoff::new(self.options.backoff.0, self.options.backoff.1);
        let mut stands_by = false;
        loop {
            let held = tokio::select! {
                () = stop.cancelled() => return false,
                held = seat.hold() => held,
            };
            match held {
                Ok(true) => return true,
                Ok(false) => {
                    if !std::mem::replace(&mut stands_by, true) {
                        tracing::info!(store = %self.name, "another projector feeds the store; this one stands by");
                    }
                    tokio::select! {
                        () = stop.cancelled() => return false,
                        () = tokio::time::sleep(RENEWAL) => {}
                    }
                }
                Err(error) => self.pause(&error, &mut backoff, stop).await,
            }
        }
    }

    async fn pause(&self, error: &impl Classify, backoff: &mut Backoff, stop: &CancellationToken) {
        let (wait, hint) = (backoff.wait(fastrand::f64()), error.hint());
        tracing::warn!(store = %self.name, error = chain(error), hint, retry_in = ?wait, "the projector waits");
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    /// Feeds the store from where it is, until stopped, or until the edge has another log or does not want it.
    async fn turn<P: Projection>(
        &self,
        make: &impl Fn() -> P,
        backoff: &mut Backoff,
        stop: &CancellationToken,
    ) -> Result<Turn, ProjectionError> {
        let mut store = make();
        let connected = async {
            let remote = Remote::connect(self.edge.clone()).await?;
            // The edge refuses a store that it feeds itself.
            remote.report(self.report(&mut store).await).await?;
            Ok(remote)
        };
        let connected = tokio::select! {
            () = stop.cancelled() => return Ok(Turn::Stopped),
            connected = connected => connected,
        };
        let remote = match connected {
            Ok(remote) => remote,
            Err(error) => return Ok(Turn::Trouble(error)),
        };
        backoff.reset();
        tracing::info!(
            store = %self.name,
            log = %remote.identity().log_id,
            tail = remote.tail(),
            "this projector feeds the store"
        );
        let mut projection = make();
        let mut feed = Queue::new(self.queue.clone(), remote.clone(), self.status.clone());
        let (status, options) = (&self.status, self.options);
        let looked_after = async {
            let timescale = self.timescale.clone();
            let timescale = timescale.filter(|_| self.name == ProjectionName::Timescale);
            upkeep::run(timescale, stop.clone()).await;
            std::future::pending().await
        };
        tokio::select! {
            ended = projector::run(&mut projection, &mut feed, &remote, options, status, stop) => {
                ended.map(|()| Turn::Stopped)
            }
            error = self.tell(&remote, &mut store) => Ok(Turn::Trouble(error)),
            () = looked_after => Ok(Turn::Stopped),
        }
    }

    /// Tells the edge how the store is doing, until there is an answer with which this cannot go on.
    async fn tell(&self, remote: &Remote, store: &mut impl Projection) -> EdgeError {
        let mut is_away = false;
        loop {
            tokio::time::sleep(REPORT_EVERY).await;
            let report = self.report(store).await;
            match remote.report(report).await {
                Ok(confirmed) => {
                    self.status.starts_at(Stage::Confirmed, confirmed);
                    self.status.durable(remote.tail());
                    if std::mem::replace(&mut is_away, false) {
                        tracing::info!("the edge is there again");
                    }
                }
                // In another life of its log, numbers mean something else.
                Err(error @ EdgeError::Changed { .. }) => return error,
                Err(error) if error.class() == Class::Transient => {
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(
                            error = chain(&error),
                            "the edge is away; what the queue brings without a hole is applied"
                        );
                    }
                }
                Err(error) => return error,
            }
        }
    }

    /// How the store is doing, by its own word too: it may have been emptied, or put back, behind its projector's back.
    async fn report(&self, store: &mut impl Projection) -> Report {
        let mark = stage(self.name);
        let said = match tokio::time::timeout(ASK_LIMIT, store.checkpoint()).await {
            Ok(said) => said.map_err(|error| (chain(&error), error.class().needs_person())),
            Err(_) => Err(("the store gives no answer".to_owned(), false)),
        };
        let mut stages = self.status.stages();
        let board = stages.remove(mark.as_str());
        let seq = board.as_ref().map_or(0, |it| it.seq);
        let fault = board.and_then(|it| it.fault.map(|fault| (fault, it.needs_operator)));
        let (seq, fault) = match said {
            Ok(found) => (seq.min(found.map_or(0, |it| it.seq.get())), fault),
            Err(why) => (seq, fault.or(Some(why))),
        };
        Report {
            store: self.name.to_string(),
            seq,
            fault,
        }
    }
}
