//! I5, I6, I7: every store shows the fold of the log, whichever way it was fed: live, twice, in part, anew.

use std::ops::ControlFlow;

use serde_json::Value;
use telegram_gateway::event::Body;
use telegram_gateway::store::contract::{COUNTER_SAMPLES, VERIFIED};
use telegram_gateway::store::public::PublicRow;
use telegram_gateway::store::sqlite::Sqlite;
use telegram_gateway::store::timescale::Timescale;
use telegram_gateway::store::{Filter, Inspect, Snapshot as _};

use crate::support::gateway::{Gateway, repository, wait_until};

const SCRIPT: &str = "fixtures/scripts/first-light.jsonl";

/// All public rows of a store.
async fn rows<P: Inspect>(projection: &mut P) -> Vec<(&'static str, PublicRow)> {
    let mut snapshot = projection.snapshot().await.expect("a snapshot");
    let mut rows = Vec::new();
    for table in &VERIFIED {
        let mut keep = |row| {
            rows.push((table.name, row));
            ControlFlow::Continue(())
        };
        snapshot
            .scan(table, &Filter::default(), &mut keep)
            .await
            .expect("rows");
    }
    assert!(!rows.is_empty());
    rows
}

pub(crate) async fn sqlite_rows(gateway: &Gateway) -> Vec<(&'static str, PublicRow)> {
    rows(&mut Sqlite::new(
        gateway.config().sqlite.expect("configured"),
    ))
    .await
}

pub(crate) async fn timescale_rows(gateway: &Gateway) -> Vec<(&'static str, PublicRow)> {
    rows(&mut Timescale::new(
        gateway.config().timescale.expect("configured"),
    ))
    .await
}

/// Both SQL stores, with a history of counters in each.
async fn with_both_stores() -> Option<Gateway> {
    let mut gateway = Gateway::with_services().await?;
    // Beside TimescaleDB the SQLite projection runs when its path is written out.
    gateway.set("TGW_SQLITE__PATH", "beside.sqlite");
    gateway.set("TGW_SQLITE__COUNTER_HISTORY", "1m");
    gateway.set("TGW_TIMESCALE__COUNTER_HISTORY", "1m");
    Some(gateway)
}

pub(crate) fn play(gateway: &Gateway, events: &str) {
    let script = repository(SCRIPT);
    let script = format!("script:{}", script.display());
    gateway.ok(&["run", "--source", &script, "--drain"]);
    gateway.ok(&[
        "run",
        "--source",
        "synthetic",
        "--rate",
        "0",
        "--events",
        events,
        "--drain",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sql_stores_show_the_same_rows_field_by_field() {
    let Some(gateway) = with_both_stores().await else {
        return;
    };
    play(&gateway, "3000");
    gateway.verify();
    let rows = sqlite_rows(&gateway).await;
    let samples = rows.iter().filter(|row| row.0 == COUNTER_SAMPLES.name);
    assert!(samples.count() > 0);
    assert_eq!(rows, timescale_rows(&gateway).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_any_part_changes_nothing() {
    let Some(gateway) = with_both_stores().await else {
        return;
    };
    play(&gateway, "1500");
    let (sqlite, timescale) = (sqlite_rows(&gateway).await, timescale_rows(&gateway).await);
    for to in ["sqlite", "timescale", "redis"] {
        gateway.ok(&["replay", "--to", to, "--from", "700", "--until", "900"]);
        gateway.ok(&["replay", "--to", to, "--from", "100"]);
        gateway.ok(&["replay", "--to", to]);
    }
    gateway.verify();
    assert_eq!(sqlite_rows(&gateway).await, sqlite);
    assert_eq!(timescale_rows(&gateway).await, timescale);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_emptied_and_rebuilt_is_equal_to_before() {
    let Some(gateway) = with_both_stores().await else {
        return;
    };
    play(&gateway, "1500");
    let (sqlite, timescale) = (sqlite_rows(&gateway).await, timescale_rows(&gateway).await);
    for store in ["sqlite", "timescale", "redis"] {
        // Only what readers would notice needs somebody who agrees.
        if store == "sqlite" {
            let refused = gateway.run(&["rebuild", store]);
            assert_eq!(refused.status.code(), Some(2), "nobody agreed to {store}");
        }
        let done = gateway.ok(&["rebuild", store, "--yes", "--json"]);
        let done: Value = serde_json::from_str(&done).expect("JSON");
        assert_eq!(done["applied"].as_u64(), Some(gateway.tail()), "{store}");
    }
    gateway.verify();
    assert_eq!(sqlite_rows(&gateway).await, sqlite);
    assert_eq!(timescale_rows(&gateway).await, timescale);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_beside_a_running_daemon() {
    let Some(gateway) = Gateway::with_services().await else {
        return;
    };
    beside_a_daemon(&gateway, "timescale");
    gateway.ok(&["rebuild", "redis", "--yes"]);
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
}

#[test]
fn commands_work_beside_a_running_daemon_without_servers() {
    let gateway = Gateway::embedded();
    beside_a_daemon(&gateway, "sqlite");
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
}

fn beside_a_daemon(gateway: &Gateway, store: &str) {
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "50"]);
    wait_until("events flow", || {
        gateway.tail() > 20 || !daemon.is_running()
    });

    let export = repository("fixtures/import/desktop-channel.json");
    let export = export.to_str().expect("UTF-8");
    let first = gateway.json(&["import", export, "--json"]);
    assert!(first["appended"].as_u64() > Some(0), "{first}");
    let again = gateway.json(&["import", export, "--json"]);
    assert_eq!(again["appended"], 0, "{again}");
    assert_eq!(again["duplicates"], first["appended"]);

    gateway.ok(&["replay", "--to", store, "--from", "1", "--until", "15"]);
    gateway.verify();
    let status = gateway.json(&["status", "--json"]);
    assert_eq!(status["running"], true, "{status}");
    assert!(status["tail"].as_u64() > Some(20), "{status}");
    // In place, while the daemon goes on feeding the same store.
    gateway.ok(&["rebuild", store, "--yes"]);
    wait_until("the store is whole again", || {
        gateway.run(&["verify", store]).status.success()
    });

    let second = gateway.run(&["run"]);
    assert_eq!(second.status.code(), Some(75), "two daemons on one log");
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("in use by process"),
        "names the holder"
    );

    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
}

#[test]
fn a_stop_drains_and_the_next_start_goes_on() {
    let gateway = Gateway::embedded();
    let run = [
        "run",
        "--source",
        "synthetic",
        "--rate",
        "0",
        "--events",
        "20000",
    ];
    let mut daemon = gateway.start(&run);
    wait_until("events flow", || {
        gateway.tail() > 500 || !daemon.is_running()
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    let mut arguments = run.to_vec();
    arguments.push("--drain");
    gateway.ok(&arguments);
    assert_eq!(gateway.tail(), 20_000);
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_from_a_damaged_log_leaves_the_store_as_it_is() {
    let gateway = Gateway::embedded();
    play(&gateway, "300");
    let before = sqlite_rows(&gateway).await;
    let text = gateway
        .events()
        .await
        .into_iter()
        .find_map(|event| match event.event.body {
            Body::Posted(message) if message.text.len() > 40 => Some(message.text),
            _ => None,
        });
    let text = text.expect("a text");
    let segment = gateway
        .data_dir()
        .join("log/segment-00000000000000000001.redb");
    let mut bytes = std::fs::read(&segment).expect("the segment");
    let at = bytes
        .windows(text.len())
        .position(|part| part == text.as_bytes());
    bytes[at.expect("the text") + 20] ^= 1;
    std::fs::write(&segment, bytes).expect("the segment");

    let checked = gateway.run(&["verify", "log", "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(report["shown"][0]["kind"], "record_damaged", "{report}");
    let refused = gateway.run(&["rebuild", "sqlite", "--yes"]);
    assert_eq!(refused.status.code(), Some(65));
    assert_eq!(sqlite_rows(&gateway).await, before);
}
