//! What the way over the broker costs: measurements, not tests.

use std::time::{Duration, Instant};

use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use telegram_gateway::broker::topology::EVENTS_EXCHANGE;
use telegram_gateway::relay::Lane;

use crate::support::house::{House, drain, log_lane, wait};
use crate::support::rabbitmq::Broker;

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
        println!("  from the log: {}", feed.seen().from_log);
        house.stop.cancel();
        log.await.expect("ends well");
        drop(feed);

        events_load(&broker, EVENTS).await;
        latency(&broker).await;
    });
}

async fn events_load(broker: &Broker, count: u64) {
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
        while house.append(2000).await < count {}
        let clock = Clock::start();
        let relay = house.relay(Lane::Events);
        house.confirmed(count).await;
        clock.tell(&format!("relay.events, bound: {bound}"), count);
        house.end([relay]).await;
    }
}

async fn latency(broker: &Broker) {
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
