//! Random event lists: few peers, few messages and every kind of event, so that they hit each other.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use telegram_gateway::event::{
    Body, Button, Changed, ChannelInfo, Entity, EntityKind, Envelope, Event, Gap, GapBounds,
    GapCause, GapClosed, GapOutcome, JsonText, Media, MediaKind, Message, Origin, PeerId, PeerKind,
    Poll, PollAnswer, Reaction, ReactionKind, Timestamp,
};
use telegram_gateway::store::Entry;
use wal::Seq;

const POSTED: i64 = 1_700_000_000;
const RECEIVED: i64 = 1_800_000_000;

pub(crate) fn peer(n: i64) -> PeerId {
    PeerId::new(PeerKind::Channel, 1000 + n).expect("a peer")
}

/// The event of a number, received as many seconds after a fixed moment.
pub(crate) fn envelope(seq: u64, event: Event) -> Envelope {
    Envelope {
        seq: Seq::new(seq).expect("not zero"),
        epoch: 1,
        received_at: Timestamp::from_micros((RECEIVED + seq as i64) * 1_000_000 + 123_456),
        event,
    }
}

pub(crate) fn event(peer: PeerId, origin: Origin, body: Body) -> Event {
    Event {
        peer: Some(peer),
        origin,
        stamp: 0,
        body,
        raw: None,
    }
}

/// A message whose date follows from its number, as at Telegram.
pub(crate) fn message(id: i64, text: &str) -> Message {
    Message {
        id,
        posted_at: Timestamp::from_seconds(POSTED + id * 86_400),
        text: text.to_owned(),
        ..Message::default()
    }
}

/// Numbered entries, from 1.
pub(crate) fn entries(events: Vec<Event>) -> Vec<Entry> {
    (1..)
        .zip(events)
        .map(|(seq, event)| Entry::Event(envelope(seq, event)))
        .collect()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("nul \0 inside".to_owned()),
        Just("caf\u{e9} \u{1f600} \"quoted\" 'single' \\ {brace}, NULL".to_owned()),
        "[a-z ]{0,40}",
    ]
}

fn media() -> impl Strategy<Value = Option<Media>> {
    prop_oneof![
        Just(None),
        (any::<Option<i32>>(), text(), any::<bool>()).prop_map(|(size, name, spoiler)| {
            Some(Media {
                size: size.map(i64::from),
                file_name: Some(name),
                spoiler,
                details: Some(JsonText::of(&json!({
                    "latitude": 12.25, "whole": 3.0, "large": 1e16, "larger": 1e22, "list": [1, null, {"a\0b": "c\0d"}],
                }))),
                ..Media::of(MediaKind::Photo)
            })
        }),
    ]
}

fn poll() -> impl Strategy<Value = Poll> {
    (text(), 0..50_i64, any::<bool>()).prop_map(|(question, votes, closed)| Poll {
        question,
        closed,
        total_voters: Some(votes),
        answers: vec![PollAnswer {
            text: "yes".to_owned(),
            voters: Some(votes),
            correct: None,
        }],
        ..Poll::default()
    })
}

fn reactions() -> impl Strategy<Value = Option<Vec<Reaction>>> {
    proptest::option::of(proptest::collection::vec(
        (1..9_i64).prop_map(|count| Reaction {
            kind: ReactionKind::Emoji,
            emoji: Some("\u{1f44d}".to_owned()),
            document_id: None,
            count,
        }),
        0..3,
    ))
}

fn any_message() -> impl Strategy<Value = Message> {
    let counters = (
        proptest::option::of(0..99_i64),
        proptest::option::of(0..99_i64),
        reactions(),
        proptest::option::of(poll()),
    );
    let shape = (any::<bool>(), any::<bool>(), any::<bool>());
    let date = prop_oneof![30 => Just(0_i64), 1 => Just(7)];
    (1..5_i64, date, text(), media(), counters, shape).prop_map(
        |(id, off, text, media, (views, forwards, reactions, poll), (pinned, edited, bold))| {
            let plain = message(id, &text);
            Message {
                posted_at: Timestamp::from_micros(plain.posted_at.micros() + off),
                edited_at: edited.then(|| Timestamp::from_seconds(POSTED + 10_000_000)),
                edit_hidden: edited && bold,
                media,
                views,
                forwards,
                reactions,
                poll,
                pinned,
                sender: bold.then(|| PeerId::new(PeerKind::User, 77).expect("a peer")),
                entities: if bold {
                    vec![Entity {
                        kind: EntityKind::Bold,
                        offset: 0,
                        length: 1,
                        url: None,
                        language: None,
                        user_id: None,
                        document_id: None,
                        collapsed: false,
                    }]
                } else {
                    Vec::new()
                },
                buttons: vec![vec![
                    Button {
                        kind: "url".to_owned(),
                        text: Some(text),
                        data: None,
                    };
                    usize::from(edited)
                ]],
                ..plain
            }
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let changed =
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(text, media, counters)| Changed {
            text,
            media,
            counters,
            ..Changed::default()
        });
    prop_oneof![
        6 => any_message().prop_map(|message| Body::Posted(Box::new(message))),
        6 => (any_message(), changed).prop_map(|(message, changed)| Body::Edited {
            message: Box::new(message),
            changed,
        }),
        2 => (1..5_i64).prop_map(|message_id| Body::Deleted { message_id }),
        2 => (1..5_i64, any::<bool>()).prop_map(|(message_id, pinned)| Body::Pinned { message_id, pinned }),
        3 => (1..5_i64, proptest::option::of(0..99_i64), proptest::option::of(0..99_i64), reactions()).prop_map(
            |(message_id, views, forwards, reactions)| Body::Counters { message_id, views, forwards, reactions }
        ),
        2 => (1..5_i64, poll()).prop_map(|(message_id, poll)| Body::Poll { message_id, poll: Box::new(poll) }),
        2 => (proptest::option::of(text()), proptest::option::of(text()), proptest::option::of(0..9_i64)).prop_map(
            |(title, username, at)| Body::Channel(ChannelInfo {
                kind: "channel".to_owned(),
                title,
                username,
                migrated_from: None,
                at: at.map(Timestamp::from_seconds),
            })
        ),
        1 => proptest::option::of(0..9_i64).prop_map(|after_pts| Body::Gap(Gap {
            cause: GapCause::TooLong,
            after_pts,
            until_pts: Some(100),
            after_message_id: None,
            until_message_id: Some(4),
        })),
        1 => (proptest::option::of(0..9_i64), 0..3_i64).prop_map(|(after_pts, found)| Body::GapClosed(GapClosed {
            gap: GapBounds { after_pts, until_pts: Some(100), after_message_id: None, until_message_id: Some(4) },
            outcome: if found == 0 { GapOutcome::Unfillable } else { GapOutcome::Filled },
            found,
        })),
        1 => Just(Body::Unknown { message_id: None, what: "x".to_owned() }),
    ]
}

/// A log of up to 60 events.
pub(crate) fn log() -> impl Strategy<Value = Vec<Entry>> {
    let origin = prop_oneof![
        3 => Just(Origin::Live),
        1 => Just(Origin::Import),
        1 => Just(Origin::Backfill),
    ];
    let one = (0..2_i64, origin, body()).prop_map(|(n, origin, body)| event(peer(n), origin, body));
    proptest::collection::vec(one, 1..60).prop_map(entries)
}

/// The posts of one peer, one for each text.
pub(crate) fn posts(texts: &[&str]) -> Vec<Entry> {
    let post = |(id, text): (i64, &&str)| {
        let body = Body::Posted(Box::new(message(id, text)));
        event(peer(1), Origin::Live, body)
    };
    entries((1..).zip(texts).map(post).collect())
}

/// A log with every kind of event in it, the same each time.
pub(crate) fn mixed_log() -> Vec<Entry> {
    use proptest::strategy::ValueTree as _;
    let mut runner = TestRunner::deterministic();
    let mut events = Vec::new();
    for _ in 0..8 {
        for entry in log().new_tree(&mut runner).expect("a log").current() {
            if let Entry::Event(envelope) = entry {
                events.push(envelope.event);
            }
        }
    }
    entries(events)
}
