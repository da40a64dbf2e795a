//! `generation`, and the rebuild of TimescaleDB, which makes a new one.
//!
//! | file | what |
//! |---|---|
//! | `args` | the arguments |
//! | `rebuild` | loading a new generation beside the live one |
//! | `switch` | showing one, without a reader or the daemon losing anything |

pub(super) mod args;
mod rebuild;
mod switch;

use std::time::Duration;

use serde::Serialize;

use self::args::{GenerationArgs, GenerationCommand};
use super::args::Globals;
use super::confirm::confirm;
use super::{CommandError, CommandResult, output, stores};
use crate::config::{self, Config};
use crate::event::Timestamp;
use crate::failure::{Class, Classify, Exit};
use crate::journal::JournalReader;
use crate::projector::judge;
use crate::projector::standing::Standing;
use crate::replay;
use crate::store::timescale::{Generation, Generations, Stage, Timescale};

pub(super) use rebuild::{rebuild, run as rebuild_beside};

pub(super) async fn run(globals: &Globals, args: &GenerationArgs) -> CommandResult {
    let config = globals.load()?.config;
    match &args.command {
        GenerationCommand::List { json } => list(&config, *json).await,
        GenerationCommand::Rollback { json } => rollback(&config, *json).await,
        GenerationCommand::Drop { number, yes } => drop_one(&config, *number, *yes).await,
    }
}

/// Why a generation cannot be had.
#[derive(Debug, thiserror::Error)]
enum GenerationError {
    #[error("there is no generation {0}")]
    Unknown(i32),
    #[error("generation {0} is the one that readers see")]
    Shown(i32),
    #[error("no generation is kept that could be shown again")]
    NoneKept,
    #[error("generation {0} was not fed from this log, or with other events")]
    Foreign(i32),
    #[error(
        "{count} rows of the new generation are not what the log says; the old one is still shown, \
         the new one is dropped"
    )]
    Wrong { count: u64 },
}

impl Classify for GenerationError {
    fn class(&self) -> Class {
        match self {
            GenerationError::Wrong { .. } => Class::Bug,
            _ => Class::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            GenerationError::Wrong { .. } => {
                Some("telegram-gateway verify log; then report this".to_owned())
            }
            _ => Some("telegram-gateway generation list".to_owned()),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            GenerationError::Wrong { .. } => Exit::Data,
            _ => Exit::Failure,
        }
    }
}

/// A line of the list.
#[derive(Debug, Serialize)]
struct Line {
    generation: i32,
    stage: Stage,
    made_at: Timestamp,
    seq: u64,
    lag_events: u64,
    bytes: u64,
    chunk_interval_seconds: u64,
    /// When a kept one goes.
    kept_until: Option<Timestamp>,
}

async fn list(config: &Config, json: bool) -> CommandResult {
    let section = stores::timescale_section(config)?;
    let journal = JournalReader::of(config)?;
    let holes = journal.holes().await?;
    let found = Generations::open(section).await?.list().await?;
    let line = |it: Generation| {
        let seq = it.checkpoint.map_or(0, |checkpoint| checkpoint.seq.get());
        Line {
            generation: it.number,
            stage: it.stage,
            made_at: it.made_at,
            seq,
            lag_events: holes.between(seq, journal.tail()),
            bytes: it.bytes,
            chunk_interval_seconds: it.chunk_interval.as_secs(),
            kept_until: it.hidden_at.map(|at| later(at, section.keep_generation)),
        }
    };
    let lines: Vec<Line> = found.into_iter().map(line).collect();
    output::result(&lines, json, |lines| {
        let lines: Vec<String> = lines.iter().map(text).collect();
        lines.join("\n")
    })?;
    Ok(Exit::Ok)
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(at.micros().saturating_add(by))
}

fn text(it: &Line) -> String {
    let kept = it
        .kept_until
        .map_or_else(String::new, |until| format!(", until {until}"));
    format!(
        "generation {:<4} {:<9} {:>10}   lag {:>8} events {:>9.1} MiB, chunks of {} days, made {}{kept}",
        it.generation,
        it.stage.as_str(),
        it.seq,
        it.lag_events,
        it.bytes as f64 / f64::from(1 << 20),
        it.chunk_interval_seconds as f64 / 86_400.0,
        it.made_at,
    )
}

async fn drop_one(config: &Config, number: i32, yes: bool) -> CommandResult {
    let mut generations = Generations::open(stores::timescale_section(config)?).await?;
    generations.hold().await?;
    let found = generations.list().await?;
    let found = found.iter().find(|it| it.number == number);
    let found = found.ok_or(GenerationError::Unknown(number))?;
    if found.stage == Stage::Shown {
        return Err(GenerationError::Shown(number).into());
    }
    if !yes {
        let explained = format!(
            "This drops generation {number} ({}) with all its rows. The log can make them again.",
            found.stage.as_str()
        );
        confirm(format!("dropping generation {number}"), &explained, "drop")?;
    }
    generations.remove(number).await?;
    output::say(&format!("generation {number} is dropped"));
    Ok(Exit::Ok)
}

/// What a rollback did.
#[derive(Debug, Serialize)]
struct RolledBack {
    generation: i32,
    replaced: i32,
    applied: u64,
}

async fn rollback(config: &Config, json: bool) -> CommandResult {
    let section = stores::timescale_section(config)?;
    let journal = JournalReader::of(config)?;
    let stop = super::stop_on_signals()?;
    let mut generations = Generations::open(section).await?;
    generations.hold().await?;
    let found = generations.list().await?;
    let kept = found.iter().filter(|it| it.stage == Stage::Kept);
    let kept = kept.max_by_key(|it| it.hidden_at);
    let kept = kept.ok_or(GenerationError::NoneKept)?;
    let shown = found.iter().find(|it| it.stage == Stage::Shown);
    let incomparable = match shown.and_then(|it| it.checkpoint) {
        Some(checkpoint) => !is_ours(&judge(&checkpoint, &journal).await?.0),
        None => false,
    };
    if let Some(checkpoint) = kept.checkpoint
        && !is_ours(&judge(&checkpoint, &journal).await?.0)
    {
        return Err(GenerationError::Foreign(kept.number).into());
    }
    let mut store = Timescale::generation(section.clone(), kept.number);
    let mut report = super::replay::reporter();
    let done = replay::catch_up(&journal, &mut store, None, &mut report, &stop).await?;
    let goal = switch::Goal {
        number: kept.number,
        incomparable,
    };
    switch::show(&mut generations, &journal, &mut store, goal, &stop).await?;
    let done = RolledBack {
        generation: kept.number,
        replaced: shown.map_or(0, |it| it.number),
        applied: done.applied,
    };
    output::result(&done, json, |it| {
        format!(
            "generation {} is shown again, with {} events that it had missed; generation {} is kept",
            it.generation, it.applied, it.replaced
        )
    })?;
    Ok(Exit::Ok)
}

/// Whether the log can say what a store with this standing lacks.
fn is_ours(standing: &Standing) -> bool {
    matches!(standing, Standing::Ours | Standing::Fenced)
}

/// The width of the chunks of a new generation.
fn chunk_interval(section: &config::Timescale, survey: &replay::Survey) -> Duration {
    let chosen = || crate::store::timescale::width::chunk_interval(&survey.days);
    section.chunk_interval.unwrap_or_else(chosen)
}

/// An error of a generation as one of commands.
fn refuse(error: GenerationError) -> CommandError {
    error.into()
}
