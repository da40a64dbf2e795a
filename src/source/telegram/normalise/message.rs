//! A message of Telegram to a message of the event model.

use std::collections::HashMap;

use grammers_tl_types as tl;

use super::{media, parts, rich, service};
use crate::event::{Entity, Forward, Media, Message, PeerId, PeerKind, ReplyTo, Timestamp};

/// The names of those who came along with a page.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<PeerId, String>);

impl Names {
    pub(super) fn of(users: &[tl::enums::User], chats: &[tl::enums::Chat]) -> Names {
        let users = users.iter().filter_map(|user| match user {
            tl::enums::User::User(user) => Some((peer(PeerKind::User, user.id)?, user_name(user)?)),
            tl::enums::User::Empty(_) => None,
        });
        let chats = chats.iter().filter_map(|chat| match chat {
            tl::enums::Chat::Channel(it) => {
                Some((peer(PeerKind::Channel, it.id)?, it.title.clone()))
            }
            tl::enums::Chat::Chat(it) => Some((peer(PeerKind::Chat, it.id)?, it.title.clone())),
            _ => None,
        });
        Names(users.chain(chats).collect())
    }

    fn get(&self, peer: Option<PeerId>) -> Option<String> {
        self.0.get(&peer?).cloned()
    }
}

/// First and last name.
pub(super) fn user_name(user: &tl::types::User) -> Option<String> {
    let parts = [user.first_name.as_deref(), user.last_name.as_deref()];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    let name = parts.join(" ");
    (!name.is_empty()).then_some(name)
}

pub(super) fn peer(kind: PeerKind, id: i64) -> Option<PeerId> {
    PeerId::new(kind, id).ok()
}

/// The peer of the event model; none for a number that Telegram never gives out.
pub(super) fn peer_of(peer: &tl::enums::Peer) -> Option<PeerId> {
    let (kind, id) = match peer {
        tl::enums::Peer::User(it) => (PeerKind::User, it.user_id),
        tl::enums::Peer::Chat(it) => (PeerKind::Chat, it.chat_id),
        tl::enums::Peer::Channel(it) => (PeerKind::Channel, it.channel_id),
    };
    PeerId::new(kind, id).ok()
}

/// The peer and the message; none for an empty one.
pub(super) fn read(message: &tl::enums::Message, names: &Names) -> Option<(PeerId, Message)> {
    match message {
        tl::enums::Message::Message(message) => ordinary(message, names),
        tl::enums::Message::Service(message) => service_message(message, names),
        tl::enums::Message::Empty(_) => None,
    }
}

/// The peer that a message is in, and its number.
pub(super) fn place(message: &tl::enums::Message) -> (Option<PeerId>, i64) {
    let (peer, id) = match message {
        tl::enums::Message::Message(it) => (Some(&it.peer_id), it.id),
        tl::enums::Message::Service(it) => (Some(&it.peer_id), it.id),
        tl::enums::Message::Empty(it) => (it.peer_id.as_ref(), it.id),
    };
    (peer.and_then(peer_of), i64::from(id))
}

fn ordinary(it: &tl::types::Message, names: &Names) -> Option<(PeerId, Message)> {
    let peer = peer_of(&it.peer_id)?;
    let sender = sender(it.from_id.as_ref(), peer, it.out);
    let (reply_to, topic_id) = reply(it.reply_to.as_ref());
    let poll = match &it.media {
        Some(tl::enums::MessageMedia::Poll(media)) => {
            Some(parts::poll(&media.poll, &media.results))
        }
        _ => None,
    };
    let media = it.media.as_ref().and_then(media::read);
    let (text, entities) = text(it);
    let rich = it.rich_message.as_ref().map(rich_media);
    let message = Message {
        id: i64::from(it.id),
        posted_at: date(it.date),
        edited_at: it.edit_date.map(date),
        edit_hidden: it.edit_date.is_some() && it.edit_hide,
        sender,
        sender_name: names.get(sender),
        post_author: it.post_author.clone(),
        entities,
        text,
        reply_to,
        topic_id,
        grouped_id: it.grouped_id.filter(|id| *id != 0),
        forward: it.fwd_from.as_ref().map(|header| forward(header, names)),
        via_bot: it.via_bot_id.map(|id| id.to_string()),
        media: media.or(rich),
        views: it.views.map(i64::from),
        forwards: it.forwards.map(i64::from),
        reactions: it.reactions.as_ref().map(reactions),
        poll,
        buttons: parts::buttons(it.reply_markup.as_ref()),
        pinned: it.pinned,
        service: None,
    };
    Some((peer, message))
}

/// The text: a rich message has it in its blocks, and what stands beside them is for those who cannot read these.
fn text(it: &tl::types::Message) -> (String, Vec<Entity>) {
    let read = it.rich_message.as_ref().map(rich::read);
    read.filter(|(text, _)| !text.is_empty())
        .unwrap_or_else(|| {
            let entities = parts::entities(&it.message, it.entities.as_deref());
            (it.message.clone(), entities)
        })
}

/// That it is rich, and whether only a part of it came.
fn rich_media(message: &tl::enums::RichMessage) -> Media {
    Media {
        details: media::keep([("part", rich::is_partial(message).into())]),
        ..media::other("rich_message")
    }
}

fn service_message(it: &tl::types::MessageService, names: &Names) -> Option<(PeerId, Message)> {
    let peer = peer_of(&it.peer_id)?;
    let sender = sender(it.from_id.as_ref(), peer, it.out);
    let (reply_to, topic_id) = reply(it.reply_to.as_ref());
    let message = Message {
        id: i64::from(it.id),
        posted_at: date(it.date),
        sender,
        sender_name: names.get(sender),
        media: service::photo(&it.action).map(media::photo),
        service: Some(service::read(&it.action, reply_to.as_ref())),
        reply_to,
        topic_id,
        reactions: it.reactions.as_ref().map(reactions),
        ..Message::default()
    };
    Some((peer, message))
}

/// In a private chat only the own messages need to say who wrote them.
fn sender(from: Option<&tl::enums::Peer>, peer: PeerId, out: bool) -> Option<PeerId> {
    match from {
        Some(from) => peer_of(from),
        None => (peer.kind() == PeerKind::User && !out).then_some(peer),
    }
}

fn date(seconds: i32) -> Timestamp {
    Timestamp::from_seconds(i64::from(seconds))
}

fn reactions(reactions: &tl::enums::MessageReactions) -> Vec<crate::event::Reaction> {
    let tl::enums::MessageReactions::Reactions(reactions) = reactions;
    parts::reactions(&reactions.results)
}

/// What is answered, and the forum topic.
fn reply(header: Option<&tl::enums::MessageReplyHeader>) -> (Option<ReplyTo>, Option<i64>) {
    // An answer to a story answers no message.
    let Some(tl::enums::MessageReplyHeader::Header(header)) = header else {
        return (None, None);
    };
    let Some(message_id) = header.reply_to_msg_id.map(i64::from) else {
        return (None, None);
    };
    let reply = ReplyTo {
        message_id,
        peer: header.reply_to_peer_id.as_ref().and_then(peer_of),
    };
    match (header.forum_topic, header.reply_to_top_id) {
        (true, Some(top)) => (Some(reply), Some(i64::from(top))),
        // In a topic, but answering nothing: the header names the topic.
        (true, None) => (None, Some(message_id)),
        (false, _) => (Some(reply), None),
    }
}

fn forward(header: &tl::enums::MessageFwdHeader, names: &Names) -> Forward {
    let tl::enums::MessageFwdHeader::Header(header) = header;
    let from = header.from_id.as_ref().and_then(peer_of);
    let saved = header.saved_from_peer.as_ref().and_then(peer_of);
    Forward {
        from,
        from_name: header.from_name.clone().or_else(|| names.get(from)),
        date: Some(date(header.date)),
        message_id: header.channel_post.map(i64::from),
        post_author: header.post_author.clone(),
        saved_from: saved.map(|peer| peer.to_string()),
    }
}
