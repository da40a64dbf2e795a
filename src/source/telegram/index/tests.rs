//! The index follows the log, and knows what is on its way there.

use std::path::Path;

use proptest::prelude::*;
use redb::{ReadableDatabase, ReadableTable};
use wal::{LogId, Seq};

use super::*;
use crate::event::{
    ChannelInfo, Gap, GapCause, GapClosed, GapOutcome, Origin, PeerKind, Timestamp,
};

const LOG_ID: LogId = LogId([1; 16]);

fn open(path: &Path, tail: u64) -> Index {
    Index::open(path, LOG_ID, tail).expect("an index")
}

fn dump(index: &Index) -> Vec<String> {
    let txn = index.db.begin_read().expect("a transaction");
    let mut rows = Vec::new();
    macro_rules! table {
        ($table:expr) => {
            for row in txn
                .open_table($table)
                .expect("a table")
                .iter()
                .expect("rows")
            {
                let (key, value) = row.expect("a row");
                rows.push(format!("{:?} {:?}", key.value(), value.value()));
            }
        };
    }
    table!(META);
    table!(stored::PRINTS);
    table!(stored::PLACES);
    table!(stored::POLLS);
    table!(stored::FACTS);
    table!(stored::NAMES);
    table!(stored::GAPS);
    rows
}

fn event(peer: PeerId, body: Body) -> Event {
    Event {
        peer: Some(peer),
        origin: Origin::Live,
        stamp: 3,
        body,
        raw: None,
    }
}

fn message(id: i64, words: &str, edited: i64) -> Box<Message> {
    Box::new(Message {
        id,
        text: words.to_owned(),
        edited_at: (edited > 0).then(|| Timestamp::from_seconds(edited)),
        ..Message::default()
    })
}

fn peer() -> impl Strategy<Value = PeerId> {
    (1_u8..=3, 1_i64..3).prop_map(|(kind, id)| PeerId::from_numbers(kind, id).expect("valid"))
}

fn bodies() -> impl Strategy<Value = Body> {
    let gap = |after: i64| Gap {
        cause: GapCause::TooLong,
        after_pts: Some(after),
        until_pts: None,
        after_message_id: None,
        until_message_id: None,
    };
    prop_oneof![
        4 => (1_i64..6, "[ab]", 0_i64..3).prop_map(|(id, words, at)| Body::Posted(message(id, &words, at))),
        4 => (1_i64..6, "[ab]", 1_i64..4).prop_map(|(id, words, at)| Body::Edited {
            message: message(id, &words, at),
            changed: Changed::default(),
        }),
        2 => (1_i64..6).prop_map(|message_id| Body::Deleted { message_id }),
        2 => (1_i64..6, 0_i64..9).prop_map(|(message_id, views)| Body::Counters {
            message_id,
            views: Some(views),
            forwards: None,
            reactions: None,
        }),
        2 => ("[ab]", "[xy]?").prop_map(|(title, name)| Body::Channel(ChannelInfo {
            kind: "channel".to_owned(),
            title: Some(title),
            username: Some(name),
            migrated_from: None,
            at: None,
        })),
        1 => (0_i64..3).prop_map(move |after| Body::Gap(gap(after))),
        1 => (0_i64..3).prop_map(move |after| Body::GapClosed(GapClosed {
            gap: gap(after).bounds(),
            outcome: GapOutcome::Filled,
            found: 0,
        })),
    ]
}

fn enveloped(events: &[Event]) -> Vec<Envelope> {
    let numbered = (1..).zip(events);
    numbered
        .map(|(seq, event)| Envelope {
            seq: Seq::new(seq).expect("not zero"),
            epoch: 1,
            received_at: Timestamp::from_seconds(1),
            event: event.clone(),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn made_anew_from_the_log_it_is_what_it_was(
        events in prop::collection::vec((peer(), bodies()), 1..40),
        cuts in prop::collection::vec(1_usize..9, 1..20),
    ) {
        let events: Vec<Event> = events.into_iter().map(|(peer, body)| event(peer, body)).collect();
        let log = enveloped(&events);
        let dir = tempfile::tempdir().expect("a folder");
        let (kept, anew) = (dir.path().join("kept"), dir.path().join("anew"));
        let tail = log.len() as u64;
        let mut index = open(&kept, tail);
        let (mut told, mut read) = (0, 0);
        for (round, cut) in cuts.iter().cycle().enumerate() {
            // What is on its way is ahead of what the log has, and a part comes twice.
            let ahead = (told + cut).min(log.len());
            events[told..ahead].iter().for_each(|event| index.record(event));
            told = ahead;
            let until = (read + cut / 2 + 1).min(told);
            index.absorb(&log[read.saturating_sub(1)..until]).expect("absorbed");
            read = until;
            if round % 3 == 2 {
                index.flush().expect("flushed");
                drop(index);
                index = open(&kept, tail);
                read = usize::try_from(index.covered().expect("read")).expect("small");
                told = read;
            }
            if read == log.len() {
                break;
            }
        }
        let rebuilt = open(&anew, tail);
        rebuilt.absorb(&log).expect("absorbed");
        prop_assert_eq!(dump(&index), dump(&rebuilt));
        prop_assert_eq!(index.covered().expect("read"), tail);
        prop_assert_eq!(index.open_gaps(), rebuilt.open_gaps());
    }
}

#[test]
fn only_what_is_of_this_log_is_used() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("index");
    let user = PeerId::new(PeerKind::User, 5).expect("valid");
    let log = enveloped(&[event(user, Body::Posted(message(7, "a", 0)))]);
    let filled = || {
        let index = open(&path, 1);
        index.absorb(&log).expect("absorbed");
        index.flush().expect("flushed");
        assert_eq!(index.place(7), Some(user));
    };
    filled();
    assert_eq!(open(&path, 1).covered().expect("read"), 1);
    assert_eq!(
        open(&path, 0).covered().expect("read"),
        0,
        "ahead of the log"
    );
    filled();
    let other = Index::open(&path, LogId([2; 16]), 1).expect("an index");
    assert_eq!((other.covered().expect("read"), other.place(7)), (0, None));
    drop(other);
    std::fs::write(&path, "nonsense").expect("written");
    assert_eq!(open(&path, 1).covered().expect("read"), 0);
    filled();
    let held = open(&path, 1);
    assert!(matches!(
        Index::open(&path, LOG_ID, 1),
        Err(IndexError::Engine { .. })
    ));
    assert_eq!(held.newest(user, 9).expect("read"), [7]);
}

#[test]
fn exports_say_nothing_about_numbers() {
    let dir = tempfile::tempdir().expect("a folder");
    let index = open(&dir.path().join("index"), 9);
    let user = PeerId::new(PeerKind::User, 5).expect("valid");
    let mut imported = event(user, Body::Posted(message(7, "a", 0)));
    imported.origin = Origin::Import;
    index.absorb(&enveloped(&[imported])).expect("absorbed");
    assert_eq!((index.place(7), index.covered().expect("read")), (None, 1));
}
