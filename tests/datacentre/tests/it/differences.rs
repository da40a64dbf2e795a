//! What the data centre says was missed.

use datacentre::{ChannelSpec, DataCentre, UserSpec};
use grammers_client::tl;
use tl::functions::updates as f;

use crate::support::{Visitor, error_name, start};

fn missed_since(pts: i32, date: i32, qts: i32) -> f::GetDifference {
    f::GetDifference {
        pts,
        pts_limit: None,
        pts_total_limit: None,
        date,
        qts,
        qts_limit: None,
    }
}

fn missed_in(dc: &DataCentre, channel_id: i64, pts: i32) -> f::GetChannelDifference {
    f::GetChannelDifference {
        force: false,
        channel: tl::types::InputChannel {
            channel_id,
            access_hash: dc.access_hash(channel_id, 0),
        }
        .into(),
        filter: tl::enums::ChannelMessagesFilter::Empty,
        pts,
        limit: 100,
    }
}

fn ids(messages: &[tl::enums::Message]) -> Vec<i32> {
    messages.iter().map(tl::enums::Message::id).collect()
}

#[tokio::test]
async fn a_state_is_where_the_account_is() {
    let dc = start().await;
    dc.stop_clock(Some(1_700_000_000));
    let friend = dc.add_user(UserSpec::named("Friend"));
    dc.receive(0, friend, "hello");
    let visitor = Visitor::new(&dc).await;
    let tl::enums::updates::State::State(state) =
        visitor.ask(&f::GetState {}).await.expect("a state");
    assert_eq!((state.pts, state.qts, state.seq), (2, 1, 1));
    assert_eq!(state.date, 1_700_000_000);
}

#[tokio::test]
async fn a_difference_is_sliced_until_its_end() {
    let dc = start().await;
    dc.change_limits(|limits| limits.difference = 3);
    let friend = dc.add_user(UserSpec::named("Friend"));
    for number in 0..7 {
        dc.receive(0, friend, format!("message {number}"));
    }
    let visitor = Visitor::new(&dc).await;
    let (mut pts, mut found, mut slices) = (1, Vec::new(), 0);
    loop {
        use tl::enums::updates::{Difference as D, State};
        match visitor
            .ask(&missed_since(pts, 1, 1))
            .await
            .expect("an answer")
        {
            D::Slice(slice) => {
                let State::State(state) = slice.intermediate_state;
                found.extend(ids(&slice.new_messages));
                pts = state.pts;
                slices += 1;
            }
            D::Difference(end) => {
                let State::State(state) = end.state;
                found.extend(ids(&end.new_messages));
                assert_eq!(state.pts, dc.common_pts(0));
                pts = state.pts;
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((found, slices), ((1..=7).collect(), 2));
    let now = i32::MAX;
    let answer = visitor
        .ask(&missed_since(pts, now, 1))
        .await
        .expect("an answer");
    assert!(
        matches!(answer, tl::enums::updates::Difference::Empty(_)),
        "{answer:?}"
    );
}

#[tokio::test]
async fn too_much_is_too_long_and_a_wrong_position_is_refused() {
    let dc = start().await;
    dc.change_limits(|limits| limits.difference_too_long = 3);
    let friend = dc.add_user(UserSpec::named("Friend"));
    for number in 0..5 {
        dc.receive(0, friend, format!("message {number}"));
    }
    let visitor = Visitor::new(&dc).await;
    let answer = visitor
        .ask(&missed_since(1, 1, 1))
        .await
        .expect("an answer");
    assert!(
        matches!(&answer, tl::enums::updates::Difference::TooLong(it) if it.pts == 6),
        "{answer:?}"
    );
    let answer = visitor.ask(&missed_since(99, 1, 1)).await;
    assert_eq!(error_name(answer), "PERSISTENT_TIMESTAMP_INVALID");
    let answer = visitor.ask(&missed_since(0, 1, 1)).await;
    assert_eq!(error_name(answer), "PERSISTENT_TIMESTAMP_EMPTY");
    dc.wipe();
    let answer = visitor.ask(&missed_since(6, 1, 1)).await;
    assert_eq!(error_name(answer), "PERSISTENT_TIMESTAMP_INVALID");
}

#[tokio::test]
async fn a_difference_names_the_channels_in_which_something_happened_since() {
    let dc = start().await;
    dc.stop_clock(Some(1_700_000_000));
    let (old, new) = (
        dc.add_channel(ChannelSpec::broadcast("Old")),
        dc.add_channel(ChannelSpec::broadcast("New")),
    );
    dc.post(old, "then");
    dc.shift_clock(100);
    dc.post(new, "now");
    dc.secondary_update(0, |qts| {
        tl::types::UpdateBotStopped {
            user_id: 1,
            date: 2,
            stopped: true,
            qts,
        }
        .into()
    });
    let visitor = Visitor::new(&dc).await;
    let answer = visitor.ask(&missed_since(1, 1_700_000_050, 1)).await;
    let tl::enums::updates::Difference::Difference(answer) = answer.expect("an answer") else {
        panic!("another difference");
    };
    let [
        tl::enums::Update::ChannelTooLong(hint),
        tl::enums::Update::BotStopped(_),
    ] = &answer.other_updates[..]
    else {
        panic!("{:?}", answer.other_updates);
    };
    assert_eq!((hint.channel_id, hint.pts), (new, None));
    let of_chats: Vec<_> = answer.chats.iter().map(tl::enums::Chat::id).collect();
    assert_eq!(of_chats, [new]);
}

#[tokio::test]
async fn a_channel_tells_what_was_missed_in_it() {
    let dc = start().await;
    dc.change_limits(|limits| {
        limits.channel_difference = 3;
        limits.channel_timeout = Some(7);
    });
    let channel = dc.add_channel(ChannelSpec::broadcast("Signals"));
    for number in 0..4 {
        dc.post(channel, format!("post {number}"));
    }
    dc.edit(channel, 1, "post 0, corrected");
    dc.delete(channel, &[2]);
    let visitor = Visitor::new(&dc).await;
    use tl::enums::updates::ChannelDifference as D;
    let answer = visitor.ask(&missed_in(&dc, channel, 1)).await;
    let D::Difference(first) = answer.expect("an answer") else {
        panic!("another difference");
    };
    // The post that was deleted since is not there any more.
    assert_eq!((ids(&first.new_messages), first.pts), (vec![1, 3], 4));
    assert!(!first.r#final && first.other_updates.is_empty());
    let answer = visitor.ask(&missed_in(&dc, channel, first.pts)).await;
    let D::Difference(last) = answer.expect("an answer") else {
        panic!("another difference");
    };
    assert!(last.r#final);
    assert_eq!((ids(&last.new_messages), last.pts), (vec![4], 7));
    assert_eq!((last.other_updates.len(), last.timeout), (2, Some(7)));
    let answer = visitor.ask(&missed_in(&dc, channel, 7)).await;
    let is_empty = matches!(answer, Ok(D::Empty(it)) if it.r#final && it.pts == 7);
    assert!(is_empty);
    let answer = visitor.ask(&missed_in(&dc, channel, 8)).await;
    assert_eq!(error_name(answer), "PERSISTENT_TIMESTAMP_INVALID");
}

#[tokio::test]
async fn a_channel_with_too_much_tells_where_it_is_and_its_last_messages() {
    let dc = start().await;
    dc.change_limits(|limits| {
        limits.channel_difference_too_long = 10;
        limits.too_long_messages = 2;
    });
    let channel = dc.add_channel(ChannelSpec::broadcast("Signals"));
    for number in 0..50 {
        dc.post(channel, format!("post {number}"));
    }
    let visitor = Visitor::new(&dc).await;
    let answer = visitor.ask(&missed_in(&dc, channel, 1)).await;
    let tl::enums::updates::ChannelDifference::TooLong(answer) = answer.expect("an answer") else {
        panic!("another difference");
    };
    assert_eq!(ids(&answer.messages), [50, 49]);
    let tl::enums::Dialog::Dialog(dialog) = answer.dialog else {
        panic!("a folder");
    };
    assert_eq!((dialog.pts, dialog.top_message), (Some(51), 50));
}
