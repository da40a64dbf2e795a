//! What was once written can be read for ever: payloads and dedup keys of format version 1, byte for byte.
//!
//! `fixtures/events/v1-*.json` are events, the `.bin` beside each is its payload; `v1-keys.txt` holds the dedup keys,
//! `v1-words.txt` the payloads that show the number of each word (media kinds, formatting, ...).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use telegram_gateway::event::{CODEC_ID, Event, decode, dedup_key, encode};

const HOW_TO: &str = "records of this version are in people's logs. Never change these files. To change the event model: \
                      raise CODEC_ID, keep a decoder for the old id, and add v2 files beside these (TGW_BLESS=1 writes \
                      the ones that are missing), with their SHA-256 in GOLDEN. Only a model that was never released may have its files deleted and \
                      written anew";

/// Everything in the folder, as `sha256sum *` prints it there.
const GOLDEN: &str = "\
b67a9e029fbdba1484e724b63e4d020453ac69deac8c766998ec634ba202aa00  v1-channel.bin
8e88ddf3c66a28223e534116383344c7b86733488962a86504640249032f0efa  v1-channel.json
fc6b9381be42c064287f72ad478a6f04ba6a10dc64a84cf1adab5284c2b02d3a  v1-counters.bin
8afa8139bad3a27b6201f0ea8c80c58d601082fca9b1eca60457909949ecf832  v1-counters.json
d898eb7c5703db7188fb862e7bae0a18aae2f1bab0d885a294c678b062217f5d  v1-deleted-in-group.bin
4535dbc547c1d625e5443b84f80ce7ec4efa2ea7b0131e03686fcdaf3e0016e0  v1-deleted-in-group.json
780fe0e55dab7ed19215a697db32e47d693c66604a6530c68ff2414161504f9a  v1-deleted-with-user.bin
3cdcc35728902627bc804b37613d2517191179d9886abac5d02f837cc23d852d  v1-deleted-with-user.json
ba56bd53227b2b69b3c307e6c1b4b2676a0db725326f9fdedfe8eb6dc907b883  v1-deleted.bin
0c6582cad8b2caa591eb53c2a24fad3474c706a38490987c8d909be8b0a98883  v1-deleted.json
0c6fefec98ba82b9f430fb97cf5e1704d15fde04a833d36d5d0dfcd69f94e804  v1-edited.bin
84a16bd80ad78a6b79032badce29d02671affb5922dfa4fab7aeb219d9ea4523  v1-edited.json
8b4bf89446dbb1db1b984b0d7a5c0043c33cd7e240f56dac9df1f3ff4f2bf2f7  v1-gap.bin
ee23687f6b6e93694f5e99080dcb592c7b153311e748110c440050e027f4807c  v1-gap.json
098e415b8420bcb5f7cebfe49c36e67426a4e588a115be72b4c5cad47384103b  v1-gap_closed.bin
64abf955f43ea88b7db9e9e194f89fd1c9b499e9db4fd90fe00f8846bb2f54b2  v1-gap_closed.json
3bcc37c0c047852fdfe31ca447640639ab93c91b0a6d7f52f206da0df80dc272  v1-keys.txt
7fe79f232c0837d97a4bfa06dbc94191b977d5ef51e8db0f0ec3dc82a2af53d1  v1-pinned.bin
0b244d1b523cde0d44e65f274e1f83923834d60d7c09c5069c587bfb9c9c4c2f  v1-pinned.json
0874504b807e1ae585db970163362e4ab57e31e1eeb74d94e00612d34f5227c0  v1-poll.bin
7f5add7f456346ecbaaf81d1fd75377af67f014a13c63f39a4eefdcb103d8b32  v1-poll.json
a94210ecdb1716a49b1e3dd25ac89eba584e3b6864b65e2162896711b973850f  v1-posted-least.bin
521310c817a399f6016570d4fe33efeb02130dae329443394c3ee9029934f614  v1-posted-least.json
a43e2359569b3b52a5f90d756608e553092b9818f19a888186667fbc3ae710ad  v1-posted.bin
cac111c1b387f2b1ec46b79df367bd18b0137569fbbf6297f671e04ad948932c  v1-posted.json
9040082d862381c6994537513e94c46e901ebac0f8f5bf3e9bce1e4b967766f3  v1-source_state.bin
2846216f03f6cbe22ce1ee64c05fa830c9f0516e96ca890cb8c12678a6740dee  v1-source_state.json
2876d7440c09bcdf218487d3abb28bd2081a29a0d04c4489c6f74bcef4d17aa8  v1-unknown.bin
02f7b316c8a743bb7b0802ed9fd741a60d431e6cf37bd6f491147205f28e4ec3  v1-unknown.json
82c19011119cfc597d4954f24ad29da5a3bf1ce35ba7ef39275d89dd4feeab37  v1-words.txt
";

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

/// An event and its payload that were changed together would agree with each other.
#[test]
fn golden_files_are_what_they_were() {
    let files = std::fs::read_dir(folder()).expect("fixtures");
    let line = |file: std::io::Result<std::fs::DirEntry>| {
        let file = file.expect("listed");
        let bytes = std::fs::read(file.path()).expect("readable");
        let name = file.file_name().into_string().expect("text");
        format!("{}  {name}", hex(&Sha256::digest(&bytes)))
    };
    let mut found: Vec<String> = files.map(line).collect();
    found.sort_by(|one, other| one[64..].cmp(&other[64..]));
    assert_eq!(found, GOLDEN.lines().collect::<Vec<_>>(), "{HOW_TO}");
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
