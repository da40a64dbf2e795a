//! The content of a message as JSON: the names and values of the public SQL columns.
//!
//! Written straight from the event, because this is done once for each event: building a tree of values first costs
//! several times as much. A member that is null, false or an empty list is left out, as in the stores.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::event::{
    Button, Entity, EntityKind, Forward, JsonText, Media, MediaKind, Message, PeerId, Poll,
    PollAnswer, Reaction, ReactionKind, Service, Timestamp, tidy,
};

/// Text as every store can hold it: U+0000 becomes U+FFFD.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clean<'a>(pub(super) &'a str);

impl Serialize for Clean<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.contains('\0') {
            serializer.serialize_str(&crate::event::clean(self.0))
        } else {
            serializer.serialize_str(self.0)
        }
    }
}

pub(super) fn clean(text: Option<&String>) -> Option<Clean<'_>> {
    text.map(|text| Clean(text))
}

fn not(is: &bool) -> bool {
    !is
}

/// JSON of the source's own making, without members that are null or false.
struct Details(Value);

impl Details {
    fn of(details: Option<&JsonText>) -> Option<Details> {
        let mut value = details?.value();
        tidy(&mut value);
        (!matches!(value, Value::Null | Value::Bool(false))).then_some(Details(value))
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The columns of `messages` that a post or an edit sets.
#[derive(Serialize)]
pub(super) struct Content<'a> {
    kind: &'static str,
    posted_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_name: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_author: Option<Clean<'a>>,
    text: Clean<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entities: Vec<EntityView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to_message_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to_peer_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grouped_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward: Option<ForwardView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    via_bot: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_kind: Option<MediaKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<MediaView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    views: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwards: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reactions: Option<Vec<ReactionView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll: Option<PollView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    buttons: Vec<Vec<ButtonView<'a>>>,
    pinned: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<ServiceView<'a>>,
}

impl<'a> Content<'a> {
    pub(super) fn of(message: &'a Message) -> Content<'a> {
        let reply = message.reply_to.as_ref();
        Content {
            kind: if message.service.is_some() {
                "service"
            } else {
                "message"
            },
            posted_at: message.posted_at,
            edited_at: message.edited_at.filter(|_| !message.edit_hidden),
            sender_id: message.sender.map(PeerId::marked),
            sender_name: clean(message.sender_name.as_ref()),
            post_author: clean(message.post_author.as_ref()),
            text: Clean(&message.text),
            entities: message.entities.iter().map(EntityView::of).collect(),
            reply_to_message_id: reply.map(|reply| reply.message_id),
            reply_to_peer_id: reply.and_then(|reply| reply.peer).map(PeerId::marked),
            topic_id: message.topic_id,
            grouped_id: message.grouped_id,
            forward: message.forward.as_ref().map(ForwardView::of),
            via_bot: clean(message.via_bot.as_ref()),
            media_kind: message.media.as_ref().map(|media| media.kind),
            media: message.media.as_ref().map(MediaView::of),
            views: message.views,
            forwards: message.forwards,
            reactions: message.reactions.as_deref().map(reactions),
            poll: message.poll.as_ref().map(PollView::of),
            buttons: message
                .buttons
                .iter()
                .map(|row| row.iter().map(ButtonView::of).collect())
                .collect(),
            pinned: message.pinned,
            service: message.service.as_ref().map(ServiceView::of),
        }
    }
}

#[derive(Serialize)]
struct EntityView<'a> {
    #[serde(rename = "type")]
    kind: EntityKind,
    offset: i64,
    length: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_id: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "not")]
    collapsed: bool,
}

impl<'a> EntityView<'a> {
    fn of(it: &'a Entity) -> EntityView<'a> {
        EntityView {
            kind: it.kind,
            offset: it.offset,
            length: it.length,
            url: clean(it.url.as_ref()),
            language: clean(it.language.as_ref()),
            user_id: it.user_id,
            document_id: clean(it.document_id.as_ref()),
            collapsed: it.collapsed,
        }
    }
}

#[derive(Serialize)]
struct ForwardView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_name: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_author: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_from: Option<Clean<'a>>,
}

impl<'a> ForwardView<'a> {
    fn of(it: &'a Forward) -> ForwardView<'a> {
        ForwardView {
            from: it.from.map(PeerId::marked),
            from_name: clean(it.from_name.as_ref()),
            date: it.date,
            message_id: it.message_id,
            post_author: clean(it.post_author.as_ref()),
            saved_from: clean(it.saved_from.as_ref()),
        }
    }
}

#[derive(Serialize)]
struct MediaView<'a> {
    kind: MediaKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    performer: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emoji: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "not")]
    spoiler: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

impl<'a> MediaView<'a> {
    fn of(it: &'a Media) -> MediaView<'a> {
        MediaView {
            kind: it.kind,
            id: it.id,
            file_name: clean(it.file_name.as_ref()),
            mime_type: clean(it.mime_type.as_ref()),
            size: it.size,
            width: it.width,
            height: it.height,
            duration: it.duration,
            title: clean(it.title.as_ref()),
            performer: clean(it.performer.as_ref()),
            url: clean(it.url.as_ref()),
            emoji: clean(it.emoji.as_ref()),
            spoiler: it.spoiler,
            details: Details::of(it.details.as_ref()),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ReactionView<'a> {
    #[serde(rename = "type")]
    kind: ReactionKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    emoji: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_id: Option<Clean<'a>>,
    count: i64,
}

pub(super) fn reactions(list: &[Reaction]) -> Vec<ReactionView<'_>> {
    list.iter()
        .map(|it| ReactionView {
            kind: it.kind,
            emoji: clean(it.emoji.as_ref()),
            document_id: clean(it.document_id.as_ref()),
            count: it.count,
        })
        .collect()
}

#[derive(Serialize)]
pub(super) struct PollView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    question: Clean<'a>,
    #[serde(skip_serializing_if = "not")]
    closed: bool,
    #[serde(skip_serializing_if = "not")]
    quiz: bool,
    #[serde(skip_serializing_if = "not")]
    multiple_choice: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_voters: Option<i64>,
    answers: Vec<AnswerView<'a>>,
}

#[derive(Serialize)]
struct AnswerView<'a> {
    text: Clean<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voters: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<bool>,
}

impl<'a> PollView<'a> {
    pub(super) fn of(it: &'a Poll) -> PollView<'a> {
        let answer = |it: &'a PollAnswer| AnswerView {
            text: Clean(&it.text),
            voters: it.voters,
            correct: it.correct.filter(|correct| *correct),
        };
        PollView {
            id: it.id,
            question: Clean(&it.question),
            closed: it.closed,
            quiz: it.quiz,
            multiple_choice: it.multiple_choice,
            total_voters: it.total_voters,
            answers: it.answers.iter().map(answer).collect(),
        }
    }
}

#[derive(Serialize)]
struct ButtonView<'a> {
    #[serde(rename = "type")]
    kind: Clean<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Clean<'a>>,
}

impl<'a> ButtonView<'a> {
    fn of(it: &'a Button) -> ButtonView<'a> {
        ButtonView {
            kind: Clean(&it.kind),
            text: clean(it.text.as_ref()),
            data: clean(it.data.as_ref()),
        }
    }
}

#[derive(Serialize)]
struct ServiceView<'a> {
    action: Clean<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

impl<'a> ServiceView<'a> {
    fn of(it: &'a Service) -> ServiceView<'a> {
        ServiceView {
            action: Clean(&it.action),
            details: Details::of(it.details.as_ref()),
        }
    }
}
