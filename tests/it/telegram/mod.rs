//! The live source in a running daemon.

mod burst;
mod commands;
mod day;
mod line;
mod login;
mod loss;
mod media;
mod mirror;
mod past;
mod program;
mod trouble;
mod world;

use std::sync::Arc;
use std::time::Duration;

use grammers_session::storages::MemorySession;
use telegram_gateway::daemon::{Daemon, Options};
use telegram_gateway::event::Body;
use telegram_gateway::source::telegram::Telegram;
use telegram_gateway::source::telegram::account::{Closed, Door, Inputs, Meaning, Orders, Watch};
use telegram_gateway::source::telegram::index::Index;
use telegram_gateway::source::telegram::normalise::Normaliser;
use telegram_gateway::source::telegram::policy::Policy;
use telegram_gateway::status::Status;
use tokio_util::sync::CancellationToken;

use crate::support::gateway::{DEADLINE, Gateway};

/// Nobody has logged in.
struct Shut;

impl Door for Shut {
    type Session = MemorySession;

    async fn open(&self) -> Result<Arc<MemorySession>, Closed> {
        Err(Closed::NeedsLogin)
    }
}

/// What updates mean to an account that mirrors everything.
fn everything(name: &str, index: &Arc<Index>) -> Normaliser {
    let policy = Policy::nothing(name == "main").and_everything();
    Normaliser::new(name, policy, Arc::clone(index))
}

/// The same for the only account of a daemon.
async fn meaning(daemon: &Daemon, name: &str, stop: &CancellationToken) -> Box<dyn Meaning> {
    Box::new(everything(name, &index(daemon, stop).await))
}

/// The message index of a daemon. In this process the tasks of the daemon before may hold it for a moment more.
async fn index(daemon: &Daemon, stop: &CancellationToken) -> Arc<Index> {
    let opened = async {
        loop {
            match daemon.message_index(stop).await {
                Ok(index) => return index,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let opened = tokio::time::timeout(DEADLINE, opened).await;
    opened.expect("an index")
}

fn inputs(name: &str, meaning: Box<dyn Meaning>) -> Inputs {
    Inputs {
        name: name.to_owned(),
        api_id: 1,
        requests_per_minute: 60,
        ping_interval: Duration::from_secs(30),
        positions: Vec::new(),
        jobs: Vec::new(),
        watch: Watch::default(),
        orders: Orders::new().1,
        meaning,
        files: None,
    }
}

async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let seen = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = tokio::time::timeout(DEADLINE, seen).await;
    assert!(seen.is_ok(), "not {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_without_a_session_say_so_in_the_log_and_in_status_and_the_daemon_serves() {
    let gateway = Gateway::embedded();
    let (status, stop) = (Status::new(), CancellationToken::new());
    let daemon = Daemon::open(gateway.config(), status.clone()).expect("a daemon");
    let names = ["main", "second"];
    let index = index(&daemon, &stop).await;
    let accounts = names.map(|name| (inputs(name, Box::new(everything(name, &index))), Shut));
    let source = Telegram::start(accounts.into(), &status, &stop);
    let running = daemon.run(Some(source), Options::default(), stop.clone());
    let looking = async {
        until("in the log", async || gateway.tail() >= 2).await;
        let mut told: Vec<_> = gateway.events().await.into_iter().collect();
        told.sort_by_key(|envelope| format!("{:?}", envelope.event.body));
        let expected = names.map(|name| Body::SourceState {
            state: "needs-login".to_owned(),
            detail: Some(format!("account {name}")),
        });
        let told: Vec<_> = told.into_iter().map(|it| it.event.body).collect();
        assert_eq!(told, expected);
        let report = tokio::task::block_in_place(|| gateway.json(&["status", "--json"]));
        for (account, name) in report["accounts"]
            .as_array()
            .expect("both")
            .iter()
            .zip(names)
        {
            assert_eq!(account["name"], name);
            assert_eq!(account["state"], "needs-login");
            assert_eq!(account["needs_operator"], true);
            let reason = account["reason"].as_str().expect("a reason");
            assert!(reason.contains("telegram-gateway login"), "{reason}");
        }
        let text = tokio::task::block_in_place(|| gateway.ok(&["status"]));
        assert!(text.contains("account second"), "{text}");
        stop.cancel();
    };
    let (ran, ()) = tokio::join!(running, looking);
    assert_eq!(ran.expect("stops in order").appended, 2);
}
