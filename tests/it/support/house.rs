//! A log with the stages around it that a test needs.

use std::time::{Duration, Instant};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use telegram_gateway::config::{self, BackendUrl};
use telegram_gateway::event::{Body, Origin, Timestamp};
use telegram_gateway::journal::{Append, Journal, JournalReader};
use telegram_gateway::projector::Feed as _;
use telegram_gateway::projector::queue::{self, Queue};
use telegram_gateway::relay::{self, Lane};
use telegram_gateway::status::{Stage, Status};
use telegram_gateway::store::Entry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::events::{event, log, message, peer};

const DEADLINE: Duration = Duration::from_secs(30);
const MARKERS: Duration = Duration::from_millis(300);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async { tokio::time::timeout(DEADLINE * 3, future).await })
        .expect("the test ends in time")
}

/// A log with a relay and a feed to run on it.
pub(crate) struct House {
    pub(crate) journal: Journal,
    url: BackendUrl,
    pub(crate) status: Status,
    pub(crate) stop: CancellationToken,
    /// Of the feeds.
    pub(crate) catch_up_events: u64,
    _dir: tempfile::TempDir,
}

impl House {
    pub(crate) fn new(url: &str) -> House {
        let dir = tempfile::tempdir().expect("a folder");
        let options = config::Wal {
            segment_bytes_max: 64 << 20,
            segment_age_max: Duration::from_secs(86_400),
            queue_events_max: 8192,
            commit_events_max: 2048,
            ballast: 0,
            keep_age: None,
            keep_bytes: None,
            archive_dir: None,
            copy_bytes_per_second_max: 0,
        };
        let status = Status::new();
        House {
            journal: Journal::open(dir.path(), &options, status.clone(), |_| {}).expect("a log"),
            url: BackendUrl::parse(url).expect("an address"),
            status,
            stop: CancellationToken::new(),
            catch_up_events: 100_000,
            _dir: dir,
        }
    }

    pub(crate) async fn append(&self, count: i64) -> u64 {
        let tail = self.journal.reader.tail();
        let first = tail as i64 + 1;
        let record = |id| {
            let body = Body::Posted(Box::new(message(id, "text")));
            let event = event(peer(1), Origin::Live, body);
            event.to_record(Timestamp::now()).expect("a record")
        };
        let append = Append {
            records: (first..first + count).map(record).collect(),
            ..Append::default()
        };
        self.journal.writer.append(append).await.expect("durable");
        tail + count as u64
    }

    /// Events of every kind that hit each other, the same each time; returns the tail.
    pub(crate) async fn append_everything(&self) -> u64 {
        let mut runner = TestRunner::deterministic();
        for _ in 0..40 {
            let log = log().new_tree(&mut runner).expect("a log").current();
            let events = log.iter().filter_map(|entry| match entry {
                Entry::Event(envelope) => Some(&envelope.event),
                Entry::Poison(_) => None,
            });
            let append = Append {
                records: events
                    .map(|event| event.to_record(Timestamp::now()).expect("a record"))
                    .collect(),
                ..Append::default()
            };
            self.journal.writer.append(append).await.expect("durable");
        }
        self.journal.reader.tail()
    }

    pub(crate) fn relay(&self, lane: Lane) -> JoinHandle<()> {
        let options = relay::Options {
            events_per_second_max: None,
            url: self.url.clone(),
            lane,
            stage: Some(Stage::Confirmed),
            window: 256,
            frame_bytes_max: 256 << 10,
            frame_events_max: 50,
            marker_interval: MARKERS,
            backoff: BACKOFF,
        };
        let (reader, writer) = (self.journal.reader.clone(), self.journal.writer.clone());
        let (status, stop) = (self.status.clone(), self.stop.clone());
        tokio::spawn(async move { relay::run(&reader, &writer, &options, &status, &stop).await })
    }

    pub(crate) fn feed(&self) -> Queue<JournalReader> {
        let options = queue::Options {
            url: self.url.clone(),
            projection: "redis".to_owned(),
            prefetch: 16,
            marker_interval: MARKERS,
            catch_up_events: self.catch_up_events,
            backoff: BACKOFF,
            shared: false,
        };
        Queue::new(options, self.journal.reader.clone(), self.status.clone())
    }

    pub(crate) async fn confirmed(&self, upto: u64) {
        let seq = || {
            let stages = self.status.snapshot().stages;
            stages.get(&Stage::Confirmed).map_or(0, |it| it.seq)
        };
        until("the broker confirms", async || seq() >= upto).await;
    }

    pub(crate) async fn end(self, relays: impl IntoIterator<Item = JoinHandle<()>>) {
        self.stop.cancel();
        for relay in relays {
            relay.await.expect("the relay ends well");
        }
        self.journal.close().await;
    }
}

pub(crate) fn log_lane() -> Lane {
    Lane::Log(vec!["redis".to_owned()])
}

/// Asks again and again until it is so.
pub(crate) async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is().await {
        assert!(began.elapsed() < DEADLINE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Applies what the feed gives up to a number, and checks that it has no hole.
pub(crate) async fn drain(feed: &mut Queue<JournalReader>, mut applied: u64, upto: u64) -> u64 {
    while applied < upto {
        let records = feed.next(applied, 500).await.expect("records");
        for record in &records {
            applied += 1;
            assert_eq!(record.header().seq.get(), applied);
        }
        feed.applied(applied).await;
    }
    applied
}

/// Gives the feed a while for what is not about records: acknowledging, rejecting, comparing.
pub(crate) async fn idle(
    feed: &mut Queue<JournalReader>,
    applied: u64,
    what: &str,
    is: impl AsyncFnMut() -> bool,
) {
    tokio::select! {
        records = feed.next(applied, 500) => panic!("unexpected: {:?}", records.map(|it| it.len())),
        () = until(what, is) => {}
    }
}
