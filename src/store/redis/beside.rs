//! A cache that is built beside the one that readers see, under keys of its own, and shown in one step.
//!
//! What readers look at keeps its names: the new keys are renamed over the old ones, all in one script, so nobody sees a
//! window empty, half full, or older than before. What the new one has not got goes in the same step. A building that is
//! given up leaves keys that expire, and the next one removes them first.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ::redis::{FromRedisValue as _, Script, Value};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use wal::Seq;

use super::commands::{Part, Span};
use super::fill::spans;
use super::{Keys, NAME, Redis, class, verdict};
use crate::store::{
    Batch, Checkpoint, Entry, Filling, Projection, ProjectionError, ProjectionName,
};

/// Runs of the script that are on their way at once, where nothing but its rate matters.
const RUNS_ON_THE_WAY: usize = 4;

/// The cache that is built.
pub struct Beside {
    store: Redis,
    shown: Redis,
    /// All peers that it may have keys of.
    peers: BTreeSet<i64>,
}

/// What became of the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Readers see the new one.
    Done,
    /// What readers see has come further, to this number.
    Behind(u64),
}

impl Redis {
    /// Another one beside it, which readers do not see.
    pub fn beside(&self) -> Beside {
        let with = |keys: Keys, checkpoint_ttl: u64| Redis {
            keys,
            checkpoint_ttl,
            ..Redis::new(self.config.clone())
        };
        Beside {
            store: with(self.keys.next(), self.config.ttl.as_secs().max(1)),
            shown: with(self.keys.clone(), 0),
            peers: BTreeSet::new(),
        }
    }
}

impl Beside {
    /// Shows it, unless what readers see has come further. `forced` does not compare: the other one was fed with events
    /// that are not in the log.
    pub async fn switch(&mut self, forced: bool) -> Result<Switch, ProjectionError> {
        let surplus = self.shown.known_peers().await?;
        let surplus = surplus.difference(&self.peers);
        let mut connection = self.store.connection().await?;
        let script = Script::new(include_str!("switch.lua"));
        let mut invocation = script.prepare_invoke();
        invocation
            .key(self.shown.keys.checkpoint())
            .key(self.store.keys.checkpoint())
            .key(self.shown.keys.base())
            .key(self.store.keys.base())
            .arg(if forced { "forced" } else { "" })
            .arg(self.peers.len());
        for peer in self.peers.iter().chain(surplus) {
            invocation.arg(*peer);
        }
        let doing = "showing the new cache";
        let said = invocation.invoke_async(&mut connection).await;
        let said: Value = self.store.done(doing, said)?;
        let said = Vec::<String>::from_redis_value(said).map_err(Into::into);
        let said = self.store.done(doing, said)?;
        let word = |at: usize| said.get(at).map_or("", String::as_str);
        match word(0) {
            "ok" => Ok(Switch::Done),
            "behind" => Ok(Switch::Behind(word(1).parse().unwrap_or(0))),
            _ => Err(ProjectionError::CheckpointMoved {
                projection: NAME,
                found: 0,
                after: 0,
            }),
        }
    }

    /// Runs the script for all that these fillings have, one run close behind the other, put together before the clock
    /// starts: the ceiling that a bench measures a rebuild against. Returns how long the server took.
    pub async fn script_alone(
        &mut self,
        fillings: &[Filling],
    ) -> Result<Duration, ProjectionError> {
        let connection = self.store.connection().await?;
        let end = fillings.first().map_or(Seq::FIRST, |it| it.end.seq);
        let (key, ttl) = (
            self.store.keys.filling(end),
            self.store.config.ttl.as_secs(),
        );
        let parts = fillings.iter().flat_map(spans).map(Span::part);
        let parts: Vec<Part> = parts.collect();
        let invocations = parts
            .iter()
            .map(|part| self.store.invocation(part, &key, ttl));
        let invocations: Vec<_> = invocations.collect();
        let loaded = self.store.script.load_async(&mut connection.clone()).await;
        let doing = "running the script alone";
        loaded.map_err(|error| class::backend(doing, error))?;
        let begun = Instant::now();
        let said = stream::iter(&invocations).map(|invocation| {
            let mut connection = connection.clone();
            async move { invocation.invoke_async::<Value>(&mut connection).await }
        });
        let said: Vec<Value> = said
            .buffered(RUNS_ON_THE_WAY)
            .try_collect()
            .await
            .map_err(|error| class::backend(doing, error))?;
        let took = begun.elapsed();
        for (said, part) in said.into_iter().zip(&parts) {
            verdict(said, part)?;
        }
        Ok(took)
    }

    /// A cache that leaves something out is not shown.
    fn take(&mut self, entries: &[Entry]) -> Result<(), ProjectionError> {
        for entry in entries {
            match entry {
                Entry::Event(envelope) => {
                    self.peers.extend(envelope.event.peer.map(|it| it.marked()));
                }
                Entry::Poison(poison) => {
                    return Err(ProjectionError::Refused {
                        projection: NAME,
                        seq: poison.seq,
                        reason: poison.reason.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

impl Projection for Beside {
    fn name(&self) -> ProjectionName {
        NAME
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, ProjectionError> {
        self.store.checkpoint().await
    }

    async fn apply(&mut self, batch: &Batch) -> Result<(), ProjectionError> {
        self.take(&batch.entries)?;
        self.store.apply(batch).await
    }

    fn keeps(&self) -> Option<usize> {
        self.store.keeps()
    }

    async fn fill(&mut self, filling: &Filling) -> Result<(), ProjectionError> {
        self.take(&filling.entries)?;
        if let Err(error) = self.store.need_room(&filling.entries).await {
            // What there is of it by now is of no use.
            self.clear().await?;
            return Err(error);
        }
        self.store.fill(filling).await
    }

    async fn filled(&mut self, filling: &Filling) -> Result<(), ProjectionError> {
        self.store.filled(filling).await
    }

    async fn clear(&mut self) -> Result<(), ProjectionError> {
        self.peers.clear();
        self.store.clear().await
    }
}
