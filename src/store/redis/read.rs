//! Reading the cache back, for `verify`.
//!
//! The cache is written while it is read. One command block reads some messages and the checkpoint together; a
//! reading counts only if the checkpoint was the same in all of its blocks. What expires meanwhile is missing, not
//! wrong.

use std::collections::{BTreeMap, BTreeSet};

use ::redis::Pipeline;

use super::text::message_fields;
use super::{CHECKPOINT_FIELDS, Cache, Fields, KEYS_PER_COMMAND, NAME, Peer, Redis, checkpoint};
use crate::failure::Class;
use crate::store::{Checkpoint, Projection, ProjectionError};

/// How often a reading is begun again because events were applied meanwhile.
const TRIES: usize = 5;

impl Redis {
    /// All of the cache, and the checkpoint it belongs to.
    pub async fn read(&mut self) -> Result<(Option<Checkpoint>, Cache), ProjectionError> {
        for _ in 0..TRIES {
            let before = self.checkpoint().await?;
            if let Some(cache) = self.read_at(before).await? {
                return Ok((before, cache));
            }
        }
        Err(ProjectionError::Backend {
            projection: NAME,
            doing: "reading the cache back",
            class: Class::Transient,
            hint: Some("stop the daemon, or try again when less is going on".to_owned()),
            source: "events were applied all the while".into(),
        })
    }

    /// All of the cache as it was at this checkpoint; none when it moved meanwhile.
    async fn read_at(&mut self, at: Option<Checkpoint>) -> Result<Option<Cache>, ProjectionError> {
        let mut cache = Cache::default();
        for peer in self.peers().await? {
            match self.read_peer(peer, at).await? {
                Some(found) => cache.peers.insert(peer, found),
                None => return Ok(None),
            };
        }
        cache.channels = self.read_channels().await?;
        let mut connection = self.connection().await?;
        let mut command = ::redis::cmd("ZRANGE");
        command
            .arg(self.keys.quarantine())
            .arg(0)
            .arg(-1)
            .arg("WITHSCORES");
        let poison = command.query_async(&mut connection).await;
        let poison: Vec<(String, u64)> = self.done("reading the quarantine", poison)?;
        cache.quarantine = poison.into_iter().map(|(text, seq)| (seq, text)).collect();
        Ok((self.checkpoint().await? == at).then_some(cache))
    }

    /// What is kept of the channels' names. The caller compares the checkpoint before and after.
    pub async fn read_channels(&mut self) -> Result<BTreeMap<i64, Fields>, ProjectionError> {
        let mut connection = self.connection().await?;
        let mut command = ::redis::cmd("SMEMBERS");
        command.arg(self.keys.channels());
        let peers = command.query_async(&mut connection).await;
        let peers: Vec<i64> = self.done("reading channels", peers)?;
        let mut channels = BTreeMap::new();
        for peer in peers {
            let mut command = ::redis::cmd("HGETALL");
            command.arg(self.keys.channel(peer));
            let fields = command.query_async(&mut connection).await;
            let fields: Fields = self.done("reading channels", fields)?;
            channels.insert(peer, fields);
        }
        Ok(channels)
    }

    /// The peers that have messages in the cache, in order.
    pub async fn peers(&mut self) -> Result<Vec<i64>, ProjectionError> {
        let prefix = self.keys.base().len() + "recent:".len();
        let mut peers = Vec::new();
        let mut cursor = 0;
        loop {
            let (next, keys) = self.scan(cursor, "recent:").await?;
            peers.extend(
                keys.iter()
                    .filter_map(|key| key.get(prefix..)?.parse::<i64>().ok()),
            );
            if next == 0 {
                // SCAN may give a key more than once.
                peers.sort_unstable();
                peers.dedup();
                return Ok(peers);
            }
            cursor = next;
        }
    }

    /// The peers that have any key.
    pub(super) async fn known_peers(&mut self) -> Result<BTreeSet<i64>, ProjectionError> {
        let (mut peers, mut cursor) = (BTreeSet::new(), 0);
        loop {
            let (next, keys) = self.scan(cursor, "").await?;
            let names = keys.iter().filter_map(|key| {
                let (kind, peer) = key.get(self.keys.base().len()..)?.split_once(':')?;
                let of_peer = matches!(kind, "msg" | "recent" | "seen" | "channel");
                peer.parse::<i64>().ok().filter(|_| of_peer)
            });
            peers.extend(names);
            if next == 0 {
                return Ok(peers);
            }
            cursor = next;
        }
    }

    /// What is kept of a peer, as it was at this checkpoint; none when the checkpoint is another one by now.
    pub async fn read_peer(
        &mut self,
        peer: i64,
        at: Option<Checkpoint>,
    ) -> Result<Option<Peer>, ProjectionError> {
        let mut connection = self.connection().await?;
        let mut found = Peer::default();
        let mut block = self.block();
        block
            .cmd("ZRANGE")
            .arg(self.keys.recent(peer))
            .arg(0)
            .arg(-1);
        block.cmd("ZRANGE").arg(self.keys.seen(peer)).arg(0).arg(-1);
        let answer = block.query_async(&mut connection).await;
        let (fields, ids, seen): (Vec<Option<String>>, Vec<i64>, Vec<String>) =
            self.done("reading a window", answer)?;
        if checkpoint(&fields)? != at {
            return Ok(None);
        }
        found.seen.extend(seen);
        for ids in ids.chunks(KEYS_PER_COMMAND) {
            let mut block = self.block();
            let fields = ids
                .iter()
                .flat_map(|id| [id.to_string(), format!("{id}:state")]);
            block
                .cmd("HMGET")
                .arg(self.keys.messages(peer))
                .arg(fields.collect::<Vec<_>>());
            let answer = block.query_async(&mut connection).await;
            let (fields, values): (Vec<Option<String>>, Vec<Option<String>>) =
                self.done("reading messages", answer)?;
            if checkpoint(&fields)? != at {
                return Ok(None);
            }
            let mut values = values.into_iter();
            for id in ids {
                let (message, state) = (values.next().flatten(), values.next().flatten());
                let fields = message_fields(message, state.as_deref());
                found.messages.insert(*id, fields);
            }
        }
        Ok(Some(found))
    }

    /// A command block that begins by reading the checkpoint.
    fn block(&self) -> Pipeline {
        let mut block = ::redis::pipe();
        block.atomic();
        block
            .cmd("HMGET")
            .arg(self.keys.checkpoint())
            .arg(CHECKPOINT_FIELDS);
        block
    }

    /// Some of our keys, and the cursor for the next ones (0 at the end).
    pub(super) async fn scan(
        &mut self,
        cursor: u64,
        what: &str,
    ) -> Result<(u64, Vec<String>), ProjectionError> {
        let mut connection = self.connection().await?;
        let mut command = ::redis::cmd("SCAN");
        command
            .arg(cursor)
            .arg("MATCH")
            .arg(self.keys.pattern(what));
        command.arg("COUNT").arg(KEYS_PER_COMMAND);
        let answer = command.query_async(&mut connection).await;
        let (next, mut keys): (u64, Vec<String>) = self.done("looking for keys", answer)?;
        keys.retain(|key| key.starts_with(self.keys.base()));
        Ok((next, keys))
    }
}
