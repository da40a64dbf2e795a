//! One update.

use grammers_tl_types as tl;
use grammers_tl_types::Serializable;

use super::message::{self, peer, peer_of};
use super::{Draft, Normaliser, layered, parts, service};
use crate::event::{Body, Changed, Message, PeerId, PeerKind, Raw};
use crate::source::telegram::driver::Seen;
use crate::source::telegram::index::Print;

impl Normaliser {
    /// Reads an update. What is not mirrored, and what says nothing about messages or chats, is left out; its place in
    /// the sequence has counted already.
    pub(super) fn update(&mut self, seen: &Seen, draft: &mut Draft<'_>) {
        use tl::enums::Update as U;
        let stamp = seen.pts.map_or(0, i64::from);
        match &seen.update {
            U::NewMessage(it) => self.posted(&it.message, stamp, seen, draft),
            U::NewChannelMessage(it) => self.posted(&it.message, stamp, seen, draft),
            U::EditMessage(it) => self.edited(&it.message, stamp, seen, draft),
            U::EditChannelMessage(it) => self.edited(&it.message, stamp, seen, draft),
            U::DeleteMessages(it) => self.deleted_somewhere(&it.messages, seen, draft),
            U::DeleteChannelMessages(it) => {
                let peer = peer(PeerKind::Channel, it.channel_id);
                self.each(peer, &it.messages, 1, seen, draft, deleted);
            }
            U::PinnedMessages(it) => {
                let pin = |message_id| pinned(message_id, it.pinned);
                self.each(peer_of(&it.peer), &it.messages, stamp, seen, draft, pin);
            }
            U::PinnedChannelMessages(it) => {
                let peer = peer(PeerKind::Channel, it.channel_id);
                let pin = |message_id| pinned(message_id, it.pinned);
                self.each(peer, &it.messages, stamp, seen, draft, pin);
            }
            U::ChannelMessageViews(it) => {
                let peer = peer(PeerKind::Channel, it.channel_id);
                self.one(peer, counted(it.id, Some(it.views), None), seen, draft);
            }
            U::ChannelMessageForwards(it) => {
                let peer = peer(PeerKind::Channel, it.channel_id);
                self.one(peer, counted(it.id, None, Some(it.forwards)), seen, draft);
            }
            U::MessageReactions(it) => {
                let tl::enums::MessageReactions::Reactions(given) = &it.reactions;
                let body = reacted(it.msg_id, &given.results);
                self.one(peer_of(&it.peer), body, seen, draft);
            }
            U::BotMessageReactions(it) => {
                let body = reacted(it.msg_id, &it.reactions);
                self.one(peer_of(&it.peer), body, seen, draft);
            }
            U::MessagePoll(it) => self.poll(it, seen, draft),
            update => {
                if let Some((peer, message_id)) = kept_raw(update) {
                    self.unknown(peer, message_id, stamp, seen, draft);
                }
            }
        }
    }

    fn posted(
        &mut self,
        message: &tl::enums::Message,
        stamp: i64,
        seen: &Seen,
        draft: &mut Draft<'_>,
    ) {
        let Some((peer, message_id)) = self.place(message) else {
            return;
        };
        if let tl::enums::Message::Service(it) = message {
            self.grown(peer, it, draft);
        }
        if !self.follows(peer) {
            return;
        }
        match message::read(message, &draft.names) {
            Some((_, message)) => {
                let logged = draft.index.logged((peer, message.id));
                for body in news(logged, message) {
                    draft.tell(Some(peer), stamp, body, raw(seen));
                }
            }
            None => self.unknown(Some(peer), Some(message_id), stamp, seen, draft),
        }
    }

    fn edited(
        &mut self,
        message: &tl::enums::Message,
        stamp: i64,
        seen: &Seen,
        draft: &mut Draft<'_>,
    ) {
        let Some((peer, message_id)) = self.place(message) else {
            return;
        };
        if !self.follows(peer) {
            return;
        }
        match message::read(message, &draft.names) {
            Some((_, message)) => {
                let changed = draft.index.changed(peer, &message, stamp);
                let message = Box::new(message);
                let body = Body::Edited { message, changed };
                draft.tell(Some(peer), stamp, body, raw(seen));
            }
            None => self.unknown(Some(peer), Some(message_id), stamp, seen, draft),
        }
    }

    /// Where a message is. An empty one may tell its number alone.
    fn place(&self, message: &tl::enums::Message) -> Option<(PeerId, i64)> {
        let (peer, id) = message::place(message);
        Some((peer.or_else(|| self.index.place(id))?, id))
    }

    /// A message of either side says that a group has become a supergroup.
    fn grown(&mut self, peer: PeerId, message: &tl::types::MessageService, draft: &mut Draft<'_>) {
        let (group, channel) = match &message.action {
            tl::enums::MessageAction::ChatMigrateTo(it) => {
                (Some(peer), message::peer(PeerKind::Channel, it.channel_id))
            }
            tl::enums::MessageAction::ChannelMigrateFrom(it) => {
                (message::peer(PeerKind::Chat, it.chat_id), Some(peer))
            }
            _ => return,
        };
        if let (Some(group), Some(channel)) = (group, channel)
            && (group.kind(), channel.kind()) == (PeerKind::Chat, PeerKind::Channel)
        {
            self.migrated(group, channel, draft);
        }
    }

    /// Deletions in private chats and basic groups tell no peer. What is in no mirrored chat was never seen.
    fn deleted_somewhere(&self, ids: &[i32], seen: &Seen, draft: &mut Draft<'_>) {
        let mut raw = raw(seen);
        for id in ids.iter().copied().map(i64::from) {
            let peer = draft.index.place(id).filter(|peer| self.follows(*peer));
            if peer.is_some() {
                draft.tell(peer, 1, deleted(id), raw.take());
            }
        }
    }

    /// The same for each of some messages. The raw bytes stand with the first.
    fn each(
        &self,
        peer: Option<PeerId>,
        ids: &[i32],
        stamp: i64,
        seen: &Seen,
        draft: &mut Draft<'_>,
        body: impl Fn(i64) -> Body,
    ) {
        if peer.is_none_or(|peer| !self.follows(peer)) {
            return;
        }
        let mut raw = raw(seen);
        for id in ids.iter().copied().map(i64::from) {
            draft.tell(peer, stamp, body(id), raw.take());
        }
    }

    /// Something without a place in a sequence: the newest holds.
    fn one(&self, peer: Option<PeerId>, body: Body, seen: &Seen, draft: &mut Draft<'_>) {
        if peer.is_some_and(|peer| self.follows(peer)) {
            draft.tell(peer, 0, body, raw(seen));
        }
    }

    /// Results may come without the poll and without the message that carries it.
    fn poll(&self, it: &tl::types::UpdateMessagePoll, seen: &Seen, draft: &mut Draft<'_>) {
        let known = draft.index.poll(it.poll_id);
        let told = it.peer.as_ref().and_then(peer_of).zip(it.msg_id);
        let told = told.map(|(peer, id)| (peer, i64::from(id)));
        let Some((peer, message_id)) = told.or(known.as_ref().map(|poll| poll.at)) else {
            return;
        };
        let poll = it.poll.as_ref().or(known.as_ref().map(|known| &known.poll));
        match poll {
            Some(poll) => {
                let poll = Box::new(parts::poll(poll, &it.results));
                self.one(Some(peer), Body::Poll { message_id, poll }, seen, draft);
            }
            None => self.unknown(Some(peer), Some(message_id), 0, seen, draft),
        }
    }

    /// An update about a mirrored chat that the event model has no word for.
    fn unknown(
        &self,
        peer: Option<PeerId>,
        message_id: Option<i64>,
        stamp: i64,
        seen: &Seen,
        draft: &mut Draft<'_>,
    ) {
        if peer.is_some_and(|peer| !self.follows(peer)) {
            return;
        }
        let raw = seen.raw();
        let body = Body::Unknown {
            message_id,
            what: what(&seen.update, &raw),
        };
        draft.tell(peer, stamp, body, Some(layered(raw)));
    }
}

/// What a message that is told as it stands says beyond what the log has. A version that is there because of an edit
/// would not be recognised as the same by the key of its event.
fn news(logged: Option<Print>, message: Message) -> Vec<Body> {
    let told = Print::of(&message);
    let Some(logged) = logged.filter(|logged| logged.is_same_version(&told)) else {
        return vec![Body::Posted(Box::new(message))];
    };
    if logged.changed(&told) == Changed::default() {
        return Vec::new();
    }
    let message_id = message.id;
    let counters = Body::Counters {
        message_id,
        views: message.views,
        forwards: message.forwards,
        reactions: Some(message.reactions.unwrap_or_default()),
    };
    let poll = message.poll.map(|poll| Body::Poll {
        message_id,
        poll: Box::new(poll),
    });
    std::iter::once(counters).chain(poll).collect()
}

/// What could not be read: the message in a new-message update, or the update itself.
fn what(update: &tl::enums::Update, raw: &[u8]) -> String {
    let message = match update {
        tl::enums::Update::NewMessage(it) => Some(&it.message),
        tl::enums::Update::NewChannelMessage(it) => Some(&it.message),
        tl::enums::Update::EditMessage(it) => Some(&it.message),
        tl::enums::Update::EditChannelMessage(it) => Some(&it.message),
        _ => None,
    };
    let name = message.map_or_else(
        || service::name_of(raw),
        |it| service::name_of(&it.to_bytes()),
    );
    name.to_owned()
}

/// Updates that say something about a chat for which the event model has no word yet: kept as they are, for a better
/// reader. None for all that is about the account, about who reads and types, or told by other updates too.
#[allow(clippy::type_complexity)]
fn kept_raw(update: &tl::enums::Update) -> Option<(Option<PeerId>, Option<i64>)> {
    use tl::enums::Update as U;
    let channel = |id| peer(PeerKind::Channel, id).map(|peer| (Some(peer), None));
    let at = |it: &tl::enums::Peer, message: Option<i32>| {
        peer_of(it).map(|peer| (Some(peer), message.map(i64::from)))
    };
    match update {
        U::ChannelAvailableMessages(it) => channel(it.channel_id),
        U::ChannelWebPage(it) => channel(it.channel_id),
        U::MessageExtendedMedia(it) => at(&it.peer, Some(it.msg_id)),
        U::PinnedForumTopic(it) => at(&it.peer, None),
        U::PinnedForumTopics(it) => at(&it.peer, None),
        U::PeerHistoryTtl(it) => at(&it.peer, None),
        U::ChatDefaultBannedRights(it) => at(&it.peer, None),
        // Telegram speaks to the account: it may be a warning.
        U::ServiceNotification(_) => Some((None, None)),
        _ => None,
    }
}

fn raw(seen: &Seen) -> Option<Raw> {
    Some(layered(seen.raw()))
}

fn deleted(message_id: i64) -> Body {
    Body::Deleted { message_id }
}

fn pinned(message_id: i64, pinned: bool) -> Body {
    Body::Pinned { message_id, pinned }
}

fn counted(message_id: i32, views: Option<i32>, forwards: Option<i32>) -> Body {
    Body::Counters {
        message_id: i64::from(message_id),
        views: views.map(i64::from),
        forwards: forwards.map(i64::from),
        reactions: None,
    }
}

fn reacted(message_id: i32, given: &[tl::enums::ReactionCount]) -> Body {
    Body::Counters {
        message_id: i64::from(message_id),
        views: None,
        forwards: None,
        reactions: Some(parts::reactions(given)),
    }
}
