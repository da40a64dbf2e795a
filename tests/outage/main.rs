//! I9 and the repair of the broker's losses, with the real servers really stopped, killed and wiped.
//!
//! A binary of its own, because cargo runs test binaries one after the other: nothing else uses the servers
//! meanwhile. Its tests take turns by a lock.

#[path = "../it/support/mod.rs"]
mod support;

mod cache;
mod chaos;

use std::path::PathBuf;
use std::process::Command;
use tokio::sync::Mutex;

use support::gateway::{Gateway, Running, wait_until};
use support::receipts::{nothing_lost_or_doubled, receipts_are_in_the_log};

static ALONE: Mutex<()> = Mutex::const_new(());

/// Runs `tests/services`.
fn services(arguments: &[&str]) {
    let script = std::env::var("TGW_TEST_SERVICES").expect("set by tests/services env");
    let output = Command::new(script)
        .args(arguments)
        .output()
        .expect("tests/services runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "tests/services {arguments:?}: {told}"
    );
}

/// Whatever a failed test leaves behind, the servers are up again.
struct AllUp;

impl Drop for AllUp {
    fn drop(&mut self) {
        services(&["start"]);
    }
}

/// A daemon that gives a receipt for each event.
fn start(gateway: &Gateway, rate: &str) -> Running {
    let receipts = gateway.path("receipts");
    let receipts = receipts.to_str().expect("UTF-8");
    let run = ["run", "--source", "synthetic", "--rate", rate];
    gateway.start(&[&run[..], &["--receipts", receipts]].concat())
}

/// A daemon with all servers that has applied some events, and keeps getting more.
async fn flowing(rate: &str) -> Option<(Gateway, Running)> {
    let gateway = Gateway::with_services().await?;
    let mut daemon = start(&gateway, rate);
    wait_until("events reach the stores", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        gateway.tail() > 50 && behind(&gateway).is_some_and(|lag| lag < 1_000)
    });
    Some((gateway, daemon))
}

/// Events that the slowest store is behind; none while one cannot be asked.
fn behind(gateway: &Gateway) -> Option<u64> {
    let status = gateway.json(&["status", "--json"]);
    let stores = status["stores"].as_array().expect("stores");
    assert_eq!(stores.len(), 2, "{status}");
    let lags = stores.iter().map(|store| match &store["error"] {
        serde_json::Value::Null => store["lag_events"].as_u64(),
        _ => None,
    });
    lags.collect::<Option<Vec<u64>>>()?.into_iter().max()
}

/// Stops the daemon, and holds source, receipts, log and stores against each other.
async fn stop_and_verify(gateway: &Gateway, mut daemon: Running) {
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["run", "--drain"]);
    let events = gateway.events().await;
    nothing_lost_or_doubled(&events);
    let receipts = gateway.path("receipts");
    receipts_are_in_the_log(receipts.to_str().expect("UTF-8"), &events);
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_goes_on_with_every_server_down_and_all_catch_up() {
    let _alone = ALONE.lock().await;
    let Some((gateway, mut daemon)) = flowing("500").await else {
        return;
    };
    let _up = AllUp;
    services(&["stop"]);
    let before = gateway.tail();
    wait_until("ingest goes on without any server", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        gateway.tail() > before + 1_500
    });
    // They come back one by one; each finds what it missed.
    for server in ["redis", "timescaledb", "rabbitmq"] {
        services(&["start", server]);
        let before = gateway.tail();
        wait_until("ingest goes on", || gateway.tail() > before + 300);
    }
    services(&["start"]);
    wait_until("all have caught up", || {
        behind(&gateway).is_some_and(|lag| lag < 500)
    });
    stop_and_verify(&gateway, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_every_server_down_loses_nothing() {
    let _alone = ALONE.lock().await;
    let Some(gateway) = Gateway::with_services().await else {
        return;
    };
    let _up = AllUp;
    services(&["stop"]);
    let mut daemon = start(&gateway, "500");
    wait_until("ingest starts without any server", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        gateway.tail() > 1_000
    });
    services(&["start"]);
    wait_until("all have caught up", || {
        behind(&gateway).is_some_and(|lag| lag < 500)
    });
    stop_and_verify(&gateway, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_killed_in_the_middle_lose_nothing() {
    let _alone = ALONE.lock().await;
    let Some((gateway, daemon)) = flowing("1000").await else {
        return;
    };
    let _up = AllUp;
    for server in ["timescaledb", "redis", "rabbitmq"] {
        services(&["kill", server]);
        let before = gateway.tail();
        wait_until("ingest goes on", || gateway.tail() > before + 500);
        services(&["start"]);
    }
    wait_until("all have caught up", || {
        behind(&gateway).is_some_and(|lag| lag < 1_000)
    });
    stop_and_verify(&gateway, daemon).await;
}

/// Stops PostgreSQL as `pg_ctl stop -m immediate` does: at once, in the middle of everything.
fn stop_immediately() {
    let home = PathBuf::from(std::env::var("TGW_SERVICES_DIR").expect("set by tests/services env"));
    let state = std::fs::read_to_string(home.join("state/timescaledb.pid")).expect("it is up");
    let pid = state
        .split_whitespace()
        .next()
        .expect("a process")
        .to_owned();
    run("kill", &["-QUIT", &pid]);
    wait_until("it is down", || {
        // What is over may still wait to be taken note of.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')')
            .is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    });
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status();
    assert!(status.expect(program).success(), "{program} {arguments:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_stopped_at_once_or_put_back_from_an_older_backup_is_refilled() {
    let _alone = ALONE.lock().await;
    let Some((gateway, daemon)) = flowing("300").await else {
        return;
    };
    let _up = AllUp;
    let home = PathBuf::from(std::env::var("TGW_SERVICES_DIR").expect("set by tests/services env"));
    let data = home.join("data/timescaledb/pgdata");
    let data = data.to_str().expect("a path");
    let backup = format!("{data}.backup");
    let flows_on = |events| {
        let before = gateway.tail();
        wait_until("events reach the stores again", || {
            gateway.tail() > before + events && behind(&gateway).is_some_and(|lag| lag < 1_000)
        });
    };

    stop_immediately();
    services(&["start", "timescaledb"]);
    flows_on(200);

    services(&["stop", "timescaledb"]);
    run("cp", &["-a", data, &backup]);
    services(&["start", "timescaledb"]);
    flows_on(1_000);
    stop_immediately();
    run("rm", &["-rf", data]);
    run("mv", &[&backup, data]);
    services(&["start", "timescaledb"]);
    flows_on(200);
    stop_and_verify(&gateway, daemon).await;
}

/// Raises the alarm of a broker that is short of memory, and ends it when dropped.
struct Alarm;

impl Alarm {
    fn raise() -> Alarm {
        services(&["rabbitmqctl", "set_vm_memory_high_watermark", "0.00001"]);
        Alarm
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let set = ["rabbitmqctl", "set_vm_memory_high_watermark"];
        services(&[&set[..], &["absolute", "512MiB"]].concat());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_short_of_memory_holds_only_the_relay_up() {
    let _alone = ALONE.lock().await;
    let Some((gateway, mut daemon)) = flowing("500").await else {
        return;
    };
    let _up = AllUp;
    let alarm = Alarm::raise();
    let before = gateway.tail();
    wait_until(
        "the relay waits, ingest and stores go on from the log",
        || {
            assert!(daemon.is_running(), "{}", daemon.words());
            let status = gateway.json(&["status", "--json"]);
            let relay = status["cursors"].as_array().expect("cursors").iter();
            let relay = relay.filter(|it| it["name"] == "relay.log");
            let held = relay.filter_map(|it| it["lag_events"].as_u64()).min();
            gateway.tail() > before + 3_000
                && held.is_some_and(|lag| lag > 2_000)
                && behind(&gateway).is_some_and(|lag| lag < 500)
        },
    );
    let status = gateway.json(&["status", "--json"]);
    let relay = &status["stages"]["confirmed"];
    let why = relay["fault"].as_str().unwrap_or_default();
    assert!(why.contains("short of memory"), "{relay}");
    for (projection, queue) in status["queues"].as_object().expect("queues") {
        assert_eq!(queue["state"], "deaf", "{projection}: {queue}");
        assert_eq!(queue["lost_events"], 0, "{projection}: {queue}");
    }
    drop(alarm);
    wait_until("the queues bring the events again", || {
        let status = gateway.json(&["status", "--json"]);
        let mut queues = status["queues"].as_object().expect("queues").values();
        queues.all(|queue| queue["state"] == "listening")
    });
    stop_and_verify(&gateway, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_broker_is_noticed_and_mended_from_the_log() {
    let _alone = ALONE.lock().await;
    let Some((gateway, mut daemon)) = flowing("500").await else {
        return;
    };
    let _up = AllUp;
    // The consumers are held back, so that the wipe takes events with it: their stores are down.
    services(&["stop", "timescaledb"]);
    let before = gateway.tail();
    wait_until("events wait in the queue", || {
        gateway.tail() > before + 1_000
    });
    services(&["wipe", "rabbitmq"]);
    gateway.broker().establish();
    services(&["start"]);
    wait_until("what the broker lost is there", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        behind(&gateway).is_some_and(|lag| lag < 500)
    });
    let words = daemon.words();
    assert!(
        words.contains("made what the broker did not have"),
        "the wipe was not noticed: {words}"
    );
    stop_and_verify(&gateway, daemon).await;
}
