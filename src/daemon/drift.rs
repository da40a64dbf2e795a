//! A slice of each SQL store is compared with the log now and then, another one each time, so that drift is known before
//! a reader meets it. Nothing is mended here: there is no repair in silence.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::event::Timestamp;
use crate::failure::chain;
use crate::journal::JournalReader;
use crate::status::{DriftBoard, Status};
use crate::store::sqlite::Sqlite;
use crate::store::timescale::Timescale;
use crate::store::{Inspect, ProjectionName};
use crate::verify::{self, Difference, Slice, VerifyError};

/// The first look is this long after the start at the latest: a daemon that is started each morning has one too.
const FIRST_AFTER: Duration = Duration::from_secs(600);
/// Differences that the board shows.
const SHOWN_MAX: usize = 3;

/// Looks until stopped. Trouble waits for the next time: the projector tells of a store that is away.
pub(super) async fn run(
    config: Config,
    journal: JournalReader,
    status: Status,
    stop: CancellationToken,
) {
    let interval = config.relay.verify_interval;
    let (mut sqlite, mut timescale) = (None, None);
    let mut pause = interval.min(FIRST_AFTER);
    loop {
        let look = async {
            tokio::time::sleep(pause).await;
            // By the clock, so that a new start does not begin anew.
            let turn = turn(Timestamp::now(), interval);
            if let Some(section) = &config.sqlite {
                let mut store = Sqlite::new(section.clone());
                look(&journal, &mut store, &mut sqlite, turn, &status).await;
            }
            if let Some(section) = &config.timescale {
                let mut store = Timescale::new(section.clone());
                look(&journal, &mut store, &mut timescale, turn, &status).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = look => {}
        }
        pause = interval;
    }
}

fn turn(now: Timestamp, interval: Duration) -> u64 {
    let interval = interval.as_micros().max(1);
    let turns = u128::from(now.micros().unsigned_abs()) / interval;
    u64::try_from(turns).unwrap_or(u64::MAX)
}

/// One look at a store. The slice in which something `differed` comes first, until it is clean.
async fn look<P: Inspect>(
    journal: &JournalReader,
    store: &mut P,
    differed: &mut Option<u64>,
    turn: u64,
    status: &Status,
) {
    let name = store.name();
    let turns = differed.take().into_iter().chain([turn]);
    for turn in turns {
        match verify::slice(journal, store, turn).await {
            Ok(slice) => {
                tell(name, &slice);
                let is_clean = slice.report.clean;
                status.drift(name.as_str(), |board| note(board, slice, Timestamp::now()));
                if !is_clean {
                    *differed = Some(turn);
                    return;
                }
            }
            Err(error) => {
                trouble(name, &error, status);
                return;
            }
        }
    }
}

fn note(board: &mut DriftBoard, slice: Slice, now: Timestamp) {
    *board = DriftBoard {
        slices: board.slices + 1,
        checked_at: now.seconds(),
        slice: slice.number,
        of: slice.of,
        rows: slice.report.rows,
        differences: slice.report.differences,
        shown: slice
            .report
            .shown
            .iter()
            .take(SHOWN_MAX)
            .map(Difference::line)
            .collect(),
        fault: None,
    };
}

fn tell(store: ProjectionName, slice: &Slice) {
    let report = &slice.report;
    if report.clean {
        tracing::debug!(%store, slice = slice.number, of = slice.of, rows = report.rows, "a slice is as the log says");
        return;
    }
    tracing::error!(
        %store,
        slice = slice.number,
        of = slice.of,
        differences = report.differences,
        first = report.shown.first().map(Difference::line),
        "the store has drifted from the log: telegram-gateway verify {store} --repair"
    );
}

fn trouble(store: ProjectionName, error: &VerifyError, status: &Status) {
    let fault = chain(error);
    tracing::warn!(%store, error = fault, "a slice could not be compared with the log");
    status.drift(store.as_str(), |board| board.fault = Some(fault));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interval_has_its_turn() {
        let at = |seconds| {
            turn(
                Timestamp::from_seconds(seconds),
                Duration::from_secs(86_400),
            )
        };
        assert_eq!((at(86_399), at(86_400), at(2 * 86_400)), (0, 1, 2));
    }
}
