//! The SQL projections beyond what every projection must do (`contract`): snapshots, the history of counters, and that
//! one bad event stops nothing (I10).

mod aging;
mod generations;
mod sqlite;
mod statistics;
mod timescale;

use telegram_gateway::event::{Body, Origin, Timestamp};
use telegram_gateway::failure::{Class, Classify as _};
use telegram_gateway::store::contract::{self, VERIFIED};
use telegram_gateway::store::public::{Fold, PublicRow};
use telegram_gateway::store::samples;
use telegram_gateway::store::{
    Batch, Checkpoint, Entry, Filter, Inspect, OnRefusal, Poison, ProjectionError, Quarantine,
    Retried, Snapshot as _,
};
use wal::Seq;

use crate::support::events::{entries, event, message, mixed_log, peer, posts};
use crate::support::stores::{checkpoint, everything, folded, folded_by, rows, timescale_config};

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn batch(entries: &[Entry], checkpoint: Option<Checkpoint>) -> Batch {
    Batch {
        after: 0,
        entries: entries.to_vec(),
        checkpoint,
        on_refusal: OnRefusal::Quarantine,
    }
}

/// A snapshot stays what it was while more is applied; filters choose among its rows.
async fn check_snapshots<P: Inspect>(mut store: P) {
    let log = posts(&["one", "two", "three"]);
    let two = batch(&log[..2], Some(checkpoint(2, 2)));
    store.apply(&two).await.expect("two");
    let mut snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.checkpoint(), Some(checkpoint(2, 2)));
    let three = batch(&log[2..], Some(checkpoint(2, 3)));
    store.apply(&three).await.expect("three");
    let before = rows(&mut snapshot, &contract::MESSAGES, &Filter::default()).await;
    assert_eq!(before.len(), 2);
    drop(snapshot);
    check_filters(&mut store).await;
}

/// Filters on a store that has the first three messages of one peer.
async fn check_filters<P: Inspect>(store: &mut P) {
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
