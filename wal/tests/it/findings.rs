//! What verifying finds, by kind: each sort of damage under its name, and nothing in sound logs.

use std::fs;
use std::path::Path;

use wal::FindingKind::{self, *};
use wal::{Log, Options};

use crate::common::{fast_dir, plain, tail_of};
use crate::wreck::{EACH, edit, event, findings, log_in, segment, seq, wipe};

fn kinds(dir: &Path) -> Vec<FindingKind> {
    let mut kinds: Vec<FindingKind> = Vec::new();
    for finding in findings(dir) {
        if !kinds.contains(&finding.kind) {
            kinds.push(finding.kind);
        }
    }
    kinds
}

fn sample() -> tempfile::TempDir {
    let dir = fast_dir();
    log_in(dir.path());
    assert_eq!(kinds(dir.path()), []);
    dir
}

/// Flips a bit in every place of the file where these bytes are; says in how many.
fn flip(file: &Path, what: &[u8]) -> usize {
    let mut flipped = 0;
    edit(file, |bytes| {
        for at in 0..bytes.len() - what.len() {
            if bytes[at..].starts_with(what) {
                bytes[at + what.len() - 1] ^= 1;
                flipped += 1;
            }
        }
    });
    flipped
}

#[test]
fn a_damaged_record_and_the_digest_it_spoils() {
    let dir = sample();
    wipe(&segment(dir.path(), EACH + 1), EACH + 9..=EACH + 9);
    let expected = [RecordDamaged, ManifestDiffers, PageDamaged];
    assert_eq!(kinds(dir.path()), expected);
    let found = findings(dir.path());
    assert_eq!(found[0].seq, Some(seq(EACH + 9)));
    assert_eq!(found[0].kind.as_str(), "record_damaged");
}

#[test]
fn missing_and_swapped_files() {
    let dir = sample();
    fs::remove_file(segment(dir.path(), EACH + 1)).unwrap();
    assert_eq!(kinds(dir.path()), [SegmentMissing]);
    let dir = sample();
    let [one, two] = [1, EACH + 1].map(|first| segment(dir.path(), first));
    let aside = dir.path().join("aside");
    fs::rename(&one, &aside).unwrap();
    fs::rename(&two, &one).unwrap();
    fs::rename(&aside, &two).unwrap();
    let found = kinds(dir.path());
    for kind in [SegmentMisplaced, CatalogDiffers] {
        assert!(found.contains(&kind), "{found:?}");
    }
    let other = sample();
    fs::copy(segment(other.path(), 1), &one).unwrap();
    let found = kinds(dir.path());
    assert!(found.contains(&SegmentForeign), "{found:?}");
    assert!(found.contains(&ChainBroken), "{found:?}");
}

#[test]
fn a_flipped_key_in_the_segment_or_in_the_catalog() {
    // The last byte of a key is that of its number; both neighbours are keys of the segment too.
    let n = EACH + 100;
    for (file, whose) in [("segment", EACH + 1), ("catalog.redb", 0)] {
        let dir = sample();
        let path = match file {
            "segment" => segment(dir.path(), whose),
            other => dir.path().join(other),
        };
        assert!(flip(&path, &n.to_be_bytes()) > 0, "{file}");
        let found = kinds(dir.path());
        let keys = [KeysDamaged, KeyUnknown, KeyMissing, KeyTwice];
        assert!(
            found.iter().any(|kind| keys.contains(kind)),
            "{file}: {found:?}"
        );
    }
}

#[test]
fn a_catalog_that_is_gone_or_older_or_broken() {
    let dir = sample();
    let catalog = dir.path().join("catalog.redb");
    let old = fs::read(&catalog).unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    // The last one sealed may always be on its way into the catalog.
    for _ in 0..2 {
        log.seal().unwrap();
        tail_of(&mut log, plain(1));
    }
    log.close().unwrap();
    fs::write(&catalog, old).unwrap();
    assert_eq!(kinds(dir.path()), [CatalogOlder]);
    fs::write(&catalog, b"nothing of the kind").unwrap();
    assert_eq!(kinds(dir.path())[0], CatalogUnreadable);
    fs::remove_file(&catalog).unwrap();
    assert_eq!(kinds(dir.path())[0], CatalogMissing);
}

#[test]
fn a_file_that_cannot_be_walked_takes_nothing_else_along() {
    let dir = sample();
    edit(&segment(dir.path(), EACH + 1), |bytes| bytes[..512].fill(0));
    assert_eq!(kinds(dir.path()), [SegmentUnreadable]);
    let report = wal::verify(dir.path(), &mut |_| {}).unwrap();
    assert_eq!(report.records, 2 * EACH + EACH / 2);
}

#[test]
fn the_holes_of_segment_and_catalog_are_compared() {
    let dir = fast_dir();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    log.fence(seq(50)).unwrap();
    tail_of(&mut log, event(1));
    log.seal().unwrap();
    log.close().unwrap();
    assert_eq!(kinds(dir.path()), []);
    // The last number of the hole, as its row has it.
    assert!(flip(&segment(dir.path(), 1), &[50, 0, 0, 0, 0, 0, 0, 0, 2]) > 0);
    assert_eq!(kinds(dir.path())[0], SegmentUnreadable);
}
