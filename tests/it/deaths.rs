//! kill -9 at the moments that count on the way to broker and store: a line is stuck at the word in question, so that
//! the daemon dies there and nowhere else.

use crate::support::gateway::{Gateway, Running, wait_until};
use crate::support::house::{House, drain, idle, log_lane, until, wait};
use crate::support::proxy::{Moment, Proxy};
use crate::support::rabbitmq::Broker;
use crate::support::receipts::{nothing_lost_or_doubled, receipts_are_in_the_log};
use crate::support::services::{in_database, pgbouncer_url};

/// The first bytes of AMQP's `basic.publish`: class 60, method 40.
const PUBLISH: &str = "\0<\0(";

/// A daemon that appends slowly, with a receipt for each event.
fn start(gateway: &Gateway, values: &[(&str, &str)]) -> Running {
    let receipts = gateway.path("receipts");
    let receipts = receipts.to_str().expect("UTF-8");
    let run = ["run", "--source", "synthetic", "--rate", "200"];
    gateway.start_with(values, &[&run[..], &["--receipts", receipts]].concat())
}

/// Lets a daemon drain, and compares log, receipts and stores.
async fn all_is_there(gateway: &Gateway) {
    gateway.ok(&["run", "--drain"]);
    let events = gateway.events().await;
    nothing_lost_or_doubled(&events);
    let receipts = gateway.path("receipts");
    receipts_are_in_the_log(receipts.to_str().expect("UTF-8"), &events);
    gateway.verify();
}

/// Where a cursor of the relay is.
fn cursor(gateway: &Gateway) -> u64 {
    if gateway.tail() == 0 {
        return 0; // there may be no log yet
    }
    let status = gateway.json(&["status", "--json"]);
    let cursors = status["cursors"].as_array().expect("cursors");
    let relay = cursors.iter().find(|it| it["name"] == "relay.log");
    relay.and_then(|it| it["seq"].as_u64()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_around_a_publish_publishes_again_with_one_effect() {
    let Some(mut gateway) = Gateway::with_services().await else {
        return;
    };
    gateway.set("TGW_RABBITMQ__EVENTS", "false");
    let proxy = Proxy::before(&gateway.broker().url);
    let line = [("TGW_RABBITMQ__URL", proxy.url.as_str())];
    for (nth, moment) in (1..).zip([Moment::Before, Moment::After]) {
        let before = gateway.tail();
        let mut daemon = start(&gateway, &line);
        wait_until("the broker confirms", || {
            assert!(daemon.is_running(), "{}", daemon.words());
            cursor(&gateway) > before
        });
        proxy.stick_at(PUBLISH, moment);
        wait_until("it is stuck at a publish", || proxy.words() == nth);
        let stuck = gateway.tail();
        wait_until("more is appended", || gateway.tail() > stuck + 50);
        daemon.kill();
        assert!(
            cursor(&gateway) <= stuck,
            "{moment:?}: it was not confirmed"
        );
        let mut daemon = start(&gateway, &[]);
        wait_until("what the broker had not confirmed is published", || {
            assert!(daemon.is_running(), "{}", daemon.words());
            cursor(&gateway) > stuck + 50
        });
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
        all_is_there(&gateway).await;
    }
}

/// Confirmed, and the cursor not saved yet: those are published again, and no others.
#[test]
fn a_relay_that_dies_before_its_cursor_is_saved_repeats_no_more_than_that() {
    let Some(broker) = Broker::fresh() else {
        return;
    };
    wait(async {
        let house = House::new(&broker.url);
        let relay = house.relay(log_lane());
        let saved = house.append(40).await;
        house.confirmed(saved).await;
        // It is saved with a later commit.
        until("the cursor is saved", async || {
            house.append(1).await;
            let cursors = house.journal.reader.cursors().await.expect("cursors");
            let relay = cursors.iter().find(|(name, _)| name == "relay.log");
            relay.is_some_and(|(_, seq)| seq.get() >= saved)
        })
        .await;
        let tail = house.append(30).await;
        house.confirmed(tail).await;
        let mut feed = house.feed();
        let applied = drain(&mut feed, 0, tail).await;
        relay.abort();
        assert!(relay.await.is_err_and(|it| it.is_cancelled()), "it died");
        let cursors = house.journal.reader.cursors().await.expect("cursors");
        let kept = cursors.iter().find(|(name, _)| name == "relay.log");
        let kept = kept.expect("saved").1.get();

        let relay = house.relay(log_lane());
        let copies = async || house.status.queues().values().any(|it| it.copies > 0);
        idle(&mut feed, applied, "those come again", copies).await;
        let last = house.append(1).await;
        house.confirmed(last).await;
        drain(&mut feed, applied, last).await;
        let seen = feed.seen();
        assert_eq!(seen.lost_events, 0, "{seen:?}");
        assert!(
            kept < tail && seen.copies > 0 && seen.copies <= tail - kept,
            "{seen:?}, saved up to {kept} of {tail}"
        );
        house.end([relay]).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_in_a_commit_has_one_effect_and_a_checkpoint_that_fits() {
    let (Some(mut gateway), Some(pooled)) = (Gateway::with_timescale().await, pgbouncer_url())
    else {
        return;
    };
    let direct = gateway.config().timescale.expect("configured").url;
    let name = url::Url::parse(direct.expose()).expect("an address");
    gateway.set("TGW_TIMESCALE__DIRECT_URL", direct.expose());
    for server in [direct.expose(), &in_database(&pooled, name.path())] {
        let proxy = Proxy::before(server);
        let line = [("TGW_TIMESCALE__URL", proxy.url.as_str())];
        for (nth, moment) in (1..).zip([Moment::Before, Moment::After]) {
            let before = gateway.tail();
            let mut daemon = start(&gateway, &line);
            wait_until("events flow", || {
                assert!(daemon.is_running(), "{}", daemon.words());
                gateway.tail() > before + 20
            });
            proxy.stick_at("COMMIT", moment);
            wait_until("it is stuck in a commit", || proxy.words() == nth);
            daemon.kill();
            // As it is, before anything mends it.
            gateway.ok(&["verify", "timescale"]);
        }
    }
    all_is_there(&gateway).await;
}
