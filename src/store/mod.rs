//! Stores: the projections that readers query, all fed through one `apply`.
//!
//! A projection turns batches of numbered events into rows (or keys) **and its own checkpoint in one transaction**
//! (I5). The live path, catch-up, replay and rebuild differ only in the feed that makes the batches.
//!
//! | file | what |
//! |---|---|
//! | `contract` | the public tables and columns, the same in every SQL store |
//! | `rows` | events to rows: pure, commutative, idempotent (I6, I7) |
//! | `samples` | the sampled history of counters, as pure |
//! | `public` | what readers see of those rows, computed without a store: what `verify` compares with |
//! | `seat` | of several projectors that could feed a store, the one that does |
//! | `mend` | making things anew from the log: what `verify --repair` asks of a store |
//! | `sql` | what the SQL stores share: error classes, scans, the search for a poison event |
//! | `sqlite` | the embedded projection |
//! | `timescale` | the TimescaleDB projection |
//! | `redis` | the cache projection |

pub mod contract;
pub mod mend;
pub mod public;
pub mod redis;
pub mod rows;
pub mod samples;
pub mod seat;
mod sql;
pub mod sqlite;
pub mod timescale;

pub use sql::Filter;

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;

use wal::{Identity, Seq};

use crate::event::{Envelope, Timestamp};
use crate::failure::{Class, Classify};

/// How far a projection has come: everything up to `seq` of this log is in it, without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log it was fed from.
    pub identity: Identity,
    /// The last number applied.
    pub seq: Seq,
    /// When the event of that number was received (not when it was applied: projections read no clock, I7).
    pub updated_at: Timestamp,
}

/// One thing to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An event.
    Event(Envelope),
    /// A record that cannot be applied; goes to the quarantine in the same transaction.
    Poison(Poison),
}

/// A record that cannot be applied, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Its number.
    pub seq: Seq,
    /// Kind number of its header.
    pub kind: u8,
    /// When it was received.
    pub received_at: Timestamp,
    /// Why it cannot be applied.
    pub reason: String,
    /// The stored record, whole. Empty when it is told by a cache, which keeps no copy.
    pub raw: Vec<u8>,
}

/// What became of an event of the quarantine that was tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// It is applied, and in the quarantine no more.
    Applied,
    /// The store refuses it still, for this reason.
    Refused(String),
}

impl Entry {
    /// Its number.
    pub fn seq(&self) -> Seq {
        match self {
            Entry::Event(envelope) => envelope.seq,
            Entry::Poison(poison) => poison.seq,
        }
    }

    /// When it was received.
    pub fn received_at(&self) -> Timestamp {
        match self {
            Entry::Event(envelope) => envelope.received_at,
            Entry::Poison(poison) => poison.received_at,
        }
    }
}

/// What `apply` gets: entries in rising order of number, and the checkpoint to store with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The number before the first one that this batch covers. A batch with a checkpoint is refused
    /// (`CheckpointMoved`) by a store whose own checkpoint is below: rows in between would be missing.
    pub after: u64,
    /// The entries; may be empty when a partial replay selected none of a range.
    pub entries: Vec<Entry>,
    /// The checkpoint after this batch, or none for a partial replay, which moves no checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// What becomes of an event that the store refuses.
    pub on_refusal: OnRefusal,
}

/// What becomes of an event that a store refuses, as one that breaks a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRefusal {
    /// It goes to the quarantine, and those behind it are applied: nothing holds the live stream up.
    #[default]
    Quarantine,
    /// Nothing of the batch is applied (`Refused`): a rebuild that leaves something out is none.
    Stop,
}

impl Batch {
    /// Entries that are applied beside the live stream, and move no checkpoint.
    pub fn partial(entries: Vec<Entry>) -> Batch {
        Batch {
            after: 0,
            entries,
            checkpoint: None,
            on_refusal: OnRefusal::Quarantine,
        }
    }

    /// The batch of a rebuild.
    #[must_use]
    pub fn or_stop(self) -> Batch {
        Batch {
            on_refusal: OnRefusal::Stop,
            ..self
        }
    }
}

/// A part of a filling: of the log from its end back, for a store that keeps only the newest messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filling {
    /// The checkpoint that the store gets once all of the filling is in it.
    pub end: Checkpoint,
    /// The last number of the whole filling.
    pub until: u64,
    /// The first number of this part.
    pub from: u64,
    /// Its last one.
    pub upto: u64,
    /// What of it belongs into the store, in rising order of number.
    pub entries: Vec<Entry>,
}

impl Filling {
    /// How many numbers came before this part.
    pub fn before(&self) -> u64 {
        self.until - self.upto
    }

    /// And how many there are with it.
    pub fn covered(&self) -> u64 {
        self.until - self.from + 1
    }

    /// The part as any other batch.
    pub fn batch(&self) -> Batch {
        Batch {
            after: self.from - 1,
            entries: self.entries.clone(),
            checkpoint: Some(self.end),
            on_refusal: OnRefusal::Quarantine,
        }
    }
}

/// The projections there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names say it
pub enum ProjectionName {
    Sqlite,
    Timescale,
    Redis,
}

impl ProjectionName {
    /// Whether all it holds can be lost without loss: the log fills it again.
    pub fn is_cache(self) -> bool {
        match self {
            ProjectionName::Sqlite | ProjectionName::Timescale => false,
            ProjectionName::Redis => true,
        }
    }

    /// The word used on the command line, in SQL and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ProjectionName::Sqlite => "sqlite",
            ProjectionName::Timescale => "timescale",
            ProjectionName::Redis => "redis",
        }
    }
}

impl fmt::Display for ProjectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a projection could not answer.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The server or file refused the operation; the class was decided where the library's error was seen.
    #[error("{projection}: {doing}")]
    Backend {
        /// Which projection.
        projection: ProjectionName,
        /// What was being done.
        doing: &'static str,
        /// Its class.
        class: Class,
        /// What mends it, where that is known.
        hint: Option<String>,
        /// What the library said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The projection was fed from another log, or from a later epoch of this one.
    #[error("{projection} was fed from log {found}, this is log {ours}")]
    OtherLog {
        /// Which projection.
        projection: ProjectionName,
        /// The identity in its checkpoint.
        found: String,
        /// Ours.
        ours: String,
    },
    /// The store refuses an event, and the batch was to be applied whole or not at all.
    #[error("{projection} refuses event {seq}: {reason}")]
    Refused {
        /// Which projection.
        projection: ProjectionName,
        /// The event.
        seq: Seq,
        /// Why.
        reason: String,
    },
    /// The stored checkpoint is not where the batch begins: the store was emptied, or fell back to an older state.
    #[error("{projection}: the store is at {found}, the batch begins after {after}")]
    CheckpointMoved {
        /// Which projection.
        projection: ProjectionName,
        /// Its checkpoint; 0 for none.
        found: u64,
        /// Where the batch begins.
        after: u64,
    },
    /// The store is ahead of the log: the log lost its end, or an older copy of it was put back.
    #[error(
        "{projection} is at {found}, but the log ends at {tail}: the log is older than the store"
    )]
    AheadOfLog {
        /// Which projection.
        projection: ProjectionName,
        /// Its checkpoint.
        found: u64,
        /// The last number of the log.
        tail: u64,
    },
    /// The store was fed with other events under the same numbers: by a life of the log that this one knows nothing of.
    #[error(
        "{projection} was fed with other events: its number {seq} was received at {theirs}, {ours}"
    )]
    Diverged {
        /// Which projection.
        projection: ProjectionName,
        /// The number of its checkpoint.
        seq: u64,
        /// When its event of that number was received.
        theirs: Timestamp,
        /// What the log has under that number, in words.
        ours: String,
    },
    /// The schema is not one this version knows.
    #[error(
        "{projection}: schema version {found} is not known to this version (newest known: {known})"
    )]
    UnknownSchema {
        /// Which projection.
        projection: ProjectionName,
        /// Version in the store.
        found: i64,
        /// Newest version this program has.
        known: i64,
    },
}

impl Classify for ProjectionError {
    fn class(&self) -> Class {
        match self {
            ProjectionError::Backend { class, .. } => *class,
            // The projector reads the checkpoint again and goes on from there.
            ProjectionError::CheckpointMoved { .. } => Class::Transient,
            ProjectionError::Refused { .. } => Class::Corrupt,
            ProjectionError::OtherLog { .. }
            | ProjectionError::AheadOfLog { .. }
            | ProjectionError::Diverged { .. }
            | ProjectionError::UnknownSchema { .. } => Class::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ProjectionError::Backend { hint, .. } => hint.clone(),
            ProjectionError::CheckpointMoved { .. } => None,
            ProjectionError::Refused { .. } => Some(
                "a daemon would put it into the quarantine and go on; a rebuild leaves nothing out: put the table right"
                    .to_owned(),
            ),
            ProjectionError::OtherLog { projection, .. } => Some(format!(
                "point the configuration at the right log or store, or start the projection anew: \
                 telegram-gateway rebuild {projection}"
            )),
            ProjectionError::AheadOfLog { .. } => Some(
                "put the newer log back, or start again: a daemon that starts skips the numbers that the store has"
                    .to_owned(),
            ),
            ProjectionError::Diverged { projection, .. } => Some(format!(
                "put the right log back, or give up what only the store has: telegram-gateway rebuild {projection}"
            )),
            ProjectionError::UnknownSchema { .. } => {
                Some("run the version that wrote it, or a newer one".to_owned())
            }
        }
    }
}

/// A projection. The contract:
///
/// - Batches may repeat, overlap and come in any order; the result is the same (I6).
/// - `apply` returns only after rows and checkpoint are committed together. On an error nothing of the batch counts;
///   if the outcome is unknown (connection lost while committing) the caller reads `checkpoint` again and repeats.
/// - A batch's checkpoint never moves the stored one backwards; one of another log or epoch is refused (`OtherLog`),
///   one that would leave a hole too (`CheckpointMoved`).
/// - No clock, no random number, no insertion time reaches a row (I7).
pub trait Projection: Send {
    /// Which one it is.
    fn name(&self) -> ProjectionName;
    /// The stored checkpoint; none in an empty store. Connects, and reconnects, as needed.
    fn checkpoint(
        &mut self,
    ) -> impl Future<Output = Result<Option<Checkpoint>, ProjectionError>> + Send;
    /// The same for the projector that feeds the store and has applied everything up to `applied`, which is all that the
    /// log has: a store may note for its readers that at this moment there was nothing more.
    fn confirm(
        &mut self,
        applied: u64,
    ) -> impl Future<Output = Result<Option<Checkpoint>, ProjectionError>> + Send {
        let _ = applied;
        self.checkpoint()
    }
    /// Applies a batch.
    fn apply(&mut self, batch: &Batch) -> impl Future<Output = Result<(), ProjectionError>> + Send;
    /// How many messages of each channel it keeps; none for one that keeps all.
    fn keeps(&self) -> Option<usize> {
        None
    }
    /// Applies a part of a filling. A store that may lose what it has acknowledged refuses the part
    /// (`CheckpointMoved`) when something of those before is lost.
    fn fill(
        &mut self,
        filling: &Filling,
    ) -> impl Future<Output = Result<(), ProjectionError>> + Send {
        let batch = Batch::partial(filling.entries.clone());
        async move { self.apply(&batch).await }
    }
    /// Gives the store the checkpoint of a filling of which this was the last part.
    fn filled(
        &mut self,
        filling: &Filling,
    ) -> impl Future<Output = Result<(), ProjectionError>> + Send {
        let batch = Batch {
            entries: Vec::new(),
            ..filling.batch()
        };
        async move { self.apply(&batch).await }
    }
    /// Resolves when the store should be asked for its checkpoint although nothing new is to be applied: it may have
    /// been emptied, or replaced by an older copy. Never, for a store that loses nothing by itself. Cancel safe.
    fn disturbed(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
    /// Empties the store of everything this projection wrote, checkpoint included.
    fn clear(&mut self) -> impl Future<Output = Result<(), ProjectionError>> + Send;
}

/// A projection's quarantine, for the person who looks after it.
///
/// None of this moves a checkpoint, so nothing that comes after an event of the quarantine is ever left out, or applied
/// from the start again, for its sake.
pub trait Quarantine: Projection {
    /// How many events are in it.
    fn quarantine_size(&mut self) -> impl Future<Output = Result<u64, ProjectionError>> + Send;
    /// The events behind the number `after`, in order, at most `max`.
    fn quarantined(
        &mut self,
        after: u64,
        max: usize,
    ) -> impl Future<Output = Result<Vec<Poison>, ProjectionError>> + Send;
    /// Applies an event, and takes it out of the quarantine in the same transaction. One that is refused again stays,
    /// with the new reason.
    fn retry(
        &mut self,
        envelope: &Envelope,
    ) -> impl Future<Output = Result<Retried, ProjectionError>> + Send;
    /// Takes an event out without applying it; whether it was in.
    fn forget(&mut self, seq: Seq) -> impl Future<Output = Result<bool, ProjectionError>> + Send;
}

/// What the rows of a store are a function of beside the log; the store keeps it with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope {
    /// What it samples of counters.
    pub sampling: Option<samples::Sampling>,
    /// The Telegram date from which on it keeps messages.
    pub since: Option<Timestamp>,
}

impl From<Option<samples::Sampling>> for Scope {
    /// That of a store that keeps all messages.
    fn from(sampling: Option<samples::Sampling>) -> Scope {
        Scope {
            sampling,
            since: None,
        }
    }
}

/// A projection whose public rows can be read back and compared with the fold of the log.
pub trait Inspect: Projection {
    /// Its snapshot.
    type Snapshot: Snapshot;
    /// Opens a snapshot on a connection of its own, so that `apply` goes on beside it.
    fn snapshot(&mut self) -> impl Future<Output = Result<Self::Snapshot, ProjectionError>> + Send;
}

/// The store at one moment: checkpoint and rows belong together, whatever is applied meanwhile. Dropping it ends it.
pub trait Snapshot: Send {
    /// The checkpoint of that moment: the rows are the fold of the log up to it.
    fn checkpoint(&self) -> Option<Checkpoint>;
    /// What it samples of counters; none when it keeps no history of them.
    fn sampling(&self) -> Option<samples::Sampling>;
    /// The Telegram date from which on it keeps messages; none where it keeps all.
    fn since(&self) -> Option<Timestamp> {
        None
    }
    /// What its rows are a function of beside the log.
    fn scope(&self) -> Scope {
        Scope {
            sampling: self.sampling(),
            since: self.since(),
        }
    }
    /// Gives the rows of a public table to `each`, in key order, without holding more than a few of them. Stops early
    /// when `each` breaks; the snapshot can then be used no further.
    fn scan(
        &mut self,
        table: &contract::Table,
        filter: &Filter,
        each: &mut (dyn FnMut(public::PublicRow) -> ControlFlow<()> + Send),
    ) -> impl Future<Output = Result<(), ProjectionError>> + Send;
    /// How many rows `scan` would give.
    fn count(
        &mut self,
        table: &contract::Table,
        filter: &Filter,
    ) -> impl Future<Output = Result<u64, ProjectionError>> + Send;
}
