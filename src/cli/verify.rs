//! `verify`.

use std::io::IsTerminal as _;

use super::args::{Globals, VerifyArgs, VerifyTarget};
use super::{CommandError, CommandResult, output, stores};
use crate::config::Config;
use crate::failure::Exit;
use crate::journal::JournalReader;
use crate::store::ProjectionName;
use crate::verify::{self, Difference, Report};

pub(super) async fn run(globals: &Globals, args: &VerifyArgs) -> CommandResult {
    let config = globals.load()?.config;
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
        match check(config, name).await {
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

async fn check(config: &Config, name: ProjectionName) -> Result<Report, CommandError> {
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
            verify::store(&journal, &mut stores::sqlite(config)?, &mut progress).await?
        }
        ProjectionName::Timescale => {
            verify::store(&journal, &mut stores::timescale(config)?, &mut progress).await?
        }
        ProjectionName::Redis => {
            verify::cache(&journal, &mut stores::redis(config)?, &mut progress).await?
        }
    })
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
        text.push_str(&format!(", {} rows kept from before a fence", report.kept));
    }
    if report.behind > 0 {
        text.push_str(&format!(", {} behind the log", report.behind));
    }
    if report.clean {
        text.push_str(": clean");
        return text;
    }
    text.push_str(&format!(": {} differences", report.differences));
    for difference in &report.shown {
        text.push_str("\n  ");
        text.push_str(&line(difference));
        for (column, log, store) in &difference.columns {
            let line = format!("    {column}: log {log}, store {store}");
            text.push('\n');
            text.push_str(&output::escape(&line));
        }
    }
    text
}

/// A difference in one line.
pub(super) fn line(difference: &Difference) -> String {
    let key: Vec<String> = difference.key.iter().map(ToString::to_string).collect();
    let line = format!(
        "{} {}: {}",
        difference.place,
        key.join(" "),
        difference.what
    );
    output::escape(&line).into_owned()
}
