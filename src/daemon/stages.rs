//! The stages behind the log: which there are, their supervision, their stop.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::finish;
use crate::config::{self, Config};
use crate::failure::chain;
use crate::journal::Journal;
use crate::projector::queue::{self, Queue};
use crate::projector::{self, Feed, stage, tail::Tail};
use crate::relay::{self, Lane};
use crate::status::{Stage, Status};
use crate::store::redis::Redis;
use crate::store::sqlite::Sqlite;
use crate::store::timescale::Timescale;
use crate::store::{Projection, ProjectionError, ProjectionName};

/// Why stages have given up.
type Ended = Arc<Mutex<BTreeMap<Stage, String>>>;

/// The running stages.
pub(super) struct Stages {
    relays: Group,
    projectors: Group,
    marks: Vec<Stage>,
    ended: Ended,
}

/// Stages that stop together.
struct Group {
    stop: CancellationToken,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

impl Group {
    fn new() -> Group {
        Group {
            stop: CancellationToken::new(),
            tasks: Vec::new(),
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        for (name, task) in self.tasks {
            finish(name, task).await;
        }
    }
}

impl Stages {
    /// The marks that a drain waits for.
    pub(super) fn marks(&self) -> impl Iterator<Item = Stage> {
        self.marks.iter().copied()
    }

    /// The stages that have given up, with the reason.
    pub(super) fn ended(&self) -> impl Iterator<Item = (Stage, String)> {
        self.ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .into_iter()
    }

    /// Stops all, in flow order.
    pub(super) async fn stop(self) {
        self.relays.stop().await;
        self.projectors.stop().await;
    }
}

/// The lanes of the relay that the configuration switches on.
pub(super) fn lanes(config: &Config) -> Vec<Lane> {
    let Some(rabbitmq) = &config.rabbitmq else {
        return Vec::new();
    };
    let fed = [
        (config.timescale.is_some(), ProjectionName::Timescale),
        (config.redis.is_some(), ProjectionName::Redis),
    ];
    let fed = fed.into_iter().filter(|(is, _)| *is);
    let mut lanes = vec![Lane::Log(fed.map(|(_, name)| name.to_string()).collect())];
    if rabbitmq.events {
        lanes.push(Lane::Events);
    }
    lanes
}

/// Starts what the configuration switches on.
pub(super) fn start(config: &Config, journal: &Journal, status: &Status) -> Stages {
    let mut stages = Stages {
        relays: Group::new(),
        projectors: Group::new(),
        marks: Vec::new(),
        ended: Ended::default(),
    };
    if let Some(rabbitmq) = &config.rabbitmq {
        for lane in lanes(config) {
            stages.relay(config, rabbitmq, lane, journal, status);
        }
    }
    if let Some(sqlite) = &config.sqlite {
        let sqlite = sqlite.clone();
        let tail = journal.reader.clone();
        stages.project(config, journal, status, move || {
            (Sqlite::new(sqlite.clone()), Tail::new(tail.clone()))
        });
    }
    if let Some(timescale) = &config.timescale {
        let timescale = timescale.clone();
        stages.fed(
            config,
            journal,
            status,
            ProjectionName::Timescale,
            move || Timescale::new(timescale.clone()),
        );
    }
    if let Some(redis) = &config.redis {
        let redis = redis.clone();
        stages.fed(config, journal, status, ProjectionName::Redis, move || {
            Redis::new(redis.clone())
        });
    }
    stages
}

impl Stages {
    /// Adds a lane of the relay.
    fn relay(
        &mut self,
        config: &Config,
        rabbitmq: &config::Rabbitmq,
        lane: Lane,
        journal: &Journal,
        status: &Status,
    ) {
        let mark = match lane {
            Lane::Log(_) => Stage::Confirmed,
            Lane::Events => Stage::Published,
        };
        let events_per_second_max = match lane {
            Lane::Log(_) => None,
            Lane::Events => Some(rabbitmq.events_per_second_max),
        };
        let options = relay::Options {
            url: rabbitmq.url.clone(),
            events_per_second_max,
            lane,
            stage: Some(mark),
            window: config.relay.window,
            frame_bytes_max: config.relay.frame_bytes_max,
            frame_events_max: config.relay.frame_events_max,
            marker_interval: config.relay.marker_interval,
            backoff: (config.relay.backoff_min, config.relay.backoff_max),
        };
        let (reader, writer) = (journal.reader.clone(), journal.writer.clone());
        let (board, stop) = (status.clone(), self.relays.stop.clone());
        let task = supervise(mark, status.clone(), stop.clone(), move || {
            let (reader, writer, options) = (reader.clone(), writer.clone(), options.clone());
            let (board, stop) = (board.clone(), stop.clone());
            async move { relay::run(&reader, &writer, &options, &board, &stop).await }
        });
        self.marks.push(mark);
        self.relays.tasks.push((mark.as_str(), tokio::spawn(task)));
    }

    /// Adds a projector that is fed by the broker, or by the log where there is none; unless it runs elsewhere.
    fn fed<P: Projection + 'static>(
        &mut self,
        config: &Config,
        journal: &Journal,
        status: &Status,
        name: ProjectionName,
        make: impl Fn() -> P + Send + Sync + 'static,
    ) {
        if is_elsewhere(config, name) {
            // Its mark is moved by what its projector says.
            self.marks.push(stage(name));
            return;
        }
        let reader = journal.reader.clone();
        let Some(rabbitmq) = &config.rabbitmq else {
            return self.project(config, journal, status, move || {
                (make(), Tail::new(reader.clone()))
            });
        };
        let options = queue::Options::of(rabbitmq, &config.relay, name);
        let board = status.clone();
        self.project(config, journal, status, move || {
            (
                make(),
                Queue::new(options.clone(), reader.clone(), board.clone()),
            )
        });
    }

    /// Adds a projector, made anew after each panic.
    fn project<P: Projection + 'static, F: Feed + 'static>(
        &mut self,
        config: &Config,
        journal: &Journal,
        status: &Status,
        make: impl Fn() -> (P, F) + Send + Sync + 'static,
    ) {
        let mark = stage(make().0.name());
        let options = projector_options(&config.relay);
        let reader = journal.reader.clone();
        let (status, ended) = (status.clone(), Arc::clone(&self.ended));
        let stop = self.projectors.stop.clone();
        let task = supervise(mark, status.clone(), stop.clone(), move || {
            let (mut projection, mut feed) = make();
            let (status, stop, ended) = (status.clone(), stop.clone(), Arc::clone(&ended));
            let reader = reader.clone();
            async move {
                let run =
                    projector::run(&mut projection, &mut feed, &reader, options, &status, &stop);
                if let Err(error) = run.await {
                    give_up(mark, &error, &status, &ended);
                }
            }
        });
        self.marks.push(mark);
        self.projectors
            .tasks
            .push((mark.as_str(), tokio::spawn(task)));
    }
}

/// Whether a store is fed by a projector on another machine.
pub(super) fn is_elsewhere(config: &Config, name: ProjectionName) -> bool {
    let feed = match name {
        ProjectionName::Sqlite => None,
        ProjectionName::Timescale => config.timescale.as_ref().map(|it| it.feed),
        ProjectionName::Redis => config.redis.as_ref().map(|it| it.feed),
    };
    feed == Some(config::Feed::Elsewhere)
}

/// The stores that are.
pub(super) fn elsewhere(config: &Config) -> Vec<Stage> {
    let all = [ProjectionName::Timescale, ProjectionName::Redis].into_iter();
    let fed = all.filter(|name| is_elsewhere(config, *name));
    fed.map(stage).collect()
}

pub(super) fn projector_options(relay: &config::Relay) -> projector::Options {
    projector::Options {
        batch_events_max: relay.batch_events_max,
        backoff: (relay.backoff_min, relay.backoff_max),
    }
}

/// A stage that only a person can mend: the others go on without it.
fn give_up(mark: Stage, error: &ProjectionError, status: &Status, ended: &Ended) {
    let reason = chain(error);
    tracing::error!(
        stage = mark.as_str(),
        error = reason,
        "stage has given up; the others go on"
    );
    status.waits(mark, reason.clone(), true);
    ended
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(mark, reason);
}

/// Runs a stage again after a panic, until it ends by itself or the stop came.
async fn supervise<F: Future<Output = ()> + Send + 'static>(
    mark: Stage,
    status: Status,
    stop: CancellationToken,
    start: impl Fn() -> F + Send,
) {
    const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
    // Dropped with this future, so that a stage that is abandoned ends and lets go of the log.
    let mut stage = tokio::task::JoinSet::new();
    loop {
        stage.spawn(start());
        let Some(Err(error)) = stage.join_next().await else {
            return;
        };
        tracing::error!(stage = mark.as_str(), %error, "stage panicked and is started again");
        status.fault(mark, Some("panicked; started again".to_owned()));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
