//! What can be asked of the log beside appending, and the answers. All of it travels as JSON.

use serde::{Deserialize, Serialize};

use super::retention::{Plan, Segment};
use crate::status::LogReport;

/// What is asked. Whoever holds the log does it: the running daemon, or the command itself when none runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// The live figures.
    Stat,
    /// Seal the active segment.
    Seal,
    /// Remove old segments that nobody needs.
    Trim {
        /// Remove what is before this number; none for what the configured policy says.
        keep_from: Option<u64>,
        /// Only say what would go.
        plan: bool,
    },
    /// Write sealed segments anew, without unused space.
    Compact {
        /// The one that starts with this number; none for all.
        first: Option<u64>,
    },
}

/// The answer, one for each command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Command::Stat`].
    Stat(Box<LogReport>),
    /// To [`Command::Seal`]: the segment that is sealed now, none when there was nothing to seal.
    Sealed {
        /// The segment.
        segment: Option<Segment>,
    },
    /// To [`Command::Trim`].
    Trimmed {
        /// What goes, and what does not.
        plan: Plan,
        /// Whether it is gone.
        done: bool,
    },
    /// To [`Command::Compact`].
    Compacted {
        /// Each segment.
        segments: Vec<Smaller>,
    },
}

/// A segment that was written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smaller {
    /// The number it starts with.
    pub first: u64,
    /// Bytes of its file before.
    pub before: u64,
    /// Bytes of its file now.
    pub after: u64,
}
