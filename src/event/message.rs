//! A message and its parts.
//!
//! These types serve two encodings: bincode in the log (by position, so the order of fields and variants is frozen)
//! and JSON in the stores and on the broker (by name, absent options left out by the stores' row builder).

use serde::{Deserialize, Serialize};

use super::{PeerId, Timestamp};

/// A message as it stood at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// Number in its peer. Negative for messages of the basic group a supergroup came from (Desktop exports).
    pub id: i64,
    /// Telegram's date; never changes over a message's life.
    pub posted_at: Timestamp,
    /// Telegram's date of the last edit, also where the edit is hidden from readers.
    pub edited_at: Option<Timestamp>,
    /// The last edit changed nothing a reader calls an edit (reactions, counters, buttons).
    pub edit_hidden: bool,
    /// Who wrote it, where that is told; channel posts have no sender.
    pub sender: Option<PeerId>,
    /// The sender's name as told by the source.
    pub sender_name: Option<String>,
    /// The signature under a channel post.
    pub post_author: Option<String>,
    /// Text or caption.
    pub text: String,
    /// Formatting; offsets count UTF-16 code units.
    pub entities: Vec<Entity>,
    /// What it answers.
    pub reply_to: Option<ReplyTo>,
    /// The forum topic it is in.
    pub topic_id: Option<i64>,
    /// Albums: messages that share this number belong together.
    pub grouped_id: Option<i64>,
    /// Where it was forwarded from.
    pub forward: Option<Forward>,
    /// The inline bot it was sent through.
    pub via_bot: Option<String>,
    /// What it carries besides text.
    pub media: Option<Media>,
    /// Times seen.
    pub views: Option<i64>,
    /// Times forwarded.
    pub forwards: Option<i64>,
    /// Reactions.
    pub reactions: Option<Vec<Reaction>>,
    /// The poll it carries.
    pub poll: Option<Poll>,
    /// Rows of inline buttons.
    pub buttons: Vec<Vec<Button>>,
    /// Pinned when it was seen.
    pub pinned: bool,
    /// Set on service messages.
    pub service: Option<Service>,
}

impl Message {
    /// The edit date in microseconds, hidden or not; 0 for a message that was never edited.
    pub fn edit_stamp(&self) -> i64 {
        self.edited_at.map_or(0, Timestamp::micros)
    }
}

/// A run of formatted text. Entities may nest and overlap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// What the run is.
    #[serde(rename = "type")]
    pub kind: EntityKind,
    /// Start, in UTF-16 code units.
    pub offset: i64,
    /// Length, in UTF-16 code units.
    pub length: i64,
    /// Target of a text link.
    pub url: Option<String>,
    /// Programming language of a `pre` block.
    pub language: Option<String>,
    /// The user of a `mention_name`.
    pub user_id: Option<i64>,
    /// Custom emoji: document id, or the file an export names.
    pub document_id: Option<String>,
    /// A collapsed quote.
    #[serde(default)]
    pub collapsed: bool,
}

/// Kinds of formatting, in Telegram Desktop's words. Order frozen: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are Telegram's own
pub enum EntityKind {
    Unknown,
    Mention,
    Hashtag,
    BotCommand,
    Link,
    Email,
    Bold,
    Italic,
    Code,
    Pre,
    TextLink,
    MentionName,
    Phone,
    Cashtag,
    Underline,
    Strikethrough,
    Blockquote,
    BankCard,
    Spoiler,
    CustomEmoji,
}

/// What a message answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReplyTo {
    /// The message answered.
    pub message_id: i64,
    /// Its peer, when it is another one.
    pub peer: Option<PeerId>,
}

/// Where a message was forwarded from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Forward {
    /// The original peer, where it is told.
    pub from: Option<PeerId>,
    /// The original author's name.
    pub from_name: Option<String>,
    /// When the original was sent.
    pub date: Option<Timestamp>,
    /// The original's number in its channel.
    pub message_id: Option<i64>,
    /// The signature under the original.
    pub post_author: Option<String>,
    /// The chat it was saved from.
    pub saved_from: Option<String>,
}

/// Media kinds. Order frozen: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names say it
pub enum MediaKind {
    Photo,
    Document,
    Video,
    VideoMessage,
    Audio,
    VoiceMessage,
    Animation,
    Sticker,
    WebPage,
    Poll,
    Location,
    Venue,
    Contact,
    Game,
    Invoice,
    Giveaway,
    TodoList,
    Story,
    Dice,
    Other,
}

impl MediaKind {
    /// The word used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            MediaKind::Photo => "photo",
            MediaKind::Document => "document",
            MediaKind::Video => "video",
            MediaKind::VideoMessage => "video_message",
            MediaKind::Audio => "audio",
            MediaKind::VoiceMessage => "voice_message",
            MediaKind::Animation => "animation",
            MediaKind::Sticker => "sticker",
            MediaKind::WebPage => "web_page",
            MediaKind::Poll => "poll",
            MediaKind::Location => "location",
            MediaKind::Venue => "venue",
            MediaKind::Contact => "contact",
            MediaKind::Game => "game",
            MediaKind::Invoice => "invoice",
            MediaKind::Giveaway => "giveaway",
            MediaKind::TodoList => "todo_list",
            MediaKind::Story => "story",
            MediaKind::Dice => "dice",
            MediaKind::Other => "other",
        }
    }
}

/// Metadata of what a message carries; never the bytes, access hashes or file references.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Media {
    /// What it is.
    pub kind: MediaKind,
    /// Telegram's id of the photo or document, where told.
    pub id: Option<i64>,
    /// File name as sent.
    pub file_name: Option<String>,
    /// MIME type.
    pub mime_type: Option<String>,
    /// Bytes.
    pub size: Option<i64>,
    /// Pixels.
    pub width: Option<i64>,
    /// Pixels.
    pub height: Option<i64>,
    /// Seconds.
    pub duration: Option<i64>,
    /// Track title, page title, place name.
    pub title: Option<String>,
    /// Track performer, page site name.
    pub performer: Option<String>,
    /// Page address.
    pub url: Option<String>,
    /// The emoji a sticker or dice stands for.
    pub emoji: Option<String>,
    /// Hidden behind a spoiler.
    #[serde(default)]
    pub spoiler: bool,
    /// Everything else that is worth keeping, as JSON.
    pub details: Option<JsonText>,
}

impl Media {
    /// Media of a kind, with nothing else known.
    pub fn of(kind: MediaKind) -> Media {
        Media {
            kind,
            id: None,
            file_name: None,
            mime_type: None,
            size: None,
            width: None,
            height: None,
            duration: None,
            title: None,
            performer: None,
            url: None,
            emoji: None,
            spoiler: false,
            details: None,
        }
    }
}

/// A JSON value kept as text, because the log's codec has no type of its own for it.
/// In JSON it is shown as the value itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonText(String);

impl JsonText {
    /// Of a value; keys come out sorted, so equal values have equal text.
    pub fn of(value: &serde_json::Value) -> JsonText {
        JsonText(value.to_string())
    }

    /// The value.
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or(serde_json::Value::Null)
    }
}

impl Serialize for JsonText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.value().serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<JsonText, D::Error> {
        if deserializer.is_human_readable() {
            Ok(JsonText::of(&serde_json::Value::deserialize(deserializer)?))
        } else {
            Ok(JsonText(String::deserialize(deserializer)?))
        }
    }
}

/// Kinds of reaction. Order frozen: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are Telegram's own
pub enum ReactionKind {
    Emoji,
    CustomEmoji,
    Paid,
    Unknown,
}

/// How often one reaction was given. Who gave it is never kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reaction {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: ReactionKind,
    /// The emoji, for plain ones.
    pub emoji: Option<String>,
    /// The custom emoji's document id.
    pub document_id: Option<String>,
    /// How often.
    pub count: i64,
}

/// A poll or quiz.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Poll {
    /// Telegram's id of the poll.
    pub id: Option<i64>,
    /// The question.
    pub question: String,
    /// No more votes.
    pub closed: bool,
    /// Has a right answer.
    pub quiz: bool,
    /// More than one answer may be chosen.
    pub multiple_choice: bool,
    /// How many voted.
    pub total_voters: Option<i64>,
    /// The answers in order.
    pub answers: Vec<PollAnswer>,
}

/// One answer of a poll.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct PollAnswer {
    /// Its text.
    pub text: String,
    /// Votes for it.
    pub voters: Option<i64>,
    /// The right one of a quiz, where told.
    pub correct: Option<bool>,
}

/// An inline button.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Button {
    /// Its kind in Telegram Desktop's words (`url`, `callback`, ...).
    #[serde(rename = "type")]
    pub kind: String,
    /// Its label.
    pub text: Option<String>,
    /// Its address or callback data.
    pub data: Option<String>,
}

/// What a service message tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Service {
    /// The action in Telegram Desktop's words (`pin_message`, `edit_group_title`, ...).
    pub action: String,
    /// Its arguments, as JSON; no personal data.
    pub details: Option<JsonText>,
}

/// What an edit changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it
#[serde(default)]
pub struct Changed {
    pub text: bool,
    pub media: bool,
    pub buttons: bool,
    pub reactions: bool,
    pub counters: bool,
}

impl Changed {
    /// Whether a reader sees a new version of the message.
    pub fn is_visible(self) -> bool {
        self.text || self.media || self.buttons
    }

    /// The names of what changed.
    pub fn names(self) -> Vec<&'static str> {
        [
            (self.text, "text"),
            (self.media, "media"),
            (self.buttons, "buttons"),
            (self.reactions, "reactions"),
            (self.counters, "counters"),
        ]
        .into_iter()
        .filter_map(|(is, name)| is.then_some(name))
        .collect()
    }
}
