//! One event as the operators' programs get it: JSON of the schema `telegram.event/1`. Pure.
//!
//! The schema is published in `docs/schema/telegram-event.v1.json`. Members may be added to it; what is there keeps
//! its name and meaning, or the schema gets another number.
//!
//! | member | what |
//! |---|---|
//! | `schema` | `telegram.event/1` |
//! | `log_id`, `epoch`, `seq` | the event's identity: a receiver that saw it before has it |
//! | `kind`, `peer_id` | what happened, and where; the routing key is `<kind>.<peer_id>` |
//! | `message_id` | which message it is about |
//! | `origin`, `received_at` | how and when it reached the gateway |
//! | `message` | the columns of `messages` that this event sets, by the names of the SQL contract |
//! | `changed` | what an edit changed |
//! | `channel`, `gap`, `source`, `unknown` | the events that are about no message |

use serde::Serialize;
use wal::Identity;

use super::content::{Clean, Content, PollView, ReactionView, clean, reactions};
use crate::event::{Body, Envelope, GapClosed, Origin, PeerId, Timestamp};

/// The schema of the bodies.
pub const SCHEMA: &str = "telegram.event/1";

/// The name of an event on the broker, the same each time it is published.
pub fn message_id(identity: Identity, seq: u64) -> String {
    format!("{}/{}/{seq}", identity.log_id, identity.epoch)
}

/// The body.
pub fn body(identity: Identity, envelope: &Envelope) -> Vec<u8> {
    let event = &envelope.event;
    let mut view = View {
        schema: SCHEMA,
        log_id: identity.log_id.to_string(),
        epoch: envelope.epoch,
        seq: envelope.seq.get(),
        kind: event.body.kind().as_str(),
        peer_id: event.peer.map(PeerId::marked),
        message_id: event.body.message_id(),
        origin: event.origin,
        received_at: envelope.received_at,
        changed: None,
        message: None,
        channel: None,
        gap: None,
        gap_closed: None,
        source: None,
        unknown: None,
    };
    view.fill(&event.body, envelope.received_at);
    encode(&view)
}

/// The body of a record that cannot be read as an event: receivers that count numbers see no hole, and the kind says
/// why there is nothing in it.
pub fn unreadable(identity: Identity, record: &wal::Header, reason: &str) -> Vec<u8> {
    encode(&Unreadable {
        schema: SCHEMA,
        log_id: identity.log_id.to_string(),
        epoch: record.epoch,
        seq: record.seq.get(),
        kind: UNREADABLE,
        received_at: Timestamp::from_micros(record.received_at),
        reason: Clean(reason),
    })
}

/// The kind of such a body, in place of an event's.
pub const UNREADABLE: &str = "unreadable";

fn encode<T: Serialize>(view: &T) -> Vec<u8> {
    let mut body = Vec::with_capacity(512);
    // Writing to memory does not fail, and every key is a string.
    let _ = serde_json::to_writer(&mut body, view);
    body
}

#[derive(Serialize)]
struct Unreadable<'a> {
    schema: &'static str,
    log_id: String,
    epoch: u32,
    seq: u64,
    kind: &'static str,
    received_at: Timestamp,
    reason: Clean<'a>,
}

#[derive(Serialize)]
struct View<'a> {
    schema: &'static str,
    log_id: String,
    epoch: u32,
    seq: u64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<i64>,
    origin: Origin,
    received_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<GapView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_closed: Option<GapClosedView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<UnknownView<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum MessageView<'a> {
    Content(Box<Content<'a>>),
    Deleted {
        deleted_at: Timestamp,
    },
    Pinned {
        pinned: bool,
    },
    Counters {
        #[serde(skip_serializing_if = "Option::is_none")]
        views: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        forwards: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reactions: Option<Vec<ReactionView<'a>>>,
    },
    Poll {
        poll: PollView<'a>,
    },
}

#[derive(Serialize)]
struct ChannelView<'a> {
    kind: Clean<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<Clean<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    migrated_from: Option<i64>,
    seen_at: Timestamp,
}

#[derive(Serialize)]
struct GapView {
    cause: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_pts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_pts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_message_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_message_id: Option<i64>,
    noticed_at: Timestamp,
}

#[derive(Serialize)]
struct GapClosedView {
    #[serde(skip_serializing_if = "Option::is_none")]
    after_pts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_pts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_message_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_message_id: Option<i64>,
    outcome: &'static str,
    found: i64,
    closed_at: Timestamp,
}

impl GapClosedView {
    fn of(closed: &GapClosed, closed_at: Timestamp) -> GapClosedView {
        GapClosedView {
            after_pts: closed.gap.after_pts,
            until_pts: closed.gap.until_pts,
            after_message_id: closed.gap.after_message_id,
            until_message_id: closed.gap.until_message_id,
            outcome: closed.outcome.as_str(),
            found: closed.found,
            closed_at,
        }
    }
}

#[derive(Serialize)]
struct SourceView<'a> {
    state: Clean<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Clean<'a>>,
}

#[derive(Serialize)]
struct UnknownView<'a> {
    what: Clean<'a>,
}

impl<'a> View<'a> {
    fn fill(&mut self, body: &'a Body, received_at: Timestamp) {
        match body {
            Body::Posted(message) => self.content(Content::of(message)),
            Body::Edited { message, changed } => {
                self.changed = Some(changed.names());
                self.content(Content::of(message));
            }
            Body::Deleted { .. } => {
                self.message = Some(MessageView::Deleted {
                    deleted_at: received_at,
                });
            }
            Body::Pinned { pinned, .. } => {
                self.message = Some(MessageView::Pinned { pinned: *pinned });
            }
            Body::Counters {
                views,
                forwards,
                reactions: list,
                ..
            } => {
                self.message = Some(MessageView::Counters {
                    views: *views,
                    forwards: *forwards,
                    reactions: list.as_deref().map(reactions),
                });
            }
            Body::Poll { poll, .. } => {
                self.message = Some(MessageView::Poll {
                    poll: PollView::of(poll),
                });
            }
            Body::Channel(info) => {
                self.channel = Some(ChannelView {
                    kind: Clean(&info.kind),
                    title: clean(info.title.as_ref()),
                    username: clean(info.username.as_ref()),
                    migrated_from: info.migrated_from.map(PeerId::marked),
                    seen_at: info.at.unwrap_or(received_at),
                });
            }
            Body::Gap(gap) => {
                self.gap = Some(GapView {
                    cause: gap.cause.as_str(),
                    after_pts: gap.after_pts,
                    until_pts: gap.until_pts,
                    after_message_id: gap.after_message_id,
                    until_message_id: gap.until_message_id,
                    noticed_at: received_at,
                });
            }
            Body::GapClosed(closed) => {
                self.gap_closed = Some(GapClosedView::of(closed, received_at));
            }
            Body::SourceState { state, detail } => {
                self.source = Some(SourceView {
                    state: Clean(state),
                    detail: clean(detail.as_ref()),
                });
            }
            Body::Unknown { what, .. } => self.unknown = Some(UnknownView { what: Clean(what) }),
        }
    }

    fn content(&mut self, content: Content<'a>) {
        self.message = Some(MessageView::Content(Box::new(content)));
    }
}
