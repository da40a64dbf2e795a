//! What a try makes of a file.

use std::time::Duration;

use super::super::catalog::Outcome;
use super::super::fetch::judged;
use super::super::*;
use super::support::{House, Shop, a_document, length, limits};

/// Three parts, the last one short.
fn content() -> Vec<u8> {
    let length = 2 * PART_BYTES + 10;
    (0..length).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn a_file_of_several_parts_is_whole_and_fetched_once() {
    let house = House::new(limits()).await;
    let shop = Shop::of(content());
    house
        .absorb(&[a_document(1, length(&shop.bytes), b"first")])
        .await;
    house.step(&shop).await;
    let file = house.only().await;
    assert_eq!((file.state.as_str(), file.attempts), ("stored", 1));
    assert_eq!(house.bytes(&file), shop.bytes);
    let part = i64::from(PART_BYTES);
    assert_eq!(shop.asked(), [0, part, 2 * part]);
    // Another message brings it, and it is here.
    house
        .absorb(&[a_document(2, length(&shop.bytes), b"second")])
        .await;
    house.step(&shop).await;
    assert_eq!(shop.asked().len(), 3);
}

#[tokio::test]
async fn a_file_that_ends_with_a_part_is_whole() {
    let house = House::new(limits()).await;
    let shop = Shop::of(vec![3; PART_BYTES as usize]);
    house
        .absorb(&[a_document(1, length(&shop.bytes), b"first")])
        .await;
    house.step(&shop).await;
    assert_eq!(house.bytes(&house.only().await), shop.bytes);
}

#[tokio::test]
async fn a_reference_that_expires_on_the_way_is_asked_for_and_the_download_goes_on() {
    let house = House::new(limits()).await;
    let part = i64::from(PART_BYTES);
    let shop = Shop {
        expires_at: Some(part),
        ..Shop::of(content())
    };
    house
        .absorb(&[a_document(1, length(&shop.bytes), b"first")])
        .await;
    house.step(&shop).await;
    assert_eq!(house.bytes(&house.only().await), shop.bytes);
    assert_eq!(shop.asked(), [0, part, part, 2 * part]);
}

#[tokio::test]
async fn a_file_of_another_data_centre_is_fetched_there() {
    let house = House::new(limits()).await;
    let shop = Shop {
        dc: 4,
        ..Shop::of(content())
    };
    house
        .absorb(&[a_document(1, length(&shop.bytes), b"first")])
        .await;
    house.step(&shop).await;
    assert_eq!(house.bytes(&house.only().await), shop.bytes);
}

#[tokio::test]
async fn a_file_whose_message_is_gone_is_given_up_until_another_brings_it() {
    let house = House::new(limits()).await;
    let mut shop = Shop::of(content());
    shop.message = None;
    let size = length(&shop.bytes);
    house.absorb(&[a_document(1, size, b"stale")]).await;
    house.step(&shop).await;
    let file = house.only().await;
    assert_eq!(file.state, "failed");
    assert!(file.reason.expect("a reason").contains("gone"));
    // The same event again is no news.
    house.absorb(&[a_document(1, size, b"first")]).await;
    assert_eq!(house.only().await.state, "failed");
    house.absorb(&[a_document(2, size, b"first")]).await;
    house.step(&shop).await;
    assert_eq!(house.only().await.state, "stored");
}

#[tokio::test]
async fn a_file_that_does_not_come_whole_is_tried_again_later() {
    let house = House::new(limits()).await;
    let shop = Shop::of(content());
    house
        .absorb(&[a_document(1, length(&shop.bytes) + 1, b"first")])
        .await;
    house.step(&shop).await;
    let file = house.only().await;
    assert_eq!((file.state.as_str(), file.attempts), ("waiting", 1));
    assert!(file.reason.expect("a reason").contains("bytes came"));
    // Not at once.
    let asked = shop.asked();
    house.step(&shop).await;
    assert_eq!(shop.asked(), asked);
}

#[tokio::test]
async fn a_file_that_is_larger_than_it_was_told_is_not_kept() {
    let house = House::new(Limits {
        bytes_max: 1000,
        ..limits()
    })
    .await;
    let shop = Shop::of(content());
    house.absorb(&[a_document(1, 900, b"first")]).await;
    house.step(&shop).await;
    assert_eq!(house.only().await.state, "too_large");
    assert_eq!(shop.asked(), [0], "no more than one part too much");
}

#[tokio::test]
async fn what_does_not_fit_is_not_asked_for_until_there_is_room() {
    let small = Limits {
        store_bytes_max: 1000,
        ..limits()
    };
    let house = House::new(small).await;
    let shop = Shop::of(content());
    house
        .absorb(&[a_document(1, length(&shop.bytes), b"first")])
        .await;
    house.step(&shop).await;
    assert_eq!(house.only().await.state, "no_room");
    assert!(shop.asked().is_empty());
    let house = house.again(super::support::LOG, limits()).await;
    house.step(&shop).await;
    assert_eq!(house.only().await.state, "stored");
}

#[tokio::test]
async fn a_line_that_is_gone_costs_a_file_no_try() {
    let house = House::new(limits()).await;
    let shop = Shop::of(content());
    lock_refusals(&shop, Refusal::Away("no connection".to_owned()));
    house
        .absorb(&[a_document(1, length(&shop.bytes), b"first")])
        .await;
    house.step(&shop).await;
    let file = house.only().await;
    assert_eq!((file.state.as_str(), file.attempts), ("waiting", 0));
    assert_eq!(file.reason.as_deref(), Some("no connection"));
}

fn lock_refusals(shop: &Shop, refusal: Refusal) {
    lock(&shop.refusals).push_back(refusal);
}

#[test]
fn tries_are_further_and_further_apart_and_end() {
    let refused = || Refusal::Refused("so".to_owned());
    let mut waits = Vec::new();
    for attempts in 0.. {
        match judged(1, attempts, refused()) {
            Outcome::Later(wait, true, _) => waits.push(wait.as_secs()),
            end => {
                assert_eq!(end, Outcome::Failed("so".to_owned()));
                break;
            }
        }
    }
    assert_eq!(waits, [1, 4, 16, 64, 256, 1024, 1024]);
    let second = judged(2, 7, refused());
    assert!(matches!(second, Outcome::Later(..)), "both accounts try");
    let away = judged(1, 1_000, Refusal::Away("so".to_owned()));
    assert!(
        matches!(away, Outcome::Later(wait, false, _) if wait > Duration::ZERO),
        "{away:?}"
    );
}
