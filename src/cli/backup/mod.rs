//! `backup` and `restore`: a copy of the log that another machine can go on from.
//!
//! | file | what |
//! |---|---|
//! | `args` | arguments and help |
//! | `error` | what can go wrong, and what mends it |
//! | `restore` | making a log again |

pub(super) mod args;
mod error;
mod restore;

pub(super) use restore::run as restore;

use std::fmt::Write as _;
use std::io::{BufWriter, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use wal::{BackupCheck, BackupError, BackupReport, Pace, Seq};

use self::args::{BackupArgs, BackupCommand};
use self::error::Failed;
use super::args::Globals;
use super::wal::seal_log;
use super::{CommandError, CommandResult, output};
use crate::config::Config;
use crate::failure::Exit;
use crate::journal::open_log;

/// On a terminal, a line this often.
const SAY_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
struct Report {
    log_id: String,
    epoch: u32,
    /// Segments in the backup, and those of them that this run wrote or found there.
    segments: usize,
    written: usize,
    already_there: usize,
    /// Bytes that this run wrote.
    written_bytes: u64,
    /// First and last number in the backup; 0 for none.
    first: u64,
    last: u64,
    /// The highest number that was given out: those after `last` are not in the backup.
    tail: u64,
    /// Dedup keys of records that were trimmed before the first backup.
    trimmed_keys: u64,
}

impl From<BackupReport> for Report {
    fn from(it: BackupReport) -> Report {
        Report {
            log_id: it.identity.log_id.to_string(),
            epoch: it.identity.epoch,
            segments: it.segments,
            written: it.written,
            already_there: it.segments.saturating_sub(it.written),
            written_bytes: it.written_bytes,
            first: it.first.map_or(0, Seq::get),
            last: it.last.map_or(0, Seq::get),
            tail: it.tail.map_or(0, Seq::get),
            trimmed_keys: it.keys,
        }
    }
}

pub(super) async fn run(globals: &Globals, args: &BackupArgs) -> CommandResult {
    if let Some(BackupCommand::Verify { dir, json }) = &args.command {
        let checked = verify(dir.clone(), *json).await;
        return checked.map_err(|error| error.with_exit(Exit::Usage));
    }
    // The parser lets nothing pass without one.
    let to = args.to.clone().unwrap_or_default();
    let config = globals.load()?.config;
    let as_tar = is_stream(&to);
    if as_tar && std::io::stdout().is_terminal() {
        return Err(Failed::Terminal.into());
    }
    let rate = args.rate.unwrap_or(config.wal.copy_bytes_per_second_max);
    let report = Report::from(write(&config, to, Pace::new(rate)).await?);
    match (as_tar, args.json) {
        (false, json) => output::result(&report, json, text)?,
        // Nothing but the tar goes to stdout.
        (true, false) => output::say(&text(&report)),
        (true, true) => {
            output::say(&serde_json::to_string(&report).map_err(output::OutputError::Json)?)
        }
    }
    Ok(Exit::Ok)
}

async fn write(config: &Config, to: PathBuf, pace: Pace) -> Result<BackupReport, CommandError> {
    seal_log(config).await?;
    let reader = open_log(config)?;
    let work = move || {
        let mut said = Said::new("backed up");
        let mut progress = |done| said.at(done);
        if !is_stream(&to) {
            return wal::backup(&reader, &to, pace, &mut progress);
        }
        // Stdout itself would look for line breaks in it.
        let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout());
        wal::backup_tar(&reader, &mut out, pace, &mut progress)
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Failed::Panicked)?.map_err(error::backup)
}

/// Whether a pipe is meant.
fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Says how far it is, to whoever sits there.
struct Said {
    what: &'static str,
    terminal: bool,
    last: Instant,
}

impl Said {
    fn new(what: &'static str) -> Said {
        Said {
            what,
            terminal: std::io::stderr().is_terminal(),
            last: Instant::now(),
        }
    }

    fn at(&mut self, bytes: u64) {
        if self.terminal && self.last.elapsed() >= SAY_EVERY {
            self.last = Instant::now();
            output::say(&format!("{} {} so far", mib(bytes), self.what));
        }
    }
}

#[derive(Debug, Serialize)]
struct Checked {
    clean: bool,
    log_id: Option<String>,
    epoch: Option<u32>,
    segments: usize,
    records: u64,
    first: u64,
    last: u64,
    tail: u64,
    trimmed_keys: u64,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    kind: &'static str,
    file: String,
    seq: Option<u64>,
    what: String,
}

impl From<BackupCheck> for Checked {
    fn from(it: BackupCheck) -> Checked {
        let findings = it.findings.into_iter().map(|it| Finding {
            kind: it.kind.as_str(),
            file: it.segment,
            seq: it.seq.map(Seq::get),
            what: it.what,
        });
        let findings: Vec<Finding> = findings.collect();
        Checked {
            clean: findings.is_empty(),
            log_id: Some(it.report.identity.log_id.to_string()),
            epoch: Some(it.report.identity.epoch),
            segments: it.report.segments,
            records: it.records,
            first: it.report.first.map_or(0, Seq::get),
            last: it.report.last.map_or(0, Seq::get),
            tail: it.report.tail.map_or(0, Seq::get),
            trimmed_keys: it.report.keys,
            findings,
        }
    }
}

/// A backup without an index that can be read: nothing else is known of it.
fn bad_index(what: &str) -> Checked {
    Checked {
        clean: false,
        log_id: None,
        epoch: None,
        segments: 0,
        records: 0,
        first: 0,
        last: 0,
        tail: 0,
        trimmed_keys: 0,
        findings: vec![Finding {
            kind: "index_damaged",
            file: "backup.txt".to_owned(),
            seq: None,
            what: what.to_owned(),
        }],
    }
}

async fn verify(dir: PathBuf, json: bool) -> CommandResult {
    let work = move || {
        let mut said = Said::new("read");
        wal::verify_backup(&dir, &mut |done| said.at(done))
    };
    let done = tokio::task::spawn_blocking(work).await;
    let checked = match done.map_err(|_| Failed::Panicked)? {
        Ok(check) => Checked::from(check),
        Err(BackupError::Index { what }) => bad_index(what),
        Err(error) => return Err(error::backup(error)),
    };
    output::result(&checked, json, checked_text)?;
    Ok(if checked.clean {
        Exit::Ok
    } else {
        Exit::Failure
    })
}

fn text(it: &Report) -> String {
    let mut text = format!(
        "log {} epoch {}: {}..={} in {} files\n  {} written, {}; {} were already there",
        it.log_id,
        it.epoch,
        it.first,
        it.last,
        it.segments,
        it.written,
        mib(it.written_bytes),
        it.already_there,
    );
    if it.trimmed_keys > 0 {
        let _ = write!(
            text,
            "\n  and the dedup keys of {} records that were trimmed",
            it.trimmed_keys
        );
    }
    if it.tail > it.last {
        let _ = write!(
            text,
            "\n  the log goes on to {}: the next backup takes that",
            it.tail
        );
    }
    text
}

fn checked_text(it: &Checked) -> String {
    let mut text = match (&it.log_id, it.epoch) {
        (Some(log), Some(epoch)) => format!(
            "backup of log {log} epoch {epoch}: {} records, {}..={} in {} files",
            it.records, it.first, it.last, it.segments
        ),
        _ => "backup".to_owned(),
    };
    match it.findings.len() {
        0 => text.push_str(": clean"),
        count => {
            let _ = write!(text, ": {count} findings");
        }
    }
    for finding in &it.findings {
        let line = format!("{} {}: {}", finding.file, finding.kind, finding.what);
        let _ = write!(text, "\n  {}", output::escape(&line));
    }
    text
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
