//! The rebuild of TimescaleDB against what the server can do at most, and of a long history against a live stream.

use std::collections::HashSet;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::rebuild::{filled, made, rebuilt};
use crate::cli::{CommandError, stores};
use crate::config::Config;
use crate::event::{Body, Event, Timestamp};
use crate::journal::JournalReader;
use crate::projector::{entry, next_seq};
use crate::source::{Source, SourceBatch, SourceError};
use crate::store::ProjectionName;
use crate::store::rows::{MessageRow, Rows};
use crate::store::timescale::{Generations, Loader, Stage};

/// As many messages as a rebuild writes in one transaction.
const BATCH: usize = 5_000;
/// Over how many days the dates of the history are spread.
const HISTORY_DAYS: i64 = 1_372;

/// The figures.
#[derive(Debug, Serialize)]
pub(super) struct Beside {
    pub(super) rebuild_seconds: f64,
    /// Messages that the events leave.
    messages: u64,
    /// The same messages by `COPY` alone, into a table with the same indexes.
    copy_seconds: f64,
    /// Rate of the rebuild's messages to that of the copy.
    rebuild_to_copy: f64,
    /// The same events with dates of years.
    history_seconds: f64,
    history_to_live: f64,
}

impl Beside {
    pub(super) fn text(&self) -> String {
        format!(
            "\n  {} messages by COPY alone: {:.2} s, so the rebuild reaches {:.2} of it\
             \n  with dates of {HISTORY_DAYS} days: {:.2} s, {:.2} times as long",
            self.messages,
            self.copy_seconds,
            self.rebuild_to_copy,
            self.history_seconds,
            self.history_to_live
        )
    }
}

/// Measures all three, one after the other, and leaves one empty generation.
pub(super) async fn measure(
    config: &Config,
    events: u64,
    stop: &CancellationToken,
) -> Result<Beside, CommandError> {
    let section = stores::timescale_section(config)?;
    let now = Timestamp::now();
    let journal = filled(config, made(events, now), stop).await?;
    let rebuild_seconds = rebuilt(config, ProjectionName::Timescale, &journal, stop).await?;

    let batches = messages(&journal).await?;
    let count: usize = batches.iter().map(Vec::len).sum();
    let mut generations = Generations::open(section).await?;
    let shown = generations.list().await?.into_iter();
    let shown = shown.into_iter().find(|it| it.stage == Stage::Shown);
    let width = shown.map_or(std::time::Duration::from_secs(86_400), |it| {
        it.chunk_interval
    });
    let number = generations.make(width).await?;
    let mut loader = Loader::new(section.clone(), number, 0);
    let copy_seconds = loader.copy_alone(&batches).await?.as_secs_f64();
    drop(batches);
    generations.remove(number).await?;

    let mut years = config.clone();
    years.data_dir = config.data_dir.join("history");
    let old = filled(&years, Stretched::new(made(events, now), events), stop).await?;
    let history_seconds = rebuilt(config, ProjectionName::Timescale, &old, stop).await?;
    Ok(Beside {
        rebuild_seconds,
        messages: count as u64,
        copy_seconds,
        rebuild_to_copy: copy_seconds / rebuild_seconds,
        history_seconds,
        history_to_live: history_seconds / rebuild_seconds,
    })
}

/// The messages of a log, each once, in batches as a rebuild meets them.
async fn messages(journal: &JournalReader) -> Result<Vec<Vec<MessageRow>>, CommandError> {
    let mut met = HashSet::new();
    let mut batches = Vec::new();
    let mut at = 0;
    loop {
        let records = journal.read(next_seq(at), BATCH, 16 << 20).await?;
        let Some(last) = records.last() else {
            return Ok(batches);
        };
        at = last.header().seq.get();
        let entries: Vec<_> = records.iter().map(entry).collect();
        let mut rows = Rows::of(&entries).messages;
        rows.retain(|row| met.insert((row.peer_id, row.message_id)));
        batches.push(rows);
    }
}

/// A source whose dates are spread over years.
struct Stretched<S> {
    source: S,
    first: Option<Timestamp>,
    factor: i64,
}

impl<S> Stretched<S> {
    fn new(source: S, events: u64) -> Stretched<S> {
        // The generator's dates follow at 50 a second.
        let span = i64::try_from(events / 50).unwrap_or(i64::MAX).max(1);
        Stretched {
            source,
            first: None,
            factor: HISTORY_DAYS * 86_400 / span,
        }
    }

    fn date(&mut self, at: &mut Timestamp) {
        let first = *self.first.get_or_insert(*at);
        let since = (at.micros() - first.micros()).saturating_mul(self.factor);
        *at = Timestamp::from_micros(first.micros() - HISTORY_DAYS * 86_400_000_000 + since);
    }

    fn dates(&mut self, event: &mut Event) {
        match &mut event.body {
            Body::Posted(message) | Body::Edited { message, .. } => {
                self.date(&mut message.posted_at);
                if let Some(edited_at) = &mut message.edited_at {
                    self.date(edited_at);
                }
            }
            _ => {}
        }
    }
}

impl<S: Source> Source for Stretched<S> {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        let mut batch = self.source.next().await?;
        for event in batch.iter_mut().flat_map(|batch| &mut batch.events) {
            self.dates(event);
        }
        Ok(batch)
    }
}
