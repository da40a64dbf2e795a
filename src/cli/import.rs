//! `import`: export files into the log.
//!
//! All files are checked before anything of any is appended. A running daemon holds the log, so the batches then go to
//! it; otherwise this process appends, and on the embedded default projects what it appended before it returns.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;
use wal::Outcome;

use super::args::{Globals, ImportArgs};
use super::{CommandResult, output};
use crate::config::Config;
use crate::daemon::{Daemon, DaemonError, Options};
use crate::event::Timestamp;
use crate::failure::{Class, Classify, Exit};
use crate::ingest::{IngestError, Ingested, to_append};
use crate::journal::{JournalError, socket::Remote};
use crate::source::import::{self, ImportSource, Report, Survey};
use crate::source::{Source, SourceBatch, SourceError};
use crate::status::Status;

/// Where there is no terminal: a line this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) async fn run(globals: &Globals, args: &ImportArgs) -> CommandResult {
    let config = globals.load()?.config;
    let stop = super::stop_on_signals()?;
    let options = import::Options {
        strict: args.strict,
        allow_truncated: args.allow_truncated,
        source_timezone: args.source_timezone.clone(),
        include_private: args.include_private,
    };
    let mut report = Report::default();
    let mut sources = Vec::new();
    for file in &args.files {
        let survey = look_through(file, &options)?;
        if stop.is_cancelled() {
            return Err(Interrupted { appended: 0 }.into());
        }
        report.merge(survey.report());
        if !args.dry_run {
            sources.push(ImportSource::open(survey)?);
        }
    }
    if !args.dry_run {
        let mut files = Files::new(sources);
        let ingested = append(config, &mut files, stop).await?;
        files.bar.done();
        if files.current.is_some() {
            return Err(Interrupted {
                appended: ingested.appended,
            }
            .into());
        }
        report.appended = ingested.appended;
        report.duplicates = ingested.duplicates;
    }
    output::result(&report, args.json, |report| text(report, args.dry_run))?;
    Ok(Exit::Ok)
}

/// A stop came before the last event was in the log.
#[derive(Debug, thiserror::Error)]
#[error("stopped before all was in the log; {appended} events are")]
struct Interrupted {
    appended: u64,
}

impl Classify for Interrupted {
    fn class(&self) -> Class {
        Class::Operator
    }

    fn hint(&self) -> Option<String> {
        Some("the same command goes on; nothing is doubled".to_owned())
    }
}

fn look_through(file: &Path, options: &import::Options) -> Result<Survey, SourceError> {
    let mut bar = Bar::new(&format!("checking {}", file.display()), 0);
    let survey = import::survey(file, options, &mut |done, total| bar.at(done, total, 0))?;
    bar.done();
    Ok(survey)
}

/// Appends through the daemon that holds the log, or here.
async fn append(
    config: Config,
    files: &mut Files,
    stop: CancellationToken,
) -> Result<Ingested, DaemonError> {
    let data_dir = config.data_dir.clone();
    match Daemon::open(alone(config.clone()), Status::new()) {
        Ok(mut daemon) => {
            // Servers are not fed here, but a log that is older than one of them must not append as if it were not.
            daemon.fence(&config).await?;
            let options = Options {
                receipts: None,
                drain: true,
            };
            daemon.run(Some(files), options, stop).await
        }
        Err(DaemonError::Journal(locked @ JournalError::Open(wal::OpenError::Locked { .. }))) => {
            // Who holds the log without answering is not a daemon that can take events.
            let Ok(mut remote) = Remote::connect(&data_dir).await else {
                return Err(locked.into());
            };
            output::say("a daemon holds the log; it takes the events");
            Ok(hand_over(files, &mut remote, &stop).await?)
        }
        Err(error) => Err(error),
    }
}

/// What an import runs beside the log: the SQLite projection where that is all there is, and never a server.
fn alone(mut config: Config) -> Config {
    let embedded =
        config.timescale.is_none() && config.redis.is_none() && config.rabbitmq.is_none();
    config.rabbitmq = None;
    config.timescale = None;
    config.redis = None;
    if !embedded {
        config.sqlite = None;
    }
    config
}

async fn hand_over(
    files: &mut Files,
    remote: &mut Remote,
    stop: &CancellationToken,
) -> Result<Ingested, IngestError> {
    let mut ingested = Ingested::default();
    while !stop.is_cancelled() {
        let Some(batch) = files.next().await? else {
            break;
        };
        let append = to_append(&batch, Timestamp::now()).map_err(IngestError::Event)?;
        for outcome in remote.append(&append).await? {
            match outcome {
                Outcome::Appended(_) => ingested.appended += 1,
                Outcome::Duplicate(_) => ingested.duplicates += 1,
            }
        }
    }
    Ok(ingested)
}

/// The files one after the other, with a bar.
struct Files {
    waiting: std::vec::IntoIter<ImportSource>,
    current: Option<ImportSource>,
    bar: Bar,
    /// Bytes of the files that are done.
    done: u64,
    events: u64,
}

impl Files {
    fn new(sources: Vec<ImportSource>) -> Files {
        let total = sources.iter().map(|source| source.progress().1).sum();
        let mut waiting = sources.into_iter();
        let current = waiting.next();
        Files {
            waiting,
            current,
            bar: Bar::new("appending", total),
            done: 0,
            events: 0,
        }
    }
}

impl Source for &mut Files {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        Files::next(self).await
    }
}

impl Files {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        while let Some(source) = &mut self.current {
            if let Some(batch) = source.next_batch()? {
                self.events += batch.events.len() as u64;
                let total = self.bar.total;
                self.bar
                    .at(self.done + source.progress().0, total, self.events);
                return Ok(Some(batch));
            }
            self.done += source.progress().1;
            self.current = self.waiting.next();
        }
        Ok(None)
    }
}

/// A bar on a terminal, a line now and then elsewhere.
struct Bar {
    what: String,
    bar: ProgressBar,
    terminal: bool,
    total: u64,
    started: Instant,
    said: Instant,
}

impl Bar {
    fn new(what: &str, total: u64) -> Bar {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()),
        );
        bar.set_message(what.to_owned());
        Bar {
            what: what.to_owned(),
            bar,
            terminal,
            total,
            started: Instant::now(),
            said: Instant::now(),
        }
    }

    fn at(&mut self, done: u64, total: u64, events: u64) {
        self.total = total;
        self.bar.set_length(total);
        self.bar.set_position(done);
        if !self.terminal && self.said.elapsed() >= LINE_EVERY {
            self.said = Instant::now();
            let seconds = self.started.elapsed().as_secs_f64();
            let rate = done as f64 / seconds;
            let left = total.saturating_sub(done) as f64 / rate.max(1.0);
            output::say(&format!(
                "{}: {done} of {total} bytes, {:.1} MB/s, {:.0} events/s, {left:.0} s left",
                self.what,
                rate / 1e6,
                events as f64 / seconds,
            ));
        }
    }

    fn done(&self) {
        self.bar.finish_and_clear();
    }
}

fn text(report: &Report, dry_run: bool) -> String {
    let done = if dry_run {
        "nothing was appended".to_owned()
    } else {
        format!(
            "{} appended, {} known already",
            report.appended, report.duplicates
        )
    };
    let mut text = format!(
        "{} messages read: {}\n\
         messages {}  edited {} ({} hidden)  replies {}  forwards {}  albums {} ({} members)  service {}",
        report.read,
        done,
        report.messages,
        report.edited,
        report.edited_hidden,
        report.replies,
        report.forwards,
        report.albums,
        report.album_members,
        report.service,
    );
    if let (Some(first), Some(last)) = (report.first_date, report.last_date) {
        text.push_str(&format!("\nfrom {first} to {last}, {} peers", report.peers));
    }
    for (kind, repaired) in &report.repairs {
        let (count, offset) = (repaired.count, repaired.first_offset);
        text.push_str(&format!(
            "\nmended {count} x {}, first at byte {offset}",
            kind.as_str()
        ));
    }
    for (what, count) in &report.unknown {
        text.push_str(&format!("\nunknown {count} x {what}"));
    }
    for (kind, skipped) in &report.skipped {
        text.push_str(&format!(
            "\nleft out {} chats of type {kind} ({} messages): take them with --include-private",
            skipped.chats, skipped.messages
        ));
    }
    if let Some(at) = report.truncated_at {
        text.push_str(&format!(
            "\nthe file is cut off at byte {at}; only what is whole before it is taken"
        ));
    }
    text
}
