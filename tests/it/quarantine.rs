//! An event that cannot be applied waits with its reason, and those behind it are applied; the command that looks after
//! it never moves a checkpoint; a rebuild stops.

use serde_json::Value;
use sqlx::{ConnectOptions as _, Executor as _};
use telegram_gateway::event::{Body, Origin, Timestamp};
use telegram_gateway::journal::{Append, Journal};
use telegram_gateway::status::Status;
use wal::NewRecord;

use crate::support::events::{event, message, peer};
use crate::support::gateway::Gateway;
use crate::support::services::{connect, let_in};

fn post(id: i64, text: &str) -> NewRecord {
    let body = Body::Posted(Box::new(message(id, text)));
    let event = event(peer(1), Origin::Live, body);
    event.to_record(Timestamp::now()).expect("a record")
}

/// A record of a codec that no version of the program has.
fn unreadable(id: i64) -> NewRecord {
    NewRecord {
        codec: 250,
        ..post(id, "of the future")
    }
}

fn append(gateway: &Gateway, records: Vec<NewRecord>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let config = gateway.config();
        let journal = Journal::open(&config.data_dir, &config.wal, Status::new(), |_| {});
        let journal = journal.expect("the log");
        let append = Append {
            records,
            ..Append::default()
        };
        journal.writer.append(append).await.expect("durable");
        journal.close().await;
    });
}

/// The quarantine of a store: number and reason of each event.
fn quarantine(gateway: &Gateway, store: &str) -> Vec<(u64, String)> {
    let lines = gateway.ok(&["quarantine", "list", store, "--json"]);
    let events = lines.lines().map(|line| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(event["store"], store);
        let reason = event["reason"].as_str().expect("a reason").to_owned();
        (event["seq"].as_u64().expect("a number"), reason)
    });
    events.collect()
}

fn checkpoints(gateway: &Gateway) -> Vec<Value> {
    let status = gateway.json(&["status", "--json"]);
    let stores = status["stores"].as_array().expect("stores");
    stores.iter().map(|store| store["seq"].clone()).collect()
}

/// A record that nobody can read, among others.
fn unreadable_waits(gateway: &Gateway, stores: &[&str]) {
    append(
        gateway,
        vec![post(1, "one"), unreadable(2), post(3, "three")],
    );
    gateway.ok(&["run", "--drain"]);
    let status = gateway.json(&["status", "--json"]);
    for store in status["stores"].as_array().expect("stores") {
        assert_eq!(
            (&store["seq"], &store["quarantined"]),
            (&3.into(), &1.into()),
            "{status}"
        );
    }
    for store in stores {
        let found = quarantine(gateway, store);
        assert!(
            matches!(&found[..], [(2, reason)] if reason.contains("cannot be read")),
            "{store}: {found:?}"
        );
        // This version cannot read it any better.
        let again = gateway.run(&["quarantine", "retry", store, "--all", "--json"]);
        assert_eq!(again.status.code(), Some(1));
        let again: Value = serde_json::from_slice(&again.stdout).expect("JSON");
        assert_eq!(again["refused"][0]["seq"], 2, "{again}");
    }
    let rebuilt = gateway.run(&["rebuild", stores[0], "--yes"]);
    assert_eq!(
        rebuilt.status.code(),
        Some(65),
        "a rebuild leaves nothing out"
    );
    for store in stores {
        // The log names what it holds and nobody can read; the stores are what the rest of it says.
        gateway.ok(&["verify", store]);
        let asked = gateway.run(&["quarantine", "drop", store, "--all"]);
        assert_eq!(asked.status.code(), Some(2), "nobody agreed");
        let gone = gateway.json(&[
            "quarantine",
            "drop",
            store,
            "--seq",
            "2",
            "--seq",
            "9",
            "--yes",
            "--json",
        ]);
        assert_eq!(gone["dropped"], serde_json::json!([2]));
        assert_eq!(gone["unknown"], serde_json::json!([9]));
        assert_eq!(quarantine(gateway, store), []);
    }
    assert_eq!(checkpoints(gateway), vec![Value::from(3); stores.len()]);
}

#[test]
fn what_no_version_can_read_waits_in_every_store() {
    unreadable_waits(&Gateway::embedded(), &["sqlite"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_version_can_read_waits_in_the_stores_of_servers_too() {
    let Some(gateway) = Gateway::with_services().await else {
        return;
    };
    tokio::task::block_in_place(|| unreadable_waits(&gateway, &["timescale", "redis"]));
}

#[test]
fn what_a_store_refuses_is_applied_when_the_store_is_put_right() {
    let gateway = Gateway::embedded();
    append(&gateway, vec![post(1, "one")]);
    gateway.ok(&["run", "--drain"]);
    let path = gateway.config().sqlite.expect("configured").path;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let change = |sql: &'static str| {
        runtime.block_on(async {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
            let mut connection = options.connect().await.expect("the file");
            connection.execute(sql).await.expect("a change");
        });
    };
    change(
        "create trigger refuse before insert on message_content when new.text = 'poison' \
         begin select raise(abort, 'no poison here'); end",
    );
    let records = vec![post(2, "poison"), post(3, "three"), post(4, "poison")];
    append(&gateway, records);
    gateway.ok(&["run", "--drain"]);
    let found = quarantine(&gateway, "sqlite");
    assert_eq!(found.iter().map(|it| it.0).collect::<Vec<_>>(), [2, 4]);
    assert!(found[0].1.contains("no poison here"), "{found:?}");
    assert_eq!(
        gateway
            .run(&["quarantine", "retry", "sqlite", "--seq", "2"])
            .status
            .code(),
        Some(1)
    );
    // Not clean, and the difference is named.
    assert_eq!(gateway.run(&["verify", "sqlite"]).status.code(), Some(1));
    change("drop trigger refuse");
    let done = gateway.json(&["quarantine", "retry", "sqlite", "--all", "--json"]);
    assert_eq!(done["applied"], serde_json::json!([2, 4]), "{done}");
    assert_eq!(quarantine(&gateway, "sqlite"), []);
    assert_eq!(checkpoints(&gateway), [4]);
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_owns_nothing_runs_the_daemon_and_looks_after_the_quarantine() {
    let Some(mut gateway) = Gateway::with_timescale().await else {
        return;
    };
    let owner = gateway.config().timescale.expect("configured").url;
    gateway.ok(&["run", "--drain"]);
    let writer = let_in(owner.expose(), true).await;
    gateway.set("TGW_TIMESCALE__URL", &writer);
    gateway.set("TGW_TIMESCALE__DIRECT_URL", owner.expose());
    let mut connection = connect(owner.expose()).await;
    let refusing =
        "alter table telegram_g1.message_content add constraint healthy check (text <> 'poison')";
    connection.execute(refusing).await.expect("a constraint");

    let texts = ["one", "poison", "three", "poison"];
    let posts = (1..).zip(texts).map(|(id, text)| post(id, text));
    tokio::task::block_in_place(|| append(&gateway, posts.collect()));
    gateway.ok(&["run", "--drain"]);
    let found = quarantine(&gateway, "timescale");
    assert_eq!(found.iter().map(|it| it.0).collect::<Vec<_>>(), [2, 4]);
    let again = gateway.run(&["quarantine", "retry", "timescale", "--all", "--json"]);
    assert_eq!(again.status.code(), Some(1));
    let again: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(again["refused"][1]["seq"], 4, "{again}");

    let mend = "alter table telegram_g1.message_content drop constraint healthy";
    connection.execute(mend).await.expect("no constraint");
    let done = gateway.json(&["quarantine", "retry", "timescale", "--seq", "2", "--json"]);
    assert_eq!(done["applied"], serde_json::json!([2]), "{done}");
    let drop = [
        "quarantine",
        "drop",
        "timescale",
        "--seq",
        "4",
        "--yes",
        "--json",
    ];
    assert_eq!(gateway.json(&drop)["dropped"], serde_json::json!([4]));
    assert_eq!(quarantine(&gateway, "timescale"), []);
    // What was given up is missing, and is what verify names.
    assert_eq!(gateway.run(&["verify", "timescale"]).status.code(), Some(1));
    gateway.ok(&["rebuild", "timescale"]);
    gateway.verify();
}
