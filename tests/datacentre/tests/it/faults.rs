//! What can be made to go wrong, as the client sees it.

use std::time::Duration;

use datacentre::{ChannelSpec, DataCentre, Reaction, RpcError, Rule, UserSpec};
use grammers_client::tl;
use grammers_mtsender::InvocationError;
use grammers_session::updates::UpdatesLike;
use tl::functions as f;

use crate::support::{Visitor, error_name, in_time, session_with, start};

const STATE: f::updates::GetState = f::updates::GetState {};

fn missed_in(dc: &DataCentre, channel_id: i64) -> f::updates::GetChannelDifference {
    f::updates::GetChannelDifference {
        force: false,
        channel: tl::types::InputChannel {
            channel_id,
            access_hash: dc.access_hash(channel_id, 0),
        }
        .into(),
        filter: tl::enums::ChannelMessagesFilter::Empty,
        pts: 1,
        limit: 100,
    }
}

async fn arrived() -> (DataCentre, Visitor) {
    let dc = start().await;
    let visitor = Visitor::new(&dc).await;
    visitor.arrive().await;
    (dc, visitor)
}

async fn notices_the_end(visitor: &mut Visitor) {
    let next = visitor.next_update().await;
    assert!(matches!(next, UpdatesLike::ConnectionClosed), "{next:?}");
}

/// Whether a call is left without an answer: a later one is answered before it, on the same line.
async fn is_unanswered<R: tl::RemoteCall>(visitor: &Visitor, call: &R) -> bool {
    let (call, later) = (visitor.client.invoke(call), f::help::GetConfig {});
    in_time("either", async {
        tokio::select! {
            biased;
            _ = call => false,
            _ = visitor.client.invoke(&later) => true,
        }
    })
    .await
}

#[tokio::test]
async fn a_method_fails_as_often_as_it_is_told_and_its_calls_are_counted() {
    let (dc, visitor) = arrived().await;
    let wait = Reaction::Fail(RpcError::flood_wait(17));
    dc.add_fault(Rule::on("updates.getState", wait).times(2));
    let began = std::time::Instant::now();
    for _ in 0..2 {
        match visitor.ask(&STATE).await {
            Err(InvocationError::Rpc(error)) => {
                assert_eq!(
                    (error.code, error.name.as_str(), error.value),
                    (420, "FLOOD_WAIT", Some(17))
                );
            }
            other => panic!("{other:?}"),
        }
    }
    visitor.ask(&STATE).await.expect("an answer");
    assert_eq!(dc.count("updates.getState"), 4);
    let calls = dc.calls();
    let late = calls
        .iter()
        .filter(|call| call.method == "updates.getState" && call.at >= began);
    assert_eq!(late.count(), 3);
}

#[tokio::test]
async fn one_channel_is_poisoned_and_the_others_are_not() {
    let (dc, visitor) = arrived().await;
    let bad = dc.add_channel(ChannelSpec::broadcast("Bad"));
    let good = dc.add_channel(ChannelSpec::broadcast("Good"));
    let poison = Reaction::Fail(RpcError::new(400, "CHANNEL_INVALID"));
    let number = dc.add_fault(Rule::on("updates.getChannelDifference", poison).channel(bad));
    for _ in 0..3 {
        let answer = visitor.ask(&missed_in(&dc, bad)).await;
        assert_eq!(error_name(answer), "CHANNEL_INVALID");
        visitor.ask(&missed_in(&dc, good)).await.expect("an answer");
    }
    dc.remove_fault(number);
    visitor.ask(&missed_in(&dc, bad)).await.expect("an answer");
}

#[tokio::test]
async fn one_account_fails_and_the_other_does_not() {
    let (dc, visitor) = arrived().await;
    let second = dc.add_account(UserSpec::named("Second"));
    let other = Visitor::with_key(&dc, dc.add_key(Some(second))).await;
    let ended = Reaction::Fail(RpcError::session_revoked());
    dc.add_fault(Rule::on_any(ended).account(second));
    assert_eq!(error_name(other.ask(&STATE).await), "SESSION_REVOKED");
    visitor.arrive().await;
    dc.clear_faults();
    other.arrive().await;
}

#[tokio::test]
async fn answers_are_lost_late_or_held() {
    let (dc, visitor) = arrived().await;
    dc.add_fault(Rule::on("updates.getState", Reaction::Ignore).times(1));
    assert!(is_unanswered(&visitor, &STATE).await);
    let late = Reaction::Delay(Duration::from_millis(20));
    dc.add_fault(Rule::on("updates.getState", late).times(1));
    visitor.ask(&STATE).await.expect("a late answer");
    dc.add_fault(Rule::on("updates.getState", Reaction::Hold).times(1));
    let before = dc.count("updates.getState");
    let (answer, ()) = tokio::join!(visitor.ask(&STATE), async {
        let asked = dc.until(|dc| dc.count("updates.getState") > before);
        in_time("the call", asked).await;
        dc.release_answers();
    });
    answer.expect("an answer when it is released");
}

#[tokio::test]
async fn a_cut_is_noticed_and_the_next_call_connects_again() {
    let (dc, mut visitor) = arrived().await;
    dc.cut();
    notices_the_end(&mut visitor).await;
    visitor.arrive().await;
    assert_eq!(dc.connections_made(), 2);
    dc.add_fault(Rule::on("updates.getState", Reaction::Cut).times(1));
    let answer = visitor.ask(&STATE).await;
    assert!(answer.is_err(), "{answer:?}");
    notices_the_end(&mut visitor).await;
    visitor.arrive().await;
    assert_eq!(dc.connections_made(), 3);
}

#[tokio::test]
async fn connections_are_refused_for_a_while() {
    let dc = start().await;
    dc.refuse_connections(true);
    let visitor = Visitor::new(&dc).await;
    let answer = visitor.ask(&STATE).await;
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(dc.ready_connections(), 0);
    dc.refuse_connections(false);
    visitor.arrive().await;
    assert_eq!(dc.ready_connections(), 1);
}

/// Makes a call that goes into a black hole.
async fn swallowed(dc: &DataCentre, visitor: &Visitor) {
    let (calls, packets) = (dc.count("updates.getState"), dc.packets_swallowed());
    let is_gone = in_time("a call", async {
        tokio::select! {
            biased;
            _ = visitor.client.invoke(&STATE) => false,
            () = dc.until(|dc| dc.packets_swallowed() > packets) => true,
        }
    });
    assert!(is_gone.await);
    assert_eq!(dc.count("updates.getState"), calls);
}

#[tokio::test]
async fn half_open_connections_stay_dark_and_new_ones_work() {
    let (dc, visitor) = arrived().await;
    dc.half_open();
    swallowed(&dc, &visitor).await;
    let other = Visitor::new(&dc).await;
    other.arrive().await;
    swallowed(&dc, &visitor).await;
}

#[tokio::test]
async fn a_mute_data_centre_takes_connections_and_says_nothing() {
    let (dc, visitor) = arrived().await;
    dc.mute(true);
    swallowed(&dc, &visitor).await;
    let other = Visitor::new(&dc).await;
    swallowed(&dc, &other).await;
    assert_eq!(dc.connections_made(), 2);
    dc.mute(false);
    visitor.arrive().await;
}

#[tokio::test]
async fn the_first_salt_is_wrong_and_so_are_those_from_before_a_change() {
    let (dc, visitor) = arrived().await;
    dc.rotate_salts();
    visitor.arrive().await;
    dc.add_fault(Rule::on("updates.getState", Reaction::BadMessage(48)).times(1));
    visitor.arrive().await;
    // The client sends again what came back.
    assert_eq!(dc.connections_made(), 1);
    assert!(dc.count("updates.getState") >= 4);
}

#[tokio::test]
async fn a_pong_can_be_kept_back() {
    let (dc, visitor) = arrived().await;
    let number = dc.add_fault(Rule::on("ping", Reaction::Ignore));
    let ping = f::Ping { ping_id: 7 };
    assert!(is_unanswered(&visitor, &ping).await);
    dc.remove_fault(number);
    let tl::enums::Pong::Pong(pong) = visitor.ask(&ping).await.expect("a pong");
    assert_eq!(pong.ping_id, 7);
}

#[tokio::test]
async fn a_packet_for_a_wrong_session_makes_the_client_panic() {
    let (dc, mut visitor) = arrived().await;
    dc.send_wrong_session();
    assert!(visitor.runner_panics().await);
}

#[tokio::test]
async fn a_forgotten_key_is_an_error_of_the_transport() {
    let (dc, visitor) = arrived().await;
    dc.forget_key(dc.auth_key());
    let answer = visitor.ask(&STATE).await;
    let is_unknown_key = |error: &InvocationError| matches!(error, InvocationError::Transport(error) if error.to_string().contains("404"));
    assert!(answer.as_ref().is_err_and(is_unknown_key), "{answer:?}");
}

#[tokio::test]
async fn an_error_of_the_transport_ends_the_connection() {
    let (dc, mut visitor) = arrived().await;
    dc.send_transport_error(429);
    notices_the_end(&mut visitor).await;
    let rule = Rule::on("updates.getState", Reaction::TransportError(429));
    dc.add_fault(rule.times(1));
    let answer = visitor.ask(&STATE).await;
    assert!(
        matches!(answer, Err(InvocationError::Transport(_))),
        "{answer:?}"
    );
    notices_the_end(&mut visitor).await;
    visitor.arrive().await;
}

#[tokio::test]
async fn a_login_that_was_ended_elsewhere_is_unauthorized() {
    let (dc, visitor) = arrived().await;
    dc.log_out(dc.auth_key());
    assert_eq!(
        error_name(visitor.ask(&STATE).await),
        "AUTH_KEY_UNREGISTERED"
    );
}

#[tokio::test]
async fn a_difference_with_something_unknown_cannot_be_read() {
    let (dc, visitor) = arrived().await;
    let channel = dc.add_channel(ChannelSpec::broadcast("Signals"));
    dc.post(channel, "behind it");
    let rule = Rule::on("updates.getChannelDifference", Reaction::Garble);
    dc.add_fault(rule.times(1));
    let answer = visitor.ask(&missed_in(&dc, channel)).await;
    assert!(
        matches!(answer, Err(InvocationError::Deserialize(_))),
        "{answer:?}"
    );
    visitor
        .ask(&missed_in(&dc, channel))
        .await
        .expect("an answer");
}

#[tokio::test]
async fn the_clock_of_the_server_goes_ahead_or_behind() {
    let dc = start().await;
    dc.change_options(|options| options.checks_message_times = true);
    dc.shift_clock(-3600);
    let behind = Visitor::new(&dc).await;
    let channel = dc.add_channel(ChannelSpec::broadcast("Signals"));
    dc.stop_clock(Some(1_600_000_000));
    dc.post(channel, "from long ago");
    let [tl::enums::Message::Message(message)] = &dc.messages(channel)[..] else {
        panic!("one message");
    };
    assert_eq!(message.date, 1_600_000_000);
    dc.stop_clock(None);
    dc.shift_clock(7200);
    // An hour ahead by now: ids of the client are too low, and it learns the time from that.
    behind.arrive().await;
}

#[tokio::test]
async fn what_get_config_says_can_be_made_up() {
    let (dc, visitor) = arrived().await;
    let elsewhere = "192.0.2.7:443".parse().expect("an address");
    dc.tell_addresses(Some(vec![(2, elsewhere)]));
    let tl::enums::Config::Config(config) =
        visitor.ask(&f::help::GetConfig {}).await.expect("a config");
    let [tl::enums::DcOption::Option(option)] = &config.dc_options[..] else {
        panic!("{:?}", config.dc_options);
    };
    assert_eq!(
        (option.ip_address.as_str(), option.port),
        ("192.0.2.7", 443)
    );
}

#[tokio::test]
async fn a_client_that_sends_rubbish_is_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let dc = start().await;
    let mut stream = tokio::net::TcpStream::connect(dc.address())
        .await
        .expect("accepted");
    stream.write_all(&[0xff; 64]).await.expect("taken");
    let mut rest = Vec::new();
    let ended = in_time("the end", stream.read_to_end(&mut rest)).await;
    // Closed in order, or with a reset because not all of it was read.
    assert!(ended.is_err() || rest.is_empty(), "{rest:?}");
    let visitor = Visitor::with_session(session_with(&dc, dc.auth_key()).await);
    visitor.arrive().await;
}
