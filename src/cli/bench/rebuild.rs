//! `bench rebuild`: how fast a store is made again from the log.

use std::time::Instant;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use super::{Scratch, cache, history, in_scratch};
use crate::cli::{CommandError, generation, output, stores};
use crate::config::Config;
use crate::daemon::{Daemon, Options};
use crate::event::Timestamp;
use crate::journal::JournalReader;
use crate::replay;
use crate::source::Source;
use crate::source::synthetic::{self, Synthetic};
use crate::status::Status;
use crate::store::ProjectionName;
use crate::store::timescale::{Generations, Stage};

#[derive(Debug, Serialize)]
struct Report {
    store: &'static str,
    events: u64,
    seconds: f64,
    events_per_second: f64,
    /// What the server can do at most.
    #[serde(flatten)]
    beside: Option<Beside>,
    machine: Machine,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Beside {
    Timescale(history::Beside),
    Redis(cache::Beside),
}

/// Fills a log, then times the rebuild of a store from it.
pub(in crate::cli) async fn rebuild(
    config: &Config,
    name: ProjectionName,
    events: u64,
    json: bool,
    stop: CancellationToken,
) -> Result<(), CommandError> {
    let scratch = Scratch::new(&config.data_dir)?;
    let config = in_scratch(config, &scratch);
    stores::refuse_unless_empty(&config, name).await?;
    let (seconds, beside) = match name {
        ProjectionName::Sqlite => {
            let journal = filled(&config, made(events, Timestamp::now()), &stop).await?;
            (rebuilt(&config, name, &journal, &stop).await?, None)
        }
        ProjectionName::Timescale => {
            let beside = history::measure(&config, events, &stop).await?;
            (beside.rebuild_seconds, Some(Beside::Timescale(beside)))
        }
        ProjectionName::Redis => {
            let beside = cache::measure(&config, events, &stop).await?;
            (beside.rebuild_seconds, Some(Beside::Redis(beside)))
        }
    };
    // Leaves the store as it was found.
    stores::clear(&config, name).await?;
    let report = Report {
        store: name.as_str(),
        events,
        seconds,
        events_per_second: events as f64 / seconds,
        beside,
        machine: Machine::now(),
    };
    output::result(&report, json, text)?;
    Ok(())
}

fn text(it: &Report) -> String {
    let mut text = format!(
        "rebuild {}: {} events in {:.2} s, {:.0} events/s (load {:.2})",
        it.store, it.events, it.seconds, it.events_per_second, it.machine.load_1m
    );
    match &it.beside {
        Some(Beside::Timescale(beside)) => text.push_str(&beside.text()),
        Some(Beside::Redis(beside)) => text.push_str(&beside.text()),
        None => {}
    }
    text
}

/// Made-up events from this date on, as fast as they are taken.
pub(super) fn made(events: u64, base: Timestamp) -> Synthetic {
    Synthetic::new(&synthetic::Options {
        rate: 0,
        events: Some(events),
        base,
        ..synthetic::Options::default()
    })
}

/// A log with all that a source has; no store is fed.
pub(super) async fn filled<S: Source>(
    config: &Config,
    source: S,
    stop: &CancellationToken,
) -> Result<JournalReader, CommandError> {
    let mut log_only = config.clone();
    (
        log_only.rabbitmq,
        log_only.timescale,
        log_only.redis,
        log_only.sqlite,
    ) = (None, None, None, None);
    let daemon = Daemon::open(log_only, Status::new())?;
    let options = Options {
        receipts: None,
        drain: true,
    };
    daemon.run(Some(source), options, stop.clone()).await?;
    Ok(JournalReader::open(&config.data_dir)?)
}

/// Rebuilds a store, as the command does, and says how long that took; of TimescaleDB without the comparison, and what
/// was shown before is dropped.
pub(super) async fn rebuilt(
    config: &Config,
    name: ProjectionName,
    journal: &JournalReader,
    stop: &CancellationToken,
) -> Result<f64, CommandError> {
    let started = Instant::now();
    match name {
        ProjectionName::Sqlite => {
            let mut sqlite = stores::sqlite(config)?;
            replay::rebuild(journal, &mut sqlite, &mut |_| {}, stop).await?;
        }
        ProjectionName::Timescale => {
            let section = stores::timescale_section(config)?;
            let done = generation::rebuild_beside(section, journal, true, stop.clone()).await?;
            let mut generations = Generations::open(section).await?;
            for kept in generations.list().await? {
                if kept.stage == Stage::Kept {
                    generations.remove(kept.number).await?;
                }
            }
            return Ok(done.seconds.work());
        }
        ProjectionName::Redis => {
            let redis = stores::redis(config)?;
            replay::rebuild_cache(journal, &redis, &mut |_| {}, stop).await?;
        }
    }
    Ok(started.elapsed().as_secs_f64())
}
