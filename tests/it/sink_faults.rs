//! Bad lines and a long absence of the servers, with the real program: nobody else is held up, memory stays flat, and a
//! commit whose answer never comes counts once.

use std::time::Duration;

use crate::support::gateway::{Gateway, Running, wait_until};
use crate::support::proxy::{Moment, Proxy};
use crate::support::services::connect;

/// Most memory the program may take, whatever is slow or away; it has some 60 MiB at rest in a debug build.
const RESIDENT_KIB_MAX: u64 = 300 * 1024;

/// How far a store is behind the log, as its own checkpoint says.
fn behind(gateway: &Gateway, store: &str) -> Option<u64> {
    let status = gateway.json(&["status", "--json"]);
    let stores = status["stores"].as_array().expect("stores");
    let found = stores.iter().find(|it| it["name"] == store);
    let found = found.expect("configured");
    found["error"]
        .is_null()
        .then(|| found["lag_events"].as_u64().expect("a number"))
}

fn resident_kib(daemon: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse().ok())
        .expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_holds_nobody_else_up_and_a_lost_answer_doubles_nothing() {
    let Some(mut gateway) = Gateway::with_services().await else {
        return;
    };
    tokio::task::block_in_place(|| {
        let url = gateway.config().timescale.expect("configured").url;
        let proxy = Proxy::before(url.expose());
        // Only the daemon goes through the proxy.
        let direct = url.expose().to_owned();
        gateway.set("TGW_TIMESCALE__URL", &proxy.url);
        let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "200"]);
        gateway.set("TGW_TIMESCALE__URL", &direct);
        wait_until("events reach the stores", || {
            assert!(daemon.is_running(), "{}", daemon.words());
            gateway.tail() > 100 && behind(&gateway, "timescale").is_some_and(|lag| lag < 500)
        });

        proxy.throttle(Some(2_048));
        wait_until("the slow store falls behind, and only that", || {
            assert!(daemon.is_running(), "{}", daemon.words());
            behind(&gateway, "timescale").is_some_and(|lag| lag > 1_500)
                && behind(&gateway, "redis").is_some_and(|lag| lag < 500)
        });
        let resident = resident_kib(&daemon);
        assert!(resident < RESIDENT_KIB_MAX, "{resident} KiB");
        proxy.throttle(None);
        proxy.delay(Duration::from_millis(5));

        for (at, moment) in [Moment::After, Moment::Before, Moment::After]
            .iter()
            .enumerate()
        {
            proxy.cut_at("COMMIT", *moment);
            wait_until("a commit is cut", || proxy.words() == at as u64 + 1);
        }
        proxy.cut();
        proxy.delay(Duration::ZERO);
        wait_until("all have caught up", || {
            ["timescale", "redis"]
                .iter()
                .all(|store| behind(&gateway, store).is_some_and(|lag| lag < 500))
        });
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
        gateway.ok(&["run", "--drain"]);
        gateway.verify();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_fed_at_all_holds_nobody_else_up() {
    let Some(gateway) = Gateway::with_services().await else {
        return;
    };
    crate::pipeline::play(&gateway, "100");
    let url = gateway.config().timescale.expect("configured").url;
    let mut server = connect(url.expose()).await;
    let newer = "insert into telegram.schema_migrations (version, description, success, checksum, execution_time) \
                 values (9999, 'of a newer program', true, '', 0)";
    sqlx::query(newer).execute(&mut server).await.expect(newer);
    let before = gateway.tail();
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "200"]);
    wait_until("ingest and the other store go on", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        gateway.tail() > before + 500 && behind(&gateway, "redis").is_some_and(|lag| lag < 200)
    });
    let status = gateway.json(&["status", "--json"]);
    let stage = &status["stages"]["timescale"];
    assert_eq!(stage["needs_operator"], true, "{status}");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    let older = "delete from telegram.schema_migrations where version = 9999";
    sqlx::query(older).execute(&mut server).await.expect(older);
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_silent_holds_nobody_up_and_costs_no_memory() {
    let Some(gateway) = Gateway::with_services().await else {
        return;
    };
    let proxy = Proxy::before(&gateway.broker().url);
    let line = [("TGW_RABBITMQ__URL", proxy.url.as_str())];
    let run = ["run", "--source", "synthetic", "--rate", "500"];
    let mut daemon = gateway.start_with(&line, &run);
    let keep_up = || {
        let lags = ["timescale", "redis"].map(|store| behind(&gateway, store));
        lags.iter().all(|lag| lag.is_some_and(|lag| lag < 2_000))
    };
    wait_until("events reach the stores", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        gateway.tail() > 100 && keep_up()
    });
    proxy.hold(true);
    let before = gateway.tail();
    wait_until("ingest goes on, and the stores read the log", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        let resident = resident_kib(&daemon);
        assert!(resident < RESIDENT_KIB_MAX, "{resident} KiB");
        gateway.tail() > before + 5_000 && keep_up()
    });
    proxy.hold(false);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
}

/// An export of one channel, of so many messages as long as Telegram lets them be.
fn long_messages(count: u64) -> String {
    let text = "0123456789abcdef".repeat(250);
    let message = |id| {
        let date = 1_735_689_600 + id;
        format!(
            r#"{{"id":{id},"type":"message","date_unixtime":"{date}","from":"Long","from_id":"channel77","text":"{id} {text}"}}"#
        )
    };
    let messages: Vec<String> = (1..=count).map(message).collect();
    format!(
        r#"{{"name":"Long","type":"public_channel","id":77,"messages":[{}]}}"#,
        messages.join(",")
    )
}

/// All servers were away for long: what waits in the log, 76 MiB of it, is more than the memory that may be taken for it.
/// `bench catch-up` shows how memory goes with a longer one.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_caught_up_with_in_bounded_memory() {
    const MESSAGES: u64 = 20_000;
    const RESIDENT_KIB_MAX: u64 = 270 * 1024;
    let Some(mut gateway) = Gateway::with_services().await else {
        return;
    };
    // They are as far behind as counts here: what the broker brings as well is not kept.
    gateway.set("TGW_RELAY__CATCH_UP_EVENTS", "1000");
    let nobody = [
        ("TGW_RABBITMQ__URL", "amqp://guest:guest@127.0.0.1:1/none"),
        (
            "TGW_TIMESCALE__URL",
            "postgres://nobody@127.0.0.1:1/none?sslmode=disable",
        ),
        ("TGW_REDIS__URL", "redis://127.0.0.1:1"),
    ];
    let file = gateway.path("result.json");
    std::fs::write(&file, long_messages(MESSAGES)).expect("a file");
    let mut import = gateway.command(&["import", file.to_str().expect("UTF-8")]);
    let imported = import.envs(nobody).output().expect("the program starts");
    assert!(imported.status.success(), "{imported:?}");
    assert!(gateway.tail() > MESSAGES, "with the channel itself");

    let mut daemon = gateway.start(&["run"]);
    let mut most = 0;
    wait_until("stores and relay have caught up", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        most = most.max(resident_kib(&daemon));
        let status = gateway.json(&["status", "--json"]);
        let cursors = status["cursors"].as_array().expect("cursors").iter();
        let mut cursors = cursors.filter(|it| it["name"] == "relay.log");
        cursors.any(|it| it["lag_events"] == 0)
            && ["timescale", "redis"]
                .iter()
                .all(|store| behind(&gateway, store) == Some(0))
    });
    println!("{most} KiB at most");
    assert!(most < RESIDENT_KIB_MAX, "{most} KiB");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.verify();
}
