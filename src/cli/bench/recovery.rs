//! `bench recovery`: how long opening the log takes after kill -9.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::machine::Machine;
use super::{Scratch, in_scratch};
use crate::cli::{CommandError, output};
use crate::config::Config;
use crate::daemon::{Daemon, DaemonError};
use crate::journal::JournalReader;
use crate::status::Status;

/// Sizes of the log at which the process is killed, in events.
const KILL_AT: [u64; 3] = [1_000, 100_000, 400_000];

/// One kill.
#[derive(Debug, Serialize)]
struct Kill {
    events: u64,
    log_bytes: u64,
    open_ms: f64,
    unclean: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    kills: Vec<Kill>,
    machine: Machine,
}

/// Fills a log with a child process, kills it in the middle of its commits, and opens the log.
pub(in crate::cli) async fn recovery(config: &Config, json: bool) -> Result<(), CommandError> {
    let scratch = Scratch::new(&config.data_dir).map_err(|source| DaemonError::File {
        path: config.data_dir.display().to_string(),
        source,
    })?;
    let mut config = in_scratch(config, &scratch);
    config.rabbitmq = None;
    config.timescale = None;
    config.redis = None;
    let mut kills = Vec::new();
    for events in KILL_AT {
        fill_and_kill(&scratch, events).await?;
        let started = Instant::now();
        let opened = Daemon::open(config.clone(), Status::new())?;
        let open_ms = started.elapsed().as_secs_f64() * 1000.0;
        let unclean = opened.was_unclean();
        opened.close().await;
        let segments = JournalReader::open(scratch.path())?.segments().await?;
        kills.push(Kill {
            events: segments.iter().map(|segment| segment.count).sum(),
            log_bytes: segments.iter().map(|segment| segment.file_bytes).sum(),
            open_ms,
            unclean,
        });
    }
    let report = Report {
        kills,
        machine: Machine::now(),
    };
    output::result(&report, json, text)?;
    Ok(())
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "{:>10} {:>12} {:>12}   (load {:.2})",
        "events", "log MiB", "open ms", report.machine.load_1m
    );
    for kill in &report.kills {
        text.push_str(&format!(
            "\n{:>10} {:>12.1} {:>12.1}{}",
            kill.events,
            kill.log_bytes as f64 / f64::from(1 << 20),
            kill.open_ms,
            if kill.unclean {
                ""
            } else {
                "   (was closed cleanly)"
            },
        ));
    }
    text
}

async fn fill_and_kill(scratch: &Scratch, events: u64) -> Result<(), DaemonError> {
    let failed = |source| DaemonError::File {
        path: "the bench's own child process".to_owned(),
        source,
    };
    let program = std::env::current_exe().map_err(failed)?;
    // The child must use no server and no file but the scratch log.
    let mut child = Command::new(program)
        .env_clear()
        .args(["--quiet", "--data-dir"])
        .arg(scratch.path())
        .args(["run", "--source", "synthetic", "--rate", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let deadline = Instant::now() + Duration::from_secs(120);
    let reached = loop {
        let tail = match JournalReader::open(scratch.path()) {
            Ok(reader) => reader.tail(),
            // The child has not made the log yet.
            Err(_) => 0,
        };
        if tail >= events || Instant::now() > deadline || child.try_wait().ok().flatten().is_some()
        {
            break tail >= events;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let _ = child.kill();
    let _ = child.wait();
    if reached {
        Ok(())
    } else {
        Err(failed(std::io::ErrorKind::TimedOut.into()))
    }
}
