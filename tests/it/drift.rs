//! A store that drifted from the log is found out, shown, and made right again without a step back.

mod cache;

use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use telegram_gateway::config::Config;
use telegram_gateway::store::timescale::Timescale;
use telegram_gateway::verify;

use crate::pipeline::{play, sqlite_rows, timescale_rows};
use crate::support::gateway::{Gateway, wait_until};
use crate::wal_commands::three_segments;

/// What people and mistakes do to tables: changes, losses, rows too many, in every table that readers see.
const DAMAGES: [&str; 8] = [
    "update {}message_content set text = text || '!', views = 9 where seq in \
     (select seq from {}message_content order by seq limit 3)",
    "delete from {}message_content where seq in (select seq from {}message_content order by seq desc limit 3)",
    "insert into {}message_content (peer_id, message_id, posted_at, rank, seq, first_seq, received_at, versioned, \
     pinned, kind, origin, text) select peer_id, 1000000 + message_id, posted_at, rank, seq, first_seq, received_at, \
     versioned, pinned, kind, origin, 'surplus' from {}message_content where text <> '' and message_id < 1000000",
    "update {}message_state set deleted_at = null, deleted_seq = null, views = 7",
    "insert into {}message_state (peer_id, message_id, deleted_at, deleted_seq) select peer_id, message_id, \
     posted_at, 4000000000 from {}message_content c where message_id < 1000000 and not exists \
     (select 1 from {}message_state s where s.peer_id = c.peer_id and s.message_id = c.message_id)",
    "delete from {}message_version",
    "update {}channel_name set title = 'other'",
    "delete from {}gap",
];

fn damages(schema: &str) -> impl Iterator<Item = String> {
    DAMAGES.iter().map(move |sql| sql.replace("{}", schema))
}

async fn open_sqlite(config: &Config) -> sqlx::SqliteConnection {
    let path: &Path = &config.sqlite.as_ref().expect("configured").path;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    options.connect().await.expect("the file")
}

async fn open_timescale(config: &Config) -> sqlx::PgConnection {
    let url = config.timescale.as_ref().expect("configured").url.expose();
    sqlx::PgConnection::connect(url).await.expect("the server")
}

/// Repairs, and checks what is said of it.
fn repair(gateway: &Gateway, store: &str) -> Value {
    let checked = gateway.run(&["verify", store, "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(found["clean"], false, "{found}");
    let differences = found["differences"].as_u64();
    assert!(differences > Some(0), "{found}");
    let report = gateway.json(&["verify", store, "--repair", "--json"]);
    assert_eq!(report["clean"], true, "{report}");
    let repair = &report["repair"];
    assert_eq!(repair["differences"].as_u64(), differences, "{repair}");
    assert!(repair["things"].as_u64() > Some(0), "{repair}");
    assert_eq!(repair["left"], 0, "{repair}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn each_damage_to_sqlite_is_named_and_repaired() {
    let mut gateway = Gateway::embedded();
    gateway.set("TGW_SQLITE__COUNTER_HISTORY", "1m");
    play(&gateway, "200");
    gateway.verify();
    let before = sqlite_rows(&gateway).await;
    let checkpoint = "select log_id || epoch || ' ' || seq || updated_at from checkpoints";
    let mut file = open_sqlite(&gateway.config()).await;
    let at: String = sqlx::query_scalar(checkpoint)
        .fetch_one(&mut file)
        .await
        .expect("a checkpoint");
    let mut found = 0;
    for damage in damages("").chain(["delete from counter_sample".to_owned()]) {
        let changed = file.execute(AssertSqlSafe(damage.as_str())).await;
        // Not every run of the generator has gaps.
        if changed.expect(&damage).rows_affected() == 0 {
            continue;
        }
        found += 1;
        repair(&gateway, "sqlite");
        assert!(sqlite_rows(&gateway).await == before, "{damage}");
    }
    assert!(found >= DAMAGES.len(), "{found} damages did anything");
    let after: String = sqlx::query_scalar(checkpoint)
        .fetch_one(&mut file)
        .await
        .expect("a checkpoint");
    assert_eq!(after, at, "no checkpoint moves");
    file.execute("insert into messages_fts (messages_fts, rank) values ('integrity-check', 1)")
        .await
        .expect("the index is what the rows say");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_damages_to_timescale_are_repaired_at_once() {
    let Some(mut gateway) = Gateway::with_timescale().await else {
        return;
    };
    gateway.set("TGW_TIMESCALE__COUNTER_HISTORY", "1m");
    play(&gateway, "300");
    gateway.verify();
    let before = timescale_rows(&gateway).await;
    let mut server = open_timescale(&gateway.config()).await;
    let state = "select (select string_agg(t::text, ' ') from (select log_id, epoch, seq, updated_at from \
                 telegram.checkpoints) t), (select string_agg(h::text, ' ' order by h::text) from \
                 telegram.messages_hourly h)";
    let told = async |server: &mut sqlx::PgConnection| -> (String, String) {
        let row = server.fetch_one(state).await.expect("the server");
        (row.get(0), row.get(1))
    };
    let at = told(&mut server).await;
    let mut damages: Vec<String> = damages("telegram_g1.").collect();
    damages.push("delete from telegram_g1.counter_sample".to_owned());
    let reader = gateway.journal().expect("a log");
    let mut store = Timescale::new(gateway.config().timescale.expect("configured"));
    // Any turn will do: there is one slice.
    let slice = verify::slice(&reader, &mut store, 77).await.expect("read");
    assert_eq!(
        (slice.number, slice.of, slice.report.differences),
        (0, 1, 0)
    );
    assert!(slice.report.rows > 200, "{slice:?}");
    for damage in damages {
        server
            .execute(AssertSqlSafe(damage.as_str()))
            .await
            .expect(&damage);
    }
    let slice = verify::slice(&reader, &mut store, 0).await.expect("read");
    assert!(slice.report.differences > 10, "{slice:?}");
    let report = repair(&gateway, "timescale");
    assert!(
        report["repair"]["shown"]
            .as_array()
            .is_some_and(|it| !it.is_empty())
    );
    assert!(timescale_rows(&gateway).await == before);
    assert_eq!(told(&mut server).await, at, "checkpoint and counts by hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_beside_a_daemon_loses_nothing_of_either() {
    let gateway = Gateway::embedded();
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "400"]);
    wait_until("events flow", || {
        gateway.tail() > 200 || !daemon.is_running()
    });
    let mut file = open_sqlite(&gateway.config()).await;
    let mut reached = 0;
    for _ in 0..3 {
        // Those that are written at the moment among them.
        file.execute(
            "update message_content set text = 'drifted' where seq > (select max(seq) - 200 from message_content); \
             delete from message_state",
        )
        .await
        .expect("a change");
        let report = gateway.json(&["verify", "sqlite", "--repair", "--json"]);
        assert_eq!(report["clean"], true, "{report}");
        assert!(report["repair"]["things"].as_u64() > Some(0), "{report}");
        let at = report["checkpoint"].as_u64().expect("a checkpoint");
        assert!(at > reached, "the checkpoint went from {reached} to {at}");
        reached = at;
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_no_longer_has_is_left_as_it_is() {
    let gateway = Gateway::embedded();
    three_segments(&gateway).await;
    gateway.ok(&["run", "--drain"]);
    gateway.ok(&["wal", "trim", "--keep-from", "11", "--yes"]);
    let trimmed = gateway.json(&["verify", "sqlite", "--json"]);
    assert_eq!(
        (&trimmed["clean"], trimmed["kept"].as_u64() > Some(9)),
        (&true.into(), true)
    );
    let mut file = open_sqlite(&gateway.config()).await;
    // A version of message 15 that nobody can tell of any more makes all of it untouchable.
    file.execute(
        "insert into message_version (peer_id, message_id, posted_at, seq, text) \
         select peer_id, message_id, posted_at, 3, 'before' from message_content where message_id = 15; \
         update message_content set text = 'drifted' where message_id in (5, 15, 25)",
    )
    .await
    .expect("a change");
    let checked = gateway.run(&["verify", "sqlite", "--repair", "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    let repair = &report["repair"];
    assert_eq!(
        (&repair["things"], &repair["left"]),
        (&1.into(), &1.into()),
        "{report}"
    );
    let texts: Vec<String> = sqlx::query_scalar(
        "select text from messages where message_id in (4, 5, 15, 25) order by message_id",
    )
    .fetch_all(&mut file)
    .await
    .expect("rows");
    assert_eq!(texts, ["text-0004", "drifted", "drifted", "text-0025"]);
}

#[test]
fn nothing_is_repaired_from_a_log_that_cannot_tell() {
    let gateway = Gateway::embedded();
    play(&gateway, "50");
    let refused = gateway.run(&["verify", "log", "--repair"]);
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(words.contains("wal salvage"), "{words}");
}

/// The daemon finds a change by itself, and sees that it is mended.
async fn finds_drift(
    mut gateway: Gateway,
    (store, place): (&str, &str),
    damage: impl AsyncFnOnce(&Gateway),
) {
    gateway.set("TGW_RELAY__VERIFY_INTERVAL", "1s");
    play(&gateway, "300");
    let mut daemon = gateway.start(&["run"]);
    let mut slice = |holds: &dyn Fn(&Value) -> bool| {
        let mut last = Value::Null;
        wait_until("a slice is compared", || {
            last = gateway.json(&["status", "--json"])["drift"][store].clone();
            !daemon.is_running() || (last["slices"].as_u64() > Some(0) && holds(&last))
        });
        last
    };
    let clean = slice(&|it| it["differences"] == 0);
    assert!(clean["rows"].as_u64() > Some(100), "{clean}");
    damage(&gateway).await;
    let found = slice(&|it| it["differences"] != 0);
    let shown = found["shown"][0].as_str();
    assert!(shown.is_some_and(|it| it.starts_with(place)), "{found}");
    let words = gateway.ok(&["status"]);
    let remedy = format!("verify {store} --repair");
    assert!(words.contains(&remedy), "{words}");
    gateway.ok(&["verify", store, "--repair"]);
    slice(&|it| it["differences"] == 0);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_finds_drift_by_itself_and_sees_it_mended() {
    let damage = async |gateway: &Gateway| {
        let mut file = open_sqlite(&gateway.config()).await;
        let sql = "update message_content set text = 'drifted' where id = 7";
        file.execute(sql).await.expect("a change");
    };
    finds_drift(Gateway::embedded(), ("sqlite", "messages "), damage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_finds_drift_of_timescaledb_too() {
    let Some(gateway) = Gateway::with_timescale().await else {
        return;
    };
    let damage = async |gateway: &Gateway| {
        let mut server = open_timescale(&gateway.config()).await;
        let sql = "update telegram_g1.message_content set text = 'drifted' where seq = \
                   (select min(seq) from telegram_g1.message_content)";
        server.execute(sql).await.expect("a change");
    };
    finds_drift(gateway, ("timescale", "messages "), damage).await;
}
