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
use changes::{cases, changed_input, changes, kept};

#[path = "../../tests/support/changes.rs"]
mod changes;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/fuzz")
}

#[test]
fn every_kept_input_passes() {
    for (name, target) in TARGETS {
        for (path, bytes) in kept(&fixtures().join(name)) {
            println!("{}", path.display());
            target(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn changed_inputs_pass(
        target in prop::sample::select(TARGETS.to_vec()),
        seed: Index,
        changes in changes(),
    ) {
        (target.1)(&changed_input(&fixtures().join(target.0), seed, &changes));
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
    let mut seeds = Vec::new();
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
    seeds.push(("redo", redo[..frames.count() * 4096].to_vec()));
    log.seal().unwrap();
    log.close().unwrap();
    let file = crate::plan::segment_name(1);
    let db = segment::open_read_only(&machine, &file).unwrap();
    let txn = redb::ReadableDatabase::begin_read(&db).unwrap();
    let manifest = segment::read_seal(&txn, &file).unwrap().unwrap();
    seeds.push((
        "manifest",
        manifest.encode()[..manifest.encode().len() - 4].to_vec(),
    ));
    let rows = txn.open_table(tables::RECORDS).unwrap();
    let row = redb::ReadableTable::first(&rows).unwrap().unwrap();
    let numbers = [0u32.to_le_bytes(), 5u32.to_le_bytes()].concat();
    seeds.push(("block", [&numbers, row.1.value()].concat()));
    seeds.push(("record", row.1.value()[..69].to_vec()));
    let keys = txn.open_table(tables::SEGMENT_KEYS).unwrap();
    let row = redb::ReadableTable::first(&keys).unwrap().unwrap();
    seeds.push(("block", [&numbers, row.1.value()].concat()));
    let pacer = crate::pace::Pacer::new(crate::Pace::UNLIMITED);
    let (_, packed) = crate::container::pack(&txn, &manifest, Vec::new(), &pacer).unwrap();
    seeds.push(("container", packed));
    seeds.push(("catalog", machine.file(CATALOG).unwrap()));
    for (n, (target, bytes)) in seeds.into_iter().enumerate() {
        let dir = fixtures().join(target);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("seed-{n}")), bytes).unwrap();
    }
}

fn redo_name() -> &'static str {
    crate::redo::REDO
}
