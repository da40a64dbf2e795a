//! Checking an archive: every byte of it counts, and so does what is not there.

use std::path::{Path, PathBuf};

use crate::common::{batch, fast_dir, keyed};
use wal::*;

fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

/// Three archived segments of three records, and a live one.
fn archived(parent: &Path) -> (PathBuf, PathBuf) {
    let (dir, archive) = (parent.join("log"), parent.join("archive"));
    let options = Options {
        archive: Some(archive.clone()),
        cache_bytes: 4 << 20,
        ..Options::default()
    };
    let mut log = Log::open(&dir, options).unwrap();
    for n in 0..4 {
        let records = (3 * n + 1..=3 * n + 3).map(|n| keyed(n, &n.to_be_bytes()));
        log.append(&batch(records.collect())).unwrap();
        log.seal().unwrap();
    }
    log.trim(seq(10)).unwrap();
    log.close().unwrap();
    (dir, archive)
}

fn container(archive: &Path, first: u64) -> PathBuf {
    archive.join(format!("segment-{first:020}.walz"))
}

fn kinds(dir: &Path, archive: &Path) -> Vec<FindingKind> {
    let report = verify_archive(dir, archive, &mut |_| {}).unwrap();
    report.findings.iter().map(|it| it.kind).collect()
}

#[test]
fn a_sound_archive_is_clean_with_a_catalog_and_without() {
    let parent = fast_dir();
    let (dir, archive) = archived(parent.path());
    let report = verify_archive(&dir, &archive, &mut |_| {}).unwrap();
    assert_eq!((report.segments, report.records), (3, 9));
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(
        log_id(&dir),
        Some(Reader::open(&dir).unwrap().identity().log_id)
    );
    std::fs::remove_file(dir.join("catalog.redb")).unwrap();
    assert_eq!(kinds(&dir, &archive), []);
    assert!(log_id(&dir).is_some(), "the segments know it too");
    assert_eq!(kinds(&dir, &parent.path().join("never made")), []);
    // The oldest may go.
    std::fs::remove_file(container(&archive, 1)).unwrap();
    assert_eq!(kinds(&dir, &archive), []);
}

#[test]
fn every_flipped_byte_of_a_container_is_found() {
    let parent = fast_dir();
    let (dir, archive) = archived(parent.path());
    let file = container(&archive, 4);
    let sound = std::fs::read(&file).unwrap();
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&file, &bytes).unwrap();
        let kinds = kinds(&dir, &archive);
        assert!(!kinds.is_empty(), "byte {at} of {}", sound.len());
    }
    std::fs::write(&file, &sound).unwrap();
    assert_eq!(kinds(&dir, &archive), []);
}

#[test]
fn containers_that_are_missing_or_swapped_are_found() {
    let parent = fast_dir();
    let (dir, archive) = archived(parent.path());
    let aside = parent.path().join("aside");
    std::fs::rename(container(&archive, 4), &aside).unwrap();
    assert_eq!(kinds(&dir, &archive), [FindingKind::ContainerMissing]);
    std::fs::copy(container(&archive, 7), container(&archive, 4)).unwrap();
    let found = kinds(&dir, &archive);
    assert!(found.contains(&FindingKind::ContainerDamaged), "{found:?}");
    std::fs::rename(&aside, container(&archive, 4)).unwrap();
    std::fs::rename(container(&archive, 7), &aside).unwrap();
    assert_eq!(kinds(&dir, &archive), [FindingKind::ContainerMissing]);
}
