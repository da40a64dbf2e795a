//! Trimmed segments in an archive: one log with the live ones.

use std::path::Path;

use crate::common::{batch, fast_dir, keyed, plain, tail_of};
use wal::*;

fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

fn options(archive: &Path) -> Options {
    Options {
        archive: Some(archive.to_owned()),
        cache_bytes: 4 << 20,
        ..Options::default()
    }
}

/// Segments of three records each, keys included, and one record in the active one.
fn filled(dir: &Path, archive: &Path, segments: u64) -> Log {
    let mut log = Log::open(dir, options(archive)).unwrap();
    for n in 0..segments {
        let records = (3 * n + 1..=3 * n + 3).map(|n| keyed(n, &n.to_be_bytes()));
        log.append(&batch(records.collect())).unwrap();
        log.seal().unwrap();
    }
    tail_of(&mut log, plain(3 * segments + 1));
    log
}

fn numbers(reader: &Reader, from: u64) -> Vec<u64> {
    let records = reader.read(seq(from), 1000, usize::MAX).unwrap();
    for record in &records {
        let n = record.header().seq.get();
        assert_eq!(record.payload(), plain(n).payload, "record {n}");
    }
    records.iter().map(|r| r.header().seq.get()).collect()
}

fn containers(archive: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(archive).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn archived_and_live_segments_are_read_as_one_log() {
    let parent = fast_dir();
    let (dir, archive) = (parent.path().join("log"), parent.path().join("a/archive"));
    let mut log = filled(&dir, &archive, 5);
    let early = log.reader();
    assert_eq!(numbers(&early, 1), (1..=16).collect::<Vec<_>>());
    let gone = log.trim(seq(10)).unwrap();
    assert_eq!(gone.len(), 3);
    assert_eq!(containers(&archive).len(), 3);
    let other = Reader::open_archived(&dir, &archive).unwrap();
    for reader in [&early, &log.reader(), &other] {
        assert_eq!(reader.first().unwrap(), Some(seq(1)));
        for from in 1..=17 {
            assert_eq!(numbers(reader, from), (from..=16).collect::<Vec<_>>());
        }
        assert_eq!(reader.read(seq(2), 4, usize::MAX).unwrap().len(), 4);
        assert_eq!(reader.read(seq(2), 100, 1).unwrap().len(), 1);
        let segments = reader.segments().unwrap();
        let archived: Vec<bool> = segments.iter().map(|s| s.archived).collect();
        assert_eq!(archived, [true, true, true, false, false, false]);
        assert_eq!(segments[1].file, "segment-00000000000000000004.walz");
        for pair in segments.windows(2) {
            assert_eq!(pair[1].previous, pair[0].digest);
        }
    }
    // Who does not know of the archive sees the live part.
    let live = Reader::open(&dir).unwrap();
    assert_eq!(live.first().unwrap(), Some(seq(10)));
    assert!(matches!(
        live.read(seq(9), 1, 1),
        Err(ReadError::Trimmed { first }) if first == seq(10)
    ));
    assert!(verify(&dir, &mut |_| {}).unwrap().findings.is_empty());
}

#[test]
fn a_container_is_written_ahead_and_not_twice() {
    let parent = fast_dir();
    let (dir, archive) = (parent.path().join("log"), parent.path().join("archive"));
    let mut log = filled(&dir, &archive, 3);
    let archiver = log.archiver().unwrap();
    let worker = std::thread::spawn(move || archiver.archive(seq(1)).map(|()| archiver));
    let archiver = worker.join().unwrap().unwrap();
    assert_eq!(containers(&archive).len(), 1);
    let path = archive.join(&containers(&archive)[0]);
    let made = std::fs::metadata(&path).unwrap().modified().unwrap();
    archiver.archive(seq(1)).unwrap();
    log.trim(seq(7)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), made);
    assert_eq!(containers(&archive).len(), 2);
    let refused = archiver.archive(seq(10)).unwrap_err();
    assert!(
        matches!(refused.source, ContainerError::NotSealed),
        "{refused}"
    );
    assert!(archiver.archive(seq(1)).is_err(), "it is gone");
}

#[test]
fn nothing_is_removed_when_it_cannot_be_archived_and_the_log_goes_on() {
    let parent = fast_dir();
    let (dir, archive) = (parent.path().join("log"), parent.path().join("archive"));
    std::fs::write(&archive, "a file where the directory should be").unwrap();
    let mut log = filled(&dir, &archive, 2);
    assert!(log.recovery().archive_error.is_some());
    let refused = log.trim(seq(7)).unwrap_err();
    assert!(matches!(refused, AppendError::Archive(_)), "{refused}");
    assert_eq!(tail_of(&mut log, plain(8)), 8);
    std::fs::remove_file(&archive).unwrap();
    std::fs::create_dir(&archive).unwrap();
    assert_eq!(log.trim(seq(7)).unwrap().len(), 2);
    assert_eq!(numbers(&log.reader(), 1).len(), 8);
    drop(log);
    let log = Log::open(&dir, options(&archive)).unwrap();
    assert_eq!(log.recovery().archive_error, None);
}

#[test]
fn a_damaged_record_keeps_its_segment_from_being_archived_and_is_named() {
    let parent = fast_dir();
    let (dir, archive) = (parent.path().join("log"), parent.path().join("archive"));
    let mut log = filled(&dir, &archive, 2);
    let path = dir.join("segment-00000000000000000001.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|w| w == b"payload 2").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = log.trim(seq(7)).unwrap_err();
    assert!(
        matches!(&refused, AppendError::Archive(ArchiveError {
            source: ContainerError::Record { seq: at, .. }, ..
        }) if *at == seq(2)),
        "{refused}"
    );
    assert!(path.exists());
    assert!(
        containers(&archive)
            .iter()
            .all(|name| name.ends_with(".tmp"))
    );
    drop(log);
    drop(Log::open(&dir, options(&archive)).unwrap());
    assert!(
        containers(&archive).is_empty(),
        "what was half made is gone"
    );
}

#[test]
fn a_damaged_container_is_an_error_of_its_records_and_a_missing_one_ends_the_log() {
    let parent = fast_dir();
    let (dir, archive) = (parent.path().join("log"), parent.path().join("archive"));
    let mut log = filled(&dir, &archive, 3);
    log.trim(seq(10)).unwrap();
    let path = archive.join(&containers(&archive)[1]);
    let sound = std::fs::read(&path).unwrap();
    let mut bad = sound.clone();
    bad[12] ^= 1;
    std::fs::write(&path, &bad).unwrap();
    let reader = Reader::open_archived(&dir, &archive).unwrap();
    assert_eq!(reader.read(seq(1), 3, usize::MAX).unwrap().len(), 3);
    assert_eq!(numbers(&reader, 7), [7, 8, 9, 10]);
    assert!(matches!(
        reader.read(seq(4), 1, 1),
        Err(ReadError::Container { .. })
    ));
    // Not even its index is left.
    std::fs::write(&path, &sound[..50]).unwrap();
    let reader = Reader::open_archived(&dir, &archive).unwrap();
    assert_eq!(reader.first().unwrap(), Some(seq(1)));
    assert!(matches!(
        reader.read(seq(5), 1, 1),
        Err(ReadError::Container { .. })
    ));
    std::fs::remove_file(&path).unwrap();
    for reader in [reader, Reader::open_archived(&dir, &archive).unwrap()] {
        assert!(matches!(
            reader.read(seq(4), 1, 1),
            Err(ReadError::Trimmed { first }) if first == seq(7)
        ));
        assert_eq!(reader.first().unwrap(), Some(seq(7)));
        assert_eq!(numbers(&reader, 7), [7, 8, 9, 10]);
    }
}

#[test]
fn a_lost_catalog_gets_the_keys_of_the_archive_again() {
    let parent = fast_dir();
    let (dir, archive) = (parent.path().join("log"), parent.path().join("archive"));
    let mut log = filled(&dir, &archive, 4);
    log.trim(seq(10)).unwrap();
    log.close().unwrap();
    std::fs::remove_file(dir.join("catalog.redb")).unwrap();
    let mut log = Log::open(&dir, options(&archive)).unwrap();
    assert!(log.recovery().catalog_rebuilt);
    let known = (1..=12u64).map(|n| keyed(90, &n.to_be_bytes())).collect();
    let done = log.append(&batch(known)).unwrap();
    let expected: Vec<Outcome> = (1..=12).map(|n| Outcome::Duplicate(seq(n))).collect();
    assert_eq!(done.outcomes, expected);
}

#[test]
fn containers_of_another_log_are_not_read_and_not_replaced() {
    let parent = fast_dir();
    let (dir, archive) = (parent.path().join("log"), parent.path().join("archive"));
    let mut log = filled(&dir, &archive, 2);
    log.trim(seq(7)).unwrap();
    let mut other = filled(&parent.path().join("other"), &archive, 2);
    assert_eq!(other.recovery().archive_error, None);
    let refused = other.trim(seq(7)).unwrap_err();
    assert!(
        matches!(&refused, AppendError::Archive(e) if matches!(e.source, ContainerError::Occupied)),
        "{refused}"
    );
    assert_eq!(other.reader().first().unwrap(), Some(seq(1)));
    assert_eq!(numbers(&log.reader(), 1).len(), 7);
}

#[test]
fn retention_never_passes_a_cursor_and_says_so() {
    let parent = fast_dir();
    let (dir, archive) = (parent.path().join("log"), parent.path().join("archive"));
    let mut log = filled(&dir, &archive, 4);
    let cursors = Batch {
        cursors: vec![("relay".into(), seq(8))],
        ..Batch::default()
    };
    log.append(&cursors).unwrap();
    let policy = RetentionPolicy {
        age_max: None,
        bytes_max: Some(0),
    };
    let sqlite = |done| RetentionFloor {
        name: "sqlite".into(),
        done: Seq::new(done),
    };
    let plan = log.reader().retention_plan(&policy, &[sqlite(5)]).unwrap();
    assert_eq!(plan.keep_from(), Some(seq(4)));
    assert_eq!(log.reader().segments().unwrap().len(), 5, "only planned");
    let done = log.retain(&policy, &[sqlite(11)]).unwrap();
    assert_eq!(done.keep_from(), Some(seq(7)));
    assert_eq!(
        done.keep[0].1.to_string(),
        "cursor relay needs the log from 9 on"
    );
    let archived = log.reader().segments().unwrap();
    assert_eq!(archived.iter().filter(|s| s.archived).count(), 2);
    assert!(log.retain(&policy, &[]).unwrap().remove.is_empty());
}

#[test]
fn a_damaged_segment_is_salvaged_whole_from_a_directory_of_containers() {
    let parent = fast_dir();
    let (dir, archive) = (parent.path().join("log"), parent.path().join("archive"));
    let log = filled(&dir, &archive, 3);
    let archiver = log.archiver().unwrap();
    archiver.archive(seq(4)).unwrap();
    let containers = Containers::new(&archive, log.identity().log_id);
    log.close().unwrap();
    let path = dir.join("segment-00000000000000000004.redb");
    std::fs::write(&path, vec![0; 5000]).unwrap();
    let mut log = Log::open(&dir, options(&archive)).unwrap();
    let saved = log.salvage(seq(4), Some(&containers)).unwrap();
    assert!(saved.complete, "{saved:?}");
    assert_eq!((saved.records, saved.found.source), (3, 3));
    assert_eq!(numbers(&log.reader(), 1), (1..=10).collect::<Vec<_>>());
    log.trim(seq(7)).unwrap();
    assert_eq!(numbers(&log.reader(), 1), (1..=10).collect::<Vec<_>>());
    let known = batch(vec![keyed(90, &5u64.to_be_bytes())]);
    let outcomes = log.append(&known).unwrap().outcomes;
    assert_eq!(outcomes, [Outcome::Duplicate(seq(5))]);
}

#[test]
fn a_fence_is_read_over_in_the_archive_too() {
    let parent = fast_dir();
    let (dir, archive) = (parent.path().join("log"), parent.path().join("archive"));
    let mut log = filled(&dir, &archive, 1);
    log.fence(seq(20)).unwrap().unwrap();
    tail_of(&mut log, plain(21));
    log.seal().unwrap();
    tail_of(&mut log, plain(22));
    log.trim(seq(22)).unwrap();
    let reader = log.reader();
    assert_eq!(numbers(&reader, 1), [1, 2, 3, 4, 21, 22]);
    assert_eq!(numbers(&reader, 9), [21, 22]);
    assert_eq!(reader.holes().unwrap().len(), 1);
    log.close().unwrap();
    std::fs::remove_file(dir.join("catalog.redb")).unwrap();
    let log = Log::open(&dir, options(&archive)).unwrap();
    assert_eq!(log.reader().holes().unwrap().len(), 1, "from the container");
}
