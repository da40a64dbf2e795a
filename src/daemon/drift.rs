//! A slice of each store is compared with the log now and then, another one each time, so that drift is known before
//! a reader meets it. Nothing is mended here: there is no repair in silence.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::event::Timestamp;
use crate::failure::chain;
use crate::journal::JournalReader;
use crate::status::{DriftBoard, Status};
use crate::store::ProjectionName;
use crate::store::redis::Redis;
use crate::store::sqlite::Sqlite;
use crate::store::timescale::Timescale;
use crate::verify::{self, Difference, Slice, VerifyError};

/// The first look is this long after the start at the latest: a daemon that is started each morning has one too.
const FIRST_AFTER: Duration = Duration::from_secs(600);
const STORES: [ProjectionName; 3] = [
    ProjectionName::Sqlite,
    ProjectionName::Timescale,
    ProjectionName::Redis,
];
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
    let mut differed = BTreeMap::new();
    let mut pause = interval.min(FIRST_AFTER);
    loop {
        let look = async {
            tokio::time::sleep(pause).await;
            // By the clock, so that a new start does not begin anew.
            let turn = turn(Timestamp::now(), interval);
            for name in STORES {
                look(&config, &journal, name, &mut differed, turn, &status).await;
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
async fn look(
    config: &Config,
    journal: &JournalReader,
    name: ProjectionName,
    differed: &mut BTreeMap<ProjectionName, u64>,
    turn: u64,
    status: &Status,
) {
    let turns = differed.remove(&name).into_iter().chain([turn]);
    for turn in turns {
        let Some(slice) = slice(config, journal, name, turn).await else {
            return;
        };
        match slice {
            Ok(slice) => {
                tell(name, &slice);
                let is_clean = slice.report.clean;
                status.drift(name.as_str(), |board| note(board, slice, Timestamp::now()));
                if !is_clean {
                    differed.insert(name, turn);
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

/// Compares a slice of a store, if it is configured.
async fn slice(
    config: &Config,
    journal: &JournalReader,
    name: ProjectionName,
    turn: u64,
) -> Option<Result<Slice, VerifyError>> {
    Some(match name {
        ProjectionName::Sqlite => {
            let mut store = Sqlite::new(config.sqlite.clone()?);
            verify::slice(journal, &mut store, turn).await
        }
        ProjectionName::Timescale => {
            let mut store = Timescale::new(config.timescale.clone()?);
            verify::slice(journal, &mut store, turn).await
        }
        ProjectionName::Redis => {
            let mut store = Redis::new(config.redis.clone()?);
            verify::cache_slice(journal, &mut store, turn).await
        }
    })
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
