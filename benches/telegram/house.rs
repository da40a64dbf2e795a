//! A daemon with one account and no stores, in a folder that is removed afterwards.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use telegram_gateway::config::{self, Sources};
use telegram_gateway::daemon::{Daemon, DaemonError, Options};
use telegram_gateway::ingest::Ingested;
use telegram_gateway::source::telegram::Telegram;
use telegram_gateway::source::telegram::account::{self, Door, Inputs, Orders, Watch};
use telegram_gateway::source::telegram::normalise::Normaliser;
use telegram_gateway::source::telegram::policy::Policy;
use telegram_gateway::status::{AccountReport, Status};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_secs(60);
/// The name of the account.
const NAME: &str = "main";

pub(crate) struct House {
    dir: tempfile::TempDir,
    status: Status,
    stop: CancellationToken,
    durable: watch::Receiver<u64>,
    running: JoinHandle<Result<Ingested, DaemonError>>,
}

impl House {
    /// Runs with the account behind this door, which mirrors everything and leaves the past alone.
    pub(crate) async fn open<D: Door + 'static>(door: D) -> House {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let mut config = config::load(&Sources {
            file: None,
            environment: Vec::new(),
            data_dir: Some(dir.path().join("data")),
        })
        .unwrap_or_else(|error| panic!("{error}"))
        .config;
        config.sqlite = None;
        let (status, stop) = (Status::new(), CancellationToken::new());
        let daemon = Daemon::open(config, status.clone()).expect("a daemon");
        let index = daemon.message_index(&stop).await.expect("an index");
        let policy = Policy::nothing(true).and_everything();
        let inputs = Inputs {
            name: NAME.to_owned(),
            api_id: 1,
            requests_per_minute: 60,
            ping_interval: Duration::from_secs(30),
            positions: account::positions(NAME, &[]).expect("none"),
            jobs: Vec::new(),
            watch: Watch {
                first_sight: 0,
                ..Watch::default()
            },
            orders: Orders::new().1,
            meaning: Box::new(Normaliser::new(NAME, policy, Arc::clone(&index))),
            files: None,
        };
        let durable = daemon.durable();
        let source = Telegram::start(vec![(inputs, door)], &status, &stop);
        let running = tokio::spawn(daemon.run(Some(source), Options::default(), stop.clone()));
        let mut house = House {
            dir,
            status,
            stop,
            durable,
            running,
        };
        // That it is live is the first event of its log.
        house.reaches(1).await;
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The last number that is durable.
    pub(crate) fn tail(&self) -> u64 {
        *self.durable.borrow()
    }

    /// Waits until a number is durable.
    pub(crate) async fn reaches(&mut self, tail: u64) {
        let reached = self.durable.wait_for(|durable| *durable >= tail);
        let reached = tokio::time::timeout(DEADLINE, reached).await;
        reached.expect("in time").expect("the log goes on");
    }

    /// Ends it, which must have gone on with nothing lost on the way.
    pub(crate) async fn stop(self) -> AccountReport {
        self.stop.cancel();
        let ran = self.running.await.expect("no panic");
        ran.expect("stops in order");
        let report = self.status.accounts().pop().expect("on the board");
        assert_eq!(
            (report.dropped, report.reconnects, report.rebuilds),
            (0, 0, 0)
        );
        report
    }
}
