//! A range of the log once more, to the queue of one program and to nobody else.

use lapin::options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::Value;
use telegram_gateway::broker::topology::{DEAD, EVENTS_EXCHANGE, log_queue};
use telegram_gateway::broker::{REPLAYED, ROUTING_KEY};
use telegram_gateway::config::BackendUrl;
use telegram_gateway::failure::{Class, Classify as _};
use telegram_gateway::relay::Lane;
use telegram_gateway::relay::republish::{self, Options, Progress, RepublishError};
use tokio_util::sync::CancellationToken;

use crate::support::events::peer;
use crate::support::gateway::Gateway;
use crate::support::house::{House, log_lane, wait};
use crate::support::rabbitmq::Broker;

fn options(url: &str, queue: &str, from: u64, until: u64) -> Options {
    Options {
        url: BackendUrl::parse(url).expect("an address"),
        queue: queue.to_owned(),
        from,
        until,
        window: 16,
        per_second_max: 1_000_000,
    }
}

async fn republish(house: &House, options: Options) -> Result<Progress, RepublishError> {
    let (reader, stop) = (&house.journal.reader, CancellationToken::new());
    republish::run(reader, &options, &mut |_| {}, &stop).await
}

async fn declare(channel: &lapin::Channel, queue: &str) {
    let declared = channel.queue_declare(queue.into(), Default::default(), FieldTable::default());
    declared.await.expect("declare");
}

/// Everything that is in a queue: number, and the key by which it came first if it is marked as republished.
async fn drained(channel: &lapin::Channel, queue: &str) -> Vec<(u64, Option<String>)> {
    let mut found = Vec::new();
    loop {
        let options = BasicGetOptions { no_ack: true };
        let got = channel.basic_get(queue.into(), options).await.expect("get");
        let Some(message) = got else {
            return found;
        };
        let body: Value = serde_json::from_slice(&message.data).expect("JSON");
        let seq = body["seq"].as_u64().expect("a number");
        let id = message
            .properties
            .message_id()
            .as_ref()
            .expect("a message id");
        assert!(id.to_string().ends_with(&format!("/{seq}")), "{id}");
        let headers = message.properties.headers().clone().unwrap_or_default();
        let headers = headers.inner();
        let key = match (headers.get(REPLAYED), headers.get(ROUTING_KEY)) {
            (Some(AMQPValue::Boolean(true)), Some(AMQPValue::LongString(key))) => {
                Some(key.to_string())
            }
            (None, None) => None,
            other => panic!("{other:?}"),
        };
        found.push((seq, key));
    }
}

#[test]
fn a_range_goes_to_one_queue_in_order_and_marked() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let (_connection, channel) = broker.channel().await;
        let relay = house.relay(Lane::Events);
        let tail = house.append(40).await;
        house.confirmed(tail).await;
        for queue in ["absent", "other"] {
            declare(&channel, queue).await;
            let bound = channel.queue_bind(
                queue.into(),
                EVENTS_EXCHANGE.into(),
                "#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            bound.await.expect("bind");
        }
        let done = republish(&house, options(&broker.url, "absent", 5, 36)).await;
        let done = done.expect("published");
        assert_eq!((done.at, done.published), (36, 32));
        let key = format!("posted.{}", peer(1).marked());
        let expected: Vec<_> = (5..=36).map(|seq| (seq, Some(key.clone()))).collect();
        assert_eq!(drained(&channel, "absent").await, expected);
        assert_eq!(drained(&channel, "other").await, []);
        // What is published in the ordinary way is not marked.
        let tail = house.append(1).await;
        house.confirmed(tail).await;
        assert_eq!(drained(&channel, "other").await, [(tail, None)]);
        house.end([relay]).await;
    });
}

#[test]
fn what_cannot_be_published_says_how_far_it_is() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let tail = house.append(400).await;
        let gone = republish(&house, options(&broker.url, "nobody", 3, tail)).await;
        let gone = gone.expect_err("no such queue");
        assert!(
            matches!(gone, RepublishError::NoQueue { at: 2, .. }),
            "{gone:?}"
        );
        assert_eq!(gone.class(), Class::Operator);

        // Our own queues carry frames, and their stores have a command of their own.
        let relay = house.relay(log_lane());
        house.confirmed(tail).await;
        for queue in [&log_queue("redis"), DEAD] {
            let ours = republish(&house, options(&broker.url, queue, 1, tail)).await;
            let ours = ours.expect_err("refused");
            assert!(
                ours.hint().is_some_and(|hint| hint.contains("replay")),
                "{ours}"
            );
        }

        // A line that is cut: the same command goes on from where it says.
        let (_connection, channel) = broker.channel().await;
        declare(&channel, "app").await;
        let mut first = options(&broker.url, "app", 1, tail);
        (first.window, first.per_second_max) = (1, 2_000);
        let (reader, stop) = (&house.journal.reader, CancellationToken::new());
        let mut report = |progress: &Progress| {
            if progress.at == 100 {
                stop.cancel();
            }
        };
        let stopped = republish::run(reader, &first, &mut report, &stop).await;
        let Err(RepublishError::Stopped { at, .. }) = stopped else {
            panic!("{stopped:?}")
        };
        assert_eq!(at, 100);
        let rest = republish(&house, options(&broker.url, "app", at + 1, tail)).await;
        assert_eq!(rest.expect("published").published, tail - at);
        let seqs: Vec<u64> = drained(&channel, "app")
            .await
            .iter()
            .map(|it| it.0)
            .collect();
        assert_eq!(seqs, (1..=tail).collect::<Vec<_>>());
        house.end([relay]).await;
    });
}

#[test]
fn the_command_publishes_what_the_log_has() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    let mut gateway = Gateway::embedded();
    gateway.ok(&[
        "run",
        "--source",
        "synthetic",
        "--rate",
        "0",
        "--events",
        "50",
        "--drain",
    ]);
    let refused = gateway.run(&["republish", "--queue", "app", "--from", "1"]);
    assert_eq!(refused.status.code(), Some(78), "no broker is configured");
    gateway.set("TGW_RABBITMQ__URL", &broker.url);
    let missing = gateway.run(&["republish", "--queue", "app", "--from", "1"]);
    assert_eq!(missing.status.code(), Some(1));
    wait(async {
        let (_connection, channel) = broker.channel().await;
        declare(&channel, "app").await;
        let arguments = [
            "republish",
            "--queue",
            "app",
            "--from",
            "41",
            "--until",
            "900",
            "--json",
        ];
        let done = gateway.json(&arguments);
        assert_eq!(
            (&done["published"], &done["at"]),
            (&10.into(), &50.into()),
            "{done}"
        );
        let seqs: Vec<u64> = drained(&channel, "app")
            .await
            .iter()
            .map(|it| it.0)
            .collect();
        assert_eq!(seqs, (41..=50).collect::<Vec<_>>());
        let beyond = gateway.run(&["republish", "--queue", "app", "--from", "51"]);
        assert_eq!(beyond.status.code(), Some(1));
    });
}

/// Its queue holds so much and no more: that protects the broker, and the log has the rest.
#[test]
fn a_program_that_was_away_for_long_gets_from_the_log_what_its_queue_could_not_hold() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let relay = house.relay(Lane::Events);
        let tail = house.append(1).await;
        house.confirmed(tail).await;
        let (_connection, channel) = broker.channel().await;
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(20));
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("quorum".into()),
        );
        let durable = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let declared = channel.queue_declare("away".into(), durable, arguments);
        declared.await.expect("declare");
        let bound = channel.queue_bind(
            "away".into(),
            EVENTS_EXCHANGE.into(),
            "#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.expect("bind");
        let tail = house.append(100).await;
        house.confirmed(tail).await;
        let seqs = |found: Vec<(u64, Option<String>)>| -> Vec<u64> {
            found.into_iter().map(|(seq, _)| seq).collect()
        };
        let held = seqs(drained(&channel, "away").await);
        assert_eq!(held, (tail - 19..=tail).collect::<Vec<_>>(), "the newest");
        // As many at once as the queue takes.
        for from in (2..tail - 19).step_by(20) {
            let until = (from + 19).min(tail - 20);
            let done = republish(&house, options(&broker.url, "away", from, until)).await;
            assert_eq!(done.expect("published").at, until);
            let again = seqs(drained(&channel, "away").await);
            assert_eq!(again, (from..=until).collect::<Vec<_>>());
        }
        house.end([relay]).await;
    });
}
