//! The importer reads what exporters really write, all of it or nothing, and keeps no personal data.

mod measure;
mod survive;
mod whole;

use std::path::{Path, PathBuf};

use telegram_gateway::event::{Body, Event, encode};
use telegram_gateway::source::SourceError;
use telegram_gateway::source::import::{self, ImportSource, Options, Report};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/import")
        .join(name)
}

fn read(path: &Path, options: &Options) -> Result<(Vec<Event>, Report), SourceError> {
    let survey = import::survey(path, options, &mut |done, all| assert!(done <= all))?;
    let mut source = ImportSource::open(survey)?;
    let mut events = Vec::new();
    while let Some(batch) = source.next_batch()? {
        assert!(batch.events.len() <= 1000);
        events.extend(batch.events);
    }
    let (done, all) = source.progress();
    assert_eq!(done, all, "all of the file was read");
    Ok((events, source.report().clone()))
}

/// Real exports may not be part of the product: they are read where they lie, and the test says so when they do not.
fn real(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TGW_TEST_EXPORTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if !path.exists() {
        eprintln!(
            "SKIPPED: no real export {name} (set TGW_TEST_EXPORTS to the folder that has it)"
        );
        return None;
    }
    Some(path)
}

#[test]
fn real_exports_give_their_published_totals() {
    // messages, edited, hidden edits, replies, forwards, albums, members, service
    let golden = [
        (
            "tdesktop-salaf-channel-ar-en-2025-2026.json",
            [213, 106, 0, 6, 27, 0, 0, 5],
        ),
        (
            "telethon-tsn-news-uk-2019-2021.json",
            [1941, 260, 0, 17, 0, 86, 264, 2],
        ),
        (
            "telethon-finance-channel-ru-2022.json",
            [720, 703, 604, 9, 66, 44, 390, 8],
        ),
    ];
    for (name, totals) in golden {
        let Some(path) = real(name) else { continue };
        let (events, report) = read(&path, &Options::default()).expect("imports");
        let found = [
            report.messages,
            report.edited,
            report.edited_hidden,
            report.replies,
            report.forwards,
            report.albums,
            report.album_members,
            report.service,
        ];
        assert_eq!(found, totals, "{name}");
        // The Ukrainian file has 54 entities on album members without a text; the server sent them so.
        let odd = report.unknown.values().sum::<u64>();
        assert_eq!(
            odd,
            if name.contains("tsn") { 54 } else { 0 },
            "{:?}",
            report.unknown
        );
        assert!(report.repairs.is_empty(), "{name}: {:?}", report.repairs);
        assert_eq!(
            events.len() as u64,
            report.messages + report.peers,
            "{name}"
        );
        in_order_and_inside(&events);
    }
}

fn in_order_and_inside(events: &[Event]) {
    let mut last = None;
    for event in events {
        let Body::Posted(message) = &event.body else {
            continue;
        };
        let place = Some((message.posted_at, message.id));
        assert!(last <= place, "{place:?} behind {last:?}");
        last = place;
    }
    in_place(events);
}

/// Every event fits a record and all formatting lies inside its text.
fn in_place(events: &[Event]) {
    for event in events {
        encode(event).expect("fits a record");
        let Body::Posted(message) = &event.body else {
            continue;
        };
        let end = message.text.encode_utf16().count() as i64;
        for entity in &message.entities {
            assert!(entity.offset >= 0 && entity.length > 0);
            assert!(entity.offset + entity.length <= end);
        }
    }
}

/// Events as JSON lines without what is absent: the form of the expectations beside the fixtures.
fn lines(events: &[Event]) -> String {
    fn lean(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(map) => {
                map.retain(|_, value| !value.is_null());
                map.values_mut().for_each(lean);
            }
            serde_json::Value::Array(list) => list.iter_mut().for_each(lean),
            _ => {}
        }
    }
    let mut text = String::new();
    for event in events {
        let mut value = serde_json::to_value(event).expect("an event is JSON");
        lean(&mut value);
        text.push_str(&value.to_string());
        text.push('\n');
    }
    text
}

fn berlin() -> Options {
    Options {
        source_timezone: Some(jiff::tz::TimeZone::get("Europe/Berlin").expect("known")),
        ..Options::default()
    }
}

/// Every field of every fixture. `TGW_BLESS=1` writes the expectations anew; read the difference before committing it.
#[test]
fn fixtures_become_the_expected_events() {
    for (name, options) in [
        ("desktop-channel.json", Options::default()),
        ("desktop-account.json", Options::default()),
        ("desktop-old.json", berlin()),
        ("desktop-broken.json", Options::default()),
        ("telethon-array.json", Options::default()),
        ("telethon-lines.jsonl", Options::default()),
    ] {
        let path = fixture(name);
        let (events, report) = read(&path, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        in_order_and_inside(&events);
        let report = serde_json::to_string_pretty(&report).expect("json");
        for (ending, found) in [
            ("events.jsonl", lines(&events)),
            ("report.json", report + "\n"),
        ] {
            assert!(
                !found.to_lowercase().contains("canary"),
                "{name}: personal data kept"
            );
            let expected_at = path.with_extension(ending);
            if std::env::var_os("TGW_BLESS").is_some() {
                std::fs::write(&expected_at, &found).expect("written");
            }
            let expected = std::fs::read_to_string(&expected_at).expect("expectation");
            for (line, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
                assert_eq!(found, expected, "{name}.{ending}, line {}", line + 1);
            }
            assert_eq!(found.lines().count(), expected.lines().count(), "{name}");
        }
    }
}
