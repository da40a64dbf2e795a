//! `bench rebuild`: how fast a store is made again from the log.

use std::time::Instant;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use super::{Scratch, in_scratch};
use crate::cli::{CommandError, output, stores};
use crate::config::Config;
use crate::daemon::{Daemon, DaemonError, Options};
use crate::journal::JournalReader;
use crate::replay;
use crate::source::synthetic::{self, Synthetic};
use crate::status::Status;
use crate::store::{Projection, ProjectionName};

#[derive(Debug, Serialize)]
struct Report {
    store: &'static str,
    events: u64,
    seconds: f64,
    events_per_second: f64,
    machine: Machine,
}

/// Fills a log, then times the rebuild of a store from it.
pub(in crate::cli) async fn rebuild(
    config: &Config,
    name: ProjectionName,
    events: u64,
    json: bool,
    stop: CancellationToken,
) -> Result<(), CommandError> {
    let scratch = Scratch::new(&config.data_dir).map_err(|source| DaemonError::File {
        path: config.data_dir.display().to_string(),
        source,
    })?;
    let config = in_scratch(config, &scratch);
    stores::refuse_unless_empty(&config, name).await?;
    let mut log_only = config.clone();
    (
        log_only.rabbitmq,
        log_only.timescale,
        log_only.redis,
        log_only.sqlite,
    ) = (None, None, None, None);
    let source = Synthetic::new(&synthetic::Options {
        rate: 0,
        events: Some(events),
        ..synthetic::Options::default()
    });
    let daemon = Daemon::open(log_only, Status::new())?;
    daemon
        .run(
            Some(source),
            Options {
                receipts: None,
                drain: true,
            },
            stop.clone(),
        )
        .await?;
    let journal = JournalReader::open(scratch.path())?;
    let seconds = match name {
        ProjectionName::Sqlite => time(&journal, stores::sqlite(&config)?, &stop).await?,
        ProjectionName::Timescale => time(&journal, stores::timescale(&config)?, &stop).await?,
        ProjectionName::Redis => time(&journal, stores::redis(&config)?, &stop).await?,
    };
    // Leaves the store as it was found.
    stores::clear(&config, name).await?;
    let report = Report {
        store: name.as_str(),
        events,
        seconds,
        events_per_second: events as f64 / seconds,
        machine: Machine::now(),
    };
    output::result(&report, json, |it| {
        format!(
            "rebuild {}: {} events in {:.2} s, {:.0} events/s (load {:.2})",
            it.store, it.events, it.seconds, it.events_per_second, it.machine.load_1m
        )
    })?;
    Ok(())
}

async fn time<P: Projection>(
    journal: &JournalReader,
    mut projection: P,
    stop: &CancellationToken,
) -> Result<f64, CommandError> {
    let started = Instant::now();
    replay::rebuild(journal, &mut projection, &mut |_| {}, stop).await?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(seconds)
}
