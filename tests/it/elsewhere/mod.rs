//! Projectors on another machine than the log: nothing is lost or doubled, whoever dies, and one works at a time.

mod edge;
mod seats;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use crate::support::gateway::{Gateway, Running, wait_until};
use crate::support::proxy::Proxy;

const TOKEN: &str = "a token for tests, far longer than 32 bytes";
const STORES: [&str; 2] = ["timescale", "redis"];

/// A machine with the log, and what another one needs to feed its stores.
struct Site {
    edge: Gateway,
    /// The other machine, as far as the environment goes.
    other: Gateway,
    /// On the line between them.
    line: Proxy,
}

impl Site {
    /// None where the services are not there.
    async fn new() -> Option<Site> {
        let mut edge = Gateway::with_services().await?;
        let mut other = edge.elsewhere();
        let listen = free_address();
        let line = Proxy::before(&format!("tcp://{listen}"));
        for gateway in [&edge, &other] {
            let token = gateway.path("token");
            std::fs::write(&token, TOKEN).expect("a token");
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&token, private).expect("a mode");
        }
        edge.set("TGW_SERVE__LISTEN", &listen);
        edge.set("TGW_SERVE__TOKEN_FILE", "token");
        edge.set("TGW_TIMESCALE__FEED", "elsewhere");
        edge.set("TGW_REDIS__FEED", "elsewhere");
        other.set("TGW_EDGE__ADDRESS", line.url.trim_start_matches("tcp://"));
        other.set("TGW_EDGE__TOKEN_FILE", "token");
        other.set("TGW_LOG", "info");
        Some(Site { edge, other, line })
    }

    fn daemon(&self, rate: &str) -> Running {
        let source = ["run", "--source", "synthetic", "--rate", rate];
        self.edge.start(&source)
    }

    fn projector(&self, store: &str) -> Running {
        self.other.start(&["project", store])
    }

    /// How far a store is, as its projector told the edge, and its fault.
    fn told(&self, store: &str) -> (u64, Option<String>) {
        let status = self.edge.json(&["status", "--json"]);
        let stage = &status["stages"][store];
        let fault = stage["fault"].as_str().map(str::to_owned);
        (stage["seq"].as_u64().unwrap_or(0), fault)
    }

    /// Waits until a store is further than it was.
    fn moves(&self, store: &str) {
        let (before, _) = self.told(store);
        wait_until(&format!("{store} is fed"), || {
            let (now, fault) = self.told(store);
            fault.is_none() && now > before
        });
    }

    /// All that is in the log reaches the stores, which are what it says.
    fn ends_well(&self, projectors: Vec<Running>) {
        self.edge.ok(&["run", "--drain"]);
        for mut projector in projectors {
            let ended = projector.terminate();
            assert_eq!(ended.code(), Some(0), "{}", projector.words());
        }
        self.edge.verify();
    }
}

/// An address that nobody listens on.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// How often a projector has begun to feed its store.
fn turns(projector: &Running) -> usize {
    let words = projector.words();
    words.matches("this projector feeds the store").count()
}

/// Which of them has begun to feed the store last, where both are there at the beginning.
fn active(pair: &[Running; 2]) -> usize {
    let mut found = None;
    wait_until("one of two feeds the store", || {
        found = pair.iter().position(|it| turns(it) > 0);
        found.is_some()
    });
    found.expect("waited for")
}

fn signal(projector: &Running, name: &str) {
    let pid = projector.id().to_string();
    let sent = std::process::Command::new("kill")
        .args([name, &pid])
        .status();
    assert!(sent.expect("kill").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_the_other_takes_over_and_nothing_is_lost_or_doubled() {
    let Some(site) = Site::new().await else {
        return;
    };
    tokio::task::block_in_place(|| {
        let mut daemon = site.daemon("300");
        wait_until("the edge says that nobody is there", || {
            let nobody = Some("no projector elsewhere is connected".to_owned());
            site.edge.tail() > 0 && STORES.iter().all(|store| site.told(store).1 == nobody)
        });
        let mut left = Vec::new();
        for store in STORES {
            let mut first = site.projector(store);
            wait_until("one feeds the store", || turns(&first) > 0);
            for _ in 0..2 {
                let second = site.projector(store);
                wait_until("another one is there", || {
                    second.words().contains("this one stands by")
                });
                site.moves(store);
                first.kill();
                let killed = Instant::now();
                wait_until("it takes over", || turns(&second) > 0);
                println!("{store}: taken over in {:?}", killed.elapsed());
                site.moves(store);
                first = second;
            }
            left.push(first);
        }
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
        site.ends_well(left);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_projector_loses_its_seat_and_does_no_harm_when_it_wakes() {
    let Some(site) = Site::new().await else {
        return;
    };
    tokio::task::block_in_place(|| {
        let mut daemon = site.daemon("300");
        let mut left = Vec::new();
        for store in STORES {
            let pair = [site.projector(store), site.projector(store)];
            let first = active(&pair);
            site.moves(store);
            signal(&pair[first], "-STOP");
            let stopped = Instant::now();
            wait_until("the other one takes over", || turns(&pair[1 - first]) > 0);
            println!("{store}: taken over in {:?}", stopped.elapsed());
            site.moves(store);
            signal(&pair[first], "-CONT");
            wait_until("it has noticed", || {
                pair[first].words().contains("this projector stands by")
            });
            site.moves(store);
            assert_eq!(turns(&pair[first]), 1, "{}", pair[first].words());
            left.extend(pair);
        }
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
        site.ends_well(left);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_edge_is_away_the_queue_is_applied_and_a_hole_waits() {
    let Some(site) = Site::new().await else {
        return;
    };
    tokio::task::block_in_place(|| {
        let mut daemon = site.daemon("100");
        let store = "timescale";
        wait_until("there is a log", || site.edge.tail() > 0);
        let projectors = STORES.map(|store| site.projector(store));
        STORES.iter().for_each(|store| site.moves(store));

        // A line on which nothing passes, and nobody is told.
        site.line.hold(true);
        wait_until("the edge has noticed", || {
            STORES.iter().all(|store| site.told(store).1.is_some())
        });
        let at = || site.edge.store_seq(store);
        let before = at();
        wait_until("the queue is applied all the same", || at() > before + 200);
        // What is sent until the queue is bound again, nobody brings; the other one takes it, so the relay does not know.
        let broker = site.edge.broker();
        assert!(broker.unbind("telegram.log.timescale", "telegram.log"));
        wait_until("what the broker lost is waited for", || {
            projectors[0].words().contains("holds at")
        });
        let held = at();
        wait_until("the log goes on", || site.edge.tail() > held + 300);
        assert_eq!(at(), held, "nothing is applied behind a hole");
        site.line.hold(false);
        wait_until("the hole is filled", || at() > held + 300);
        STORES.iter().for_each(|store| site.moves(store));

        // The edge itself: gone, and back.
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
        let mut daemon = site.daemon("100");
        STORES.iter().for_each(|store| site.moves(store));
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
        site.ends_well(projectors.into());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_the_edge_feeds_itself_is_fed_by_nobody_else() {
    let Some(mut site) = Site::new().await else {
        return;
    };
    site.edge.set("TGW_REDIS__FEED", "here");
    tokio::task::block_in_place(|| {
        let mut daemon = site.daemon("50");
        let mut projector = site.projector("redis");
        wait_until("it says why it does not begin", || {
            let words = projector.words();
            words.contains("feeds redis itself") && words.contains("the projector waits")
        });
        assert_eq!(turns(&projector), 0);
        assert_eq!(projector.terminate().code(), Some(0));
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    });
}

#[test]
fn what_is_missing_or_open_to_others_is_refused() {
    let refused = |settings: &[(&str, &str)], mode: u32, arguments: &[&str], said: &[&str]| {
        let mut gateway = Gateway::embedded();
        for (variable, value) in settings {
            gateway.set(variable, value);
        }
        let token = gateway.path("token");
        std::fs::write(&token, TOKEN).expect("a token");
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).expect("a mode");
        let output = gateway.run(arguments);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{words}");
        for text in said {
            assert!(words.contains(text), "no {text:?} in {words}");
        }
        assert!(!words.contains(TOKEN), "{words}");
    };
    let check = ["config", "check"];
    let serve = |listen| {
        [
            ("TGW_SERVE__LISTEN", listen),
            ("TGW_SERVE__TOKEN_FILE", "token"),
        ]
    };
    refused(
        &serve("192.0.2.1:4007"),
        0o600,
        &check,
        &["not loopback", "allow_remote"],
    );
    refused(&serve("127.0.0.1:4007"), 0o644, &check, &["token"]);
    let elsewhere = [
        ("TGW_REDIS__URL", "redis://127.0.0.1:1"),
        ("TGW_REDIS__FEED", "elsewhere"),
    ];
    refused(&elsewhere, 0o600, &check, &["[rabbitmq] and [serve]"]);
    let redis = ["project", "redis"];
    refused(
        &elsewhere[..1],
        0o600,
        &redis,
        &["rabbitmq is not", "docs/elsewhere.md"],
    );
    let broker = [
        elsewhere[0],
        ("TGW_RABBITMQ__URL", "amqp://127.0.0.1:1/%2f"),
    ];
    refused(&broker, 0o600, &redis, &["edge is not configured"]);
}
