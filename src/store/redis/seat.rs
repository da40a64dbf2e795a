//! The seat at Redis: a key that expires. One that a wipe or a failover takes is free, for whoever asks first.

use ::redis::Script;

use super::Redis;
use crate::config;
use crate::store::ProjectionError;
use crate::store::seat::{LIFE, Seat};

/// The seat, over a connection of its own.
pub struct RedisSeat {
    store: Redis,
    script: Script,
    /// Who asks: another one in each process.
    holder: String,
}

impl RedisSeat {
    /// Not taken yet.
    pub fn new(config: config::Redis) -> RedisSeat {
        RedisSeat {
            store: Redis::new(config),
            script: Script::new(include_str!("seat.lua")),
            holder: format!("{}-{:032x}", std::process::id(), fastrand::u128(..)),
        }
    }

    async fn ask(&mut self, seconds: u64) -> Result<bool, ProjectionError> {
        let mut connection = self.store.connection().await?;
        let mut invocation = self.script.prepare_invoke();
        invocation
            .key(self.store.keys.seat())
            .arg(&self.holder)
            .arg(seconds);
        let said = invocation.invoke_async(&mut connection).await;
        self.store.done("taking the seat", said)
    }
}

impl Seat for RedisSeat {
    async fn hold(&mut self) -> Result<bool, ProjectionError> {
        self.ask(LIFE.as_secs()).await
    }

    async fn leave(&mut self) {
        let _ = self.ask(0).await;
    }
}
