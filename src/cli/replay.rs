//! `replay` and `rebuild`.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::args::{Globals, RebuildArgs, ReplayArgs};
use super::confirm::confirm;
use super::{CommandResult, output, stores};
use crate::config::Config;
use crate::failure::Exit;
use crate::journal::JournalReader;
use crate::replay::{self, Progress, ReplayError, Selection};
use crate::store::{Projection, ProjectionName};

/// A line of progress this often.
const LINE_EVERY: Duration = Duration::from_secs(2);

pub(super) async fn replay(globals: &Globals, args: &ReplayArgs) -> CommandResult {
    let config = globals.load()?.config;
    let name = ProjectionName::from(args.to);
    let selection = Selection {
        from: args.from,
        until: args.until,
        peers: args.peers.iter().copied().collect(),
        since: args.since,
        before: args.before,
    };
    stores::place(&config, name)?;
    let journal = JournalReader::of(&config)?;
    if args.plan {
        let plan = replay::plan(&journal, &selection).await?;
        output::result(&plan, args.json, |plan| told("would apply", plan))?;
        return Ok(Exit::Ok);
    }
    let job = Job::Replay(selection);
    let done = dispatch(&config, name, &journal, job, super::stop_on_signals()?).await?;
    output::result(&done, args.json, |done| told("applied", done))?;
    Ok(Exit::Ok)
}

pub(super) async fn rebuild(globals: &Globals, args: &RebuildArgs) -> CommandResult {
    let config = globals.load()?.config;
    let name = ProjectionName::from(args.name);
    if name == ProjectionName::Timescale {
        return super::generation::rebuild(&config, args).await;
    }
    let journal = JournalReader::of(&config)?;
    if name == ProjectionName::Redis {
        let (redis, stop) = (stores::redis(&config)?, super::stop_on_signals()?);
        let done = replay::rebuild_cache(&journal, &redis, &mut reporter(), &stop).await?;
        output::result(&done, args.json, |done| told("applied", done))?;
        return Ok(Exit::Ok);
    }
    if !args.yes {
        let place = stores::place(&config, name)?;
        let explained = format!(
            "This empties {name} at {place} and applies {} events of the log to it.\n\
             Readers see it incomplete until that is done.",
            journal.tail()
        );
        let short = format!("rebuild {name} empties it first");
        confirm(short, &explained, name.as_str())?;
    }
    let done = dispatch(
        &config,
        name,
        &journal,
        Job::Rebuild,
        super::stop_on_signals()?,
    )
    .await?;
    output::result(&done, args.json, |done| told("applied", done))?;
    Ok(Exit::Ok)
}

fn told(verb: &str, progress: &Progress) -> String {
    format!(
        "{verb} {} events ({} bytes) of {}..={}",
        progress.applied, progress.bytes, progress.from, progress.until
    )
}

enum Job {
    Replay(Selection),
    Rebuild,
}

async fn dispatch(
    config: &Config,
    name: ProjectionName,
    journal: &JournalReader,
    job: Job,
    stop: CancellationToken,
) -> Result<Progress, super::CommandError> {
    Ok(match name {
        ProjectionName::Sqlite => work(config, journal, stores::sqlite(config)?, job, stop).await?,
        ProjectionName::Timescale => {
            work(config, journal, stores::timescale(config)?, job, stop).await?
        }
        ProjectionName::Redis => work(config, journal, stores::redis(config)?, job, stop).await?,
    })
}

async fn work<P: Projection>(
    config: &Config,
    journal: &JournalReader,
    mut projection: P,
    job: Job,
    stop: CancellationToken,
) -> Result<Progress, ReplayError> {
    let mut report = reporter();
    match job {
        Job::Replay(selection) => {
            let dir = &config.data_dir;
            replay::replay(
                journal,
                &mut projection,
                &selection,
                dir,
                &mut report,
                &stop,
            )
            .await
        }
        Job::Rebuild => replay::rebuild(journal, &mut projection, &mut report, &stop).await,
    }
}

/// Says how far it is, with rate and time left.
pub(super) fn reporter() -> impl FnMut(&Progress) + Send {
    let started = Instant::now();
    let mut said = Instant::now();
    let mut from = None;
    move |progress| {
        let from = *from.get_or_insert(progress.at);
        if said.elapsed() < LINE_EVERY {
            return;
        }
        said = Instant::now();
        let rate = (progress.at - from) as f64 / started.elapsed().as_secs_f64();
        let left = (progress.until - progress.at) as f64 / rate.max(1.0);
        output::say(&format!(
            "at {} of {}: {rate:.0} events/s, {left:.0} s left",
            progress.at, progress.until
        ));
    }
}

impl From<super::args::Projection> for ProjectionName {
    fn from(name: super::args::Projection) -> ProjectionName {
        match name {
            super::args::Projection::Timescale => ProjectionName::Timescale,
            super::args::Projection::Redis => ProjectionName::Redis,
            super::args::Projection::Sqlite => ProjectionName::Sqlite,
        }
    }
}
