//! Showing a generation: in one short transaction, once it has come as far as the one that readers see.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::cli::{CommandError, output};
use crate::journal::JournalReader;
use crate::replay::{self, ReplayError};
use crate::store::Projection;
use crate::store::timescale::{Generations, Switched};

/// First and longest wait for a reader that holds a view.
const WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What to show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    /// The number of the generation.
    pub(super) number: i32,
    /// The one that is shown has not our events, so the two need not agree.
    pub(super) incomparable: bool,
}

/// Shows the generation that `store` feeds. What the daemon wrote to the other one until the last moment is applied to
/// it while the daemon waits; a reader in the way is waited for, and in between everything goes on as before.
pub(super) async fn show<P: Projection>(
    generations: &mut Generations,
    journal: &JournalReader,
    store: &mut P,
    goal: Goal,
    stop: &CancellationToken,
) -> Result<(), CommandError> {
    let mut backoff = Backoff::new(WAITS.0, WAITS.1);
    loop {
        replay::catch_up(journal, store, None, &mut |_| {}, stop).await?;
        let switch = generations.begin_switch().await?;
        if let Some(before) = switch.before()
            && !goal.incomparable
        {
            let until = Some(before.seq.get());
            replay::catch_up(journal, store, until, &mut |_| {}, stop).await?;
        }
        match switch.finish(goal.number, goal.incomparable).await? {
            Switched::Done => return Ok(()),
            Switched::ReaderInTheWay => {
                output::say("a reader holds the views; the switch waits for it");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Err(ReplayError::Stopped { at: 0 }.into()),
            () = tokio::time::sleep(backoff.wait(fastrand::f64())) => {}
        }
    }
}
