//! What a check found.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::repair::Repair;
use crate::event::Timestamp;
use crate::store::mend::Subject;

/// Differing rows that are shown; all are counted.
pub(super) const SHOWN_MAX: usize = 20;

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `log` or the store's name.
    pub target: &'static str,
    /// Nothing was found.
    pub clean: bool,
    /// Records of the log that were read.
    pub records: u64,
    /// Records in the archive that were read; 0 for a store.
    pub archived: u64,
    /// Containers of the archive that were looked at; 0 for a store.
    pub containers: usize,
    /// Rows (keys, for Redis) that were compared.
    pub rows: u64,
    /// Channel-days and tables that were compared.
    pub buckets: usize,
    /// The checkpoint up to which the store was compared; 0 for the log and for an empty store.
    pub checkpoint: u64,
    /// Rows that the store keeps from a life of the log that is over, or of numbers that the log no longer has; not
    /// differences. A rebuild removes them.
    pub kept: u64,
    /// Recorded holes of the log: ranges of numbers that no record has.
    pub holes: Vec<HoleShown>,
    /// Events behind the tail of the log at that moment; not a difference.
    pub behind: u64,
    /// Differences in all.
    pub differences: u64,
    /// The first of them.
    pub shown: Vec<Difference>,
    /// What was repaired before this check, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
    /// Why nothing of it can be repaired.
    #[serde(skip)]
    pub(super) misplaced: Option<String>,
    /// What all the differences are about.
    #[serde(skip)]
    pub(super) subjects: BTreeSet<Subject>,
}

/// A recorded hole.
#[derive(Debug, Clone, Serialize)]
pub struct HoleShown {
    /// Its first number.
    pub first: u64,
    /// Its last number.
    pub last: u64,
    /// `damage` or `fence`.
    pub cause: &'static str,
    /// When it was recorded.
    pub noted_at: Timestamp,
}

impl From<&wal::Hole> for HoleShown {
    fn from(hole: &wal::Hole) -> HoleShown {
        HoleShown {
            first: hole.first.get(),
            last: hole.last.get(),
            cause: hole.cause.as_str(),
            noted_at: Timestamp::from_micros(hole.noted_at),
        }
    }
}

/// One difference.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// Table or file.
    pub place: String,
    /// The row's key, or the record's number.
    pub key: Vec<Value>,
    /// What sort of thing is wrong with the log (`wal::FindingKind`); none for rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// `missing`, `surplus`, `differs`, or what is damaged.
    pub what: String,
    /// Columns that differ: name, in the log, in the store.
    pub columns: Vec<(&'static str, Value, Value)>,
}

impl Difference {
    /// It in one line, without the columns; foreign text is in it as it is.
    pub fn line(&self) -> String {
        let key: Vec<String> = self.key.iter().map(ToString::to_string).collect();
        format!("{} {}: {}", self.place, key.join(" "), self.what)
    }
}

impl Report {
    pub(super) fn new(target: &'static str) -> Report {
        Report {
            target,
            clean: true,
            records: 0,
            archived: 0,
            containers: 0,
            rows: 0,
            buckets: 0,
            checkpoint: 0,
            kept: 0,
            holes: Vec::new(),
            behind: 0,
            differences: 0,
            shown: Vec::new(),
            repair: None,
            misplaced: None,
            subjects: BTreeSet::new(),
        }
    }

    /// Takes a difference in.
    pub(super) fn found(&mut self, difference: Difference) {
        self.clean = false;
        self.differences += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(difference);
        }
    }
}
