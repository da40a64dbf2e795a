//! What every projection must do, whatever it is made of: one suite for the models in memory, SQLite, TimescaleDB direct
//! and through PgBouncer, a generation that is loaded, and Redis.
//!
//! A history is a log and what happens on its way into a store: batches cut anywhere, repeats, any order, restarts, a
//! process that is gone in the middle of a batch, replays of a part, rebuilds. At any moment the store shows what the
//! model says of the events that it was given (I6, I7), and its checkpoint fits its rows (I5).

mod history;
mod memory;
mod places;

use std::fmt::Debug;

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use telegram_gateway::failure::{Class, Classify as _};
use telegram_gateway::store::{
    Batch, Checkpoint, Entry, OnRefusal, Projection, ProjectionError, Scope,
};
use wal::LogId;

use self::history::{history, live_through};
use self::memory::Memory;
use self::places::{Cache, File, Load, Server};
use crate::support::events::{log, mixed_log, posts};
use crate::support::stores::checkpoint;

/// Where a projection keeps what it was given. It outlives every opening, as a server does a process.
pub(crate) trait Place {
    type Store: Projection;
    /// All that readers see.
    type View: PartialEq + Debug;
    /// Opens the store, as a process does that has just begun.
    fn open(&self) -> Self::Store;
    /// What is there at one moment.
    fn seen(&self, store: &mut Self::Store) -> impl Future<Output = Seen<Self::View>>;
    /// What must be there after these events, which are in rising order.
    fn expected(&self, entries: &[Entry], scope: Scope) -> Self::View;
}

/// A store at one moment.
pub(crate) struct Seen<V> {
    checkpoint: Option<Checkpoint>,
    view: V,
    /// What the rows are a function of, beside the log.
    scope: Scope,
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn batch(after: u64, entries: &[Entry], checkpoint: Option<Checkpoint>) -> Batch {
    Batch {
        after,
        entries: entries.to_vec(),
        checkpoint,
        on_refusal: OnRefusal::Quarantine,
    }
}

/// The entries behind `after`, up to the number `upto`, with their checkpoint.
fn part(log: &[Entry], after: usize, upto: usize) -> Batch {
    let end = (upto > 0).then(|| checkpoint(1, upto as u64));
    batch(after as u64, &log[after..upto], end)
}

fn any_history(place: &impl Place, cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&(log(), history()), |(log, history)| {
            let checked = std::panic::AssertUnwindSafe(|| {
                runtime.block_on(live_through(place, &log, &history));
            });
            std::panic::catch_unwind(checked)
                .map_err(|_| TestCaseError::fail("the store differs, see above"))
        })
        .expect("any history gives the fold of the log");
}

/// The checkpoint goes forward only, belongs to one log, and a batch that does not fit it changes nothing.
async fn keeps_its_checkpoint(place: &impl Place) {
    let log = posts(&["one", "two", "three", "four", "five"]);
    let mut store = place.open();
    store.clear().await.expect("clear");
    assert_eq!(store.checkpoint().await.expect("empty"), None);
    for (after, upto) in [(0, 2), (2, 3)] {
        let end = Some(checkpoint(2, upto as u64));
        let next = batch(after as u64, &log[after..upto], end);
        store.apply(&next).await.expect("applied");
    }
    // Backwards and sideways: rows merge, the checkpoint stays.
    for end in [None, Some(checkpoint(2, 1)), Some(checkpoint(2, 3))] {
        store
            .apply(&batch(0, &log[..1], end))
            .await
            .expect("a repeat");
        let kept = store.checkpoint().await.expect("kept");
        assert_eq!(kept, Some(checkpoint(2, 3)));
    }
    // A hole before the batch: the store was put back to an older state, say.
    let ahead = batch(4, &log[4..], Some(checkpoint(2, 5)));
    let error = store.apply(&ahead).await.expect_err("refused");
    let moved = |error: &ProjectionError, at| matches!(error, ProjectionError::CheckpointMoved { found, after: 4, .. } if *found == at);
    assert!(moved(&error, 3), "{error}");
    assert_eq!(error.class(), Class::Transient);
    // Another log, or an epoch that is over.
    let mut other = checkpoint(2, 4);
    other.identity.log_id = LogId([8; 16]);
    for end in [other, checkpoint(1, 4)] {
        let late = batch(3, &log[3..4], Some(end));
        let error = store.apply(&late).await.expect_err("refused");
        assert!(matches!(error, ProjectionError::OtherLog { .. }), "{error}");
        assert_eq!(error.class(), Class::Operator);
    }
    let seen = place.seen(&mut store).await;
    assert_eq!(seen.checkpoint, Some(checkpoint(2, 3)));
    assert_eq!(seen.view, place.expected(&log[..3], seen.scope));

    let anew = batch(3, &[], Some(checkpoint(3, 3)));
    store.apply(&anew).await.expect("a new epoch");
    drop(store);
    let mut store = place.open();
    let kept = store.checkpoint().await.expect("kept");
    assert_eq!(kept, Some(checkpoint(3, 3)));
    store.clear().await.expect("clear");
    assert_eq!(store.checkpoint().await.expect("empty"), None);
    let error = store.apply(&ahead).await.expect_err("refused");
    assert!(moved(&error, 0), "{error}");
    let seen = place.seen(&mut store).await;
    assert_eq!(seen.view, place.expected(&[], seen.scope));
}

/// A replay beside the daemon: two writers, the same events in opposite order, and nothing is lost between them.
async fn two_writers(place: &impl Place) {
    let log = mixed_log();
    let mut one = place.open();
    one.clear().await.expect("clear");
    let mut two = place.open();
    let forward = async {
        for from in (0..log.len()).step_by(9) {
            let next = part(&log, from, (from + 9).min(log.len()));
            one.apply(&next).await.expect("forward");
        }
    };
    let backward = async {
        for entries in log.chunks(7).rev() {
            let again = batch(0, entries, None);
            two.apply(&again).await.expect("backward");
        }
    };
    tokio::join!(forward, backward);
    let seen = place.seen(&mut one).await;
    assert_eq!(seen.checkpoint, Some(checkpoint(1, log.len() as u64)));
    assert_eq!(seen.view, place.expected(&log, seen.scope));
}

/// What was fed live, with repeats and out of order, is what two rebuilds give that are cut in other places.
async fn rebuilds_are_equal(place: &impl Place) {
    let log = mixed_log();
    let mut store = place.open();
    store.clear().await.expect("clear");
    for entries in log.chunks(5).rev() {
        let live = batch(0, entries, None);
        store.apply(&live).await.expect("live");
        store.apply(&live).await.expect("twice");
    }
    let whole = part(&log, 0, log.len());
    store.apply(&whole).await.expect("whole");
    let live = place.seen(&mut store).await.view;
    for size in [7, log.len()] {
        store.clear().await.expect("clear");
        for from in (0..log.len()).step_by(size) {
            let next = part(&log, from, (from + size).min(log.len()));
            store.apply(&next.or_stop()).await.expect("rebuilt");
        }
        let rebuilt = place.seen(&mut store).await;
        assert_eq!(rebuilt.view, live, "cut into parts of {size}");
    }
}

/// The suite for a place, which is none where its server is not there.
macro_rules! suite {
    ($($name:ident: $cases:literal, $place:expr;)+) => {$(
        mod $name {
            use super::*;

            #[test]
            fn any_history_gives_the_fold_of_the_log() {
                let Some(place) = $place else { return };
                any_history(&place, $cases);
            }

            #[test]
            fn the_checkpoint_moves_forward_only_and_belongs_to_one_log() {
                let Some(place) = $place else { return };
                wait(keeps_its_checkpoint(&place));
            }

            #[test]
            fn two_writers_lose_nothing() {
                let Some(place) = $place else { return };
                wait(two_writers(&place));
            }

            #[test]
            fn live_is_equal_to_two_rebuilds() {
                let Some(place) = $place else { return };
                wait(rebuilds_are_equal(&place));
            }
        }
    )+};
}

suite! {
    in_memory: 256, Some(Memory::rows());
    in_memory_as_a_cache: 256, Some(Memory::windows(3));
    sqlite: 64, Some(File::new(None));
    sqlite_with_a_history_of_counters: 32, Some(File::new(Some(4)));
    timescale: 24, wait(Server::direct(None));
    timescale_with_a_history_of_counters: 16, wait(Server::direct(Some(4)));
    timescale_through_pgbouncer: 16, wait(Server::pooled());
    timescale_loaded: 16, wait(Load::beside());
    redis: 48, Cache::with_window(3);
    redis_that_keeps_all: 24, Cache::with_window(1_000);
}
