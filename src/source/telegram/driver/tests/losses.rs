//! L1 to L6: what the library's own loop loses or lets stall.

use std::time::Duration;

use grammers_tl_types as tl;

use super::super::*;
use super::support::*;

#[test]
fn l1_edits_and_deletions_of_a_final_channel_difference_count() {
    let mut desk = Desk::live(&[account_at(10), channel_at(CH, 100)]);
    desk.push(pushed(vec![too_long(CH, None)]));
    let (request, from) = desk.channel_request();
    assert_eq!(from, 100);
    let others = vec![delete(CH, 3, 103), edit(CH, 2, 102)];
    desk.answer(&request, channel_part(&[4], others, 103, true));
    assert_eq!(desk.told(), ["post 4", "edit 2", "delete 3"]);
    assert_eq!(desk.channel_pts(CH), Some(103));
    assert_eq!(desk.requests(), []);
}

#[test]
fn l2_news_of_a_known_channel_never_moves_its_position() {
    let mut desk = Desk::live(&[account_at(10), channel_at(CH, 100)]);
    desk.push(pushed(vec![too_long(CH, Some(150))]));
    assert_eq!(desk.channel_pts(CH), Some(100));
    let (_, from) = desk.channel_request();
    assert_eq!(from, 100);
}

#[test]
fn l3_what_is_left_out_is_told_with_its_range() {
    let mut desk = Desk::live(&[account_at(10), channel_at(CH, 100)]);
    desk.push(pushed(vec![too_long(CH, None)]));
    let (request, _) = desk.channel_request();
    desk.answer(&request, channel_too_long(&[81, 80], Some(500)));
    assert_eq!(desk.gaps(), [(Some(100), Some(500), GapCause::TooLong)]);
    assert_eq!(
        desk.pages.last().expect("a page").gaps[0]
            .1
            .until_message_id,
        Some(80)
    );
    assert_eq!(desk.told(), ["post 81", "post 80"]);
    assert_eq!(desk.channel_pts(CH), Some(500));
}

#[test]
fn l4_a_channel_without_an_access_hash_keeps_its_place_and_is_asked_once_it_has_one() {
    let mut desk = Desk::live(&[account_at(10), channel_at(CH, 100)]);
    desk.push(pushed(vec![too_long(CH, None)]));
    let (request, _) = desk.channel_request();
    desk.fail(&request, Failure::UnknownChannel);
    assert_eq!(desk.requests(), []);
    let forbidden = tl::types::ChannelForbidden {
        broadcast: true,
        megagroup: false,
        monoforum: false,
        id: CH,
        access_hash: 5,
        title: String::new(),
        until_date: None,
    };
    let with_chats = |chats| {
        UpdatesLike::Updates(tl::enums::Updates::Updates(tl::types::Updates {
            updates: vec![],
            users: vec![],
            chats,
            date: 0,
            seq: 0,
        }))
    };
    desk.push(with_chats(vec![forbidden.into()]));
    assert_eq!(desk.requests(), [], "no hash to read with");
    desk.push(with_chats(vec![full_channel(CH)]));
    let (request, from) = desk.channel_request();
    assert_eq!(from, 100);
    desk.answer(&request, channel_part(&[9], vec![], 101, true));
    assert!(desk.told().contains(&"post 9".to_owned()));
}

#[test]
fn l5_a_poisoned_channel_holds_no_other_up() {
    let mut desk = Desk::live(&[account_at(10), channel_at(CH, 100), channel_at(OTHER, 7)]);
    desk.push(pushed(vec![too_long(CH, None)]));
    let mut failures = 0;
    let end = desk.now + Duration::from_secs(3600);
    while desk.now < end {
        for request in desk.requests() {
            match request.channel() {
                Some(_) => {
                    failures += 1;
                    desk.fail(&request, Failure::Refused);
                }
                None => desk.answer(&request, nothing_new()),
            }
        }
        desk.pass_to_deadline();
    }
    assert!((10..60).contains(&failures), "{failures} calls in an hour");
    desk.told();
    desk.push(pushed(vec![post(OTHER, 1, 8), post(CH, 5, 101)]));
    assert_eq!(
        desk.told(),
        ["post 1", "post 5"],
        "even its own live posts flow"
    );
    assert_eq!(desk.channel_pts(OTHER), Some(8));
}

#[test]
fn l6_a_list_of_dialogs_moves_no_known_position() {
    let mut desk = Desk::live(&[account_at(10), channel_at(CH, 100)]);
    assert_eq!(desk.driver.learn(CH, 500), []);
    let pages = desk.driver.learn(OTHER, 70);
    assert_eq!(pages[0].positions, [channel_at(OTHER, 70)]);
    assert_eq!(pages[0].first, [OTHER]);
    desk.push(pushed(vec![post(CH, 1, 101), post(OTHER, 2, 71)]));
    assert_eq!(desk.told(), ["post 2", "post 1"]);
}
