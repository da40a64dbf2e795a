//! The cache projection: the newest messages of each peer in Redis. Losing it means "refill from the log".
//!
//! | file | what |
//! |---|---|
//! | `keys` | every key and field there is |
//! | `commands` | batches to script arguments: pure |
//! | `text` | values that hold more than one thing, both ways: pure |
//! | `apply.lua` | guards by rank and seq, the window, and the checkpoint, in one run |
//! | `model` | what the cache must hold after some events: pure |
//! | `quarantine` | looking at the quarantine, and trying again what is in it |
//! | `read` | reading all of it back, for `verify` |
//! | `forget` | taking a peer out, for `verify --repair` |
//! | `class` | every error of the library, classed in one place |
//!
//! Rows and checkpoint are written by one script run, so a replica that takes over has both of the same moment. It may
//! lack the last acknowledged writes: then its checkpoint is below where the next batch begins, the batch is refused
//! (`CheckpointMoved`), and the projector goes on from what the server really has.

mod class;
mod commands;
mod forget;
mod keys;
mod model;
mod quarantine;
mod read;
mod text;

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{AsyncConnectionConfig, Client, FromRedisValue, IntoConnectionInfo, Script, Value};
use wal::{Identity, LogId, Seq};

pub use keys::Keys;
pub use model::{Cache, Fields, Model, Peer};

use crate::config;
use crate::event::Timestamp;
use crate::failure::Class;
use crate::store::{Batch, Checkpoint, Projection, ProjectionError, ProjectionName};
use commands::Part;

/// Records that could not be applied, of which the reason is kept.
const QUARANTINE_MAX: usize = 1000;
/// A server that is saving or loading answers late; the library's own half second would call that a failure and leave
/// the outcome unknown.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Keys looked at, or removed, by one command.
const KEYS_PER_COMMAND: usize = 500;

const NAME: ProjectionName = ProjectionName::Redis;

/// The projection.
pub struct Redis {
    config: config::Redis,
    keys: Keys,
    script: Script,
    connection: Option<MultiplexedConnection>,
}

impl Redis {
    /// A projection that is not connected yet.
    pub fn new(config: config::Redis) -> Redis {
        Redis {
            keys: Keys::new(&config.prefix),
            config,
            script: Script::new(include_str!("redis/apply.lua")),
            connection: None,
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
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connection = connect(&self.config).await?;
        Ok(self.connection.insert(connection).clone())
    }

    /// After an error the connection is not used again: whether its last command was carried out is unknown.
    fn done<T>(
        &mut self,
        doing: &'static str,
        result: ::redis::RedisResult<T>,
    ) -> Result<T, ProjectionError> {
        result.map_err(|error| {
            self.connection = None;
            class::backend(doing, error)
        })
    }

    async fn run(
        &mut self,
        part: &Part,
        identity: Option<Identity>,
    ) -> Result<(), ProjectionError> {
        let mut connection = self.connection().await?;
        let mut invocation = self.script.prepare_invoke();
        invocation.key(self.keys.checkpoint()).key(self.keys.base());
        match (&part.checkpoint, identity) {
            (Some(checkpoint), Some(identity)) => {
                invocation
                    .arg(identity.log_id.to_string())
                    .arg(identity.epoch)
                    .arg(part.after)
                    .arg(checkpoint.seq.get())
                    .arg(checkpoint.updated_at.to_string());
            }
            _ => {
                invocation.arg("").arg("").arg("").arg("").arg("");
            }
        }
        invocation
            .arg(self.config.ttl.as_secs().max(1))
            .arg(self.config.window)
            .arg(QUARANTINE_MAX);
        for arg in &part.args.0 {
            invocation.arg(&arg[..]);
        }
        let said: ::redis::RedisResult<Value> = invocation.invoke_async(&mut connection).await;
        let said = self.done("applying a batch", said)?;
        let said: Vec<String> = self.done(
            "applying a batch",
            Vec::from_redis_value(said).map_err(Into::into),
        )?;
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
                ours: identity.map_or_else(String::new, |identity| {
                    format!("{} epoch {}", identity.log_id, identity.epoch)
                }),
            }),
        }
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
        checkpoint(&fields)
    }

    async fn apply(&mut self, batch: &Batch) -> Result<(), ProjectionError> {
        let identity = batch.checkpoint.map(|checkpoint| checkpoint.identity);
        for part in commands::parts(batch) {
            self.run(&part, identity).await?;
        }
        Ok(())
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

async fn connect(config: &config::Redis) -> Result<MultiplexedConnection, ProjectionError> {
    let doing = "connecting";
    let info = config
        .url
        .expose()
        .into_connection_info()
        .map_err(|_| class::address())?;
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    let info = info
        .set_tcp_settings(TcpSettings::default().set_nodelay(true))
        .set_redis_settings(settings);
    let client = Client::open(info).map_err(|_| class::address())?;
    let limits = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(ANSWER_LIMIT));
    client
        .get_multiplexed_async_connection_with_config(&limits)
        .await
        .map_err(|error| class::backend(doing, error))
}
