//! One message of a Telegram Desktop export to one event.
//!
//! The format leaves out albums, views, forward counts, previews and the pinned flag; nothing is guessed in their place.

mod media;
mod text;

use serde_json::{Map, Value};

use super::chat::Chat;
use super::value::{Context, Problem, get, int, list, peer, str_at, text};
use super::{Item, Mapped, unknown};
use crate::event::{
    Body, Button, Event, Forward, JsonText, Message, Origin, PeerId, PeerKind, Reaction,
    ReactionKind, ReplyTo, Service, Timestamp,
};

/// Members of a service message that are not arguments of its action.
const NOT_ARGUMENTS: &[&str] = &[
    "id",
    "type",
    "date",
    "date_unixtime",
    "edited",
    "edited_unixtime",
    "from",
    "from_id",
    "actor",
    "actor_id",
    "action",
    "photo",
    "photo_file_size",
    "width",
    "height",
    "text",
    "text_entities",
    "reply_to_message_id",
    "reply_to_peer_id",
    "reactions",
    "inline_bot_buttons",
];

pub(super) fn map(
    chat: &Chat,
    value: &Value,
    context: &mut Context<'_>,
) -> Result<Mapped, Problem> {
    let id = int(value, "id");
    let kind = str_at(value, "type").unwrap_or_default();
    let known = matches!(kind, "message" | "service");
    let posted_at = if known {
        date(value, "date", context)?
    } else {
        None
    };
    let event = match (known, id, posted_at) {
        (true, Some(id), Some(posted_at)) => Event {
            peer: Some(chat.peer),
            origin: Origin::Import,
            stamp: 0,
            body: Body::Posted(Box::new(message(chat, value, id, posted_at, context)?)),
            raw: None,
        },
        (false, ..) if kind == "unsupported" => unknown(Some(chat.peer), id, kind, value),
        (false, ..) => unknown(Some(chat.peer), id, &format!("message type {kind}"), value),
        (true, None, _) => unknown(Some(chat.peer), None, "message without an id", value),
        (true, _, None) => unknown(Some(chat.peer), id, "message without a date", value),
    };
    Ok(Mapped::Message(Box::new(Item {
        event,
        date: posted_at,
        id: id.unwrap_or(i64::MIN),
        broadcast: false,
    })))
}

fn message(
    chat: &Chat,
    value: &Value,
    id: i64,
    posted_at: Timestamp,
    context: &mut Context<'_>,
) -> Result<Message, Problem> {
    let (text_of, entities) = text::read(value, context.notes);
    let service = service(value, context);
    let (name, sender) = match service {
        Some(_) => ("actor", "actor_id"),
        None => ("from", "from_id"),
    };
    // A channel's own posts name the channel itself, which is no sender.
    let sender = get(value, sender).and_then(peer_of);
    let own = sender == Some(chat.peer) || (chat.kind == "channel" && sender.is_none());
    let (media, poll) = media::read(value, context.notes);
    Ok(Message {
        id,
        posted_at,
        // Very old clients wrote a date before that of the message for "never".
        edited_at: date(value, "edited", context)?.filter(|edited| *edited > posted_at),
        edit_hidden: false,
        sender: sender.filter(|_| !own),
        sender_name: text(value, name).filter(|_| !own),
        post_author: text(value, "author"),
        text: text_of,
        entities,
        reply_to: int(value, "reply_to_message_id").map(|message_id| ReplyTo {
            message_id,
            peer: get(value, "reply_to_peer_id").and_then(peer_of),
        }),
        topic_id: None,
        grouped_id: None,
        forward: forward(value),
        via_bot: text(value, "via_bot"),
        media,
        views: None,
        forwards: None,
        reactions: reactions(value, context),
        poll,
        buttons: buttons(value),
        pinned: false,
        service,
    })
}

/// A date of a message: `..._unixtime`, or the local time of old exports.
fn date(value: &Value, key: &str, context: &Context<'_>) -> Result<Option<Timestamp>, Problem> {
    if let Some(seconds) = int(value, &format!("{key}_unixtime")) {
        return context.date(&seconds.into());
    }
    get(value, key).map_or(Ok(None), |local| context.date(local))
}

/// `user1`, `chat2`, `channel3`; old exports wrote a plain number for users.
fn peer_of(value: &Value) -> Option<PeerId> {
    let Some(text) = value.as_str() else {
        // From 2^32 on those numbers carry the kind in a way that changed between versions.
        return value
            .as_i64()
            .filter(|id| *id < 1 << 32)
            .and_then(|id| peer(PeerKind::User, id));
    };
    let digits = text.find(|c: char| c.is_ascii_digit())?;
    let (kind, bare) = text.split_at(digits);
    let kind = match kind {
        "user" => PeerKind::User,
        "chat" => PeerKind::Chat,
        "channel" => PeerKind::Channel,
        _ => return None,
    };
    peer(kind, bare.parse().ok()?)
}

fn forward(value: &Value) -> Option<Forward> {
    // A null name is a deleted account: forwarded all the same.
    let name = value.get("forwarded_from");
    let id = value.get("forwarded_from_id");
    let saved = text(value, "saved_from");
    if name.is_none() && id.is_none() && saved.is_none() {
        return None;
    }
    Some(Forward {
        from: id.and_then(peer_of),
        from_name: text(value, "forwarded_from"),
        saved_from: saved,
        ..Forward::default()
    })
}

fn reactions(value: &Value, context: &mut Context<'_>) -> Option<Vec<Reaction>> {
    get(value, "reactions")?;
    let reactions = list(value, "reactions").iter().map(|reaction| {
        let kind = match str_at(reaction, "type").unwrap_or_default() {
            "emoji" => ReactionKind::Emoji,
            "custom_emoji" => ReactionKind::CustomEmoji,
            "paid" => ReactionKind::Paid,
            other => {
                context.notes.unknown("reaction", other);
                ReactionKind::Unknown
            }
        };
        Reaction {
            kind,
            emoji: text(reaction, "emoji"),
            document_id: text(reaction, "document_id"),
            count: int(reaction, "count").unwrap_or(0),
        }
    });
    Some(reactions.collect())
}

fn buttons(value: &Value) -> Vec<Vec<Button>> {
    let rows = list(value, "inline_bot_buttons").iter();
    rows.filter_map(Value::as_array)
        .map(|row| {
            row.iter()
                .map(|button| Button {
                    kind: text(button, "type").unwrap_or_else(|| "default".to_owned()),
                    text: text(button, "text"),
                    data: text(button, "data").or_else(|| text(button, "dataBase64")),
                })
                .collect()
        })
        .collect()
}

fn service(value: &Value, context: &mut Context<'_>) -> Option<Service> {
    if str_at(value, "type") != Some("service") {
        return None;
    }
    let action = match str_at(value, "action") {
        Some(action) => action.to_owned(),
        // The exporter's form for actions of bots and servers: only a text.
        None if value.get("information_text").is_some() => "custom".to_owned(),
        None => {
            context.notes.unknown("action", "without a name");
            "unknown".to_owned()
        }
    };
    let arguments = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| !NOT_ARGUMENTS.contains(&key.as_str()) && !value.is_null())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect::<Map<_, _>>();
    Some(Service {
        action,
        details: (!arguments.is_empty()).then(|| JsonText::of(&Value::Object(arguments))),
    })
}
