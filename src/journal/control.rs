//! What can be asked of the log beside appending, and the answers. All of it travels as JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::retention::{Plan, Segment};
use super::sources::Given;
use crate::event::Since;
use crate::failure::{Class, Classify, Exit};
use crate::status::{
    AccountReport, BackfillReport, ChatReport, DriftBoard, GapReport, LogReport, QueueBoard,
    StageReport, UnresolvedName,
};

/// What is asked. Whoever holds the log does it: the running daemon, or the command itself when none runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// The live figures.
    Stat,
    /// How the accounts' connections to Telegram are.
    Accounts,
    /// About the live source.
    Telegram(Ask),
    /// How what is fed from the log is doing.
    Stages,
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
    /// Replace all damaged segments but the active one by what can still be read of them.
    Salvage {
        /// Directories of containers that may have what cannot be read, besides the archive.
        from: Vec<PathBuf>,
    },
}

/// What is asked about the live source. Only a daemon with accounts does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Which chats are known, and which are mirrored.
    Chats,
    /// What of the past is fetched.
    Backfills,
    /// Ask Telegram about chats.
    Meet {
        /// Through this account.
        account: String,
        /// About this one, as an operator names it; none for all dialogs of the account.
        chat: Option<String>,
        /// Keep what is told.
        keep: bool,
    },
    /// Fetch the past of a channel.
    Backfill {
        /// Through this account.
        account: String,
        /// Of this channel, as an operator names it.
        chat: String,
        /// How far back.
        since: Since,
        /// So many messages at most.
        limit: u32,
    },
    /// Stop all that is fetched of a channel.
    Cancel {
        /// Through this account.
        account: String,
        /// Of this channel, as an operator names it.
        chat: String,
    },
}

/// The answer, one for each command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Command::Stat`].
    Stat(Box<LogReport>),
    /// To [`Command::Accounts`].
    Accounts {
        /// Each account.
        accounts: Vec<AccountReport>,
        /// The gaps that nobody has closed.
        gaps: Vec<GapReport>,
    },
    /// To [`Ask::Chats`] and [`Ask::Meet`].
    Chats(Chats),
    /// To [`Ask::Backfills`].
    Backfills {
        /// Each account with what it fetches.
        accounts: Vec<(String, Vec<BackfillReport>)>,
    },
    /// To [`Ask::Backfill`] and [`Ask::Cancel`].
    Ordered {
        /// The channel.
        chat: Box<ChatReport>,
        /// Stretches of its past that are not done.
        waiting: usize,
    },
    /// To whatever could not be done.
    Refused(Refusal),
    /// To [`Command::Stages`].
    Stages {
        /// Each stage behind the log, by its word.
        stages: BTreeMap<String, StageReport>,
        /// Each queue, by its projection.
        queues: BTreeMap<String, QueueBoard>,
        /// What slices of the stores showed, by name.
        drift: BTreeMap<String, DriftBoard>,
    },
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
    /// To [`Command::Salvage`].
    Salvaged {
        /// Each segment that was damaged.
        segments: Vec<Saved>,
        /// What each directory of containers gave.
        given: Vec<Given>,
    },
}

/// Chats, as an operator sees them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chats {
    /// Each chat.
    pub chats: Vec<ChatReport>,
    /// Configured names that no channel is known by.
    pub unresolved: Vec<UnresolvedName>,
}

/// Why a command could not be done, with all that whoever gave it has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// Why.
    pub text: String,
    /// What mends it.
    pub hint: Option<String>,
    /// What the command exits with.
    pub exit: Exit,
}

impl Refusal {
    /// With what the operator has to do.
    pub fn new(exit: Exit, text: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal {
            text: text.into(),
            hint: Some(hint.into()),
            exit,
        }
    }
}

impl Classify for Refusal {
    fn class(&self) -> Class {
        match self.exit {
            Exit::Backend => Class::Transient,
            Exit::Data => Class::Corrupt,
            _ => Class::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}

/// A segment that was replaced by what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Its file.
    pub file: String,
    /// Its first number.
    pub first: u64,
    /// Its last number.
    pub last: u64,
    /// Records it has now.
    pub records: u64,
    /// Of those, how many could still be read in the ordinary way.
    pub engine: u64,
    /// How many were found in the bytes of files.
    pub carved: u64,
    /// How many an archive or a backup gave.
    pub given: u64,
    /// Nothing is lost.
    pub complete: bool,
    /// Its holes: first and last number of each.
    pub holes: Vec<(u64, u64)>,
    /// The name the damaged file was given; none if there was no file.
    pub kept_as: Option<String>,
}

impl From<&wal::Salvaged> for Saved {
    fn from(it: &wal::Salvaged) -> Saved {
        let holes = it.holes.iter();
        Saved {
            file: it.file.clone(),
            first: it.first.get(),
            last: it.last.get(),
            records: it.records,
            engine: it.found.engine,
            carved: it.found.carved,
            given: it.found.source,
            complete: it.complete,
            holes: holes.map(|it| (it.first.get(), it.last.get())).collect(),
            kept_as: it.kept_as.clone(),
        }
    }
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
