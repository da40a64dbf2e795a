use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::generate::BLOCK;
use super::*;
use crate::event::{Body, Event, Kind, dedup_key, encode};

fn plan(seed: u64) -> Plan {
    let options = Options {
        seed,
        ..Options::default()
    };
    options.plan()
}

fn events(seed: u64, n: u64) -> Vec<Event> {
    let mut generator = Generator::at(plan(seed), 1);
    (0..n).map(|_| generator.event()).collect()
}

#[test]
fn the_mix_is_that_of_real_channels() {
    let events = events(7, 30_000);
    let mut kinds = HashMap::<Kind, f64>::new();
    let (mut bytes, mut longest) = (0, 0);
    for event in &events {
        *kinds.entry(event.body.kind()).or_default() += 100.0 / events.len() as f64;
        if let Body::Posted(message) = &event.body {
            bytes += message.text.len();
            longest = longest.max(message.text.len());
        }
    }
    println!("{kinds:?}");
    assert!((75.0..82.0).contains(&kinds[&Kind::Posted]));
    assert!((7.5..10.0).contains(&kinds[&Kind::Edited]));
    assert!((3.0..5.0).contains(&kinds[&Kind::Deleted]));
    for kind in [Kind::Counters, Kind::Pinned, Kind::Poll, Kind::Channel] {
        assert!(kinds[&kind] > 0.05, "{kind:?}");
    }
    let posts = kinds[&Kind::Posted] / 100.0 * events.len() as f64;
    let mean = bytes as f64 / posts;
    assert!((200.0..400.0).contains(&mean), "{mean} bytes a post");
    assert!(longest > 3500, "{longest}");
}

#[test]
fn every_event_is_its_own_and_fits_its_text() {
    let mut keys = HashSet::new();
    let mut texts = HashSet::new();
    let mut albums = HashMap::<i64, HashSet<i64>>::new();
    for event in events(3, 3 * BLOCK) {
        let key = dedup_key(&event).expect("events of this source are known again");
        assert!(keys.insert(key), "repeated: {event:?}");
        assert!(encode(&event).expect("fits").len() < 16 * 1024);
        let Body::Posted(message) = event.body else {
            continue;
        };
        let end = message.text.encode_utf16().count() as i64;
        assert!(end <= 4096);
        for entity in &message.entities {
            assert!(entity.length > 0 && entity.offset + entity.length <= end);
        }
        if let Some(album) = message.grouped_id {
            albums.entry(album).or_default().insert(message.id);
        } else {
            assert!(texts.insert(message.text.clone()), "{}", message.text);
        }
    }
    let sizes = albums.values().map(HashSet::len);
    assert!(sizes.clone().all(|n| n <= 10));
    assert!(sizes.filter(|n| *n >= 2).count() > 100);
}

#[test]
fn edits_and_deletions_name_messages_that_were_posted() {
    let mut posted = HashMap::new();
    for event in events(11, 2 * BLOCK + 500) {
        match &event.body {
            Body::Posted(message) => {
                let before = posted.insert((event.peer, message.id), message.posted_at);
                assert!(before.is_none(), "an id is used once");
            }
            Body::Edited { message, .. } => {
                let at = posted.get(&(event.peer, message.id));
                assert_eq!(at, Some(&message.posted_at));
                assert!(message.edited_at.is_some());
            }
            Body::Deleted { message_id } => {
                assert!(posted.contains_key(&(event.peer, *message_id)));
            }
            _ => {}
        }
    }
}

/// Guards runs that are continued by a later version, and benchmarks that are compared with older ones.
#[test]
fn a_seed_gives_the_same_events_for_ever() {
    let mut story = String::new();
    for event in events(1, 12_000) {
        let text = match &event.body {
            Body::Posted(message) | Body::Edited { message, .. } => &message.text,
            _ => "",
        };
        let (kind, id) = (event.body.kind().as_str(), event.body.message_id());
        story.push_str(&format!("{:?} {kind} {id:?} {text}\n", event.peer));
    }
    let digest = &Sha256::digest(story)[..6];
    assert_eq!(
        digest,
        [248, 69, 116, 95, 9, 15],
        "the generator changed: say so in the changelog, and put the new digest here"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn resuming_repeats_and_skips_nothing(seed in any::<u64>(), at in 1..25_000_u64) {
        let plan = plan(seed);
        let mut from_start = Generator::at(plan, 1);
        for _ in 1..at {
            from_start.event();
        }
        let mut resumed = Generator::at(plan, at);
        for _ in 0..200 {
            prop_assert_eq!(resumed.event(), from_start.event());
        }
    }

    #[test]
    fn bookmarks_round_trip(seed in any::<u64>(), ordinal in 0..=ORDINAL_MAX, junk in proptest::collection::vec(any::<u8>(), 0..60)) {
        let plan = plan(seed);
        prop_assert_eq!(read_bookmark(&write_bookmark(&plan, ordinal)), Some((plan, ordinal)));
        let _ = read_bookmark(&junk);
    }
}

#[tokio::test]
async fn a_killed_run_is_completed_by_the_next() {
    let options = Options {
        events: Some(2_300),
        ..Options::default()
    };
    let mut bookmark = None;
    let mut found = Vec::new();
    loop {
        let resumed = Synthetic::resume(&options, bookmark.as_deref());
        let mut run = resumed.expect("resumes");
        let Some(batch) = run.next().await.expect("makes") else {
            break;
        };
        assert!(batch.events.len() <= 500 && batch.due_at.is_none());
        found.extend(batch.events);
        bookmark = batch.bookmarks.into_iter().next().map(|(_, bytes)| bytes);
    }
    assert_eq!(found, events(1, 2_300));
    let other = Options { seed: 2, ..options };
    let refused = Synthetic::resume(&other, bookmark.as_deref());
    assert!(refused.is_err(), "another seed is another story");
}

#[tokio::test]
async fn a_paced_run_counts_lateness_from_when_events_were_due() {
    let options = Options {
        rate: 50,
        events: Some(200),
        ..Options::default()
    };
    let mut run = Synthetic::new(&options);
    let first = run.next().await.expect("makes").expect("a batch");
    let second = run.next().await.expect("makes").expect("a batch");
    let due = |batch: &SourceBatch| batch.due_at.expect("has a schedule").micros();
    // One event a batch; more only on a machine that stood still.
    let between = 20_000 * first.events.len() as i64;
    assert_eq!(due(&second) - due(&first), between);
    std::thread::sleep(Duration::from_millis(400));
    let late = run.next().await.expect("makes").expect("a batch");
    assert!(late.events.len() >= 19, "{}", late.events.len());
    let before = (first.events.len() + second.events.len()) as i64;
    assert_eq!(
        due(&late) - due(&first),
        20_000 * before,
        "due when its first was"
    );
    // Giving up while waiting loses nothing.
    let soon = tokio::time::timeout(Duration::from_millis(1), run.next()).await;
    let next = match soon {
        Ok(batch) => batch,
        Err(_) => run.next().await,
    };
    let next = next.expect("makes").expect("a batch");
    assert_eq!(next.events[0].stamp, 1 + before + late.events.len() as i64);
}
