//! Edits, deletions, pins, counters, polls, and what is the same when it comes again.

use grammers_tl_types as tl;

use super::support::*;
use crate::event::{Body, Origin, ReactionKind, dedup_key};
use crate::source::telegram::account::Meaning;

fn changes(event: &crate::event::Event) -> Vec<&'static str> {
    match &event.body {
        Body::Edited { changed, .. } => changed.names(),
        other => panic!("{other:?}"),
    }
}

fn edit_of(id: i32, words: &str, date: i32) -> tl::types::Message {
    let mut message = text(id, words);
    message.edit_date = Some(date);
    message
}

#[test]
fn an_edit_says_what_it_changed() {
    let mut bench = Bench::everything();
    bench.one(posted(text(7, "before")), 1);
    let event = bench.one(edited(edit_of(7, "after", 1_700_000_100)), 2);
    assert_eq!(changes(&event), ["text"]);
    let mut counted = edit_of(7, "after", 1_700_000_100);
    (counted.edit_hide, counted.views) = (true, Some(9));
    let event = bench.one(edited(counted), 3);
    assert_eq!(changes(&event), ["counters"]);
    let Body::Edited { message, .. } = event.body else {
        panic!("an edit");
    };
    assert!(message.edit_hidden && message.views == Some(9));
}

#[test]
fn of_a_message_that_was_never_seen_an_edit_is_a_new_version_unless_it_is_hidden() {
    let mut bench = Bench::everything();
    let event = bench.one(edited(edit_of(7, "words", 1_700_000_100)), 2);
    assert_eq!(changes(&event), ["text"]);
    let mut hidden = edit_of(8, "words", 1_700_000_100);
    hidden.edit_hide = true;
    let event = bench.one(edited(hidden), 3);
    assert_eq!(changes(&event), ["reactions", "counters"]);
}

#[test]
fn an_edit_is_seen_against_what_is_still_on_its_way() {
    let mut bench = Bench::everything();
    let mut page = pushed(posted(text(7, "before")), 1);
    let edit = pushed(edited(edit_of(7, "after", 1_700_000_100)), 2);
    page.updates.extend(edit.updates.clone());
    let events = bench.events(page);
    assert_eq!(changes(&events[1]), ["text"]);
    let again = bench.second().page(edit).events;
    assert_eq!(again[0], events[1], "the same edit by another account");
}

#[test]
fn two_edits_are_two_and_one_that_comes_twice_is_one() {
    let mut bench = Bench::everything();
    bench.one(posted(text(7, "one")), 1);
    let date = 1_700_000_100;
    let there = bench.one(edited(edit_of(7, "two", date)), 2);
    let back = bench.one(edited(edit_of(7, "one", date)), 3);
    let there_again = bench.one(edited(edit_of(7, "two", date)), 4);
    for event in [&there, &back, &there_again] {
        assert_eq!(changes(event), ["text"]);
    }
    let mut again = pushed(edited(edit_of(7, "two", date)), 4);
    again.origin = Origin::Difference;
    assert_eq!(bench.page(again), []);
}

#[test]
fn a_message_that_is_told_again_as_it_stands_is_no_new_version() {
    let mut bench = Bench::everything();
    bench.one(posted(text(7, "one")), 1);
    bench.one(edited(edit_of(7, "two", 1_700_000_100)), 2);
    let mut told = pushed(posted(edit_of(7, "two", 1_700_000_100)), 0);
    told.origin = Origin::Backfill;
    assert_eq!(bench.page(told.clone()), []);
    let mut viewed = edit_of(7, "two", 1_700_000_100);
    viewed.views = Some(5);
    let event = bench.one(posted(viewed), 0);
    assert!(matches!(event.body, Body::Counters { views: Some(5), .. }));
    let missed = bench.one(posted(edit_of(7, "three", 1_700_000_200)), 0);
    assert!(matches!(missed.body, Body::Posted(_)));
}

#[test]
fn a_deletion_is_one_however_it_comes() {
    let mut bench = Bench::everything();
    let keys = [
        (Origin::Live, 5),
        (Origin::Difference, 9),
        (Origin::Poll, 0),
    ]
    .map(|(origin, pts)| {
        let mut page = pushed(deleted(&[7, 8]), pts);
        page.origin = origin;
        let events = bench.events(page);
        assert_eq!(events.len(), 2);
        assert!(events[0].raw.is_some() && events[1].raw.is_none());
        events
            .iter()
            .map(|it| dedup_key(it).expect("a key"))
            .collect::<Vec<_>>()
    });
    assert!(keys[0] == keys[1] && keys[1] == keys[2] && keys[0][0] != keys[0][1]);
}

#[test]
fn deletions_without_a_peer_find_it() {
    let mut bench = Bench::everything();
    for (id, to) in [(1, in_group(5)), (2, with_user(6))] {
        let mut message = text(id, "words");
        message.peer_id = to;
        let new = tl::types::UpdateNewMessage {
            message: message.into(),
            pts: 1,
            pts_count: 1,
        };
        bench.page(pushed(new, 1));
    }
    bench.page(pushed(posted(text(3, "of the channel")), 1));
    let gone = tl::types::UpdateDeleteMessages {
        messages: vec![1, 2, 3, 4],
        pts: 9,
        pts_count: 4,
    };
    let events = bench.page(pushed(gone, 9));
    let found: Vec<_> = events
        .iter()
        .map(|it| (it.peer.expect("a peer").marked(), it.body.message_id()))
        .collect();
    assert_eq!(found, [(-5, Some(1)), (6, Some(2))]);
}

#[test]
fn pins_and_counters() {
    let mut bench = Bench::everything();
    let pin = tl::types::UpdatePinnedChannelMessages {
        pinned: true,
        channel_id: CHANNEL,
        messages: vec![7, 8],
        pts: 4,
        pts_count: 2,
    };
    let events = bench.page(pushed(pin.clone(), 4));
    assert_eq!(events.len(), 2);
    assert_eq!(
        events[1].body,
        Body::Pinned {
            message_id: 8,
            pinned: true
        }
    );
    assert_eq!(bench.page(pushed(pin, 4)), []);
    let views = tl::types::UpdateChannelMessageViews {
        channel_id: CHANNEL,
        id: 7,
        views: 100,
    };
    let event = bench.one(views.clone(), 0);
    assert!(matches!(
        event.body,
        Body::Counters {
            message_id: 7,
            views: Some(100),
            ..
        }
    ));
    assert_eq!(dedup_key(&event), None, "the newest holds");
    let forwards = tl::types::UpdateChannelMessageForwards {
        channel_id: CHANNEL,
        id: 7,
        forwards: 3,
    };
    let event = bench.one(forwards, 0);
    assert!(matches!(
        event.body,
        Body::Counters {
            forwards: Some(3),
            views: None,
            ..
        }
    ));
}

#[test]
fn reactions_are_told_without_those_who_gave_them() {
    let mut bench = Bench::everything();
    let count = |reaction: tl::enums::Reaction| {
        tl::types::ReactionCount {
            chosen_order: None,
            reaction,
            count: 2,
        }
        .into()
    };
    let heart = tl::types::ReactionEmoji {
        emoticon: "\u{2764}".to_owned(),
    };
    let custom = tl::types::ReactionCustomEmoji { document_id: 77 };
    let update = tl::types::UpdateMessageReactions {
        peer: in_channel(),
        msg_id: 7,
        top_msg_id: None,
        saved_peer_id: None,
        reactions: tl::types::MessageReactions {
            min: true,
            can_see_list: false,
            reactions_as_tags: false,
            results: vec![
                count(heart.into()),
                count(custom.into()),
                count(tl::enums::Reaction::Paid),
            ],
            recent_reactions: None,
            top_reactors: None,
        }
        .into(),
    };
    let Body::Counters { reactions, .. } = bench.one(update, 0).body else {
        panic!("counters");
    };
    let kinds: Vec<ReactionKind> = reactions.expect("told").iter().map(|it| it.kind).collect();
    use ReactionKind as K;
    assert_eq!(kinds, [K::Emoji, K::CustomEmoji, K::Paid]);
}

#[test]
fn poll_results_find_their_poll_and_its_message() {
    let mut bench = Bench::everything();
    let update = |poll| tl::types::UpdateMessagePoll {
        peer: None,
        msg_id: None,
        top_msg_id: None,
        poll_id: 70,
        poll,
        results: results([1, 2]),
    };
    assert_eq!(
        bench.page(pushed(update(None), 0)),
        [],
        "of a poll that was never seen"
    );
    let told = bench
        .message(with_media(7, a_poll(70, [0, 0])))
        .poll
        .expect("a poll");
    assert_eq!((told.id, told.question.as_str()), (Some(70), "question"));
    for given in [None, Some(poll(70))] {
        let event = bench.one(update(given), 0);
        assert_eq!(event.peer, Some(channel()));
        let Body::Poll {
            message_id: 7,
            poll,
        } = event.body
        else {
            panic!("a poll");
        };
        let votes: Vec<_> = poll
            .answers
            .iter()
            .map(|it| (it.text.as_str(), it.voters))
            .collect();
        assert_eq!(votes, [("a", Some(1)), ("b", Some(2))]);
        assert_eq!(poll.total_voters, Some(3));
    }
}

#[test]
fn what_the_model_has_no_word_for_is_kept_raw() {
    let mut bench = Bench::everything();
    let cleared = tl::types::UpdateChannelAvailableMessages {
        channel_id: CHANNEL,
        available_min_id: 50,
    };
    let event = bench.one(cleared, 0);
    let Body::Unknown { what, .. } = &event.body else {
        panic!("{event:?}");
    };
    assert_eq!(what, "updateChannelAvailableMessages");
    let raw = event.raw.expect("raw bytes");
    assert_eq!((raw.layer, raw.bytes.len()), (230, 16));
    let empty = tl::types::MessageEmpty {
        id: 5,
        peer_id: Some(in_channel()),
    };
    let event = bench.one(posted(empty), 6);
    let expected = Body::Unknown {
        message_id: Some(5),
        what: "messageEmpty".to_owned(),
    };
    assert_eq!(event.body, expected);
    let typing = tl::types::UpdateChannelUserTyping {
        channel_id: CHANNEL,
        top_msg_id: None,
        from_id: with_user(5),
        action: tl::enums::SendMessageAction::SendMessageTypingAction,
    };
    assert_eq!(bench.page(pushed(typing, 0)), []);
}
