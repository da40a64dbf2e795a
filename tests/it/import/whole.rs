//! All of a file or nothing of it, the same events whatever the order, nothing twice.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;
use telegram_gateway::event::{Body, dedup_key};
use telegram_gateway::failure::{Classify, Exit};
use telegram_gateway::source::SourceError;
use telegram_gateway::source::import::{self, Layout, Options};

use super::{berlin, fixture, lines, read};

pub(super) const FIXTURES: [&str; 6] = [
    "desktop-channel.json",
    "desktop-account.json",
    "desktop-old.json",
    "desktop-broken.json",
    "telethon-array.json",
    "telethon-lines.jsonl",
];

pub(super) fn file(bytes: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("made");
    std::fs::write(file.path(), bytes).expect("written");
    file
}

pub(super) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).expect("fixture")
}

pub(super) fn json(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).expect("JSON")
}

fn refusal(path: &Path, options: &Options) -> (u64, String, String) {
    let error = read(path, options).map(|_| ()).expect_err("refused");
    assert_eq!(error.exit(), Exit::Data, "{error}");
    let SourceError::Input {
        offset,
        problem,
        hint,
        ..
    } = error
    else {
        panic!("{error}");
    };
    (offset, problem, hint.unwrap_or_default())
}

#[test]
fn every_order_and_container_gives_the_same_events() {
    // What has no date stays behind the message it stands behind, so it is left out here.
    let mut messages = json("telethon-array.json");
    let messages = messages.as_array_mut().expect("a list");
    messages.retain(|message| message.get("date").is_some());
    let expected = read(
        file(Value::from(messages.clone()).to_string()).path(),
        &Options::default(),
    );
    let (expected, report) = expected.expect("imports");
    let mut orders = vec![messages.clone(); 3];
    orders[1].reverse();
    orders[2].rotate_left(7);
    for messages in orders {
        let array = file(Value::from(messages.clone()).to_string());
        let one_on_a_line = messages.iter().map(|message| format!("{message}\n"));
        let mut with_mark = b"\xEF\xBB\xBF".to_vec();
        with_mark.extend(std::fs::read(array.path()).expect("readable"));
        for file in [
            array,
            file(one_on_a_line.collect::<String>()),
            file(with_mark),
        ] {
            let (events, again) = read(file.path(), &Options::default()).expect("imports");
            assert_eq!(lines(&events), lines(&expected));
            assert_eq!(again, report);
        }
    }
}

#[test]
fn a_sorted_file_needs_no_index_and_both_ways_of_reading_agree() {
    let mut chat = json("desktop-channel.json");
    let path = fixture("desktop-channel.json");
    let survey = import::survey(&path, &Options::default(), &mut |_, _| {}).expect("whole");
    assert_eq!(
        (survey.is_indexed(), survey.layout()),
        (false, Layout::DesktopChat)
    );
    let messages = chat["messages"].as_array_mut().expect("a list");
    messages.retain(|message| message.get("date").is_some());
    let (sorted, _) = read(file(chat.to_string()).path(), &Options::default()).expect("imports");
    chat["messages"].as_array_mut().expect("a list").reverse();
    let reversed = file(chat.to_string());
    let survey = import::survey(reversed.path(), &Options::default(), &mut |_, _| {});
    assert!(survey.expect("whole").is_indexed());
    let (reversed, _) = read(reversed.path(), &Options::default()).expect("imports");
    assert_eq!(lines(&sorted), lines(&reversed));
}

#[test]
fn a_second_import_adds_nothing() {
    for name in FIXTURES {
        let mut keys = HashSet::new();
        let (events, _) = read(&fixture(name), &berlin()).expect("imports");
        for event in events {
            let key = dedup_key(&event).expect("imported events are known again");
            assert!(keys.insert(key), "{name}: two events are one: {event:?}");
        }
        let (again, _) = read(&fixture(name), &berlin()).expect("imports");
        assert!(
            again
                .iter()
                .all(|event| dedup_key(event).is_some_and(|key| keys.contains(&key)))
        );
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_or_gives_what_is_whole() {
    let allowed = Options {
        allow_truncated: true,
        ..berlin()
    };
    for name in FIXTURES {
        let all = bytes(name);
        let whole = all.trim_ascii_end().len();
        let mut most = 0;
        // A step that is prime to most things, so that every kind of place is met.
        let step = whole / 40 + 1;
        for cut in (1..whole).step_by(step) {
            let file = file(&all[..cut]);
            let lines_end = name.ends_with(".jsonl") && all[cut] == b'\n';
            match read(file.path(), &berlin()) {
                Err(error) => {
                    assert_eq!(error.exit(), Exit::Data);
                    assert!(
                        error
                            .hint()
                            .is_some_and(|hint| hint.contains("--allow-truncated")),
                        "{error}"
                    );
                }
                Ok(_) => assert!(lines_end, "{name} cut at {cut} was taken for whole"),
            }
            match read(file.path(), &allowed) {
                Ok((events, report)) => {
                    assert!(
                        events.len() >= most || name.starts_with("telethon"),
                        "{name}"
                    );
                    most = most.max(events.len());
                    assert_eq!(
                        report.truncated_at.is_none(),
                        lines_end,
                        "{name} cut at {cut}"
                    );
                }
                // Before anything is recognised there is nothing whole.
                Err(error) => assert!(most == 0, "{name} cut at {cut}: {error}"),
            }
        }
        assert!(most > 2, "{name}");
    }
}

/// What a file system leaves of a file whose writer was killed with the machine.
#[test]
fn zeros_at_the_end_are_a_cut() {
    let allowed = Options {
        allow_truncated: true,
        ..Options::default()
    };
    for (name, cut_behind) in [
        ("desktop-channel.json", "\n  }"),
        ("telethon-lines.jsonl", "}\n"),
    ] {
        let mut bytes = bytes(name);
        let text = String::from_utf8(bytes.clone()).expect("text");
        let cut = text.find(cut_behind).expect("there") + cut_behind.len();
        bytes.truncate(cut);
        bytes.extend([0; 5000]);
        let file = file(&bytes);
        assert_eq!(refusal(file.path(), &Options::default()).0, cut as u64);
        let (events, report) = read(file.path(), &allowed).expect("a whole part");
        assert_eq!((events.len(), report.truncated_at), (2, Some(cut as u64)));
    }
}

#[test]
fn damage_in_the_middle_is_named_by_its_place_and_stops_everything() {
    let mut damaged = bytes("desktop-channel.json");
    let text = String::from_utf8(damaged.clone()).expect("text");
    let at = text
        .find("\"Voices")
        .or_else(|| text.find("1280"))
        .expect("there");
    damaged[at] = b'?';
    let (offset, problem, hint) = refusal(file(&damaged).path(), &Options::default());
    assert_eq!(offset, at as u64, "{problem}");
    assert!(hint.contains("nothing was imported"), "{hint}");
    // A cut in the middle cannot be passed off as one at the end.
    let allowed = Options {
        allow_truncated: true,
        ..Options::default()
    };
    refusal(file(&damaged).path(), &allowed);
    let mut longer = bytes("telethon-array.json");
    let end = longer.trim_ascii_end().len() as u64;
    longer.extend(b"x");
    assert_eq!(refusal(file(&longer).path(), &allowed).0, end + 1);
}

#[test]
fn strict_refuses_what_needs_mending() {
    let strict = Options {
        strict: true,
        ..Options::default()
    };
    let (offset, problem, hint) = refusal(&fixture("desktop-broken.json"), &strict);
    assert!(bytes("desktop-broken.json")[offset as usize..].starts_with(b"\\x07"));
    assert!(
        problem.contains("hex_escape") && hint.contains("--strict"),
        "{problem} {hint}"
    );
    read(&fixture("desktop-channel.json"), &strict).expect("needs no mending");
}

#[test]
fn local_dates_need_their_time_zone() {
    let (_, problem, hint) = refusal(&fixture("desktop-old.json"), &Options::default());
    assert!(problem.contains("time zone"), "{problem}");
    assert!(hint.contains("--source-timezone"), "{hint}");
}

#[test]
fn private_chats_are_read_only_when_asked() {
    let private = Options {
        include_private: true,
        ..Options::default()
    };
    let (events, report) = read(&fixture("desktop-account.json"), &private).expect("imports");
    let text = lines(&events);
    assert!(text.contains("canary private words") && text.contains("canary family words"));
    // Contacts, sessions and the account itself are no chats.
    for secret in ["555010", "192.0.2.7", "tricky"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_eq!(report.skipped.keys().collect::<Vec<_>>(), ["untyped"]);
    let marked = events
        .iter()
        .filter_map(|event| event.peer)
        .map(|peer| peer.marked());
    let marked = marked.collect::<HashSet<_>>();
    for peer in [4001, -777, -1_001_500_000_003, -1_001_500_000_005] {
        assert!(marked.contains(&peer), "{peer}");
    }
}

#[test]
fn raw_bytes_of_the_unknown_are_kept_without_credentials() {
    let (events, _) = read(&fixture("telethon-array.json"), &Options::default()).expect("imports");
    let unknown = events
        .iter()
        .filter(|event| matches!(event.body, Body::Unknown { .. }));
    let raw = unknown.map(|event| &event.raw.as_ref().expect("kept").bytes);
    let raw = raw
        .map(|bytes| String::from_utf8_lossy(bytes))
        .collect::<String>();
    assert!(raw.contains("\"beam\":{\"w\":3}"), "{raw}");
    assert!(!raw.contains("access_hash"), "{raw}");
}

#[test]
fn what_is_no_export_is_refused_by_content() {
    let deep = format!("[{{\"_\":{}1", "[".repeat(5000));
    for (text, part) in [
        ("", "empty"),
        (" \n", "empty"),
        ("hello", "no export"),
        (
            "[{\"message_id\": 1, \"date\": \"2024-01-01\", \"text\": \"flat\"}]",
            "no export",
        ),
        ("[1, 2]", "no export"),
        ("{\"a\": 1, \"b\": [2]}", "no export"),
        ("{\"messages\": [{\"role\": \"user\"}]}", "no export"),
        ("{\"about\": \"x\", \"chats\": 7}", "'{' expected"),
        (&deep, "deeper"),
    ] {
        let (_, problem, _) = refusal(file(text).path(), &Options::default());
        assert!(problem.contains(part), "{text:.40}: {problem}");
    }
    let none = read(file("[]").path(), &Options::default()).expect("a channel without messages");
    assert!(none.0.is_empty());
    assert!(
        import::survey(
            Path::new("no such file"),
            &Options::default(),
            &mut |_, _| {}
        )
        .is_err()
    );
}
