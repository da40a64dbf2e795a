//! Numbers that will never be readable: skipped by reads, listed for ever, and nothing else is.

use std::path::Path;

use wal::{Hole, HoleCause, Log, NewRecord, Options, Reader, Seq, verify};

use crate::common::{batch, fast_dir, keyed, plain, tail_of};

fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

fn numbers(reader: &Reader, from: u64) -> Vec<u64> {
    let records = reader.read(seq(from), 1000, usize::MAX).unwrap();
    records.iter().map(|r| r.header().seq.get()).collect()
}

fn ranges(holes: &[Hole]) -> Vec<(u64, u64, HoleCause)> {
    let holes = holes.iter();
    holes
        .map(|h| (h.first.get(), h.last.get(), h.cause))
        .collect()
}

fn sound(dir: &Path) -> Vec<Hole> {
    let report = verify(dir, &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    report.holes
}

fn with_key(n: u64) -> NewRecord {
    keyed(n, &n.to_be_bytes())
}

const FENCE: HoleCause = HoleCause::Fence;

#[test]
fn a_fence_moves_the_tail_and_starts_an_epoch_and_no_number_below_it_is_given_out() {
    let dir = fast_dir();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    for n in 1..=3 {
        tail_of(&mut log, with_key(n));
    }
    assert_eq!(log.fence(seq(3)).unwrap(), None, "nothing to skip");
    assert_eq!(log.identity().epoch, 1);
    let hole = log.fence(seq(100)).unwrap().unwrap();
    assert_eq!(ranges(&[hole]), [(4, 100, FENCE)]);
    assert_eq!(log.identity().epoch, 2);
    let reader = log.reader();
    assert_eq!(
        reader.tail().unwrap(),
        Some(seq(100)),
        "the tail lies in a hole"
    );
    assert_eq!(numbers(&reader, 1), [1, 2, 3]);
    assert_eq!(numbers(&reader, 50), []);
    log.close().unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    assert_eq!(log.recovery().tail, Some(seq(100)));
    assert_eq!(log.identity().epoch, 2);
    assert_eq!(tail_of(&mut log, with_key(4)), 101);
    // A key from before the fence is still known.
    let again = log.append(&batch(vec![with_key(2)])).unwrap();
    assert_eq!(again.outcomes, [wal::Outcome::Duplicate(seq(2))]);
    let reader = log.reader();
    for from in 4..=101 {
        assert_eq!(numbers(&reader, from), [101]);
    }
    assert_eq!(numbers(&reader, 2), [2, 3, 101]);
    let epochs: Vec<u32> = reader
        .read(seq(3), 9, usize::MAX)
        .unwrap()
        .iter()
        .map(|r| r.header().epoch)
        .collect();
    assert_eq!(epochs, [1, 2]);
    assert_eq!(ranges(&sound(dir.path())), [(4, 100, FENCE)]);
}

#[test]
fn holes_are_listed_for_ever_also_of_trimmed_segments_and_across_a_rebuilt_catalog() {
    let dir = fast_dir();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    log.fence(seq(10)).unwrap();
    assert_eq!(log.reader().first().unwrap(), Some(seq(1)), "in a hole");
    tail_of(&mut log, plain(1));
    // Sealed with a hole and a record, then with nothing but a hole.
    log.fence(seq(20)).unwrap();
    log.fence(seq(30)).unwrap();
    tail_of(&mut log, plain(2));
    let all = [(1, 10, FENCE), (12, 20, FENCE), (21, 30, FENCE)];
    assert_eq!(ranges(&log.reader().holes().unwrap()), all);
    let segments = log.reader().segments().unwrap();
    let counts: Vec<(u64, u64)> = segments.iter().map(|s| (s.count, s.missing)).collect();
    assert_eq!(counts, [(1, 10), (0, 9), (1, 10)]);
    assert_eq!(numbers(&log.reader(), 1), [11, 31]);
    log.close().unwrap();
    assert_eq!(ranges(&sound(dir.path())), all);
    std::fs::remove_file(dir.path().join("catalog.redb")).unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    assert_eq!(ranges(&log.reader().holes().unwrap()), all);
    assert_eq!(log.trim(seq(31)).unwrap().len(), 2);
    let other = Reader::open(dir.path()).unwrap();
    for reader in [log.reader(), other] {
        assert_eq!(ranges(&reader.holes().unwrap()), all);
        assert_eq!(reader.first().unwrap(), Some(seq(21)));
        assert_eq!(numbers(&reader, 21), [31]);
    }
    log.close().unwrap();
    // Of segments that are kept only.
    assert_eq!(ranges(&sound(dir.path())), all[2..]);
}

#[test]
fn reads_keep_to_their_limits_across_holes() {
    let dir = fast_dir();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    for n in 1..=5u64 {
        tail_of(&mut log, plain(n));
        log.fence(seq(n * 10)).unwrap();
    }
    let reader = log.reader();
    assert_eq!(numbers(&reader, 1), [1, 11, 21, 31, 41]);
    assert_eq!(reader.read(seq(2), 3, usize::MAX).unwrap().len(), 3);
    let one = reader.read(seq(15), 100, 1).unwrap();
    assert_eq!(one[0].header().seq, seq(21));
    assert_eq!(one.len(), 1);
    assert_eq!(reader.read(seq(51), 1, 1).unwrap(), []);
}
