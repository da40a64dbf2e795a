//! `run`: the daemon.

use super::args::{Globals, RunArgs, SourceSpec};
use super::{CommandResult, output};
use crate::daemon::{Daemon, Options};
use crate::event::Timestamp;
use crate::failure::Exit;
use crate::source::script::Script;
use crate::source::synthetic::{self, Synthetic};
use crate::source::telegram::Telegram;
use crate::source::{Source, SourceBatch, SourceError};
use crate::status::Status;

/// Messages a second of the synthetic source unless told otherwise.
const RATE: u32 = 50;

pub(super) async fn run(globals: &Globals, args: &RunArgs) -> CommandResult {
    let config = globals.load()?.config;
    let stop = super::stop_on_signals()?;
    let status = Status::new();
    let has_telegram = config.telegram.is_some();
    let daemon = Daemon::open(config, status.clone())?;
    let source = match &args.source {
        Some(SourceSpec::Synthetic) => {
            let bookmark = daemon.bookmark(synthetic::BOOKMARK).await?;
            let options = synthetic::Options {
                seed: args.seed.unwrap_or(1),
                rate: args.rate.unwrap_or(RATE),
                events: args.events,
                ..synthetic::Options::default()
            };
            Some(AnySource::Synthetic(Box::new(Synthetic::resume(
                &options,
                bookmark.as_deref(),
            )?)))
        }
        Some(SourceSpec::Script(path)) => {
            let bookmark = daemon.bookmark(&Script::bookmark_name(path)).await?;
            Some(AnySource::Script(Box::new(Script::resume(
                path,
                bookmark.as_deref(),
            )?)))
        }
        // A live source has no end that a drain could wait for.
        None if has_telegram && !args.drain => {
            Some(AnySource::Telegram(Box::new(daemon.telegram(&stop).await?)))
        }
        None => None,
    };
    let options = Options {
        receipts: args.receipts.clone(),
        drain: args.drain,
    };
    let started = Timestamp::now();
    let ingested = daemon.run(source, options, stop).await?;
    let seconds = (Timestamp::now().micros() - started.micros()) as f64 / 1e6;
    output::say(&format!(
        "stopped after {seconds:.1} s: {} events appended, {} known already, durable up to {}",
        ingested.appended,
        ingested.duplicates,
        status.snapshot().durable
    ));
    Ok(Exit::Ok)
}

/// The sources that `run` knows.
enum AnySource {
    Synthetic(Box<Synthetic>),
    Script(Box<Script>),
    Telegram(Box<Telegram>),
}

impl Source for AnySource {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        match self {
            AnySource::Synthetic(source) => source.next().await,
            AnySource::Script(source) => source.next().await,
            AnySource::Telegram(source) => source.next().await,
        }
    }
}
