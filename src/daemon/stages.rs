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
use crate::projector::{self, Feed, stage, tail::Tail};
use crate::status::{Stage, Status};
use crate::store::sqlite::Sqlite;
use crate::store::{Projection, ProjectionError};

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

/// Starts what the configuration switches on.
pub(super) fn start(config: &Config, journal: &Journal, status: &Status) -> Stages {
    let mut stages = Stages {
        relays: Group::new(),
        projectors: Group::new(),
        marks: Vec::new(),
        ended: Ended::default(),
    };
    if let Some(sqlite) = &config.sqlite {
        let sqlite = sqlite.clone();
        let tail = journal.reader.clone();
        stages.project(config, journal, status, move || {
            (Sqlite::new(sqlite.clone()), Tail::new(tail.clone()))
        });
    }
    stages
}

impl Stages {
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
        let identity = journal.reader.identity();
        let (status, ended) = (status.clone(), Arc::clone(&self.ended));
        let stop = self.projectors.stop.clone();
        let task = supervise(mark, status.clone(), stop.clone(), move || {
            let (mut projection, mut feed) = make();
            let (status, stop, ended) = (status.clone(), stop.clone(), Arc::clone(&ended));
            async move {
                let run = projector::run(
                    &mut projection,
                    &mut feed,
                    identity,
                    options,
                    &status,
                    &stop,
                );
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

fn projector_options(relay: &config::Relay) -> projector::Options {
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
    status.fault(mark, Some(reason.clone()));
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
    while let Err(error) = tokio::spawn(start()).await {
        tracing::error!(stage = mark.as_str(), %error, "stage panicked and is started again");
        status.fault(mark, Some("panicked; started again".to_owned()));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
