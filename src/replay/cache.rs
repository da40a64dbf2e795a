//! The rebuild of a cache: built beside the one that readers see, from the newest events back, and shown in one step.

use tokio_util::sync::CancellationToken;

use super::{Progress, ReplayError, catch_up};
use crate::journal::JournalReader;
use crate::projector::Refused;
use crate::projector::warm::{self, Filled};
use crate::store::redis::{Redis, Switch};
use crate::store::{Projection as _, ProjectionError};

/// Builds a cache and shows it. Whatever stops it before, readers see what they saw.
pub async fn rebuild_cache(
    journal: &JournalReader,
    redis: &Redis,
    report: &mut (dyn FnMut(&Progress) + Send),
    stop: &CancellationToken,
) -> Result<Progress, ReplayError> {
    let mut new = redis.beside();
    new.clear().await?;
    let tail = journal.refresh().await?;
    let mut filling = |filled: &Filled| report(&progress(filled));
    let filled = warm::fill(&mut new, journal, redis.window(), tail, &mut filling, stop).await;
    let Some(filled) = filled.map_err(reason)? else {
        return Err(ReplayError::Stopped { at: 0 });
    };
    let mut total = progress(&filled);
    loop {
        let more = catch_up(journal, &mut new, None, &mut |_| {}, stop).await?;
        total.until = total.until.max(more.until);
        total.at = total.at.max(more.at);
        total.applied += more.applied;
        total.bytes += more.bytes;
        report(&total);
        match new.switch(false).await? {
            Switch::Done => return Ok(total),
            // The log will never come as far: it is another life of it that what readers see was fed by.
            Switch::Behind(at) if at > journal.refresh().await? => {
                new.switch(true).await?;
                return Ok(total);
            }
            Switch::Behind(_) => {}
        }
    }
}

/// The numbers that are there as if they had come from the first one on.
fn progress(filled: &Filled) -> Progress {
    Progress {
        from: filled.from,
        until: filled.until,
        at: (filled.from + filled.covered).saturating_sub(1),
        applied: filled.events,
        bytes: filled.bytes,
    }
}

/// A record that cannot be read would be left out.
fn reason(refused: Refused) -> ReplayError {
    match refused {
        Refused::Projection(ProjectionError::Refused { seq, reason, .. }) => {
            ReplayError::Poison { seq, reason }
        }
        Refused::Projection(error) => error.into(),
        Refused::Journal(error) => error.into(),
    }
}
