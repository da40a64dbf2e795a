//! The rebuild of Redis against what the server can do at most.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::rebuild::{filled, made, rebuilt};
use crate::cli::{CommandError, stores};
use crate::config::Config;
use crate::event::Timestamp;
use crate::projector::{Refused, warm};
use crate::replay::ReplayError;
use crate::store::{Batch, Checkpoint, Filling, Projection, ProjectionError, ProjectionName};

/// The figures.
#[derive(Debug, Serialize)]
pub(super) struct Beside {
    pub(super) rebuild_seconds: f64,
    /// Messages of the windows.
    messages: usize,
    /// The runs of the script that a rebuild makes, one close behind the other and with nothing around them.
    script_seconds: f64,
    rebuild_to_script: f64,
}

impl Beside {
    pub(super) fn text(&self) -> String {
        format!(
            "\n  the same {} messages by the script alone: {:.2} s, so the rebuild reaches {:.2} of it",
            self.messages, self.script_seconds, self.rebuild_to_script
        )
    }
}

/// Measures both, one after the other.
pub(super) async fn measure(
    config: &Config,
    events: u64,
    stop: &CancellationToken,
) -> Result<Beside, CommandError> {
    let journal = filled(config, made(events, Timestamp::now()), stop).await?;
    let rebuild_seconds = rebuilt(config, ProjectionName::Redis, &journal, stop).await?;

    let redis = stores::redis(config)?;
    let (mut kept, tail) = (Kept::default(), journal.refresh().await?);
    let filled = warm::fill(&mut kept, &journal, redis.window(), tail, &mut |_| {}, stop).await;
    let filled = filled.map_err(|refused| match refused {
        Refused::Projection(error) => ReplayError::from(error),
        Refused::Journal(error) => error.into(),
    })?;
    let mut beside = redis.beside();
    let script_seconds = beside.script_alone(&kept.fillings).await?.as_secs_f64();
    beside.clear().await?;
    Ok(Beside {
        rebuild_seconds,
        messages: filled.map_or(0, |filled| filled.messages),
        script_seconds,
        rebuild_to_script: script_seconds / rebuild_seconds,
    })
}

/// Keeps what a cache would be filled with.
#[derive(Default)]
struct Kept {
    fillings: Vec<Filling>,
}

impl Projection for Kept {
    fn name(&self) -> ProjectionName {
        ProjectionName::Redis
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, ProjectionError> {
        Ok(None)
    }

    async fn apply(&mut self, _batch: &Batch) -> Result<(), ProjectionError> {
        Ok(())
    }

    async fn fill(&mut self, filling: &Filling) -> Result<(), ProjectionError> {
        self.fillings.push(filling.clone());
        Ok(())
    }

    async fn clear(&mut self) -> Result<(), ProjectionError> {
        self.fillings.clear();
        Ok(())
    }
}
