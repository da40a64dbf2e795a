//! The way over the broker: what it loses, doubles or never gets, the log gives again; nothing is lost and nothing is
//! acknowledged before it is applied.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use telegram_gateway::broker::frame::FrameBuilder;
use telegram_gateway::broker::topology::{DEAD, EVENTS_EXCHANGE, LOG_EXCHANGE, log_queue};
use telegram_gateway::broker::{BrokerError, Outcome, Publication, Publisher, Topology};
use telegram_gateway::config::{self, BackendUrl};
use telegram_gateway::event::{Body, Origin, Timestamp};
use telegram_gateway::failure::{Class, Classify as _};
use telegram_gateway::journal::{Append, Journal};
use telegram_gateway::projector::Feed as _;
use telegram_gateway::projector::queue::{self, Queue};
use telegram_gateway::relay::{self, Lane};
use telegram_gateway::status::{Stage, Status};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wal::{Identity, LogId, Seq};

use crate::support::events::{event, message, peer};
use crate::support::rabbitmq::Broker;

const DEADLINE: Duration = Duration::from_secs(30);
const MARKERS: Duration = Duration::from_millis(300);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async { tokio::time::timeout(DEADLINE * 3, future).await })
        .expect("the test ends in time")
}

/// A log with a relay and a feed to run on it.
struct House {
    journal: Journal,
    url: BackendUrl,
    status: Status,
    stop: CancellationToken,
    _dir: tempfile::TempDir,
}

impl House {
    fn new(url: &str) -> House {
        let dir = tempfile::tempdir().expect("a folder");
        let options = config::Wal {
            segment_bytes_max: 64 << 20,
            segment_age_max: Duration::from_secs(86_400),
            queue_events_max: 8192,
            commit_events_max: 2048,
        };
        let status = Status::new();
        House {
            journal: Journal::open(dir.path(), &options, status.clone()).expect("a log"),
            url: BackendUrl::parse(url).expect("an address"),
            status,
            stop: CancellationToken::new(),
            _dir: dir,
        }
    }

    async fn append(&self, count: i64) -> u64 {
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

    fn relay(&self, lane: Lane) -> JoinHandle<()> {
        let options = relay::Options {
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

    fn feed(&self) -> Queue {
        let options = queue::Options {
            url: self.url.clone(),
            projection: "redis".to_owned(),
            prefetch: 16,
            marker_interval: MARKERS,
            backoff: BACKOFF,
        };
        Queue::new(options, self.journal.reader.clone(), self.status.clone())
    }

    async fn confirmed(&self, upto: u64) {
        let seq = || {
            let stages = self.status.snapshot().stages;
            stages.get(&Stage::Confirmed).map_or(0, |it| it.seq)
        };
        until("the broker confirms", async || seq() >= upto).await;
    }

    async fn end(self, relays: impl IntoIterator<Item = JoinHandle<()>>) {
        self.stop.cancel();
        for relay in relays {
            relay.await.expect("the relay ends well");
        }
        self.journal.close().await;
    }
}

fn log_lane() -> Lane {
    Lane::Log(vec!["redis".to_owned()])
}

/// Asks again and again until it is so.
async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is().await {
        assert!(began.elapsed() < DEADLINE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Applies what the feed gives up to a number, and checks that it has no hole.
async fn drain(feed: &mut Queue, mut applied: u64, upto: u64) -> u64 {
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
async fn idle(feed: &mut Queue, applied: u64, what: &str, is: impl AsyncFnMut() -> bool) {
    tokio::select! {
        records = feed.next(applied, 500) => panic!("unexpected: {:?}", records.map(|it| it.len())),
        () = until(what, is) => {}
    }
}

async fn publish(channel: &lapin::Channel, exchange: &str, body: &[u8]) {
    let options = BasicPublishOptions::default();
    let confirm = channel.basic_publish(
        exchange.into(),
        "".into(),
        options,
        body,
        Default::default(),
    );
    confirm.await.expect("publish").await.expect("publish");
}

#[test]
fn what_is_missing_is_made_and_reported() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let url = BackendUrl::parse(&broker.url).expect("an address");
        let topology = Topology::log(["redis"]);
        let open = async || Publisher::open(&url, "test", &topology).await;
        let (first, missing) = open().await.expect("open");
        assert_eq!(missing, topology.names().collect::<Vec<_>>());
        first.close().await;
        let (second, missing) = open().await.expect("open");
        assert!(missing.is_empty(), "{missing:?}");
        second.close().await;
        broker.delete_queue(&log_queue("redis"));
        let (third, missing) = open().await.expect("open");
        assert_eq!(missing, ["queue telegram.log.redis"]);
        third.close().await;

        // Without the right to configure it works as long as everything is there.
        broker.permit("^$");
        let (fourth, missing) = open().await.expect("open");
        assert!(missing.is_empty(), "{missing:?}");
        fourth.close().await;
        broker.permit(".*");

        broker.delete_queue(&log_queue("redis"));
        let (_connection, channel) = broker.channel().await;
        let options = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let classic =
            channel.queue_declare(log_queue("redis").into(), options, FieldTable::default());
        classic.await.expect("declare");
        let error = open().await.err().expect("the arguments are wrong");
        assert_eq!(error.class(), Class::Operator, "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("delete it")));
    });
}

#[test]
fn wrong_credentials_are_the_operators_and_are_not_shown() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let mut url = url::Url::parse(&broker.url).expect("an address");
        url.set_password(Some("geheim")).expect("an address");
        let url = BackendUrl::parse(url.as_str()).expect("an address");
        let error = Publisher::open(&url, "test", &Topology::events()).await;
        let error = error.err().expect("refused");
        assert_eq!(error.class(), Class::Operator, "{error:?}");
        let text = format!("{error:?} {}", telegram_gateway::failure::chain(&error));
        assert!(!text.contains("geheim"), "{text}");
        let nobody = BackendUrl::parse("amqp://u:geheim@127.0.0.1:1/x").expect("an address");
        let error = Publisher::open(&nobody, "test", &Topology::events()).await;
        assert_eq!(error.err().expect("nobody").class(), Class::Transient);
    });
}

#[test]
fn a_message_that_reaches_no_queue_is_a_failure() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let url = BackendUrl::parse(&broker.url).expect("an address");
        let topology = Topology::log(["redis"]);
        let (mut publisher, _) = Publisher::open(&url, "test", &topology)
            .await
            .expect("open");
        let publication = |name: &str| Publication {
            exchange: LOG_EXCHANGE,
            routing_key: String::new(),
            content_type: "text/plain",
            schema: "test",
            message_id: name.to_owned(),
            body: b"x".to_vec(),
            mandatory: true,
        };
        publisher.publish(1, publication("1-1"));
        assert_eq!(
            publisher.outcome().await.expect("an outcome"),
            (1, Outcome::Confirmed)
        );
        broker.delete_queue(&log_queue("redis"));
        publisher.publish(2, publication("2-7"));
        let (number, outcome) = publisher.outcome().await.expect("an outcome");
        assert_eq!((number, outcome), (2, Outcome::Returned("2-7".to_owned())));
        publisher.close().await;
    });
}

#[test]
fn what_is_no_frame_of_ours_goes_to_the_dead_letters() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let relay = house.relay(log_lane());
        let mut feed = house.feed();
        let tail = house.append(3).await;
        drain(&mut feed, 0, tail).await;

        let (_connection, channel) = broker.channel().await;
        publish(&channel, LOG_EXCHANGE, b"{\"no\": \"frame\"}").await;
        let records = house
            .journal
            .reader
            .read(Seq::FIRST, 2, 10_000)
            .await
            .expect("read");
        let frame = |identity: Identity, damage: bool| {
            let mut builder = FrameBuilder::default();
            for record in &records {
                assert!(builder.push(record.as_bytes()));
            }
            let mut body = builder.finish(identity, tail, 0);
            if damage {
                let last = body.len() - 1;
                body[last] ^= 1;
            }
            body
        };
        let ours = house.journal.reader.identity();
        publish(&channel, LOG_EXCHANGE, &frame(ours, true)).await;
        let other = Identity {
            log_id: LogId([9; 16]),
            ..ours
        };
        publish(&channel, LOG_EXCHANGE, &frame(other, false)).await;
        publish(&channel, LOG_EXCHANGE, &frame(ours, false)).await;
        let dead = async || broker.ready(&channel, DEAD).await == 3;
        idle(&mut feed, tail, "three dead letters", dead).await;
        assert_eq!((feed.seen().rejected(), feed.seen().foreign()), (2, 1));

        let tail = house.append(3).await;
        drain(&mut feed, tail - 3, tail).await;
        assert_eq!(feed.seen().lost_events(), 0);
        house.end([relay]).await;
    });
}

#[test]
fn what_was_not_confirmed_when_the_connection_was_cut_is_published_again() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let relay = house.relay(log_lane());
        let mut feed = house.feed();
        let (mut applied, mut tail) = (0, 0);
        for round in 0..60 {
            tail = house.append(40).await;
            if round % 20 == 10 {
                broker.cut();
            }
            if round % 7 == 0 {
                applied = drain(&mut feed, applied, tail).await;
            }
        }
        house.confirmed(tail).await;
        drain(&mut feed, applied, tail).await;
        assert_eq!(feed.seen().lost_events(), 0, "the relay left a hole");
        let (_connection, channel) = broker.channel().await;
        let empty = async || broker.ready(&channel, &log_queue("redis")).await == 0;
        idle(&mut feed, tail, "everything is acknowledged", empty).await;
        house.end([relay]).await;
    });
}

#[test]
fn a_purged_queue_is_noticed_by_a_marker_and_mended_from_the_log() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let relay = house.relay(log_lane());
        let tail = house.append(700).await;
        house.confirmed(tail).await;
        broker.purge(&log_queue("redis"));
        // No new event flows; the next marker tells.
        let mut feed = house.feed();
        drain(&mut feed, 0, tail).await;
        let seen = feed.seen();
        assert_eq!((seen.lost_ranges(), seen.lost_events()), (1, tail));
        assert_eq!(house.status.snapshot().broker_lost, tail);
        house.end([relay]).await;
    });
}

#[test]
fn a_deleted_queue_is_made_again_and_its_events_come_from_the_log() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let relay = house.relay(log_lane());
        let mut feed = house.feed();
        let tail = house.append(10).await;
        let applied = drain(&mut feed, 0, tail).await;
        broker.delete_queue(&log_queue("redis"));
        let tail = house.append(10).await;
        let applied = drain(&mut feed, applied, tail).await;
        let tail = house.append(10).await;
        house.confirmed(tail).await;
        drain(&mut feed, applied, tail).await;
        house.end([relay]).await;
    });
}

#[test]
fn a_broker_that_is_away_holds_nothing_up() {
    wait(async {
        let house = House::new("amqp://guest:guest@127.0.0.1:1/none");
        let relay = house.relay(log_lane());
        let mut feed = house.feed();
        let tail = house.append(1200).await;
        let applied = drain(&mut feed, 0, tail).await;
        let began = Instant::now();
        let tail = house.append(1).await;
        drain(&mut feed, applied, tail).await;
        assert!(
            began.elapsed() < Duration::from_millis(500),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(
            (feed.seen().lost_events(), feed.seen().connected()),
            (0, false)
        );
        house.end([relay]).await;
    });
}

#[test]
fn a_failed_batch_comes_again() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let relay = house.relay(log_lane());
        let mut feed = house.feed();
        let tail = house.append(30).await;
        let first = feed.next(0, 10).await.expect("records");
        assert_eq!(first[0].header().seq, Seq::FIRST);
        // The projection failed: it is still at 0, and the broker still holds everything.
        drain(&mut feed, 0, tail).await;
        assert_eq!(feed.seen().lost_events(), 0);
        house.end([relay]).await;
    });
}

#[test]
fn a_restarted_relay_goes_on_behind_what_was_confirmed() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let relay = house.relay(log_lane());
        let tail = house.append(100).await;
        house.confirmed(tail).await;
        house.stop.cancel();
        relay.await.expect("ends well");
        // The cursor travels with the next commit.
        house.append(1).await;
        let cursors = house.journal.reader.cursors().await.expect("cursors");
        let saved = cursors.iter().find(|(name, _)| name == "relay.log");
        assert_eq!(saved.map(|(_, seq)| seq.get()), Some(tail));
        house.end([]).await;
    });
}

#[test]
fn programs_get_one_json_message_an_event_by_its_routing_key() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let relay = house.relay(Lane::Events);
        let unbound = house.append(5).await;
        house.confirmed(unbound).await;

        let (_connection, channel) = broker.channel().await;
        let queue = channel.queue_declare("app".into(), Default::default(), FieldTable::default());
        queue.await.expect("declare");
        let key = format!("posted.{}", peer(1).marked());
        let options = QueueBindOptions::default();
        let bound = channel.queue_bind(
            "app".into(),
            EVENTS_EXCHANGE.into(),
            key.as_str().into(),
            options,
            FieldTable::default(),
        );
        bound.await.expect("bind");
        let options = BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        };
        let consumer =
            channel.basic_consume("app".into(), "app".into(), options, FieldTable::default());
        let mut consumer = consumer.await.expect("consume");
        house.append(5).await;
        for seq in unbound + 1..=unbound + 5 {
            let delivery = consumer
                .next()
                .await
                .expect("a delivery")
                .expect("a delivery");
            let body: serde_json::Value = serde_json::from_slice(&delivery.data).expect("JSON");
            assert_eq!(body["seq"], seq);
            assert_eq!(body["message"]["text"], "text");
            let name = delivery
                .properties
                .message_id()
                .as_ref()
                .map(ToString::to_string);
            assert!(name.is_some_and(|name| name.ends_with(&format!("/{seq}"))));
        }
        house.end([relay]).await;
    });
}

#[test]
fn errors_say_what_mends_them() {
    let error = BrokerError::Address;
    assert!(error.hint().is_some());
    assert_eq!(error.class(), Class::Operator);
}

/// Not a test: prints what the way over the broker costs.
/// `cargo test --release --test it -- --ignored --nocapture broker_load`
#[test]
#[ignore = "a measurement"]
fn broker_load() {
    const EVENTS: u64 = 100_000;
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        while house.append(2000).await < EVENTS {}
        let clock = Clock::start();
        let log = house.relay(log_lane());
        house.confirmed(EVENTS).await;
        clock.tell("relay.log, frames of 50", EVENTS);
        let clock = Clock::start();
        let mut feed = house.feed();
        drain(&mut feed, 0, EVENTS).await;
        clock.tell("queue feed", EVENTS);
        println!("  from the log: {}", feed.seen().from_log());
        house.stop.cancel();
        log.await.expect("ends well");
        drop(feed);

        for bound in [false, true] {
            let house = House::new(&broker.url);
            let (_connection, channel) = broker.channel().await;
            if bound {
                let mut arguments = FieldTable::default();
                arguments.insert(
                    "x-queue-type".into(),
                    lapin::types::AMQPValue::LongString("quorum".into()),
                );
                let options = QueueDeclareOptions {
                    durable: true,
                    ..Default::default()
                };
                let queue = channel.queue_declare("app".into(), options, arguments);
                queue.await.expect("declare");
                let options = QueueBindOptions::default();
                let bind = channel.queue_bind(
                    "app".into(),
                    EVENTS_EXCHANGE.into(),
                    "#".into(),
                    options,
                    FieldTable::default(),
                );
                bind.await.expect("bind");
            }
            while house.append(2000).await < EVENTS {}
            let clock = Clock::start();
            let relay = house.relay(Lane::Events);
            house.confirmed(EVENTS).await;
            clock.tell(&format!("relay.events, bound: {bound}"), EVENTS);
            house.end([relay]).await;
        }

        let house = House::new(&broker.url);
        let relay = house.relay(log_lane());
        let mut feed = house.feed();
        let (mut latencies, mut applied) = (Vec::new(), 0);
        for _ in 0..150 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let tail = house.append(1).await;
            let began = Instant::now();
            applied = drain(&mut feed, applied, tail).await;
            latencies.push(began.elapsed());
        }
        latencies.sort();
        println!(
            "durable to feed at 50/s: p50 {:?}, p99 {:?}",
            latencies[75], latencies[148]
        );
        house.end([relay]).await;
    });
}

/// Time and processor time of this process and of the broker's.
struct Clock(Instant, f64, f64);

impl Clock {
    fn start() -> Clock {
        Clock(Instant::now(), ticks("/proc/self/stat"), beam())
    }

    fn tell(self, what: &str, events: u64) {
        let events = events as f64;
        println!(
            "{what}: {:.0} ev/s, this side {:.1} us/ev, broker {:.1} us/ev",
            events / self.0.elapsed().as_secs_f64(),
            (ticks("/proc/self/stat") - self.1) * 1e6 / events,
            (beam() - self.2) * 1e6 / events,
        );
    }
}

fn ticks(path: &str) -> f64 {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let field = |at: usize| fields.get(at).and_then(|it| it.parse().ok()).unwrap_or(0.0);
    (field(11) + field(12)) / 100.0
}

fn beam() -> f64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let named = processes.filter(|it| {
        std::fs::read_to_string(it.path().join("comm")).is_ok_and(|name| name.starts_with("beam"))
    });
    named
        .map(|it| ticks(&it.path().join("stat").to_string_lossy()))
        .sum()
}
