//! The queues' part of the board: how each projector's queue at the broker is doing.

use serde::{Deserialize, Serialize};

/// Where a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueState {
    /// There is no connection; the projector reads the log.
    #[default]
    Away,
    /// Frames and markers come.
    Listening,
    /// The projector is far behind; it reads the log and drops the broker's copies.
    CatchingUp,
    /// Connected once, but not even markers come; the projector reads the log, and the connection is made anew.
    Deaf,
}

impl QueueState {
    /// The word on the screen and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            QueueState::Away => "away",
            QueueState::Listening => "listening",
            QueueState::CatchingUp => "catching-up",
            QueueState::Deaf => "deaf",
        }
    }
}

/// What a projector has seen of its queue since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueBoard {
    /// Where it is.
    pub state: QueueState,
    /// Why it cannot be read.
    pub fault: Option<String>,
    /// The fault will not go away by itself.
    pub needs_operator: bool,
    /// Ranges that the broker lost and the log gave again.
    pub lost_ranges: u64,
    /// Events in them.
    pub lost_events: u64,
    /// Bodies that were no frames of ours, or damaged ones; they are in the dead letters.
    pub rejected: u64,
    /// Frames of another log or epoch; they are in the dead letters.
    pub foreign: u64,
    /// Records that were read from the log.
    pub from_log: u64,
    /// Frames of which nothing was needed.
    pub copies: u64,
    /// Exchanges and queues that were missing at a connect.
    pub missing: u64,
    /// Times that it went deaf.
    pub deaf: u64,
}
