//! The users of docs/rabbitmq.md can do what they need, and nothing else.

use std::collections::BTreeMap;

use lapin::options::{BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use telegram_gateway::broker::topology::{DEAD, EVENTS_EXCHANGE, LOG_EXCHANGE, log_queue};
use telegram_gateway::config::BackendUrl;
use telegram_gateway::relay::Lane;
use telegram_gateway::relay::republish::{self, Options};
use tokio_util::sync::CancellationToken;

use crate::support::gateway::{Gateway, repository, wait_until};
use crate::support::house::{House, drain, idle, log_lane, wait};
use crate::support::rabbitmq::Broker;

/// Configure, write and read of each user, as the document has them.
fn documented() -> BTreeMap<String, [String; 3]> {
    let text = std::fs::read_to_string(repository("docs/rabbitmq.md")).expect("the document");
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("rabbitmqctl set_permissions -p telegram "));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [user, configure, write, read] = words[..] else {
                panic!("{line}")
            };
            let rights = [configure, write, read].map(|right| right.trim_matches('\'').to_owned());
            (user.to_owned(), rights)
        })
        .collect()
}

async fn channel(url: &str) -> lapin::Channel {
    let connected = lapin::Connection::connect(url, lapin::ConnectionProperties::default());
    let connection = connected.await.expect("connect");
    connection.create_channel().await.expect("a channel")
}

/// The whole way with the address of one user.
async fn whole_way(url: &str, app: &lapin::Channel, from: u64) {
    let house = House::new(url);
    let relays = [house.relay(log_lane()), house.relay(Lane::Events)];
    let mut feed = house.feed();
    let tail = house.append(30).await;
    drain(&mut feed, 0, tail).await;
    house.confirmed(tail).await;
    // A body that is no frame goes to the dead letters, which takes rights too.
    let body = b"no frame";
    let sent = app.basic_publish(
        "".into(),
        log_queue("redis").as_str().into(),
        BasicPublishOptions::default(),
        body,
        Default::default(),
    );
    sent.await.expect("publish");
    let seen = house.status.clone();
    let rejected = async || seen.queue("redis", |board| board.rejected) == 1;
    idle(&mut feed, tail, "a dead letter", rejected).await;
    let options = Options {
        url: BackendUrl::parse(url).expect("an address"),
        queue: "app.news".to_owned(),
        from,
        until: tail,
        window: 16,
        per_second_max: 1_000_000,
    };
    let (reader, stop) = (&house.journal.reader, CancellationToken::new());
    let done = republish::run(reader, &options, &mut |_| {}, &stop).await;
    assert_eq!(done.expect("republished").published, tail + 1 - from);
    house.end(relays).await;
}

#[test]
fn a_wrong_password_is_told_and_nothing_waits_for_it() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    let mut gateway = Gateway::embedded();
    let wrong = broker.url.replace(":guest@", ":wr0ng@");
    assert_ne!(wrong, broker.url);
    gateway.set("TGW_RABBITMQ__URL", &wrong);
    let source = ["--source", "synthetic", "--rate", "0", "--events", "50"];
    let run = gateway.run(&[&["run", "--drain"][..], &source].concat());
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(69), "{said}");
    assert!(
        said.contains("rabbitmq.url") && !said.contains("wr0ng"),
        "{said}"
    );
    assert_eq!(gateway.tail(), 50, "all is in the log");
    gateway.verify();
    let mut daemon = gateway.start(&["run"]);
    wait_until("the status says who has to do something", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        let relay = &gateway.json(&["status", "--json"])["stages"]["confirmed"];
        relay["needs_operator"] == true && relay["fault"].as_str().is_some_and(|it| !it.is_empty())
    });
    let shown = gateway.ok(&["status"]);
    assert!(
        shown.contains("waits for you") && !shown.contains("wr0ng"),
        "{shown}"
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
}

/// Has the app's queue listen to an exchange.
async fn bind(channel: &lapin::Channel, exchange: &str) -> lapin::Result<()> {
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    let bound = channel.queue_bind(
        "app.news".into(),
        exchange.into(),
        "posted.*".into(),
        options,
        arguments,
    );
    bound.await
}

/// Whether the server said that this is not allowed, and not something else.
#[track_caller]
fn is_refused<T: std::fmt::Debug>(what: &str, result: lapin::Result<T>) {
    let said = format!("{result:?}");
    assert!(said.contains("ACCESSREFUSED"), "{what}: {said}");
}

/// What these users must not do.
async fn nothing_else(urls: &BTreeMap<&str, String>) {
    for exchange in [LOG_EXCHANGE, DEAD] {
        let refused = bind(&channel(&urls["app"]).await, exchange).await;
        is_refused(&format!("the app listens to {exchange}"), refused);
    }
    for queue in [log_queue("redis"), DEAD.to_owned()] {
        let channel = channel(&urls["app"]).await;
        let got = channel
            .basic_get(queue.as_str().into(), Default::default())
            .await;
        is_refused(&format!("the app reads {queue}"), got);
    }
    for user in ["app", "gateway-fixed", "gateway"] {
        let channel = channel(&urls[user]).await;
        let options = QueueDeclareOptions::default();
        let made = channel.queue_declare("elsewhere".into(), options, FieldTable::default());
        is_refused(&format!("{user} makes a queue anywhere"), made.await);
    }
    let gone = channel(&urls["gateway-fixed"]).await;
    let gone = gone.queue_delete(log_queue("redis").as_str().into(), Default::default());
    is_refused("a queue is deleted by who may not configure", gone.await);
    for target in [EVENTS_EXCHANGE, LOG_EXCHANGE, ""] {
        let channel = channel(&urls["app"]).await;
        channel
            .confirm_select(Default::default())
            .await
            .expect("confirms");
        let options = BasicPublishOptions::default();
        let key = log_queue("redis");
        let sent = channel.basic_publish(
            target.into(),
            key.as_str().into(),
            options,
            b"x",
            Default::default(),
        );
        let confirmed = match sent.await {
            Ok(confirm) => confirm.await.map(drop),
            Err(error) => Err(error),
        };
        is_refused(&format!("the app publishes to {target:?}"), confirmed);
    }
}

#[test]
fn the_documented_users_can_do_what_they_need_and_nothing_else() {
    let Some(mut broker) = Broker::fresh() else {
        return;
    };
    let documented = documented();
    let names: Vec<&String> = documented.keys().collect();
    assert_eq!(names, ["app", "gateway", "gateway-fixed"]);
    let urls: BTreeMap<&str, String> = documented
        .iter()
        .map(|(user, rights)| {
            let rights = [&rights[0][..], &rights[1][..], &rights[2][..]];
            (&user[..], broker.user(user, rights))
        })
        .collect();
    wait(async {
        let (_connection, admin) = broker.channel().await;
        let app = channel(&urls["app"]).await;
        let declared = app.queue_declare(
            "app.news".into(),
            QueueDeclareOptions::default(),
            FieldTable::default(),
        );
        declared.await.expect("a queue of its own");
        // The first makes the topology, the second finds it there.
        whole_way(&urls["gateway"], &admin, 1).await;
        whole_way(&urls["gateway-fixed"], &admin, 11).await;
        assert_eq!(broker.ready(&admin, "app.news").await, 30 + 20);
        bind(&app, EVENTS_EXCHANGE).await.expect("bound");
        nothing_else(&urls).await;
    });
}
