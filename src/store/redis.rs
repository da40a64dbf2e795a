//! The cache projection: the newest messages of each peer in Redis. Losing it means "refill from the log".
//!
//! | file | what |
//! |---|---|
//! | `keys` | every key and field there is |
//! | `commands` | batches to script arguments: pure |
//! | `text` | values that hold more than one thing, both ways: pure |
//! | `apply.lua` | guards by rank and seq, the window, and the checkpoint, in one run |
//! | `confirm.lua` | the checkpoint, and for readers that there was nothing more at this moment |
//! | `fill`, `filled.lua` | the same from the newest events back |
//! | `beside`, `switch.lua` | a cache built beside the one that readers see, and shown in one step |
//! | `model` | what the cache must hold after some events: pure |
//! | `quarantine` | looking at the quarantine, and trying again what is in it |
//! | `room` | whether there is memory for more |
//! | `read` | reading all of it back, for `verify` |
//! | `seat`, `seat.lua` | which of several projectors feeds it |
//! | `forget` | taking a peer out, for `verify --repair` |
//! | `server` | the connection, to the master wherever it is |
//! | `sentinel` | who the Sentinels say is the master |
//! | `class` | every error of the library, classed in one place |
//!
//! Rows and checkpoint are written by one script run, so a replica that takes over has both of the same moment. It may
//! lack the last acknowledged writes: then its checkpoint is below where the next batch begins, the batch is refused
//! (`CheckpointMoved`), and the projector goes on from what the server really has. A server that gets no batch is asked
//! for its checkpoint now and then. That says more than its run id or replication id could: they tell that it is another
//! server, or another history, the checkpoint tells what is in it.

mod beside;
mod class;
mod commands;
mod fill;
mod forget;
mod keys;
mod model;
mod quarantine;
mod read;
mod room;
mod seat;
mod sentinel;
mod server;
mod text;

use std::time::Instant;

use ::redis::aio::MultiplexedConnection;
use ::redis::{FromRedisValue, Script, ScriptInvocation, Value};
use wal::{Identity, LogId, Seq};

pub use beside::{Beside, Switch};
pub use keys::Keys;
pub use model::{Cache, Fields, Model, Peer};
pub use room::Memory;
pub use seat::RedisSeat;

use crate::config;
use crate::event::Timestamp;
use crate::failure::Class;
use crate::store::{Batch, Checkpoint, Filling, Projection, ProjectionError, ProjectionName};
use commands::{Part, Span};
use server::Server;

/// Records that could not be applied, of which the reason is kept.
const QUARANTINE_MAX: usize = 1000;
/// Keys looked at, or removed, by one command.
const KEYS_PER_COMMAND: usize = 500;

const NAME: ProjectionName = ProjectionName::Redis;

/// The projection.
pub struct Redis {
    config: config::Redis,
    keys: Keys,
    script: Script,
    confirming: Script,
    server: Server,
    /// Seconds that its checkpoint lives after it moved, 0 for ever.
    checkpoint_ttl: u64,
    /// When the checkpoint was asked for last.
    asked: Instant,
}

impl Redis {
    /// A projection that is not connected yet.
    pub fn new(config: config::Redis) -> Redis {
        Redis {
            keys: Keys::new(&config.prefix),
            server: Server::new(config.clone()),
            config,
            checkpoint_ttl: 0,
            script: Script::new(include_str!("redis/apply.lua")),
            confirming: Script::new(include_str!("redis/confirm.lua")),
            asked: Instant::now(),
        }
    }

    /// How many messages of each channel are kept.
    pub fn window(&self) -> usize {
        self.config.window
    }

    /// How long a key lives after it was last written, in microseconds.
    pub fn ttl_micros(&self) -> i64 {
        i64::try_from(self.config.ttl.as_micros()).unwrap_or(i64::MAX)
    }

    /// The names of its keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    async fn connection(&mut self) -> Result<MultiplexedConnection, ProjectionError> {
        self.server.connection().await
    }

    /// After an error the connection is not used again: whether its last command was carried out is unknown.
    fn done<T>(
        &mut self,
        doing: &'static str,
        result: ::redis::RedisResult<T>,
    ) -> Result<T, ProjectionError> {
        result.map_err(|error| {
            self.server.close();
            class::backend(doing, error)
        })
    }

    /// Runs the script for one span after the other, with the checkpoint of this key, which lives so many seconds, 0
    /// for ever. While the server works on one, the next is put together.
    async fn run_all(
        &mut self,
        spans: Vec<Span<'_>>,
        checkpoint_key: &str,
        checkpoint_ttl: u64,
    ) -> Result<(), ProjectionError> {
        let mut parts = spans.into_iter().map(Span::part);
        let mut next = parts.next();
        while let Some(part) = next {
            // In this order: the first is on its way before the second takes the thread.
            let run = self.run(&part, checkpoint_key, checkpoint_ttl);
            let (ran, following) = tokio::join!(biased; run, async { parts.next() });
            ran?;
            next = following;
        }
        Ok(())
    }

    /// One run of the script.
    fn invocation(
        &self,
        part: &Part,
        checkpoint_key: &str,
        checkpoint_ttl: u64,
    ) -> ScriptInvocation<'_> {
        let mut invocation = self.script.prepare_invoke();
        invocation.key(checkpoint_key).key(self.keys.base());
        match &part.checkpoint {
            Some(checkpoint) => {
                invocation
                    .arg(checkpoint.identity.log_id.to_string())
                    .arg(checkpoint.identity.epoch)
                    .arg(part.after)
                    .arg(checkpoint.seq.get())
                    .arg(checkpoint.updated_at.to_string());
            }
            None => {
                invocation.arg("").arg("").arg("").arg("").arg("");
            }
        }
        invocation
            .arg(self.config.ttl.as_secs().max(1))
            .arg(self.config.window)
            .arg(QUARANTINE_MAX)
            .arg(checkpoint_ttl);
        let received = part.checkpoint.map(|it| it.updated_at.micros() / 1000);
        invocation.arg(received.map_or_else(String::new, |at| at.to_string()));
        for arg in &part.args.0 {
            invocation.arg(&arg[..]);
        }
        invocation
    }

    async fn run(
        &mut self,
        part: &Part,
        checkpoint_key: &str,
        checkpoint_ttl: u64,
    ) -> Result<(), ProjectionError> {
        let mut connection = self.connection().await?;
        let invocation = self.invocation(part, checkpoint_key, checkpoint_ttl);
        let said: ::redis::RedisResult<Value> = tokio::select! {
            said = invocation.invoke_async(&mut connection) => said,
            // Whatever the old one still says counts no more.
            () = self.server.moved() => {
                self.server.close();
                return Err(class::no_master("another server is the master by now".to_owned()));
            }
        };
        let said = self.done("applying a batch", said)?;
        verdict(said, part)
    }
}

/// What the script says of a run.
fn verdict(said: Value, part: &Part) -> Result<(), ProjectionError> {
    let said = Vec::<String>::from_redis_value(said)
        .map_err(|error| class::backend("applying a batch", error.into()))?;
    let word = |at: usize| said.get(at).map_or("", String::as_str);
    match word(0) {
        "ok" => Ok(()),
        "moved" => Err(ProjectionError::CheckpointMoved {
            projection: NAME,
            found: word(1).parse().unwrap_or(0),
            after: part.after,
        }),
        _ => Err(ProjectionError::OtherLog {
            projection: NAME,
            found: format!("{} epoch {}", word(1), word(2)),
            ours: part.checkpoint.map_or_else(String::new, |it| {
                format!("{} epoch {}", it.identity.log_id, it.identity.epoch)
            }),
        }),
    }
}

impl Projection for Redis {
    fn name(&self) -> ProjectionName {
        NAME
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, ProjectionError> {
        let mut connection = self.connection().await?;
        let mut command = ::redis::cmd("HMGET");
        command.arg(self.keys.checkpoint()).arg(CHECKPOINT_FIELDS);
        let fields = command.query_async(&mut connection).await;
        let fields: Vec<Option<String>> = self.done("reading the checkpoint", fields)?;
        self.asked = Instant::now();
        checkpoint(&fields)
    }

    async fn confirm(&mut self, applied: u64) -> Result<Option<Checkpoint>, ProjectionError> {
        let mut connection = self.connection().await?;
        let mut invocation = self.confirming.key(self.keys.checkpoint());
        invocation.arg(applied).arg(CHECKPOINT_FIELDS);
        let fields = invocation.invoke_async(&mut connection).await;
        let fields: Vec<Option<String>> = self.done("reading the checkpoint", fields)?;
        self.asked = Instant::now();
        checkpoint(&fields)
    }

    /// After a while without trouble, or when another server is the master.
    async fn disturbed(&mut self) {
        let due = self.asked + self.config.check_interval;
        tokio::select! {
            () = tokio::time::sleep_until(due.into()), if self.server.is_open() => {}
            () = self.server.moved() => {}
        }
    }

    async fn apply(&mut self, batch: &Batch) -> Result<(), ProjectionError> {
        let key = self.keys.checkpoint();
        let spans = commands::spans(batch.after, batch.checkpoint, &batch.entries);
        let ttl = self.checkpoint_ttl;
        self.run_all(spans, &key, ttl).await
    }

    fn keeps(&self) -> Option<usize> {
        Some(self.config.window)
    }

    async fn fill(&mut self, filling: &Filling) -> Result<(), ProjectionError> {
        self.apply_filling(filling).await
    }

    async fn filled(&mut self, filling: &Filling) -> Result<(), ProjectionError> {
        self.finish_filling(filling).await
    }

    async fn clear(&mut self) -> Result<(), ProjectionError> {
        let mut connection = self.connection().await?;
        // First, so that a clear that is cut short leaves nothing that claims to be complete.
        let mut command = ::redis::cmd("UNLINK");
        command.arg(self.keys.checkpoint());
        let gone = command.query_async(&mut connection).await;
        self.done::<()>("removing the checkpoint", gone)?;
        let mut cursor = 0_u64;
        loop {
            let (next, keys) = self.scan(cursor, "").await?;
            if !keys.is_empty() {
                let mut command = ::redis::cmd("UNLINK");
                command.arg(&keys);
                let gone = command.query_async(&mut connection).await;
                self.done::<()>("removing keys", gone)?;
            }
            if next == 0 {
                break;
            }
            cursor = next;
        }
        // A daemon may have begun anew meanwhile, with keys that were removed behind its back.
        let mut connection = self.connection().await?;
        let mut command = ::redis::cmd("UNLINK");
        command.arg(self.keys.checkpoint());
        let gone = command.query_async(&mut connection).await;
        self.done::<()>("removing the checkpoint", gone)
    }
}

const CHECKPOINT_FIELDS: &[&str] = &["log_id", "epoch", "seq", "updated_at"];

/// The checkpoint of its fields; none when it is not there.
fn checkpoint(fields: &[Option<String>]) -> Result<Option<Checkpoint>, ProjectionError> {
    let [Some(log_id), Some(epoch), Some(seq), Some(updated_at)] = fields else {
        return Ok(None);
    };
    let parsed = || {
        Some(Checkpoint {
            identity: Identity {
                log_id: log_id.parse::<LogId>().ok()?,
                epoch: epoch.parse().ok()?,
            },
            seq: Seq::new(seq.parse().ok()?)?,
            updated_at: updated_at.parse::<Timestamp>().ok()?,
        })
    };
    parsed().map(Some).ok_or_else(|| ProjectionError::Backend {
        projection: NAME,
        doing: "reading the checkpoint",
        class: Class::Corrupt,
        hint: Some(
            "somebody else writes under redis.prefix: telegram-gateway rebuild redis".to_owned(),
        ),
        source: "the checkpoint's fields are not what they should be".into(),
    })
}
