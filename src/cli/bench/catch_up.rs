//! `bench catch-up`: how fast a store that is far behind gets level with the log, against its rebuild.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use super::rebuild::{filled, made, rebuilt};
use super::report::{Memory, stages};
use super::{Scratch, in_scratch, watched};
use crate::cli::{CommandError, output, stores};
use crate::config::Config;
use crate::daemon::Daemon;
use crate::event::Timestamp;
use crate::projector::stage;
use crate::source::synthetic::Synthetic;
use crate::status::Status;
use crate::store::ProjectionName;

/// Events that the store has before: one that is empty would be filled in another way.
const KNOWN: u64 = 1_000;

#[derive(Debug, Serialize)]
struct Report {
    store: &'static str,
    /// Events that the store was behind.
    events: u64,
    /// From the start of the daemon, connecting included.
    catch_up_per_second: f64,
    rebuild_per_second: f64,
    catch_up_to_rebuild: f64,
    rss: Memory,
    machine: Machine,
}

/// Fills a log behind a store's back, times the daemon that brings it up to date, and then the rebuild from the same log.
/// The broker takes part where it is configured, and gets all of it as well.
pub(in crate::cli) async fn catch_up(
    config: &Config,
    name: ProjectionName,
    events: u64,
    json: bool,
    stop: CancellationToken,
) -> Result<(), CommandError> {
    let scratch = Scratch::new(&config.data_dir)?;
    let config = only(in_scratch(config, &scratch), name);
    stores::refuse_unless_empty(&config, name).await?;

    // The first of the events, and the same with those behind them: the log knows the first already.
    let (now, status) = (Timestamp::now(), Status::new());
    let daemon = Daemon::open(config.clone(), status.clone())?;
    watched(
        daemon,
        Some(made(KNOWN, now)),
        &status,
        &|_| 0,
        stop.clone(),
    )
    .await?;
    let all = KNOWN + events;
    let journal = filled(&config, made(all, now), &stop).await?;

    let status = Status::new();
    let mark = stage(name);
    let daemon = Daemon::open(config.clone(), status.clone())?;
    let started_us = Timestamp::now().micros();
    let done = move |status: &Status| status.seq_of(mark).saturating_sub(KNOWN) * 100 / events;
    let rss = watched(daemon, None::<Synthetic>, &status, &done, stop.clone()).await?;
    let figures = stages(&status.snapshot(), started_us, None);
    let caught = figures.get(mark.as_str()).map_or(0.0, |it| it.per_second);

    let seconds = rebuilt(&config, name, &journal, &stop).await?;
    stores::clear(&config, name).await?;
    let rebuild_per_second = all as f64 / seconds;
    let report = Report {
        store: name.as_str(),
        events,
        catch_up_per_second: caught,
        rebuild_per_second,
        catch_up_to_rebuild: caught / rebuild_per_second,
        rss,
        machine: Machine::now(),
    };
    output::result(&report, json, text)?;
    Ok(())
}

/// The configuration without the other stores.
fn only(mut config: Config, name: ProjectionName) -> Config {
    if name != ProjectionName::Sqlite {
        config.sqlite = None;
    }
    if name != ProjectionName::Timescale {
        config.timescale = None;
    }
    if name != ProjectionName::Redis {
        config.redis = None;
    }
    config
}

fn text(it: &Report) -> String {
    format!(
        "catch-up of {}: {} events, {:.0} events/s; rebuild {:.0} events/s, so {:.2} of it (load {:.2})\n  {}",
        it.store,
        it.events,
        it.catch_up_per_second,
        it.rebuild_per_second,
        it.catch_up_to_rebuild,
        it.machine.load_1m,
        it.rss.text(),
    )
}
