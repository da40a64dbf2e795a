//! A backup taken beside the daemon, and a log made from it that goes on where no number was.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::gateway::{Gateway, repository, wait_until};

const EXPORT: &str = "fixtures/import/desktop-channel.json";

fn synthetic(gateway: &Gateway, events: u64) {
    let events = events.to_string();
    gateway.ok(&[
        "run",
        "--source",
        "synthetic",
        "--rate",
        "0",
        "--drain",
        "--events",
        &events,
    ]);
}

/// A log of several segments.
fn some_log() -> Gateway {
    let gateway = Gateway::embedded();
    for events in [300, 600] {
        synthetic(&gateway, events);
        gateway.ok(&["wal", "seal"]);
    }
    synthetic(&gateway, 700);
    gateway
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

fn log(gateway: &Gateway) -> PathBuf {
    gateway.data_dir().join("log")
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for word in words.iter().chain(&["hint: "]) {
        assert!(told.contains(word), "no {word:?} in:\n{told}");
    }
}

/// The files of a backup but its index, oldest first.
fn containers(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "walz"))
        .collect();
    found.sort();
    found
}

/// Changes a byte in the middle of a file.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn a_log_backed_up_flat_out_comes_back_behind_what_its_store_has_seen() {
    let mut gateway = Gateway::embedded();
    gateway.set("TGW_WAL__SEGMENT_BYTES_MAX", "1MiB");
    let to = gateway.path("backup");
    let take = ["backup", text(&to), "--json"];
    let flat_out = ["run", "--source", "synthetic", "--rate", "0"];
    let daemon = gateway.start(&flat_out);
    wait_until("events flow", || gateway.tail() > 2000);
    let first = gateway.json(&take);
    assert!(number(&first["written"]) > 0, "{first}");
    assert_eq!(first["written"], first["segments"]);
    let tail = gateway.tail();
    wait_until("ingest goes on", || gateway.tail() > tail + 2000);
    let second = gateway.json(&take);
    assert_eq!(
        second["already_there"], first["segments"],
        "only what is new"
    );
    assert!(number(&second["written"]) > 0, "{second}");
    let last = number(&second["last"]);
    assert!(last > number(&first["last"]) && number(&second["tail"]) >= last);
    let store = || {
        let status = gateway.json(&["status", "--json"]);
        number(&status["stores"][0]["seq"])
    };
    wait_until("the store is ahead of the backup", || store() > last);
    daemon.kill();
    let checked = gateway.json(&["backup", "verify", text(&to), "--json"]);
    assert_eq!(
        (&checked["clean"], &checked["records"]),
        (&true.into(), &last.into())
    );

    // Another machine, which has the store and not the log.
    let mut other = Gateway::embedded();
    let reached = store();
    other.set(
        "TGW_SQLITE__PATH",
        text(&gateway.config().sqlite.expect("on").path),
    );
    let done = other.json(&["restore", text(&to), "--json"]);
    assert_eq!((&done["last"], &done["epoch"]), (&last.into(), &2.into()));
    let fence = number(&done["fence"]);
    assert!(fence >= reached + 1_000_000, "{done}");
    assert_eq!(done["ahead"][0]["seq"], reached, "{done}");
    // The source sends again what came after the backup, and more comes.
    synthetic(&other, gateway.tail());
    other.verify();
    let export = repository(EXPORT);
    other.ok(&["import", text(&export)]);
    let dump = other.ok(&["wal", "dump", "--from", &(last + 1).to_string(), "--json"]);
    let new = dump
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let numbers: Vec<u64> = new.map(|line| number(&line["seq"])).collect();
    assert!(!numbers.is_empty() && numbers.iter().all(|seq| *seq > fence));
    other.verify();
}

#[test]
fn a_backup_goes_through_a_pipe_and_what_was_lost_is_imported_again() {
    let gateway = some_log();
    let export = repository(EXPORT);
    let other = Gateway::embedded();
    let mut backup = gateway
        .command(&["backup", "-", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let restored = other
        .command(&["restore", "-", "--json"])
        .stdin(backup.stdout.take().expect("piped"))
        .output()
        .expect("the program starts");
    let told = backup.wait_with_output().expect("an end");
    assert!(told.status.success());
    let report: Value = serde_json::from_slice(&told.stderr).expect("JSON beside the tar");
    assert_eq!(
        (&report["last"], &report["tail"]),
        (&700.into(), &700.into())
    );
    let told = String::from_utf8_lossy(&restored.stderr).into_owned();
    assert!(restored.status.success(), "{told}");
    let done: Value = serde_json::from_slice(&restored.stdout).expect("JSON");
    assert_eq!(
        (&done["records"], &done["fence"]),
        (&700.into(), &1_000_700.into())
    );
    let appended = gateway.json(&["import", text(&export), "--json"])["appended"].clone();
    let again = other.json(&["import", text(&export), "--json"]);
    assert_eq!(again["appended"], appended);
    // The source goes on where the backup had it, and is sent nothing twice.
    synthetic(&other, 750);
    assert_eq!(other.tail(), 1_000_700 + number(&appended) + 50);
    other.verify();
}

#[test]
fn what_was_trimmed_before_the_backup_is_not_imported_again_after_the_restore() {
    let (gateway, other) = (Gateway::embedded(), Gateway::embedded());
    let export = repository(EXPORT);
    let appended = number(&gateway.json(&["import", text(&export), "--json"])["appended"]);
    assert!(appended > 0);
    synthetic(&gateway, 100);
    gateway.ok(&["run", "--drain"]);
    gateway.ok(&["wal", "seal"]);
    let keep_from = (appended + 1).to_string();
    gateway.ok(&["wal", "trim", "--keep-from", &keep_from, "--yes"]);
    synthetic(&gateway, 150);
    gateway.ok(&["wal", "seal"]);
    gateway.ok(&["run", "--drain"]);
    let all = (gateway.tail() + 1).to_string();
    gateway.ok(&["wal", "trim", "--keep-from", &all, "--yes"]);
    let backup = gateway.path("backup");
    let report = gateway.json(&["backup", text(&backup), "--json"]);
    assert!(number(&report["trimmed_keys"]) >= appended, "{report}");
    other.ok(&["restore", text(&backup), "--fence", "100000"]);
    let again = other.json(&["import", text(&export), "--json"]);
    assert_eq!(again["appended"], 0, "{again}");
}

#[test]
fn a_damaged_byte_is_found_and_makes_no_log() {
    let gateway = some_log();
    let to = gateway.path("backup");
    let said = gateway.ok(&["backup", text(&to)]);
    assert!(said.contains("1..=700 in 3 files"), "{said}");
    assert!(
        gateway
            .ok(&["backup", "verify", text(&to)])
            .contains(": clean")
    );
    let files = containers(&to);
    damage(&files[1]);
    let checked = gateway.run(&["backup", "verify", text(&to), "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    let name = files[1].file_name().expect("a name").to_str();
    assert_eq!(report["clean"], false);
    assert_eq!(report["findings"][0]["file"].as_str(), name, "{report}");

    let other = Gateway::embedded();
    let failed = other.run(&["restore", text(&to)]);
    refused(&failed, 65, &["backup verify"]);
    // Marked as unfinished, it is no log for anybody.
    for line in [
        &["run", "--drain"][..],
        &["import", text(&repository(EXPORT))],
        &["status"],
        &["wal", "stat"],
    ] {
        refused(&other.run(line), 1, &["telegram-gateway restore"]);
    }
    // The next backup writes what is damaged again, and the second restore finishes what the first began.
    std::fs::remove_file(&files[1]).expect("removed");
    let mended = gateway.json(&["backup", text(&to), "--json"]);
    assert_eq!(mended["written"], 1, "{mended}");
    let said = other.ok(&["restore", text(&to)]);
    assert!(said.contains("epoch 2") && said.contains("next:"), "{said}");
    other.ok(&["run", "--drain"]);
    other.verify();
    damage(&to.join("backup.txt"));
    let checked = gateway.run(&["backup", "verify", text(&to)]);
    assert_eq!(checked.status.code(), Some(1), "the index is part of it");
}

#[test]
fn a_restore_touches_no_log_and_every_life_has_its_own_epoch() {
    let gateway = some_log();
    let to = gateway.path("backup");
    gateway.ok(&["backup", text(&to)]);
    let before = gateway.ok(&["wal", "stat", "--json"]);
    refused(&gateway.run(&["restore", text(&to)]), 1, &["not empty"]);
    assert_eq!(gateway.ok(&["wal", "stat", "--json"]), before);
    // The same backup twice below the same store, which took the first restored log for its own.
    for epoch in [2, 3] {
        std::fs::remove_dir_all(log(&gateway)).expect("the log");
        let low = gateway.run(&["restore", text(&to), "--fence", "699"]);
        refused(&low, 2, &["below"]);
        let done = gateway.json(&["restore", text(&to), "--json"]);
        assert_eq!(done["epoch"], epoch, "{done}");
        let export = repository(EXPORT);
        assert!(number(&gateway.json(&["import", text(&export), "--json"])["appended"]) > 0);
        gateway.ok(&["run", "--drain"]);
        gateway.verify();
        assert!(gateway.tail() > number(&done["fence"]));
    }
}

#[test]
fn a_store_that_cannot_be_asked_needs_the_fence_from_its_owner() {
    let gateway = some_log();
    let to = gateway.path("backup");
    gateway.ok(&["backup", text(&to)]);
    let mut other = Gateway::embedded();
    // Nothing listens there.
    other.set("TGW_REDIS__URL", "redis://127.0.0.1:1/0");
    refused(
        &other.run(&["restore", text(&to)]),
        69,
        &["redis", "--fence"],
    );
    assert!(!log(&other).exists(), "nothing was changed");
    let done = other.json(&["restore", text(&to), "--fence", "5000", "--json"]);
    assert_eq!(done["fence"], 5000);
    assert_eq!(other.json(&["wal", "stat", "--json"])["tail"], 5000);
}

#[test]
fn a_backup_holds_no_session_and_no_secret() {
    const SECRET: &[u8] = b"0123456789abcdef-as-in-a-session";
    let gateway = some_log();
    for place in ["telegram/main/session.redb", "log/session.redb", "api_hash"] {
        let file = gateway.data_dir().join(place);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, SECRET).expect("written");
    }
    let to = gateway.path("backup");
    gateway.ok(&["backup", text(&to)]);
    let entries = std::fs::read_dir(&to).expect("a directory");
    let files: Vec<PathBuf> = entries.map(|it| it.expect("an entry").path()).collect();
    assert!(files.len() > containers(&to).len(), "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).expect("a file, and no folder");
        let is_there = bytes.windows(SECRET.len()).any(|part| part == SECRET);
        assert!(!is_there, "{}", file.display());
    }
}

#[test]
fn what_is_no_backup_or_no_place_for_one_is_refused() {
    let gateway = some_log();
    let none = gateway.path("none");
    refused(
        &gateway.run(&["backup", "verify", text(&none)]),
        2,
        &["no backup"],
    );
    let other = Gateway::embedded();
    refused(&other.run(&["restore", text(&none)]), 1, &["no backup"]);
    refused(&other.run(&["backup", text(&none)]), 1, &["no log"]);
    assert!(!none.exists());
    // A directory with the backup of another log is left alone.
    let to = gateway.path("backup");
    gateway.ok(&["backup", text(&to)]);
    synthetic(&other, 10);
    refused(
        &other.run(&["backup", text(&to)]),
        1,
        &["backup of log", "empty directory"],
    );
    gateway.ok(&["backup", "verify", text(&to)]);
    let cut = Gateway::embedded().run(&["restore", "-"]);
    refused(&cut, 65, &["not a whole backup"]);
}
