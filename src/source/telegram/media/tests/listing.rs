//! Which files are listed, and what the configuration makes of them.

use grammers_tl_types as tl;
use wal::LogId;

use super::super::*;
use super::support::{
    DOCUMENT, House, LOG, Shop, a_document, event, length, limits, with_document, with_photo,
};
use crate::event::{Body, JsonText, Media, MediaKind, Origin};

fn size(name: &str, w: i32, h: i32, size: i32) -> tl::enums::PhotoSize {
    let r#type = name.to_owned();
    tl::types::PhotoSize { r#type, w, h, size }.into()
}

#[test]
fn of_a_photo_the_largest_size_is_meant() {
    let progressive = tl::types::PhotoSizeProgressive {
        r#type: "y".to_owned(),
        w: 1280,
        h: 960,
        sizes: vec![100, 5_000, 70_000],
    };
    let stripped = tl::types::PhotoStrippedSize {
        r#type: "i".to_owned(),
        bytes: vec![1; 40],
    };
    let sizes = vec![
        stripped.into(),
        size("m", 320, 240, 9_000),
        progressive.into(),
        size("x", 800, 600, 40_000),
    ];
    let media = Media {
        id: Some(8),
        ..Media::of(MediaKind::Photo)
    };
    let found = found(&event(3, media, with_photo(8, sizes))).expect("a photo");
    let location = found.location.expect("where it is");
    assert_eq!((location.thumb.as_str(), found.size), ("y", Some(70_000)));
    assert_eq!((found.file.class, found.seq), (Class::Photo, 3));
}

#[test]
fn what_nobody_told_or_is_to_vanish_is_no_file() {
    let there = || a_document(1, 10, b"r");
    assert!(found(&there()).is_some());
    for origin in [Origin::Import, Origin::Synthetic] {
        let mut event = there();
        event.event.origin = origin;
        assert_eq!(found(&event), None);
    }
    let mut vanishing = there();
    if let Body::Posted(message) = &mut vanishing.event.body
        && let Some(media) = &mut message.media
    {
        media.details = Some(JsonText::of(&serde_json::json!({"ttl_seconds": 10})));
    }
    assert_eq!(found(&vanishing), None);
    let page = Media {
        id: Some(5),
        ..Media::of(MediaKind::WebPage)
    };
    assert_eq!(found(&event(1, page, with_document(1, b"r"))), None);
}

#[test]
fn bytes_of_another_layer_leave_the_place_open() {
    let mut old = a_document(1, 10, b"r");
    if let Some(raw) = &mut old.event.raw {
        raw.layer -= 1;
    }
    let found = found(&old).expect("the event tells of it");
    assert_eq!((found.file, found.location), (DOCUMENT, None));
}

#[tokio::test]
async fn a_file_without_a_place_is_asked_for_by_its_message() {
    let house = House::new(limits()).await;
    let shop = Shop::of(b"old".to_vec());
    *lock(&shop.reference) = b"fresh".to_vec();
    let mut old = a_document(1, length(&shop.bytes), b"first");
    old.event.raw = None;
    house.absorb(&[old]).await;
    house.step(&shop).await;
    assert_eq!(house.bytes(&house.only().await), b"old");
}

#[tokio::test]
async fn other_limits_are_held_against_what_is_not_there() {
    let nothing = Limits {
        kinds: vec!["photo".to_owned()],
        ..limits()
    };
    let house = House::new(nothing).await;
    house.absorb(&[a_document(1, 5_000, b"first")]).await;
    assert_eq!(house.only().await.state, "unwanted");
    let small = Limits {
        bytes_max: 4_999,
        ..limits()
    };
    let house = house.again(LOG, small).await;
    assert_eq!(house.only().await.state, "too_large");
    let house = house.again(LOG, limits()).await;
    assert_eq!(house.only().await.state, "waiting");
}

#[tokio::test]
async fn another_log_is_read_from_its_start_and_what_is_there_stays() {
    let house = House::new(limits()).await;
    let shop = Shop::of(b"kept".to_vec());
    house.absorb(&[a_document(7, 4, b"first")]).await;
    house.step(&shop).await;
    let house = house.again(LOG, limits()).await;
    assert_eq!(house.seat.depot.covered().await.expect("read"), 7);
    let house = house.again(LogId([2; 16]), limits()).await;
    assert_eq!(house.seat.depot.covered().await.expect("read"), 0);
    assert_eq!(house.only().await.state, "stored");
}

#[tokio::test]
async fn what_holds_no_file_is_noted_now_and_then() {
    let house = House::new(limits()).await;
    let depot = &house.seat.depot;
    let mut covered = Vec::new();
    for read in [5, 9_999, 10_000, 10_001] {
        depot.absorb(&[], read).await.expect("read");
        covered.push(depot.covered().await.expect("told"));
    }
    assert_eq!(covered, [0, 0, 10_000, 10_000]);
}

#[tokio::test]
async fn the_newest_file_is_fetched_first() {
    let house = House::new(limits()).await;
    let shop = Shop::of(b"new".to_vec());
    let photo = Media {
        id: Some(8),
        ..Media::of(MediaKind::Photo)
    };
    let photo = event(1, photo, with_photo(8, vec![size("x", 1, 1, 3)]));
    house.absorb(&[photo, a_document(2, 3, b"first")]).await;
    house.step(&shop).await;
    let states: Vec<_> = house.files().await.into_iter().map(|it| it.state).collect();
    assert_eq!(states, ["stored", "waiting"]);
}
