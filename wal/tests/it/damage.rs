//! Files changed behind the log's back: found, named, and never papered over.

use std::fs;
use std::path::{Path, PathBuf};

use wal::{Log, OpenError, Options, Outcome, ReadError, Reader, Seq, verify};

use crate::common::{batch, fast_dir, keyed, plain, tail_of};

fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

fn segment(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("segment-{first:020}.redb"))
}

/// Three sealed segments of four records and one record in the active one; closed.
fn log_in(dir: &Path) {
    let mut log = Log::open(dir, Options::default()).unwrap();
    for n in 1..=13u64 {
        assert_eq!(tail_of(&mut log, keyed(n, &n.to_be_bytes())), n);
        if n % 4 == 0 {
            log.seal().unwrap();
        }
    }
    log.close().unwrap();
}

/// Flips one bit of the payload of record `n`, once in the whole file.
fn flip(file: &Path, n: u64) {
    let mut bytes = fs::read(file).unwrap();
    let payload = plain(n).payload;
    let places: Vec<usize> = (0..bytes.len() - payload.len())
        .filter(|at| bytes[*at..].starts_with(&payload))
        .collect();
    assert!(
        !places.is_empty(),
        "record {n} is not in {}",
        file.display()
    );
    for at in places {
        bytes[at] ^= 4;
    }
    fs::write(file, bytes).unwrap();
}

fn findings(dir: &Path) -> Vec<(String, Option<u64>, String)> {
    let report = verify(dir, &mut |_| {}).unwrap();
    let found = report.findings.into_iter();
    found
        .map(|f| (f.segment, f.seq.map(Seq::get), f.what))
        .collect()
}

#[test]
fn a_flipped_byte_is_an_error_naming_the_record_and_a_finding() {
    // Two digits, so that the payload of no other record starts like it.
    for (n, first) in [(10, 9), (11, 9), (13, 13)] {
        let dir = fast_dir();
        log_in(dir.path());
        assert_eq!(findings(dir.path()), []);
        flip(&segment(dir.path(), first), n);
        let reader = Reader::open(dir.path()).unwrap();
        let refused = reader.read(seq(1), 100, usize::MAX).unwrap_err();
        assert!(
            matches!(refused, ReadError::Damaged { seq: s, .. } if s == seq(n)),
            "{refused}"
        );
        assert!(
            refused.to_string().contains(&format!("record {n} ")),
            "{refused}"
        );
        // Everything else is there.
        assert_eq!(
            reader
                .read(seq(1), n as usize - 1, usize::MAX)
                .unwrap()
                .len(),
            n as usize - 1
        );
        let after = reader.read(seq(n + 1), 100, usize::MAX).unwrap();
        assert_eq!(after.len() as u64, 13 - n);
        let found = findings(dir.path());
        assert_eq!(found[0].1, Some(n), "{found:?}");
        // Nor has the page its checksum, and a sealed segment its digest.
        assert_eq!(found.len(), if first == 13 { 2 } else { 3 }, "{found:?}");
        // The writer goes on.
        let mut log = Log::open(dir.path(), Options::default()).unwrap();
        assert_eq!(tail_of(&mut log, plain(14)), 14);
    }
}

#[test]
fn a_damaged_length_is_an_error_for_each_record_it_hides() {
    for sealed in [false, true] {
        let dir = fast_dir();
        let mut log = Log::open(dir.path(), Options::default()).unwrap();
        log.append(&batch((1..=30).map(plain).collect())).unwrap();
        assert_eq!(tail_of(&mut log, plain(31)), 31);
        if sealed {
            log.seal().unwrap();
        }
        log.close().unwrap();
        let file = segment(dir.path(), 1);
        let mut bytes = fs::read(&file).unwrap();
        let payload = plain(20).payload;
        for at in 60..bytes.len() - payload.len() {
            if bytes[at..].starts_with(&payload) {
                bytes[at - 6] ^= 0x80;
            }
        }
        fs::write(&file, bytes).unwrap();
        let reader = Reader::open(dir.path()).unwrap();
        assert_eq!(reader.tail().unwrap(), Some(seq(31)));
        assert_eq!(reader.read(seq(1), 19, usize::MAX).unwrap().len(), 19);
        assert_eq!(reader.read(seq(31), 9, usize::MAX).unwrap().len(), 1);
        let mut hidden = 0;
        for n in 20..=30 {
            match reader.read(seq(n), 1, usize::MAX) {
                Err(ReadError::Damaged { seq: s, .. }) if s == seq(n) => hidden += 1,
                Ok(records) => assert_eq!(records[0].payload(), plain(n).payload),
                other => panic!("{n}: {other:?}"),
            }
        }
        // The others are in another block.
        assert!((1..=11).contains(&hidden), "{hidden}");
        let report = verify(dir.path(), &mut |_| {}).unwrap();
        assert_eq!(report.findings[0].seq, Some(seq(20)), "{report:?}");
        assert_eq!(report.records, 31);
        // The writer neither gives a number out twice nor stops.
        let mut log = Log::open(dir.path(), Options::default()).unwrap();
        assert_eq!(tail_of(&mut log, plain(32)), 32);
        log.seal().unwrap();
        assert_eq!(log.reader().segments().unwrap()[0].first, seq(1));
    }
}

#[test]
fn a_missing_active_segment_is_not_replaced_by_an_empty_one() {
    let dir = fast_dir();
    log_in(dir.path());
    fs::remove_file(segment(dir.path(), 13)).unwrap();
    let refused = Log::open(dir.path(), Options::default()).unwrap_err();
    assert!(
        matches!(refused, OpenError::SegmentMissing { first } if first == seq(13)),
        "{refused}"
    );
    assert!(findings(dir.path()).iter().any(|f| f.1 == Some(13)));
    // Nor is an empty or cut file taken for a new one.
    for bytes in [&b""[..], &[0u8; 4096][..]] {
        fs::write(segment(dir.path(), 13), bytes).unwrap();
        let refused = Log::open(dir.path(), Options::default()).unwrap_err();
        assert!(matches!(refused, OpenError::Disk { .. }), "{refused}");
    }
}

#[test]
fn a_lost_or_damaged_or_old_catalog_is_made_again() {
    let dir = fast_dir();
    log_in(dir.path());
    let catalog = dir.path().join("catalog.redb");
    let old = fs::read(&catalog).unwrap();
    let again = |dir: &Path, rebuilt: bool| {
        let mut log = Log::open(dir, Options::default()).unwrap();
        assert_eq!(log.recovery().catalog_rebuilt, rebuilt);
        let tail = log.recovery().tail.unwrap().get();
        for n in 1..=tail {
            let done = log
                .append(&batch(vec![keyed(n, &n.to_be_bytes())]))
                .unwrap();
            assert_eq!(done.outcomes, [Outcome::Duplicate(seq(n))]);
        }
        log.close().unwrap();
        assert_eq!(findings(dir), []);
    };
    fs::remove_file(&catalog).unwrap();
    again(dir.path(), true);
    fs::write(&catalog, b"not a database").unwrap();
    again(dir.path(), true);
    fs::write(&catalog, b"").unwrap();
    again(dir.path(), true);
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    assert_eq!(tail_of(&mut log, keyed(14, &14u64.to_be_bytes())), 14);
    log.seal().unwrap();
    log.close().unwrap();
    // A catalog restored from before the last seal.
    fs::write(&catalog, old).unwrap();
    again(dir.path(), false);
}

#[test]
fn segments_of_another_log_are_refused() {
    let (one, other) = (fast_dir(), fast_dir());
    log_in(one.path());
    log_in(other.path());
    fs::copy(segment(other.path(), 13), segment(one.path(), 13)).unwrap();
    let refused = Log::open(one.path(), Options::default()).unwrap_err();
    assert!(
        matches!(
            refused,
            OpenError::Foreign { .. } | OpenError::ChainBroken { .. }
        ),
        "{refused}"
    );
    fs::copy(segment(other.path(), 5), segment(one.path(), 5)).unwrap();
    assert!(
        findings(one.path())
            .iter()
            .any(|f| f.2.contains("the catalog has another manifest"))
    );
}

#[test]
fn zeroed_pages_do_not_take_the_verifier_with_them() {
    let dir = fast_dir();
    log_in(dir.path());
    let file = segment(dir.path(), 5);
    let sound = fs::read(&file).unwrap();
    let mut noticed = 0;
    for page in 1..sound.len() / 4096 {
        let mut bytes = sound.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0);
        if bytes == sound {
            continue;
        }
        fs::write(&file, bytes).unwrap();
        let report = verify(dir.path(), &mut |_| {}).unwrap();
        // The other segments were checked all the same.
        assert!(report.records >= 9, "page {page}: {report:?}");
        // Reading says so, too, instead of unwinding.
        let reader = Reader::open(dir.path()).unwrap();
        drop(reader.read(seq(5), 10, usize::MAX));
        noticed += usize::from(report.findings.iter().any(|f| f.segment.contains("0005")));
    }
    assert!(noticed >= 3, "pages that matter: {noticed}");
}
