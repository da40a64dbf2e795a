//! The SQL projections: any order, any repetition and any split of a log give what its fold says (I6, I7), rows and
//! checkpoint belong together (I5), and one bad event stops nothing (I10).

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{Connection as _, Executor as _, Row as _};
use telegram_gateway::config::{self, BackendUrl};
use telegram_gateway::event::{Body, Changed, Origin, Timestamp};
use telegram_gateway::failure::{Class, Classify as _};
use telegram_gateway::store::contract::{self, Table, Type, VERIFIED};
use telegram_gateway::store::public::{Fold, PublicRow};
use telegram_gateway::store::rows::Rows;
use telegram_gateway::store::sqlite::Sqlite;
use telegram_gateway::store::timescale::Timescale;
use telegram_gateway::store::{
    Batch, Checkpoint, Entry, Filter, Inspect, Poison, Projection, ProjectionError, Snapshot,
};
use wal::{Identity, LogId, Seq};

use crate::support::events::{deliveries, entries, event, log, message, peer};
use crate::support::services::{
    connect, fresh_database, in_database, pgbouncer_url, timescale_url,
};

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
    }
}

fn posts(texts: &[&str]) -> Vec<Entry> {
    let post = |(id, text): (i64, &&str)| {
        let body = Body::Posted(Box::new(message(id, text)));
        event(peer(1), Origin::Live, body)
    };
    entries((1..).zip(texts).map(post).collect())
}

fn sqlite(dir: &Path) -> Sqlite {
    Sqlite::new(config::Sqlite {
        path: dir.join("messages.sqlite"),
    })
}

fn timescale_config(url: &str) -> config::Timescale {
    config::Timescale {
        url: BackendUrl::parse(url).expect("an address"),
        direct_url: None,
        chunk_interval: Duration::from_secs(90 * 86_400),
        synchronous_commit: false,
    }
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

fn folded(entries: &[Entry]) -> Vec<(&'static str, Vec<PublicRow>)> {
    let mut fold = Fold::default();
    fold.merge(Rows::of(entries));
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
        store.apply(&batch(&part, None)).await.expect("apply");
    }
    let left: Vec<Entry> = log
        .iter()
        .zip(&missing)
        .filter(|(_, missing)| **missing)
        .map(|(entry, _)| entry.clone())
        .collect();
    fold.merge(Rows::of(&left));
    let end = checkpoint(1, log.len() as u64);
    store.apply(&batch(&left, Some(end))).await.expect("apply");
    let expected = folded(log);
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

#[test]
fn sqlite_any_order_gives_the_fold_of_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    any_order(sqlite(dir.path()), 64);
    wait(async {
        let mut connection = open_sqlite(dir.path()).await;
        connection
            .execute("insert into messages_fts (messages_fts, rank) values ('integrity-check', 1)")
            .await
            .expect("the full-text index fits the table");
    });
}

#[test]
fn timescale_any_order_gives_the_fold_of_the_log() {
    let Some(url) = timescale_url() else { return };
    let url = wait(fresh_database(&url));
    any_order(Timescale::new(timescale_config(&url)), 32);
}

#[test]
fn pgbouncer_any_order_gives_the_fold_of_the_log() {
    let (Some(direct), Some(pooled)) = (timescale_url(), pgbouncer_url()) else {
        return;
    };
    let direct = wait(fresh_database(&direct));
    let name = url::Url::parse(&direct).expect("an address");
    let pooled = in_database(&pooled, name.path());
    let config = config::Timescale {
        direct_url: Some(BackendUrl::parse(&direct).expect("an address")),
        ..timescale_config(&pooled)
    };
    any_order(Timescale::new(config), 16);
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

    let mut snapshot = store.snapshot().await.expect("a snapshot");
    let first_two = Filter {
        peer_id: Some(peer(1).marked()),
        posted: Some((message(1, "").posted_at, message(3, "").posted_at)),
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
    };
    for table in &VERIFIED {
        assert_eq!(rows(&mut snapshot, table, &nobody).await.len(), 0);
    }
    drop(snapshot);

    store.clear().await.expect("clear");
    assert_eq!(store.checkpoint().await.expect("empty"), None);
    assert_eq!(everything(&mut store).await, folded(&[]));
}

#[test]
fn sqlite_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    wait(check_contract(sqlite(dir.path())));
}

#[test]
fn timescale_keeps_the_contract() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        check_contract(Timescale::new(timescale_config(&url))).await;
    });
}

/// Two events that the store refuses among many that it takes: those two are quarantined, the rest is there, and a
/// record that could not even be decoded lies beside them.
async fn check_poison<P: Inspect>(store: &mut P) -> Vec<Entry> {
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
    log
}

#[test]
fn sqlite_quarantines_poison() {
    let dir = tempfile::tempdir().expect("a directory");
    wait(async {
        let mut store = sqlite(dir.path());
        store.checkpoint().await.expect("made");
        let mut connection = open_sqlite(dir.path()).await;
        connection
            .execute(
                "create trigger refuse before insert on message_content when new.text = 'poison' \
                 begin select raise(abort, 'refused'); end",
            )
            .await
            .expect("a trigger");
        check_poison(&mut store).await;
        let found: Vec<(i64, i64, Vec<u8>)> =
            sqlx::query_as("select seq, kind, raw from quarantine order by seq")
                .fetch_all(&mut connection)
                .await
                .expect("quarantine");
        let found: Vec<_> = found
            .iter()
            .map(|row| (row.0, row.1, row.2.len() > 2))
            .collect();
        assert_eq!(found, [(8, 1, true), (32, 1, true), (41, 99, true)]);
    });
}

#[test]
fn timescale_quarantines_poison() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        let mut store = Timescale::new(timescale_config(&url));
        store.checkpoint().await.expect("made");
        let mut connection = connect(&url).await;
        connection
            .execute("alter table telegram_g1.message_content add check (text <> 'poison')")
            .await
            .expect("a constraint");
        check_poison(&mut store).await;
        let found: Vec<(i64, i16, String)> = sqlx::query_as(
            "select seq, kind, reason from telegram.quarantine where projection = 'timescale' order by seq",
        )
        .fetch_all(&mut connection)
        .await
        .expect("quarantine");
        let kinds: Vec<_> = found.iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(kinds, [(8, 1), (32, 1), (41, 99)]);
        assert!(
            found[0].2.contains("violates check constraint"),
            "{}",
            found[0].2
        );
    });
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

#[test]
fn two_rebuilds_are_equal_and_a_replay_rewrites_nothing() {
    let log = mixed_log();
    let dirs = [
        tempfile::tempdir().expect("a"),
        tempfile::tempdir().expect("b"),
    ];
    wait(async {
        let mut both = Vec::new();
        for (dir, size) in dirs.iter().zip([7, 1000]) {
            let mut store = sqlite(dir.path());
            for part in log.chunks(size) {
                let end = checkpoint(1, part[part.len() - 1].seq().get());
                store.apply(&batch(part, Some(end))).await.expect("apply");
            }
            both.push(everything(&mut store).await);
        }
        assert_eq!(both[0], both[1]);
        assert_eq!(both[0], folded(&log));

        let mut connection = open_sqlite(dirs[0].path()).await;
        for table in ["message_content", "message_state", "message_version"] {
            for change in ["insert", "update", "delete"] {
                let sql = format!(
                    "create trigger no_{change}_{table} after {change} on {table} \
                     begin select raise(abort, 'rewritten'); end"
                );
                connection
                    .execute(sqlx::AssertSqlSafe(sql))
                    .await
                    .expect("a trigger");
            }
        }
        let mut store = sqlite(dirs[0].path());
        store.apply(&batch(&log, None)).await.expect("a replay");
        let quarantined: i64 = sqlx::query_scalar("select count(*) from quarantine")
            .fetch_one(&mut connection)
            .await
            .expect("quarantine");
        assert_eq!(quarantined, 0);
    });
}

#[test]
fn timescale_replay_rewrites_nothing() {
    let Some(url) = timescale_url() else { return };
    let log = mixed_log();
    wait(async {
        let url = fresh_database(&url).await;
        let mut store = Timescale::new(timescale_config(&url));
        for part in log.chunks(50) {
            store.apply(&batch(part, None)).await.expect("apply");
        }
        assert_eq!(everything(&mut store).await, folded(&log));
        let mut connection = connect(&url).await;
        let sql = "select md5(string_agg(x, ',' order by x)) from (\
                   select 'c' || tableoid || ctid || xmin as x from telegram_g1.message_content union all \
                   select 's' || ctid || xmin from telegram_g1.message_state union all \
                   select 'v' || ctid || xmin from telegram_g1.message_version) t";
        let before: String = sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .expect("digest");
        for part in log.chunks(64).rev() {
            store.apply(&batch(part, None)).await.expect("a replay");
        }
        let after: String = sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .expect("digest");
        assert_eq!(before, after);
    });
}

#[test]
fn timescale_generation_is_loaded_beside_and_shown_at_once() {
    let Some(url) = timescale_url() else { return };
    let log = mixed_log();
    wait(async {
        let url = fresh_database(&url).await;
        let mut live = Timescale::new(timescale_config(&url));
        let end = checkpoint(1, 10);
        live.apply(&batch(&log[..10], Some(end)))
            .await
            .expect("live");
        let mut rebuilt = Timescale::generation(timescale_config(&url), 2);
        assert_eq!(rebuilt.checkpoint().await.expect("empty"), None);
        rebuilt
            .apply(&batch(&log, Some(checkpoint(1, 9))))
            .await
            .expect("rebuild");
        assert_eq!(everything(&mut rebuilt).await, folded(&log));
        assert_eq!(everything(&mut live).await, folded(&log[..10]));

        rebuilt.show(2).await.expect("show");
        assert_eq!(
            rebuilt.generations().await.expect("list"),
            [(1, false), (2, true)]
        );
        let error = live
            .apply(&batch(&log[..1], Some(end)))
            .await
            .expect_err("moved away");
        assert_eq!(error.class(), Class::Transient);
        assert_eq!(
            live.checkpoint().await.expect("of the new one"),
            Some(checkpoint(1, 9))
        );
        live.apply(&batch(&log[..1], Some(end)))
            .await
            .expect("goes on");
        assert_eq!(live.current_generation().await.expect("two"), 2);

        assert!(rebuilt.drop_generation(2).await.is_err(), "the one shown");
        rebuilt.drop_generation(1).await.expect("drop");
        let shown: i64 = sqlx::query_scalar("select count(*) from telegram.messages")
            .fetch_one(&mut connect(&url).await)
            .await
            .expect("views are whole");
        let expected = folded(&log)[0].1.len() as i64;
        assert_eq!(shown, expected);
    });
}

#[test]
fn timescale_chunk_width_follows_the_configuration() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        let sql = "select (extract(epoch from time_interval))::bigint from timescaledb_information.dimensions \
                   where hypertable_schema = 'telegram_g1'";
        for hours in [24, 24, 48] {
            let config = config::Timescale {
                chunk_interval: Duration::from_secs(hours * 3600),
                ..timescale_config(&url)
            };
            Timescale::new(config).checkpoint().await.expect("ready");
            let width: i64 = sqlx::query_scalar(sql)
                .fetch_one(&mut connect(&url).await)
                .await
                .expect("dimension");
            assert_eq!(width, hours as i64 * 3600);
        }
    });
}

#[test]
fn timescale_says_what_is_wrong_and_keeps_the_password() {
    let Some(base) = timescale_url() else { return };
    wait(async {
        let mut wrong = url::Url::parse(&base).expect("an address");
        wrong
            .set_password(Some("not-it-at-all"))
            .expect("a password");
        let mut away = wrong.clone();
        away.set_port(Some(1)).expect("a port");
        let nowhere = in_database(&base, "tgw_test_does_not_exist");
        for (url, class) in [
            (wrong.as_str(), Class::Operator),
            (away.as_str(), Class::Transient),
            (nowhere.as_str(), Class::Operator),
        ] {
            let mut store = Timescale::new(timescale_config(url));
            let error = store.checkpoint().await.expect_err("cannot work");
            assert_eq!(error.class(), class, "{error:?}");
            assert!(error.hint().is_some(), "{error:?}");
            assert!(!format!("{error:?} {store:?}").contains("not-it-at-all"));
        }

        // The connection dies behind its back: one error, then it goes on.
        let url = fresh_database(&base).await;
        let mut store = Timescale::new(timescale_config(&url));
        let log = posts(&["one", "two"]);
        store.apply(&batch(&log[..1], None)).await.expect("one");
        connect(&url)
            .await
            .execute(
                "select pg_terminate_backend(pid) from pg_stat_activity \
                 where datname = current_database() and pid <> pg_backend_pid() and application_name = 'telegram-gateway'",
            )
            .await
            .expect("terminate");
        let error = store.apply(&batch(&log, None)).await.expect_err("gone");
        assert_eq!(error.class(), Class::Transient, "{error:?}");
        store.apply(&batch(&log, None)).await.expect("again");
        assert_eq!(everything(&mut store).await, folded(&log));
    });
}

#[test]
fn timescale_refuses_a_schema_it_does_not_know() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        Timescale::new(timescale_config(&url))
            .checkpoint()
            .await
            .expect("made");
        let mut connection = connect(&url).await;
        connection
            .execute(
                "insert into telegram.schema_migrations (version, description, success, checksum, execution_time) \
                 values (99, 'newer', true, '\\x00', 0)",
            )
            .await
            .expect("a newer step");
        let error = Timescale::new(timescale_config(&url))
            .checkpoint()
            .await
            .expect_err("newer");
        assert!(
            matches!(error, ProjectionError::UnknownSchema { found: 99, .. }),
            "{error:?}"
        );
        connection
            .execute("delete from telegram.schema_migrations where version = 99")
            .await
            .expect("gone");
        connection
            .execute("update telegram.schema_migrations set checksum = '\\x00'")
            .await
            .expect("changed");
        let error = Timescale::new(timescale_config(&url))
            .checkpoint()
            .await
            .expect_err("changed");
        assert_eq!(error.class(), Class::Operator, "{error:?}");
    });
}

async fn open_sqlite(dir: &Path) -> sqlx::SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("messages.sqlite"));
    sqlx::SqliteConnection::connect_with(&options)
        .await
        .expect("open the file")
}

#[test]
fn sqlite_refuses_a_schema_it_does_not_know() {
    let dir = tempfile::tempdir().expect("a directory");
    wait(async {
        sqlite(dir.path()).checkpoint().await.expect("made");
        let mut connection = open_sqlite(dir.path()).await;
        connection
            .execute(
                "insert into schema_migrations (version, description, success, checksum, execution_time) \
                 values (99, 'newer', true, x'00', 0)",
            )
            .await
            .expect("a newer step");
        let error = sqlite(dir.path()).checkpoint().await.expect_err("newer");
        assert!(
            matches!(error, ProjectionError::UnknownSchema { found: 99, .. }),
            "{error:?}"
        );
    });
}

#[cfg(unix)]
#[test]
fn sqlite_file_is_private_and_searchable_by_others_while_it_is_written() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("a directory");
    wait(async {
        let mut store = sqlite(dir.path());
        let mut log = posts(&["Caf\u{e9} au lait", "tea", "coffee"]);
        store.apply(&batch(&log, None)).await.expect("apply");
        for file in std::fs::read_dir(dir.path()).expect("files") {
            let file = file.expect("a file");
            let mode = file.metadata().expect("its mode").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
        }
        let mut reader = open_sqlite(dir.path()).await;
        let sql = "select m.message_id, snippet(messages_fts, 0, '[', ']', '...', 5) \
                   from messages_fts f join messages m using (peer_id, message_id) where messages_fts match ?";
        let mut find = async |word: &'static str| -> Vec<(i64, String)> {
            sqlx::query_as(sql)
                .bind(word)
                .fetch_all(&mut reader)
                .await
                .expect("search")
        };
        assert_eq!(find("CAFE").await, [(1, "[Caf\u{e9}] au lait".to_owned())]);
        let mut edited = posts(&["x", "x", "x", "green tea"]);
        if let Some(Entry::Event(envelope)) = edited.get_mut(3) {
            let changed = Changed {
                text: true,
                ..Changed::default()
            };
            let message = Box::new(message(1, "green tea"));
            envelope.event.body = Body::Edited { message, changed };
        }
        log.push(edited.remove(3));
        store.apply(&batch(&log, None)).await.expect("an edit");
        assert_eq!(find("cafe").await, []);
        assert_eq!(find("green").await.len(), 1);
    });
}

/// The real schema has the contract's columns, in order, with its types.
#[test]
fn timescale_schema_is_the_contract() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        Timescale::new(timescale_config(&url))
            .checkpoint()
            .await
            .expect("made");
        let mut connection = connect(&url).await;
        for table in &VERIFIED {
            let found: Vec<(String, String)> = sqlx::query_as(
                "select column_name::text, data_type::text from information_schema.columns \
                 where table_schema = 'telegram' and table_name = $1 order by ordinal_position",
            )
            .bind(table.name)
            .fetch_all(&mut connection)
            .await
            .expect("columns");
            let expected: Vec<(String, String)> = table
                .columns
                .iter()
                .map(|(name, kind)| {
                    let kind = match kind {
                        Type::Int => "bigint",
                        Type::Text => "text",
                        Type::Time => "timestamp with time zone",
                        Type::Bool => "boolean",
                        Type::Json => "jsonb",
                    };
                    ((*name).to_owned(), kind.to_owned())
                })
                .collect();
            assert_eq!(found, expected, "{}", table.name);
        }
    });
}

#[test]
fn sqlite_schema_is_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    wait(async {
        sqlite(dir.path()).checkpoint().await.expect("made");
        let mut connection = open_sqlite(dir.path()).await;
        for table in &VERIFIED {
            let found: Vec<String> =
                sqlx::query("select name from pragma_table_info(?) order by cid")
                    .bind(table.name)
                    .fetch_all(&mut connection)
                    .await
                    .expect("columns")
                    .iter()
                    .map(|row| row.get(0))
                    .collect();
            let expected: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
            assert_eq!(found, expected, "{}", table.name);
        }
    });
}
