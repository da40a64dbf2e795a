//! One Telethon dictionary to one event. Layers from 2018 to now differ in names and shapes; all are accepted.

mod media;
mod parts;
mod service;

use serde_json::Value;

use super::value::{Context, Problem, constructor, flag, get, int, str_at, text, utf16_len};
use super::{Item, Mapped, unknown};
use crate::event::{Body, Event, Forward, Message, Origin, PeerId, PeerKind, ReplyTo, Timestamp};

pub(super) fn map(
    value: &Value,
    include_private: bool,
    context: &mut Context<'_>,
) -> Result<Mapped, Problem> {
    let id = int(value, "id");
    let kind = constructor(value);
    if matches!(kind, "User" | "UserFull" | "UserEmpty" | "Contact") {
        return Ok(Mapped::Skipped("user"));
    }
    let peer = peer_id(value);
    // Private or public is not told for channels; people and basic groups are private.
    let private = match peer.map(PeerId::kind) {
        Some(PeerKind::User) => Some("user"),
        Some(PeerKind::Chat) => Some("group"),
        Some(PeerKind::Channel) | None => None,
    };
    if let (Some(chat_type), false) = (private, include_private) {
        return Ok(Mapped::Skipped(chat_type));
    }
    let posted_at = date(value, "date", context)?;
    let known = matches!(kind, "Message" | "MessageService");
    let event = match (known, peer, id, posted_at) {
        (true, Some(peer), Some(id), Some(posted_at)) => Event {
            peer: Some(peer),
            origin: Origin::Import,
            stamp: 0,
            body: Body::Posted(Box::new(message(value, id, posted_at, context)?)),
            raw: None,
        },
        (true, None, ..) => unknown(None, id, "message without a peer", value),
        (true, _, None, _) => unknown(peer, None, "message without an id", value),
        (true, ..) => unknown(peer, id, "message without a date", value),
        (false, ..) if kind.is_empty() => unknown(peer, id, "object without a constructor", value),
        (false, ..) => unknown(peer, id, kind, value),
    };
    Ok(Mapped::Message(Box::new(Item {
        event,
        date: posted_at,
        id: id.unwrap_or(i64::MIN),
        broadcast: flag(value, "post"),
    })))
}

fn message(
    value: &Value,
    id: i64,
    posted_at: Timestamp,
    context: &mut Context<'_>,
) -> Result<Message, Problem> {
    let edited_at = date(value, "edit_date", context)?;
    let text_of = text(value, "message").unwrap_or_default();
    let (reply_to, topic_id) = reply(value, context);
    let service = service::read(value, reply_to.as_ref(), context.notes);
    let (mut media, poll) = media::read(value.get("media"), context.notes);
    if let Some(photo) = value.get("action").and_then(|action| get(action, "photo")) {
        media = Some(media::photo(photo));
    }
    Ok(Message {
        id,
        posted_at,
        edited_at,
        edit_hidden: edited_at.is_some() && flag(value, "edit_hide"),
        sender: get(value, "from_id").and_then(|from| peer_of(from, PeerKind::User)),
        sender_name: None,
        post_author: text(value, "post_author"),
        entities: parts::entities(value, utf16_len(&text_of), context.notes),
        text: text_of,
        reply_to,
        topic_id,
        grouped_id: int(value, "grouped_id").filter(|id| *id != 0),
        forward: forward(value, context)?,
        via_bot: int(value, "via_bot_id").map(|id| id.to_string()),
        media,
        views: int(value, "views"),
        forwards: int(value, "forwards"),
        reactions: parts::reactions(value, context.notes),
        poll,
        buttons: parts::buttons(value, context.notes),
        pinned: flag(value, "pinned"),
        service,
    })
}

fn date(value: &Value, key: &str, context: &Context<'_>) -> Result<Option<Timestamp>, Problem> {
    get(value, key).map_or(Ok(None), |date| context.date(date))
}

/// The peer a message is in: `peer_id`, or `to_id` of old layers.
fn peer_id(value: &Value) -> Option<PeerId> {
    let peer = get(value, "peer_id").or_else(|| get(value, "to_id"))?;
    peer_of(peer, PeerKind::User)
}

/// `{_: PeerChannel, channel_id}` and its like. A plain number is a marked id where it is negative, else a bare one of
/// the given kind.
fn peer_of(value: &Value, bare_kind: PeerKind) -> Option<PeerId> {
    if let Some(id) = value.as_i64() {
        return if id < 0 {
            PeerId::from_marked(id).ok()
        } else {
            PeerId::new(bare_kind, id).ok()
        };
    }
    let (kind, key) = match constructor(value) {
        "PeerChannel" => (PeerKind::Channel, "channel_id"),
        "PeerChat" => (PeerKind::Chat, "chat_id"),
        "PeerUser" => (PeerKind::User, "user_id"),
        _ => return None,
    };
    PeerId::new(kind, int(value, key)?).ok()
}

/// What is answered, and the forum topic.
fn reply(value: &Value, context: &mut Context<'_>) -> (Option<ReplyTo>, Option<i64>) {
    let Some(header) = get(value, "reply_to") else {
        // Layers before 2020 have only the number.
        let old = int(value, "reply_to_msg_id");
        let reply = old.map(|message_id| ReplyTo {
            message_id,
            peer: None,
        });
        return (reply, None);
    };
    let Some(message_id) = int(header, "reply_to_msg_id") else {
        context.notes.unknown("reply", constructor(header));
        return (None, None);
    };
    let top = int(header, "reply_to_top_id");
    let forum = flag(header, "forum_topic");
    let reply = ReplyTo {
        message_id,
        peer: get(header, "reply_to_peer_id").and_then(|peer| peer_of(peer, PeerKind::User)),
    };
    match (forum, top) {
        (true, Some(top)) => (Some(reply), Some(top)),
        // In a topic, but answering nothing: the header names the topic.
        (true, None) => (None, Some(message_id)),
        (false, _) => (Some(reply), None),
    }
}

fn forward(value: &Value, context: &Context<'_>) -> Result<Option<Forward>, Problem> {
    let Some(header) = get(value, "fwd_from") else {
        return Ok(None);
    };
    let from = get(header, "from_id").and_then(|from| peer_of(from, PeerKind::User));
    // Layers before 2020 name a channel apart.
    let old_channel = int(header, "channel_id");
    let old_channel = old_channel.and_then(|id| PeerId::new(PeerKind::Channel, id).ok());
    let saved = get(header, "saved_from_peer").and_then(|peer| peer_of(peer, PeerKind::User));
    Ok(Some(Forward {
        from: old_channel.or(from),
        from_name: text(header, "from_name"),
        date: date(header, "date", context)?,
        message_id: int(header, "channel_post"),
        post_author: text(header, "post_author"),
        saved_from: saved.map(|peer| peer.to_string()),
    }))
}

/// Text, or a `TextWithEntities` of newer layers.
fn plain(value: &Value, key: &str) -> String {
    let text = str_at(value, key).or_else(|| str_at(value.get(key)?, "text"));
    text.unwrap_or_default().to_owned()
}
