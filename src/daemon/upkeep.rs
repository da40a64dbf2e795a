//! What TimescaleDB needs now and then: a server's own background jobs cannot be relied on, and the Apache edition has
//! none, so the daemon makes the calls.

use tokio_util::sync::CancellationToken;

use crate::config;
use crate::failure::chain;
use crate::store::ProjectionError;
use crate::store::timescale::Generations;

/// Runs until stopped; ends at once when there is no TimescaleDB. Trouble waits for the next time: the projector, which
/// is always at it, tells of a server that is away.
pub(super) async fn run(timescale: Option<config::Timescale>, stop: CancellationToken) {
    let Some(timescale) = timescale else {
        return;
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(timescale.upkeep_interval) => {}
        }
        let done = tokio::select! {
            () = stop.cancelled() => return,
            done = look_after(&timescale) => done,
        };
        if let Err(error) = done {
            tracing::warn!(
                error = chain(&error),
                "TimescaleDB could not be looked after"
            );
        }
    }
}

/// Drops generations whose time is over, counts the hours that have changed, and drops or compresses what is old.
async fn look_after(timescale: &config::Timescale) -> Result<(), ProjectionError> {
    let mut generations = Generations::open(timescale).await?;
    for number in generations.sweep(timescale.keep_generation).await? {
        tracing::info!(generation = number, "a generation that was kept is dropped");
    }
    let hours = generations.recount_hours().await?;
    tracing::debug!(hours, "hours were counted again");
    if let Some(age) = timescale.keep_age {
        let dropped = generations.drop_older(age).await?;
        if let Some(before) = dropped.before {
            tracing::info!(%before, "old messages were dropped from TimescaleDB");
        }
        if let Some(consumer) = dropped.held_by {
            tracing::warn!(
                consumer,
                "old messages stay in TimescaleDB: a consumer has not seen them; one that is no more is deleted from \
                 telegram.consumers"
            );
        }
    }
    if timescale.columnstore {
        let chunks = generations
            .compress_older(timescale.columnstore_age)
            .await?;
        tracing::debug!(chunks, "old messages were compressed");
    }
    Ok(())
}
