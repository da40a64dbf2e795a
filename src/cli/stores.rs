//! The configured stores, and the error for one that is not.

use std::time::Duration;

use super::CommandError;
use crate::config::{self, Config};
pub(super) use crate::daemon::configured;
use crate::failure::{Class, Classify, Exit};
use crate::store::redis::Redis;
use crate::store::sqlite::Sqlite;
use crate::store::timescale::Timescale;
use crate::store::{Checkpoint, Projection, ProjectionError, ProjectionName, Quarantine};

/// A store that a command names is not configured.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not configured")]
pub(super) struct NotConfigured(ProjectionName);

impl Classify for NotConfigured {
    fn class(&self) -> Class {
        Class::Operator
    }

    fn hint(&self) -> Option<String> {
        let key = match self.0 {
            ProjectionName::Sqlite => "path",
            ProjectionName::Timescale | ProjectionName::Redis => "url",
        };
        Some(format!(
            "set {key} in the section [{0}] of the file given with --config, or in the environment: TGW_{1}__{2}",
            self.0,
            self.0.as_str().to_uppercase(),
            key.to_uppercase()
        ))
    }

    fn exit(&self) -> Exit {
        Exit::Config
    }
}

/// The SQLite projection.
pub(super) fn sqlite(config: &Config) -> Result<Sqlite, NotConfigured> {
    let section = config
        .sqlite
        .clone()
        .ok_or(NotConfigured(ProjectionName::Sqlite))?;
    Ok(Sqlite::new(section))
}

/// The TimescaleDB projection.
pub(super) fn timescale(config: &Config) -> Result<Timescale, NotConfigured> {
    Ok(Timescale::new(timescale_section(config)?.clone()))
}

/// The configuration of TimescaleDB.
pub(super) fn timescale_section(config: &Config) -> Result<&config::Timescale, NotConfigured> {
    let section = config.timescale.as_ref();
    section.ok_or(NotConfigured(ProjectionName::Timescale))
}

/// The Redis projection.
pub(super) fn redis(config: &Config) -> Result<Redis, NotConfigured> {
    let section = config
        .redis
        .clone()
        .ok_or(NotConfigured(ProjectionName::Redis))?;
    Ok(Redis::new(section))
}

/// Where a store is, without its password.
pub(super) fn place(config: &Config, name: ProjectionName) -> Result<String, CommandError> {
    let place = match name {
        ProjectionName::Sqlite => config
            .sqlite
            .as_ref()
            .map(|it| it.path.display().to_string()),
        ProjectionName::Timescale => config.timescale.as_ref().map(|it| it.url.to_string()),
        ProjectionName::Redis => config.redis.as_ref().map(|it| it.url.to_string()),
    };
    Ok(place.ok_or(NotConfigured(name))?)
}

/// How long a store may take to say where it is.
const ASK_LIMIT: Duration = Duration::from_secs(15);

/// How far a store is.
pub(super) async fn checkpoint(
    config: &Config,
    name: ProjectionName,
) -> Result<Option<Checkpoint>, CommandError> {
    async fn ask<P: Projection>(mut projection: P) -> Result<Option<Checkpoint>, CommandError> {
        let name = projection.name();
        match tokio::time::timeout(ASK_LIMIT, projection.checkpoint()).await {
            Ok(said) => Ok(said?),
            Err(_) => Err(NoAnswer(name).into()),
        }
    }
    match name {
        ProjectionName::Sqlite => ask(sqlite(config)?).await,
        ProjectionName::Timescale => ask(timescale(config)?).await,
        ProjectionName::Redis => ask(redis(config)?).await,
    }
}

/// How many events are in the quarantine of a store that answers.
pub(super) async fn quarantined(
    config: &Config,
    name: ProjectionName,
) -> Result<u64, CommandError> {
    async fn ask<P: Quarantine>(mut projection: P) -> Result<u64, CommandError> {
        let name = projection.name();
        match tokio::time::timeout(ASK_LIMIT, projection.quarantine_size()).await {
            Ok(said) => Ok(said?),
            Err(_) => Err(NoAnswer(name).into()),
        }
    }
    match name {
        ProjectionName::Sqlite => ask(sqlite(config)?).await,
        ProjectionName::Timescale => ask(timescale(config)?).await,
        ProjectionName::Redis => ask(redis(config)?).await,
    }
}

/// The store let us wait.
#[derive(Debug, thiserror::Error)]
#[error("{0} gave no answer in {seconds} s", seconds = ASK_LIMIT.as_secs())]
struct NoAnswer(ProjectionName);

impl Classify for NoAnswer {
    fn class(&self) -> Class {
        Class::Transient
    }
}

/// The store already holds something.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not empty, and the bench would empty it")]
struct NotEmpty(ProjectionName);

impl Classify for NotEmpty {
    fn class(&self) -> Class {
        Class::Operator
    }

    fn hint(&self) -> Option<String> {
        Some("give the bench a database of its own".to_owned())
    }

    fn exit(&self) -> Exit {
        Exit::Failure
    }
}

/// Fails for a store that something was applied to.
pub(super) async fn refuse_unless_empty(
    config: &Config,
    name: ProjectionName,
) -> Result<(), CommandError> {
    match checkpoint(config, name).await? {
        None => Ok(()),
        Some(_) => Err(NotEmpty(name).into()),
    }
}

/// Empties a store.
pub(super) async fn clear(config: &Config, name: ProjectionName) -> Result<(), CommandError> {
    let cleared: Result<(), ProjectionError> = match name {
        ProjectionName::Sqlite => sqlite(config)?.clear().await,
        ProjectionName::Timescale => timescale(config)?.clear().await,
        ProjectionName::Redis => redis(config)?.clear().await,
    };
    Ok(cleared?)
}
