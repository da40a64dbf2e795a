//! The fuzz targets in the ordinary suite: on every input kept under `fixtures/fuzz/`, and on
//! changed ones.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

use super::TARGETS;
use crate::fault::Machine;
use crate::plan::CATALOG;
use crate::testing::{options, records};
use crate::{Batch, Log, segment, tables};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/fuzz")
}

/// The inputs of a target, by their names.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let listed = fs::read_dir(fixtures().join(target)).unwrap();
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

#[test]
fn every_kept_input_passes() {
    for (name, target) in TARGETS {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "{name}");
        for (path, bytes) in inputs {
            println!("{}", path.display());
            target(&bytes);
        }
    }
}

#[derive(Debug, Clone)]
enum Change {
    Byte(Index, u8),
    Number(Index, u32),
    Cut(Index),
    Insert(Index, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let number = prop_oneof![any::<u32>(), 0..100u32, Just(u32::MAX)];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        3 => (at(), number).prop_map(|(at, number)| Change::Number(at, number)),
        1 => at().prop_map(Change::Cut),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, b)| Change::Insert(at, b)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match change {
            Change::Byte(at, byte) => {
                let at = place(at);
                bytes.splice(at..(at + 1).min(bytes.len()), [*byte]);
            }
            Change::Number(at, number) => {
                let at = place(at);
                bytes.splice(at..(at + 4).min(bytes.len()), number.to_le_bytes());
            }
            Change::Cut(at) => bytes.truncate(place(at)),
            Change::Insert(at, more) => {
                let at = place(at);
                bytes.splice(at..at, more.iter().copied());
            }
        }
    }
    bytes
}

fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 2000;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn changed_inputs_pass(
        target in prop::sample::select(TARGETS.to_vec()),
        seed: Index,
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let mut inputs = inputs(target.0);
        let bytes = inputs.swap_remove(seed.index(inputs.len())).1;
        (target.1)(&changed(bytes, &changes));
    }

    #[test]
    fn any_bytes_pass(
        target in prop::sample::select(TARGETS.to_vec()),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        (target.1)(&bytes);
    }
}

#[test]
#[ignore = "makes the first inputs of every target"]
fn make_seeds() {
    let machine = Machine::new();
    let mut log = Log::open_on(&machine, options()).unwrap();
    let mut kept = Vec::new();
    let mut batch = Batch {
        bookmarks: vec![("source".into(), vec![1, 2, 3])],
        cursors: vec![("relay".into(), crate::Seq::FIRST)],
        ..records(1..=5)
    };
    batch.records[2].key = None;
    machine.keep_cuts();
    log.append(&batch).unwrap();
    let redo = machine.file(redo_name()).unwrap();
    let frames = redo
        .chunks(4096)
        .take_while(|block| block.iter().any(|b| *b != 0));
    kept.push(("redo", redo[..frames.count() * 4096].to_vec()));
    log.seal().unwrap();
    log.close().unwrap();
    let file = crate::plan::segment_name(1);
    let db = segment::open_read_only(&machine, &file).unwrap();
    let txn = redb::ReadableDatabase::begin_read(&db).unwrap();
    let manifest = segment::read_seal(&txn, &file).unwrap().unwrap();
    kept.push((
        "manifest",
        manifest.encode()[..manifest.encode().len() - 4].to_vec(),
    ));
    let rows = txn.open_table(tables::RECORDS).unwrap();
    let row = redb::ReadableTable::first(&rows).unwrap().unwrap();
    let numbers = [0u32.to_le_bytes(), 5u32.to_le_bytes()].concat();
    kept.push(("block", [&numbers, row.1.value()].concat()));
    kept.push(("record", row.1.value()[..69].to_vec()));
    let keys = txn.open_table(tables::SEGMENT_KEYS).unwrap();
    let row = redb::ReadableTable::first(&keys).unwrap().unwrap();
    kept.push(("block", [&numbers, row.1.value()].concat()));
    let pacer = crate::pace::Pacer::new(crate::Pace::UNLIMITED);
    let (_, packed) = crate::container::pack(&txn, &manifest, Vec::new(), &pacer).unwrap();
    kept.push(("container", packed));
    kept.push(("catalog", machine.file(CATALOG).unwrap()));
    for (n, (target, bytes)) in kept.into_iter().enumerate() {
        let dir = fixtures().join(target);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("seed-{n}")), bytes).unwrap();
    }
}

fn redo_name() -> &'static str {
    crate::redo::REDO
}
