//! What a machine can do to the log: syncs that fail, a clock that jumps, directories that are not ours.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::full_disk::Small;
use crate::support::gateway::{Gateway, wait_until};
use crate::support::receipts::{nothing_lost_or_doubled, receipts_are_in_the_log};
use crate::support::shim::Shim;

const WAITS: &str = "the log cannot be written; ingest waits";

/// What was acknowledged is in the log, once, and the stores agree with it.
async fn all_is_there(gateway: &Gateway, receipts: &str) {
    gateway.ok(&["run", "--drain"]);
    let events = gateway.events().await;
    nothing_lost_or_doubled(&events);
    receipts_are_in_the_log(receipts, &events);
    gateway.verify();
}

fn flow(rate: &'static str, receipts: &str) -> Vec<String> {
    let fixed = ["run", "--source", "synthetic", "--rate", rate, "--receipts"];
    let mut line: Vec<String> = fixed.map(str::to_owned).into();
    line.push(receipts.to_owned());
    line
}

fn strs(line: &[String]) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_sync_the_log_is_opened_anew_and_goes_on() {
    let mut gateway = Gateway::embedded();
    let shim = Shim::under(&mut gateway);
    let receipts = gateway.path("receipts").display().to_string();
    let line = flow("2000", &receipts);
    let mut daemon = gateway.start(&strs(&line));
    for _ in 0..4 {
        let before = gateway.tail();
        wait_until("events flow", || gateway.tail() > before + 100);
        let told = daemon.words().matches(WAITS).count();
        shim.fail_next();
        wait_until("it is told", || {
            daemon.words().matches(WAITS).count() > told
        });
        let failed = gateway.tail();
        wait_until("events flow again", || gateway.tail() > failed + 100);
        assert!(daemon.is_running(), "{}", daemon.words());
    }
    let live = gateway.json(&["wal", "stat", "--json"])["live"].clone();
    assert_eq!(
        (&live["healthy"], &live["reopenings"]),
        (&true.into(), &4.into()),
        "{live}"
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    all_is_there(&gateway, &receipts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_first_syncs_may_fail() {
    for nth in 1..=24 {
        let mut gateway = Gateway::embedded();
        let shim = Shim::under(&mut gateway);
        let receipts = gateway.path("receipts").display().to_string();
        shim.fail_nth(nth);
        let mut line = flow("0", &receipts);
        line.extend(["--events", "300", "--drain"].map(str::to_owned));
        let output = gateway.run(&strs(&line));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        // The log could not even be opened, or it went on by itself.
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "sync {nth}: {told}"
        );
        assert_eq!(
            output.status.success(),
            !told.contains("error: "),
            "sync {nth}: {told}"
        );
        shim.mend();
        if !output.status.success() {
            gateway.ok(&strs(&line));
        }
        all_is_there(&gateway, &receipts).await;
        assert_eq!(gateway.events().await.len(), 300, "sync {nth}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_for_good_ends_with_its_reason_and_loses_nothing() {
    let mut gateway = Gateway::embedded();
    let shim = Shim::under(&mut gateway);
    let receipts = gateway.path("receipts").display().to_string();
    let line = flow("2000", &receipts);
    let mut daemon = gateway.start(&strs(&line));
    wait_until("events flow", || gateway.tail() > 100);
    shim.fail();
    wait_until("it keeps saying so", || {
        daemon.words().matches(WAITS).count() > 2
    });
    assert!(daemon.is_running());
    assert_eq!(daemon.terminate().code(), Some(1), "{}", daemon.words());
    let words = daemon.words();
    assert!(
        words.contains("hint: ") && words.contains("os error 5"),
        "{words}"
    );
    shim.mend();
    all_is_there(&gateway, &receipts).await;
}

#[test]
fn order_is_by_number_whatever_the_clock_does() {
    let mut gateway = Gateway::embedded();
    let shim = Shim::under(&mut gateway);
    // Without a pace: what is due at a time is stamped with that time.
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "0"]);
    // More than what may be on its way when the clock jumps. Two days forward, three back, and right again; a segment lives for one day.
    for seconds in [2 * 86_400, -86_400, 0] {
        let before = gateway.tail();
        wait_until("events flow", || gateway.tail() > before + 5_000);
        shim.clock(seconds);
    }
    let before = gateway.tail();
    wait_until("events flow", || gateway.tail() > before + 5_000);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    let stat = gateway.json(&["wal", "stat", "--json"]);
    assert_eq!(
        stat["segments"].as_array().map(Vec::len),
        Some(1),
        "age is measured, not read off the clock"
    );
    let lines = gateway.ok(&["wal", "dump", "--json"]);
    let line = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let received: Vec<String> = lines
        .lines()
        .map(|text| {
            line(text)["received_at"]
                .as_str()
                .expect("a time")
                .to_owned()
        })
        .collect();
    let back = received.windows(2).filter(|pair| pair[1] < pair[0]);
    assert!(back.count() >= 1, "the clock went back");
    for (expected, text) in (1..).zip(lines.lines()) {
        assert_eq!(line(text)["seq"], expected);
    }
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
}

#[test]
fn a_second_daemon_is_refused_within_a_second() {
    let gateway = Gateway::embedded();
    let mut daemon = gateway.start(&["run"]);
    wait_until("the log is there", || gateway.journal().is_some());
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        let output = gateway.run(&["run"]);
        fastest = fastest.min(began.elapsed());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(75), "{told}");
        assert!(
            told.contains(&format!("process {} on ", daemon.id())),
            "{told}"
        );
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    assert_eq!(daemon.terminate().code(), Some(0));
}

/// Every file below a folder with its size and times.
fn listing(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let data = entry.metadata().expect("there");
        found.push(format!(
            "{:?} {} {:?}",
            entry.path(),
            data.len(),
            data.modified()
        ));
        if data.is_dir() {
            found.extend(listing(&entry.path()));
        }
    }
    found.sort();
    found
}

#[track_caller]
fn refused(output: &Output, hint: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{told}");
    let line = told.lines().find(|line| line.contains("hint: "));
    assert!(
        line.is_some_and(|line| line.contains(hint)),
        "no {hint:?} in {told}"
    );
}

#[test]
fn a_data_directory_that_others_may_write_is_refused_and_left_alone() {
    let gateway = Gateway::embedded();
    gateway.ok(&[
        "run",
        "--source",
        "synthetic",
        "--rate",
        "0",
        "--events",
        "10",
        "--drain",
    ]);
    let data = gateway.data_dir();
    let before = listing(&data);
    for (path, mode, code) in [
        (data.clone(), 0o770, 77),
        (data.clone(), 0o702, 77),
        (data.join("log"), 0o720, 77),
        (data.clone(), 0o755, 0),
    ] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("mode set");
        let output = gateway.run(&["wal", "seal"]);
        if code == 77 {
            refused(&output, &format!("chmod 700 {}", path.display()));
            refused(&gateway.run(&["run"]), "chmod 700 ");
            assert_eq!(listing(&data), before, "{mode:o}");
        } else {
            assert_eq!(output.status.code(), Some(0));
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("mode set");
    }
    let before = listing(&data);
    if chown(&data, Some(65_534), None).is_ok() {
        refused(&gateway.run(&["run"]), "sudo -u '#65534'");
        assert_eq!(listing(&data), before);
    }
}

#[test]
fn a_log_that_cannot_be_written_can_be_read() {
    let gateway = Gateway::embedded();
    let data = gateway.data_dir();
    let Some(small) = Small::mount(&data) else {
        return;
    };
    gateway.ok(&[
        "run",
        "--source",
        "synthetic",
        "--rate",
        "0",
        "--events",
        "10",
        "--drain",
    ]);
    small.read_only();
    let before = listing(&data);
    refused(&gateway.run(&["run"]), "remount,rw");
    refused(&gateway.run(&["wal", "seal"]), "remount,rw");
    assert_eq!(gateway.json(&["wal", "stat", "--json"])["events"], 10);
    assert_eq!(gateway.ok(&["wal", "dump"]).lines().count(), 10);
    gateway.ok(&["verify", "log"]);
    assert_eq!(listing(&data), before);
}
