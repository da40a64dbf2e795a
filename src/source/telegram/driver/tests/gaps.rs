//! G1 to G16: what a mirror's driver has to see to.

use std::time::Duration;

use super::super::*;
use super::support::*;
use grammers_session::updates::UpdatesLike;
use grammers_tl_types as tl;

fn live() -> Desk {
    Desk::live(&[account_at(10), channel_at(CH, 100)])
}

#[test]
fn g01_news_with_a_position_on_a_live_channel_asks_from_ours() {
    let mut desk = live();
    desk.push(pushed(vec![post(CH, 1, 101), too_long(CH, Some(150))]));
    assert_eq!(desk.channel_request().1, 101);
}

#[test]
fn g02_news_with_a_position_in_a_difference_asks_from_ours() {
    let mut desk = live();
    desk.push(UpdatesLike::ConnectionClosed);
    let request = desk.only_request();
    desk.answer(&request, difference(&[], vec![too_long(CH, Some(150))], 10));
    assert_eq!(desk.channel_request().1, 100);
}

#[test]
fn g03_news_at_start_asks_from_ours_even_after_a_crash_before_the_answer() {
    let mut desk = Desk::new(&[account_at(10), channel_at(CH, 100)]);
    let request = desk.only_request();
    desk.answer(&request, difference(&[], vec![too_long(CH, Some(150))], 10));
    assert_eq!(desk.channel_request().1, 100);
    // The account's position is behind the news now: only the channel's own bookmark can remember it.
    desk.restart();
    let requests = desk.requests();
    assert!(
        requests.iter().any(|request| request.channel() == Some(CH)),
        "{requests:?}"
    );
}

#[test]
fn g04_a_final_difference_gives_everything_in_a_sound_order() {
    let mut desk = live();
    desk.push(pushed(vec![too_long(CH, None)]));
    let (request, _) = desk.channel_request();
    let others = vec![
        views(CH, 4),
        pin(CH, 4, 104),
        delete(CH, 3, 103),
        edit(CH, 2, 102),
    ];
    desk.answer(&request, channel_part(&[4], others, 104, true));
    assert_eq!(
        desk.told(),
        ["post 4", "edit 2", "delete 3", "views 4", "pin 4"]
    );
}

#[test]
fn g05_a_difference_in_parts_never_edits_before_it_posts() {
    let mut desk = live();
    desk.push(pushed(vec![too_long(CH, None)]));
    let (request, _) = desk.channel_request();
    desk.answer(
        &request,
        channel_part(&[4], vec![edit(CH, 4, 102)], 102, false),
    );
    assert_eq!(desk.told(), ["post 4", "edit 4"]);
    let (request, from) = desk.channel_request();
    assert_eq!(from, 102);
    desk.answer(
        &request,
        channel_part(&[], vec![delete(CH, 4, 103)], 103, true),
    );
    assert_eq!(desk.told(), ["delete 4"]);
}

#[test]
fn g06_a_channel_difference_that_is_too_long_without_a_position_asks_for_one() {
    let mut desk = live();
    desk.push(pushed(vec![too_long(CH, None)]));
    let (request, _) = desk.channel_request();
    desk.answer(&request, channel_too_long(&[8], None));
    assert_eq!(desk.told(), ["post 8"]);
    assert_eq!(desk.channel_pts(CH), Some(100));
    desk.pass_to_deadline();
    let request = desk.only_request();
    assert_eq!(request, Request::ChannelState { channel: CH });
    desk.answer(&request, Answer::ChannelState { pts: 500 });
    assert_eq!(desk.gaps(), [(Some(100), Some(500), GapCause::TooLong)]);
    assert_eq!(desk.channel_pts(CH), Some(500));
}

#[test]
fn g07_a_difference_that_is_too_long_is_told_and_asked_on_from_the_new_position() {
    let mut desk = live();
    desk.push(UpdatesLike::Updates(tl::enums::Updates::TooLong));
    let request = desk.only_request();
    let news = tl::types::updates::DifferenceTooLong { pts: 900 };
    desk.answer(&request, Answer::Difference(news.into()));
    assert_eq!(desk.gaps(), [(Some(10), Some(900), GapCause::TooLong)]);
    let Request::Difference(call) = desk.only_request() else {
        panic!("a difference")
    };
    assert_eq!((call.pts, call.date), (900, 10));
}

#[test]
fn g08_a_message_pushed_while_the_difference_with_it_comes_counts_once() {
    let mut desk = live();
    desk.push(pushed(vec![too_long(CH, None)]));
    let (request, _) = desk.channel_request();
    desk.push(pushed(vec![post(CH, 2, 102), post(CH, 3, 103)]));
    assert_eq!(desk.told(), [] as [String; 0]);
    desk.answer(&request, channel_part(&[1, 2], vec![], 102, true));
    assert_eq!(desk.told(), ["post 1", "post 2", "post 3"]);
    assert_eq!(desk.channel_pts(CH), Some(103));
    assert_eq!(desk.requests(), []);
}

#[test]
fn g09_a_page_s_position_is_behind_what_it_holds() {
    let mut desk = live();
    let posts = (101..106).map(|pts| post(CH, pts, pts)).collect();
    desk.push(pushed(posts));
    let page = desk.pages.last().expect("a page");
    assert_eq!(page.updates.len(), 5);
    assert_eq!(page.positions, [channel_at(CH, 105)]);
    // A missing update in between: the page with the later one does not move the position over the hole.
    desk.push(pushed(vec![post(CH, 107, 107)]));
    assert_eq!(desk.channel_pts(CH), Some(105));
}

#[test]
fn g10_a_slice_and_its_position_are_one_page() {
    let mut desk = live();
    desk.push(UpdatesLike::ConnectionClosed);
    let request = desk.only_request();
    desk.pages.clear();
    desk.answer(&request, slice(&[1, 2, 3], vec![], 13));
    assert_eq!(desk.pages.len(), 1);
    assert_eq!(desk.pages[0].updates.len(), 3);
    assert_eq!(desk.account_pts(), Some(13));
}

#[test]
fn g11_without_a_position_the_state_is_asked_first() {
    let mut desk = Desk::new(&[]);
    desk.push(UpdatesLike::ConnectionClosed);
    let request = desk.only_request();
    assert_eq!(request, Request::State);
    // What comes meanwhile is told, in its place.
    desk.push(pushed(vec![private(1, 41), private(2, 42)]));
    desk.answer(&request, Answer::State(state(41, 3, 9, 2)));
    assert_eq!(desk.told(), ["private 1", "private 2"]);
    assert_eq!(
        desk.position(BoxName::Common),
        Some(Position::Common(Common {
            pts: 42,
            qts: 3,
            date: 9,
            seq: 2
        }))
    );
}

#[test]
fn g12_a_channel_seen_for_the_first_time_is_told() {
    let mut desk = live();
    desk.push(pushed(vec![post(OTHER, 5, 900)]));
    assert_eq!(desk.pages.last().expect("a page").first, [OTHER]);
    assert_eq!(desk.channel_pts(OTHER), Some(900));
    // What was pushed before it, and comes after it, is nowhere else.
    desk.push(pushed(vec![post(OTHER, 4, 899)]));
    assert_eq!(desk.told(), ["post 5", "post 4"]);
    assert_eq!(desk.channel_pts(OTHER), Some(900));
}

#[test]
fn g12_a_read_mark_is_no_first_position() {
    let mut desk = live();
    desk.push(pushed(vec![read_mark(OTHER, 5, 900)]));
    assert_eq!(desk.channel_pts(OTHER), None);
    desk.push(pushed(vec![post(OTHER, 5, 900)]));
    assert!(desk.told().contains(&"post 5".to_owned()));
}

#[test]
fn g13_repeats_count_once_and_the_order_is_mended() {
    let mut desk = live();
    desk.push(pushed(vec![post(CH, 1, 101)]));
    desk.push(pushed(vec![post(CH, 1, 101)]));
    assert_eq!(desk.told(), ["post 1"]);
    desk.push(pushed(vec![post(CH, 3, 103)]));
    assert_eq!(desk.told(), [] as [String; 0]);
    desk.push(pushed(vec![post(CH, 2, 102)]));
    assert_eq!(desk.told(), ["post 2", "post 3"]);
    assert_eq!(desk.requests(), []);
    // Within a packet as well.
    let mark_first = vec![read_mark(CH, 4, 104), post(CH, 4, 104)];
    desk.push(pushed(mark_first));
    assert_eq!(desk.told()[0], "post 4");
    assert_eq!(desk.channel_pts(CH), Some(104));
}

#[test]
fn g14_nothing_is_dropped_however_much_comes_at_once() {
    let mut desk = live();
    for pts in 101..1_102 {
        desk.push(pushed(vec![post(CH, pts, pts)]));
    }
    assert_eq!(desk.told().len(), 1_001);
    // One packet that is too large for one append becomes several; only the last moves the position.
    desk.push(pushed(
        (1_102..11_102).map(|pts| post(CH, pts, pts)).collect(),
    ));
    let moved: Vec<bool> = desk.pages.iter().map(|p| !p.positions.is_empty()).collect();
    assert_eq!(moved, [false, false, true]);
    assert_eq!(desk.told().len(), 10_000);
}

#[test]
fn g15_no_failure_is_the_last_try() {
    let mut desk = live();
    desk.push(UpdatesLike::ConnectionClosed);
    for _ in 0..50 {
        let request = desk.only_request();
        desk.fail(&request, Failure::Temporary);
        let pause = desk.pass_to_deadline();
        assert!(pause.as_secs() <= 300, "{pause:?}");
    }
    let request = desk.only_request();
    desk.answer(&request, difference(&[1], vec![], 11));
    assert_eq!(desk.told(), ["private 1"]);
}

#[test]
fn g15_after_an_outage_everything_is_asked_at_once_but_for_ordered_waits() {
    let mut desk = Desk::live(&[account_at(10), channel_at(CH, 100), channel_at(OTHER, 7)]);
    desk.push(pushed(vec![too_long(CH, None), too_long(OTHER, None)]));
    let end = desk.now + Duration::from_secs(1_800);
    while desk.now < end {
        for request in desk.requests() {
            let failure = match request.channel() {
                Some(OTHER) => Failure::Wait(Duration::from_secs(7_200)),
                _ => Failure::Temporary,
            };
            desk.fail(&request, failure);
        }
        desk.push(UpdatesLike::ConnectionClosed);
        assert!(desk.pass_to_deadline().as_secs() <= 15);
    }
    let account = loop {
        let (account, channels): (Vec<_>, Vec<_>) = desk
            .requests()
            .into_iter()
            .partition(|request| request.channel().is_none());
        for request in channels {
            desk.fail(&request, Failure::Temporary);
        }
        if let [account] = account.as_slice() {
            break account.clone();
        }
        desk.pass_to_deadline();
    };
    desk.answer(&account, nothing_new());
    assert_eq!(desk.channel_request().0.channel(), Some(CH));
}

#[test]
fn g16_positions_go_through_bookmarks_alone() {
    let mut desk = live();
    desk.push(pushed(vec![post(CH, 1, 101), private(4, 11)]));
    let bookmarks: Vec<_> = desk
        .pages
        .last()
        .expect("a page")
        .positions
        .iter()
        .map(|position| position.bookmark("main"))
        .collect();
    let positions = bookmarks.iter().map(|(name, bytes)| {
        let read = Position::from_bookmark("main", name, bytes);
        read.expect("not damaged").expect("ours")
    });
    desk.driver = Driver::load(positions, 2, desk.now);
    desk.told();
    let request = desk.only_request();
    desk.answer(&request, nothing_new());
    desk.push(pushed(vec![
        post(CH, 1, 101),
        post(CH, 2, 102),
        private(5, 12),
    ]));
    assert_eq!(desk.told(), ["private 5", "post 2"]);
}
