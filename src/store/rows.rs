//! Events to rows: the pure heart of every projection.
//!
//! State merges like this, so that any order, any repetition and any part of the log give the same result (I6):
//!
//! - **Content** of a message (all of `messages` that comes with a post or an edit) is one group; the event of the
//!   highest [`rank`](MessageRow::rank) wins. A rank is the event's seq, lowered by [`IMPORT_RANK`] for imports, so an
//!   export never overwrites what Telegram itself sent, whatever came first.
//! - **State** that comes alone and without a date (deletion, pin, counters, poll) lives beside the content, each part
//!   with the seq that wrote it; the highest wins. It needs no knowledge of the content, so a deletion that arrives
//!   before its message is a tombstone that the message cannot revive.
//! - **Versions**, channel names, gaps and their ends are sets keyed by seq.
//! - `first_seq` is the lowest seq that carried content; `received_at` belongs to it.

use std::collections::BTreeMap;

use super::{Entry, Poison};
use crate::event::{Body, Changed, Envelope, GapBounds, Json, Message, Poll, Reaction, Timestamp};

pub use crate::event::clean;

/// Subtracted from the seq of an import to get its rank. Exact in the doubles of Redis' Lua.
pub const IMPORT_RANK: i64 = 1 << 52;

/// The content of a message: one row of the base table.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the columns are documented by the contract
pub struct MessageRow {
    pub peer_id: i64,
    pub message_id: i64,
    pub posted_at: Timestamp,
    /// Decides between two contents; see the module.
    pub rank: i64,
    pub seq: i64,
    pub first_seq: i64,
    pub received_at: Timestamp,
    pub kind: &'static str,
    pub edited_at: Option<Timestamp>,
    pub origin: &'static str,
    pub sender_id: Option<i64>,
    pub sender_name: Option<String>,
    pub post_author: Option<String>,
    pub text: String,
    pub entities: Option<Json>,
    pub reply_to_message_id: Option<i64>,
    pub reply_to_peer_id: Option<i64>,
    pub topic_id: Option<i64>,
    pub grouped_id: Option<i64>,
    pub forward: Option<Json>,
    pub via_bot: Option<String>,
    pub media_kind: Option<&'static str>,
    pub media: Option<Json>,
    pub views: Option<i64>,
    pub forwards: Option<i64>,
    pub reactions: Option<Json>,
    pub poll: Option<Json>,
    pub buttons: Option<Json>,
    pub pinned: bool,
    pub service: Option<Json>,
    /// This content is a version that a reader could have seen, so its [`VersionRow`] can be read from this row.
    pub versioned: bool,
    /// What that version changed; none for a post.
    pub changed: Option<Json>,
}

/// A value and the seq that wrote it.
pub type Stamped<T> = Option<(i64, T)>;

/// What is known of a message apart from its content: one row of the state table.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)] // the columns are documented by the contract
pub struct StateRow {
    pub peer_id: i64,
    pub message_id: i64,
    pub deleted_at: Stamped<Timestamp>,
    pub pinned: Stamped<bool>,
    pub views: Stamped<i64>,
    pub forwards: Stamped<i64>,
    pub reactions: Stamped<Json>,
    pub poll: Stamped<Json>,
}

/// A version of a message that a reader could have seen.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the columns are documented by the contract
pub struct VersionRow {
    pub peer_id: i64,
    pub message_id: i64,
    pub seq: i64,
    pub posted_at: Timestamp,
    pub edited_at: Option<Timestamp>,
    pub text: String,
    pub entities: Option<Json>,
    pub media: Option<Json>,
    pub changed: Option<Json>,
}

/// What a channel was called at one moment.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the columns are documented by the contract
pub struct ChannelNameRow {
    pub peer_id: i64,
    pub seq: i64,
    pub kind: String,
    pub title: Option<String>,
    pub username: Option<String>,
    pub migrated_from: Option<i64>,
    pub seen_at: Timestamp,
}

/// A missing range of Telegram's sequence.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the columns are documented by the contract
pub struct GapRow {
    pub seq: i64,
    pub peer_id: Option<i64>,
    pub cause: &'static str,
    pub after_pts: Option<i64>,
    pub until_pts: Option<i64>,
    pub after_message_id: Option<i64>,
    pub until_message_id: Option<i64>,
    pub noticed_at: Timestamp,
}

impl GapRow {
    /// What tells it from other gaps of its peer.
    pub fn bounds(&self) -> GapBounds {
        GapBounds {
            after_pts: self.after_pts,
            until_pts: self.until_pts,
            after_message_id: self.after_message_id,
            until_message_id: self.until_message_id,
        }
    }
}

/// The end of the search for what a missing range hides.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the columns are documented by the contract
pub struct GapClosingRow {
    pub seq: i64,
    pub peer_id: Option<i64>,
    pub gap: GapBounds,
    pub outcome: &'static str,
    pub found: i64,
    pub closed_at: Timestamp,
}

/// Everything a batch writes, each key once, in key order (so that two writers cannot deadlock).
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)] // the names say it
pub struct Rows {
    pub messages: Vec<MessageRow>,
    pub states: Vec<StateRow>,
    /// The versions that are not the content of this batch; the others are read from their [`MessageRow`].
    pub versions: Vec<VersionRow>,
    pub channel_names: Vec<ChannelNameRow>,
    pub gaps: Vec<GapRow>,
    pub gap_closings: Vec<GapClosingRow>,
    pub quarantine: Vec<Poison>,
}

impl Rows {
    /// The rows of a batch.
    pub fn of(entries: &[Entry]) -> Rows {
        let mut messages = BTreeMap::<(i64, i64, Timestamp), MessageRow>::new();
        let mut states = BTreeMap::<(i64, i64), StateRow>::new();
        let mut versions = BTreeMap::<(i64, i64, i64), VersionRow>::new();
        let mut rows = Rows::default();
        for entry in entries {
            let envelope = match entry {
                Entry::Event(envelope) => envelope,
                Entry::Poison(poison) => {
                    rows.quarantine.push(Poison {
                        reason: clean(&poison.reason),
                        ..poison.clone()
                    });
                    continue;
                }
            };
            match Change::of(envelope) {
                Change::Content(row) => {
                    let key = (row.peer_id, row.message_id, row.posted_at);
                    match messages.entry(key) {
                        std::collections::btree_map::Entry::Vacant(slot) => {
                            slot.insert(*row);
                        }
                        std::collections::btree_map::Entry::Occupied(mut slot) => {
                            if let Some(version) = slot.get_mut().merge(*row) {
                                let key = (version.peer_id, version.message_id, version.seq);
                                versions.insert(key, version);
                            }
                        }
                    }
                }
                Change::State(row) => {
                    states
                        .entry((row.peer_id, row.message_id))
                        .or_default()
                        .merge(*row);
                }
                Change::ChannelName(row) => rows.channel_names.push(row),
                Change::Gap(row) => rows.gaps.push(row),
                Change::GapClosing(row) => rows.gap_closings.push(row),
                Change::Nothing => {}
            }
        }
        rows.messages = messages.into_values().collect();
        rows.states = states.into_values().collect();
        rows.versions = versions.into_values().collect();
        rows
    }

    /// Leaves out what a store does not keep that has messages from this date on only. State has no date, and shows
    /// nothing without its message.
    pub fn keep_since(&mut self, since: Option<Timestamp>) {
        if let Some(since) = since {
            self.messages.retain(|row| row.posted_at >= since);
            self.versions.retain(|row| row.posted_at >= since);
        }
    }
}

/// What one event changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Content.
    Content(Box<MessageRow>),
    /// State beside the content.
    State(Box<StateRow>),
    /// A channel's name.
    ChannelName(ChannelNameRow),
    /// A gap.
    Gap(GapRow),
    /// The end of one.
    GapClosing(GapClosingRow),
    /// Nothing that the stores show.
    Nothing,
}

impl Change {
    /// The change of an event.
    pub fn of(envelope: &Envelope) -> Change {
        let seq = seq_of(envelope);
        let event = &envelope.event;
        let Some(peer) = event.peer else {
            return Change::gap(envelope);
        };
        let peer_id = peer.marked();
        let state = |message_id: i64, fill: &dyn Fn(&mut StateRow)| {
            let mut row = StateRow {
                peer_id,
                message_id,
                ..StateRow::default()
            };
            fill(&mut row);
            Change::State(Box::new(row))
        };
        match &event.body {
            Body::Posted(message) => Change::content(envelope, peer_id, message, None),
            Body::Edited { message, changed } => {
                Change::content(envelope, peer_id, message, Some(*changed))
            }
            Body::Deleted { message_id } => state(*message_id, &|row| {
                row.deleted_at = Some((seq, envelope.received_at));
            }),
            Body::Pinned { message_id, pinned } => {
                state(*message_id, &|row| row.pinned = Some((seq, *pinned)))
            }
            Body::Counters {
                message_id,
                views,
                forwards,
                reactions,
            } => state(*message_id, &|row| {
                row.views = views.map(|n| (seq, n));
                row.forwards = forwards.map(|n| (seq, n));
                row.reactions = reactions.as_deref().map(|list| (seq, reactions_json(list)));
            }),
            Body::Poll { message_id, poll } => {
                state(*message_id, &|row| row.poll = Some((seq, poll_json(poll))))
            }
            Body::Channel(info) => Change::ChannelName(ChannelNameRow {
                peer_id,
                seq,
                kind: clean(&info.kind),
                title: info.title.as_deref().map(clean),
                username: info.username.as_deref().map(clean),
                migrated_from: info.migrated_from.map(crate::event::PeerId::marked),
                seen_at: info.at.unwrap_or(envelope.received_at),
            }),
            Body::Gap(_) | Body::GapClosed(_) => Change::gap(envelope),
            Body::SourceState { .. } | Body::Unknown { .. } => Change::Nothing,
        }
    }

    /// Gaps and their ends, which may be of no channel.
    fn gap(envelope: &Envelope) -> Change {
        let seq = seq_of(envelope);
        let peer_id = envelope.event.peer.map(crate::event::PeerId::marked);
        match &envelope.event.body {
            Body::Gap(gap) => Change::Gap(GapRow {
                seq,
                peer_id,
                cause: gap.cause.as_str(),
                after_pts: gap.after_pts,
                until_pts: gap.until_pts,
                after_message_id: gap.after_message_id,
                until_message_id: gap.until_message_id,
                noticed_at: envelope.received_at,
            }),
            Body::GapClosed(closed) => Change::GapClosing(GapClosingRow {
                seq,
                peer_id,
                gap: closed.gap,
                outcome: closed.outcome.as_str(),
                found: closed.found,
                closed_at: envelope.received_at,
            }),
            _ => Change::Nothing,
        }
    }

    fn content(
        envelope: &Envelope,
        peer_id: i64,
        message: &Message,
        edit: Option<Changed>,
    ) -> Change {
        let mut row = MessageRow::of(envelope, peer_id, message);
        row.versioned = edit.is_none_or(Changed::is_visible);
        row.changed = edit
            .filter(|changed| changed.is_visible())
            .map(|changed| Json::of(&changed.names()));
        Change::Content(Box::new(row))
    }
}

impl MessageRow {
    fn of(envelope: &Envelope, peer_id: i64, message: &Message) -> MessageRow {
        let seq = seq_of(envelope);
        let origin = envelope.event.origin;
        let rank = if origin.is_authoritative() {
            seq
        } else {
            seq - IMPORT_RANK
        };
        MessageRow {
            peer_id,
            message_id: message.id,
            posted_at: message.posted_at,
            rank,
            seq,
            first_seq: seq,
            received_at: envelope.received_at,
            kind: if message.service.is_some() {
                "service"
            } else {
                "message"
            },
            edited_at: message.edited_at.filter(|_| !message.edit_hidden),
            origin: origin.as_str(),
            sender_id: message.sender.map(crate::event::PeerId::marked),
            sender_name: message.sender_name.as_deref().map(clean),
            post_author: message.post_author.as_deref().map(clean),
            text: clean(&message.text),
            entities: list_json(&message.entities),
            reply_to_message_id: message.reply_to.as_ref().map(|reply| reply.message_id),
            reply_to_peer_id: message
                .reply_to
                .as_ref()
                .and_then(|reply| reply.peer)
                .map(crate::event::PeerId::marked),
            topic_id: message.topic_id,
            grouped_id: message.grouped_id,
            forward: message.forward.as_ref().map(Json::of),
            via_bot: message.via_bot.as_deref().map(clean),
            media_kind: message.media.as_ref().map(|media| media.kind.as_str()),
            media: message.media.as_ref().map(Json::of),
            views: message.views,
            forwards: message.forwards,
            reactions: message.reactions.as_deref().map(reactions_json),
            poll: message.poll.as_ref().map(poll_json),
            buttons: list_json(&message.buttons),
            pinned: message.pinned,
            service: message.service.as_ref().map(Json::of),
            versioned: false,
            changed: None,
        }
    }

    /// Whether it is a post that no edit of its batch has changed.
    pub(super) fn is_post(&self) -> bool {
        self.versioned && self.changed.is_none()
    }

    /// The version that this content is, if a reader can tell it from the one before.
    pub fn version(&self) -> Option<VersionRow> {
        self.versioned.then(|| VersionRow {
            peer_id: self.peer_id,
            message_id: self.message_id,
            seq: self.seq,
            posted_at: self.posted_at,
            edited_at: self.edited_at,
            text: self.text.clone(),
            entities: self.entities.clone(),
            media: self.media.clone(),
            changed: self.changed.clone(),
        })
    }

    /// Merges another content of the same message into this one; returns the version that the loser is.
    pub fn merge(&mut self, mut other: MessageRow) -> Option<VersionRow> {
        let (first_seq, received_at) = if other.first_seq < self.first_seq {
            (other.first_seq, other.received_at)
        } else {
            (self.first_seq, self.received_at)
        };
        if other.rank > self.rank {
            std::mem::swap(self, &mut other);
        }
        self.first_seq = first_seq;
        self.received_at = received_at;
        other.version().filter(|version| version.seq != self.seq)
    }
}

impl StateRow {
    /// Merges more state of the same message into this one.
    pub fn merge(&mut self, other: StateRow) {
        self.peer_id = other.peer_id;
        self.message_id = other.message_id;
        later(&mut self.deleted_at, other.deleted_at);
        later(&mut self.pinned, other.pinned);
        later(&mut self.views, other.views);
        later(&mut self.forwards, other.forwards);
        later(&mut self.reactions, other.reactions);
        later(&mut self.poll, other.poll);
    }

    /// The highest seq that wrote any of it.
    pub fn seq(&self) -> i64 {
        [
            seq_part(&self.deleted_at),
            seq_part(&self.pinned),
            seq_part(&self.views),
            seq_part(&self.forwards),
            seq_part(&self.reactions),
            seq_part(&self.poll),
        ]
        .into_iter()
        .max()
        .unwrap_or(0)
    }
}

fn seq_part<T>(value: &Stamped<T>) -> i64 {
    value.as_ref().map_or(0, |(seq, _)| *seq)
}

pub(super) fn later<T>(mine: &mut Stamped<T>, other: Stamped<T>) {
    if seq_part(&other) > seq_part(mine) {
        *mine = other;
    }
}

fn seq_of(envelope: &Envelope) -> i64 {
    // A log at a million events a second reaches 2^63 in 292,000 years.
    i64::try_from(envelope.seq.get()).unwrap_or(i64::MAX)
}

fn reactions_json(reactions: &[Reaction]) -> Json {
    Json::of(reactions)
}

fn poll_json(poll: &Poll) -> Json {
    Json::of(poll)
}

fn list_json<T: serde::Serialize>(list: &[T]) -> Option<Json> {
    (!list.is_empty()).then(|| Json::of(list))
}
