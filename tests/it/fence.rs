//! A log that is older than what was made from it: recognised, fenced, filled again; never silently another one.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use telegram_gateway::journal::JournalReader;

use crate::support::gateway::{Gateway, repository};

const EXPORT: &str = "fixtures/import/desktop-channel.json";

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status();
    assert!(done.expect("cp").success());
}

fn log(gateway: &Gateway) -> PathBuf {
    gateway.data_dir().join("log")
}

/// Puts an older copy of the log in place of the log.
fn put_back(gateway: &Gateway, aside: &Path) {
    std::fs::remove_dir_all(log(gateway)).expect("the log");
    copy(aside, &log(gateway));
}

fn synthetic(gateway: &Gateway, events: &str) -> Output {
    gateway.run(&[
        "run",
        "--source",
        "synthetic",
        "--rate",
        "0",
        "--drain",
        "--events",
        events,
    ])
}

fn import(gateway: &Gateway) -> Value {
    let export = repository(EXPORT);
    gateway.json(&["import", export.to_str().expect("UTF-8"), "--json"])
}

/// The rows that the store shows of the import, without their numbers.
fn imported(gateway: &Gateway) -> Vec<(i64, String)> {
    let path = gateway.config().sqlite.expect("configured").path;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        use sqlx::ConnectOptions as _;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let mut connection = options.connect().await.expect("the file");
        sqlx::query_as(
            "select message_id, text from messages where origin = 'import' order by 1, 2",
        )
        .fetch_all(&mut connection)
        .await
        .expect("rows")
    })
}

fn numbers(gateway: &Gateway) -> (u64, u64, u32) {
    let journal = JournalReader::open(&gateway.data_dir()).expect("a log");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let holes = runtime.block_on(journal.holes()).expect("holes");
    let tail = journal.tail();
    (tail, holes.between(0, tail), journal.identity().epoch)
}

#[test]
fn a_log_older_than_its_store_skips_its_numbers_and_is_filled_again() {
    let gateway = Gateway::embedded();
    assert!(synthetic(&gateway, "100").status.success());
    let (before, aside) = (gateway.tail(), gateway.path("aside"));
    copy(&log(&gateway), &aside);
    let appended = import(&gateway)["appended"].as_u64().expect("a count");
    let (reached, rows) = (gateway.tail(), imported(&gateway));
    assert!(appended > 0 && reached == before + appended && !rows.is_empty());

    // Twice: the second time the store knows an epoch that this copy of the log never heard of.
    for epoch in [2, 3] {
        put_back(&gateway, &aside);
        let highest = gateway.json(&["status", "--json"]);
        assert!(
            highest["stores"][0]["error"].is_string(),
            "noticed without a daemon too: {highest}"
        );
        let again = import(&gateway);
        assert_eq!(again["appended"], appended, "{again}");
        let (tail, events, now) = numbers(&gateway);
        assert_eq!((events, now), (before + appended, epoch));
        assert!(tail > reached + 1_000_000, "no number is given out twice");
        assert_eq!(imported(&gateway), rows);
        gateway.verify();
        let status = gateway.json(&["status", "--json"]);
        assert_eq!(status["stores"][0]["lag_events"], 0, "{status}");
    }
    // It goes on as if nothing had been, also by the ways that read the whole log.
    assert!(synthetic(&gateway, "150").status.success());
    gateway.verify();
    gateway.ok(&["replay", "--to", "sqlite", "--from", "1"]);
    gateway.verify();
    gateway.ok(&["rebuild", "sqlite", "--yes"]);
    gateway.verify();
    assert_eq!(imported(&gateway), rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_stores_and_the_broker_go_on_behind_a_fence() {
    let Some(gateway) = Gateway::with_services().await else {
        return;
    };
    tokio::task::spawn_blocking(move || {
        assert!(synthetic(&gateway, "100").status.success());
        let aside = gateway.path("aside");
        copy(&log(&gateway), &aside);
        let first = import(&gateway);
        gateway.ok(&["run", "--drain"]);
        put_back(&gateway, &aside);
        assert_eq!(import(&gateway)["appended"], first["appended"]);
        // The broker's queues still have frames of the epoch that is over.
        gateway.ok(&["run", "--drain"]);
        gateway.verify();
        let status = gateway.json(&["status", "--json"]);
        let lags = status["stores"].as_array().expect("stores").iter();
        assert!(lags.clone().count() > 1, "{status}");
        for store in lags {
            assert_eq!(store["lag_events"], 0, "{status}");
        }
    })
    .await
    .expect("no panic");
}

#[test]
fn a_start_without_a_source_fences_too_and_says_so() {
    let gateway = Gateway::embedded();
    assert!(synthetic(&gateway, "50").status.success());
    let aside = gateway.path("aside");
    copy(&log(&gateway), &aside);
    assert!(synthetic(&gateway, "80").status.success());
    put_back(&gateway, &aside);
    let started = gateway.run(&["run", "--drain"]);
    let words = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(started.status.success(), "{words}");
    assert!(words.contains("older than sqlite at 80"), "{words}");
    assert_eq!(numbers(&gateway), (1_000_080, 50, 2));
    // What only the store has, it keeps, and that is told: whole rows, and changes of rows that the log has too.
    let checked = gateway.run(&["verify", "sqlite", "--json"]);
    let report: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert!(report["kept"].as_u64() > Some(0), "{report}");
    gateway.ok(&["rebuild", "sqlite", "--yes"]);
    let report = gateway.json(&["verify", "sqlite", "--json"]);
    assert_eq!(
        (&report["kept"], &report["clean"]),
        (&0.into(), &true.into())
    );
    let report = gateway.json(&["verify", "log", "--json"]);
    let hole = &report["holes"][0];
    assert_eq!(
        (&hole["first"], &hole["cause"]),
        (&51.into(), &"fence".into()),
        "{report}"
    );
}

/// A SQLite file with what lies beside it: the last transactions may be there alone.
fn move_store(from: &Path, to: &Path) {
    let with = |path: &Path, end: &str| PathBuf::from(format!("{}{end}", path.display()));
    std::fs::rename(from, to).expect("the store");
    for end in ["-wal", "-shm"] {
        let beside = with(from, end);
        if beside.exists() {
            std::fs::rename(beside, with(to, end)).expect("moved");
        }
    }
}

#[test]
fn a_store_that_was_fed_with_other_events_is_refused_until_it_is_rebuilt() {
    let gateway = Gateway::embedded();
    assert!(synthetic(&gateway, "50").status.success());
    let (aside, store) = (gateway.path("aside"), gateway.path("store"));
    copy(&log(&gateway), &aside);
    assert!(synthetic(&gateway, "80").status.success());
    let path = gateway.config().sqlite.expect("configured").path;
    move_store(&path, &store);
    // The old log goes on while the store is away, and gives its numbers to events received at other times.
    put_back(&gateway, &aside);
    assert!(synthetic(&gateway, "200").status.success());
    move_store(&path, &gateway.path("other-store"));
    move_store(&store, &path);

    let refused = synthetic(&gateway, "210");
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(69), "{words}");
    assert!(words.contains("was fed with other events"), "{words}");
    assert_eq!(gateway.tail(), 210, "ingest goes on");
    let checked = gateway.run(&["verify", "sqlite"]);
    assert_eq!(checked.status.code(), Some(1));
    let status = gateway.json(&["status", "--json"]);
    let told = status["stores"][0]["error"].to_string();
    assert!(told.contains("rebuild"), "{status}");
    let replayed = gateway.run(&["replay", "--to", "sqlite", "--from", "1"]);
    assert!(!replayed.status.success(), "a replay mixes nothing either");

    gateway.ok(&["rebuild", "sqlite", "--yes"]);
    assert!(synthetic(&gateway, "220").status.success());
    gateway.verify();
}
