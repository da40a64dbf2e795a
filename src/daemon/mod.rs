//! The daemon: the only place that wires the stages together.
//!
//! ```text
//! source > ingest > journal > relay > RabbitMQ > projector (TimescaleDB, Redis)
//!                      \-----------------------> projector (SQLite, and all of them without a broker)
//! ```
//!
//! A projector of TimescaleDB or Redis may run without a log on another machine (`elsewhere`).
//!
//! Each stage runs supervised on its own: trouble of one never stops another (I9). A stop goes in flow order: the
//! source first, then the log's queue is emptied, the relay waits for its confirms, the projectors finish the batch
//! they are at, and the log is closed last.

mod control;
mod drift;
mod elsewhere;
mod fence;
mod floors;
mod janitor;
mod media;
mod mirror;
mod office;
mod refusal;
mod stages;
mod upkeep;
mod visit;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use control::{Desk, Holder, configured, first_of, salvage_dirs};
pub use elsewhere::{ElsewhereError, project};
pub use mirror::MirrorError;
pub use visit::VisitError;

use crate::config::{self, Config};
use crate::failure::{Class, Classify, Exit};
use crate::ingest::{self, IngestError, Ingested, Receipts};
use crate::journal::edge::{self, Edge};
use crate::journal::{Holes, Journal, JournalError, Opening, socket};
use crate::source::Source;
use crate::status::{Stage, Status};
use office::Office;

/// How long a stage may take to stop once it was told; then it is abandoned. What it had not finished is done again
/// from the log at the next start.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// How often the drain looks whether all stages have arrived.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// Why the daemon could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The data directory or the log could not be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The source failed.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The live source cannot start.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A file given by the operator could not be opened.
    #[error("cannot open {path}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A drain cannot end: a stage has given up.
    #[error("all is in the log, but {stage} cannot reach its end: {reason}")]
    Stuck {
        /// The stage.
        stage: &'static str,
        /// Why.
        reason: String,
    },
}

impl Classify for DaemonError {
    fn class(&self) -> Class {
        match self {
            DaemonError::Journal(error) => error.class(),
            DaemonError::Ingest(error) => error.class(),
            DaemonError::Mirror(error) => error.class(),
            DaemonError::File { .. } | DaemonError::Stuck { .. } => Class::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            DaemonError::Journal(error) => error.hint(),
            DaemonError::Ingest(error) => error.hint(),
            DaemonError::Mirror(error) => error.hint(),
            DaemonError::File { .. } => None,
            DaemonError::Stuck { .. } => Some("telegram-gateway status".to_owned()),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            DaemonError::Journal(error) => error.exit(),
            DaemonError::Ingest(error) => error.exit(),
            DaemonError::Mirror(error) => error.exit(),
            DaemonError::File { .. } => Exit::Failure,
            DaemonError::Stuck { .. } => Exit::Backend,
        }
    }
}

/// How to run, beside the configuration.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Append a line to this file for each acknowledged event.
    pub receipts: Option<PathBuf>,
    /// End once the source is exhausted and every configured projection has reached the tail.
    pub drain: bool,
}

/// The open house, before anything flows: the log is held and its positions are known.
pub struct Daemon {
    config: Config,
    journal: Journal,
    status: Status,
    /// Once it has accounts.
    office: OnceLock<Office>,
}

impl Daemon {
    /// Opens the log; fails at once when another process holds it.
    pub fn open(config: Config, status: Status) -> Result<Daemon, DaemonError> {
        socket::check_path(&config.data_dir)?;
        let journal = Journal::open(&config.data_dir, &config.wal, status.clone(), say_opening)?;
        let recovery = &journal.recovery;
        tracing::info!(
            data_dir = %config.data_dir.display(),
            log = %journal.reader.identity().log_id,
            tail = recovery.tail.map_or(0, wal::Seq::get),
            unclean = recovery.unclean,
            took = ?recovery.took,
            "log open"
        );
        Ok(Daemon {
            config,
            journal,
            status,
            office: OnceLock::new(),
        })
    }

    /// Whether the log was left open by a process that was killed.
    pub fn was_unclean(&self) -> bool {
        self.journal.recovery.unclean
    }

    /// Closes the log without running.
    pub async fn close(self) {
        self.journal.close().await;
    }

    /// The last number that is durable, as it moves.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.journal.reader.subscribe()
    }

    /// The positions that sources stored with the events they cover, by name.
    pub async fn bookmarks(&self) -> Result<Vec<(String, Vec<u8>)>, DaemonError> {
        Ok(self.journal.reader.bookmarks().await?)
    }

    /// The position a source stored under this name.
    pub async fn bookmark(&self, name: &str) -> Result<Option<Vec<u8>>, DaemonError> {
        let mut bookmarks = self.bookmarks().await?.into_iter();
        Ok(bookmarks
            .find(|(found, _)| found == name)
            .map(|(_, value)| value))
    }

    /// Skips the numbers that a store of this configuration knows already, when the log turns out to be older than it.
    /// Waits a few seconds at most for stores that do not answer.
    pub async fn fence(&mut self, config: &Config) -> Result<(), DaemonError> {
        fence::settle(config, &mut self.journal, &self.status).await?;
        Ok(())
    }

    /// Runs until the source is exhausted and drained, or until stopped.
    pub async fn run<S: Source>(
        mut self,
        source: Option<S>,
        options: Options,
        stop: CancellationToken,
    ) -> Result<Ingested, DaemonError> {
        // Before anything can be appended.
        fence::settle(&self.config, &mut self.journal, &self.status).await?;
        let Daemon {
            config,
            journal,
            status,
            office,
        } = self;
        let receipts = options.receipts.as_deref().map(open_receipts).transpose()?;
        let listener = socket::bind(&config.data_dir)?;
        let serve_stop = CancellationToken::new();
        let mut desk = Desk::new(&journal, &config, &status, Holder::Daemon);
        if let Some(office) = office.into_inner() {
            desk = desk.with(office);
        }
        let chores = chores(&desk, &config, &journal, &status, &serve_stop).await?;
        let served = tokio::spawn(socket::serve(
            listener,
            config.data_dir.clone(),
            journal.writer.clone(),
            desk,
            serve_stop.clone(),
        ));
        let holes = journal.reader.holes().await?;
        let stages = stages::start(&config, &journal, &status);

        let ingested = match source {
            Some(mut source) => {
                ingest::run(&mut source, &journal.writer, receipts, &status, &stop).await
            }
            None if options.drain => Ok(Ingested::default()),
            None => {
                stop.cancelled().await;
                Ok(Ingested::default())
            }
        };
        let drained = match &ingested {
            Ok(_) if options.drain => drain(&stages, &holes, &status, &stop).await,
            Ok(_) => {
                stop.cancelled().await;
                Ok(())
            }
            Err(_) => Ok(()),
        };
        serve_stop.cancel();
        finish("control socket", served).await;
        for (name, chore) in chores {
            finish(name, chore).await;
        }
        stages.stop().await;
        // With a full disk the writer never ends; the process does.
        if tokio::time::timeout(STOP_DEADLINE, journal.close())
            .await
            .is_err()
        {
            tracing::warn!("the log could not be closed in time; the next start repairs it");
        }
        drained?;
        Ok(ingested?)
    }
}

/// What is done beside the flow: now and then, or when projectors elsewhere ask for it.
async fn chores(
    desk: &Desk,
    config: &Config,
    journal: &Journal,
    status: &Status,
    stop: &CancellationToken,
) -> Result<Vec<(&'static str, JoinHandle<()>)>, JournalError> {
    let mut chores = Vec::new();
    if let Some(serve) = &config.serve {
        let edge = Edge {
            reader: journal.reader.clone(),
            status: status.clone(),
            stores: stages::elsewhere(config),
            token: serve.token.clone(),
        };
        let listener = edge::bind(serve.listen).await?;
        let served = edge::serve(listener, edge, stop.clone());
        chores.push(("edge", tokio::spawn(served)));
    }
    let janitor = janitor::run(desk.clone(), stop.clone());
    chores.push(("janitor", tokio::spawn(janitor)));
    // A projector elsewhere looks after its store.
    let timescale = config.timescale.clone();
    let timescale = timescale.filter(|it| it.feed == config::Feed::Here);
    let upkeep = upkeep::run(timescale, stop.clone());
    chores.push(("upkeep", tokio::spawn(upkeep)));
    let (config, reader, status) = (config.clone(), journal.reader.clone(), status.clone());
    let drift = drift::run(config, reader, status, stop.clone());
    chores.push(("drift", tokio::spawn(drift)));
    Ok(chores)
}

/// Says that the log takes long to open, as after an unclean stop.
pub fn say_opening(opening: Opening) {
    let elapsed = opening.elapsed.as_secs();
    match opening.done {
        Some(done) => tracing::info!("opening the log: {:.0} % after {elapsed} s", done * 100.0),
        None => tracing::info!("opening the log: not done after {elapsed} s"),
    }
}

fn open_receipts(path: &std::path::Path) -> Result<Receipts, DaemonError> {
    Receipts::open(path).map_err(|source| DaemonError::File {
        path: path.display().to_string(),
        source,
    })
}

/// Waits until every configured stage has passed the tail, or a stop. A stage that has given up, or
/// that only a person can help, ends the wait.
async fn drain(
    stages: &stages::Stages,
    holes: &Holes,
    status: &Status,
    stop: &CancellationToken,
) -> Result<(), DaemonError> {
    loop {
        let board = status.snapshot();
        // The tail may lie in a hole.
        let last = holes.back(board.durable);
        let behind: Vec<Stage> = stages
            .marks()
            .filter(|stage| board.stages.get(stage).map_or(0, |it| it.seq) < last)
            .collect();
        if behind.is_empty() || stop.is_cancelled() {
            return Ok(());
        }
        let ended = stages.ended().find(|(stage, _)| behind.contains(stage));
        let stuck = || {
            let progress = behind
                .iter()
                .filter_map(|stage| Some((*stage, board.stages.get(stage)?)));
            let mut stuck = progress.filter(|(_, it)| it.needs_operator);
            stuck.find_map(|(stage, it)| Some((stage, it.fault.clone()?)))
        };
        if let Some((stage, reason)) = ended.or_else(stuck) {
            let stage = stage.as_str();
            return Err(DaemonError::Stuck { stage, reason });
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(DRAIN_POLL) => {}
        }
    }
}

/// Waits for a stage that was told to stop, and abandons it at the deadline.
async fn finish(name: &str, mut task: JoinHandle<()>) {
    match tokio::time::timeout(STOP_DEADLINE, &mut task).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(stage = name, %error, "stage ended badly"),
        Err(_) => {
            tracing::warn!(stage = name, "stage did not stop in time and is abandoned");
            task.abort();
            let _ = task.await;
        }
    }
}
