//! The live source as the configuration has it: its accounts, and the message index that follows the log.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use wal::Record;

use super::office::Office;
use super::{Daemon, DaemonError, media};
use crate::config::{self, Chat, Follow};
use crate::event::{Envelope, PeerId};
use crate::failure::{Class, Classify, chain, io_class};
use crate::journal::{JournalError, JournalReader};
use crate::projector::next_seq;
use crate::source::telegram::Telegram;
use crate::source::telegram::account::{Inputs, Orders, Watch, jobs, positions};
use crate::source::telegram::backfill::JobError;
use crate::source::telegram::driver::PositionError;
use crate::source::telegram::index::{Index, IndexError};
use crate::source::telegram::media::MediaError;
use crate::source::telegram::normalise::Normaliser;
use crate::source::telegram::policy::Policy;
use crate::source::telegram::session::Gate;

/// Where the message index is, in the data directory.
const INDEX: &str = "telegram/index.redb";
/// Records that the index takes in at once.
const RECORDS_MAX: usize = 5_000;
const BYTES_MAX: usize = 16 << 20;
/// How often the index is made durable. A crash costs reading that much of the log again.
const FLUSH: Duration = Duration::from_secs(5);
/// How often an account asks whether anyone is there.
const PING: Duration = Duration::from_secs(30);

/// Why the live source cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// There is no `[telegram]`.
    #[error("no account of Telegram is configured")]
    NotConfigured,
    /// The message index cannot be used.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The log holds a position that this program cannot read.
    #[error(transparent)]
    Position(#[from] PositionError),
    /// The log holds a backfill that this program cannot read.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The index could not be brought up to the log.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Files cannot be kept.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The work on the index ended in its middle.
    #[error("the work on the message index was not finished")]
    Unfinished,
    /// The folder of the live source cannot be made.
    #[error("cannot make the folder {0}")]
    Folder(String, #[source] std::io::Error),
}

impl Classify for MirrorError {
    fn class(&self) -> Class {
        match self {
            MirrorError::NotConfigured | MirrorError::Folder(..) => Class::Operator,
            MirrorError::Index(IndexError::Io { source, .. }) => io_class(source),
            MirrorError::Index(IndexError::Engine { .. })
            | MirrorError::Position(_)
            | MirrorError::Job(_) => Class::Corrupt,
            MirrorError::Journal(error) => error.class(),
            MirrorError::Media(error) => error.class(),
            MirrorError::Unfinished => Class::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            MirrorError::NotConfigured => Some(
                "write [telegram] in the configuration: telegram-gateway config defaults shows its keys".to_owned(),
            ),
            MirrorError::Index(_) | MirrorError::Unfinished => Some(format!(
                "delete {INDEX} in the data directory: it is made again from the log"
            )),
            MirrorError::Position(_) | MirrorError::Job(_) => Some(
                "run the newest version that wrote this log; telegram-gateway verify log tells of damage".to_owned(),
            ),
            MirrorError::Journal(error) => error.hint(),
            MirrorError::Media(error) => error.hint(),
            MirrorError::Folder(..) => None,
        }
    }
}

impl Daemon {
    /// Starts the accounts of the configuration where the log says that they were. They run until stopped.
    pub async fn telegram(&self, stop: &CancellationToken) -> Result<Telegram, DaemonError> {
        Ok(self.mirror(stop).await?)
    }

    /// The message index, as far as the log. It follows the log until stopped.
    pub async fn message_index(&self, stop: &CancellationToken) -> Result<Arc<Index>, DaemonError> {
        Ok(self.followed_index(stop).await?)
    }

    async fn followed_index(&self, stop: &CancellationToken) -> Result<Arc<Index>, MirrorError> {
        let index = self.caught_up_index().await?;
        let reader = self.journal.reader.clone();
        tokio::spawn(follow(Arc::clone(&index), reader, stop.clone()));
        Ok(index)
    }

    async fn mirror(&self, stop: &CancellationToken) -> Result<Telegram, MirrorError> {
        let config = self.config.telegram.as_ref();
        let config = config.ok_or(MirrorError::NotConfigured)?;
        if let Some(hint) = config.nothing_followed() {
            tracing::warn!("{hint}");
        }
        let reader = self.journal.reader.clone();
        let bookmarks = reader.bookmarks().await?;
        let index = self.followed_index(stop).await?;
        let depot = self.depot(config).await?;
        let (mut accounts, mut desk) = (Vec::new(), BTreeMap::new());
        for (at, name) in config.accounts.iter().enumerate() {
            let policy = policy(config, at == 0);
            let (orders, taken) = Orders::new();
            desk.insert(name.clone(), orders);
            let inputs = Inputs {
                name: name.clone(),
                api_id: config.api_id,
                requests_per_minute: config.requests_per_minute,
                ping_interval: PING,
                positions: positions(name, &bookmarks)?,
                jobs: jobs(name, &bookmarks)?,
                watch: watch(config),
                orders: taken,
                meaning: Box::new(Normaliser::new(name, policy, Arc::clone(&index))),
                files: depot
                    .as_ref()
                    .map(|depot| depot.seat(at, config.media.requests_per_minute)),
            };
            accounts.push((inputs, Gate::new(&self.config.data_dir, config, name)));
        }
        let office = Office::new(config, &index, &reader, &self.status, desk);
        // One daemon starts its accounts once.
        let _ = self.office.set(office);
        if let Some(depot) = depot {
            tokio::spawn(media::follow(depot, reader, stop.clone()));
        }
        Ok(Telegram::start(accounts, &self.status, stop))
    }

    /// The message index, up to the log.
    pub(super) async fn caught_up_index(&self) -> Result<Arc<Index>, MirrorError> {
        let index = Arc::new(self.index()?);
        catch_up(&index, &self.journal.reader).await?;
        Ok(index)
    }

    fn index(&self) -> Result<Index, MirrorError> {
        let path = self.config.data_dir.join(INDEX);
        if let Some(folder) = path.parent() {
            let made = DirBuilder::new().mode(0o700).recursive(true).create(folder);
            made.map_err(|error| MirrorError::Folder(folder.display().to_string(), error))?;
        }
        let reader = &self.journal.reader;
        Ok(Index::open(&path, reader.identity().log_id, reader.tail())?)
    }
}

/// What the configuration says to mirror. A hot channel is followed without being named twice.
pub(super) fn policy(config: &config::Telegram, is_first: bool) -> Policy {
    let mut policy = Policy::nothing(is_first);
    let mut chats: Vec<&Chat> = config.hot.iter().collect();
    match &config.follow {
        Follow::All => policy = policy.and_everything(),
        Follow::Only(named) => chats.extend(named),
    }
    for chat in chats {
        policy = match chat {
            Chat::Username(name) => policy.and_name(name),
            Chat::Id(id) => match PeerId::from_marked(*id) {
                Ok(peer) => policy.and_peer(peer),
                Err(_) => policy,
            },
        };
    }
    if config.private_chats {
        policy = policy.and_private_chats();
    }
    policy
}

/// What is to be done about the past.
fn watch(config: &config::Telegram) -> Watch {
    Watch {
        names: policy(config, true).names().map(str::to_owned).collect(),
        first_sight: config.backfill_depth,
        reconcile_interval: config.reconcile_interval,
        hot: config.hot.iter().map(Chat::to_string).collect(),
        ..Watch::default()
    }
}

/// Takes into the index what the log has and the index has not.
async fn catch_up(index: &Arc<Index>, reader: &JournalReader) -> Result<(), MirrorError> {
    let mut from = next_seq(index.covered()?);
    loop {
        let tail = reader.tail();
        if from.get() > tail {
            return Ok(());
        }
        let records = reader.range(from, tail, RECORDS_MAX, BYTES_MAX).await?;
        let Some(last) = records.last() else {
            return Ok(());
        };
        from = last.header().seq.next();
        let index = Arc::clone(index);
        let absorbed = tokio::task::spawn_blocking(move || index.absorb(&envelopes(&records)));
        // What was not taken in must not be passed over.
        absorbed.await.map_err(|_| MirrorError::Unfinished)??;
    }
}

/// Those that can be read; the projectors tell of the others.
pub(super) fn envelopes(records: &[Record]) -> Vec<Envelope> {
    let read = records.iter().map(Envelope::from_record);
    read.filter_map(Result::ok).collect()
}

/// Follows the log until stopped. The index may lag: what it has not read yet, it keeps in memory.
async fn follow(index: Arc<Index>, reader: JournalReader, stop: CancellationToken) {
    let mut tail: watch::Receiver<u64> = reader.subscribe();
    let mut flush = tokio::time::interval(FLUSH);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_well = true;
    loop {
        let ended = tokio::select! {
            () = stop.cancelled() => true,
            // After a failure the next try is the next tick's, however much is appended meanwhile.
            changed = tail.changed(), if is_well => changed.is_err(),
            _ = flush.tick() => {
                say(flushed(&index).await);
                false
            }
        };
        is_well = say(catch_up(&index, &reader).await);
        if ended {
            say(flushed(&index).await);
            return;
        }
    }
}

async fn flushed(index: &Arc<Index>) -> Result<(), MirrorError> {
    let index = Arc::clone(index);
    let flushed = tokio::task::spawn_blocking(move || index.flush());
    Ok(flushed.await.map_err(|_| MirrorError::Unfinished)??)
}

/// Whether it was done. What is in the log is not touched by a failure.
fn say(done: Result<(), MirrorError>) -> bool {
    if let Err(error) = &done {
        tracing::warn!(error = chain(error), "the message index lags");
    }
    done.is_ok()
}
