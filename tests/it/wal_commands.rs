//! `wal`: looking into the log and changing it, beside a running daemon and without one.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use telegram_gateway::event::{Body, Origin, Timestamp};
use telegram_gateway::journal::{Append, Job, Journal};
use telegram_gateway::status::Status;

use crate::support::events::{event, message, peer};
use crate::support::gateway::{Gateway, wait_until};

/// A log of three segments of ten records each, the last one active, that no store has seen.
pub(crate) async fn three_segments(gateway: &Gateway) {
    let config = gateway.config();
    let journal =
        Journal::open(&config.data_dir, &config.wal, Status::new(), |_| {}).expect("a log");
    for part in 0..3_i64 {
        let records = (part * 10 + 1..=part * 10 + 10).map(|id| {
            let body = Body::Posted(Box::new(message(id, &format!("text-{id:04}"))));
            let event = event(peer(1), Origin::Live, body);
            event.to_record(Timestamp::now()).expect("a record")
        });
        let append = Append {
            records: records.collect(),
            bookmarks: vec![("box".to_owned(), vec![1, 2, 3])],
            ..Append::default()
        };
        journal.writer.append(append).await.expect("durable");
        if part < 2 {
            journal.writer.perform(Job::Seal).await.expect("sealed");
        }
    }
    journal.close().await;
}

/// The numbers of lines of JSON.
pub(crate) fn numbers(lines: &str) -> Vec<u64> {
    lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|line| line["seq"].as_u64().expect("a number"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_shown_whole_and_in_part() {
    let gateway = Gateway::embedded();
    three_segments(&gateway).await;
    let stat = gateway.json(&["wal", "stat", "--json"]);
    assert_eq!(
        (&stat["first"], &stat["tail"], &stat["events"]),
        (&1.into(), &30.into(), &30.into())
    );
    let segments = stat["segments"].as_array().expect("a list");
    let sealed: Vec<bool> = segments.iter().map(|it| it["sealed"] == true).collect();
    assert_eq!(sealed, [true, true, false]);
    assert_eq!(segments[0]["digest"].as_str().map(str::len), Some(64));
    assert_eq!(
        (&segments[1]["first"], &segments[1]["last"]),
        (&11.into(), &20.into())
    );
    assert_eq!(stat["bookmarks"][0]["bytes"], 3);
    assert_eq!(stat["live"], Value::Null, "no daemon runs");
    assert!(
        gateway
            .ok(&["wal", "stat"])
            .contains("no daemon is running")
    );

    let all = gateway.ok(&["wal", "dump", "--json"]);
    assert_eq!(numbers(&all), (1..=30).collect::<Vec<u64>>());
    let line: Value = serde_json::from_str(all.lines().nth(6).expect("a line")).expect("JSON");
    assert_eq!(line["event"]["body"]["posted"]["text"], "text-0007");
    let part = ["wal", "dump", "--from", "9", "--until", "12", "--json"];
    assert_eq!(numbers(&gateway.ok(&part)), [9, 10, 11, 12]);
    let limited = ["wal", "dump", "--from", "29", "--limit", "1", "--json"];
    assert_eq!(numbers(&gateway.ok(&limited)), [29]);
    assert_eq!(
        numbers(&gateway.ok(&["wal", "tail", "-n", "12", "--json"])),
        (19..=30).collect::<Vec<u64>>()
    );
    let words = gateway.ok(&["wal", "tail", "-n", "1"]);
    assert!(
        words.contains("posted") && words.contains("text-0030"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_needs_is_never_trimmed() {
    let gateway = Gateway::embedded();
    three_segments(&gateway).await;
    let plan = gateway.json(&["wal", "trim", "--keep-from", "21", "--yes", "--json"]);
    assert_eq!(plan["done"], false, "{plan}");
    assert_eq!(plan["plan"]["held"].as_array().map(Vec::len), Some(2));
    assert_eq!(plan["plan"]["held_by"][0]["name"], "store sqlite");
    gateway.ok(&["run", "--drain"]);
    let trim = ["wal", "trim", "--keep-from", "21", "--json"];
    let output = gateway.run(&trim);
    assert_eq!(output.status.code(), Some(2), "nobody is there to agree");
    let plan = gateway.json(&["wal", "trim", "--keep-from", "15", "--plan", "--json"]);
    assert_eq!(
        (&plan["done"], &plan["plan"]["go"][0]["last"]),
        (&false.into(), &10.into())
    );
    assert_eq!(
        gateway.json(&["wal", "stat", "--json"])["first"],
        1,
        "only planned"
    );
    let done = gateway.json(&["wal", "trim", "--keep-from", "15", "--yes", "--json"]);
    assert_eq!(done["done"], true);
    assert_eq!(gateway.json(&["wal", "stat", "--json"])["first"], 11);
    // All that is sealed goes; the log goes on where it was.
    gateway.ok(&["wal", "seal"]);
    gateway.ok(&["wal", "trim", "--keep-from", "1000", "--yes"]);
    assert!(gateway.ok(&["wal", "dump"]).is_empty());
    assert_eq!(gateway.json(&["status", "--json"])["tail"], 30);
    gateway.ok(&["verify", "log"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_and_before_its_time_nothing_goes() {
    let mut gateway = Gateway::embedded();
    three_segments(&gateway).await;
    gateway.ok(&["run", "--drain"]);
    let plan = gateway.json(&["wal", "trim", "--plan", "--json"]);
    assert_eq!(plan["plan"]["go"], serde_json::json!([]));
    gateway.set("TGW_WAL__KEEP_AGE", "1h");
    let plan = gateway.json(&["wal", "trim", "--plan", "--json"]);
    assert_eq!(plan["plan"]["go"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_trimmed_into_the_archive_is_read_on() {
    let mut gateway = Gateway::embedded();
    three_segments(&gateway).await;
    gateway.ok(&["run", "--drain"]);
    gateway.set("TGW_WAL__ARCHIVE_DIR", "archive");
    let done = gateway.json(&["wal", "trim", "--keep-from", "21", "--yes", "--json"]);
    assert_eq!(done["done"], true, "{done}");
    assert!(gateway.data_dir().join("archive").is_dir());
    let all = gateway.ok(&["wal", "dump", "--json"]);
    assert_eq!(numbers(&all), (1..=30).collect::<Vec<u64>>());
    let stat = gateway.json(&["wal", "stat", "--json"]);
    let segments = stat["segments"].as_array().expect("a list");
    let archived: Vec<bool> = segments.iter().map(|it| it["archived"] == true).collect();
    assert_eq!(archived, [true, true, false]);
    let again = gateway.json(&["wal", "trim", "--keep-from", "21", "--yes", "--json"]);
    assert_eq!(again["plan"]["go"], serde_json::json!([]));
    gateway.verify();
}

#[test]
fn a_daemon_keeps_the_log_as_small_as_configured() {
    let mut gateway = Gateway::embedded();
    gateway.set("TGW_WAL__SEGMENT_BYTES_MAX", "1MiB");
    gateway.set("TGW_WAL__KEEP_BYTES", "6MiB");
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "4000"]);
    let stat = || gateway.json(&["wal", "stat", "--json"]);
    wait_until("there is a log", || gateway.journal().is_some());
    let mut first = 1;
    for _ in 0..2 {
        wait_until("old segments go", || stat()["first"].as_u64() > Some(first));
        first = stat()["first"].as_u64().expect("a number");
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["run", "--drain"]);
    gateway.ok(&["verify", "log"]);
}

#[test]
fn a_running_daemon_seals_and_trims_when_asked() {
    let gateway = Gateway::embedded();
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "500"]);
    wait_until("events flow", || gateway.tail() > 50);
    let sealed = gateway.json(&["wal", "seal", "--json"]);
    let last = sealed["last"].as_u64().expect("a segment");
    wait_until("the store is behind it", || {
        let status = gateway.json(&["status", "--json"]);
        assert_eq!(status["running"], true);
        assert_eq!(status["complaints"], serde_json::json!([]));
        status["stores"][0]["seq"].as_u64() > Some(last)
    });
    let keep_from = (last + 1).to_string();
    let trimmed = gateway.json(&["wal", "trim", "--keep-from", &keep_from, "--yes", "--json"]);
    assert_eq!(trimmed["done"], true, "{trimmed}");
    let stat = gateway.json(&["wal", "stat", "--json"]);
    assert_eq!(stat["first"], last + 1);
    let live = &stat["live"];
    assert_eq!(
        (&live["healthy"], &live["ballast"]),
        (&true.into(), &"whole".into())
    );
    assert!(live["commits"].as_u64() > Some(1), "{live}");
    assert_eq!(live["seals_us"]["count"], 1, "{live}");
    let tail = gateway.tail();
    wait_until("ingest goes on", || gateway.tail() > tail + 100);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["verify", "log"]);
}

#[test]
fn compaction_beside_a_daemon_keeps_every_record_and_digest() {
    let gateway = Gateway::embedded();
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "500"]);
    for turn in 1..=2 {
        wait_until("events flow", || gateway.tail() > turn * 200);
        gateway.ok(&["wal", "seal"]);
    }
    let digests = || {
        let stat = gateway.json(&["wal", "stat", "--json"]);
        let segments = stat["segments"].as_array().expect("a list").clone();
        let mut digests: Vec<Value> = segments.iter().map(|it| it["digest"].clone()).collect();
        digests.truncate(2);
        digests
    };
    let before = digests();
    let done = gateway.json(&["wal", "compact", "--json"]);
    let segments = done.as_array().expect("a list");
    assert_eq!(segments.len(), 2);
    for it in segments {
        assert!(it["after"].as_u64() <= it["before"].as_u64(), "{it}");
    }
    assert_eq!(digests(), before);
    let tail = gateway.tail();
    wait_until("ingest goes on", || gateway.tail() > tail + 100);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    let none = gateway.run(&["wal", "compact", "--first", "2"]);
    assert_eq!(none.status.code(), Some(1), "no segment starts there");
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
}

#[test]
fn tail_follows_across_segments_and_ends_with_ctrl_c() {
    let gateway = Gateway::embedded();
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "500"]);
    wait_until("events flow", || gateway.tail() > 20);
    let mut tail = gateway
        .command(&["wal", "tail", "--follow", "--json", "-n", "5"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(tail.stdout.take().expect("piped")).lines();
    let mut last = None;
    for turn in 0..400 {
        let line = lines.next().expect("it goes on").expect("text");
        let seq = numbers(&line)[0];
        assert!(
            last.is_none_or(|last| seq == last + 1),
            "{last:?} then {seq}"
        );
        last = Some(seq);
        if turn % 100 == 50 {
            gateway.ok(&["wal", "seal"]);
        }
    }
    assert!(last > gateway.json(&["wal", "stat", "--json"])["segments"][0]["last"].as_u64());
    let pid = tail.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.expect("kill").success());
    assert_eq!(tail.wait().expect("an end").code(), Some(0));
    // A reader that goes away ends it too.
    let mut tail = gateway
        .command(&["wal", "tail", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(tail.stdout.take());
    assert_eq!(tail.wait().expect("an end").code(), Some(0));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
}

/// Flips a bit in every copy of a text in the second of three segments.
pub(crate) fn damage(gateway: &Gateway, text: &str) {
    let file = gateway
        .data_dir()
        .join("log/segment-00000000000000000011.redb");
    let mut bytes = std::fs::read(&file).expect("a segment");
    let text = text.as_bytes();
    let places: Vec<usize> = (0..bytes.len() - text.len())
        .filter(|at| &bytes[*at..at + text.len()] == text)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] ^= 1;
    }
    std::fs::write(&file, bytes).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_named_and_stepped_over_only_when_told() {
    let gateway = Gateway::embedded();
    three_segments(&gateway).await;
    damage(&gateway, "text-0014");
    let output = gateway.run(&["wal", "dump", "--json"]);
    assert_eq!(output.status.code(), Some(65));
    let before = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(numbers(&before), (1..=13).collect::<Vec<u64>>());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("record 14") && told.contains("hint: "),
        "{told}"
    );
    let output = gateway.run(&["wal", "dump", "--json", "--skip-damaged"]);
    assert_eq!(output.status.code(), Some(65));
    let all = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(numbers(&all), (1..=30).collect::<Vec<u64>>());
    let findings: Vec<&str> = all
        .lines()
        .filter(|line| line.contains("damaged"))
        .collect();
    assert_eq!(numbers(&findings.join("\n")), [14]);
}

#[tokio::test(flavor = "multi_thread")]
async fn salvage_keeps_the_numbers_with_a_daemon_and_without() {
    for beside in [false, true] {
        let gateway = Gateway::embedded();
        three_segments(&gateway).await;
        damage(&gateway, "text-0014");
        assert_eq!(
            gateway.run(&["wal", "salvage"]).status.code(),
            Some(2),
            "nobody agrees"
        );
        let daemon = beside.then(|| gateway.start(&["run"]));
        wait_until("the daemon is there", || {
            !beside || gateway.json(&["status", "--json"])["running"] == true
        });
        let done = gateway.json(&["wal", "salvage", "--yes", "--json"]);
        let saved = done["segments"].as_array().expect("a list");
        assert_eq!(saved.len(), 1, "{done}");
        assert_eq!(
            (&saved[0]["first"], &saved[0]["records"]),
            (&11.into(), &9.into())
        );
        assert_eq!(saved[0]["holes"], serde_json::json!([[14, 14]]));
        let kept = saved[0]["kept_as"].as_str().expect("a name");
        assert!(gateway.data_dir().join("log").join(kept).exists());
        let there: Vec<u64> = (1..=30).filter(|number| *number != 14).collect();
        assert_eq!(numbers(&gateway.ok(&["wal", "dump", "--json"])), there);
        let stat = gateway.json(&["wal", "stat", "--json"]);
        assert_eq!(
            (&stat["holes"][0]["first"], &stat["holes"][0]["cause"]),
            (&14.into(), &"damage".into())
        );
        gateway.ok(&["verify", "log"]);
        let again = gateway.json(&["wal", "salvage", "--yes", "--json"]);
        assert_eq!(again["segments"], serde_json::json!([]), "all is sound now");
        if let Some(mut daemon) = daemon {
            assert_eq!(stat["live"]["holes"], 1);
            assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
        }
    }
}

#[test]
fn the_log_verifies_clean_while_a_daemon_writes_thousands_a_second() {
    let gateway = Gateway::embedded();
    // Not flat out: `verify` gives way, so the log would grow the faster the longer it takes.
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "4000"]);
    let mut seen = HashSet::from([0]);
    while seen.len() < 5 {
        wait_until("the log grows", || !seen.contains(&gateway.tail()));
        gateway.ok(&["verify", "log"]);
        seen.insert(gateway.tail());
    }
    assert!(daemon.is_running());
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["verify", "log"]);
}
