//! Files of every format ever written are read for ever.
//!
//! The files under `fixtures/wal/` never change. When a layout or record version changes, add a
//! directory for it: run
//! `WAL_FIXTURE_DIR=fixtures/wal/v2 cargo test -p telegram-gateway-wal make_fixture -- --ignored`
//! from the workspace root (and for manifests, holes, keys and the like see
//! `wal/src/golden_tests.rs`), add its files with their SHA-256 to `GOLDEN`, and its name to
//! `VERSIONS`. The older directories stay, and the tests below stay true of them.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wal::{Batch, Log, NewRecord, Options, Outcome, Reader, Record, Seq, verify};

const VERSIONS: [&str; 2] = ["v1", "v2"];

/// File and SHA-256 of everything under `fixtures/wal/`.
const GOLDEN: &[(&str, &str)] = &[
    (
        "v1/archived.bin",
        "39eca30f2e674b16b81c9aa925af06163865fe7628d7d55070d849b7b120391b",
    ),
    (
        "v1/catalog.redb",
        "6ef7c1895a35bd7bbea2bb1b52d4e7dd1ae5aef2cf71aee49b5cc3d157d2e73b",
    ),
    (
        "v1/container.bin",
        "d35026e4540edb2ebdf1bf5b96a53f4cbb56149978292c0e04400362d0717068",
    ),
    (
        "v1/hole.bin",
        "94a6ce5ef29b58e9317b2dce56c9f3831a0f7d3adc71333ec1ecfd2baad4ca49",
    ),
    (
        "v1/keys.bin",
        "585a17884f876ae91e304c4880f5ea0a18f542a779058143a3326db3bcde96f2",
    ),
    (
        "v1/manifest-1.bin",
        "dd70ac38ed4ee8f374e1ea4fde8ce51f9e198a7169cb56f3c2d3860707bc35c9",
    ),
    (
        "v1/manifest-2.bin",
        "71b84d50793d643269bfacd63feaad6da7f30205acffff90443a56718aba174d",
    ),
    (
        "v1/record.bin",
        "fbd89637e0366dd6c2bdde8866932c29509310b9a1a699829b69a8fe7fdb2a2c",
    ),
    (
        "v1/redo.bin",
        "043794f9450af4c124c61cef9328aa6a85b84b3f70990d2172a07cbc99d76e6b",
    ),
    (
        "v1/segment-00000000000000000001.redb",
        "655d682030c9a647ceb0906074a9277cdb1709d07d78e12c0703762846d8ce63",
    ),
    (
        "v1/segment-00000000000000000003.redb",
        "9df78015223182570b097fbe5a8497ec6e1d673cb07c005064a7ea0254415c47",
    ),
    (
        "v2/catalog.redb",
        "efca80ff61cc31de2c52e16de388d3e64b2b4d6579ad5793216524ccfb1cfc97",
    ),
    (
        "v2/keys.bin",
        "ed90a41dfd6645c8bc3a4eab182b696af603d4b643d851060f19194107d717d3",
    ),
    (
        "v2/record.bin",
        "fbd89637e0366dd6c2bdde8866932c29509310b9a1a699829b69a8fe7fdb2a2c",
    ),
    (
        "v2/segment-00000000000000000001.redb",
        "8e8828afd36bdb4f520203c18ac6bee45baac72e5df778be4ad31ea02c7e658a",
    ),
    (
        "v2/segment-00000000000000000003.redb",
        "447be8f3979a26abf93fee0fdc1dd559e78e25d1600f314095266436999d9ac0",
    ),
];

const RECORD: &str = "record.bin";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/wal")
}

fn sample(n: u64) -> NewRecord {
    NewRecord {
        codec: 2 + n as u8,
        flags: 0x0102,
        kind: 3,
        peer_kind: 4,
        peer_id: -1_001_234_567_890,
        message_id: 1000 + n as i64,
        received_at: 1_795_435_943_000_001,
        source_at: 1_795_435_942_000_000,
        payload: format!("golden payload {n}").into_bytes(),
        key: Some(format!("key {n}").into_bytes()),
    }
}

fn sample_batch(range: std::ops::RangeInclusive<u64>) -> Batch {
    Batch {
        bookmarks: vec![("box".into(), vec![1, 2, 3])],
        cursors: vec![("relay".into(), Seq::FIRST)],
        records: range.map(sample).collect(),
    }
}

/// Two sealed records, one in the active segment.
fn make(dir: &Path) {
    let mut log = Log::open(dir, Options::default()).unwrap();
    log.append(&sample_batch(1..=2)).unwrap();
    log.seal().unwrap();
    log.append(&sample_batch(3..=3)).unwrap();
    let first = log.reader().read(Seq::FIRST, 1, usize::MAX).unwrap();
    log.close().unwrap();
    fs::write(dir.join(RECORD), first[0].as_bytes()).unwrap();
    // Neither says anything about a closed log.
    for name in ["lock", "redo"] {
        fs::remove_file(dir.join(name)).unwrap();
    }
}

#[test]
#[ignore = "makes the fixture of a new format version"]
fn make_fixture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let dir = root.join(std::env::var("WAL_FIXTURE_DIR").unwrap());
    assert!(
        !dir.exists(),
        "{} is there and never changes",
        dir.display()
    );
    make(&dir);
}

/// Path below `fixtures/wal/` and digest of every file there, sorted.
fn found() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for version in fs::read_dir(fixtures()).unwrap() {
        let version = version.unwrap();
        for file in fs::read_dir(version.path()).unwrap() {
            let file = file.unwrap();
            let name = Path::new(&version.file_name()).join(file.file_name());
            let digest = Sha256::digest(fs::read(file.path()).unwrap());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            files.push((name.to_str().unwrap().to_owned(), hex));
        }
    }
    files.sort();
    files
}

#[test]
fn golden_files_never_change() {
    let expected: Vec<(String, String)> = GOLDEN
        .iter()
        .map(|(name, hex)| ((*name).to_owned(), (*hex).to_owned()))
        .collect();
    assert_eq!(
        found(),
        expected,
        "files under fixtures/wal changed. They stand for logs in the field: undo the change, \
         and for a new format add a directory as the head of this file says"
    );
}

fn copy_of(version: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixtures().join(version)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

#[test]
fn golden_logs_are_read_verified_and_continued() {
    for version in VERSIONS {
        let dir = copy_of(version);
        let reader = Reader::open(dir.path()).unwrap();
        let records = reader.read(Seq::FIRST, 10, usize::MAX).unwrap();
        assert_eq!(records.len(), 3, "{version}");
        for (n, record) in (1..).zip(&records) {
            let (header, wanted) = (record.header(), sample(n));
            assert_eq!(record.payload(), wanted.payload);
            assert_eq!((header.seq.get(), header.epoch), (n, 1));
            assert_eq!((header.codec, header.flags), (wanted.codec, wanted.flags));
            assert_eq!(
                (header.kind, header.peer_kind),
                (wanted.kind, wanted.peer_kind)
            );
            assert_eq!(header.peer_id, wanted.peer_id);
            assert_eq!(header.message_id, wanted.message_id);
            assert_eq!(header.received_at, wanted.received_at);
            assert_eq!(header.source_at, wanted.source_at);
        }
        assert_eq!(reader.bookmarks().unwrap(), sample_batch(1..=1).bookmarks);
        assert_eq!(reader.cursors().unwrap(), sample_batch(1..=1).cursors);
        assert!(verify(dir.path(), &mut |_| {}).unwrap().findings.is_empty());
        let mut log = Log::open(dir.path(), Options::default()).unwrap();
        assert!(!log.recovery().created && !log.recovery().catalog_rebuilt);
        let again = log.append(&sample_batch(1..=4)).unwrap();
        let seq = |n| Seq::new(n).unwrap();
        assert_eq!(
            again.outcomes[..3],
            [1, 2, 3].map(|n| Outcome::Duplicate(seq(n)))
        );
        assert_eq!(again.outcomes[3], Outcome::Appended(seq(4)));
        log.seal().unwrap();
        log.close().unwrap();
        assert!(verify(dir.path(), &mut |_| {}).unwrap().findings.is_empty());
    }
}

#[test]
fn golden_records_decode_and_new_ones_are_written_the_same() {
    for version in VERSIONS {
        let bytes = fs::read(fixtures().join(version).join(RECORD)).unwrap();
        let record = Record::decode(bytes).unwrap();
        assert_eq!(record.payload(), sample(1).payload);
    }
    // The newest version is what is written now, to the byte.
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    let newest = fixtures().join(VERSIONS[VERSIONS.len() - 1]);
    assert_eq!(
        fs::read(dir.path().join(RECORD)).unwrap(),
        fs::read(newest.join(RECORD)).unwrap(),
        "the bytes of a record changed: that is a new format version"
    );
}
