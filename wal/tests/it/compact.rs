//! Compacting: the same records in less space, under the eyes of whoever reads them.

use std::path::Path;

use wal::{Log, NewRecord, Options, Outcome, Reader, Record, RewriteError, Seq, verify};

use crate::common::{batch, fast_dir, keyed, plain, tail_of};

fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

fn event(n: u64) -> NewRecord {
    NewRecord {
        payload: vec![n as u8; 300],
        // Peer, message id and stamp, as the gateway's keys are.
        ..keyed(n, &[&[7u8; 9][..], &n.to_be_bytes(), &[0; 8]].concat())
    }
}

/// A sealed segment of `events` appended `per_batch` at a time, and an active one; closed.
fn log_in(dir: &Path, events: u64, per_batch: u64) {
    let mut log = Log::open(dir, Options::default()).unwrap();
    let all: Vec<u64> = (1..=events).collect();
    for chunk in all.chunks(per_batch as usize) {
        let records = chunk.iter().copied().map(event).collect();
        log.append(&batch(records)).unwrap();
    }
    log.seal().unwrap();
    tail_of(&mut log, event(events + 1));
    log.close().unwrap();
}

fn all(reader: &Reader) -> Vec<Record> {
    reader.read(seq(1), usize::MAX, usize::MAX).unwrap()
}

#[test]
fn a_compacted_segment_is_smaller_and_its_records_keys_and_digest_are_the_same() {
    let dir = fast_dir();
    log_in(dir.path(), 2000, 1);
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let (before, segments) = (all(&reader), reader.segments().unwrap());
    assert_eq!(before.len(), 2001);
    let done = log.compact(seq(1)).unwrap();
    assert_eq!(done.before, segments[0].file_bytes);
    assert!(done.saved() > done.before / 5, "{done:?}");
    // The reader from before has the old file open and goes on with it; a new one has the new.
    assert_eq!(all(&reader), before);
    let new = Reader::open(dir.path()).unwrap();
    assert_eq!(all(&new), before);
    for reader in [&reader, &new, &log.reader()] {
        let now = reader.segments().unwrap();
        assert_eq!(now[0].file_bytes, done.after);
        assert_eq!(now[0].digest, segments[0].digest);
        assert_eq!(now[0].count, 2000);
    }
    let again = log.append(&batch((1..=2001).map(event).collect())).unwrap();
    let known: Vec<Outcome> = (1..=2001).map(|n| Outcome::Duplicate(seq(n))).collect();
    assert_eq!(again.outcomes, known);
    log.close().unwrap();
    let report = verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    // The keys went along: they fill a new catalog.
    std::fs::remove_file(dir.path().join("catalog.redb")).unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    let again = log.append(&batch((1..=2001).map(event).collect())).unwrap();
    assert_eq!(again.outcomes, known);
}

#[test]
fn only_a_sealed_segment_is_compacted_and_holes_stay() {
    let dir = fast_dir();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    tail_of(&mut log, plain(1));
    log.fence(seq(9)).unwrap();
    tail_of(&mut log, plain(2));
    for wrong in [2, 3, 11, 99] {
        let refused = log.compact(seq(wrong)).unwrap_err();
        assert!(
            matches!(refused, RewriteError::NotSealed { first } if first == seq(wrong)),
            "{refused}"
        );
    }
    log.seal().unwrap();
    for first in [1, 2, 2] {
        log.compact(seq(first)).unwrap();
    }
    assert_eq!(tail_of(&mut log, plain(3)), 11);
    let numbers: Vec<u64> = all(&log.reader())
        .iter()
        .map(|r| r.header().seq.get())
        .collect();
    assert_eq!(numbers, [1, 10, 11]);
    assert_eq!(log.reader().holes().unwrap().len(), 1);
    log.close().unwrap();
    let report = verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

/// Run with `--ignored --nocapture` in release for the figures of the docs.
#[test]
#[ignore = "measures"]
fn bytes_per_event() {
    for per_batch in [1, 10, 1000] {
        let events = 100_000;
        let dir = fast_dir();
        log_in(dir.path(), events, per_batch);
        let mut log = Log::open(dir.path(), Options::default()).unwrap();
        for info in log.reader().segments().unwrap() {
            if info.sealed {
                let done = log.compact(info.first).unwrap();
                let per = |bytes: u64| bytes as f64 / info.count as f64;
                println!(
                    "batch {per_batch:>4}: {} events, {:.0} -> {:.0} bytes each, {:.2} -> {:.2} of the payload",
                    info.count,
                    per(done.before),
                    per(done.after),
                    per(done.before) / 300.0,
                    per(done.after) / 300.0,
                );
            }
        }
    }
}
