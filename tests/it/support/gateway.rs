//! The real program, in a folder of its own, with stores of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use telegram_gateway::config::{self, Config};
use telegram_gateway::event::Envelope;
use telegram_gateway::journal::JournalReader;
use wal::Seq;

use super::rabbitmq::Broker;
use super::services::{fresh_database, redis_url, timescale_url};

/// Longest wait for anything: far beyond what a busy machine needs, so that reaching it means never.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A data folder and what the program finds in its environment.
pub(crate) struct Gateway {
    dir: tempfile::TempDir,
    environment: Vec<(String, String)>,
    broker: Option<Broker>,
}

impl Gateway {
    /// Log and SQLite, no server.
    pub(crate) fn embedded() -> Gateway {
        Gateway {
            dir: tempfile::tempdir().expect("a folder"),
            // A small one: most tests start on an empty folder.
            environment: vec![("TGW_WAL__BALLAST".to_owned(), "1MiB".to_owned())],
            broker: None,
        }
    }

    /// RabbitMQ, TimescaleDB and Redis, each with a place of its own; none where the services are not there.
    pub(crate) async fn with_services() -> Option<Gateway> {
        let (timescale, broker, redis) = (timescale_url()?, Broker::fresh()?, redis_url()?);
        let database = fresh_database(&timescale).await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("test-{}-{number}", std::process::id());
        let environment = [
            ("TGW_TIMESCALE__URL", database),
            ("TGW_RABBITMQ__URL", broker.url.clone()),
            ("TGW_REDIS__URL", redis),
            ("TGW_REDIS__PREFIX", prefix),
            ("TGW_RELAY__MARKER_INTERVAL", "1s".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        Some(Gateway {
            environment: environment.into(),
            broker: Some(broker),
            ..Gateway::embedded()
        })
    }

    /// TimescaleDB alone, fed from the log; none where it is not there.
    pub(crate) async fn with_timescale() -> Option<Gateway> {
        let mut gateway = Gateway::embedded();
        let database = fresh_database(&timescale_url()?).await;
        gateway.set("TGW_TIMESCALE__URL", &database);
        Some(gateway)
    }

    /// Redis and SQLite, fed from the log; none where Redis is not there.
    pub(crate) fn with_redis() -> Option<Gateway> {
        let mut gateway = Gateway::embedded();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        gateway.set("TGW_REDIS__URL", &redis_url()?);
        gateway.set(
            "TGW_REDIS__PREFIX",
            &format!("test-{}-{number}", std::process::id()),
        );
        Some(gateway)
    }

    /// Another machine with the same servers, and no log.
    pub(crate) fn elsewhere(&self) -> Gateway {
        Gateway {
            environment: self.environment.clone(),
            ..Gateway::embedded()
        }
    }

    /// Sets a configuration value for all further commands.
    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.environment
            .push((variable.to_owned(), value.to_owned()));
    }

    /// Its place at the broker.
    pub(crate) fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("has a broker")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// The program with these arguments; nothing of the caller's environment reaches it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_telegram-gateway"));
        command
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(self.dir.path())
            .args(["-q", "--data-dir"])
            .arg(self.data_dir())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .output()
            .expect("the program starts")
    }

    /// Runs to success and gives what was printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?}: {}\n{told}",
            output.status
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs to success and gives the last line that was printed, as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(arguments);
        serde_json::from_str(text.lines().last().unwrap_or_default()).expect("JSON")
    }

    /// Starts in the background; what it says goes to a file that a failing test shows.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_with(&[], arguments)
    }

    /// The same, with configuration values for this run alone.
    pub(crate) fn start_with(&self, values: &[(&str, &str)], arguments: &[&str]) -> Running {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let words = self.path(&format!("words-{number}"));
        let file = std::fs::File::create(&words).expect("a file");
        let child = self
            .command(arguments)
            .envs(values.iter().copied())
            .stderr(file)
            .stdout(Stdio::null())
            .spawn();
        Running {
            child: child.expect("the program starts"),
            words,
        }
    }

    /// The log, once there is one.
    pub(crate) fn journal(&self) -> Option<JournalReader> {
        JournalReader::open(&self.data_dir()).ok()
    }

    /// The last number in the log.
    pub(crate) fn tail(&self) -> u64 {
        self.journal().map_or(0, |journal| journal.tail())
    }

    /// How far a store is, by its own word.
    pub(crate) fn store_seq(&self, name: &str) -> u64 {
        let status = self.json(&["status", "--json"]);
        let mut stores = status["stores"].as_array().expect("stores").iter();
        let store = stores.find(|it| it["name"] == name).expect("configured");
        store["seq"].as_u64().unwrap_or(0)
    }

    /// All events of the log.
    pub(crate) async fn events(&self) -> Vec<Envelope> {
        let journal = self.journal().expect("a log");
        let mut events: Vec<Envelope> = Vec::new();
        loop {
            let next = events.last().map_or(Seq::FIRST, |event| event.seq.next());
            let records = journal.read(next, 5_000, 16 << 20).await.expect("records");
            if records.is_empty() {
                return events;
            }
            events.extend(
                records
                    .iter()
                    .map(|it| Envelope::from_record(it).expect("an event")),
            );
        }
    }

    /// The configuration the program has, for looking into its stores.
    pub(crate) fn config(&self) -> Config {
        let environment = self.environment.iter().cloned();
        let loaded = config::load(&config::Sources {
            file: None,
            environment: environment
                .map(|(name, value)| (name, Some(value)))
                .collect(),
            data_dir: Some(self.data_dir()),
        });
        loaded.unwrap_or_else(|error| panic!("{error}")).config
    }

    /// Compares the log and every store with the log.
    pub(crate) fn verify(&self) {
        self.ok(&["verify", "all"]);
    }
}

/// A program in the background; killed when dropped.
pub(crate) struct Running {
    child: Child,
    words: PathBuf,
}

impl Running {
    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a kill");
        self.child.wait().expect("an end");
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and how it ended: the log is closed in any case.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill");
        assert!(sent.success());
        let ended = self.wait();
        let words = self.words();
        assert!(!words.contains("could not be closed"), "{words}");
        ended
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        wait_until("the program ends", || {
            ended = self.child.try_wait().expect("a status");
            ended.is_some()
        });
        ended.expect("waited for")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_none()
    }

    /// What it said.
    pub(crate) fn words(&self) -> String {
        std::fs::read_to_string(&self.words).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the program said:\n{}", self.words());
        }
    }
}

/// Waits until a condition holds; a test fails if it never does.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "waited for ever: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
