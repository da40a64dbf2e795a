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
use telegram_gateway::config::BackendUrl;
use telegram_gateway::failure::{Class, Classify as _};
use telegram_gateway::projector::Feed as _;
use telegram_gateway::relay::Lane;
use telegram_gateway::status::QueueState;
use wal::{Identity, LogId, Seq};

use crate::support::events::peer;
use crate::support::house::{House, drain, idle, log_lane, wait};
use crate::support::rabbitmq::Broker;

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
        assert!(broker.delete_queue(&log_queue("redis")));
        let (third, missing) = open().await.expect("open");
        assert_eq!(missing, ["queue telegram.log.redis"]);
        third.close().await;

        // Without the right to configure it works as long as everything is there.
        broker.permit("^$");
        let (fourth, missing) = open().await.expect("open");
        assert!(missing.is_empty(), "{missing:?}");
        fourth.close().await;
        broker.permit(".*");

        assert!(broker.delete_queue(&log_queue("redis")));
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
            replay_of: None,
        };
        publisher.publish(1, publication("1-1"));
        assert_eq!(
            publisher.outcome().await.expect("an outcome"),
            (1, Outcome::Confirmed)
        );
        assert!(broker.delete_queue(&log_queue("redis")));
        publisher.publish(2, publication("2-7"));
        let (number, outcome) = publisher.outcome().await.expect("an outcome");
        assert_eq!((number, outcome), (2, Outcome::Returned("2-7".to_owned())));
        publisher.close().await;
    });
}

#[test]
fn a_relay_whose_frame_is_returned_makes_the_queue_and_publishes_again() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let relay = house.relay(log_lane());
        let tail = house.append(10).await;
        house.confirmed(tail).await;
        // Nobody reads the queue, so nobody else makes it.
        assert!(broker.delete_queue(&log_queue("redis")));
        let tail = house.append(10).await;
        house.confirmed(tail).await;
        let mut feed = house.feed();
        let from_log = feed.seen().from_log;
        drain(&mut feed, 10, tail).await;
        assert_eq!(feed.seen().from_log, from_log, "the queue has them");
        house.end([relay]).await;
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
        assert_eq!((feed.seen().rejected, feed.seen().foreign), (2, 1));

        let tail = house.append(3).await;
        drain(&mut feed, tail - 3, tail).await;
        assert_eq!(feed.seen().lost_events, 0);
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
        assert_eq!(feed.seen().lost_events, 0, "the relay left a hole");
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
        assert!(broker.purge(&log_queue("redis")));
        // No new event flows; the next marker tells.
        let mut feed = house.feed();
        drain(&mut feed, 0, tail).await;
        let seen = feed.seen();
        assert_eq!((seen.lost_ranges, seen.lost_events), (1, tail));
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
        assert!(broker.delete_queue(&log_queue("redis")));
        let tail = house.append(10).await;
        let applied = drain(&mut feed, applied, tail).await;
        let tail = house.append(10).await;
        house.confirmed(tail).await;
        let applied = drain(&mut feed, applied, tail).await;
        drop(feed);

        // Nobody reads it, and then it is gone with what the broker had confirmed: that is lost, and counted.
        let tail = house.append(20).await;
        house.confirmed(tail).await;
        assert!(broker.delete_queue(&log_queue("redis")));
        let lost = || house.status.snapshot().broker_lost;
        let before = lost();
        drain(&mut house.feed(), applied, tail).await;
        assert_eq!(lost() - before, 20);
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
            (feed.seen().lost_events, feed.seen().state),
            (0, QueueState::Away)
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
        assert_eq!(feed.seen().lost_events, 0);
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
