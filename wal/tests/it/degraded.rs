//! An old segment that is damaged or missing never keeps the log from going on.

use std::fs;
use std::path::Path;

use wal::{Damaged, HoleCause, Log, OpenError, Options, Outcome, ReadError, Reader, salvage};

use crate::common::{batch, fast_dir, keyed, plain};
use crate::wreck::{EACH, TAIL, edit, event, findings, log_in, segment, seq};

fn damaged(log: &Log) -> Vec<(u64, String)> {
    let all = log.recovery().damaged.iter();
    all.map(|Damaged { first, why, .. }| (first.get(), why.clone()))
        .collect()
}

fn goes_on(log: &mut Log) {
    let n = log.reader().tail().unwrap().unwrap().get() + 1;
    let done = log.append(&batch(vec![keyed(n, format!("new {n}").as_bytes())]));
    assert_eq!(done.unwrap().outcomes, [Outcome::Appended(seq(n))]);
}

type Damage = fn(&mut Vec<u8>);

/// The catalog is older than the directory, or gone.
fn forget(dir: &Path) {
    fs::remove_file(dir.join("catalog.redb")).unwrap();
}

#[test]
fn a_missing_segment_is_named_at_open_and_by_reads_and_the_log_goes_on() {
    for (first, rebuilt) in [
        (1, false),
        (EACH + 1, false),
        (2 * EACH + 1, false),
        (EACH + 1, true),
        (2 * EACH + 1, true),
    ] {
        let dir = fast_dir();
        log_in(dir.path());
        fs::remove_file(segment(dir.path(), first)).unwrap();
        if rebuilt {
            forget(dir.path());
        }
        for _ in 0..2 {
            let mut log = Log::open(dir.path(), Options::default()).unwrap();
            let found = damaged(&log);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].0, first, "{found:?}");
            goes_on(&mut log);
            let other = Reader::open(dir.path()).unwrap();
            for reader in [log.reader(), other] {
                for n in [first, first + 10] {
                    let refused = reader.read(seq(n), 10, usize::MAX).unwrap_err();
                    assert!(
                        matches!(refused, ReadError::Missing { seq: s, .. } if s == seq(n)),
                        "{refused}"
                    );
                }
                let after = reader.read(seq(first + EACH), 10, usize::MAX).unwrap();
                assert_eq!(after[0].header().seq, seq(first + EACH));
                let infos = reader.segments().unwrap();
                let bad: Vec<u64> = infos
                    .iter()
                    .filter(|info| info.damage.is_some())
                    .map(|info| info.first.get())
                    .collect();
                // A new catalog has never heard of it.
                assert_eq!(bad, if rebuilt { vec![] } else { vec![first] });
            }
            log.close().unwrap();
        }
        assert!(
            findings(dir.path())
                .iter()
                .any(|f| f.seq == Some(seq(first)))
        );
        // Salvage makes it a hole, and then nothing is wrong any more.
        salvage(dir.path(), Options::default(), None, None).unwrap();
        let log = Log::open(dir.path(), Options::default()).unwrap();
        assert_eq!(damaged(&log), []);
        let holes = log.reader().holes().unwrap();
        assert_eq!((holes.len(), holes[0].cause), (1, HoleCause::Damage));
        assert_eq!(
            (holes[0].first, holes[0].last),
            (seq(first), seq(first + EACH - 1))
        );
        log.close().unwrap();
        assert_eq!(findings(dir.path()).len(), 0);
    }
}

#[test]
fn without_the_catalog_a_lost_start_looks_trimmed() {
    let dir = fast_dir();
    log_in(dir.path());
    fs::remove_file(segment(dir.path(), 1)).unwrap();
    forget(dir.path());
    let log = Log::open(dir.path(), Options::default()).unwrap();
    assert_eq!(damaged(&log), []);
    let refused = log.reader().read(seq(1), 1, 1).unwrap_err();
    assert!(matches!(refused, ReadError::Trimmed { .. }), "{refused}");
}

#[test]
fn a_segment_damaged_while_the_catalog_is_made_again_is_named_and_the_log_goes_on() {
    for first in [1, EACH + 1, 2 * EACH + 1] {
        let cases: [(&str, Damage); 4] = [
            ("first sector", |bytes| bytes[..512].fill(0)),
            ("cut", |bytes| bytes.truncate(5000)),
            ("empty", |bytes| bytes.clear()),
            ("noise", |bytes| bytes.fill(0xa5)),
        ];
        for (what, damage) in cases {
            let dir = fast_dir();
            log_in(dir.path());
            forget(dir.path());
            edit(&segment(dir.path(), first), damage);
            let mut log = Log::open(dir.path(), Options::default()).unwrap();
            assert!(log.recovery().catalog_rebuilt);
            let found = damaged(&log);
            assert_eq!(found.len(), 1, "{what}: {found:?}");
            assert_eq!(found[0].0, first, "{what}: {found:?}");
            goes_on(&mut log);
            let reader = log.reader();
            let refused = reader.read(seq(first + 3), 10, usize::MAX).unwrap_err();
            assert!(
                matches!(refused, ReadError::Unreadable { seq: s, .. } if s == seq(first + 3)),
                "{what}: {refused}"
            );
            assert_eq!(reader.segments().unwrap().len(), 4);
            assert_eq!(reader.tail().unwrap(), Some(seq(TAIL + 1)));
            // Others are still known by their keys.
            let other = first % (3 * EACH) + EACH;
            let again = log.append(&batch(vec![event(other)])).unwrap();
            assert_eq!(again.outcomes, [Outcome::Duplicate(seq(other))], "{what}");
            // The open log salvages it, and what comes back is in the catalog again.
            log.salvage(seq(first), None).unwrap();
            assert_eq!(damaged(&log), []);
            log.close().unwrap();
            let report = findings(dir.path());
            assert!(report.is_empty(), "{what}: {report:?}");
        }
    }
}

#[test]
fn a_segment_of_another_log_in_the_place_of_an_old_one_is_named() {
    let (one, other) = (fast_dir(), fast_dir());
    log_in(one.path());
    log_in(other.path());
    fs::copy(
        segment(other.path(), EACH + 1),
        segment(one.path(), EACH + 1),
    )
    .unwrap();
    forget(one.path());
    let mut log = Log::open(one.path(), Options::default()).unwrap();
    let found = damaged(&log);
    assert!(found[0].1.contains("another log"), "{found:?}");
    goes_on(&mut log);
}

#[test]
fn zeroed_pages_of_an_old_segment_are_errors_that_name_the_number() {
    let dir = fast_dir();
    log_in(dir.path());
    let file = segment(dir.path(), EACH + 1);
    let sound = fs::read(&file).unwrap();
    let mut named = 0;
    for page in 1..(sound.len() / 4096).min(16) {
        fs::write(&file, &sound).unwrap();
        edit(&file, |bytes| bytes[page * 4096..(page + 1) * 4096].fill(0));
        let mut log = Log::open(dir.path(), Options::default()).unwrap();
        goes_on(&mut log);
        match log.reader().read(seq(1), usize::MAX, usize::MAX) {
            Ok(_) | Err(ReadError::Damaged { .. } | ReadError::Missing { .. }) => {}
            Err(ReadError::Unreadable { seq: s, .. }) => {
                named += 1;
                assert!((EACH + 1..=2 * EACH).contains(&s.get()), "{s}");
                let one = log.reader().read(s, 1, usize::MAX);
                assert!(one.is_err(), "{s} can be read");
            }
            Err(e) => panic!("page {page}: {e}"),
        }
        log.close().unwrap();
    }
    assert!(named > 0);
}

#[test]
fn a_catalog_older_than_the_segments_catches_up_and_a_broken_one_is_made_again() {
    let dir = fast_dir();
    let catalog = dir.path().join("catalog.redb");
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    log.append(&batch(vec![plain(1)])).unwrap();
    log.close().unwrap();
    let old = fs::read(&catalog).unwrap();
    fs::remove_dir_all(dir.path()).unwrap();
    fs::create_dir(dir.path()).unwrap();
    log_in(dir.path());
    let new = fs::read(&catalog).unwrap();
    // One of another log is refused, whatever its age.
    fs::write(&catalog, &old).unwrap();
    let refused = Log::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    for page in 0..new.len() / 4096 {
        let mut bytes = new.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0);
        fs::write(&catalog, bytes).unwrap();
        // Never a panic. Pages with nothing but keys are only met when a key is looked up.
        if let Ok(log) = Log::open(dir.path(), Options::default()) {
            log.close().unwrap();
        }
    }
}
