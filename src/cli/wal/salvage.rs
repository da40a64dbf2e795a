//! `wal salvage`: by the daemon that holds the log, or here when none does.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use wal::{HEADER_LEN, OpenError, RewriteError, Seq};

use super::change::Misunderstood;
use crate::cli::confirm::confirm;
use crate::cli::{CommandError, CommandResult, output, stores};
use crate::config::Config;
use crate::daemon::{configured, first_of};
use crate::failure::Exit;
use crate::journal::control::{Answer, Command, Saved};
use crate::journal::socket::Remote;
use crate::journal::{JournalError, LOG_DIR};

/// Least distance of a fence from the last number that is known, so that no number is given out twice.
const FENCE_MARGIN: u64 = 1_000_000;

#[derive(Debug, Serialize)]
struct Report {
    segments: Vec<Saved>,
    /// The active segment was damaged: these numbers are skipped.
    fence: Option<(u64, u64)>,
}

pub(super) async fn run(config: &Config, yes: bool, json: bool) -> CommandResult {
    if !yes {
        let explained = "This replaces each damaged segment by what can still be read of it; what cannot \
             is a hole in the log for ever. The damaged files are kept as *.damaged.";
        confirm(
            "wal salvage replaces segments".to_owned(),
            explained,
            "salvage",
        )?;
    }
    let report = match here(config).await {
        Err(JournalError::Rewrite(RewriteError::Open(OpenError::Locked { holder }))) => {
            there(config, holder).await?
        }
        done => done?,
    };
    output::result(&report, json, text)?;
    Ok(Exit::Ok)
}

async fn here(config: &Config) -> Result<Report, JournalError> {
    let dir = config.data_dir.join(LOG_DIR);
    let fence_to = fence_to(config, &dir).await;
    let options = crate::journal::wal_options(&config.wal);
    let done = tokio::task::spawn_blocking(move || wal::salvage(&dir, options, fence_to, None));
    let done = done.await.map_err(|_| JournalError::Closed)?;
    let done = done.map_err(JournalError::Rewrite)?;
    Ok(Report {
        segments: done.segments.iter().map(Saved::from).collect(),
        fence: done.fence.map(|it| (it.first.get(), it.last.get())),
    })
}

async fn there(config: &Config, holder: String) -> Result<Report, CommandError> {
    let locked = JournalError::Open(OpenError::Locked { holder });
    let mut remote = Remote::connect(&config.data_dir)
        .await
        .map_err(|_| locked)?;
    let Answer::Salvaged { segments } = remote.ask(&Command::Salvage).await? else {
        return Err(Misunderstood.into());
    };
    Ok(Report {
        segments,
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
            "\n  {} {}..={}: {} records, {state}",
            it.file, it.first, it.last, it.records
        );
        for (first, last) in &it.holes {
            let _ = write!(text, "\n    lost {first}..={last}");
        }
        if let Some(kept) = &it.kept_as {
            let _ = write!(text, "\n    the damaged file is {kept}");
        }
    }
    if let Some((first, last)) = report.fence {
        let _ = write!(text, "\nnumbers {first}..={last} are skipped");
    }
    text
}
