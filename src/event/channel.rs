//! Channels and the gaps in their sequence.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{PeerId, Timestamp};

/// What is known of a channel at one moment. A field that is absent was not told, and stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// `channel`, `supergroup`, `group`, `user`, `bot`: as told by the source.
    pub kind: String,
    /// The title as shown to readers.
    pub title: Option<String>,
    /// The public username, without `@`; empty for one that is gone.
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

impl Gap {
    /// What tells this gap from others of its peer.
    pub fn bounds(&self) -> GapBounds {
        GapBounds {
            after_pts: self.after_pts,
            until_pts: self.until_pts,
            after_message_id: self.after_message_id,
            until_message_id: self.until_message_id,
        }
    }

    /// The stamp of the event: the same for the same bounds, so a gap that is found again after a crash is one event.
    pub fn stamp(&self) -> i64 {
        self.bounds().stamp()
    }
}

/// The ends of a gap. With its peer they are its identity: the cause is not part of it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct GapBounds {
    /// As in [`Gap::after_pts`].
    pub after_pts: Option<i64>,
    /// As in [`Gap::until_pts`].
    pub until_pts: Option<i64>,
    /// As in [`Gap::after_message_id`].
    pub after_message_id: Option<i64>,
    /// As in [`Gap::until_message_id`].
    pub until_message_id: Option<i64>,
}

impl GapBounds {
    /// A number for these bounds.
    pub fn stamp(&self) -> i64 {
        self.hashed(&[])
    }

    /// Never 0, which would mean that there is no stamp.
    fn hashed(&self, more: &[i64]) -> i64 {
        let ends = [
            self.after_pts,
            self.until_pts,
            self.after_message_id,
            self.until_message_id,
        ];
        let mut hash = Sha256::new();
        for end in ends.into_iter().chain(more.iter().copied().map(Some)) {
            hash.update([u8::from(end.is_some())]);
            hash.update(end.unwrap_or(0).to_le_bytes());
        }
        let mut short = [0; 8];
        short.copy_from_slice(&hash.finalize()[..8]);
        i64::from_le_bytes(short) | 1
    }
}

/// How a gap ended. The order of the variants is part of the log format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapOutcome {
    /// Everything that Telegram still has of it is in the log.
    Filled,
    /// Some of it is in the log; the rest cannot be had.
    Partial,
    /// Nothing of it can be had.
    Unfillable,
}

impl GapOutcome {
    /// The word used in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            GapOutcome::Filled => "filled",
            GapOutcome::Partial => "partial",
            GapOutcome::Unfillable => "unfillable",
        }
    }
}

/// The end of the search for what a gap hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GapClosed {
    /// Which gap of the event's peer.
    pub gap: GapBounds,
    /// How it ended.
    pub outcome: GapOutcome,
    /// Messages that were found in it.
    pub found: i64,
}

impl GapClosed {
    /// The stamp of the event: saying the same twice is one event, another outcome later is a new one.
    pub fn stamp(&self) -> i64 {
        self.gap.hashed(&[self.outcome as i64, self.found])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_known_by_its_bounds() {
        let gap = |cause, after_pts, until_pts| Gap {
            cause,
            after_pts,
            until_pts,
            after_message_id: None,
            until_message_id: None,
        };
        let first = gap(GapCause::TooLong, Some(1), None);
        assert_eq!(
            first.stamp(),
            gap(GapCause::Downtime, Some(1), None).stamp()
        );
        assert_ne!(first.stamp(), gap(GapCause::TooLong, None, Some(1)).stamp());
        assert_ne!(first.stamp(), 0);
        let closed = |outcome, found| GapClosed {
            gap: first.bounds(),
            outcome,
            found,
        };
        let partial = closed(GapOutcome::Partial, 3);
        assert_eq!(partial.stamp(), closed(GapOutcome::Partial, 3).stamp());
        assert_ne!(partial.stamp(), closed(GapOutcome::Filled, 3).stamp());
        assert_ne!(partial.stamp(), first.stamp());
    }
}
