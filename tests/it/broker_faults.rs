//! What can go wrong between relay and projector while both run: queues that are not bound any more, lines that are cut
//! without a word, a backlog, deliveries in any order. The log gives what the queue does not.

use std::time::Duration;

use lapin::options::{BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use telegram_gateway::broker::frame::{self, FrameBuilder};
use telegram_gateway::broker::topology::{LOG_EXCHANGE, log_queue};
use telegram_gateway::broker::{Publisher, Topology};
use telegram_gateway::config::{self, BackendUrl};
use telegram_gateway::journal::JournalReader;
use telegram_gateway::projector::queue::Queue;
use telegram_gateway::projector::{self, Feed as _};
use telegram_gateway::relay::Lane;
use telegram_gateway::status::{QueueState, Stage};
use telegram_gateway::store::Projection as _;
use telegram_gateway::store::sqlite::Sqlite;
use telegram_gateway::verify;
use tokio_util::sync::CancellationToken;
use wal::{Identity, Record, Seq};

use crate::support::house::{House, drain, idle, log_lane, until, wait};
use crate::support::proxy::Proxy;
use crate::support::rabbitmq::Broker;

/// The address with heartbeats that notice a dead line soon.
fn alert(url: &str) -> String {
    format!("{url}?heartbeat=1")
}

#[test]
fn a_queue_that_is_not_bound_any_more_is_deaf_and_bound_again() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        // The other queue takes the frames, so none of them comes back to the relay.
        let relay = house.relay(Lane::Log(vec!["timescale".to_owned(), "redis".to_owned()]));
        let mut feed = house.feed();
        let applied = brought(&house, &mut feed, 0).await;

        let (_connection, channel) = broker.channel().await;
        let unbound = channel.queue_unbind(
            log_queue("redis").into(),
            LOG_EXCHANGE.into(),
            "".into(),
            FieldTable::default(),
        );
        unbound.await.expect("unbind");
        let before = feed.seen();
        let tail = house.append(20).await;
        let applied = drain(&mut feed, applied, tail).await;
        let seen = feed.seen();
        assert!(
            seen.from_log >= before.from_log + 20 && seen.deaf > before.deaf,
            "{seen:?}"
        );
        // The next connection binds it again.
        let hears = async || feed_state(&house) == QueueState::Listening;
        idle(&mut feed, applied, "it hears again", hears).await;
        brought(&house, &mut feed, applied).await;
        assert_eq!(feed.seen().lost_events, 0);
        house.end([relay]).await;
    });
}

/// Appends events until the queue has brought some; on a busy machine the log may be quicker at first.
async fn brought(house: &House, feed: &mut Queue<JournalReader>, mut applied: u64) -> u64 {
    loop {
        let from_log = feed.seen().from_log;
        let tail = house.append(20).await;
        applied = drain(feed, applied, tail).await;
        if feed.seen().from_log == from_log {
            return applied;
        }
    }
}

fn feed_state(house: &House) -> QueueState {
    house.status.queue("redis", |board| board.state)
}

#[test]
fn a_line_that_dies_without_a_word_holds_nothing_up() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let proxy = Proxy::before(&broker.url);
        let house = House::new(&alert(&proxy.url));
        let relay = house.relay(log_lane());
        let mut feed = house.feed();
        let tail = house.append(50).await;
        let mut applied = drain(&mut feed, 0, tail).await;
        house.confirmed(tail).await;
        for _ in 0..2 {
            proxy.hold(true);
            let tail = house.append(50).await;
            applied = drain(&mut feed, applied, tail).await;
            proxy.hold(false);
            house.confirmed(tail).await;
            let hears = async || feed_state(&house) == QueueState::Listening;
            idle(&mut feed, applied, "it hears again", hears).await;
        }
        // A slow line, and one that is cut again and again, are only that.
        proxy.delay(Duration::from_millis(30));
        for _ in 0..4 {
            let tail = house.append(50).await;
            proxy.cut();
            applied = drain(&mut feed, applied, tail).await;
        }
        let tail = house.append(1).await;
        drain(&mut feed, applied, tail).await;
        house.confirmed(tail).await;
        assert_eq!(feed.seen().lost_events, 0, "nobody lost anything");
        house.end([relay]).await;
    });
}

/// A queue of somebody else that is full and says so: the broker refuses what it cannot put there.
#[test]
fn a_frame_that_the_broker_refuses_is_published_again_until_it_is_taken() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let relay = house.relay(log_lane());
        let mut feed = house.feed();
        let tail = house.append(10).await;
        let applied = drain(&mut feed, 0, tail).await;
        house.confirmed(tail).await;

        let (_connection, channel) = broker.channel().await;
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
        let overflow = AMQPValue::LongString("reject-publish".into());
        arguments.insert("x-overflow".into(), overflow);
        let full = channel.queue_declare("full".into(), Default::default(), arguments);
        full.await.expect("declare");
        let bound = channel.queue_bind(
            "full".into(),
            LOG_EXCHANGE.into(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.expect("bind");
        // A marker fills it.
        until("it is full", async || {
            broker.ready(&channel, "full").await == 1
        })
        .await;
        let tail = house.append(30).await;
        let applied = drain(&mut feed, applied, tail).await;
        let copies = || house.status.queue("redis", |board| board.copies);
        let before = copies();
        let again = async || copies() >= before + 3;
        idle(&mut feed, applied, "it is published again and again", again).await;
        let confirmed = house.status.seq_of(Stage::Confirmed);
        assert!(confirmed < tail, "the cursor is at {confirmed}");
        assert!(broker.delete_queue("full"));
        house.confirmed(tail).await;
        assert_eq!(feed.seen().lost_events, 0);
        house.end([relay]).await;
    });
}

/// Somebody made the queue with other arguments: only a person can delete it, and the log is read meanwhile.
#[test]
fn a_queue_of_other_arguments_is_told_and_holds_nothing_up() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let (_connection, channel) = broker.channel().await;
        let options = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let classic =
            channel.queue_declare(log_queue("redis").into(), options, FieldTable::default());
        classic.await.expect("declare");
        let mut feed = house.feed();
        let tail = house.append(20).await;
        let applied = drain(&mut feed, 0, tail).await;
        let told = async || house.status.queue("redis", |board| board.needs_operator);
        idle(&mut feed, applied, "somebody has to delete it", told).await;
        let seen = feed.seen();
        assert_eq!(
            (seen.from_log, seen.state),
            (20, QueueState::Away),
            "{seen:?}"
        );
        assert!(
            seen.fault
                .is_some_and(|it| it.contains("telegram.log.redis"))
        );
        assert!(broker.delete_queue(&log_queue("redis")));
        let hears = async || feed_state(&house) == QueueState::Listening;
        idle(&mut feed, applied, "it listens", hears).await;
        assert_eq!(feed.seen().fault, None);
        house.end([]).await;
    });
}

#[test]
fn a_projector_that_is_far_behind_reads_the_log_and_drops_the_copies() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let mut house = House::new(&broker.url);
        house.catch_up_events = 1_000;
        let relay = house.relay(log_lane());
        let mut tail = 0;
        while tail < 6_000 {
            tail = house.append(2_000).await;
        }
        house.confirmed(tail).await;
        let mut feed = house.feed();
        let first = feed.next(0, 500).await.expect("records");
        assert_eq!(first.len(), 500);
        assert_eq!(feed.seen().state, QueueState::CatchingUp);
        let applied = drain(&mut feed, 0, tail).await;
        let seen = feed.seen();
        assert!(seen.from_log >= 5_000, "{seen:?}");
        let (_connection, channel) = broker.channel().await;
        let empty = async || broker.ready(&channel, &log_queue("redis")).await == 0;
        idle(&mut feed, applied, "the copies are dropped", empty).await;
        let hears = async || feed_state(&house) == QueueState::Listening;
        idle(&mut feed, applied, "it listens", hears).await;
        brought(&house, &mut feed, applied).await;
        let seen = feed.seen();
        assert_eq!(seen.lost_events, 0, "{seen:?}");
        assert!(seen.copies > 0, "{seen:?}");
        house.end([relay]).await;
    });
}

/// As RabbitMQ leaves a queue behind when it is killed while it makes it.
#[test]
fn a_queue_for_which_nobody_answers_is_made_anew() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let url = BackendUrl::parse(&broker.url).expect("an address");
        let made = Publisher::open(&url, "test", &Topology::log(["redis"])).await;
        made.expect("made").0.close().await;
        broker.suspend(&log_queue("redis"));
        let mut feed = house.feed();
        let tail = house.append(20).await;
        let applied = drain(&mut feed, 0, tail).await;
        let fault = || house.status.queue("redis", |board| board.fault.clone());
        let told = async || fault().is_some_and(|it| it.contains("nobody answers"));
        idle(&mut feed, applied, "it is told", told).await;
        let hears = async || feed_state(&house) == QueueState::Listening;
        idle(&mut feed, applied, "there is another one", hears).await;
        assert_eq!(feed.seen().missing, 1, "{:?}", feed.seen());
        let relay = house.relay(log_lane());
        brought(&house, &mut feed, applied).await;
        house.end([relay]).await;
    });
}

/// Frames of all records, of which one in six is lost and one in six comes twice.
fn framed(records: &[Record], identity: Identity, chance: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let (mut frames, mut rest) = (Vec::new(), records);
    while !rest.is_empty() {
        let (part, later) = rest.split_at(chance.usize(1..=20).min(rest.len()));
        rest = later;
        let mut builder = FrameBuilder::default();
        for record in part {
            assert!(builder.push(record.as_bytes()));
        }
        let body = builder.finish(identity, records.len() as u64, 0);
        let copies = [0, 1, 1, 1, 1, 2][chance.usize(..6)];
        frames.extend(std::iter::repeat_n(body, copies));
    }
    frames
}

/// Frames as a broker that keeps no order may deliver them: shuffled, doubled, some lost.
#[test]
fn deliveries_in_any_order_doubled_and_lost_give_the_rows_of_the_log() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let tail = house.append_everything().await;
        let mut feed = house.feed();
        let reader = &house.journal.reader;
        let records = reader
            .read(Seq::FIRST, usize::MAX, usize::MAX)
            .await
            .expect("records");
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut frames = framed(&records, reader.identity(), &mut chance);
        chance.shuffle(&mut frames);
        frames.push(frame::marker(reader.identity(), tail, tail));

        let dir = tempfile::tempdir().expect("a folder");
        let mut store = Sqlite::new(config::Sqlite {
            path: dir.path().join("messages.sqlite"),
            counter_history: None,
        });
        let stop = CancellationToken::new();
        let options = projector::Options {
            batch_events_max: 50,
            backoff: (Duration::from_millis(20), Duration::from_millis(200)),
        };
        let publishing = async {
            // The queue is there once the feed is connected.
            until("the queue is read", async || {
                feed_state(&house) == QueueState::Listening
            })
            .await;
            let (_connection, channel) = broker.channel().await;
            for body in &frames {
                let options = BasicPublishOptions::default();
                let sent = channel.basic_publish(
                    LOG_EXCHANGE.into(),
                    "".into(),
                    options,
                    body,
                    Default::default(),
                );
                sent.await.expect("publish");
            }
            let at = || house.status.seq_of(Stage::Sqlite);
            until("all is applied", async || at() >= tail).await;
            stop.cancel();
        };
        let running = projector::run(&mut store, &mut feed, reader, options, &house.status, &stop);
        let (ran, ()) = tokio::join!(running, publishing);
        ran.expect("it stops when told");
        let report = verify::store(reader, &mut store, &mut |_, _| {})
            .await
            .expect("a report");
        assert!(report.clean, "seed {seed}: {report:?}");
        assert_eq!(
            store
                .checkpoint()
                .await
                .expect("read")
                .map(|it| it.seq.get()),
            Some(tail)
        );
        house.end([]).await;
    });
}
