//! Channels and the gaps in their sequence.

use serde::{Deserialize, Serialize};

use super::{PeerId, Timestamp};

/// What is known of a channel at one moment. A field that is absent was not told, and stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// `channel`, `supergroup`, `group`, `user`, `bot`: as told by the source.
    pub kind: String,
    /// The title as shown to readers.
    pub title: Option<String>,
    /// The public username, without `@`.
    pub username: Option<String>,
    /// The basic group this supergroup came from.
    pub migrated_from: Option<PeerId>,
    /// When it became so, where Telegram says.
    pub at: Option<Timestamp>,
}

/// Why a range is missing. The order of the variants is part of the log format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// Telegram answered that the difference is too long to tell.
    TooLong,
    /// The account lost access to the channel.
    LostAccess,
    /// Telegram refused our position.
    InvalidPosition,
    /// We were away for longer than Telegram keeps updates.
    Downtime,
}

impl GapCause {
    /// The word used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            GapCause::TooLong => "too_long",
            GapCause::LostAccess => "lost_access",
            GapCause::InvalidPosition => "invalid_position",
            GapCause::Downtime => "downtime",
        }
    }
}

/// A range of Telegram's sequence that we do not have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Gap {
    /// Why.
    pub cause: GapCause,
    /// Last position we had (pts), exclusive start of the gap.
    pub after_pts: Option<i64>,
    /// First position we have again.
    pub until_pts: Option<i64>,
    /// Last message id known before the gap.
    pub after_message_id: Option<i64>,
    /// First message id known behind the gap.
    pub until_message_id: Option<i64>,
}
