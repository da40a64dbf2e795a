//! The figures of a run, and how they are printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::machine::Machine;
use crate::cli::view::millis;
use crate::status::{Progress, Snapshot};

/// What the gateway promises to sustain, in events a second.
pub(super) const TARGET_PER_SECOND: f64 = 50.0;

/// One stage: from the moment an event was received, or was due.
#[derive(Debug, Clone, Serialize)]
pub(super) struct StageFigures {
    /// Events that passed.
    pub events: u64,
    /// Events a second, from the start of the run to the last event.
    pub per_second: f64,
    /// Latency in microseconds.
    pub p50_us: u64,
    /// Latency in microseconds.
    pub p95_us: u64,
    /// Latency in microseconds.
    pub p99_us: u64,
    /// Latency in microseconds.
    pub max_us: u64,
}

/// Memory over the run, in bytes.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Memory {
    /// After a tenth of the events.
    pub at_tenth: u64,
    /// After half of the events.
    pub at_half: u64,
    /// At the end.
    pub at_end: u64,
    /// The highest seen.
    pub peak: u64,
}

impl Memory {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        format!(
            "rss {:.0} MiB at a tenth, {:.0} at half, {:.0} at the end, {:.0} peak",
            mib(self.at_tenth),
            mib(self.at_half),
            mib(self.at_end),
            mib(self.peak),
        )
    }
}

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    /// `paced` or `flat_out`.
    pub mode: &'static str,
    /// Events a second asked for; 0 for flat out.
    pub rate: u32,
    /// Seed of the generator.
    pub seed: u64,
    /// Events received.
    pub events: u64,
    /// Seconds until the last stage had the last event.
    pub seconds: f64,
    /// Each stage that took part.
    pub stages: BTreeMap<&'static str, StageFigures>,
    /// Processor seconds of this process; the servers' are not in it.
    pub cpu_seconds: f64,
    /// Resident memory of this process.
    pub rss: Memory,
    /// Bytes of the log's files for each event.
    pub log_bytes_per_event: f64,
    /// Events the broker lost and the log gave again.
    pub broker_lost: u64,
    /// The slowest stage kept the target rate.
    pub pass: bool,
    /// What it ran on.
    pub machine: Machine,
}

/// The figures of every stage on the board of a run that started at this time.
pub(super) fn stages(board: &Snapshot, started_us: i64) -> BTreeMap<&'static str, StageFigures> {
    board
        .stages
        .iter()
        .map(|(stage, it)| (stage.as_str(), figures(it, started_us)))
        .collect()
}

fn figures(progress: &Progress, started_us: i64) -> StageFigures {
    let seconds = (progress.last_us - started_us).max(1) as f64 / 1e6;
    let at = |quantile| progress.latency_us.value_at_quantile(quantile);
    StageFigures {
        events: progress.events,
        per_second: progress.events as f64 / seconds,
        p50_us: at(0.5),
        p95_us: at(0.95),
        p99_us: at(0.99),
        max_us: progress.latency_us.max(),
    }
}

/// Whether every stage got every event, at the target rate. A paced run below the target is judged by its own rate.
pub(super) fn passes(
    stages: &BTreeMap<&'static str, StageFigures>,
    events: u64,
    rate: u32,
) -> bool {
    let target = if rate > 0 {
        f64::from(rate).min(TARGET_PER_SECOND)
    } else {
        TARGET_PER_SECOND
    };
    // A paced run ends when its last event has passed, a little behind its schedule.
    events > 0
        && !stages.is_empty()
        && stages
            .values()
            .all(|stage| stage.events >= events && stage.per_second >= target * 0.98)
}

impl Report {
    /// The report for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let machine = &self.machine;
        let _ = writeln!(
            text,
            "{} events, {}, seed {}, {:.1} s; {}, {} cores, Linux {}, load {:.2}; fsync: {}",
            self.events,
            if self.rate > 0 {
                format!("{} a second", self.rate)
            } else {
                "flat out".to_owned()
            },
            self.seed,
            self.seconds,
            machine.cpu,
            machine.cores,
            machine.kernel,
            machine.load_1m,
            machine.fsync,
        );
        let _ = writeln!(
            text,
            "{:<10} {:>10} {:>11} {:>12} {:>12} {:>12} {:>12}",
            "received >", "events", "events/s", "p50", "p95", "p99", "max"
        );
        for (name, stage) in &self.stages {
            let _ = writeln!(
                text,
                "{:<10} {:>10} {:>11.1} {:>12} {:>12} {:>12} {:>12}",
                name,
                stage.events,
                stage.per_second,
                millis(stage.p50_us),
                millis(stage.p95_us),
                millis(stage.p99_us),
                millis(stage.max_us),
            );
        }
        let _ = writeln!(
            text,
            "cpu {:.1} s ({:.1} us an event); {}; log {:.0} bytes an event; broker lost {}",
            self.cpu_seconds,
            self.cpu_seconds * 1e6 / self.events.max(1) as f64,
            self.rss.text(),
            self.log_bytes_per_event,
            self.broker_lost,
        );
        let slowest = self
            .stages
            .values()
            .map(|it| it.per_second)
            .fold(f64::INFINITY, f64::min);
        let _ = write!(
            text,
            "{}: slowest stage {:.1} events/s, target {} ({:.0}x)",
            if self.pass { "PASS" } else { "FAIL" },
            slowest,
            TARGET_PER_SECOND,
            slowest / TARGET_PER_SECOND,
        );
        text
    }
}
