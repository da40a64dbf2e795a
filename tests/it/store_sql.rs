//! The SQL projections: any order, any repetition and any split of a log give what its fold says (I6, I7), rows and
//! checkpoint belong together (I5), and one bad event stops nothing (I10).

mod aging;
mod generations;
mod sqlite;
mod statistics;
mod timescale;

use std::ops::ControlFlow;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use telegram_gateway::event::{Body, Origin, Timestamp};
use telegram_gateway::failure::{Class, Classify as _};
use telegram_gateway::store::contract::{self, Table, VERIFIED};
use telegram_gateway::store::public::{Fold, PublicRow};
use telegram_gateway::store::rows::Rows;
use telegram_gateway::store::samples;
use telegram_gateway::store::{
    Batch, Checkpoint, Entry, Filter, Inspect, OnRefusal, Poison, ProjectionError, Quarantine,
    Retried, Scope, Snapshot,
};
use wal::{Identity, LogId, Seq};

use crate::support::events::{deliveries, entries, event, log, message, peer};

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn checkpoint(epoch: u32, seq: u64) -> Checkpoint {
    Checkpoint {
        identity: Identity {
            log_id: LogId([7; 16]),
            epoch,
        },
        seq: Seq::new(seq).expect("not zero"),
        updated_at: Timestamp::from_seconds(1_900_000_000 + seq as i64),
    }
}

fn batch(entries: &[Entry], checkpoint: Option<Checkpoint>) -> Batch {
    Batch {
        after: 0,
        entries: entries.to_vec(),
        checkpoint,
        on_refusal: OnRefusal::Quarantine,
    }
}

fn posts(texts: &[&str]) -> Vec<Entry> {
    let post = |(id, text): (i64, &&str)| {
        let body = Body::Posted(Box::new(message(id, text)));
        event(peer(1), Origin::Live, body)
    };
    entries((1..).zip(texts).map(post).collect())
}

async fn rows<S: Snapshot>(snapshot: &mut S, table: &Table, filter: &Filter) -> Vec<PublicRow> {
    let mut rows = Vec::new();
    snapshot
        .scan(table, filter, &mut |row| {
            rows.push(row);
            ControlFlow::Continue(())
        })
        .await
        .expect("scan");
    let count = snapshot.count(table, filter).await.expect("count");
    assert_eq!(count, rows.len() as u64, "{}", table.name);
    rows
}

async fn everything<P: Inspect>(store: &mut P) -> Vec<(&'static str, Vec<PublicRow>)> {
    let mut snapshot = store.snapshot().await.expect("a snapshot");
    let mut all = Vec::new();
    for table in &VERIFIED {
        all.push((
            table.name,
            rows(&mut snapshot, table, &Filter::default()).await,
        ));
    }
    all
}

/// What a store without a history of counters has to show.
fn folded(entries: &[Entry]) -> Vec<(&'static str, Vec<PublicRow>)> {
    folded_by(entries, Scope::default())
}

fn folded_by(entries: &[Entry], scope: impl Into<Scope>) -> Vec<(&'static str, Vec<PublicRow>)> {
    let scope = scope.into();
    let mut fold = Fold::default();
    let mut rows = Rows::of(entries);
    rows.keep_since(scope.since);
    fold.merge(rows);
    fold.merge_samples(samples::of(entries, scope));
    VERIFIED
        .iter()
        .map(|table| (table.name, fold.rows(table).collect()))
        .collect()
}

/// Applies a log in the given deliveries, then what they left out, and compares every public row with the fold.
async fn check_deliveries<P: Inspect>(
    store: &mut P,
    log: &[Entry],
    deliveries: &[Vec<prop::sample::Index>],
) {
    store.clear().await.expect("clear");
    let sampling = store.snapshot().await.expect("a snapshot").sampling();
    let mut missing: Vec<bool> = vec![true; log.len()];
    let mut fold = Fold::default();
    for indexes in deliveries {
        let part: Vec<Entry> = indexes
            .iter()
            .map(|index| {
                let at = index.index(log.len());
                missing[at] = false;
                log[at].clone()
            })
            .collect();
        fold.merge(Rows::of(&part));
        fold.merge_samples(samples::of(&part, sampling));
        store.apply(&batch(&part, None)).await.expect("apply");
    }
    let left: Vec<Entry> = log
        .iter()
        .zip(&missing)
        .filter(|(_, missing)| **missing)
        .map(|(entry, _)| entry.clone())
        .collect();
    fold.merge(Rows::of(&left));
    fold.merge_samples(samples::of(&left, sampling));
    let end = checkpoint(1, log.len() as u64);
    store.apply(&batch(&left, Some(end))).await.expect("apply");
    let expected = folded_by(log, sampling);
    let pieces: Vec<_> = VERIFIED
        .iter()
        .map(|table| (table.name, fold.rows(table).collect::<Vec<_>>()))
        .collect();
    assert_eq!(pieces, expected, "the fold itself depends on the order");
    assert_eq!(everything(store).await, expected);
    assert_eq!(store.checkpoint().await.expect("checkpoint"), Some(end));
}

fn any_order<P: Inspect>(store: P, cases: u32) {
    let store = std::cell::RefCell::new(store);
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
        .run(&(log(), deliveries()), |(log, deliveries)| {
            let checked = std::panic::AssertUnwindSafe(|| {
                let mut store = store.borrow_mut();
                runtime.block_on(check_deliveries(&mut *store, &log, &deliveries));
            });
            std::panic::catch_unwind(checked)
                .map_err(|_| TestCaseError::fail("rows differ, see above"))
        })
        .expect("any order gives the same rows");
}

/// What the contract says of checkpoints, clearing and snapshots, on any store.
async fn check_contract<P: Inspect>(mut store: P) {
    let log = posts(&["one", "two", "three"]);
    assert_eq!(store.checkpoint().await.expect("empty"), None);
    let apply =
        async |store: &mut P, entries: &[Entry], end| store.apply(&batch(entries, end)).await;
    apply(&mut store, &log[..2], Some(checkpoint(2, 2)))
        .await
        .expect("two");

    // A snapshot stays what it was while more is applied.
    let mut snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.checkpoint(), Some(checkpoint(2, 2)));
    apply(&mut store, &log[2..], Some(checkpoint(2, 3)))
        .await
        .expect("three");
    let before = rows(&mut snapshot, &contract::MESSAGES, &Filter::default()).await;
    assert_eq!(before.len(), 2);
    drop(snapshot);

    // Backwards and sideways: rows merge, the checkpoint stays.
    for end in [None, Some(checkpoint(2, 1)), Some(checkpoint(2, 3))] {
        apply(&mut store, &log[..1], end).await.expect("a repeat");
        assert_eq!(
            store.checkpoint().await.expect("kept"),
            Some(checkpoint(2, 3))
        );
    }
    // A hole before the batch: the store was put back to an older state, say.
    let mut ahead = batch(
        &posts(&["one", "two", "three", "four", "five"]),
        Some(checkpoint(2, 5)),
    );
    ahead.after = 4;
    let error = store.apply(&ahead).await.expect_err("refused");
    assert!(
        matches!(
            error,
            ProjectionError::CheckpointMoved {
                found: 3,
                after: 4,
                ..
            }
        ),
        "{error}"
    );

    // Another log, or an epoch that is over: nothing of the batch counts.
    let mut other = checkpoint(2, 9);
    other.identity.log_id = LogId([8; 16]);
    let late = posts(&["one", "two", "three", "four"]);
    for end in [other, checkpoint(1, 9)] {
        let error = apply(&mut store, &late, Some(end))
            .await
            .expect_err("refused");
        assert!(matches!(error, ProjectionError::OtherLog { .. }), "{error}");
        assert_eq!(error.class(), Class::Operator);
    }
    assert_eq!(everything(&mut store).await, folded(&log));
    apply(&mut store, &[], Some(checkpoint(3, 4)))
        .await
        .expect("a new epoch");
    assert_eq!(
        store.checkpoint().await.expect("moved"),
        Some(checkpoint(3, 4))
    );
    check_filters_and_clear(&mut store).await;
}

/// Filters on a store that has the first three messages of one peer; then it is emptied.
async fn check_filters_and_clear<P: Inspect>(store: &mut P) {
    let mut snapshot = store.snapshot().await.expect("a snapshot");
    let first_two = Filter {
        peer_id: Some(peer(1).marked()),
        posted: Some((message(1, "").posted_at, message(3, "").posted_at)),
        ..Filter::default()
    };
    assert_eq!(
        rows(&mut snapshot, &contract::MESSAGES, &first_two)
            .await
            .len(),
        2
    );
    let nobody = Filter {
        peer_id: Some(5),
        posted: None,
        ..Filter::default()
    };
    for table in &VERIFIED {
        assert_eq!(rows(&mut snapshot, table, &nobody).await.len(), 0);
    }
    drop(snapshot);

    store.clear().await.expect("clear");
    assert_eq!(store.checkpoint().await.expect("empty"), None);
    assert_eq!(everything(store).await, folded(&[]));
}

/// A replay beside the daemon: two writers, the same events in opposite order, and nothing is lost between them.
async fn check_two_writers<P: Inspect>(mut one: P, mut two: P) {
    let log = mixed_log();
    one.checkpoint().await.expect("made");
    let forward = async {
        for part in log.chunks(9) {
            one.apply(&batch(part, None)).await.expect("forward");
        }
    };
    let backward = async {
        for part in log.chunks(7).rev() {
            two.apply(&batch(part, None)).await.expect("backward");
        }
    };
    tokio::join!(forward, backward);
    assert_eq!(everything(&mut one).await, folded(&log));
}

/// Two events that the store refuses among many that it takes: those two are quarantined, the rest is there, and a
/// record that could not even be decoded lies beside them.
async fn check_poison<P: Inspect + Quarantine>(store: &mut P) -> Vec<Entry> {
    let mut texts = vec!["good"; 40];
    (texts[7], texts[31]) = ("poison", "poison");
    let mut log = posts(&texts);
    log.push(Entry::Poison(Poison {
        seq: Seq::new(41).expect("not zero"),
        kind: 99,
        received_at: Timestamp::from_seconds(1),
        reason: "record 41 cannot be read \0".to_owned(),
        raw: vec![1, 0, 255],
    }));
    for _ in 0..2 {
        let end = Some(checkpoint(1, 41));
        store
            .apply(&batch(&log, end))
            .await
            .expect("the rest is applied");
    }
    assert_eq!(
        store.checkpoint().await.expect("moved"),
        Some(checkpoint(1, 41))
    );
    let good: Vec<Entry> = log
        .iter()
        .enumerate()
        .filter(|(at, _)| ![7, 31].contains(at))
        .map(|(_, entry)| entry.clone())
        .collect();
    assert_eq!(everything(store).await, folded(&good));
    // A rebuild leaves nothing out.
    let end = Some(checkpoint(1, 42));
    let refused = store.apply(&batch(&log, end).or_stop()).await;
    assert!(
        matches!(&refused, Err(ProjectionError::Refused { seq, .. }) if seq.get() == 8),
        "{refused:?}"
    );
    assert_eq!(refused.map_err(|error| error.class()), Err(Class::Corrupt));
    assert_eq!(
        store.checkpoint().await.expect("as it was"),
        Some(checkpoint(1, 41))
    );
    log
}

/// Looks at what [`check_poison`] left, and tries it again before and after `mend` has the store take it.
async fn check_retries<P: Inspect + Quarantine>(
    store: &mut P,
    log: &[Entry],
    mend: impl Future<Output = ()>,
) {
    let seq = |seq| Seq::new(seq).expect("not zero");
    let event = |number: usize| match &log[number - 1] {
        Entry::Event(envelope) => envelope.clone(),
        Entry::Poison(_) => panic!("not this one"),
    };
    assert_eq!(store.quarantine_size().await.expect("a size"), 3);
    let list = store.quarantined(0, 9).await.expect("a list");
    let seqs: Vec<u64> = list.iter().map(|it| it.seq.get()).collect();
    assert_eq!(seqs, [8, 32, 41]);
    assert_eq!(store.quarantined(8, 1).await.expect("a page"), list[1..2]);
    let copy = wal::Record::decode(list[0].raw.clone()).expect("the whole record");
    let copy = telegram_gateway::event::Envelope::from_record(&copy).expect("an event");
    assert_eq!(copy, event(8));

    let again = store.retry(&event(8)).await.expect("an answer");
    assert!(matches!(again, Retried::Refused(_)), "{again:?}");
    assert_eq!(store.quarantine_size().await.expect("a size"), 3);
    mend.await;
    for number in [8, 32, 32] {
        let again = store.retry(&event(number)).await.expect("an answer");
        assert_eq!(again, Retried::Applied, "{number}");
    }
    assert_eq!(everything(store).await, folded(log));
    for is_in in [true, false] {
        assert_eq!(store.forget(seq(41)).await.expect("an answer"), is_in);
    }
    assert_eq!(store.quarantine_size().await.expect("a size"), 0);
    assert_eq!(
        store.checkpoint().await.expect("as it was"),
        Some(checkpoint(1, 41)),
        "a retry moves no checkpoint"
    );
}

/// A log with every kind of event in it, the same each time.
fn mixed_log() -> Vec<Entry> {
    use proptest::strategy::ValueTree as _;
    let mut runner = TestRunner::deterministic();
    let mut events = Vec::new();
    for _ in 0..8 {
        for entry in log().new_tree(&mut runner).expect("a log").current() {
            if let Entry::Event(envelope) = entry {
                events.push(envelope.event);
            }
        }
    }
    entries(events)
}

/// The history of counters begins where it is switched on, is the same whatever is applied again, and goes with the
/// switch. `store` opens the same store with an interval of so many seconds.
async fn check_counter_history<P: Inspect>(store: impl Fn(Option<u64>) -> P) {
    let counted = |views| {
        let body = Body::Counters {
            message_id: 1,
            views: Some(views),
            forwards: None,
            reactions: None,
        };
        event(peer(1), Origin::Live, body)
    };
    let log = entries((1..=20).map(counted).collect());
    let shown = async |store: &mut P| {
        let mut snapshot = store.snapshot().await.expect("a snapshot");
        let sampling = snapshot.sampling();
        let table = &contract::COUNTER_SAMPLES;
        (
            sampling,
            rows(&mut snapshot, table, &Filter::default()).await,
        )
    };
    let expected = |sampling| {
        let mut fold = Fold::default();
        fold.merge_samples(samples::of(&log, sampling));
        let rows: Vec<PublicRow> = fold.rows(&contract::COUNTER_SAMPLES).collect();
        rows
    };
    let mut off = store(None);
    let half = batch(&log[..10], Some(checkpoint(1, 10)));
    off.apply(&half).await.expect("applied");
    assert_eq!(shown(&mut off).await, (None, Vec::new()));
    drop(off);

    let mut on = store(Some(4));
    on.checkpoint().await.expect("opened");
    on.apply(&batch(&log, Some(checkpoint(1, 20))))
        .await
        .expect("applied");
    let (sampling, rows) = shown(&mut on).await;
    assert_eq!(
        sampling.map(|it| it.after),
        Some(10),
        "from its checkpoint on"
    );
    assert_eq!(rows, expected(sampling));
    assert!((2..=4).contains(&rows.len()), "{rows:?}");
    on.apply(&batch(&log, None)).await.expect("a replay");
    assert_eq!(shown(&mut on).await, (sampling, rows));
    on.clear().await.expect("emptied");
    on.apply(&batch(&log, Some(checkpoint(1, 20))))
        .await
        .expect("rebuilt");
    let (sampling, rows) = shown(&mut on).await;
    assert_eq!(sampling.map(|it| it.after), Some(0), "of the whole log");
    assert_eq!(rows, expected(sampling));
    assert!((5..=6).contains(&rows.len()), "{rows:?}");
    drop(on);

    let mut longer = store(Some(3600));
    longer.checkpoint().await.expect("opened");
    let (sampling, rows) = shown(&mut longer).await;
    assert_eq!(sampling.map(|it| it.after), Some(20), "begins anew");
    assert!(rows.is_empty());
    drop(longer);
    let mut off = store(None);
    off.checkpoint().await.expect("opened");
    assert_eq!(shown(&mut off).await, (None, Vec::new()));
}
