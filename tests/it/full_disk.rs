//! I9: a full disk stops ingest, loudly, while reading goes on; ingest goes on by itself when there is room; nothing
//! is lost, and a stop meanwhile is an orderly one.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::gateway::{Gateway, Running, wait_until};
use crate::support::receipts::{nothing_lost_or_doubled, receipts_are_in_the_log};

/// A small file system of its own, gone when dropped.
pub(crate) struct Small<'a>(&'a Path);

impl Small<'_> {
    /// None where this user may not mount, which is told.
    pub(crate) fn mount(at: &Path) -> Option<Small<'_>> {
        std::fs::create_dir(at).expect("a folder");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=48m,mode=0700", "tmpfs"])
            .arg(at);
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Small(at));
        }
        let needed = std::env::var("TGW_REQUIRE_SERVICES").is_ok();
        assert!(!needed, "cannot mount a tmpfs");
        eprintln!("SKIPPED: this user cannot mount a tmpfs");
        None
    }

    /// From now on nobody writes here.
    pub(crate) fn read_only(&self) {
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,ro"]).arg(self.0);
        assert!(mount.status().is_ok_and(|status| status.success()));
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// Small files for a small disk.
fn small_gateway() -> Gateway {
    let mut gateway = Gateway::embedded();
    gateway.set("TGW_WAL__SEGMENT_BYTES_MAX", "8MiB");
    gateway.set("TGW_WAL__BALLAST", "4MiB");
    gateway
}

/// Takes room until little is left, so that the log meets the end soon.
fn fill(data: &Path, bytes: usize) -> PathBuf {
    let filler = data.join("filler");
    std::fs::write(&filler, vec![1; bytes]).expect("room for it");
    filler
}

/// Takes the last byte.
fn fill_up(filler: &Path) {
    let mut file = OpenOptions::new().append(true).open(filler).expect("it");
    for piece in [1 << 20, 4096] {
        while file.write_all(&vec![1; piece]).is_ok() {}
    }
}

/// A gateway on a small disk, running until the disk is full.
fn until_full(gateway: &Gateway, receipts: &str) -> Running {
    let rate = [
        "run",
        "--source",
        "synthetic",
        "--rate",
        "2000",
        "--receipts",
        receipts,
    ];
    let mut daemon = gateway.start(&rate);
    wait_until("the disk is full", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        let words = daemon.words();
        words.contains("the log cannot be written; ingest waits")
    });
    daemon
}

async fn all_is_there(gateway: &Gateway, receipts: &str) {
    gateway.ok(&["run", "--drain"]);
    let events = gateway.events().await;
    nothing_lost_or_doubled(&events);
    receipts_are_in_the_log(receipts, &events);
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_ingest_until_there_is_room() {
    let gateway = small_gateway();
    let data = gateway.data_dir();
    let Some(_small) = Small::mount(&data) else {
        return;
    };
    let receipts = gateway.path("receipts").display().to_string();
    let filler = fill(&data, 34 << 20);
    let mut daemon = until_full(&gateway, &receipts);
    let full = gateway.tail();
    // Reading goes on, and whoever asks is told. Room that is freed by others for a moment is used, so this may be
    // true only the second time.
    wait_until("the log is open again, and waits for room", || {
        let status = gateway.json(&["status", "--json"]);
        let told = status["complaints"].as_array().is_some_and(|all| {
            all.iter()
                .filter_map(|it| it.as_str())
                .any(|it| it.contains("the disk is full"))
        });
        let live = gateway.json(&["wal", "stat", "--json"])["live"].clone();
        told && live["healthy"] == false && live["ballast"] == "released"
    });
    assert_eq!(gateway.ok(&["wal", "tail", "-n", "7"]).lines().count(), 7);
    gateway.ok(&["verify", "log"]);
    // Whatever gives back room that is not enough changes nothing.
    fill_up(&filler);
    std::fs::remove_file(&filler).expect("removed");
    wait_until("ingest goes on by itself", || gateway.tail() > full + 1_000);
    let live = gateway.json(&["wal", "stat", "--json"])["live"].clone();
    assert_eq!(
        (&live["healthy"], &live["ballast"]),
        (&true.into(), &"whole".into())
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    all_is_there(&gateway, &receipts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_on_a_full_disk_is_an_orderly_one() {
    let gateway = small_gateway();
    let data = gateway.data_dir();
    let Some(_small) = Small::mount(&data) else {
        return;
    };
    let receipts = gateway.path("receipts").display().to_string();
    let filler = fill(&data, 34 << 20);
    let mut daemon = until_full(&gateway, &receipts);
    // Somebody else takes what the ballast gave back.
    fill_up(&filler);
    assert_eq!(daemon.terminate().code(), Some(1), "{}", daemon.words());
    let words = daemon.words();
    assert!(words.contains("hint: free some disk space"), "{words}");
    assert!(!words.contains("could not be closed"), "{words}");
    // The next start finds the disk full at once, and the log closed cleanly.
    let mut again = gateway.start(&["--log", "telegram_gateway::daemon=info", "run"]);
    wait_until("it says so", || {
        let words = again.words();
        words.contains("ingest waits") && words.contains("log open")
    });
    assert!(again.words().contains("unclean=false"), "{}", again.words());
    std::fs::remove_file(&filler).expect("removed");
    wait_until("the ballast is whole", || {
        gateway.json(&["wal", "stat", "--json"])["live"]["ballast"] == "whole"
    });
    assert_eq!(again.terminate().code(), Some(0), "{}", again.words());
    all_is_there(&gateway, &receipts).await;
}

#[test]
fn a_full_disk_can_be_helped_by_a_trim() {
    let gateway = small_gateway();
    let data = gateway.data_dir();
    let Some(_small) = Small::mount(&data) else {
        return;
    };
    // A log of several MiB, sealed and known to the store.
    let fed = [
        "run",
        "--source",
        "synthetic",
        "--rate",
        "0",
        "--events",
        "12000",
        "--drain",
    ];
    gateway.ok(&fed);
    gateway.ok(&["wal", "seal"]);
    let sealed = gateway.tail();
    let taken: u64 = ["log", "."]
        .iter()
        .flat_map(|folder| std::fs::read_dir(data.join(folder)).expect("a folder"))
        .map(|entry| entry.expect("an entry").metadata().expect("there"))
        .filter(std::fs::Metadata::is_file)
        .map(|it| it.len())
        .sum();
    fill(&data, (45 << 20) - usize::try_from(taken).expect("small"));
    let receipts = gateway.path("receipts").display().to_string();
    let mut daemon = until_full(&gateway, &receipts);
    let full = gateway.tail();
    let keep_from = (sealed + 1).to_string();
    let trimmed = gateway.json(&["wal", "trim", "--keep-from", &keep_from, "--yes", "--json"]);
    assert_eq!(trimmed["done"], true, "{trimmed}\n{}", daemon.words());
    wait_until("ingest goes on by itself", || gateway.tail() > full);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["verify", "log"]);
}
