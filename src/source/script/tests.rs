use std::collections::{BTreeSet, HashSet};
use std::io::Write;

use super::*;
use crate::event::{Body, Origin, dedup_key, encode};
use crate::failure::{Classify, Exit};

fn first_light() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scripts/first-light.jsonl")
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("made");
    file.write_all(text.as_bytes()).expect("written");
    file
}

async fn all(script: &mut Script) -> Result<Vec<SourceBatch>, SourceError> {
    let mut batches = Vec::new();
    while let Some(batch) = script.next().await? {
        batches.push(batch);
    }
    Ok(batches)
}

#[tokio::test]
async fn first_light_shows_every_kind_and_every_accident() {
    let mut script = Script::open(&first_light()).expect("opens");
    let batches = all(&mut script).await.expect("plays");
    let events = batches.iter().flat_map(|batch| &batch.events);
    let events = events.collect::<Vec<_>>();
    let kinds = events.iter().map(|event| event.body.kind());
    assert_eq!(kinds.collect::<BTreeSet<_>>().len(), 10, "every kind");
    let mut keys = HashSet::new();
    let mut twice = 0;
    for event in &events {
        encode(event).expect("fits a record");
        twice += u32::from(dedup_key(event).is_some_and(|key| !keys.insert(key)));
        if let Body::Posted(message) | Body::Edited { message, .. } = &event.body {
            let end = message.text.encode_utf16().count() as i64;
            for entity in &message.entities {
                assert!(entity.offset + entity.length <= end, "{message:?}");
            }
        }
    }
    assert_eq!(twice, 2, "a post and counters that are repeated");
    assert_eq!(batches.len(), 7);
}

#[tokio::test]
async fn a_restart_goes_on_behind_any_bookmark() {
    let mut script = Script::open(&first_light()).expect("opens");
    let batches = all(&mut script).await.expect("plays");
    for (n, batch) in batches.iter().enumerate() {
        let [(name, bookmark)] = &batch.bookmarks[..] else {
            panic!("one bookmark a batch");
        };
        assert_eq!(name, "script:first-light.jsonl");
        let mut rest = Script::resume(&first_light(), Some(bookmark)).expect("resumes");
        let rest = all(&mut rest).await.expect("plays");
        let (events, expected) = (
            rest.iter().flat_map(|batch| &batch.events),
            batches[n + 1..].iter().flat_map(|batch| &batch.events),
        );
        assert!(events.eq(expected), "behind batch {n}");
    }
}

#[tokio::test]
async fn lines_get_their_number_as_stamp_and_may_be_comments() {
    let text = "# a comment\n\n  {\"peer\": -1001, \"body\": {\"deleted\": {\"message_id\": 7}}}\r\n\
                {\"peer\": 1, \"stamp\": 9, \"origin\": \"live\", \"body\": {\"deleted\": {\"message_id\": 8}}}";
    let file = file(text);
    let mut script = Script::open(file.path()).expect("opens");
    let batches = all(&mut script).await.expect("plays");
    let events = &batches[0].events;
    assert_eq!((events[0].stamp, events[0].origin), (3, Origin::Synthetic));
    assert_eq!((events[1].stamp, events[1].origin), (9, Origin::Live));
    assert_eq!(batches[0].bookmarks[0].1, 4_u64.to_le_bytes());
}

#[tokio::test]
async fn a_broken_line_is_named_after_what_stands_before_it() {
    let good = "{\"peer\": -1001, \"body\": {\"deleted\": {\"message_id\": 7}}}\n";
    let file = file(&format!(
        "{good}{{\"peer\": -1001, \"body\": {{\"dleted\": 1}}}}\n"
    ));
    let mut script = Script::open(file.path()).expect("opens");
    let first = script.next().await.expect("plays").expect("a batch");
    assert_eq!(first.events.len(), 1);
    let error = script.next().await.expect_err("broken");
    assert_eq!(error.exit(), Exit::Data);
    let SourceError::Input {
        path,
        offset,
        problem,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert!(path.ends_with(":2:33"), "{path}");
    assert_eq!(offset, good.len() as u64 + 32);
    assert!(problem.contains("dleted"), "{problem}");
}

#[tokio::test]
async fn bookmarks_that_do_not_fit_are_refused() {
    let file = file("# one line\n");
    assert!(Script::resume(file.path(), Some(&2_u64.to_le_bytes())).is_err());
    assert!(Script::resume(file.path(), Some(b"x")).is_err());
    assert!(Script::open(Path::new("no such file")).is_err());
}

#[tokio::test]
async fn giving_up_during_a_pause_loses_nothing() {
    let file = file(
        "{\"pause_ms\": 300, \"body\": {\"source_state\": {\"state\": \"x\", \"detail\": null}}}\n",
    );
    let mut script = Script::open(file.path()).expect("opens");
    for _ in 0..3 {
        let soon = tokio::time::timeout(Duration::from_millis(20), script.next()).await;
        assert!(soon.is_err(), "still waiting");
    }
    let batch = script.next().await.expect("plays").expect("a batch");
    assert_eq!(batch.events.len(), 1);
    assert!(script.next().await.expect("plays").is_none());
}
