//! Bytes below whole files that must be read for ever, and written the same as long as their
//! version is the newest. The files are pinned by `golden_files_never_change` in
//! `wal/tests/it/format.rs`, which says how a new version is added.

use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::Archived;
use crate::block;
use crate::container::{Container, Sum, pack};
use crate::hole::{Hole, HoleCause};
use crate::manifest::Manifest;
use crate::pace::{Pace, Pacer};
use crate::redo::Frame;
use crate::segment;
use crate::seq::{Identity, LogId, Seq};

fn golden(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/wal");
    root.join(name)
}

fn read(name: &str) -> Vec<u8> {
    fs::read(golden(name)).unwrap()
}

fn manifest(replaced: bool) -> Manifest {
    Manifest {
        identity: Identity {
            log_id: LogId(*b"golden bytes! v1"),
            epoch: 3,
        },
        first: 11,
        last: 20,
        count: if replaced { 8 } else { 10 },
        payload_bytes: 400,
        record_bytes: 1000,
        codecs: [5; 32],
        digest: [8; 32],
        previous: Some([9; 32]),
        recovered: true,
        created_at: -5,
        sealed_at: 77,
        // As it was then: a manifest names the engine that wrote the file.
        engine: "redb 4.6".to_owned(),
        replaces: replaced.then_some([7; 32]),
        missing: if replaced { 2 } else { 0 },
    }
}

fn hole() -> Hole {
    Hole {
        first: Seq::new(14).unwrap(),
        last: Seq::new(15).unwrap(),
        cause: HoleCause::Damage,
        noted_at: 1_795_435_943_000_001,
    }
}

fn frame() -> Frame {
    Frame {
        mark: 5,
        place: 0,
        segment: 11,
        len: 100_000,
        writes: [(0, vec![1; 320]), (8192, vec![7; 512])].into(),
    }
}

const KEYS: [Option<&[u8]>; 3] = [Some(b"first"), None, Some(b"third")];

/// Name and bytes of everything whose bytes follow from its contents.
fn written() -> Vec<(&'static str, Vec<u8>)> {
    let (mut keys, mut redo) = (Vec::new(), Vec::new());
    for key in KEYS {
        block::put_key(key, &mut keys);
    }
    block::end_keys(11, &mut keys);
    frame().encode(&mut redo);
    let archived = Archived {
        manifest: manifest(false),
        sum: Sum {
            bytes: 1234,
            sha256: [6; 32],
        },
    };
    vec![
        ("v1/manifest-1.bin", manifest(false).encode()),
        ("v1/manifest-2.bin", manifest(true).encode()),
        ("v1/hole.bin", hole().encode().to_vec()),
        ("v2/keys.bin", keys),
        ("v1/redo.bin", redo),
        ("v1/archived.bin", archived.encode()),
    ]
}

/// Compressed bytes follow from the compressor as well, so this one is only ever read.
const CONTAINER: &str = "v1/container.bin";
const SEGMENT: &str = "segment-00000000000000000001.redb";

fn container_of_the_golden_segment() -> Vec<u8> {
    let machine = crate::fault::Machine::new();
    machine.put_file(SEGMENT, read(&format!("v1/{SEGMENT}")));
    let db = segment::open_read_only(&machine, SEGMENT).unwrap();
    let txn = redb::ReadableDatabase::begin_read(&db).unwrap();
    let manifest = segment::read_seal(&txn, SEGMENT).unwrap().unwrap();
    pack(&txn, &manifest, Vec::new(), &Pacer::new(Pace::UNLIMITED))
        .unwrap()
        .1
}

#[test]
#[ignore = "makes the fixtures of a new format version"]
fn make_golden_bytes() {
    let mut files = written();
    files.push((CONTAINER, container_of_the_golden_segment()));
    for (name, bytes) in files {
        // Those of older versions are there, and never change.
        let path = golden(name);
        if !path.exists() {
            fs::write(path, bytes).unwrap();
        }
    }
}

#[test]
fn golden_bytes_are_written_the_same() {
    for (name, bytes) in written() {
        assert!(
            read(name) == bytes,
            "{name}: what is written now differs from what its version writes. That is a new \
             version: keep reading this one, and write the new one under its own number"
        );
    }
}

#[test]
fn golden_bytes_are_read() {
    let one = Manifest::decode(&read("v1/manifest-1.bin")).unwrap();
    assert_eq!(one, manifest(false));
    let two = Manifest::decode(&read("v1/manifest-2.bin")).unwrap();
    assert_eq!(two, manifest(true));
    assert_eq!(Hole::decode(14, &read("v1/hole.bin")), Some(hole()));
    assert_eq!(Frame::decode(&read("v1/redo.bin")).unwrap().0, frame());
    let archived = Archived::decode(&read("v1/archived.bin")).unwrap();
    assert_eq!(
        (archived.manifest, archived.sum.bytes),
        (manifest(false), 1234)
    );
}

#[test]
fn golden_rows_of_keys_are_read_as_what_their_layout_says() {
    for layout in [1, 2] {
        let mut keys = Vec::new();
        let take = |key: &[u8], seq| keys.push((seq, key.to_vec()));
        let row = read(&format!("v{layout}/keys.bin"));
        block::keys(layout, 11, &row, take).unwrap();
        assert_eq!(keys, [(11, b"first".to_vec()), (13, b"third".to_vec())]);
        assert!(block::keys(3 - layout, 11, &row, |_, _| ()).is_none());
    }
}

#[test]
fn a_golden_container_is_read_and_holds_the_golden_segment() {
    let container = Container::open(read(CONTAINER)).unwrap();
    container.check().unwrap();
    let record = read("v1/record.bin");
    let mut records = container.records(1);
    assert_eq!(records.next().unwrap(), Some((1, record.as_slice())));
    assert_eq!(records.next().unwrap().map(|(seq, _)| seq), Some(2));
    assert_eq!(records.next().unwrap(), None);
    let mut keys = Vec::new();
    container
        .each_key(|key, seq| keys.push((seq, key.to_vec())))
        .unwrap();
    assert_eq!(keys, [(1, b"key 1".to_vec()), (2, b"key 2".to_vec())]);
    assert_eq!(
        container.carried().unwrap().cursors,
        [("relay".to_owned(), 1)]
    );
}
