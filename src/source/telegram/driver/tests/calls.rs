//! When calls are made, how often, and what becomes of them.

use std::collections::BTreeSet;
use std::time::Duration;

use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{self as tl, enums::Update as U};

use super::super::super::refusal::Refusal;
use super::super::*;
use super::support::*;

const NOTHING: [String; 0] = [];

fn live() -> Desk {
    Desk::live(&[account_at(10), channel_at(CH, 100), channel_at(OTHER, 7)])
}

/// A desk whose channel's difference is asked, and the call.
fn asking() -> (Desk, Request) {
    let mut desk = live();
    desk.push(pushed(vec![too_long(CH, None)]));
    let (request, _) = desk.channel_request();
    (desk, request)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn t16_an_answer_that_cannot_be_read_costs_one_step_and_no_neighbour() {
    let (mut desk, request) = asking();
    let raw = vec![1, 2, 3];
    let mut limits = Vec::new();
    let mut request = request;
    for _ in 0..3 {
        let Request::ChannelDifference { call, .. } = &request else {
            panic!("{request:?}")
        };
        limits.push(call.limit);
        desk.fail(&request, Failure::Undecodable { raw: raw.clone() });
        desk.pass_to_deadline();
        request = desk.only_request();
    }
    assert_eq!(limits, [100, 10, 1]);
    let left_out: Vec<_> = desk.pages.iter().flat_map(|p| &p.undecodable).collect();
    assert_eq!(left_out.len(), 1);
    assert_eq!(
        (left_out[0].pts, &left_out[0].raw),
        (Some((100, 101)), &raw)
    );
    assert_eq!(desk.channel_pts(CH), Some(101));
    desk.answer(&request, channel_part(&[2, 3], vec![], 103, true));
    assert_eq!(desk.told(), ["post 2", "post 3"]);
}

#[test]
fn t16_what_the_library_cannot_read_is_counted_and_fetched() {
    let mut desk = live();
    desk.push(UpdatesLike::MalformedUpdates);
    assert_eq!(desk.pages.last().expect("a page").undecodable.len(), 1);
    assert_eq!(desk.only_request().method(), "updates.getDifference");
}

#[test]
fn t18_gaps_of_any_width_wait_half_a_second_and_cost_one_call() {
    for missing in [1, 5, 99] {
        let mut desk = live();
        let next = 101 + missing;
        desk.push(pushed(vec![post(CH, next, next)]));
        assert_eq!(desk.requests(), []);
        assert_eq!(desk.pass_to_deadline(), Duration::from_millis(500));
        let (request, from) = desk.channel_request();
        assert_eq!(from, 100);
        let ids: Vec<i32> = (101..=next).collect();
        desk.answer(&request, channel_part(&ids, vec![], next, true));
        let expected: Vec<String> = ids.iter().map(|id| format!("post {id}")).collect();
        assert_eq!(desk.told(), expected);
        assert_eq!(desk.requests(), []);
    }
}

#[test]
fn t19_two_that_changed_places_cost_no_call() {
    let mut desk = live();
    desk.push(pushed(vec![post(CH, 2, 102)]));
    desk.push(pushed(vec![post(CH, 1, 101)]));
    assert_eq!(desk.told(), ["post 1", "post 2"]);
    desk.pass(seconds(2));
    assert_eq!(desk.requests(), []);
}

#[test]
fn t24_a_difference_that_breaks_off_goes_on_from_the_last_slice() {
    let mut desk = live();
    desk.push(UpdatesLike::ConnectionClosed);
    for page in 0..7 {
        if page == 4 {
            let request = desk.only_request();
            desk.fail(&request, Failure::Temporary);
            desk.restart();
        }
        let request = desk.only_request();
        let Request::Difference(call) = &request else {
            panic!("{request:?}")
        };
        assert_eq!(call.pts, 10 + page);
        let answer = match page {
            6 => difference(&[page], vec![], 11 + page),
            _ => slice(&[page], vec![], 11 + page),
        };
        desk.answer(&request, answer);
        assert_eq!(desk.told(), [format!("private {page}")]);
    }
    assert_eq!(desk.requests(), []);
}

#[test]
fn t27_a_missing_packet_is_fetched_and_costs_no_neighbour() {
    let mut desk = live();
    desk.push(numbered(vec![private(1, 11)], 1, 3));
    desk.push(numbered(vec![private(2, 12)], 4, 4));
    assert_eq!(desk.requests(), []);
    // Number 5 is missing, and what is there counts.
    desk.push(numbered(vec![private(3, 13), views(CH, 9)], 6, 6));
    desk.push(numbered(vec![views(CH, 9)], 2, 2));
    desk.push(pushed(vec![views(CH, 8)]));
    assert_eq!(
        desk.told(),
        ["private 1", "private 2", "private 3", "views 9", "views 8"]
    );
    assert_eq!(desk.only_request().method(), "updates.getDifference");
}

#[test]
fn t28_an_outdated_server_moves_nothing_and_a_refused_position_is_taken_anew() {
    let (mut desk, mut request) = asking();
    for _ in 0..3 {
        let outdated = Failure::from(Refusal::named(500, "PERSISTENT_TIMESTAMP_OUTDATED", None));
        desk.fail(&request, outdated);
        assert_eq!(desk.channel_pts(CH), Some(100));
        desk.pass_to_deadline();
        request = desk.channel_request().0;
    }
    let invalid = Failure::from(Refusal::named(400, "PERSISTENT_TIMESTAMP_INVALID", None));
    desk.fail(&request, invalid);
    desk.pass_to_deadline();
    let request = desk.only_request();
    assert_eq!(request, Request::ChannelState { channel: CH });
    desk.answer(&request, Answer::ChannelState { pts: 60 });
    assert_eq!(
        desk.gaps(),
        [(Some(100), Some(60), GapCause::InvalidPosition)]
    );
    assert_eq!(desk.channel_pts(CH), Some(60));
    desk.push(pushed(vec![post(CH, 1, 61)]));
    assert_eq!(desk.told(), ["post 1"]);
}

#[test]
fn t28_a_refused_position_of_the_account_is_taken_anew() {
    let mut desk = live();
    desk.push(UpdatesLike::ConnectionClosed);
    let request = desk.only_request();
    desk.fail(&request, Failure::InvalidPosition);
    desk.pass_to_deadline();
    let request = desk.only_request();
    assert_eq!(request, Request::State);
    desk.answer(&request, Answer::State(state(90, 0, 99, 0)));
    assert_eq!(
        desk.gaps(),
        [(Some(10), Some(90), GapCause::InvalidPosition)]
    );
    // With the old date, so that the channels that changed since are named.
    let Request::Difference(call) = desk.only_request() else {
        panic!("a difference")
    };
    assert_eq!((call.pts, call.date), (90, 10));
}

#[test]
fn t29_lost_access_is_told_once_holds_no_other_up_and_ends_where_it_began() {
    let (mut desk, request) = asking();
    desk.fail(&request, Failure::LostAccess);
    assert_eq!(desk.gaps(), [(Some(100), None, GapCause::LostAccess)]);
    desk.pass(seconds(600));
    assert_eq!(desk.requests(), []);
    desk.told();
    desk.push(pushed(vec![post(OTHER, 1, 8)]));
    assert_eq!(desk.told(), ["post 1"]);
    // Back again.
    let hint = tl::types::UpdateChannel { channel_id: CH };
    desk.push(pushed(vec![hint.into()]));
    let (request, from) = desk.channel_request();
    assert_eq!(from, 100);
    desk.pages.clear();
    desk.answer(&request, channel_part(&[5], vec![], 150, true));
    assert_eq!(desk.gaps(), []);
    assert_eq!(desk.told(), ["post 5"]);
}

#[test]
fn t31_five_hundred_channels_are_not_swept_and_few_are_asked_at_a_time() {
    let mut positions: Vec<Position> = (0..500).map(|id| channel_at(CH + id, 100)).collect();
    positions.push(account_at(10));
    let mut desk = Desk::live(&positions);
    assert_eq!(desk.requests(), [], "none without a reason");
    desk.push(UpdatesLike::ConnectionClosed);
    let request = desk.only_request();
    let news = (0..50).map(|id| too_long(CH + id, Some(101))).collect();
    desk.answer(&request, difference(&[], news, 10));
    let mut asked = BTreeSet::new();
    loop {
        let requests = desk.requests();
        assert!(requests.len() <= 4);
        if requests.is_empty() {
            break;
        }
        // Live posts flow meanwhile.
        desk.pages.clear();
        desk.push(pushed(vec![post(
            CH + 400,
            asked.len() as i32,
            101 + asked.len() as i32 / 4,
        )]));
        assert_eq!(desk.pages[0].updates.len(), 1);
        for request in requests {
            asked.extend(request.channel());
            desk.answer(&request, channel_part(&[], vec![], 101, true));
        }
    }
    assert_eq!(asked, (CH..CH + 50).collect());
}

#[test]
fn t32_updates_that_nobody_wants_to_read_move_the_position() {
    let mut desk = live();
    let read = tl::types::UpdateReadHistoryOutbox {
        peer: tl::types::PeerUser { user_id: 1 }.into(),
        max_id: 5,
        pts: 11,
        pts_count: 1,
    };
    let page = tl::types::UpdateWebPage {
        webpage: tl::types::WebPageEmpty { id: 1, url: None }.into(),
        pts: 12,
        pts_count: 1,
    };
    desk.push(pushed(vec![read.into(), page.into(), private(1, 13)]));
    assert_eq!(desk.account_pts(), Some(13));
    desk.pass(seconds(2));
    assert_eq!(desk.requests(), []);
}

#[test]
fn t33_a_qts_of_0_has_no_place_and_others_have() {
    let mut desk = live();
    let stopped = |qts| -> U {
        tl::types::UpdateBotStopped {
            user_id: 1,
            date: 1,
            stopped: true,
            qts,
        }
        .into()
    };
    desk.push(pushed(vec![stopped(0), stopped(1), stopped(0)]));
    assert_eq!(desk.told().len(), 3);
    desk.pass(seconds(2));
    assert_eq!(desk.requests(), []);
    desk.push(pushed(vec![stopped(3)]));
    desk.pass(seconds(1));
    let Request::Difference(call) = desk.only_request() else {
        panic!("a difference")
    };
    assert_eq!(call.qts, 1);
}

#[test]
fn t34_the_server_s_pause_is_for_polls_and_never_for_gaps() {
    let mut desk = live();
    desk.driver.set_hot(&[CH], desk.now);
    let (request, _) = desk.channel_request();
    desk.answer(&request, channel_empty(100, Some(300)));
    desk.push(pushed(vec![post(CH, 2, 102)]));
    assert_eq!(desk.pass_to_deadline(), Duration::from_millis(500));
    let (request, _) = desk.channel_request();
    desk.pages.clear();
    desk.answer(&request, channel_part(&[1, 2], vec![], 102, true));
    assert_eq!(desk.pages[0].origin, Origin::Difference);
    // Without a wish of the server: each second.
    assert_eq!(desk.pass_to_deadline(), seconds(1));
    let (request, _) = desk.channel_request();
    desk.pages.clear();
    desk.answer(&request, channel_part(&[3], vec![], 103, true));
    assert_eq!(desk.pages[0].origin, Origin::Poll);
    desk.driver.set_hot(&[], desk.now);
    desk.pass(seconds(600));
    assert_eq!(desk.requests(), []);
}

#[test]
fn no_more_than_ten_channels_are_hot() {
    let mut desk = live();
    let channels: Vec<i64> = (0..30).collect();
    desk.driver.set_hot(&channels, desk.now);
    let mut polled = BTreeSet::new();
    for _ in 0..20 {
        for request in desk.requests() {
            polled.extend(request.channel());
            desk.answer(&request, Answer::ChannelState { pts: 5 });
        }
    }
    assert_eq!(polled, (0..10).collect());
}

#[test]
fn t35_a_server_that_counts_anew_is_followed() {
    let (mut desk, request) = asking();
    desk.answer(&request, channel_empty(40, None));
    assert_eq!(
        desk.gaps(),
        [(Some(100), Some(40), GapCause::InvalidPosition)]
    );
    assert_eq!(desk.requests(), [], "no loop");
    // Pushed updates that are far behind are a reason to ask, now and then.
    let mut desk = Desk::live(&[account_at(10), channel_at(CH, 90_000)]);
    for pts in 1..20 {
        desk.push(pushed(vec![post(CH, pts, pts)]));
    }
    let (request, _) = desk.channel_request();
    desk.answer(&request, channel_empty(90_000, None));
    desk.push(pushed(vec![post(CH, 20, 20)]));
    assert_eq!(desk.requests(), []);
}

#[test]
fn t36_a_wait_is_kept_to_the_second_and_live_posts_flow() {
    for wait in [3, 30, 90, 3600] {
        let (mut desk, request) = asking();
        desk.push(pushed(vec![post(CH, 5, 105)]));
        desk.fail(
            &request,
            Failure::from(Refusal::named(420, "FLOOD_WAIT", Some(wait))),
        );
        assert_eq!(desk.told(), ["post 5"]);
        desk.push(pushed(vec![post(CH, 6, 106), post(OTHER, 1, 8)]));
        assert_eq!(desk.told(), ["post 1", "post 6"]);
        assert_eq!(desk.channel_pts(CH), Some(100));
        let due = desk.now + seconds(u64::from(wait));
        let mut calls = 0;
        while desk.now < due {
            for request in desk.requests() {
                assert_eq!(request.channel(), None);
                desk.answer(&request, nothing_new());
            }
            desk.now = due.min(desk.driver.deadline().expect("planned"));
            calls += 1;
            assert!(calls < 100);
        }
        let asked = desk.requests();
        assert!(asked.iter().any(|request| request.channel() == Some(CH)));
    }
}

#[test]
fn t39_after_the_end_of_the_session_nothing_is_asked() {
    let (mut desk, request) = asking();
    let ended = Failure::from(Refusal::named(401, "AUTH_KEY_UNREGISTERED", None));
    desk.fail(&request, ended);
    desk.pass(seconds(100_000));
    assert_eq!(desk.requests(), []);
    assert_eq!(desk.driver.deadline(), None);
}

#[test]
fn a_quiet_account_is_asked_each_quarter_of_an_hour_and_its_channels_are_not() {
    let mut desk = live();
    for _ in 0..96 {
        let pause = desk.pass_to_deadline();
        assert!(pause <= seconds(900));
        let request = desk.only_request();
        assert_eq!(request.method(), "updates.getDifference");
        desk.answer(&request, nothing_new());
    }
}

#[test]
fn pushes_that_no_difference_knows_count_and_are_asked_for_ever_more_seldom() {
    let mut desk = live();
    let mut calls = 0;
    let mut told = Vec::new();
    let end = desk.now + seconds(3600);
    desk.push(pushed(vec![post(CH, 9, 109)]));
    while desk.now < end {
        for request in desk.requests() {
            let answer = match request.channel() {
                None => nothing_new(),
                Some(_) => channel_empty(100, None),
            };
            calls += 1;
            desk.answer(&request, answer);
        }
        told.extend(desk.told());
        desk.pass_to_deadline();
    }
    assert_eq!(told, ["post 9"]);
    assert!(calls < 20, "{calls}");
}

#[test]
fn an_answer_that_does_not_come_holds_live_posts_for_seconds_only() {
    let (mut desk, _request) = asking();
    desk.push(pushed(vec![post(CH, 3, 103)]));
    assert_eq!(desk.told(), NOTHING);
    desk.pass(seconds(6));
    desk.push(pushed(vec![post(CH, 4, 104)]));
    assert_eq!(desk.told(), ["post 3", "post 4"]);
    assert_eq!(desk.channel_pts(CH), Some(100));
}

#[test]
fn an_answer_that_nobody_waits_for_is_none() {
    let (mut desk, request) = asking();
    desk.answer(&request, channel_part(&[1], vec![], 101, true));
    desk.told();
    desk.answer(&request, channel_part(&[1], vec![], 101, true));
    desk.fail(&request, Failure::LostAccess);
    assert_eq!(desk.pages, []);
    assert_eq!(desk.requests(), []);
}

#[test]
fn short_messages_become_whole_ones() {
    let mut desk = live();
    let short = tl::types::UpdateShortChatMessage {
        out: false,
        mentioned: false,
        media_unread: false,
        silent: true,
        id: 77,
        from_id: 3,
        chat_id: 4,
        message: "hello".into(),
        pts: 11,
        pts_count: 1,
        date: 99,
        fwd_from: None,
        via_bot_id: None,
        reply_to: None,
        entities: None,
        ttl_period: None,
    };
    desk.push(UpdatesLike::Updates(short.into()));
    assert_eq!(desk.account_pts(), Some(11));
    let page = desk.pages.last().expect("a page");
    let U::NewMessage(new) = &page.updates[0].update else {
        panic!("{page:?}")
    };
    let tl::enums::Message::Message(message) = &new.message else {
        panic!("{new:?}")
    };
    assert_eq!(
        (new.pts, new.pts_count, message.id, message.date),
        (11, 1, 77, 99)
    );
    assert_eq!(message.message, "hello");
    assert!(message.silent);
}
