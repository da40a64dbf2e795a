//! What was once written can be read for ever: payloads and dedup keys of format version 1, byte for byte.
//!
//! `fixtures/events/v1-*.json` are events, the `.bin` beside each is its payload; `v1-keys.txt` holds the dedup keys,
//! `v1-words.txt` the payloads that show the number of each word (media kinds, formatting, ...).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};
use telegram_gateway::event::{CODEC_ID, Event, decode, dedup_key, encode};

const HOW_TO: &str = "records of this version are in people's logs. Never change these files. To change the event model: \
                      raise CODEC_ID, keep a decoder for the old id, and add v2 files beside these (TGW_BLESS=1 writes \
                      the ones that are missing). Only a model that was never released may have its files deleted and \
                      written anew";

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/events"))
}

/// The contents of a fixture, written first if it is missing and that was asked for.
fn golden(name: &str, today: &[u8]) -> Vec<u8> {
    let path = folder().join(name);
    if !path.exists() && std::env::var_os("TGW_BLESS").is_some() {
        std::fs::write(&path, today).expect("written");
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn events() -> BTreeMap<String, Event> {
    let files = std::fs::read_dir(folder()).expect("fixtures");
    let files = files.map(|file| file.expect("listed").path());
    let events = files.filter(|path| path.extension().is_some_and(|e| e == "json"));
    events
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("readable");
            let event = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            let name = path.file_stem().expect("has a name").to_string_lossy();
            (name.into_owned(), event)
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text takes all");
        text
    })
}

#[test]
fn payloads_of_version_1_are_read_and_written_for_ever() {
    assert_eq!(CODEC_ID, 1, "{HOW_TO}");
    let events = events();
    let kinds = events.values().map(|event| event.body.kind());
    assert_eq!(kinds.collect::<std::collections::BTreeSet<_>>().len(), 11);
    for (name, event) in events {
        let written = encode(&event).expect("fits");
        let stored = golden(&format!("{name}.bin"), &written);
        let read = decode(1, &stored).unwrap_or_else(|e| panic!("{name}: {e:?}: {HOW_TO}"));
        assert_eq!(read, event, "{name}: {HOW_TO}");
        assert_eq!(hex(&written), hex(&stored), "{name}: {HOW_TO}");
        for cut in 0..stored.len() {
            assert!(decode(1, &stored[..cut]).is_err(), "{name} cut at {cut}");
        }
    }
}

#[test]
fn dedup_keys_of_version_1_are_made_for_ever() {
    let mut keys = String::new();
    for (name, event) in events() {
        let key = dedup_key(&event).map_or("none".to_owned(), |key| hex(&key));
        writeln!(keys, "{name} {key}").expect("text takes all");
    }
    let stored = golden("v1-keys.txt", keys.as_bytes());
    assert_eq!(
        keys,
        String::from_utf8(stored).expect("text"),
        "a changed key makes the log take twice what it already has"
    );
}

/// Name, words, and an event with one of them.
type List = (&'static str, &'static str, fn(&str) -> Value);

/// Every word of every list whose order is frozen, in that order.
#[test]
fn words_keep_their_numbers() {
    let lists: [List; 6] = [
        (
            "media",
            "photo document video video_message audio voice_message animation sticker web_page poll location venue \
             contact game invoice giveaway todo_list story dice other",
            |word| posted(json!({"media": {"kind": word}})),
        ),
        (
            "entity",
            "unknown mention hashtag bot_command link email bold italic code pre text_link mention_name phone cashtag \
             underline strikethrough blockquote bank_card spoiler custom_emoji",
            |word| {
                posted(json!({"text": "x", "entities": [{"type": word, "offset": 0, "length": 1}]}))
            },
        ),
        ("reaction", "emoji custom_emoji paid unknown", |word| {
            posted(json!({"reactions": [{"type": word, "count": 1}]}))
        }),
        (
            "gap",
            "too_long lost_access invalid_position downtime",
            |word| json!({"peer": -1_000_000_000_001_i64, "body": {"gap": {"cause": word}}}),
        ),
        (
            "origin",
            "live difference backfill import poll synthetic",
            |word| json!({"origin": word, "body": {"deleted": {"message_id": 1}}}),
        ),
        (
            "outcome",
            "filled partial unfillable",
            |word| json!({"body": {"gap_closed": {"gap": {}, "outcome": word, "found": 1}}}),
        ),
    ];
    let mut lines = String::new();
    for (list, words, make) in lists {
        for word in words.split_whitespace() {
            let event: Event = serde_json::from_value(make(word)).expect("an event");
            let payload = hex(&encode(&event).expect("fits"));
            writeln!(lines, "{list} {word} {payload}").expect("text takes all");
        }
    }
    let stored = golden("v1-words.txt", lines.as_bytes());
    assert_eq!(lines, String::from_utf8(stored).expect("text"), "{HOW_TO}");
}

fn posted(mut message: Value) -> Value {
    message["id"] = 1.into();
    json!({"peer": -1_000_000_000_001_i64, "body": {"posted": message}})
}
