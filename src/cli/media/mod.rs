//! `media`: the files that were downloaded, by the list of them.

pub(super) mod args;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::Globals;
use super::{CommandError, CommandResult, output};
use crate::config::Config;
use crate::event::PeerId;
use crate::failure::Exit;
use crate::source::telegram::media::{
    CATALOG, Catalog, FileRow, Filter, Folder, MediaError, Soundness, StateRow,
};
use args::{MediaArgs, MediaCommand, MediaListArgs, MediaShownArgs};

/// Digests that are read from the list at once.
const DIGESTS: u32 = 1000;

pub(super) async fn run(globals: &Globals, args: &MediaArgs) -> CommandResult {
    let config = globals.load()?.config;
    match &args.command {
        MediaCommand::Status(args) => status(&config, args).await,
        MediaCommand::List(args) => list(&config, args).await,
        MediaCommand::Verify(args) => verify(&config, args).await,
    }
}

/// The list; none when nothing was ever to be downloaded.
async fn catalog(config: &Config) -> Result<Option<Catalog>, MediaError> {
    Catalog::read(&config.data_dir.join(CATALOG)).await
}

/// Where files are by the configuration, or would be without `[telegram]`.
fn folder(config: &Config) -> PathBuf {
    match &config.telegram {
        Some(telegram) => telegram.media.folder.clone(),
        None => config.data_dir.join("media"),
    }
}

#[derive(Debug, Serialize)]
struct Summary {
    /// Whether `run` downloads anything.
    is_on: bool,
    folder: PathBuf,
    /// The last number of the log that was looked through.
    covered: u64,
    stored_bytes: u64,
    states: Vec<StateRow>,
}

async fn status(config: &Config, args: &MediaShownArgs) -> CommandResult {
    let mut summary = Summary {
        is_on: config
            .telegram
            .as_ref()
            .is_some_and(|it| !it.media.download.is_empty()),
        folder: folder(config),
        covered: 0,
        stored_bytes: 0,
        states: Vec::new(),
    };
    if let Some(catalog) = catalog(config).await? {
        summary.covered = catalog.covered().await?;
        summary.stored_bytes = catalog.stored_bytes().await?;
        summary.states = catalog.states().await?;
    }
    output::result(&summary, args.json, summary_text)?;
    Ok(Exit::Ok)
}

fn summary_text(summary: &Summary) -> String {
    let state = if summary.is_on { "on" } else { "off" };
    let folder = summary.folder.display().to_string();
    let mut text = format!(
        "downloads     {state}\nfolder        {}\nlooked up to  {}\ntaken         {}",
        output::escape(&folder),
        summary.covered,
        mib(summary.stored_bytes),
    );
    for row in &summary.states {
        let bytes = mib(u64::try_from(row.bytes).unwrap_or(0));
        let _ = write!(text, "\n{:<13} {} files, {bytes}", row.state, row.files);
    }
    text
}

async fn list(config: &Config, args: &MediaListArgs) -> CommandResult {
    let Some(catalog) = catalog(config).await? else {
        return Ok(Exit::Ok);
    };
    let filter = Filter {
        state: args.state.clone(),
        peer: args.peer.map(PeerId::marked),
        limit: args.limit,
    };
    for file in catalog.files(&filter).await? {
        output::result(&file, args.json, file_text).map_err(CommandError::from)?;
    }
    Ok(Exit::Ok)
}

fn file_text(file: &FileRow) -> String {
    let size = file.size.and_then(|size| u64::try_from(size).ok());
    let mut text = format!(
        "{:<9} {} {} of {}/{}",
        file.state, file.kind, file.file_id, file.peer, file.message_id
    );
    if let Some(size) = size {
        let _ = write!(text, ", {}", mib(size));
    }
    for more in [&file.file_name, &file.sha256, &file.reason]
        .into_iter()
        .flatten()
    {
        let _ = write!(text, ", {}", output::escape(more));
    }
    text
}

#[derive(Debug, Default, Serialize)]
struct Checked {
    sound: u64,
    missing: Vec<String>,
    damaged: Vec<String>,
}

async fn verify(config: &Config, args: &MediaShownArgs) -> CommandResult {
    let mut checked = Checked::default();
    if let Some(catalog) = catalog(config).await? {
        let folder = folder(config);
        let mut behind = String::new();
        loop {
            let digests = catalog.digests(&behind, DIGESTS).await?;
            let Some(last) = digests.last() else {
                break;
            };
            behind.clone_from(last);
            check(&folder, digests, &mut checked)?;
        }
    }
    output::result(&checked, args.json, checked_text)?;
    let is_sound = checked.missing.is_empty() && checked.damaged.is_empty();
    Ok(if is_sound { Exit::Ok } else { Exit::Data })
}

fn check(folder: &Path, digests: Vec<String>, checked: &mut Checked) -> Result<(), MediaError> {
    let folder = Folder::at(folder);
    for digest in digests {
        match folder.check(&digest)? {
            Soundness::Sound => checked.sound += 1,
            Soundness::Missing => checked.missing.push(digest),
            Soundness::Damaged => checked.damaged.push(digest),
        }
    }
    Ok(())
}

fn checked_text(checked: &Checked) -> String {
    let mut text = format!("{} files are sound", checked.sound);
    for (what, digests) in [("missing", &checked.missing), ("damaged", &checked.damaged)] {
        for digest in digests {
            let _ = write!(text, "\n{what} {digest}");
        }
    }
    text
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
