//! `wal stat`: what the log is made of, from its files; the live figures from the daemon that holds it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::{CommandResult, output};
use crate::config::Config;
use crate::event::Timestamp;
use crate::failure::Exit;
use crate::journal::control::{Answer, Command};
use crate::journal::retention::Segment;
use crate::journal::socket::Remote;
use crate::journal::{JournalError, JournalReader};
use crate::status::{LogReport, Spread};

#[derive(Debug, Serialize)]
struct Report {
    data_dir: String,
    log_id: String,
    epoch: u32,
    first: u64,
    tail: u64,
    events: u64,
    /// Record bytes: headers and payloads.
    bytes: u64,
    file_bytes: u64,
    /// Bytes of the files for each event; none in an empty log.
    file_bytes_per_event: Option<f64>,
    segments: Vec<Segment>,
    /// Ranges that will never be readable.
    holes: Vec<Hole>,
    cursors: Vec<Position>,
    bookmarks: Vec<Bookmark>,
    /// The figures of the daemon that holds the log; none when none answers.
    live: Option<LogReport>,
}

#[derive(Debug, Serialize)]
struct Hole {
    first: u64,
    last: u64,
    /// `damage` or `fence`.
    cause: &'static str,
    noted_at: Timestamp,
}

#[derive(Debug, Serialize)]
struct Position {
    name: String,
    seq: u64,
    behind: u64,
}

#[derive(Debug, Serialize)]
struct Bookmark {
    name: String,
    bytes: usize,
}

pub(super) async fn run(config: &Config, json: bool) -> CommandResult {
    let report = gather(config).await?;
    output::result(&report, json, text)?;
    Ok(Exit::Ok)
}

async fn gather(config: &Config) -> Result<Report, JournalError> {
    let journal = JournalReader::of(config)?;
    let infos = journal.segments().await?;
    let segments: Vec<Segment> = infos.iter().map(Segment::from).collect();
    let tail = journal.refresh().await?;
    let events: u64 = segments.iter().map(|it| it.count).sum();
    let file_bytes = segments.iter().map(|it| it.file_bytes).sum();
    let holes = journal.holes().await?;
    let cursors = journal.cursors().await?.into_iter();
    let bookmarks = journal.bookmarks().await?.into_iter();
    Ok(Report {
        data_dir: config.data_dir.display().to_string(),
        log_id: journal.identity().log_id.to_string(),
        epoch: journal.identity().epoch,
        first: journal.first().await?.map_or(0, wal::Seq::get),
        tail,
        events,
        bytes: segments.iter().map(|it| it.bytes).sum(),
        file_bytes,
        file_bytes_per_event: (events > 0).then(|| file_bytes as f64 / events as f64),
        segments,
        holes: holes
            .iter()
            .map(|it| Hole {
                first: it.first.get(),
                last: it.last.get(),
                cause: it.cause.as_str(),
                noted_at: Timestamp::from_micros(it.noted_at),
            })
            .collect(),
        cursors: cursors
            .map(|(name, seq)| Position {
                name,
                seq: seq.get(),
                behind: tail.saturating_sub(seq.get()),
            })
            .collect(),
        bookmarks: bookmarks
            .map(|(name, value)| Bookmark {
                name,
                bytes: value.len(),
            })
            .collect(),
        live: live(config).await,
    })
}

/// The figures of the daemon, if one answers.
pub(in crate::cli) async fn live(config: &Config) -> Option<LogReport> {
    let mut remote = Remote::connect(&config.data_dir).await.ok()?;
    match remote.ask(&Command::Stat).await.ok()? {
        Answer::Stat(report) => Some(*report),
        _ => None,
    }
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "log {} epoch {} in {}\n  {}..={}, {} events in {} segments, {} of records in {} of files",
        report.log_id,
        report.epoch,
        report.data_dir,
        report.first,
        report.tail,
        report.events,
        report.segments.len(),
        mib(report.bytes),
        mib(report.file_bytes),
    );
    if let Some(bytes) = report.file_bytes_per_event {
        let _ = write!(text, ", {bytes:.0} bytes an event");
    }
    let _ = write!(
        text,
        "\n{:>12} {:>12} {:>10} {:>11} {:>11}  {:<12}  state",
        "first", "last", "records", "bytes", "file", "digest"
    );
    for it in &report.segments {
        let last = it.last.map_or("-".to_owned(), |last| last.to_string());
        let digest = it.digest.as_deref().unwrap_or("-");
        let _ = write!(
            text,
            "\n{:>12} {last:>12} {:>10} {:>11} {:>11}  {:<12}  {}{}",
            it.first,
            it.count,
            mib(it.bytes),
            mib(it.file_bytes),
            &digest[..digest.len().min(12)],
            state(it),
            if it.recovered { ", recovered" } else { "" },
        );
    }
    for it in &report.holes {
        let Hole {
            first,
            last,
            cause,
            noted_at,
        } = it;
        let _ = write!(
            text,
            "\nhole     {first}..={last}, {cause}, noted {noted_at}"
        );
    }
    for it in &report.cursors {
        let _ = write!(
            text,
            "\ncursor   {:<24} {:>10}, {} behind",
            output::escape(&it.name),
            it.seq,
            it.behind
        );
    }
    for it in &report.bookmarks {
        let name = output::escape(&it.name);
        let _ = write!(text, "\nbookmark {name:<24} {:>10} bytes", it.bytes);
    }
    match &report.live {
        Some(live) => text.push_str(&live_text(live)),
        None => text.push_str("\nno daemon is running"),
    }
    text
}

fn state(segment: &Segment) -> &'static str {
    match (segment.archived, segment.sealed) {
        (true, _) => "archived",
        (false, true) => "sealed",
        (false, false) => "active",
    }
}

fn live_text(live: &LogReport) -> String {
    let mut text = if live.healthy {
        "\na daemon is running, the log is well".to_owned()
    } else {
        let mut text = "\na daemon is running, the log is not well".to_owned();
        for complaint in &live.complaints {
            let _ = write!(text, "\n  {}", output::escape(complaint));
        }
        text
    };
    let spread = |it: &Spread| {
        let Spread {
            p50, p90, p99, max, ..
        } = it;
        format!("p50 {p50}  p90 {p90}  p99 {p99}  max {max}")
    };
    let _ = write!(
        text,
        "\n  commits  {:>10}   us {}\n  events a commit       {}\n  appended {} since the start",
        live.commits,
        spread(&live.commit_us),
        spread(&live.batch_events),
        mib(live.appended_bytes),
    );
    if live.seals_us.count > 0 {
        let _ = write!(
            text,
            "\n  seals    {:>10}   us {}",
            live.seals_us.count,
            spread(&live.seals_us)
        );
    }
    let _ = write!(
        text,
        "\n  opened in {:.1} ms{}, reopened {} times since, ballast {}",
        live.open_us as f64 / 1000.0,
        if live.unclean {
            " after an unclean stop"
        } else {
            ""
        },
        live.reopenings,
        live.ballast.as_str(),
    );
    text
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
