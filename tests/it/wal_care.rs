//! Looking after the log: what retention waits for, what the archive and backups are good for.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use telegram_gateway::journal::{Append, Done, Job, Journal, JournalError};
use telegram_gateway::status::Status;
use telegram_gateway::store::Projection as _;
use telegram_gateway::store::sqlite::Sqlite;
use wal::Seq;

use crate::support::gateway::{Gateway, wait_until};
use crate::wal_commands::{damage, numbers, three_segments};

/// A process that another test has just forked holds the lock of before until it has become its program.
fn open(gateway: &Gateway) -> Journal {
    let config = gateway.config();
    let mut journal = None;
    wait_until("the log is free", || {
        match Journal::open(&config.data_dir, &config.wal, Status::new(), |_| {}) {
            Ok(opened) => journal = Some(opened),
            Err(JournalError::Open(wal::OpenError::Locked { .. })) => {}
            Err(error) => panic!("{error}"),
        }
        journal.is_some()
    });
    journal.expect("opened")
}

fn seq(n: u64) -> Seq {
    Seq::new(n).expect("from 1")
}

const PLAN: [&str; 6] = ["wal", "trim", "--keep-from", "21", "--plan", "--json"];

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_nothing_moves_holds_nothing_and_is_named() {
    let gateway = Gateway::embedded();
    three_segments(&gateway).await;
    gateway.ok(&["run", "--drain"]);
    let journal = open(&gateway);
    let append = Append {
        cursors: vec![("relay.events".to_owned(), seq(3))],
        ..Append::default()
    };
    journal.writer.append(append).await.expect("durable");
    journal.close().await;
    let plan = gateway.json(&PLAN)["plan"].clone();
    assert_eq!(plan["go"].as_array().map(Vec::len), Some(2), "{plan}");
    assert_eq!(plan["ignored"][0]["name"], "cursor relay.events");
    let words = gateway.ok(&["wal", "trim", "--keep-from", "21", "--plan"]);
    assert!(
        words.contains("ignored: cursor relay.events is at 3"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_emptied_beside_the_daemon_needs_all_again() {
    let gateway = Gateway::embedded();
    three_segments(&gateway).await;
    gateway.ok(&["run", "--drain"]);
    let mut daemon = gateway.start(&["run"]);
    let plan = || gateway.json(&PLAN)["plan"].clone();
    wait_until("the daemon knows where the store is", || {
        gateway.json(&["status", "--json"])["running"] == true && plan()["held"] == json!([])
    });
    let section = gateway.config().sqlite.expect("configured");
    let mut store = Sqlite::new(section);
    store.clear().await.expect("emptied");
    let held = plan();
    assert_eq!(held["go"], json!([]), "{held}");
    assert_eq!(held["held_by"][0]["name"], "store sqlite");
    assert_eq!(held["held_by"][0]["seq"], 0);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trim_of_what_is_archived_only_unlinks() {
    let mut gateway = Gateway::embedded();
    gateway.set("TGW_WAL__ARCHIVE_DIR", "archive");
    three_segments(&gateway).await;
    let journal = open(&gateway);
    let Ok(Done::Archiver(Some(archiver))) = journal.writer.perform(Job::Archiver).await else {
        panic!("an archive is configured");
    };
    for first in [1, 11] {
        archiver.archive(seq(first)).expect("archived");
    }
    // Nothing could be written or read here.
    let (archive, away) = (gateway.data_dir().join("archive"), gateway.path("away"));
    std::fs::rename(&archive, &away).expect("moved");
    let done = journal
        .writer
        .perform(Job::Trim { keep_from: seq(21) })
        .await;
    let Ok(Done::Trimmed(gone)) = done else {
        panic!("{done:?}");
    };
    assert_eq!(gone.len(), 2);
    std::fs::rename(&away, &archive).expect("moved back");
    journal.close().await;
    assert_eq!(
        numbers(&gateway.ok(&["wal", "dump", "--json"])),
        (1..=30).collect::<Vec<u64>>()
    );
}

#[test]
fn appends_go_on_while_a_segment_is_archived() {
    let mut gateway = Gateway::embedded();
    gateway.set("TGW_WAL__ARCHIVE_DIR", "archive");
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "500"]);
    wait_until("events flow", || gateway.tail() > 50);
    let last = gateway.json(&["wal", "seal", "--json"])["last"].as_u64();
    wait_until("the store is behind it", || {
        gateway.json(&["status", "--json"])["stores"][0]["seq"].as_u64() > last
    });
    // Whoever looks whether the container is there waits until somebody writes into it.
    let name = "segment-00000000000000000001.walz";
    let container = gateway.data_dir().join("archive").join(name);
    let made = Command::new("mkfifo").arg(&container).status();
    assert!(made.expect("mkfifo").success());
    let keep_from = (last.expect("a segment") + 1).to_string();
    let trim = ["wal", "trim", "--keep-from", &keep_from, "--yes", "--json"];
    let stuck = gateway
        .command(&trim)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let mut stuck = stuck.expect("the program starts");
    let tail = gateway.tail();
    wait_until("ingest goes on", || gateway.tail() > tail + 500);
    assert!(stuck.try_wait().expect("a child").is_none(), "it waits");
    wait_until("the archiver is at the container", || release(&container));
    // What was there is no container, and a whole one takes its place.
    assert_eq!(stuck.wait().expect("an end").code(), Some(0));
    let stat = gateway.json(&["wal", "stat", "--json"]);
    assert_eq!(stat["segments"][0]["archived"], true, "{stat}");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
}

/// Lets go who waits at the reading end; false while nobody does.
fn release(fifo: &Path) -> bool {
    const O_NONBLOCK: i32 = 0o4000;
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(O_NONBLOCK);
    options.open(fifo).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn salvage_takes_from_a_backup_what_cannot_be_read() {
    for beside in [false, true] {
        let gateway = Gateway::embedded();
        three_segments(&gateway).await;
        let backup = gateway.path("backup");
        let reader = wal::Reader::open(&gateway.data_dir().join("log")).expect("a log");
        wal::backup(&reader, &backup, wal::Pace::UNLIMITED, &mut |_| {}).expect("a backup");
        drop(reader);
        let before = gateway.ok(&["wal", "dump", "--json"]);
        damage(&gateway, "text-0014");
        let missing = ["wal", "salvage", "--from", "nowhere", "--yes"];
        assert_eq!(gateway.run(&missing).status.code(), Some(2));
        let daemon = beside.then(|| gateway.start(&["run"]));
        wait_until("the daemon is there", || {
            !beside || gateway.json(&["status", "--json"])["running"] == true
        });
        // By a relative path: the daemon is told which directory is meant.
        let done = gateway.json(&["wal", "salvage", "--from", "backup", "--yes", "--json"]);
        let saved = &done["segments"][0];
        assert_eq!(saved["complete"], true, "{done}");
        let found = [&saved["engine"], &saved["carved"], &saved["given"]];
        assert_eq!(
            found.map(Value::as_u64),
            [Some(9), Some(0), Some(1)],
            "{done}"
        );
        assert_eq!(done["given"][0]["records"], 1);
        assert!(
            gateway.ok(&["wal", "dump", "--json"]) == before,
            "byte for byte"
        );
        gateway.ok(&["verify", "log"]);
        if let Some(mut daemon) = daemon {
            assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_a_flipped_byte_in_the_archive() {
    let mut gateway = Gateway::embedded();
    gateway.set("TGW_WAL__ARCHIVE_DIR", "archive");
    three_segments(&gateway).await;
    gateway.ok(&["run", "--drain"]);
    gateway.ok(&["wal", "trim", "--keep-from", "21", "--yes"]);
    let clean = gateway.json(&["verify", "log", "--json"]);
    assert_eq!(
        (&clean["containers"], &clean["archived"]),
        (&2.into(), &20.into())
    );
    let name = "segment-00000000000000000011.walz";
    let file = gateway.data_dir().join("archive").join(name);
    let mut bytes = std::fs::read(&file).expect("a container");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let output = gateway.run(&["verify", "log", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["shown"][0]["place"], name);
    assert_eq!(found["shown"][0]["kind"], "container_damaged");
}

/// The engine panics on a page of a kind that it does not know; that is one of the findings, and nothing is printed of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_over_a_damaged_page_is_a_finding_and_prints_nothing() {
    let gateway = Gateway::embedded();
    three_segments(&gateway).await;
    let name = "segment-00000000000000000011.redb";
    let file = gateway.data_dir().join("log").join(name);
    let mut bytes = std::fs::read(&file).expect("a segment");
    for page in bytes.chunks_mut(4096).skip(1) {
        if matches!(page[0], 1 | 2) {
            page[0] = 9;
        }
    }
    std::fs::write(&file, bytes).expect("written");
    let output = gateway.run(&["verify", "log", "--json"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let shown = found["shown"].as_array().expect("findings");
    assert!(
        shown
            .iter()
            .any(|it| it["place"] == name && it.to_string().contains("panicked")),
        "{found}"
    );
}

/// What is wrong with the log, as the daemon tells it.
fn complaints(gateway: &Gateway) -> Vec<String> {
    let live = &gateway.json(&["wal", "stat", "--json"])["live"];
    let told = live["complaints"].as_array().cloned().unwrap_or_default();
    let words = told.iter().filter_map(Value::as_str);
    words.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_told_until_it_is_salvaged() {
    let gateway = Gateway::embedded();
    three_segments(&gateway).await;
    damage(&gateway, "text-0014");
    told_until_salvaged(&gateway, "record 14 ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_gone_is_told_until_it_is_salvaged() {
    let gateway = Gateway::embedded();
    three_segments(&gateway).await;
    let gone = "log/segment-00000000000000000011.redb";
    std::fs::remove_file(gateway.data_dir().join(gone)).expect("it was there");
    told_until_salvaged(&gateway, "segment-00000000000000000011");
}

/// A daemon takes events, says what is damaged and what mends it, and is well again once that was done.
fn told_until_salvaged(gateway: &Gateway, what: &str) {
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "100"]);
    wait_until("it takes events", || gateway.tail() > 50);
    wait_until("it says that it is not well", || {
        complaints(gateway).iter().any(|it| it.contains(what))
    });
    let told = complaints(gateway);
    let hint = |it: &String| it.ends_with("telegram-gateway wal salvage");
    assert!(told.iter().all(hint), "{told:?}");
    for command in [&["wal", "stat"][..], &["status"]] {
        let words = gateway.ok(command);
        assert!(
            words.contains("not well") && words.contains(&told[0]),
            "{words}"
        );
    }
    gateway.ok(&["wal", "salvage", "--yes"]);
    assert_eq!(complaints(gateway), Vec::<String>::new());
    let tail = gateway.tail();
    wait_until("it goes on", || gateway.tail() > tail);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["verify", "log"]);
}
