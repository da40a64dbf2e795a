//! The log's part of the board: what its writer measures, and whether the log is well.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::LATENCY_MAX_US;

/// Most events in one commit that are told apart.
const BATCH_MAX: u64 = 1_000_000;
/// Most damaged records that are named; a salvage looks for all of them anyway.
const MET_MAX: usize = 16;

/// The file that keeps room on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BallastState {
    /// Not configured.
    #[default]
    Off,
    /// All of it is there.
    Whole,
    /// The disk is full: part or all of it was given back.
    Released,
    /// It could not be made for another reason than a full disk.
    Missing,
}

impl BallastState {
    /// The word in JSON and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            BallastState::Off => "off",
            BallastState::Whole => "whole",
            BallastState::Released => "released",
            BallastState::Missing => "missing",
        }
    }
}

/// What the log's writer has done since it started.
#[derive(Debug, Clone)]
pub struct LogBoard {
    /// Commits that were fsynced.
    pub commits: u64,
    /// From handing a batch to the log to its fsync, in microseconds; the roll to a new segment included.
    pub commit_us: Histogram<u64>,
    /// Events in each commit.
    pub batch_events: Histogram<u64>,
    /// Record bytes (headers and payloads) that were appended.
    pub appended_bytes: u64,
    /// How long each seal took, on request or in an append, in microseconds.
    pub seal_us: Histogram<u64>,
    /// How long opening the log took, in microseconds; the last time it was opened.
    pub open_us: u64,
    /// The last opening found the log left open by a process that died.
    pub unclean: bool,
    /// How often the log was opened again after an I/O error.
    pub reopenings: u64,
    /// Ranges of numbers that will never be readable.
    pub holes: u64,
    /// How often the log was found older than a store since the start, and numbers were skipped.
    pub fences: u64,
    /// The last time of that, in words.
    pub fenced: Option<String>,
    /// Segments that are damaged or missing, by file name.
    pub damaged: Vec<String>,
    /// Records that a reader found damaged or missing since the start, by number, with what is wrong.
    pub met: BTreeMap<u64, String>,
    /// Why the archive cannot be used: what is in it cannot be read, and nothing is trimmed.
    pub archive_fault: Option<String>,
    /// The reserve on the disk.
    pub ballast: BallastState,
    /// The disk is full, and nothing is taken.
    pub full: bool,
    /// Why the log cannot be written.
    pub fault: Option<String>,
}

impl Default for LogBoard {
    fn default() -> LogBoard {
        LogBoard {
            commits: 0,
            commit_us: histogram(LATENCY_MAX_US),
            batch_events: histogram(BATCH_MAX),
            appended_bytes: 0,
            seal_us: histogram(LATENCY_MAX_US),
            open_us: 0,
            unclean: false,
            reopenings: 0,
            holes: 0,
            fences: 0,
            fenced: None,
            damaged: Vec::new(),
            met: BTreeMap::new(),
            archive_fault: None,
            ballast: BallastState::Off,
            full: false,
            fault: None,
        }
    }
}

/// Counts from 1 to `max`.
pub(super) fn histogram(max: u64) -> Histogram<u64> {
    Histogram::new_with_bounds(1, max, 3)
        .expect("constant bounds that satisfy the rules: 1 <= low, 2 low <= high, at most 5 digits")
}

/// Microseconds of a duration.
pub fn micros(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

impl LogBoard {
    /// A batch was made durable.
    pub fn committed(&mut self, took: std::time::Duration, events: u64, bytes: u64) {
        self.commits += 1;
        self.commit_us.saturating_record(micros(took).max(1));
        self.batch_events.saturating_record(events.max(1));
        self.appended_bytes += bytes;
        self.fault = None;
        self.full = false;
    }

    /// The active segment was sealed, and the next one started.
    pub fn sealed(&mut self, took: std::time::Duration) {
        self.seal_us.saturating_record(micros(took).max(1));
    }

    /// The log was opened.
    pub fn opened(&mut self, recovery: &wal::Recovery) {
        self.open_us = micros(recovery.took);
        self.unclean = recovery.unclean;
        self.archive_fault = recovery.archive_error.clone();
        self.damaged_are(recovery);
    }

    /// The segments that are known to be damaged.
    pub fn damaged_are(&mut self, recovery: &wal::Recovery) {
        let files = recovery.damaged.iter().map(|it| it.file.clone());
        self.damaged = files.collect();
    }

    /// A reader found a record damaged or missing.
    pub fn met_damage(&mut self, seq: u64, what: String) {
        if self.met.len() < MET_MAX {
            self.met.insert(seq, what);
        }
    }

    /// A segment was replaced: its numbers are records or holes again.
    pub fn salvaged(&mut self, first: u64, last: u64) {
        self.met.retain(|seq, _| !(first..=last).contains(seq));
    }

    /// Why the log is not well; nothing when it is.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.full {
            complaints.push("the disk is full: nothing is taken until there is room".to_owned());
        } else if let Some(fault) = &self.fault {
            complaints.push(format!("the log cannot be written: {fault}"));
        }
        for file in &self.damaged {
            complaints.push(format!(
                "{file} is damaged or missing: telegram-gateway wal salvage"
            ));
        }
        for what in self.met.values() {
            complaints.push(format!("{what}: telegram-gateway wal salvage"));
        }
        complaints.extend(self.fenced.clone());
        if let Some(fault) = &self.archive_fault {
            complaints.push(format!("the archive cannot be used: {fault}"));
        }
        if self.ballast == BallastState::Missing {
            complaints.push("the ballast could not be made".to_owned());
        }
        complaints
    }

    /// The figures as `wal stat` shows them.
    pub fn report(&self) -> LogReport {
        LogReport {
            healthy: self.complaints().is_empty(),
            complaints: self.complaints(),
            commits: self.commits,
            commit_us: Spread::of(&self.commit_us),
            batch_events: Spread::of(&self.batch_events),
            appended_bytes: self.appended_bytes,
            seals_us: Spread::of(&self.seal_us),
            open_us: self.open_us,
            unclean: self.unclean,
            reopenings: self.reopenings,
            holes: self.holes,
            fences: self.fences,
            damaged: self.damaged.clone(),
            ballast: self.ballast,
        }
    }
}

/// The live figures of a running daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogReport {
    /// Nothing is wrong.
    pub healthy: bool,
    /// What is wrong, in words.
    pub complaints: Vec<String>,
    /// Commits since the start.
    pub commits: u64,
    /// How long they took, in microseconds.
    pub commit_us: Spread,
    /// Events in each.
    pub batch_events: Spread,
    /// Record bytes appended since the start.
    pub appended_bytes: u64,
    /// How long seals took, on request or in an append, in microseconds.
    pub seals_us: Spread,
    /// How long the last opening took, in microseconds.
    pub open_us: u64,
    /// The last opening had to repair.
    pub unclean: bool,
    /// Openings after an I/O error since the start.
    pub reopenings: u64,
    /// Ranges that will never be readable.
    pub holes: u64,
    /// Times that the log was found older than a store since the start.
    pub fences: u64,
    /// Damaged or missing segments.
    pub damaged: Vec<String>,
    /// The reserve on the disk.
    pub ballast: BallastState,
}

/// A distribution in a few numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// Half are at most this.
    pub p50: u64,
    /// Nine of ten are at most this.
    pub p90: u64,
    /// Ninety-nine of a hundred are at most this.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    fn of(histogram: &Histogram<u64>) -> Spread {
        if histogram.is_empty() {
            return Spread::default();
        }
        Spread {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_log_is_well_until_something_is_wrong() {
        let mut log = LogBoard::default();
        log.committed(Duration::from_micros(300), 7, 900);
        let report = log.report();
        assert!(report.healthy, "{:?}", report.complaints);
        assert_eq!((report.commits, report.commit_us.p50), (1, 300));
        assert_eq!((report.batch_events.max, report.appended_bytes), (7, 900));
        log.full = true;
        log.fault = Some("no space".to_owned());
        log.damaged.push("segment-1".to_owned());
        assert_eq!(log.complaints().len(), 2, "a full disk is told once");
        log.committed(Duration::from_micros(1), 1, 1);
        assert_eq!(
            log.complaints().len(),
            1,
            "damage does not go away by a commit"
        );
    }

    #[test]
    fn damage_that_was_met_is_told_until_its_segment_is_salvaged() {
        let mut log = LogBoard::default();
        log.met_damage(14, "record 14 in segment-11 is damaged".to_owned());
        log.met_damage(14, "record 14 in segment-11 is damaged".to_owned());
        let told = "record 14 in segment-11 is damaged: telegram-gateway wal salvage";
        assert_eq!(log.complaints(), [told]);
        log.salvaged(1, 10);
        assert_eq!(log.complaints().len(), 1, "another segment");
        log.salvaged(11, 20);
        assert!(log.report().healthy);
        (1..1000).for_each(|seq| log.met_damage(seq, String::new()));
        assert_eq!(log.complaints().len(), MET_MAX);
    }
}
