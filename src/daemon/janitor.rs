//! Retention: at the start, after each seal and once an hour, what the configured policy gives up is removed.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Desk;
use crate::failure::chain;
use crate::journal::JournalError;
use crate::journal::retention::Plan;

/// How often the segments are counted; a seal is noticed this late.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Age makes segments due without any seal.
const RUN_EVERY: Duration = Duration::from_secs(3600);
/// How often it is tried again while somebody still needs what is due, or after a failure.
const RETRY_EVERY: Duration = Duration::from_secs(10);

/// What the last run left.
#[derive(Debug, Clone, Copy)]
struct Last {
    at: Instant,
    sealed: usize,
    /// Something is due and could not go.
    unfinished: bool,
}

/// Whether it is time for another run.
fn is_due(last: Option<Last>, now: Instant, sealed: usize) -> bool {
    let Some(last) = last else {
        return true;
    };
    let since = now.saturating_duration_since(last.at);
    let wait = if last.unfinished {
        RETRY_EVERY
    } else {
        RUN_EVERY
    };
    since >= wait || (sealed != last.sealed && since >= LOOK_EVERY)
}

/// Runs until stopped; ends at once when nothing is configured.
pub(super) async fn run(desk: Desk, stop: CancellationToken) {
    if !desk.has_policy() {
        return;
    }
    let mut last = None;
    loop {
        if let Ok(sealed) = desk.sealed().await
            && is_due(last, Instant::now(), sealed)
        {
            let ran = desk.retain().await;
            tell(&ran);
            last = Some(Last {
                at: Instant::now(),
                // As before the run: what it removed counts as a change and is looked at once more.
                sealed,
                unfinished: ran.map_or(true, |plan| !plan.held.is_empty()),
            });
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn tell(ran: &Result<Plan, JournalError>) {
    match ran {
        Ok(plan) => {
            for floor in &plan.ignored {
                tracing::debug!(
                    cursor = floor.name,
                    at = floor.seq,
                    "nothing that is configured moves this cursor; it keeps nothing"
                );
            }
            for floor in &plan.held_by {
                tracing::debug!(
                    needed_by = floor.name,
                    at = floor.seq,
                    "old segments are still needed"
                );
            }
        }
        Err(error) => tracing::warn!(error = chain(error), "old segments could not be removed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_at_the_start_after_a_seal_and_every_hour() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let last = |unfinished| {
            Some(Last {
                at: start,
                sealed: 3,
                unfinished,
            })
        };
        assert!(is_due(None, start, 0));
        assert!(!is_due(last(false), after(3599), 3));
        assert!(is_due(last(false), after(3600), 3));
        assert!(is_due(last(false), after(1), 4));
        assert!(!is_due(last(true), after(9), 3));
        assert!(is_due(last(true), after(10), 3));
    }
}
