//! `wal salvage`: by the daemon that holds the log, or here when none does.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use wal::{HEADER_LEN, OpenError, RewriteError, Seq};

use super::args::SalvageArgs;
use super::change::Misunderstood;
use crate::cli::confirm::confirm;
use crate::cli::{CommandError, CommandResult, output, stores};
use crate::config::Config;
use crate::daemon::{configured, first_of, salvage_dirs};
use crate::failure::{Class, Classify, Exit};
use crate::journal::control::{Answer, Command, Saved};
use crate::journal::socket::Remote;
use crate::journal::sources::{Given, Sources};
use crate::journal::{JournalError, LOG_DIR};

/// Least distance of a fence from the last number that is known, so that no number is given out twice.
const FENCE_MARGIN: u64 = 1_000_000;

#[derive(Debug, Serialize)]
struct Report {
    segments: Vec<Saved>,
    /// What each directory of containers gave.
    given: Vec<Given>,
    /// The active segment was damaged: these numbers are skipped.
    fence: Option<(u64, u64)>,
}

/// A directory to take records from is not there.
#[derive(Debug, thiserror::Error)]
#[error("cannot look into {dir}")]
struct NoSource {
    dir: String,
    #[source]
    source: std::io::Error,
}

impl Classify for NoSource {
    fn class(&self) -> Class {
        Class::Operator
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

pub(super) async fn run(config: &Config, args: &SalvageArgs) -> CommandResult {
    let from = args.from.iter().map(|dir| absolute(dir));
    let from = from.collect::<Result<Vec<PathBuf>, NoSource>>()?;
    if !args.yes {
        let explained = "This replaces each damaged segment by what can still be read of it; what cannot \
             is a hole in the log for ever. The damaged files are kept as *.damaged.";
        confirm(
            "wal salvage replaces segments".to_owned(),
            explained,
            "salvage",
        )?;
    }
    let report = match here(config, from.clone()).await {
        Err(JournalError::Rewrite(RewriteError::Open(OpenError::Locked { holder }))) => {
            there(config, holder, from).await?
        }
        done => done?,
    };
    output::result(&report, args.json, text)?;
    Ok(Exit::Ok)
}

/// The daemon may stand in another directory.
fn absolute(dir: &Path) -> Result<PathBuf, NoSource> {
    let path = dir.canonicalize().and_then(|path| {
        // Fails for what is no directory, or may not be read.
        std::fs::read_dir(&path)?;
        Ok(path)
    });
    path.map_err(|source| NoSource {
        dir: dir.display().to_string(),
        source,
    })
}

async fn here(config: &Config, from: Vec<PathBuf>) -> Result<Report, JournalError> {
    let dir = config.data_dir.join(LOG_DIR);
    let fence_to = fence_to(config, &dir).await;
    let options = crate::journal::wal_options(&config.wal);
    let from = salvage_dirs(config, from);
    let done = tokio::task::spawn_blocking(move || {
        let sources = Sources::new(&from, wal::log_id(&dir));
        let done = wal::salvage(&dir, options, fence_to, Some(&sources));
        (done, sources.given())
    });
    let (done, given) = done.await.map_err(|_| JournalError::Closed)?;
    let done = done.map_err(JournalError::Rewrite)?;
    Ok(Report {
        segments: done.segments.iter().map(Saved::from).collect(),
        given,
        fence: done.fence.map(|it| (it.first.get(), it.last.get())),
    })
}

async fn there(
    config: &Config,
    holder: String,
    from: Vec<PathBuf>,
) -> Result<Report, CommandError> {
    let locked = JournalError::Open(OpenError::Locked { holder });
    let mut remote = Remote::connect(&config.data_dir)
        .await
        .map_err(|_| locked)?;
    let answer = remote.ask(&Command::Salvage { from }).await?;
    let Answer::Salvaged { segments, given } = answer else {
        return Err(Misunderstood.into());
    };
    Ok(Report {
        segments,
        given,
        fence: None,
    })
}

/// How far numbers may have been given out if the active segment is lost: past everything a store has seen, and past
/// all that the active segment can have held.
async fn fence_to(config: &Config, dir: &Path) -> Option<Seq> {
    let mut known = newest(dir).unwrap_or(0);
    for name in configured(config) {
        // One that cannot be asked is covered by the margin.
        if let Ok(Some(checkpoint)) = stores::checkpoint(config, name).await {
            known = known.max(checkpoint.seq.get());
        }
    }
    let held = config.wal.segment_bytes_max / HEADER_LEN as u64;
    Seq::new(known.saturating_add(held.max(FENCE_MARGIN)))
}

/// The number that the newest segment starts with.
fn newest(dir: &Path) -> Option<u64> {
    let names = std::fs::read_dir(dir).ok()?.flatten();
    names
        .filter_map(|entry| first_of(entry.file_name().to_str()?))
        .max()
}

fn text(report: &Report) -> String {
    let mut text = match report.segments.len() {
        0 => "nothing is damaged".to_owned(),
        1 => "1 segment was damaged".to_owned(),
        count => format!("{count} segments were damaged"),
    };
    for it in &report.segments {
        let state = if it.complete { "complete" } else { "not all" };
        let _ = write!(
            text,
            "\n  {} {}..={}: {} records, {state} ({} read, {} found in the bytes, {} from elsewhere)",
            it.file, it.first, it.last, it.records, it.engine, it.carved, it.given
        );
        for (first, last) in &it.holes {
            let _ = write!(text, "\n    lost {first}..={last}");
        }
        if let Some(kept) = &it.kept_as {
            let _ = write!(text, "\n    the damaged file is {kept}");
        }
    }
    for it in report.given.iter().filter(|it| it.records > 0) {
        let _ = write!(text, "\n{} records from {}", it.records, it.dir.display());
    }
    if let Some((first, last)) = report.fence {
        let _ = write!(text, "\nnumbers {first}..={last} are skipped");
    }
    text
}
