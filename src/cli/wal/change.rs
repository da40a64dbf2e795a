//! `wal seal`, `wal trim` and `wal compact`.

use std::fmt::Write as _;

use super::args::TrimArgs;
use super::hand::Hand;
use crate::cli::confirm::confirm;
use crate::cli::{CommandError, CommandResult, output};
use crate::config::Config;
use crate::failure::{Class, Classify, Exit};
use crate::journal::control::{Answer, Command};
use crate::journal::retention::{Plan, Segment};

/// The daemon is another version of this program.
#[derive(Debug, thiserror::Error)]
#[error("the daemon gave an answer to something else")]
pub(super) struct Misunderstood;

impl Classify for Misunderstood {
    fn class(&self) -> Class {
        Class::Bug
    }

    fn hint(&self) -> Option<String> {
        Some("restart the daemon with the program of this version".to_owned())
    }
}

/// Seals the active segment, by whoever holds the log.
pub(in crate::cli) async fn seal_log(config: &Config) -> Result<Option<Segment>, CommandError> {
    let mut hand = Hand::take(config).await?;
    let answer = hand.ask(Command::Seal).await;
    hand.release().await;
    match answer? {
        Answer::Sealed { segment } => Ok(segment),
        _ => Err(Misunderstood.into()),
    }
}

pub(super) async fn seal(config: &Config, json: bool) -> CommandResult {
    let segment = seal_log(config).await?;
    output::result(&segment, json, |segment| match segment {
        Some(it) => format!(
            "sealed {}: {}..={}, {} records",
            it.file,
            it.first,
            it.last.unwrap_or(0),
            it.count
        ),
        None => "nothing to seal: the active segment is empty".to_owned(),
    })?;
    Ok(Exit::Ok)
}

pub(super) async fn trim(config: &Config, args: &TrimArgs) -> CommandResult {
    let mut hand = Hand::take(config).await?;
    let trimmed = trim_by(&mut hand, args).await;
    hand.release().await;
    let answer = trimmed?;
    let Answer::Trimmed { plan, done } = &answer else {
        return Err(Misunderstood.into());
    };
    let shown = serde_json::json!({ "plan": plan, "done": done });
    output::result(&shown, args.json, |_| text(plan, *done))?;
    Ok(Exit::Ok)
}

pub(super) async fn compact(config: &Config, first: Option<u64>, json: bool) -> CommandResult {
    let mut hand = Hand::take(config).await?;
    let answer = hand.ask(Command::Compact { first }).await;
    hand.release().await;
    let Answer::Compacted { segments } = answer? else {
        return Err(Misunderstood.into());
    };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    output::result(&segments, json, |segments| {
        let before: u64 = segments.iter().map(|it| it.before).sum();
        let after: u64 = segments.iter().map(|it| it.after).sum();
        let mut text = format!(
            "{} segments, {:.1} MiB before, {:.1} MiB now",
            segments.len(),
            mib(before),
            mib(after)
        );
        for it in segments {
            let (before, after) = (mib(it.before), mib(it.after));
            let _ = write!(text, "\n{:>12}  {before:>8.1} > {after:.1} MiB", it.first);
        }
        text
    })?;
    Ok(Exit::Ok)
}

async fn trim_by(hand: &mut Hand, args: &TrimArgs) -> Result<Answer, CommandError> {
    let look = Command::Trim {
        keep_from: args.keep_from,
        plan: true,
    };
    let answer = hand.ask(look).await?;
    let Answer::Trimmed { plan, .. } = &answer else {
        return Err(Misunderstood.into());
    };
    if args.plan || plan.go.is_empty() {
        return Ok(answer);
    }
    if !args.yes {
        let explained = format!("{}\nWhat goes is gone for ever.", text(plan, false));
        confirm("wal trim removes records".to_owned(), &explained, "trim")?;
    }
    // Not more than was shown, whatever was sealed meanwhile.
    let last = plan.go.last().and_then(|segment| segment.last);
    let go = Command::Trim {
        keep_from: last.map(|last| last + 1),
        plan: false,
    };
    Ok(hand.ask(go).await?)
}

fn text(plan: &Plan, done: bool) -> String {
    let mut text = match (plan.go.is_empty(), done) {
        (true, _) => "nothing to remove".to_owned(),
        (false, true) => format!("removed {}", sum(&plan.go)),
        (false, false) => format!("would remove {}", sum(&plan.go)),
    };
    for segment in &plan.go {
        let last = segment.last.unwrap_or(0);
        let _ = write!(text, "\n  {} {}..={last}", segment.file, segment.first);
    }
    if !plan.held.is_empty() {
        let _ = write!(
            text,
            "\nstays, since it is still needed: {}",
            sum(&plan.held)
        );
        for floor in &plan.held_by {
            let _ = match &floor.unknown {
                None => write!(text, "\n  {} is at {}", floor.name, floor.seq),
                Some(why) => write!(
                    text,
                    "\n  {} cannot tell: {}",
                    floor.name,
                    output::escape(why)
                ),
            };
        }
    }
    for floor in &plan.ignored {
        let _ = write!(
            text,
            "\nignored: {} is at {}, and nothing that is configured moves it",
            output::escape(&floor.name),
            floor.seq
        );
    }
    text
}

fn sum(segments: &[Segment]) -> String {
    let first = segments.first().map_or(0, |segment| segment.first);
    let last = segments
        .last()
        .and_then(|segment| segment.last)
        .unwrap_or(0);
    let bytes: u64 = segments.iter().map(|segment| segment.file_bytes).sum();
    let plural = if segments.len() == 1 { "" } else { "s" };
    format!(
        "{first}..={last}, {} segment{plural}, {:.1} MiB",
        segments.len(),
        bytes as f64 / f64::from(1 << 20)
    )
}
