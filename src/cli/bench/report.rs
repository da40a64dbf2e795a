//! The figures of a run, and how they are printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::machine::Machine;
use crate::cli::view::millis;
use crate::status::{Progress, Snapshot, Stage};

/// What the gateway promises to sustain, in events a second.
pub(super) const TARGET_PER_SECOND: f64 = 50.0;

/// One stage.
#[derive(Debug, Clone, Serialize)]
pub(super) struct StageFigures {
    /// Events that passed.
    pub events: u64,
    /// Events a second, from the start of the run to the last event.
    pub per_second: f64,
    /// From the moment an event was received, or was due.
    #[serde(flatten)]
    pub received: Latency,
    /// From the moment it was durable, for a stage behind the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_durable: Option<Latency>,
}

/// How long events took, in microseconds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Latency {
    /// Half of them at most this.
    pub p50_us: u64,
    /// Ninety-five of a hundred.
    pub p95_us: u64,
    /// Ninety-nine of a hundred.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
}

impl Latency {
    /// Of all events that were not counted yet in `before`.
    fn of(histogram: &Histogram<u64>, before: Option<&Histogram<u64>>) -> Latency {
        let mut histogram = histogram.clone();
        if let Some(before) = before {
            // It has the same bounds and is an earlier state of this one.
            let _ = histogram.subtract(before);
        }
        let at = |quantile| histogram.value_at_quantile(quantile);
        Latency {
            p50_us: at(0.5),
            p95_us: at(0.95),
            p99_us: at(0.99),
            max_us: histogram.max(),
        }
    }

    /// For people, in columns.
    fn text(&self) -> String {
        let Latency {
            p50_us,
            p95_us,
            p99_us,
            max_us,
        } = *self;
        let columns = [p50_us, p95_us, p99_us, max_us].map(|us| format!("{:>12}", millis(us)));
        columns.join(" ")
    }
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

/// The figures of every stage on the board of a run that started at this time; the latencies without what was counted
/// when the run was warm.
pub(super) fn stages(
    board: &Snapshot,
    started_us: i64,
    warm: Option<&Snapshot>,
) -> BTreeMap<&'static str, StageFigures> {
    let figures = |(stage, it): (&Stage, &Progress)| {
        let before = warm.and_then(|warm| warm.stages.get(stage));
        let seconds = (it.last_us - started_us).max(1) as f64 / 1e6;
        let figures = StageFigures {
            events: it.events,
            per_second: it.events as f64 / seconds,
            received: Latency::of(&it.latency_us, before.map(|it| &it.latency_us)),
            since_durable: (!it.since_durable_us.is_empty())
                .then(|| Latency::of(&it.since_durable_us, before.map(|it| &it.since_durable_us))),
        };
        (stage.as_str(), figures)
    };
    board.stages.iter().map(figures).collect()
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
                "{name:<10} {:>10} {:>11.1} {}",
                stage.events,
                stage.per_second,
                stage.received.text(),
            );
        }
        let _ = writeln!(text, "durable >");
        for (name, stage) in &self.stages {
            if let Some(latency) = &stage.since_durable {
                let _ = writeln!(text, "{name:<33} {}", latency.text());
            }
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
