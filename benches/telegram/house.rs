//! A daemon with one account and no stores, in a folder that is removed afterwards.

use std::path::PathBuf;
use std::time::Duration;

use telegram_gateway::config::{self, Sources};
use telegram_gateway::daemon::{Daemon, DaemonError, Options};
use telegram_gateway::ingest::Ingested;
use telegram_gateway::source::telegram::Telegram;
use telegram_gateway::status::{AccountReport, Status};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct House {
    dir: tempfile::TempDir,
    status: Status,
    stop: CancellationToken,
    durable: watch::Receiver<u64>,
    running: JoinHandle<Result<Ingested, DaemonError>>,
}

impl House {
    /// Runs with these settings, and the accounts that are started with the daemon.
    pub(crate) async fn open<F>(settings: &[(&str, String)], start: F) -> House
    where
        F: AsyncFnOnce(&Daemon, &Status, &CancellationToken) -> Telegram,
    {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let variables = settings.iter();
        let loaded = config::load(&Sources {
            file: None,
            environment: variables
                .map(|(name, value)| (format!("TGW_{name}"), Some(value.clone())))
                .collect(),
            data_dir: Some(dir.path().join("data")),
        });
        let mut config = loaded.unwrap_or_else(|error| panic!("{error}")).config;
        config.sqlite = None;
        let (status, stop) = (Status::new(), CancellationToken::new());
        let daemon = Daemon::open(config, status.clone()).expect("a daemon");
        let durable = daemon.durable();
        let source = start(&daemon, &status, &stop).await;
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
