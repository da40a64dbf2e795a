//! `status`: the log, its readers and the stores, read from where they are; the daemon says only how the log is.

mod accounts;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::args::{Globals, StatusArgs};
use super::wal::live;
use super::{CommandResult, output, stores};
use crate::config::Config;
use crate::event::Timestamp;
use crate::failure::Exit;
use crate::journal::control::{Answer, Command};
use crate::journal::socket::Remote;
use crate::journal::{Holes, JournalError, JournalReader};
use crate::projector::standing::Standing;
use crate::projector::{judge, next_seq};
use crate::status::{AccountReport, DriftBoard, FillReport, GapReport, QueueBoard, StageReport};
use crate::store::ProjectionName;

#[derive(Debug, Serialize)]
struct Report {
    data_dir: String,
    log_id: String,
    epoch: u32,
    /// A daemon holds the log and answers.
    running: bool,
    /// What the daemon says is wrong with the log; none of it when no daemon is running.
    complaints: Vec<String>,
    /// The accounts of a running daemon.
    accounts: Vec<AccountReport>,
    /// Gaps of the accounts that nobody has closed; none of them when no daemon is running.
    gaps: Vec<GapReport>,
    /// The stages behind the log, and the projectors' queues at the broker, as a running daemon sees them.
    stages: BTreeMap<String, StageReport>,
    queues: BTreeMap<String, QueueBoard>,
    /// What slices of the stores showed when they were compared with the log, by name.
    drift: BTreeMap<String, DriftBoard>,
    first: u64,
    tail: u64,
    /// When the last event was received.
    tail_received_at: Option<Timestamp>,
    segments: usize,
    log_bytes: u64,
    cursors: Vec<Position>,
    stores: Vec<Position>,
}

/// How far something has come, and how far it is behind.
#[derive(Debug, Serialize)]
struct Position {
    name: String,
    seq: u64,
    lag_events: u64,
    /// Between the receipt of the last event it has and of the last there is; none while it has none.
    lag_seconds: Option<f64>,
    /// Events in the quarantine of a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<u64>,
    /// Why it could not be asked.
    error: Option<String>,
}

pub(super) async fn run(globals: &Globals, args: &StatusArgs) -> CommandResult {
    let config = globals.load()?.config;
    let report = gather(&config).await?;
    output::result(&report, args.json, text)?;
    Ok(Exit::Ok)
}

async fn gather(config: &Config) -> Result<Report, JournalError> {
    let journal = JournalReader::of(config)?;
    let tail = journal.tail();
    let holes = journal.holes().await?;
    let tail_received_at = received_at(&journal, holes.back(tail)).await?;
    let segments = journal.segments().await?;
    let live = live(config).await;
    let (accounts, gaps) = accounts::ask(config).await.unwrap_or_default();
    let (stages, queues, drift) = behind_the_log(config).await.unwrap_or_default();
    let mut report = Report {
        data_dir: config.data_dir.display().to_string(),
        log_id: journal.identity().log_id.to_string(),
        epoch: journal.identity().epoch,
        running: live.is_some(),
        complaints: live.map(|it| it.complaints).unwrap_or_default(),
        accounts,
        gaps,
        stages,
        queues,
        drift,
        first: journal.first().await?.map_or(0, wal::Seq::get),
        tail,
        tail_received_at,
        log_bytes: segments.iter().map(|segment| segment.file_bytes).sum(),
        segments: segments.len(),
        cursors: Vec::new(),
        stores: Vec::new(),
    };
    for (name, seq) in journal.cursors().await? {
        let at = received_at(&journal, holes.back(seq.get())).await?;
        let position = report.position(&holes, name, seq.get(), at);
        report.cursors.push(position);
    }
    for name in stores::configured(config) {
        let position = match stores::checkpoint(config, name).await {
            Ok(None) => report.position(&holes, name.to_string(), 0, None),
            Ok(Some(it)) => match judge(&it, &journal).await?.0 {
                Standing::Ours | Standing::Fenced => {
                    report.position(&holes, name.to_string(), it.seq.get(), Some(it.updated_at))
                }
                Standing::Ahead => report.unknown(
                    name,
                    format!("at {}, ahead of the log: the log is older", it.seq),
                ),
                Standing::Diverged { .. } => report.unknown(
                    name,
                    format!("fed with other events, up to {}: rebuild it", it.seq),
                ),
                Standing::OtherLog => report.unknown(
                    name,
                    format!(
                        "fed from another log, {} epoch {}",
                        it.identity.log_id, it.identity.epoch
                    ),
                ),
            },
            Err(error) => report.unknown(name, error.line()),
        };
        let position = match position.error {
            None => Position {
                quarantined: stores::quarantined(config, name).await.ok(),
                ..position
            },
            Some(_) => position,
        };
        report.stores.push(position);
    }
    Ok(report)
}

/// Stages, queues and what slices of the stores showed, each by name.
type BehindTheLog = (
    BTreeMap<String, StageReport>,
    BTreeMap<String, QueueBoard>,
    BTreeMap<String, DriftBoard>,
);

/// How what is fed from the log is doing, if a daemon answers.
async fn behind_the_log(config: &Config) -> Option<BehindTheLog> {
    let mut remote = Remote::connect(&config.data_dir).await.ok()?;
    match remote.ask(&Command::Stages).await.ok()? {
        Answer::Stages {
            stages,
            queues,
            drift,
        } => Some((stages, queues, drift)),
        _ => None,
    }
}

impl Report {
    fn position(&self, holes: &Holes, name: String, seq: u64, at: Option<Timestamp>) -> Position {
        let lag_events = holes.between(seq, self.tail);
        let lag_seconds = match (self.tail_received_at, at) {
            _ if lag_events == 0 => Some(0.0),
            (Some(tail), Some(at)) => Some((tail.micros() - at.micros()).max(0) as f64 / 1e6),
            _ => None,
        };
        Position {
            name,
            seq,
            lag_events,
            lag_seconds,
            quarantined: None,
            error: None,
        }
    }

    fn unknown(&self, name: ProjectionName, error: String) -> Position {
        Position {
            error: Some(error),
            ..self.position(&Holes::default(), name.to_string(), 0, None)
        }
    }
}

/// When a record was received; none for one that is no longer kept.
async fn received_at(journal: &JournalReader, seq: u64) -> Result<Option<Timestamp>, JournalError> {
    if seq == 0 {
        return Ok(None);
    }
    let records = match journal.read(next_seq(seq - 1), 1, usize::MAX).await {
        Err(JournalError::Read(wal::ReadError::Trimmed { .. })) => return Ok(None),
        read => read?,
    };
    Ok(records
        .first()
        .map(|record| Timestamp::from_micros(record.header().received_at)))
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "log {} epoch {} in {}, {}\n  {}..={} in {} segments, {:.1} MiB",
        report.log_id,
        report.epoch,
        report.data_dir,
        if report.running {
            "a daemon is running"
        } else {
            "no daemon is running"
        },
        report.first,
        report.tail,
        report.segments,
        report.log_bytes as f64 / f64::from(1 << 20),
    );
    if let Some(at) = report.tail_received_at {
        let _ = write!(text, ", last received {at}");
    }
    for complaint in &report.complaints {
        let _ = write!(text, "\n  not well: {}", output::escape(complaint));
    }
    for account in &report.accounts {
        text.push_str(&accounts::text(account));
    }
    text.push_str(&accounts::gaps(&report.gaps));
    for (name, stage) in &report.stages {
        if let Some(fault) = &stage.fault {
            let what = match stage.needs_operator {
                true => "waits for you",
                false => "waits",
            };
            let _ = write!(text, "\nstage {name:<14} {what}: {}", output::escape(fault));
        }
        if let Some(FillReport { covered, of }) = stage.filling {
            let _ = write!(
                text,
                "\nstage {name:<14} is filled from the newest events back: {covered} of {of}"
            );
        }
    }
    for (projection, queue) in &report.queues {
        queue_text(&mut text, projection, queue);
    }
    for (store, drift) in &report.drift {
        drift_text(&mut text, store, drift);
    }
    for (title, positions) in [("cursor", &report.cursors), ("store", &report.stores)] {
        for it in positions {
            let _ = match &it.error {
                None => {
                    let lag = it
                        .lag_seconds
                        .map_or("-".to_owned(), |lag| format!("{lag:.1}"));
                    write!(
                        text,
                        "\n{title} {:<14} {:>10}   lag {:>8} events {lag:>9} s",
                        it.name, it.seq, it.lag_events
                    )
                }
                Some(error) => write!(text, "\n{title} {:<14} cannot tell: {error}", it.name),
            };
            if let Some(events @ 1..) = it.quarantined {
                let _ = write!(text, "   {events} in quarantine");
            }
        }
    }
    text
}

fn drift_text(text: &mut String, store: &str, drift: &DriftBoard) {
    let _ = write!(text, "\ndrift {store:<15} ");
    if drift.slices > 0 {
        let at = Timestamp::from_seconds(drift.checked_at);
        let _ = write!(
            text,
            "{} rows in slice {} of {}, at {at}: ",
            drift.rows,
            drift.slice + 1,
            drift.of
        );
        let _ = match drift.differences {
            0 => write!(text, "clean"),
            some => write!(
                text,
                "{some} differ: telegram-gateway verify {store} --repair"
            ),
        };
    }
    if let Some(fault) = &drift.fault {
        let _ = write!(text, "\n  cannot be compared: {}", output::escape(fault));
    }
    for line in &drift.shown {
        let _ = write!(text, "\n  {}", output::escape(line));
    }
}

fn queue_text(text: &mut String, projection: &str, queue: &QueueBoard) {
    let _ = write!(
        text,
        "\nqueue {projection:<15} {}, {} events lost by the broker in {} ranges, {} read from the log",
        queue.state.as_str(),
        queue.lost_events,
        queue.lost_ranges,
        queue.from_log
    );
    let dead = queue.rejected + queue.foreign;
    if dead > 0 {
        let _ = write!(text, "\n  {dead} bodies went to the dead letters");
    }
    if let Some(fault) = &queue.fault {
        let _ = write!(text, "\n  waits: {}", output::escape(fault));
    }
}
