//! The board on which the stages write how they are doing, and from which the screen, the bench and the API read.
//!
//! Latency of every stage is counted from the moment an event was received (or was due, for a paced source), and of
//! those behind the log from the moment it was durable too.

mod channels;
mod chats;
mod drift;
mod durable;
mod log;
mod queues;
mod telegram;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use self::durable::Durable;
pub use channels::{BackfillReport, ChannelBoard, ChannelReport, StretchReport};
pub use chats::{ChatReport, GapReport, UnresolvedName};
pub use drift::DriftBoard;
pub use log::{BallastState, LogBoard, LogReport, Spread, micros};
pub use queues::{QueueBoard, QueueState};
pub use telegram::{AccountBoard, AccountReport, AccountState, Wait};

/// The marks an event passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// In the log, fsynced.
    Durable,
    /// Confirmed by the broker, in the frames for our projectors.
    Confirmed,
    /// Confirmed by the broker, as JSON for other programs.
    Published,
    /// Committed in TimescaleDB.
    Timescale,
    /// Applied in Redis.
    Redis,
    /// Committed in SQLite.
    Sqlite,
}

impl Stage {
    /// The word on the screen and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Durable => "durable",
            Stage::Confirmed => "confirmed",
            Stage::Published => "published",
            Stage::Timescale => "timescale",
            Stage::Redis => "redis",
            Stage::Sqlite => "sqlite",
        }
    }
}

/// Longest latency that is told apart, in microseconds: one hour.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// What one stage has done.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The last number that has passed.
    pub seq: u64,
    /// Events that passed since the start.
    pub events: u64,
    /// Their latency in microseconds, from the moment they were received or due.
    pub latency_us: Histogram<u64>,
    /// The same from the moment they were durable, of those that became so not long before. Not of the log itself.
    pub since_durable_us: Histogram<u64>,
    /// When the last of them passed, in microseconds since the epoch; 0 for never.
    pub last_us: i64,
    /// Why it is not working at the moment.
    pub fault: Option<String>,
    /// The fault will not go away by itself.
    pub needs_operator: bool,
    /// It is being filled from the newest events back.
    pub filling: Option<FillReport>,
}

/// How far a cache is filled from the newest events back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillReport {
    /// Numbers, from the newest down, of which it has all it keeps.
    pub covered: u64,
    /// Numbers that the log has.
    pub of: u64,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            seq: 0,
            events: 0,
            latency_us: log::histogram(LATENCY_MAX_US),
            since_durable_us: log::histogram(LATENCY_MAX_US),
            last_us: 0,
            fault: None,
            needs_operator: false,
            filling: None,
        }
    }
}

/// What a running daemon tells of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageReport {
    /// The last number that has passed.
    pub seq: u64,
    /// Why it is not working at the moment.
    pub fault: Option<String>,
    /// The fault will not go away by itself.
    pub needs_operator: bool,
    /// It is being filled from the newest events back, and `seq` is 0 until all of it is there.
    pub filling: Option<FillReport>,
}

#[derive(Debug, Default)]
struct Board {
    received: AtomicU64,
    duplicates: AtomicU64,
    durable: AtomicU64,
    commits: Mutex<Durable>,
    broker_lost: AtomicU64,
    quarantined: AtomicU64,
    log: Mutex<LogBoard>,
    accounts: Mutex<BTreeMap<String, AccountBoard>>,
    queues: Mutex<BTreeMap<String, QueueBoard>>,
    drift: Mutex<BTreeMap<String, DriftBoard>>,
    stages: Mutex<BTreeMap<Stage, Progress>>,
}

/// The board. Cheap to clone; all clones are the same board.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Board>);

impl Status {
    /// An empty board.
    pub fn new() -> Status {
        Status::default()
    }

    /// Events came from a source.
    pub fn received(&self, events: u64) {
        self.0.received.fetch_add(events, Ordering::Relaxed);
    }

    /// Events that were in the log already.
    pub fn duplicates(&self, events: u64) {
        self.0.duplicates.fetch_add(events, Ordering::Relaxed);
    }

    /// The log's durable tail.
    pub fn durable(&self, seq: u64) {
        self.0.durable.store(seq, Ordering::Relaxed);
        self.commits().reached(seq, now_us());
    }

    /// Events that the broker lost and the log gave again.
    pub fn broker_lost(&self, events: u64) {
        self.0.broker_lost.fetch_add(events, Ordering::Relaxed);
    }

    /// Events that went to a quarantine.
    pub fn quarantined(&self, events: u64) {
        self.0.quarantined.fetch_add(events, Ordering::Relaxed);
    }

    /// How each stage is that has shown itself, by its word.
    pub fn stages(&self) -> BTreeMap<String, StageReport> {
        let stages = self.0.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let report = |(stage, progress): (&Stage, &Progress)| {
            let report = StageReport {
                seq: progress.seq,
                fault: progress.fault.clone(),
                needs_operator: progress.needs_operator,
                filling: progress.filling,
            };
            (stage.as_str().to_owned(), report)
        };
        stages.iter().map(report).collect()
    }

    /// What the log's writer has to say.
    pub fn log(&self, change: impl FnOnce(&mut LogBoard)) {
        change(&mut self.0.log.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What an account's connection to Telegram has to say; it is on the board from the first time on.
    pub fn account<T>(&self, name: &str, change: impl FnOnce(&mut AccountBoard) -> T) -> T {
        let mut accounts = self
            .0
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        change(accounts.entry(name.to_owned()).or_default())
    }

    /// All accounts that have shown themselves.
    pub fn accounts(&self) -> Vec<AccountReport> {
        let accounts = self
            .0
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let reports = accounts.iter().map(|(name, board)| board.report(name));
        reports.collect()
    }

    /// What an account has heard of a channel, by its bare id.
    pub fn channel(&self, account: &str, channel: i64) -> Option<ChannelReport> {
        let accounts = self
            .0
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let board = accounts.get(account)?.channels.get(&channel)?;
        Some(board.report(channel))
    }

    /// What an account fetches of the past, or has fetched: all of it.
    pub fn backfills(&self, account: &str) -> Vec<BackfillReport> {
        let accounts = self
            .0
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let board = accounts.get(account);
        let all = board.map(|board| board.backfills.values().cloned().collect());
        all.unwrap_or_default()
    }

    /// What is being fetched of a channel's past, or was.
    pub fn backfill(&self, account: &str, channel: i64) -> Option<BackfillReport> {
        let accounts = self
            .0
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        accounts.get(account)?.backfills.get(&channel).cloned()
    }

    /// What a projector has to say of its queue; it is on the board from the first time on.
    pub fn queue<T>(&self, projection: &str, change: impl FnOnce(&mut QueueBoard) -> T) -> T {
        let mut queues = self.0.queues.lock().unwrap_or_else(PoisonError::into_inner);
        change(queues.entry(projection.to_owned()).or_default())
    }

    /// All queues that have shown themselves, by their projections.
    pub fn queues(&self) -> BTreeMap<String, QueueBoard> {
        let queues = self.0.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.clone()
    }

    /// What the last look at a slice of a store has to say; it is on the board from the first one on.
    pub fn drift(&self, store: &str, change: impl FnOnce(&mut DriftBoard)) {
        let mut drift = self.0.drift.lock().unwrap_or_else(PoisonError::into_inner);
        change(drift.entry(store.to_owned()).or_default());
    }

    /// All stores that were looked at, by name.
    pub fn drifts(&self) -> BTreeMap<String, DriftBoard> {
        let drift = self.0.drift.lock().unwrap_or_else(PoisonError::into_inner);
        drift.clone()
    }

    /// The log's figures.
    pub fn log_report(&self) -> LogReport {
        let log = self.0.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.report()
    }

    /// Why the log cannot be written, and whether that is for want of room.
    pub fn log_fault(&self) -> (String, bool) {
        let log = self.0.log.lock().unwrap_or_else(PoisonError::into_inner);
        let why = log.fault.clone();
        (
            why.unwrap_or_else(|| "the disk is slow".to_owned()),
            log.full,
        )
    }

    /// The last number that has passed a stage; 0 before it has shown itself.
    pub fn seq_of(&self, stage: Stage) -> u64 {
        let stages = self.0.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.get(&stage).map_or(0, |progress| progress.seq)
    }

    /// Events passed a stage just now: their times of receipt in microseconds since the epoch, and the last number.
    pub fn passed(&self, stage: Stage, seq: u64, received_us: impl ExactSizeIterator<Item = i64>) {
        let now = now_us();
        let latency = |since: i64| {
            let latency = u64::try_from(now - since).unwrap_or(0);
            latency.clamp(1, LATENCY_MAX_US)
        };
        let before = seq.saturating_sub(received_us.len() as u64);
        // Looked up first: the writer of the log waits for whoever holds these.
        let durable: Vec<Option<i64>> = match stage {
            Stage::Durable => Vec::new(),
            _ => {
                let commits = self.commits();
                (before + 1..=seq).map(|seq| commits.when(seq)).collect()
            }
        };
        let mut durable = durable.into_iter();
        self.with(stage, |progress| {
            progress.seq = progress.seq.max(seq);
            progress.fault = None;
            progress.needs_operator = false;
            for received in received_us {
                progress.last_us = now;
                progress.events += 1;
                progress.latency_us.saturating_record(latency(received));
                if let Some(durable) = durable.next().flatten() {
                    progress
                        .since_durable_us
                        .saturating_record(latency(durable));
                }
            }
        });
    }

    fn commits(&self) -> MutexGuard<'_, Durable> {
        self.0
            .commits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A stage starts at this number.
    pub fn starts_at(&self, stage: Stage, seq: u64) {
        self.with(stage, |progress| {
            progress.seq = seq;
            progress.filling = None;
        });
    }

    /// A stage is being filled from the newest events back, and has so many of so many numbers.
    pub fn fills(&self, stage: Stage, covered: u64, of: u64) {
        self.with(stage, |progress| {
            progress.fault = None;
            progress.needs_operator = false;
            progress.filling = Some(FillReport { covered, of });
        });
    }

    /// A stage is in trouble and tries again; whether it takes a person to mend that.
    pub fn waits(&self, stage: Stage, fault: String, needs_operator: bool) {
        self.with(stage, |progress| {
            progress.fault = Some(fault);
            progress.needs_operator = needs_operator;
            progress.filling = None;
        });
    }

    /// A stage is in trouble, or out of it.
    pub fn fault(&self, stage: Stage, fault: Option<String>) {
        self.with(stage, |progress| {
            progress.fault = fault;
            progress.needs_operator = false;
        });
    }

    /// Everything on the board.
    pub fn snapshot(&self) -> Snapshot {
        let board = &self.0;
        Snapshot {
            received: board.received.load(Ordering::Relaxed),
            duplicates: board.duplicates.load(Ordering::Relaxed),
            durable: board.durable.load(Ordering::Relaxed),
            broker_lost: board.broker_lost.load(Ordering::Relaxed),
            quarantined: board.quarantined.load(Ordering::Relaxed),
            journal_fault: board
                .log
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .fault
                .clone(),
            stages: board
                .stages
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    fn with(&self, stage: Stage, change: impl FnOnce(&mut Progress)) {
        let mut stages = self.0.stages.lock().unwrap_or_else(PoisonError::into_inner);
        change(stages.entry(stage).or_insert_with(Progress::new));
    }
}

/// The board at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Events that came from sources.
    pub received: u64,
    /// Events that were in the log already.
    pub duplicates: u64,
    /// The log's durable tail.
    pub durable: u64,
    /// Events that the broker lost and the log gave again.
    pub broker_lost: u64,
    /// Events that went to a quarantine.
    pub quarantined: u64,
    /// Why the log cannot be written.
    pub journal_fault: Option<String>,
    /// Each stage that has shown itself.
    pub stages: BTreeMap<Stage, Progress>,
}

/// The wall clock in microseconds; the only clock that a time of receipt can be compared with.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
