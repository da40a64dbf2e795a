//! What servers say about messages, and clocks that differ: nothing of it costs an update or a storm of requests.

use std::time::Duration;

use datacentre::{Reaction, Rule};

use super::mirror::{Mirror, Settings};
use super::until;

const DIFFERENCE: &str = "updates.getDifference";

/// Posts in each channel.
fn post(mirror: &Mirror, text: &str) {
    for channel in &mirror.channels {
        mirror.dc.post(*channel, text);
    }
}

/// Cuts the line, and waits for the next one.
async fn reconnects(mirror: &Mirror) {
    let before = mirror.dc.connections_made();
    mirror.dc.cut();
    until("connected again", async || {
        mirror.dc.connections_made() > before && mirror.dc.ready_connections() > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_reconnects_in_a_row_cost_no_storm_and_no_update() {
    let settings = Settings {
        // No check of the line is counted.
        ping_interval: Duration::from_secs(30),
        ..Settings::default()
    };
    let mut mirror = Mirror::before(3, settings).await;
    mirror.begin().await;
    let (asked, links) = (mirror.dc.count(DIFFERENCE), mirror.dc.connections_made());
    for n in 0..10 {
        post(&mirror, &format!("before cut {n}"));
        reconnects(&mirror).await;
        post(&mirror, &format!("after cut {n}"));
    }
    mirror.has_all().await;
    let asked = mirror.dc.count(DIFFERENCE) - asked;
    let links = usize::try_from(mirror.dc.connections_made() - links).expect("few");
    assert!(links <= 20, "{links} connections");
    assert!(asked <= 2 * links, "{asked} differences for {links}");
    mirror.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_differs_from_the_server_s_loses_nothing() {
    for seconds in [58, -58, 3600, -3600] {
        let mut mirror = Mirror::before(2, Settings::default()).await;
        mirror.dc.shift_clock(seconds);
        mirror.begin().await;
        post(&mirror, "pushed");
        reconnects(&mirror).await;
        post(&mirror, "after a cut");
        mirror.has_all().await;
        mirror.stop().await;
        post(&mirror, "while it was down");
        mirror.resume().await;
        mirror.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_loses_nothing() {
    let mut mirror = Mirror::before(2, Settings::default()).await;
    mirror.begin().await;
    for _ in 0..3 {
        mirror.dc.shift_clock(3600);
        post(&mirror, "after a jump");
        reconnects(&mirror).await;
        post(&mirror, "after a cut");
    }
    mirror.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_back_is_made_again_and_costs_no_update() {
    let mirror = Mirror::start(3).await;
    // Too low, too high, sequence too low and too high, and a salt that is not valid.
    for code in [16, 17, 32, 33, 48] {
        let rule = Rule::on(DIFFERENCE, Reaction::BadMessage(code)).times(1);
        mirror.dc.add_fault(rule);
        let asked = mirror.dc.count(DIFFERENCE);
        reconnects(&mirror).await;
        post(&mirror, &format!("beside {code}"));
        until("asked again", async || {
            mirror.dc.count(DIFFERENCE) >= asked + 2
        })
        .await;
    }
    mirror.end().await;
}
