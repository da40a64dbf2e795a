//! A sealed segment whose header says that it was not closed cleanly. The flag has no checksum,
//! so one flipped bit sets it; nothing in the segment is different, and nobody may miss any of it.

use std::sync::Arc;

use crate::fault::Machine;
use crate::files::Files;
use crate::plan::{CATALOG, segment_name};
use crate::salvage::salvage_on;
use crate::verify::verify_on;
use crate::{Log, Reader, Record, Seq};

use super::{MORE, RECORDS, log, options};

/// Place and bit of the engine's flag.
const FLAG: (usize, u8) = (9, 2);

fn is_unclean(machine: &Machine) -> bool {
    machine.file(&segment_name(1)).unwrap()[FLAG.0] & FLAG.1 != 0
}

fn flip(machine: &Machine) {
    let mut bytes = machine.file(&segment_name(1)).unwrap();
    bytes[FLAG.0] ^= FLAG.1;
    machine.put_file(&segment_name(1), bytes);
    assert!(is_unclean(machine));
}

fn reads_all(reader: &Reader) {
    let all: Vec<Record> = reader.read(Seq::FIRST, 1000, usize::MAX).unwrap();
    assert_eq!(all.len() as u64, RECORDS + MORE);
}

fn has_no_finding(machine: &Machine) {
    let report = verify_on(machine, &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.records, RECORDS + MORE);
}

/// On a real disk, whose locks tell a living writer from a dead one.
#[test]
fn beside_its_writer_it_is_read_at_once_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let machine = log();
    for name in [segment_name(1), segment_name(RECORDS + 1), CATALOG.into()] {
        std::fs::write(dir.path().join(&name), machine.file(&name).unwrap()).unwrap();
    }
    let log = Log::open(dir.path(), options()).unwrap();
    let path = dir.path().join(segment_name(1));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[FLAG.0] ^= FLAG.1;
    std::fs::write(&path, &bytes).unwrap();
    reads_all(&log.reader());
    // As another process sees it.
    reads_all(&Reader::open(dir.path()).unwrap());
    let report = crate::verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.records, RECORDS + MORE);
    assert!(std::fs::read(&path).unwrap() == bytes, "the lock was held");
    log.close().unwrap();
}

#[test]
fn without_a_writer_whoever_reads_it_cleans_it() {
    let machine = log();
    flip(&machine);
    has_no_finding(&machine);
    assert!(!is_unclean(&machine));
    let found = Log::open_on(&machine, options()).unwrap();
    let identity = found.identity();
    found.close().unwrap();
    flip(&machine);
    let files = Files::new(Arc::new(machine.clone()), None);
    reads_all(&Reader::new(files, identity));
    assert!(!is_unclean(&machine));
}

#[test]
fn a_salvage_cleans_it_and_replaces_nothing() {
    let machine = log();
    flip(&machine);
    let report = salvage_on(Arc::new(machine.clone()), options(), None, None).unwrap();
    assert!(report.segments.is_empty(), "{report:?}");
    assert!(!is_unclean(&machine));
    has_no_finding(&machine);
}
