//! Titles and names, migrations, gaps, and whose updates are mirrored.

use grammers_tl_types as tl;

use super::support::*;
use crate::event::{Body, ChannelInfo, Event, Gap, GapCause, GapClosed, GapOutcome, Kind, Origin};
use crate::source::telegram::account::Meaning;
use crate::source::telegram::driver::{BoxName, Common, Page, Position, Undecodable};
use crate::source::telegram::policy::Policy;

fn met(chat: impl Into<tl::enums::Chat>) -> Page {
    Page {
        chats: vec![chat.into()],
        ..empty_page(Origin::Live)
    }
}

fn facts(events: &[Event]) -> Vec<&ChannelInfo> {
    let infos = events.iter().filter_map(|event| match &event.body {
        Body::Channel(info) => Some(info),
        _ => None,
    });
    infos.collect()
}

#[test]
fn a_chat_is_told_once_and_whenever_it_changes() {
    let mut bench = Bench::everything();
    let first = bench.page(met(a_channel("one", Some("Name"))));
    let info = facts(&first)[0];
    assert_eq!(info.kind, "channel");
    assert_eq!(info.title.as_deref(), Some("one"));
    assert_eq!(info.username.as_deref(), Some("Name"));
    assert_eq!(bench.page(met(a_channel("one", Some("Name")))), []);
    assert_eq!(
        facts(&bench.page(met(a_channel("two", Some("Name"))))).len(),
        1
    );
    let back = bench.page(met(a_channel("one", Some("Name"))));
    assert_eq!(
        facts(&back).len(),
        1,
        "back to an old title is a change too"
    );
    let nameless = bench.page(met(a_channel("one", None)));
    assert_eq!(facts(&nameless)[0].username.as_deref(), Some(""));
    let mut min = a_channel("one", Some("Other"));
    min.min = true;
    assert_eq!(bench.page(met(min)), []);
}

#[test]
fn a_group_that_became_a_supergroup_links_both() {
    let mut bench = Bench::of(Policy::nothing(true).and_peer(peer(-5)));
    assert_eq!(bench.page(pushed(posted(text(1, "not yet")), 1)), []);
    let grown = tl::types::MessageActionChatMigrateTo {
        channel_id: CHANNEL,
    };
    let mut message = service(9, grown.into());
    message.peer_id = in_group(5);
    let update = tl::types::UpdateNewMessage {
        message: message.into(),
        pts: 3,
        pts_count: 1,
    };
    let events = bench.page(pushed(update, 3));
    let info = facts(&events)[0];
    assert_eq!(info.migrated_from, Some(peer(-5)));
    assert_eq!(events[0].peer, Some(channel()));
    let Body::Posted(message) = &events[1].body else {
        panic!("{events:?}");
    };
    assert_eq!(
        message.service.as_ref().expect("service").action,
        "migrate_to_supergroup"
    );
    bench.one(posted(text(1, "followed on")), 1);
    let mut group = a_group(5, "group");
    let to = tl::types::InputChannel {
        channel_id: CHANNEL,
        access_hash: 0,
    };
    group.migrated_to = Some(to.into());
    let events = bench.page(met(group));
    assert_eq!(facts(&events).len(), 1, "the group itself: {events:?}");
}

#[test]
fn a_followed_name_stays_with_its_channel() {
    let mut bench = Bench::of(Policy::nothing(true).and_name("@news"));
    assert_eq!(bench.page(pushed(posted(text(1, "too early")), 1)), []);
    let mut first = a_channel("news", Some("News"));
    first.left = true;
    bench.page(met(first));
    bench.one(posted(text(2, "words")), 2);
    // A later run knows it by the log, and nobody else gets it.
    bench.normaliser = bench.second();
    bench.one(posted(text(3, "words")), 3);
    let mut other = a_channel("impostor", Some("news"));
    other.id = CHANNEL + 1;
    assert_eq!(bench.page(met(other.clone())), []);
    let renamed = bench.page(met(a_channel("news", Some("newest"))));
    assert_eq!(facts(&renamed).len(), 1);
    bench.one(posted(text(4, "words")), 4);
    assert_eq!(
        bench.page(met(other)),
        [],
        "a name that was given up is resolved still"
    );
}

#[test]
fn what_is_not_followed_leaves_nothing_but_its_position() {
    let mut bench = Bench::of(Policy::nothing(true).and_peer(peer(-1_000_000_000_999)));
    let mut page = met(a_channel("title", Some("name")));
    page.updates = [
        pushed(posted(text(1, "words")), 1),
        pushed(edited(text(1, "words")), 2),
        pushed(deleted(&[1]), 3),
    ]
    .into_iter()
    .flat_map(|page| page.updates)
    .collect();
    page.users = vec![a_user(6, "Ann").into()];
    let mut letter = text(4, "private");
    letter.peer_id = with_user(6);
    let letter = tl::types::UpdateNewMessage {
        message: letter.into(),
        pts: 1,
        pts_count: 1,
    };
    page.updates.extend(pushed(letter, 1).updates);
    page.positions = vec![Position::Channel {
        id: CHANNEL,
        pts: 3,
        behind: false,
    }];
    let batch = crate::source::telegram::account::Meaning::page(&mut bench.normaliser, page);
    assert_eq!(batch.events, []);
    let (name, _) = &batch.bookmarks[0];
    assert_eq!(name, &format!("tg/main/channel/{CHANNEL}"));
}

#[test]
fn people_of_private_chats_are_told_with_their_messages() {
    let mut bench = Bench::everything();
    let mut letter = text(4, "private");
    letter.peer_id = with_user(6);
    let letter = tl::types::UpdateNewMessage {
        message: letter.into(),
        pts: 1,
        pts_count: 1,
    };
    let mut page = pushed(letter, 1);
    page.users = vec![a_user(6, "Ann").into(), a_user(7, "Bob").into()];
    let events = bench.page(page);
    let Body::Posted(message) = &events[0].body else {
        panic!("{events:?}");
    };
    assert_eq!(message.sender, Some(peer(6)));
    assert_eq!(message.sender_name.as_deref(), Some("Ann"));
    assert_eq!(facts(&events).len(), 1);
    assert_eq!(facts(&events)[0].kind, "user");
}

fn lost_access() -> Gap {
    Gap {
        cause: GapCause::LostAccess,
        after_pts: Some(10),
        until_pts: None,
        after_message_id: None,
        until_message_id: None,
    }
}

#[test]
fn a_gap_is_told_once_and_ends_when_access_is_back() {
    let mut bench = Bench::everything();
    let gap = || Page {
        gaps: vec![(BoxName::Channel(CHANNEL), lost_access())],
        ..empty_page(Origin::Difference)
    };
    assert_eq!(bench.page(gap()).len(), 1);
    assert_eq!(bench.page(gap()), []);
    assert_eq!(bench.index.open_gaps().len(), 1);
    let position = |id| Page {
        positions: vec![Position::Channel {
            id,
            pts: 12,
            behind: false,
        }],
        ..empty_page(Origin::Difference)
    };
    assert_eq!(bench.page(position(CHANNEL + 1)), []);
    let events = bench.page(position(CHANNEL));
    let Body::GapClosed(closed) = &events[0].body else {
        panic!("{events:?}");
    };
    assert_eq!(
        (closed.outcome, closed.gap),
        (GapOutcome::Filled, lost_access().bounds())
    );
    assert_eq!(bench.index.open_gaps(), []);
    assert_eq!(bench.page(position(CHANNEL)), []);

    // And again, with nothing posted in between: another event, open in the ledger until it ends, too.
    assert_eq!(bench.page(gap()).len(), 1);
    assert_eq!(bench.page(gap()), []);
    assert_eq!(bench.index.open_gaps().len(), 1);
    assert_eq!(bench.page(position(CHANNEL)).len(), 1);
    assert_eq!(bench.index.open_gaps(), []);
}

#[test]
fn access_is_not_back_while_a_channel_is_behind_and_other_gaps_hold_it_up_no_longer() {
    let mut bench = Bench::everything();
    let position = |id, behind| Position::Channel {
        id,
        pts: 12,
        behind,
    };
    let lost = Page {
        gaps: vec![(BoxName::Channel(CHANNEL), lost_access())],
        positions: vec![position(CHANNEL, true)],
        ..empty_page(Origin::Difference)
    };
    bench.page(lost);
    let pushed = Page {
        positions: vec![position(CHANNEL, true)],
        ..empty_page(Origin::Live)
    };
    assert_eq!(bench.page(pushed), [], "nobody has read it to its end");
    let back = Page {
        gaps: vec![(BoxName::Channel(CHANNEL + 1), lost_access())],
        positions: vec![position(CHANNEL + 1, true), position(CHANNEL, false)],
        ..empty_page(Origin::Difference)
    };
    let kinds: Vec<_> = bench.page(back).iter().map(|it| it.body.kind()).collect();
    assert_eq!(kinds, [Kind::Gap, Kind::GapClosed]);
}

#[test]
fn what_the_common_box_misses_is_told_of_its_account_and_cannot_be_had() {
    let gap = || Gap {
        cause: GapCause::TooLong,
        until_pts: Some(90),
        ..lost_access()
    };
    let page = || Page {
        gaps: vec![(BoxName::Common, gap())],
        ..empty_page(Origin::Difference)
    };
    let mut bench = Bench::everything();
    bench.normaliser.own(77);
    let events = bench.page(page());
    let [told, closed] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((told.peer, &told.body), (Some(peer(77)), &Body::Gap(gap())));
    assert_eq!(closed.peer, Some(peer(77)));
    let expected = Body::GapClosed(GapClosed {
        gap: gap().bounds(),
        outcome: GapOutcome::Unfillable,
        found: 0,
    });
    assert_eq!(closed.body, expected);
    assert_eq!(bench.index.open_gaps(), []);
    // Of another account it is another gap, and of one that mirrors none of these chats it is none.
    bench.normaliser.own(78);
    assert_eq!(bench.page(page()).len(), 2);
    let mut channels = Bench::of(Policy::nothing(true).and_peer(channel()));
    assert_eq!(channels.page(page()), []);
}

#[test]
fn what_could_not_be_read_is_told_but_private_bytes_are_not_kept() {
    let lost = |place| Page {
        undecodable: vec![Undecodable {
            place,
            method: Some("updates.getDifference"),
            pts: Some((4, 5)),
            raw: vec![1, 2, 3, 4],
        }],
        positions: vec![Position::Common(Common {
            pts: 5,
            qts: 0,
            date: 1,
            seq: 1,
        })],
        ..empty_page(Origin::Difference)
    };
    let mut open = Bench::everything();
    let mut closed = Bench::of(Policy::nothing(true).and_peer(channel()));
    let kept = open.page(lost(BoxName::Common));
    assert_eq!(kept[0].raw.as_ref().expect("kept").bytes, [1, 2, 3, 4]);
    assert_eq!(closed.page(lost(BoxName::Common))[0].raw, None);
    assert!(
        closed.page(lost(BoxName::Channel(CHANNEL)))[0]
            .raw
            .is_some()
    );
    assert_eq!(closed.page(lost(BoxName::Channel(CHANNEL + 1))), []);
}
