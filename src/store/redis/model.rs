//! What the cache must hold after some events: the pure twin of `apply.lua`, for `verify` and the tests.

use std::collections::{BTreeMap, BTreeSet};

use super::commands::{Group, channel_groups, seen, state_groups};
use super::text::{content_text, quarantine_text, seen_member};
use crate::store::Entry;
use crate::store::rows::Rows;

/// Parts of a message or a channel, by name.
pub type Fields = BTreeMap<String, String>;

/// What is kept of one peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// The messages of the window by id. The window's ids are its keys.
    pub messages: BTreeMap<i64, Fields>,
    /// The contents seen.
    pub seen: BTreeSet<String>,
}

/// The whole cache, but for TTLs and checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cache {
    /// Each peer with messages.
    pub peers: BTreeMap<i64, Peer>,
    /// Each peer whose name is known.
    pub channels: BTreeMap<i64, Fields>,
    /// Records that could not be applied.
    pub quarantine: BTreeMap<u64, String>,
}

/// Builds a [`Cache`] from events in any order.
#[derive(Debug, Clone)]
pub struct Model {
    cache: Cache,
    window: usize,
    quarantine_max: usize,
}

impl Model {
    /// An empty cache that keeps so many messages of each peer.
    pub fn new(window: usize) -> Model {
        Model {
            cache: Cache::default(),
            window,
            quarantine_max: super::QUARANTINE_MAX,
        }
    }

    /// Takes entries in.
    pub fn merge(&mut self, entries: &[Entry]) {
        let rows = Rows::of(entries);
        for row in &rows.messages {
            let fields = self.message(row.peer_id, row.message_id);
            if older(fields, "rank", row.rank) {
                fields.insert("content".to_owned(), content_text(row));
                fields.insert("rank".to_owned(), row.rank.to_string());
            }
            let first = fields.get("first_seq").and_then(|it| it.parse().ok());
            if first.is_none_or(|first: i64| row.first_seq < first) {
                fields.insert("received_at".to_owned(), row.received_at.to_string());
                fields.insert("first_seq".to_owned(), row.first_seq.to_string());
            }
        }
        for row in &rows.states {
            let groups = state_groups(row);
            merge(self.message(row.peer_id, row.message_id), groups);
        }
        for (peer, members) in seen(entries) {
            let kept = self.cache.peers.entry(peer).or_default();
            let members = members
                .into_iter()
                .map(|(id, stamp)| seen_member(id, stamp));
            kept.seen.extend(members);
        }
        for row in &rows.channel_names {
            let fields = self.cache.channels.entry(row.peer_id).or_default();
            merge(fields, channel_groups(row));
        }
        for poison in &rows.quarantine {
            let text = quarantine_text(poison);
            self.cache.quarantine.insert(poison.seq.get(), text);
        }
        self.trim();
    }

    /// The cache as it must be.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    fn message(&mut self, peer: i64, id: i64) -> &mut Fields {
        let peer = self.cache.peers.entry(peer).or_default();
        peer.messages.entry(id).or_default()
    }

    fn trim(&mut self) {
        for peer in self.cache.peers.values_mut() {
            while peer.messages.len() > self.window {
                peer.messages.pop_first();
            }
            let floor = peer.messages.keys().next().copied().unwrap_or(i64::MIN);
            peer.seen.retain(|member| {
                let id = member.split(':').next().and_then(|id| id.parse().ok());
                id.is_none_or(|id: i64| id >= floor)
            });
        }
        while self.cache.quarantine.len() > self.quarantine_max {
            self.cache.quarantine.pop_first();
        }
    }
}

fn older(fields: &Fields, seq_field: &str, seq: i64) -> bool {
    let stored = fields.get(seq_field).and_then(|it| it.parse().ok());
    stored.is_none_or(|stored: i64| stored < seq)
}

fn merge(fields: &mut Fields, groups: Vec<Group>) {
    for group in groups {
        if older(fields, group.seq_field, group.seq) {
            fields.insert(group.field.to_owned(), group.value);
            fields.insert(group.seq_field.to_owned(), group.seq.to_string());
        }
    }
}
