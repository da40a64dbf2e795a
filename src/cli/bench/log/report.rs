//! The table: what is to be reached, what was measured.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::commits::Commits;
use super::figures::Figures;
use super::growth::Growth;
use super::reading::{ALONE, BUSY_LOOP, Reading};
use super::roll::Roll;
use super::space::Space;
use crate::cli::bench::machine::Machine;

/// Where it was measured.
#[derive(Debug, Serialize)]
pub(super) struct Disk {
    /// Type of the file system.
    pub file_system: String,
    /// What it is on.
    pub device: String,
    /// How it is mounted.
    pub options: String,
}

impl Disk {
    /// The mount that holds a folder, as Linux tells it.
    pub(super) fn of(dir: &Path) -> Disk {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let holds = |line: &&str| {
            let point = line.split(' ').nth(1);
            point.is_some_and(|point| dir.starts_with(point))
        };
        let longest = |line: &&str| line.split(' ').nth(1).map_or(0, str::len);
        let line = mounts.lines().filter(holds).max_by_key(longest);
        let mut words = line.unwrap_or("unknown unknown unknown unknown").split(' ');
        let mut word = |skipped| words.nth(skipped).unwrap_or("unknown").to_owned();
        Disk {
            device: word(0),
            file_system: word(1),
            options: word(0),
        }
    }
}

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Record bytes of the largest log, about.
    pub size: u64,
    /// What it ran on; the load is that of the start.
    pub machine: Machine,
    /// Load average over the last minute, at the end. The bench itself is in it.
    pub load_after: f64,
    /// Where the files were.
    pub disk: Disk,
    /// The log against the disk and SQLite.
    pub commits: Commits,
    /// What an append feels of a seal.
    pub roll: Roll,
    /// A small log and a large one.
    pub growth: Growth,
    /// Reading, and appending meanwhile.
    pub reading: Reading,
    /// Bytes on the disk.
    pub space: Vec<Space>,
}

/// What is to be reached.
#[derive(Debug, Clone, Copy)]
enum Reach {
    AtMost(f64),
    AtLeast(f64),
    /// Stated, and no more.
    None,
}

impl Reach {
    fn text(self, measured: f64) -> (String, &'static str) {
        let met = |yes| if yes { "yes" } else { "NO" };
        match self {
            Reach::AtMost(limit) => (format!("<= {}", number(limit)), met(measured <= limit)),
            Reach::AtLeast(limit) => (format!(">= {}", number(limit)), met(measured >= limit)),
            Reach::None => ("-".to_owned(), ""),
        }
    }
}

/// A line of the table.
struct Row(String, Reach, f64, String);

/// As few digits as say something.
fn number(value: f64) -> String {
    if value >= 1e6 {
        format!("{:.2} M", value / 1e6)
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl Report {
    /// The report for people.
    pub(super) fn text(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "{}, {} cores, Linux {}; {} on {} ({}); load {:.2} before, {:.2} after; fsync: {}\n",
            machine.cpu,
            machine.cores,
            machine.kernel,
            self.disk.file_system,
            self.disk.device,
            self.disk.options,
            machine.load_1m,
            self.load_after,
            machine.fsync,
        );
        let _ = write!(
            text,
            "{:<56} {:>9} {:>9} {:>4}",
            "in turns", "reach", "measured", "met"
        );
        let sections = [
            self.commit_rows(),
            self.roll_rows(),
            self.growth_rows(),
            self.reading_rows(),
            self.space_rows(),
        ];
        for Row(what, reach, measured, detail) in sections.into_iter().flatten() {
            let (reach, met) = reach.text(measured);
            let measured = number(measured);
            let _ = write!(
                text,
                "\n{what:<56} {reach:>9} {measured:>9} {met:>4}  {detail}"
            );
        }
        text
    }

    fn commit_rows(&self) -> Vec<Row> {
        use Reach::{AtLeast, AtMost, None};
        let (one, many) = (&self.commits.one, &self.commits.many);
        let us = |log: f64, raw: f64| format!("{log:.0} us of {raw:.0} us");
        let mut rows = vec![
            Row(
                "one event a commit, p50 against raw".to_owned(),
                AtMost(2.0),
                one.log.p50_us / one.raw.p50_us,
                us(one.log.p50_us, one.raw.p50_us),
            ),
            Row(
                "one event a commit, p99 against raw".to_owned(),
                AtMost(2.5),
                one.log.p99_us / one.raw.p99_us,
                us(one.log.p99_us, one.raw.p99_us),
            ),
            Row(
                "one event a commit, p50 against SQLite".to_owned(),
                None,
                one.log.p50_us / one.sqlite.p50_us,
                us(one.log.p50_us, one.sqlite.p50_us),
            ),
        ];
        let pairs = [
            ("raw, with keys", &many.log, &many.raw, AtLeast(0.23)),
            (
                "raw, without keys",
                &many.log_without_keys,
                &many.raw,
                AtLeast(0.23),
            ),
            ("SQLite, with keys", &many.log, &many.sqlite, AtLeast(1.5)),
            (
                "SQLite, without keys",
                &many.log_without_keys,
                &many.sqlite_without_keys,
                AtLeast(1.5),
            ),
        ];
        for (name, log, other, reach) in pairs {
            let mut row = |how: &str, rate: fn(&Figures) -> f64| {
                rows.push(Row(
                    format!("1000 a commit against {name}, {how}"),
                    reach,
                    rate(log) / rate(other),
                    format!("{:.0}/s of {:.0}/s", rate(log), rate(other)),
                ));
            };
            row("median", |it| it.median_per_second);
            row("sustained", |it| it.sustained_per_second);
        }
        rows
    }

    fn roll_rows(&self) -> Vec<Row> {
        let roll = &self.roll;
        vec![
            Row(
                "p99 around a seal against before it".to_owned(),
                Reach::None,
                roll.during_p99_us / roll.before_p99_us,
                format!(
                    "{:.0} us of {:.0} us; p50 {:.0} of {:.0}; the append that seals {:.0}, worst {:.0}; {} seals, {} ms each",
                    roll.during_p99_us,
                    roll.before_p99_us,
                    roll.during_p50_us,
                    roll.before_p50_us,
                    roll.sealing_us,
                    roll.worst_us,
                    roll.rolls,
                    roll.window_ms,
                ),
            ),
            Row(
                "worst append of 1000, ms".to_owned(),
                Reach::None,
                self.commits.many.log.worst_us / 1e3,
                format!(
                    "raw {:.0} ms, SQLite {:.0} ms",
                    self.commits.many.raw.worst_us / 1e3,
                    self.commits.many.sqlite.worst_us / 1e3
                ),
            ),
        ]
    }

    fn growth_rows(&self) -> Vec<Row> {
        let growth = &self.growth;
        let mut rows = vec![Row(
            "commit p50, large log against small".to_owned(),
            Reach::AtMost(1.2),
            growth.large.p50_us / growth.small.p50_us,
            format!(
                "{:.0} us of {:.0} us",
                growth.large.p50_us, growth.small.p50_us
            ),
        )];
        for size in &growth.sizes {
            rows.push(Row(
                format!("open after kill -9 at {:.0} MiB, s", mib(size.bytes)),
                Reach::AtMost(0.5),
                size.open_median_ms() / 1e3,
                format!("each: {:.0?} ms; {} events", size.open_ms, size.events),
            ));
        }
        for size in &growth.sizes {
            rows.push(Row(
                format!("memory at {:.0} MiB, MiB", mib(size.bytes)),
                Reach::None,
                mib(size.rss),
                format!("at most {:.0}", mib(size.rss_peak)),
            ));
        }
        rows
    }

    fn reading_rows(&self) -> Vec<Row> {
        let reading = &self.reading;
        let mut rows = vec![Row(
            "scan + CRC of sealed segments, records/s".to_owned(),
            Reach::AtLeast(2e6),
            reading.scan_per_second,
            format!("one thread, {} records in the page cache", reading.scanned),
        )];
        for beside in reading.beside.iter().filter(|it| it.who != ALONE) {
            let reach = match beside.who {
                BUSY_LOOP => Reach::None,
                _ => Reach::AtLeast(0.8),
            };
            rows.push(Row(
                format!("appends of {} beside {}", beside.appends.batch, beside.who),
                reach,
                beside.of_alone,
                format!(
                    "{:.0}/s; p50 {:.0} us, p99 {:.0} us",
                    beside.appends.sustained_per_second,
                    beside.appends.p50_us,
                    beside.appends.p99_us
                ),
            ));
        }
        rows
    }

    fn space_rows(&self) -> Vec<Row> {
        self.space
            .iter()
            .map(|space| {
                Row(
                    format!("bytes of an event, sealed, batches of {}", space.batch),
                    Reach::AtMost(1.5),
                    space.ratio(),
                    format!(
                        "{:.0} of {}; and {:.0} in the catalog; {} events",
                        space.sealed, space.payload, space.catalog, space.events
                    ),
                )
            })
            .collect()
    }
}
