//! One connection's life, with answers by script.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use grammers_session::updates::UpdatesLike;
use grammers_tl_types as tl;
use tl::functions::messages::GetDialogs;
use tl::functions::updates::{GetChannelDifference, GetDifference};

use super::super::unit::End;
use super::POISON;
use super::script::{
    Life, Script, channel, gone, nothing_missed, nothing_missed_there, refusal, said,
};
use crate::source::BATCH_EVENTS_MAX;
use crate::source::telegram::driver::Position;
use crate::source::telegram::link::QUEUE_MAX;
use crate::status::now_us;

/// No check in the time of a test.
const NEVER: Duration = Duration::from_secs(3600);

/// There is more than is worth pushing.
fn news_of(channel_id: i64) -> tl::enums::Update {
    let pts = None;
    tl::types::UpdateChannelTooLong { channel_id, pts }.into()
}

fn well() -> Script {
    let server = Script::default();
    server.on::<GetDifference>(nothing_missed);
    server
}

#[tokio::test]
async fn what_was_missed_is_asked_first_and_pushes_come_out_in_order() {
    let mut life = Life::begin(well(), &[5], NEVER).await;
    life.until("live", |it| it.state == "live").await;
    assert_eq!(life.server.calls::<GetDifference>(), 1);
    // Out of order, and one of them twice.
    life.push(vec![gone(5, 2, 102), gone(5, 1, 101)]).await;
    life.push(vec![gone(5, 2, 102), gone(5, 3, 103)]).await;
    let mut all = life.next().await;
    while all.len() < 3 {
        all.extend(life.next().await);
    }
    assert_eq!(all, [1, 2, 3]);
    assert_eq!(life.server.calls::<GetChannelDifference>(), 0);
    life.end().await;
}

#[tokio::test]
async fn a_wait_is_shown_with_its_method_and_the_live_stream_goes_on() {
    for kind in ["FLOOD_WAIT_3600", "FLOOD_PREMIUM_WAIT_3600"] {
        let server = Script::default();
        server.on::<GetDifference>(move |_| refusal(420, kind));
        let mut life = Life::begin(server, &[5], NEVER).await;
        life.until("waiting", |it| {
            let wait = it.waits.first();
            wait.is_some_and(|it| it.method == "updates.getDifference" && it.seconds_left > 3500)
        })
        .await;
        life.until("degraded", |it| {
            let reason = it.reason.as_deref();
            reason == Some("updates.getDifference must wait 3600 s") && it.state == "degraded"
        })
        .await;
        for message in 1..=3 {
            life.push(vec![gone(5, message, 100 + message)]).await;
            assert_eq!(life.next().await, [i64::from(message)]);
        }
        assert_eq!(life.server.calls::<GetDifference>(), 1, "not asked again");
        life.end().await;
    }
}

#[tokio::test]
async fn a_poisoned_channel_stops_no_other() {
    let server = well();
    server.on::<GetChannelDifference>(|_| refusal(400, "SOMETHING_NOBODY_KNOWS"));
    let mut life = Life::begin(server, &[5, 6], NEVER).await;
    life.push(vec![news_of(5)]).await;
    for message in 1..=3 {
        life.push(vec![gone(6, message, 100 + message)]).await;
        assert_eq!(life.next().await, [i64::from(message)]);
    }
    let asked = |it: &crate::status::AccountReport| {
        it.requests.contains_key("updates.getChannelDifference") && it.state == "live"
    };
    life.until("asked, and live", asked).await;
    life.end().await;
}

#[tokio::test]
async fn the_end_of_the_session_ends_the_life_and_says_what_to_do() {
    for (code, message, remedy) in [
        (401, "SESSION_REVOKED", "log in again"),
        (401, "AUTH_KEY_UNREGISTERED", "log in again"),
        (401, "USER_DEACTIVATED", "another one"),
        (406, "AUTH_KEY_DUPLICATED", "end the other program"),
    ] {
        let server = Script::default();
        server.on::<GetDifference>(move |_| refusal(code, message));
        let life = Life::begin(server, &[], NEVER).await;
        match life.ended().await.0 {
            End::Ended(why) => assert!(why.contains(remedy), "{message}: {why}"),
            other => panic!("{message}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_lost_connection_is_counted_and_followed_by_a_difference() {
    let mut life = Life::begin(well(), &[], NEVER).await;
    life.until("live", |it| it.state == "live").await;
    let closed = life.socket.send(UpdatesLike::ConnectionClosed).await;
    closed.expect("taken");
    life.until("live again", |it| it.reconnects == 1 && it.state == "live")
        .await;
    assert_eq!(life.server.calls::<GetDifference>(), 2);
    life.end().await;
}

#[tokio::test]
async fn a_server_that_answers_and_never_pushes_is_found_out() {
    let server = Script::default();
    let mut pts = 10;
    server.on::<GetDifference>(move |_| {
        pts += 1;
        let missed = tl::types::UpdateDeleteMessages {
            messages: vec![pts],
            pts,
            pts_count: 1,
        };
        let state = tl::types::updates::State {
            pts,
            qts: 0,
            date: 1,
            seq: 0,
            unread_count: 0,
        };
        let difference = tl::types::updates::Difference {
            new_messages: Vec::new(),
            new_encrypted_messages: Vec::new(),
            other_updates: vec![missed.into()],
            chats: Vec::new(),
            users: Vec::new(),
            state: state.into(),
        };
        said(tl::enums::updates::Difference::Difference(difference))
    });
    let mut life = Life::begin(server, &[5], Duration::from_millis(20)).await;
    life.until("deaf", |it| it.state == "deaf").await;
    assert!(life.server.disconnects() >= 1, "a new line was tried first");
    // A single push shows that the server has come to itself.
    life.server.on::<GetDifference>(nothing_missed);
    life.push(vec![gone(5, 1, 101)]).await;
    life.until("live", |it| it.state == "live").await;
    life.end().await;
}

#[tokio::test]
async fn more_than_the_queue_holds_is_counted_and_everything_is_asked_again() {
    let server = well();
    server.on::<GetChannelDifference>(nothing_missed_there);
    let channels: Vec<i64> = (1..=7).collect();
    let mut life = Life::begin(server, &channels, NEVER).await;
    life.until("live", |it| it.state == "live").await;
    let before = life.server.calls::<GetDifference>();
    // Nobody takes batches, so the account stands still; the socket never does.
    let pushed = i32::try_from(QUEUE_MAX).expect("few") + 2_000;
    for message in 1..=pushed {
        life.push(vec![gone(1, message, 100 + message)]).await;
    }
    life.until("asked again", |it| {
        let asked = it.requests.get("updates.getChannelDifference");
        it.dropped > 0 && asked.is_some_and(|asked| *asked >= 7)
    })
    .await;
    assert!(life.server.calls::<GetDifference>() > before);
    life.end().await;
}

#[tokio::test]
async fn a_panic_ends_the_life_and_the_next_one_begins_behind_what_was_handed_over() {
    let mut life = Life::begin(well(), &[5], NEVER).await;
    life.push(vec![gone(5, 1, 101)]).await;
    assert_eq!(life.next().await, [1]);
    life.push(vec![gone(5, POISON, 102)]).await;
    let (end, positions) = life.ended().await;
    assert!(
        matches!(&end, End::Broken(why) if why == "panicked: poison"),
        "{end:?}"
    );
    let channel = Position::Channel {
        id: 5,
        pts: 101,
        behind: false,
    };
    assert!(positions.contains(&channel), "{positions:?}");
}

#[tokio::test]
async fn five_hundred_channels_at_start_cost_one_request_and_pushes_flow() {
    let channels: Vec<i64> = (1..=500).collect();
    let mut life = Life::begin(well(), &channels, NEVER).await;
    life.until("live", |it| it.state == "live").await;
    life.push(channels.iter().map(|id| gone(*id, 1, 101)).collect())
        .await;
    let mut all = 0;
    while all < channels.len() {
        all += life.next().await.len();
    }
    assert_eq!(all, channels.len());
    assert_eq!(life.server.calls::<GetDifference>(), 1);
    assert_eq!(life.server.calls::<GetChannelDifference>(), 0, "no sweep");
    life.end().await;
}

#[tokio::test]
async fn a_missing_access_hash_is_looked_for_in_the_dialogs_once_and_nothing_is_forgotten() {
    let server = well();
    server.on::<GetChannelDifference>(nothing_missed_there);
    let mut tries = 0;
    server.on::<GetDialogs>(move |_| {
        tries += 1;
        if tries == 1 {
            return refusal(420, "FLOOD_WAIT_1");
        }
        let dialogs = tl::types::messages::Dialogs {
            dialogs: Vec::new(),
            messages: Vec::new(),
            chats: vec![channel(5, 55)],
            users: Vec::new(),
        };
        said(tl::enums::messages::Dialogs::Dialogs(dialogs))
    });
    let mut life = Life::with_peers(server, &[5, 6, 7], &[7], NEVER).await;
    life.push(vec![news_of(5), news_of(6)]).await;
    life.until("asked with the hash that was found", |it| {
        it.requests.contains_key("updates.getChannelDifference")
    })
    .await;
    assert_eq!(
        life.server.calls::<GetDialogs>(),
        2,
        "a wait, then once for both"
    );
    // What nobody can name is not asked about, and still heard.
    life.push(vec![gone(6, 1, 101)]).await;
    assert_eq!(life.next().await, [1]);
    life.end().await;
}

#[tokio::test]
async fn a_wait_for_the_dialogs_holds_up_only_those_who_need_them() {
    let server = well();
    server.on::<GetChannelDifference>(nothing_missed_there);
    server.on::<GetDialogs>(|_| refusal(420, "FLOOD_WAIT_3600"));
    // More channels that nobody can name than there are places to ask on.
    let mut life = Life::with_peers(server, &[1, 2, 3, 4, 5, 6], &[6], NEVER).await;
    life.push((1..=5).map(news_of).collect()).await;
    life.until("waiting", |it| {
        let mut waits = it.waits.iter();
        waits.any(|it| it.method == "messages.getDialogs")
    })
    .await;
    life.push(vec![news_of(6)]).await;
    life.until("asked, and live", |it| {
        it.requests.contains_key("updates.getChannelDifference") && it.state == "live"
    })
    .await;
    assert_eq!(life.server.calls::<GetDialogs>(), 1);
    life.end().await;
}

#[tokio::test]
async fn a_refusal_to_say_what_was_missed_is_shown() {
    let server = Script::default();
    server.on::<GetDifference>(|_| refusal(400, "SOMETHING_NOBODY_KNOWS"));
    let mut life = Life::begin(server, &[5], NEVER).await;
    life.until("degraded, with the reason", |it| {
        let reason = it.reason.as_deref().unwrap_or_default();
        let told = "updates.getDifference: Telegram says 400 SOMETHING_NOBODY_KNOWS";
        it.state == "degraded" && reason == told
    })
    .await;
    life.end().await;
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_with_figures_and_the_client_goes_on() {
    let server = Script::default();
    let ahead = Arc::new(AtomicI64::new(3600));
    let clock = Arc::clone(&ahead);
    server.on::<GetDifference>(move |_| {
        let now = now_us() / 1_000_000 + clock.load(Ordering::Relaxed);
        let date = i32::try_from(now).expect("this century");
        let empty = tl::types::updates::DifferenceEmpty { date, seq: 0 };
        said(tl::enums::updates::Difference::Empty(empty))
    });
    let mut life = Life::begin(server, &[5], Duration::from_millis(20)).await;
    life.until("told", |it| {
        let skew = it.clock_skew_seconds.unwrap_or_default();
        it.state == "live" && (3500..=3600).contains(&skew)
    })
    .await;
    life.push(vec![gone(5, 1, 101)]).await;
    assert_eq!(life.next().await, [1]);
    ahead.store(0, Ordering::Relaxed);
    life.until("right again", |it| it.clock_skew_seconds.is_none())
        .await;
    life.end().await;
}

#[tokio::test]
async fn a_deletion_of_very_many_comes_in_parts_and_moves_the_position_with_the_last() {
    let mut life = Life::begin(well(), &[5], NEVER).await;
    life.until("live", |it| it.state == "live").await;
    let ids: Vec<i32> = (1_001..=26_000).collect();
    let all = tl::types::UpdateDeleteChannelMessages {
        channel_id: 5,
        messages: ids.clone(),
        pts: 101,
        pts_count: 1,
    };
    life.push(vec![all.into()]).await;
    let mut found = Vec::new();
    while found.len() < ids.len() {
        let batch = life.batch().await;
        assert!(batch.events.len() <= BATCH_EVENTS_MAX);
        found.extend(batch.events.iter().filter_map(|it| it.body.message_id()));
        let moves = batch
            .bookmarks
            .iter()
            .any(|(name, _)| name.contains("/channel/"));
        assert_eq!(moves, found.len() == ids.len(), "after {}", found.len());
    }
    assert!(found.into_iter().eq(ids.into_iter().map(i64::from)));
    life.end().await;
}

#[tokio::test]
async fn a_number_that_no_channel_has_breaks_nothing() {
    let server = well();
    server.on::<GetDialogs>(|_| {
        let dialogs = tl::types::messages::Dialogs {
            dialogs: Vec::new(),
            messages: Vec::new(),
            chats: Vec::new(),
            users: Vec::new(),
        };
        said(tl::enums::messages::Dialogs::Dialogs(dialogs))
    });
    let mut life = Life::begin(server, &[5], NEVER).await;
    life.push(vec![news_of(i64::MAX), news_of(i64::MIN), news_of(0)])
        .await;
    life.until("looked for", |it| {
        it.requests.contains_key("messages.getDialogs")
    })
    .await;
    life.push(vec![gone(5, 1, 101)]).await;
    assert_eq!(life.next().await, [1]);
    life.end().await;
}
