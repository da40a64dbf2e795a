//! Chats and gaps as an operator sees them.

use serde::{Deserialize, Serialize};

/// A chat, and whether it is mirrored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatReport {
    /// Its id in the marked form (channels -100...).
    pub id: i64,
    /// `channel`, `supergroup`, `group`, `direct_messages`.
    pub kind: Option<String>,
    /// What it is called.
    pub title: Option<String>,
    /// Its public name, without `@`.
    pub username: Option<String>,
    /// Whether the account is in it; none where nobody was asked.
    pub member: Option<bool>,
    /// It is mirrored.
    pub followed: bool,
    /// Why, or why not.
    pub why: String,
    /// It is short-polled.
    pub hot: bool,
    /// The newest message that the log has.
    pub last_message_id: Option<i64>,
    /// Since it spoke last, as far as the running daemon heard.
    pub age_seconds: Option<u64>,
    /// Its usual pause, once there is one.
    pub usual_seconds: Option<f64>,
    /// It has been silent for far longer than usual.
    pub late: bool,
}

/// A configured name that no channel is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnresolvedName {
    /// The name, with `@`.
    pub name: String,
    /// Why not.
    pub reason: String,
}

/// A gap that nobody has closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapReport {
    /// The chat, in the marked form; none for what is not of one channel.
    pub chat: Option<i64>,
    /// What it is called.
    pub name: Option<String>,
    /// Why there is a gap.
    pub cause: String,
    /// Behind this position of the sequence.
    pub after_pts: Option<i64>,
    /// Up to this one.
    pub until_pts: Option<i64>,
    /// Behind this message.
    pub after_message_id: Option<i64>,
    /// Up to this one.
    pub until_message_id: Option<i64>,
}
