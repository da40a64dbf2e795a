//! The event model: what every source says and every sink understands.
//!
//! One normaliser per source turns its raw input into [`Event`]s; from there on nothing in the house
//! knows where a message came from except by its [`Origin`]. An event becomes an [`Envelope`] when the log
//! gives it a number. Values here are plain data: no I/O, no clock, no Telegram library types.
//!
//! | file | what |
//! |---|---|
//! | `peer` | [`PeerId`]: the canonical id, and its marked form (-100...) at the edge |
//! | `time` | [`Timestamp`]: microseconds, UTC |
//! | `message` | [`Message`] and its parts |
//! | `channel` | [`ChannelInfo`], [`Gap`], [`GapClosed`] |
//! | `since` | [`Since`]: how far back a history is wanted |
//! | `key` | the dedup key that makes an append idempotent |
//! | `json` | text and JSON as every store and the broker hold them |
//! | `text` | [`Json`]: the same, written as text in one go |
//! | `codec` | bincode, in this one file, behind the codec id |
//! | `record` | [`Event`] to log record and back to [`Envelope`] |

mod channel;
mod codec;
mod json;
mod key;
mod message;
mod peer;
mod record;
mod since;
mod text;
mod time;

pub use channel::{ChannelInfo, Gap, GapBounds, GapCause, GapClosed, GapOutcome};
pub use codec::{CODEC_ID, CodecError, decode, encode};
pub use json::{clean, tidy};
pub use key::dedup_key;
pub use message::{
    Button, Changed, Entity, EntityKind, Forward, JsonText, Media, MediaKind, Message, Poll,
    PollAnswer, Reaction, ReactionKind, ReplyTo, Service,
};
pub use peer::{PeerId, PeerIdError, PeerKind};
pub use record::{Envelope, RecordError};
pub use since::{Since, SinceError};
pub use text::Json;
pub use time::{Timestamp, TimestampError};

use serde::{Deserialize, Serialize};

/// How an event reached us. The order of the variants is part of the log format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Pushed by Telegram while connected.
    Live,
    /// Fetched as the difference after a gap or a restart.
    Difference,
    /// Fetched from a channel's history.
    Backfill,
    /// Read from an export file; poorer than what Telegram itself sends.
    Import,
    /// Fetched by short-polling a hot channel.
    Poll,
    /// Made by the generator or a script.
    Synthetic,
}

impl Origin {
    /// What a scripted event is unless its line says otherwise.
    fn synthetic() -> Origin {
        Origin::Synthetic
    }

    /// The word used in SQL, JSON and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Live => "live",
            Origin::Difference => "difference",
            Origin::Backfill => "backfill",
            Origin::Import => "import",
            Origin::Poll => "poll",
            Origin::Synthetic => "synthetic",
        }
    }

    /// Whether the content comes from Telegram (or stands in for it). An export drops fields, so it
    /// never overwrites what an authoritative origin has written.
    pub fn is_authoritative(self) -> bool {
        self != Origin::Import
    }
}

/// Raw source bytes kept beside the normalised event, so that a better normaliser can read them again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Raw {
    /// Telegram schema layer of TL bytes; 0 when the bytes are the JSON of an export.
    pub layer: u32,
    /// The bytes as they came.
    pub bytes: Vec<u8>,
}

/// One thing that happened, before it has a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Event {
    /// The channel, chat or user it happened in; none for events about the source itself.
    pub peer: Option<PeerId>,
    /// How it reached us.
    #[serde(default = "Origin::synthetic")]
    pub origin: Origin,
    /// The source's own position of this event (pts, line number, ordinal), used to recognise a repeat
    /// of events that carry no edit date; 0 when the source has none.
    #[serde(default)]
    pub stamp: i64,
    /// What happened.
    pub body: Body,
    /// The raw source bytes, where they say more than `body`.
    pub raw: Option<Raw>,
}

/// What happened. The order of the variants is part of the log format: append only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A message as it stood when it was seen.
    Posted(Box<Message>),
    /// The message after an edit, and what the edit changed.
    Edited {
        /// The whole message after the edit.
        message: Box<Message>,
        /// What differs from before.
        changed: Changed,
    },
    /// The message is gone at Telegram. Telegram tells no date; the time of receipt stands for it.
    Deleted {
        /// The message's number in its peer.
        message_id: i64,
    },
    /// The message was pinned or unpinned.
    Pinned {
        /// The message's number in its peer.
        message_id: i64,
        /// True for pinned.
        pinned: bool,
    },
    /// New counters; a counter that is absent is unchanged.
    Counters {
        /// The message's number in its peer.
        message_id: i64,
        /// Times seen.
        views: Option<i64>,
        /// Times forwarded.
        forwards: Option<i64>,
        /// All reactions, replacing the ones known before.
        reactions: Option<Vec<Reaction>>,
    },
    /// New state of a poll, replacing the one known before.
    Poll {
        /// The message that carries the poll.
        message_id: i64,
        /// Question, answers and votes.
        poll: Box<Poll>,
    },
    /// A channel was seen for the first time, or its title, username or kind changed.
    Channel(ChannelInfo),
    /// A range of Telegram's sequence that we do not have.
    Gap(Gap),
    /// The source changed its state (connected, catching up, ...).
    SourceState {
        /// The state's name.
        state: String,
        /// Why, in words.
        detail: Option<String>,
    },
    /// Input that this version cannot read; kept raw and counted.
    Unknown {
        /// The message it belongs to, where that could be read.
        message_id: Option<i64>,
        /// Constructor, action or type name as far as it could be read.
        what: String,
    },
    /// The search for what a gap hides is over.
    GapClosed(GapClosed),
}

/// The kind number of an event in the record header, and its name in routing keys and receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// [`Body::Posted`]
    Posted = 1,
    /// [`Body::Edited`]
    Edited = 2,
    /// [`Body::Deleted`]
    Deleted = 3,
    /// [`Body::Pinned`]
    Pinned = 4,
    /// [`Body::Counters`]
    Counters = 5,
    /// [`Body::Poll`]
    Poll = 6,
    /// [`Body::Channel`]
    Channel = 7,
    /// [`Body::Gap`]
    Gap = 8,
    /// [`Body::SourceState`]
    SourceState = 9,
    /// [`Body::Unknown`]
    Unknown = 10,
    /// [`Body::GapClosed`]
    GapClosed = 11,
}

impl Kind {
    /// All there are.
    pub const ALL: [Kind; 11] = [
        Kind::Posted,
        Kind::Edited,
        Kind::Deleted,
        Kind::Pinned,
        Kind::Counters,
        Kind::Poll,
        Kind::Channel,
        Kind::Gap,
        Kind::SourceState,
        Kind::Unknown,
        Kind::GapClosed,
    ];

    /// The kind of a number that a record's header has; none for one of a later version.
    pub fn of(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The word used in routing keys, JSON, SQL and receipts.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Posted => "posted",
            Kind::Edited => "edited",
            Kind::Deleted => "deleted",
            Kind::Pinned => "pinned",
            Kind::Counters => "counters",
            Kind::Poll => "poll",
            Kind::Channel => "channel",
            Kind::Gap => "gap",
            Kind::SourceState => "source_state",
            Kind::Unknown => "unknown",
            Kind::GapClosed => "gap_closed",
        }
    }
}

impl Body {
    /// The kind of this body.
    pub fn kind(&self) -> Kind {
        match self {
            Body::Posted(_) => Kind::Posted,
            Body::Edited { .. } => Kind::Edited,
            Body::Deleted { .. } => Kind::Deleted,
            Body::Pinned { .. } => Kind::Pinned,
            Body::Counters { .. } => Kind::Counters,
            Body::Poll { .. } => Kind::Poll,
            Body::Channel(_) => Kind::Channel,
            Body::Gap(_) => Kind::Gap,
            Body::SourceState { .. } => Kind::SourceState,
            Body::Unknown { .. } => Kind::Unknown,
            Body::GapClosed(_) => Kind::GapClosed,
        }
    }

    /// The message this is about, if it is about one.
    pub fn message_id(&self) -> Option<i64> {
        match self {
            Body::Posted(message) | Body::Edited { message, .. } => Some(message.id),
            Body::Deleted { message_id }
            | Body::Pinned { message_id, .. }
            | Body::Counters { message_id, .. }
            | Body::Poll { message_id, .. } => Some(*message_id),
            Body::Unknown { message_id, .. } => *message_id,
            Body::Channel(_) | Body::Gap(_) | Body::GapClosed(_) | Body::SourceState { .. } => None,
        }
    }

    /// Telegram's own date of what happened, where it gives one.
    pub fn source_at(&self) -> Option<Timestamp> {
        match self {
            Body::Posted(message) | Body::Edited { message, .. } => {
                Some(message.edited_at.unwrap_or(message.posted_at))
            }
            Body::Channel(info) => info.at,
            _ => None,
        }
    }
}
