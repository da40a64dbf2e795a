//! `bench`: offline, honest, against the target.
//!
//! The run uses the daemon itself with the synthetic source, in a log of its own that is removed afterwards. With
//! servers configured it needs empty stores: it refuses to touch one that another log has fed.

pub(super) mod args;
mod cache;
mod catch_up;
mod history;
mod log;
mod looped;
mod machine;
mod rebuild;
mod report;

pub use log::Task;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::args::{BenchArgs, BenchCommand};
use self::looped::Looped;
use self::machine::Machine;
use self::report::{Memory, Report};
use super::args::Globals;
use super::{CommandError, CommandResult, stores};
use crate::config::Config;
use crate::daemon::{Daemon, DaemonError, Options};
use crate::event::Timestamp;
use crate::failure::Exit;
use crate::journal::JournalReader;
use crate::source::Source;
use crate::source::synthetic::{self, Synthetic};
use crate::status::{Snapshot, Stage, Status};

/// Runs the measurement that was asked for.
pub(super) async fn command(globals: &Globals, args: BenchArgs) -> CommandResult {
    if let Some(BenchCommand::LogChild {
        task,
        data_dir,
        bytes,
    }) = args.command
    {
        // Without the handler of signals: it is there to be killed.
        log::child(task, &data_dir, bytes)?;
        return Ok(Exit::Ok);
    }
    let config = globals.load()?.config;
    let stop = super::stop_on_signals()?;
    match args.command {
        Some(BenchCommand::Rebuild { name, events, json }) => {
            rebuild::rebuild(&config, name.into(), events, json, stop).await?;
        }
        Some(BenchCommand::CatchUp { name, events, json }) => {
            catch_up::catch_up(&config, name.into(), events, json, stop).await?;
        }
        Some(BenchCommand::Log { size, json }) => {
            log::log(&config, size, json, stop).await?;
        }
        Some(BenchCommand::LogChild { .. }) | None => {
            let load = match args.events {
                Some(events) if args.flat_out => Load::FlatOut { events },
                _ => Load::Paced {
                    rate: args.rate.unwrap_or(RATE),
                    seconds: args.seconds.unwrap_or(SECONDS),
                },
            };
            let passed = match &args.import {
                Some(file) => {
                    let looped = Looped::of(file, load.events())?;
                    run(&config, load, looped, args.seed, args.json, stop).await?
                }
                None => {
                    let made = synthetic(load, args.seed);
                    run(&config, load, made, args.seed, args.json, stop).await?
                }
            };
            if !passed {
                return Ok(Exit::Failure);
            }
        }
    }
    Ok(Exit::Ok)
}

/// What a paced run asks for unless told otherwise.
const RATE: u32 = 50;
const SECONDS: u64 = 60;

/// How the load comes.
#[derive(Debug, Clone, Copy)]
enum Load {
    /// On a schedule.
    Paced {
        /// Events a second.
        rate: u32,
        /// For this long.
        seconds: u64,
    },
    /// As fast as the log takes it.
    FlatOut {
        /// So many events.
        events: u64,
    },
}

impl Load {
    fn rate(self) -> u32 {
        match self {
            Load::Paced { rate, .. } => rate,
            Load::FlatOut { .. } => 0,
        }
    }

    fn events(self) -> u64 {
        match self {
            Load::Paced { rate, seconds } => u64::from(rate) * seconds,
            Load::FlatOut { events } => events,
        }
    }
}

/// A data directory for one measurement, removed at the end: deleting large files while something is measured stalls
/// the disk on some mounts.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Below the configured data directory, so that the disk is the one the daemon would use.
    pub(super) fn new(data_dir: &Path) -> Result<Scratch, CommandError> {
        let dir = data_dir.join(format!("bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(|source| DaemonError::File {
            path: data_dir.display().to_string(),
            source,
        })?;
        Ok(Scratch(dir))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The configuration with the log and the SQLite file in the scratch directory.
pub(super) fn in_scratch(config: &Config, scratch: &Scratch) -> Config {
    let mut config = config.clone();
    scratch.path().clone_into(&mut config.data_dir);
    if let Some(sqlite) = &mut config.sqlite {
        sqlite.path = scratch.path().join("messages.sqlite");
    }
    config
}

fn synthetic(load: Load, seed: u64) -> Synthetic {
    Synthetic::new(&synthetic::Options {
        seed,
        rate: load.rate(),
        events: Some(load.events()),
        base: Timestamp::now(),
        ..synthetic::Options::default()
    })
}

/// Runs the load through the whole house and prints the figures; true if the target was met.
async fn run<S: Source>(
    config: &Config,
    load: Load,
    source: S,
    seed: u64,
    json: bool,
    stop: CancellationToken,
) -> Result<bool, CommandError> {
    let scratch = Scratch::new(&config.data_dir)?;
    let config = in_scratch(config, &scratch);
    for name in stores::configured(&config) {
        stores::refuse_unless_empty(&config, name).await?;
    }
    let machine = Machine::now();
    let status = Status::new();
    let daemon = Daemon::open(config.clone(), status.clone())?;
    let cpu = machine::cpu_seconds();
    let started_us = Timestamp::now().micros();
    let started = Instant::now();
    let done = move |status: &Status| status.seq_of(Stage::Durable) * 100 / load.events().max(1);
    let warm = tokio::spawn(warm(load, status.clone()));
    let rss = watched(daemon, Some(source), &status, &done, stop).await?;
    warm.abort();
    let warm = warm.await.ok();
    let board = status.snapshot();
    let stages = report::stages(&board, started_us, warm.as_ref());
    let report = Report {
        mode: if load.rate() > 0 { "paced" } else { "flat_out" },
        rate: load.rate(),
        seed,
        events: board.received,
        seconds: started.elapsed().as_secs_f64(),
        pass: report::passes(&stages, load.events(), load.rate()),
        stages,
        cpu_seconds: machine::cpu_seconds() - cpu,
        rss,
        log_bytes_per_event: log_bytes_per_event(&config.data_dir).await?,
        broker_lost: board.broker_lost,
        machine,
    };
    // The stores were empty and are left so: their log is about to be removed.
    for name in stores::configured(&config) {
        stores::clear(&config, name).await?;
    }
    super::output::result(&report, json, Report::text)?;
    Ok(report.pass)
}

/// The board when a tenth of a paced load is durable: by then connections are made and statements planned, and the
/// latencies are those of a daemon that runs.
async fn warm(load: Load, status: Status) -> Snapshot {
    while load.rate() == 0 || status.seq_of(Stage::Durable) * 10 < load.events() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    status.snapshot()
}

/// Runs the daemon to the end of the load, with the live view and an eye on memory. `percent` tells how much is done.
async fn watched<S: Source>(
    daemon: Daemon,
    source: Option<S>,
    status: &Status,
    percent: &(impl Fn(&Status) -> u64 + Clone + Send + 'static),
    stop: CancellationToken,
) -> Result<Memory, DaemonError> {
    let done = CancellationToken::new();
    let sampler = sample_memory(status.clone(), percent.clone(), done.clone());
    let sampler = tokio::spawn(sampler);
    let title = "bench".to_owned();
    let view = tokio::spawn(super::view::follow(title, status.clone(), done.clone()));
    let options = Options {
        receipts: None,
        drain: true,
    };
    let ran = daemon.run(source, options, stop).await;
    done.cancel();
    let _ = view.await;
    ran.map(drop)?;
    Ok(sampler.await.unwrap_or_default())
}

async fn log_bytes_per_event(data_dir: &Path) -> Result<f64, DaemonError> {
    let segments = JournalReader::open(data_dir)?.segments().await?;
    let bytes: u64 = segments.iter().map(|segment| segment.file_bytes).sum();
    let count: u64 = segments.iter().map(|segment| segment.count).sum();
    Ok(bytes as f64 / count.max(1) as f64)
}

async fn sample_memory(
    status: Status,
    percent: impl Fn(&Status) -> u64,
    stop: CancellationToken,
) -> Memory {
    let mut memory = Memory::default();
    loop {
        let now = machine::rss_bytes();
        let percent = percent(&status);
        memory.peak = memory.peak.max(now);
        memory.at_end = now;
        if memory.at_tenth == 0 && percent >= 10 {
            memory.at_tenth = now;
        }
        if memory.at_half == 0 && percent >= 50 {
            memory.at_half = now;
        }
        tokio::select! {
            () = stop.cancelled() => return memory,
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}
