//! What SQL stores show, and what the fold of a log says they must.

use std::ops::ControlFlow;
use std::time::Duration;

use telegram_gateway::config::{self, BackendUrl};
use telegram_gateway::event::Timestamp;
use telegram_gateway::store::contract::{Table, VERIFIED};
use telegram_gateway::store::public::{Fold, PublicRow};
use telegram_gateway::store::rows::Rows;
use telegram_gateway::store::{Checkpoint, Entry, Filter, Inspect, Scope, Snapshot, samples};
use wal::{Identity, LogId, Seq};

/// All public rows, by table.
pub(crate) type PublicRows = Vec<(&'static str, Vec<PublicRow>)>;

pub(crate) fn checkpoint(epoch: u32, seq: u64) -> Checkpoint {
    Checkpoint {
        identity: Identity {
            log_id: LogId([7; 16]),
            epoch,
        },
        seq: Seq::new(seq).expect("not zero"),
        updated_at: Timestamp::from_seconds(1_900_000_000 + seq as i64),
    }
}

pub(crate) async fn rows<S: Snapshot>(
    snapshot: &mut S,
    table: &Table,
    filter: &Filter,
) -> Vec<PublicRow> {
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

pub(crate) async fn all_rows<S: Snapshot>(snapshot: &mut S) -> PublicRows {
    let mut all = Vec::new();
    for table in &VERIFIED {
        all.push((table.name, rows(snapshot, table, &Filter::default()).await));
    }
    all
}

pub(crate) async fn everything<P: Inspect>(store: &mut P) -> PublicRows {
    let mut snapshot = store.snapshot().await.expect("a snapshot");
    all_rows(&mut snapshot).await
}

pub(crate) fn shown(fold: &Fold) -> PublicRows {
    VERIFIED
        .iter()
        .map(|table| (table.name, fold.rows(table).collect()))
        .collect()
}

/// What a store without a history of counters has to show.
pub(crate) fn folded(entries: &[Entry]) -> PublicRows {
    folded_by(entries, Scope::default())
}

pub(crate) fn folded_by(entries: &[Entry], scope: impl Into<Scope>) -> PublicRows {
    let scope = scope.into();
    let mut fold = Fold::default();
    let mut rows = Rows::of(entries);
    rows.keep_since(scope.since);
    fold.merge(rows);
    fold.merge_samples(samples::of(entries, scope));
    shown(&fold)
}

pub(crate) fn timescale_config(url: &str) -> config::Timescale {
    config::Timescale {
        url: BackendUrl::parse(url).expect("an address"),
        feed: config::Feed::Here,
        direct_url: None,
        chunk_interval: None,
        keep_generation: Duration::from_secs(86_400),
        keep_age: None,
        columnstore: true,
        columnstore_age: Duration::from_secs(14 * 86_400),
        upkeep_interval: Duration::from_secs(600),
        synchronous_commit: false,
        counter_history: None,
    }
}
