//! The power is cut at every sync of a salvage, with every fate of what was not synced, and once
//! more at every sync of what follows.

use std::sync::Arc;

use crate::fault::{FATES, Fate, Machine};
use crate::hole::Hole;
use crate::plan::segment_name;
use crate::redo::REDO;
use crate::verify::verify_on;
use crate::{Batch, Log, NewRecord, Options, Seq};

use super::{SalvageReport, salvage_on};

/// Records of a segment; two sealed ones, and half of one in the active segment.
const EACH: u64 = 8;
const TAIL: u64 = 2 * EACH + EACH / 2;
/// How far the fence goes.
const FENCE: u64 = TAIL + 50;

fn record(n: u64) -> NewRecord {
    NewRecord {
        codec: 1,
        flags: 0,
        kind: 1,
        peer_kind: 1,
        peer_id: 7,
        message_id: n as i64,
        received_at: 1,
        source_at: 1,
        payload: format!("record {n:04} {}", "x".repeat(500)).into_bytes(),
        key: Some(n.to_be_bytes().to_vec()),
    }
}

fn options() -> Options {
    // A short redo file, since each cut copies the disk.
    Options {
        redo_bytes: 64 << 10,
        cache_bytes: 1 << 20,
        ..Options::default()
    }
}

fn sound() -> Machine {
    let machine = Machine::new();
    let mut log = Log::open_on(&machine, options()).unwrap();
    for n in 1..=TAIL {
        let batch = Batch {
            records: vec![record(n)],
            ..Batch::default()
        };
        log.append(&batch).unwrap();
        if n % EACH == 0 {
            log.seal().unwrap();
        }
    }
    log.close().unwrap();
    machine
}

/// Breaks the engine's header of the segment, and every copy of record `lost`, also in the redo
/// file, where salvage looks as well.
fn damage(machine: &Machine, first: u64, lost: Option<u64>) {
    let file = segment_name(first);
    let mut bytes = machine.file(&file).unwrap();
    bytes[..512].fill(0);
    if let Some(lost) = lost {
        let start = record(lost).payload[..12].to_vec();
        for at in 0..bytes.len() - start.len() {
            if bytes[at..].starts_with(&start) {
                bytes[at] ^= 1;
            }
        }
    }
    machine.put_file(&file, bytes);
    if let Some(redo) = machine.file(REDO) {
        machine.put_file(REDO, vec![0; redo.len()]);
    }
}

fn run(machine: &Machine) -> SalvageReport {
    let storage = Arc::new(machine.clone());
    salvage_on(storage, options(), Seq::new(FENCE), None).unwrap()
}

/// Whatever was completed or undone: after one more salvage everything is there that can be.
fn check(machine: &Machine, lost: Option<u64>, active: bool, how: &str) {
    let opened = Log::open_on(machine, options());
    // A damaged active segment keeps the log from opening until it is salvaged, no other does.
    assert!(opened.is_ok() || active, "{how}: {:?}", opened.err());
    drop(opened);
    run(machine);
    let mut log = Log::open_on(machine, options()).unwrap_or_else(|e| panic!("{how}: {e}"));
    assert_eq!(log.recovery().damaged, [], "{how}");
    let tail = if active { FENCE } else { TAIL };
    assert_eq!(log.recovery().tail.map(Seq::get), Some(tail), "{how}");
    let read = log.reader().read(Seq::FIRST, 1000, usize::MAX).unwrap();
    let left: Vec<u64> = (1..=TAIL).filter(|n| Some(*n) != lost).collect();
    let found: Vec<u64> = read.iter().map(|r| r.header().seq.get()).collect();
    assert_eq!(found, left, "{how}");
    for found in &read {
        let wanted = record(found.header().seq.get());
        assert_eq!(found.payload(), wanted.payload, "{how}");
    }
    let holes = log.reader().holes().unwrap();
    let fence = active.then_some((TAIL + 1, FENCE));
    let expected = lost.map(|n| (n, n)).into_iter().chain(fence);
    let range = |hole: &Hole| (hole.first.get(), hole.last.get());
    assert_eq!(
        holes.iter().map(range).collect::<Vec<_>>(),
        expected.collect::<Vec<_>>(),
        "{how}"
    );
    let batch = Batch {
        records: vec![record(5000)],
        ..Batch::default()
    };
    let done = log.append(&batch).unwrap();
    assert_eq!(done.tail.map(Seq::get), Some(tail + 1), "{how}");
    log.close().unwrap();
    let report = verify_on(machine, &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{how}: {:?}", report.findings);
    let originals = machine_names(machine);
    assert!(!originals.is_empty(), "{how}: the original is gone");
}

fn machine_names(machine: &Machine) -> Vec<String> {
    let names = crate::storage::Storage::list(machine).unwrap();
    let put_aside = names.into_iter().filter(|name| name.contains(".damaged"));
    put_aside.collect()
}

/// Which segment, what is lost of it for good, whether it is the active one.
const CASES: [(u64, Option<u64>, bool); 4] = [
    (1, None, false),
    (EACH + 1, Some(EACH + 3), false),
    (2 * EACH + 1, None, true),
    (2 * EACH + 1, Some(2 * EACH + 2), true),
];

fn damaged(first: u64, lost: Option<u64>) -> Machine {
    let machine = sound().restart(Fate::Kept);
    damage(&machine, first, lost);
    machine.restart(Fate::Kept)
}

#[test]
fn a_salvage_cut_at_any_sync_is_completed_or_undone_by_the_next_open() {
    for (first, lost, active) in CASES {
        let machine = damaged(first, lost);
        machine.keep_cuts();
        run(&machine);
        let cuts = machine.take_cuts();
        assert!(cuts.len() > 8, "{}", cuts.len());
        for (n, cut) in cuts.iter().enumerate() {
            // The others in turn: over all cuts each meets every step.
            for fate in [
                Fate::Lost,
                [Fate::Kept, Fate::Odd, Fate::Even, Fate::Torn][n % 4],
            ] {
                let how = format!("segment {first}, cut {n}, {fate:?}");
                check(&cut.restart(fate), lost, active, &how);
            }
        }
    }
}

#[test]
fn a_second_cut_during_the_recovery_from_the_first_changes_nothing() {
    for (first, lost, active) in CASES {
        let machine = damaged(first, lost);
        machine.keep_cuts();
        run(&machine);
        for (n, cut) in machine.take_cuts().iter().enumerate() {
            let fate = FATES[n % FATES.len()];
            let recovering = cut.restart(fate);
            recovering.keep_cuts();
            drop(Log::open_on(&recovering, options()));
            for (second, again) in recovering.take_cuts().iter().enumerate() {
                // A third of them: over all first cuts, each step of the recovery is cut.
                if !(n + second).is_multiple_of(3) {
                    continue;
                }
                let fates = (fate, FATES[(n / 5 + second) % FATES.len()]);
                let how = format!("segment {first}, cut {n}, then {second}, {fates:?}");
                check(&again.restart(fates.1), lost, active, &how);
            }
        }
    }
}
