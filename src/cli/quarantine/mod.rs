//! `quarantine`: what the stores could not apply.

pub(super) mod args;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;
use wal::Record;

use self::args::{ChosenArgs, QuarantineArgs, QuarantineCommand};
use super::args::Globals;
use super::confirm::confirm;
use super::{CommandError, CommandResult, output, stores};
use crate::config::Config;
use crate::event::{Envelope, Kind, Timestamp};
use crate::failure::{Class, Classify as _, Exit, chain};
use crate::journal::{JournalError, JournalReader};
use crate::projector::{Refused, position};
use crate::store::{Poison, ProjectionName, Quarantine, Retried};

/// Events asked for at once.
const PAGE: usize = 500;

pub(super) async fn run(globals: &Globals, args: &QuarantineArgs) -> CommandResult {
    let config = globals.load()?.config;
    match &args.command {
        QuarantineCommand::List { name, json } => {
            let named = name.map(|it| vec![ProjectionName::from(it)]);
            for name in named.unwrap_or_else(|| stores::configured(&config)) {
                dispatch(&config, name, Work::List { json: *json }).await?;
            }
            Ok(Exit::Ok)
        }
        QuarantineCommand::Retry(chosen) => {
            let name = ProjectionName::from(chosen.name);
            let done = dispatch(&config, name, Work::Retry(chosen)).await?;
            output::result(&done, chosen.json, Done::told)?;
            Ok(match done.refused.is_empty() {
                true => Exit::Ok,
                false => Exit::Failure,
            })
        }
        QuarantineCommand::Drop { chosen, yes } => {
            let name = ProjectionName::from(chosen.name);
            if !yes {
                let short = format!("quarantine drop {name} takes events out that are not applied");
                let explained = format!(
                    "The events leave the quarantine of {name} and are not in its tables. The log keeps them."
                );
                confirm(short, &explained, name.as_str())?;
            }
            let done = dispatch(&config, name, Work::Drop(chosen)).await?;
            output::result(&done, chosen.json, Done::told)?;
            Ok(Exit::Ok)
        }
    }
}

/// What is done with the quarantine of one store.
enum Work<'a> {
    List { json: bool },
    Retry(&'a ChosenArgs),
    Drop(&'a ChosenArgs),
}

/// What became of the events.
#[derive(Debug, Serialize)]
struct Done {
    store: &'static str,
    /// Applied by a retry.
    applied: Vec<u64>,
    /// Still in the quarantine.
    refused: Vec<StillRefused>,
    /// Taken out by a drop.
    dropped: Vec<u64>,
    /// Asked for, but not in the quarantine.
    unknown: BTreeSet<u64>,
}

#[derive(Debug, Serialize)]
struct StillRefused {
    seq: u64,
    reason: String,
}

impl Done {
    fn told(&self) -> String {
        let store = self.store;
        let mut text = match self.dropped.is_empty() {
            true => format!("{store}: {} applied", self.applied.len()),
            false => format!("{store}: {} taken out", self.dropped.len()),
        };
        if !self.refused.is_empty() {
            let _ = write!(text, ", {} refused again", self.refused.len());
        }
        for it in &self.refused {
            let _ = write!(text, "\n  {}: {}", it.seq, output::escape(&it.reason));
        }
        for seq in &self.unknown {
            let _ = write!(text, "\n  {seq}: not in the quarantine");
        }
        text
    }
}

async fn dispatch(
    config: &Config,
    name: ProjectionName,
    work: Work<'_>,
) -> Result<Done, CommandError> {
    match name {
        ProjectionName::Sqlite => perform(config, stores::sqlite(config)?, work).await,
        ProjectionName::Timescale => perform(config, stores::timescale(config)?, work).await,
        ProjectionName::Redis => perform(config, stores::redis(config)?, work).await,
    }
}

async fn perform<P: Quarantine>(
    config: &Config,
    mut store: P,
    work: Work<'_>,
) -> Result<Done, CommandError> {
    let mut done = Done {
        store: store.name().as_str(),
        applied: Vec::new(),
        refused: Vec::new(),
        dropped: Vec::new(),
        unknown: BTreeSet::new(),
    };
    match work {
        Work::List { json } => list(&mut store, json).await?,
        Work::Retry(chosen) => {
            let journal = JournalReader::of(config)?;
            // Events of another log must not be mixed into the store, though no checkpoint moves.
            match position(&mut store, &journal).await {
                Err(Refused::Projection(error)) => return Err(error.into()),
                Err(Refused::Journal(error)) => return Err(error.into()),
                Ok(_) => {}
            }
            let waiting = waiting(&mut store, chosen, &mut done).await?;
            for poison in waiting {
                retry(&journal, &mut store, &poison, &mut done).await?;
            }
        }
        Work::Drop(chosen) => {
            for poison in waiting(&mut store, chosen, &mut done).await? {
                if store.forget(poison.seq).await? {
                    done.dropped.push(poison.seq.get());
                }
            }
        }
    }
    Ok(done)
}

/// The events of the quarantine that were chosen.
async fn waiting<P: Quarantine>(
    store: &mut P,
    chosen: &ChosenArgs,
    done: &mut Done,
) -> Result<Vec<Poison>, CommandError> {
    done.unknown = chosen.seqs.iter().copied().collect();
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = store.quarantined(after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = last.seq.get();
        for poison in page {
            if done.unknown.remove(&poison.seq.get()) || chosen.all {
                all.push(poison);
            }
        }
    }
}

/// Applies one event, from the log, or from its copy in the quarantine where the log does not keep it any more.
async fn retry<P: Quarantine>(
    journal: &JournalReader,
    store: &mut P,
    poison: &Poison,
    done: &mut Done,
) -> Result<(), CommandError> {
    let seq = poison.seq.get();
    let retried = match record(journal, poison).await? {
        None => Retried::Refused("neither the log nor the quarantine has its record".to_owned()),
        Some(record) => match Envelope::from_record(&record) {
            Ok(envelope) => store.retry(&envelope).await?,
            Err(error) => Retried::Refused(chain(&error)),
        },
    };
    match retried {
        Retried::Applied => done.applied.push(seq),
        Retried::Refused(reason) => done.refused.push(StillRefused { seq, reason }),
    }
    Ok(())
}

async fn record(journal: &JournalReader, poison: &Poison) -> Result<Option<Record>, JournalError> {
    let (seq, one) = (poison.seq, poison.seq.get());
    let found = match journal.range(seq, one, 1, usize::MAX).await {
        Ok(records) => records.into_iter().next(),
        Err(JournalError::Read(wal::ReadError::Trimmed { .. })) => None,
        Err(error) if error.class() == Class::Corrupt => None,
        Err(error) => return Err(error),
    };
    Ok(found.or_else(|| copy(poison)))
}

/// The record as the quarantine keeps it.
fn copy(poison: &Poison) -> Option<Record> {
    let record = Record::decode(poison.raw.clone()).ok()?;
    (record.header().seq == poison.seq).then_some(record)
}

/// An event of the quarantine, as it is shown.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    store: &'static str,
    seq: u64,
    kind: &'static str,
    received_at: Timestamp,
    reason: &'a str,
    /// Bytes of the copy of its record.
    bytes: usize,
}

async fn list<P: Quarantine>(store: &mut P, json: bool) -> Result<(), CommandError> {
    let name = store.name().as_str();
    let mut after = 0;
    loop {
        let page = store.quarantined(after, PAGE).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = last.seq.get();
        for poison in &page {
            let kind = Kind::of(poison.kind).map_or("unreadable", Kind::as_str);
            let shown = Shown {
                store: name,
                seq: poison.seq.get(),
                kind,
                received_at: poison.received_at,
                reason: &poison.reason,
                bytes: poison.raw.len(),
            };
            output::result(&shown, json, |it| {
                let reason = output::escape(it.reason);
                format!(
                    "{name} {} {kind} received {}: {reason}",
                    it.seq, it.received_at
                )
            })?;
        }
    }
    if !json && after == 0 {
        output::say(&format!("{name}: nothing is in the quarantine"));
    }
    Ok(())
}
