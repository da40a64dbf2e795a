//! `verify`.

use std::io::IsTerminal as _;

use super::args::{Globals, VerifyArgs, VerifyTarget};
use super::{CommandError, CommandResult, output, stores};
use crate::config::Config;
use crate::failure::{Class, Classify, Exit};
use crate::journal::JournalReader;
use crate::store::ProjectionName;
use crate::store::mend::Mend;
use crate::verify::{self, Difference, Repair, Report, VerifyError};

pub(super) async fn run(globals: &Globals, args: &VerifyArgs) -> CommandResult {
    let config = globals.load()?.config;
    if args.repair && matches!(args.what, VerifyTarget::Log) {
        return Err(CommandError::from(LogIsNoStore).with_exit(Exit::Usage));
    }
    match checks(&config, args).await {
        Ok(true) => Ok(Exit::Ok),
        Ok(false) => Ok(Exit::Failure),
        Err(error) => Err(error.with_exit(Exit::Usage)),
    }
}

/// Runs the checks that were asked for; true if all are clean.
async fn checks(config: &Config, args: &VerifyArgs) -> Result<bool, CommandError> {
    let mut clean = true;
    if matches!(args.what, VerifyTarget::Log | VerifyTarget::All) {
        let report = verify::log(config).await?;
        clean &= show(&report, args.json)?;
    }
    // Nothing is made anew from a log that is damaged.
    let repair = args.repair && clean;
    let named = match args.what {
        VerifyTarget::Log => Vec::new(),
        VerifyTarget::Sqlite => vec![ProjectionName::Sqlite],
        VerifyTarget::Timescale => vec![ProjectionName::Timescale],
        VerifyTarget::Redis => vec![ProjectionName::Redis],
        VerifyTarget::All => stores::configured(config),
    };
    // One that cannot be checked does not keep the others from it; a difference found weighs more.
    let mut failed = None;
    for name in named {
        match check(config, name, repair).await {
            Ok(report) => clean &= show(&report, args.json)?,
            Err(error) if failed.is_none() => failed = Some(error),
            Err(error) => output::report(&error),
        }
    }
    match failed {
        Some(error) if clean => Err(error),
        Some(error) => {
            output::report(&error);
            Ok(false)
        }
        None => Ok(clean),
    }
}

async fn check(
    config: &Config,
    name: ProjectionName,
    repair: bool,
) -> Result<Report, CommandError> {
    let journal = JournalReader::of(config)?;
    let terminal = std::io::stderr().is_terminal();
    let mut said = std::time::Instant::now();
    let mut progress = move |at: u64, of: u64| {
        if terminal && said.elapsed().as_secs() >= 2 {
            said = std::time::Instant::now();
            output::say(&format!(
                "{name}: folding the log, {} %",
                at * 100 / of.max(1)
            ));
        }
    };
    Ok(match name {
        ProjectionName::Sqlite => {
            check_store(&journal, stores::sqlite(config)?, repair, &mut progress).await?
        }
        ProjectionName::Timescale => {
            check_store(&journal, stores::timescale(config)?, repair, &mut progress).await?
        }
        ProjectionName::Redis => {
            let mut redis = stores::redis(config)?;
            let mut report = verify::cache(&journal, &mut redis, &mut progress).await?;
            if repair {
                let done = verify::repair_cache(&journal, &mut redis, &report).await?;
                report = verify::cache(&journal, &mut redis, &mut progress).await?;
                report.repair = Some(done);
            }
            report
        }
    })
}

async fn check_store<P: Mend>(
    journal: &JournalReader,
    mut store: P,
    repair: bool,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Report, VerifyError> {
    let mut report = verify::store(journal, &mut store, progress).await?;
    if repair {
        let done = verify::repair(journal, &mut store, &report).await?;
        report = verify::store(journal, &mut store, progress).await?;
        report.repair = Some(done);
    }
    Ok(report)
}

/// `--repair` was asked for the log.
#[derive(Debug, thiserror::Error)]
#[error("the log is what stores are repaired from, and cannot be repaired from them")]
struct LogIsNoStore;

impl Classify for LogIsNoStore {
    fn class(&self) -> Class {
        Class::Operator
    }

    fn hint(&self) -> Option<String> {
        Some("telegram-gateway wal salvage recovers what a damaged segment still has".to_owned())
    }
}

fn show(report: &Report, json: bool) -> Result<bool, CommandError> {
    output::result(report, json, text)?;
    Ok(report.clean)
}

fn text(report: &Report) -> String {
    let mut text = told(report);
    for hole in &report.holes {
        text.push_str(&format!(
            "\n  hole {}..={} ({}), noted {}",
            hole.first, hole.last, hole.cause, hole.noted_at
        ));
    }
    text
}

fn told(report: &Report) -> String {
    let mut text = match report.target {
        "log" => format!(
            "log: {} records in {} segments",
            report.records, report.buckets
        ),
        "redis" => format!(
            "redis: {} keys of {} channels against {} records, up to {}",
            report.rows, report.buckets, report.records, report.checkpoint
        ),
        name => format!(
            "{name}: {} rows in {} channel-days against {} records, up to {}",
            report.rows, report.buckets, report.records, report.checkpoint
        ),
    };
    if report.containers > 0 {
        text.push_str(&format!(
            ", {} in {} containers of the archive",
            report.archived, report.containers
        ));
    }
    if report.kept > 0 {
        text.push_str(&format!(
            ", {} rows kept that the log cannot tell of any more",
            report.kept
        ));
    }
    if report.behind > 0 {
        text.push_str(&format!(", {} behind the log", report.behind));
    }
    match report.clean {
        true => text.push_str(": clean"),
        false => text.push_str(&format!(": {} differences", report.differences)),
    }
    differences(&mut text, &report.shown);
    if let Some(repair) = &report.repair {
        repaired(&mut text, repair);
    }
    text
}

fn repaired(text: &mut String, repair: &Repair) {
    let done = &repair.mended;
    text.push_str(&format!(
        "\nrepaired before: {} differences, {} things made anew from {} events, {} left",
        repair.differences, done.things, done.events, done.left
    ));
    if done.left > 0 {
        text.push_str(" since the log no longer has all of them");
    }
    if repair.index {
        text.push_str("; the full-text index was made anew");
    }
    differences(text, &repair.shown);
}

fn differences(text: &mut String, list: &[Difference]) {
    for difference in list {
        text.push_str("\n  ");
        text.push_str(&line(difference));
        for (column, log, store) in &difference.columns {
            let line = format!("    {column}: log {log}, store {store}");
            text.push('\n');
            text.push_str(&output::escape(&line));
        }
    }
}

/// A difference in one line.
pub(super) fn line(difference: &Difference) -> String {
    output::escape(&difference.line()).into_owned()
}
