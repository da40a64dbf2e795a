//! The power is cut at every sync of a backup and of a restore, with every fate of what was not
//! synced.

use super::*;
use crate::fault::{FATES, Fate, Machine};
use crate::restore::{Fence, restore_on};
use crate::verify;
use crate::{Batch, Log, NewRecord, Options, Outcome};

fn options() -> Options {
    Options {
        cache_bytes: 1 << 20,
        redo_bytes: 64 << 10,
        ..Options::default()
    }
}

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
        payload: n.to_le_bytes().repeat(100),
        key: Some(n.to_be_bytes().to_vec()),
    }
}

/// Sealed segments of two records each with these numbers.
fn fill(log: &mut Log, segments: std::ops::Range<u64>) {
    for n in segments {
        let batch = Batch {
            records: [2 * n + 1, 2 * n + 2].map(record).to_vec(),
            ..Batch::default()
        };
        log.append(&batch).unwrap();
        log.seal().unwrap();
    }
}

/// A log of three sealed segments, and a backup of the first two.
fn machine() -> Machine {
    let machine = Machine::new();
    let mut log = Log::open_on(&machine.dir("log"), options()).unwrap();
    fill(&mut log, 0..2);
    backup_on(&log.reader(), &machine.dir("backup")).unwrap();
    fill(&mut log, 2..3);
    log.close().unwrap();
    machine.restart(Fate::Kept)
}

fn back_up(machine: &Machine) -> Result<BackupReport, BackupError> {
    let log = Log::open_on(&machine.dir("log"), options()).map_err(ReadError::from)?;
    let report = backup_on(&log.reader(), &machine.dir("backup"));
    drop(log.close());
    report
}

/// Records in the backup, which must be sound.
fn records_in(machine: &Machine, case: &str) -> u64 {
    let check = check::verify_on(&machine.dir("backup"), &mut |_| {});
    let check = check.unwrap_or_else(|e| panic!("{case}: {e}")).unwrap();
    assert!(check.findings.is_empty(), "{case}: {:?}", check.findings);
    check.records
}

#[test]
fn a_backup_that_was_cut_leaves_the_one_before_and_the_next_completes_it() {
    let whole = machine();
    whole.keep_cuts();
    assert_eq!(back_up(&whole).unwrap().written, 1);
    let cuts = whole.take_cuts();
    assert!(cuts.len() > 4, "{} syncs", cuts.len());
    for (n, cut) in cuts.iter().enumerate() {
        for fate in FATES {
            let case = format!("cut at {n}, {fate:?}");
            let after = cut.restart(fate);
            let records = records_in(&after, &case);
            assert!(matches!(records, 4 | 6), "{case}: {records} records");
            back_up(&after).unwrap_or_else(|e| panic!("{case}: {e}"));
            assert_eq!(records_in(&after, &case), 6, "{case}");
            let names = after.dir("backup").list().unwrap();
            assert_eq!(names.len(), 4, "{case}: {names:?}");
        }
    }
}

fn give_back(machine: &Machine) -> Result<crate::Restored, crate::RestoreError> {
    let fence = Fence::To(Seq::at_least_first(40));
    restore_on(&machine.dir("backup"), &machine.dir("restored"), fence)
}

/// Either no log opens, or it is the whole one.
fn is_restored(machine: &Machine, case: &str) -> bool {
    let dir = machine.dir("restored");
    if dir.list().unwrap().is_empty() {
        return false;
    }
    let mut log = match Log::open_on(&dir, options()) {
        Ok(log) => log,
        Err(OpenError::RestoreUnfinished) => return false,
        Err(e) => panic!("{case}: {e}"),
    };
    assert_eq!(log.recovery().tail, Seq::new(40), "{case}");
    let known = (1..=6).map(record).chain([record(99)]);
    let batch = Batch {
        records: known.collect(),
        ..Batch::default()
    };
    let outcomes = log.append(&batch).unwrap().outcomes;
    let known = (1..=6).map(|n| Outcome::Duplicate(Seq::at_least_first(n)));
    let new = Outcome::Appended(Seq::at_least_first(41));
    assert_eq!(outcomes, known.chain([new]).collect::<Vec<_>>(), "{case}");
    let records = log.reader().read(Seq::FIRST, 100, usize::MAX).unwrap();
    let found: Vec<u64> = records.iter().map(|r| r.header().seq.get()).collect();
    assert_eq!(found, [1, 2, 3, 4, 5, 6, 41], "{case}");
    log.close().unwrap();
    let report = verify::verify_on(&dir, &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{case}: {:?}", report.findings);
    true
}

#[test]
fn a_restore_that_was_cut_gives_no_log_and_started_over_gives_the_whole_one() {
    let whole = machine();
    back_up(&whole).unwrap();
    whole.keep_cuts();
    give_back(&whole).unwrap();
    let cuts = whole.take_cuts();
    assert!(is_restored(&whole, "uncut"));
    for (n, cut) in cuts.iter().enumerate() {
        for fate in FATES {
            let case = format!("cut at {n}, {fate:?}");
            let again = cut.restart(fate);
            if is_restored(&again, &case) {
                continue;
            }
            // Cut once more while it starts over, unless it is done by then.
            again.cut_power_at(1 + n as u64 % 7);
            let second = give_back(&again);
            let after = again.restart(fate);
            if !is_restored(&after, &case) {
                assert!(second.is_err(), "{case}: it said that it was done");
                give_back(&after).unwrap_or_else(|e| panic!("{case}: {e}"));
                assert!(is_restored(&after, &case), "{case}");
            }
        }
    }
}
