//! The real client over a line, and from a server, that does all that lines and servers do.

use datacentre::{DataCentre, Delivery, Order, Reaction, RpcError, Rule};

use telegram_gateway::event::Body;
use telegram_gateway::status::AccountReport;

use super::mirror::{Mirror, is_deletion};
use super::until;

#[tokio::test(flavor = "multi_thread")]
async fn posts_edits_and_deletions_are_in_the_log_as_they_happen() {
    let mirror = Mirror::start(2).await;
    let [first, second] = mirror.channels[..] else {
        panic!("two channels")
    };
    let kept = mirror.dc.post(first, "BUY");
    let gone = mirror.dc.post(second, "SELL");
    mirror.has_all().await;
    mirror.dc.edit(first, kept, "BUY NOW");
    mirror.dc.delete(second, &[gone]);
    let edit = |body: &Body| match body {
        Body::Edited { message, changed } => message.text == "BUY NOW" && changed.text,
        _ => false,
    };
    let (kept, gone) = (i64::from(kept), i64::from(gone));
    until("edited", async || {
        mirror.logged(edit).await.contains(&(first, kept))
    })
    .await;
    until("gone", async || {
        mirror.logged(is_deletion).await.contains(&(second, gone))
    })
    .await;
    let board = mirror.board().expect("on the board");
    assert_eq!((board.reconnects, board.rebuilds, board.dropped), (0, 0, 0));
}

/// Posts before, during and after a fault; the log must have them all, once. What the board said at the end.
async fn survives(fault: impl Fn(&DataCentre), heal: impl Fn(&DataCentre)) -> AccountReport {
    let mirror = Mirror::start(3).await;
    let post = |text: &str| {
        for n in 0..10 {
            for channel in &mirror.channels {
                mirror.dc.post(*channel, format!("{text} {n}").as_str());
            }
        }
    };
    post("before");
    fault(&mirror.dc);
    post("during");
    heal(&mirror.dc);
    post("after");
    mirror.end().await
}

fn nothing(_: &DataCentre) {}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_line_loses_nothing() {
    let board = survives(DataCentre::cut, DataCentre::cut).await;
    assert!(board.reconnects >= 1, "{board:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_line_is_noticed_and_loses_nothing() {
    let board = survives(DataCentre::half_open, nothing).await;
    assert!(board.reconnects >= 1, "{board:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_loses_nothing() {
    survives(|dc| dc.mute(true), |dc| dc.mute(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_connections_for_a_while_loses_nothing() {
    let refuse = |dc: &DataCentre| {
        dc.refuse_connections(true);
        dc.cut();
    };
    survives(refuse, |dc| dc.refuse_connections(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withheld_is_asked_for() {
    let withhold = |dc: &DataCentre| dc.deliver(Delivery::Withheld);
    survives(withhold, |dc| dc.deliver(Delivery::Live)).await;
    survives(withhold, nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_twice_or_in_any_order_is_there_once() {
    let live = |dc: &DataCentre| dc.deliver(Delivery::Live);
    survives(|dc| dc.deliver(Delivery::Twice), live).await;
    let reversed = |dc: &DataCentre| {
        dc.release(Order::Reversed);
        dc.deliver(Delivery::Live);
    };
    survives(|dc| dc.deliver(Delivery::Held), reversed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_sessions_and_salts_lose_nothing() {
    survives(DataCentre::announce_sessions, DataCentre::rotate_salts).await;
    survives(DataCentre::rotate_salts, DataCentre::cut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_library_costs_a_client_and_no_update() {
    let board = survives(DataCentre::send_wrong_session, nothing).await;
    // Where only the task of a connection panics, the library makes another one by itself.
    assert!(board.rebuilds + board.reconnects >= 1, "{board:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_daemon_is_down_is_there_afterwards() {
    let mut mirror = Mirror::start(3).await;
    mirror.stop().await;
    for channel in mirror.channels.clone() {
        for n in 0..250 {
            mirror.dc.post(channel, format!("missed {n}").as_str());
        }
    }
    mirror.resume().await;
    mirror.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_channel_and_a_wait_stop_no_other_channel() {
    let mirror = Mirror::start(3).await;
    let poisoned = RpcError::new(400, "NOBODY_KNOWS");
    for (channel, error) in [(0, poisoned), (1, RpcError::flood_wait(3600))] {
        let rule = Rule::on("updates.getChannelDifference", Reaction::Fail(error));
        mirror.dc.add_fault(rule.channel(mirror.channels[channel]));
        mirror.dc.channel_too_long(mirror.channels[channel], false);
    }
    mirror
        .shows("waiting", |it| {
            let waits = it.waits.iter();
            let mut waits = waits.filter(|it| it.method == "updates.getChannelDifference");
            waits.any(|it| it.seconds_left > 3500)
        })
        .await;
    for n in 0..10 {
        mirror
            .dc
            .post(mirror.channels[2], format!("live {n}").as_str());
    }
    mirror.has_all().await;
}

/// The account is ended; the board and `status` must say so and what to do, and nobody is asked again.
async fn is_the_end(ended: impl Fn(&DataCentre), remedy: &str) {
    let mut mirror = Mirror::start(1).await;
    ended(&mirror.dc);
    mirror.dc.cut();
    mirror
        .shows("logged out", |it| {
            it.state == "logged-out" && it.needs_operator
        })
        .await;
    let (calls, connections) = (mirror.dc.calls().len(), mirror.dc.connections_made());
    assert!(connections <= 4, "a storm of {connections} connections");
    // The daemon goes on serving.
    let status = tokio::task::block_in_place(|| mirror.gateway.ok(&["status"]));
    assert!(status.contains(remedy), "{status}");
    assert_eq!(mirror.dc.calls().len(), calls);
    mirror.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_session_is_a_state_and_no_storm() {
    is_the_end(|dc| dc.log_out(dc.auth_key()), "log in again").await;
    is_the_end(|dc| dc.forget_key(dc.auth_key()), "log in again").await;
    for (error, remedy) in [
        (RpcError::session_revoked(), "log in again"),
        (RpcError::user_deactivated(), "log in with another one"),
        (RpcError::key_duplicated(), "end the other program"),
    ] {
        let rule = Rule::on("updates.getDifference", Reaction::Fail(error));
        let ended = |dc: &DataCentre| {
            dc.add_fault(rule.clone());
        };
        is_the_end(ended, remedy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_costs_its_neighbours_nothing() {
    survives(|dc| dc.push_garbled(0, Vec::new()), nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_five_hundred_channels_sweeps_none_of_them() {
    let mut mirror = Mirror::start(500).await;
    // All that has happened is long ago, and asked for: three checks, for one may be on its way.
    mirror.dc.shift_clock(60);
    let checks = mirror.dc.count("updates.getDifference") + 3;
    until("quiet", async || {
        mirror.dc.count("updates.getDifference") >= checks
    })
    .await;
    mirror.stop().await;
    let asked = |dc: &DataCentre| {
        let counts = ["updates.getDifference", "updates.getChannelDifference"];
        counts.map(|method| dc.count(method))
    };
    let [differences, of_channels] = asked(&mirror.dc);
    mirror.resume().await;
    mirror.shows("live", |it| it.state == "live").await;
    let now = asked(&mirror.dc);
    assert!(
        now[0] <= differences + 2,
        "one difference, and perhaps a check: {now:?}"
    );
    assert_eq!(now[1], of_channels, "nothing happened in any of them");
    for channel in [0, 250, 499] {
        mirror.dc.post(mirror.channels[channel], "live");
    }
    mirror.end().await;
}
