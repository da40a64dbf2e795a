//! What the log promises, one promise per test, on a real directory.

use crate::common::{batch, keyed, plain, small, tail_of};
use std::time::Duration;
use wal::*;

fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

#[test]
fn appended_records_are_read_back_with_gapless_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    assert!(log.recovery().created);
    assert_eq!(log.reader().tail().unwrap(), None);
    assert_eq!(log.reader().first().unwrap(), None);
    let done = log.append(&batch(vec![plain(1), plain(2)])).unwrap();
    assert_eq!(
        done.outcomes,
        [Outcome::Appended(seq(1)), Outcome::Appended(seq(2))]
    );
    assert_eq!(done.tail, Some(seq(2)));
    let reader = log.reader();
    let records = reader.read(Seq::FIRST, 10, usize::MAX).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[1].payload(), plain(2).payload);
    assert_eq!(records[1].header().seq, seq(2));
    assert_eq!(records[1].header().epoch, log.identity().epoch);
    assert_eq!(
        Record::decode(records[1].as_bytes().to_vec()).unwrap(),
        records[1]
    );
    assert!(reader.read(seq(3), 10, usize::MAX).unwrap().is_empty());
    assert_eq!(reader.first().unwrap(), Some(seq(1)));
    log.close().unwrap();
    // The reader outlives the log it came from.
    assert_eq!(reader.tail().unwrap(), Some(seq(2)));
    let log = Log::open(dir.path(), Options::default()).unwrap();
    assert!(!log.recovery().unclean && !log.recovery().created);
    assert_eq!(log.recovery().tail, Some(seq(2)));
    assert_eq!(log.identity(), reader.identity());
}

#[test]
fn reads_stop_at_their_limits_but_always_get_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), small(300)).unwrap();
    for n in 1..=20 {
        log.append(&batch(vec![plain(n)])).unwrap();
    }
    let reader = log.reader();
    assert!(reader.segments().unwrap().len() > 3);
    assert_eq!(reader.read(seq(1), 7, usize::MAX).unwrap().len(), 7);
    assert_eq!(reader.read(seq(1), 100, 1).unwrap().len(), 1);
    assert!(reader.read(seq(1), 0, 100).unwrap().is_empty());
    let all = reader.read(seq(1), 100, usize::MAX).unwrap();
    assert_eq!(all.len(), 20);
    let three: usize = all[..3].iter().map(|r| r.as_bytes().len()).sum();
    assert_eq!(reader.read(seq(1), 100, three).unwrap().len(), 3);
    assert_eq!(reader.read(seq(1), 100, three + 1).unwrap().len(), 3);
    for from in 1..=20 {
        let got = reader.read(seq(from), 100, usize::MAX).unwrap();
        assert_eq!(got, all[from as usize - 1..]);
    }
}

#[test]
fn a_key_already_in_the_log_is_not_appended_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), small(200)).unwrap();
    let done = log
        .append(&batch(vec![keyed(1, b"a"), keyed(2, b"b"), keyed(3, b"a")]))
        .unwrap();
    assert_eq!(
        done.outcomes,
        [
            Outcome::Appended(seq(1)),
            Outcome::Appended(seq(2)),
            Outcome::Duplicate(seq(1))
        ]
    );
    log.seal().unwrap();
    log.seal().unwrap();
    let done = log
        .append(&batch(vec![keyed(4, b"c"), keyed(5, b"b"), keyed(6, b"a")]))
        .unwrap();
    assert_eq!(
        done.outcomes,
        [
            Outcome::Appended(seq(3)),
            Outcome::Duplicate(seq(2)),
            Outcome::Duplicate(seq(1))
        ]
    );
    log.seal().unwrap();
    log.trim(seq(4)).unwrap();
    drop(log);
    let mut log = Log::open(dir.path(), small(200)).unwrap();
    let all = vec![
        keyed(9, b"c"),
        keyed(9, b"b"),
        keyed(9, b"a"),
        keyed(9, b"d"),
    ];
    let done = log.append(&batch(all)).unwrap();
    assert_eq!(
        done.outcomes,
        [
            Outcome::Duplicate(seq(3)),
            Outcome::Duplicate(seq(2)),
            Outcome::Duplicate(seq(1)),
            Outcome::Appended(seq(4)),
        ]
    );
}

#[test]
fn bookmarks_and_cursors_are_committed_with_the_batch_and_carried_into_new_segments() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    let marks = |n: u8| vec![("box".to_owned(), vec![n]), ("x".to_owned(), vec![n + 1])];
    let b = Batch {
        records: vec![plain(1), plain(2)],
        bookmarks: marks(7),
        cursors: vec![("relay".to_owned(), seq(2))],
    };
    log.append(&b).unwrap();
    log.seal().unwrap();
    assert_eq!(log.bookmarks().unwrap(), marks(7));
    let reader = log.reader();
    assert_eq!(reader.cursors().unwrap(), [("relay".to_owned(), seq(2))]);
    // Backwards is ignored, past the tail refused; the log goes on.
    let cursor = |n| Batch {
        cursors: vec![("relay".to_owned(), seq(n))],
        ..Batch::default()
    };
    log.append(&cursor(1)).unwrap();
    assert_eq!(reader.cursors().unwrap(), [("relay".to_owned(), seq(2))]);
    let refused = log.append(&cursor(3)).unwrap_err();
    assert!(
        matches!(refused, AppendError::CursorPastTail { tail: 2, .. }),
        "{refused}"
    );
    log.append(&batch(vec![plain(3)])).unwrap();
    log.append(&cursor(3)).unwrap();
    assert_eq!(reader.cursors().unwrap(), [("relay".to_owned(), seq(3))]);
    let later = Batch {
        bookmarks: vec![("box".into(), vec![1]), ("box".into(), vec![9])],
        ..Batch::default()
    };
    log.append(&later).unwrap();
    drop(log);
    let log = Log::open(dir.path(), Options::default()).unwrap();
    assert_eq!(log.bookmarks().unwrap()[0], ("box".to_owned(), vec![9]));
}

#[test]
fn a_batch_of_duplicates_alone_touches_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    let b = Batch {
        records: vec![keyed(1, b"k")],
        bookmarks: vec![("m".into(), vec![1])],
        cursors: vec![],
    };
    log.append(&b).unwrap();
    let image = || std::fs::read(dir.path().join("segment-00000000000000000001.redb")).unwrap();
    let before = image();
    assert_eq!(
        log.append(&b).unwrap().outcomes,
        [Outcome::Duplicate(seq(1))]
    );
    assert!(image() == before, "the file changed");
    log.append(&batch(vec![keyed(1, b"other")])).unwrap();
    assert!(image() != before, "the comparison sees a commit");
}

#[test]
fn trim_removes_whole_sealed_segments_below_and_readers_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    for n in 0..4u64 {
        log.append(&batch(vec![plain(2 * n), plain(2 * n + 1)]))
            .unwrap();
        log.seal().unwrap();
    }
    let reader = log.reader();
    let other = Reader::open(dir.path()).unwrap();
    assert_eq!(other.read(seq(1), 100, usize::MAX).unwrap().len(), 8);
    assert!(log.trim(seq(2)).unwrap().is_empty());
    let gone = log.trim(seq(6)).unwrap();
    assert_eq!(
        gone.iter().map(|i| (i.first, i.last)).collect::<Vec<_>>(),
        [(seq(1), Some(seq(2))), (seq(3), Some(seq(4)))]
    );
    for reader in [&reader, &other] {
        assert_eq!(reader.first().unwrap(), Some(seq(5)));
        let refused = reader.read(seq(4), 10, usize::MAX).unwrap_err();
        assert!(
            matches!(refused, ReadError::Trimmed { first } if first == seq(5)),
            "{refused}"
        );
        assert_eq!(reader.read(seq(5), 10, usize::MAX).unwrap().len(), 4);
        assert_eq!(reader.segments().unwrap()[0].previous, gone[1].digest);
    }
    assert!(verify(dir.path(), &mut |_| {}).unwrap().findings.is_empty());
    assert_eq!(log.trim(seq(1000)).unwrap().len(), 2);
    assert_eq!(reader.first().unwrap(), None);
    assert_eq!(reader.tail().unwrap(), Some(seq(8)));
    drop(log);
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    assert_eq!(tail_of(&mut log, plain(9)), 9);
}

#[test]
fn the_second_writer_is_refused_and_told_who_holds_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), Options::default()).unwrap();
    let refused = Log::open(dir.path(), Options::default()).unwrap_err();
    let pid = format!("process {} on ", std::process::id());
    assert!(
        matches!(&refused, OpenError::Locked { holder } if holder.starts_with(&pid)),
        "{refused}"
    );
    drop(log);
    Log::open(dir.path(), Options::default()).unwrap();
}

#[cfg(unix)]
#[test]
fn files_are_private_to_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/log");
    let mut log = Log::open(&dir, Options::default()).unwrap();
    tail_of(&mut log, plain(1));
    log.seal().unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
        files += 1;
    }
    assert_eq!(files, 5, "lock, redo, catalog, two segments");
}

#[test]
fn limits_are_refused_and_leave_the_log_usable() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    let mut big = plain(1);
    big.payload = vec![0; PAYLOAD_BYTES_MAX + 1];
    let refused = log.append(&batch(vec![plain(1), big])).unwrap_err();
    assert!(
        matches!(refused, AppendError::PayloadTooLarge { index: 1, .. }),
        "{refused}"
    );
    let long = keyed(1, &[0; KEY_BYTES_MAX + 1]);
    let refused = log.append(&batch(vec![long])).unwrap_err();
    assert!(
        matches!(refused, AppendError::KeyTooLong { index: 0, .. }),
        "{refused}"
    );
    assert_eq!(tail_of(&mut log, plain(1)), 1);
}

#[test]
fn an_old_segment_is_sealed_by_the_next_append() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        segment_age_max: Duration::ZERO,
        ..Options::default()
    };
    let mut log = Log::open(dir.path(), options).unwrap();
    for n in 1..=3 {
        assert_eq!(tail_of(&mut log, plain(n)), n);
    }
    let segments = log.reader().segments().unwrap();
    assert_eq!(segments.iter().filter(|s| s.sealed).count(), 2);
    assert!(!segments[2].sealed && segments[2].count == 1 && segments[2].bytes > 0);
}

#[test]
fn no_reader_where_there_is_no_log() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("absent")] {
        assert!(matches!(
            Reader::open(&path),
            Err(OpenError::NotALog { .. })
        ));
        assert!(matches!(
            verify(&path, &mut |_| {}),
            Err(OpenError::NotALog { .. })
        ));
    }
}
