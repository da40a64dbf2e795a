//! Updates that nobody made: whatever can be decoded can be told, and whatever is told fits the log.

use std::sync::Mutex;

use grammers_tl_types as tl;
use proptest::prelude::*;
use tl::{Deserializable, Serializable};

use super::support::*;
use crate::event::{Event, decode, encode};

/// Updates to damage: each with as much in it as is easily made.
fn seeds() -> Vec<Vec<u8>> {
    let mut rich = text(7, "a\u{1f600}b");
    let bold = tl::types::MessageEntityBold {
        offset: 1,
        length: 2,
    };
    rich.entities = Some(vec![bold.into()]);
    rich.media = Some(a_poll(5, [1, 2]));
    rich.edit_date = Some(1_700_000_001);
    let place = tl::types::MessageMediaGeo {
        geo: tl::enums::GeoPoint::Empty,
    };
    let action = tl::types::MessageActionChatAddUser { users: vec![1, 2] };
    let pin = tl::types::UpdatePinnedMessages {
        pinned: true,
        peer: with_user(5),
        messages: vec![1, 2],
        pts: 3,
        pts_count: 2,
    };
    let poll = tl::types::UpdateMessagePoll {
        peer: Some(in_channel()),
        msg_id: Some(7),
        top_msg_id: None,
        poll_id: 5,
        poll: Some(poll(5)),
        results: results([1, 2]),
    };
    let updates: Vec<tl::enums::Update> = vec![
        posted(rich.clone()).into(),
        edited(rich).into(),
        posted(with_media(8, place)).into(),
        posted(service(9, action.into())).into(),
        deleted(&[7, 8, 9]).into(),
        pin.into(),
        poll.into(),
    ];
    updates.iter().map(Serializable::to_bytes).collect()
}

fn fits(events: &[Event]) -> Result<(), TestCaseError> {
    for event in events {
        let bytes = encode(event).expect("fits a record");
        prop_assert_eq!(
            &decode(crate::event::CODEC_ID, &bytes).expect("reads"),
            event
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_that_can_be_decoded_stops_the_normaliser(
        seed in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        pts in any::<i32>(),
    ) {
        static BENCH: Mutex<Option<Bench>> = Mutex::new(None);
        let mut bench = BENCH.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bench = bench.get_or_insert_with(Bench::everything);
        let seeds = seeds();
        let mut bytes = seed.get(&seeds).clone();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        if let Ok(update) = tl::enums::Update::from_bytes(&bytes) {
            let events = bench.events(pushed(update, pts));
            fits(&events)?;
            bench.log(events);
        }
    }
}

#[test]
fn an_event_that_is_too_large_for_a_record_loses_bytes_and_not_the_log() {
    let mut bench = Bench::everything();
    let mut message = text(1, &"x".repeat(3 * 1024 * 1024));
    let events = bench.page(pushed(posted(message.clone()), 1));
    assert!(events[0].raw.is_none() && encode(&events[0]).is_ok());
    message.message = "x".repeat(5 * 1024 * 1024);
    message.id = 2;
    let event = bench.one(posted(message), 2);
    assert!(matches!(
        event.body,
        crate::event::Body::Unknown {
            message_id: Some(2),
            ..
        }
    ));
}
