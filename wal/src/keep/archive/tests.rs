//! The power is cut at every sync of archiving and trimming, with every fate of what was not
//! synced, and once more at every sync of the recovery from that.

use super::*;
use crate::batch::{Batch, NewRecord};
use crate::fault::{Cut, FATES, Fate, Machine};
use crate::verify::verify_on;
use crate::{Log, Options};

const RECORDS: u64 = 8;

fn options() -> Options {
    Options {
        cache_bytes: 1 << 20,
        redo_bytes: 64 << 10,
        archive: Some("archive".into()),
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
        // Long enough to fill pages and sectors.
        payload: n.to_le_bytes().repeat(100),
        key: Some(n.to_be_bytes().to_vec()),
    }
}

/// Four segments of two records each, all but the last sealed.
fn machine() -> Machine {
    let machine = Machine::new();
    let mut log = Log::open_on(&machine.dir("log"), options()).unwrap();
    for n in 0..RECORDS / 2 {
        log.seal().unwrap();
        let records = [2 * n + 1, 2 * n + 2].map(record).to_vec();
        log.append(&Batch {
            records,
            ..Batch::default()
        })
        .unwrap();
    }
    log.close().unwrap();
    machine.restart(Fate::Kept)
}

/// Trims all that is sealed until the power goes.
fn trim(machine: &Machine) {
    if let Ok(mut log) = Log::open_on(&machine.dir("log"), options()) {
        // In two steps, so that some is removed before the rest is archived.
        if log.trim(Seq::at_least_first(3)).is_ok() {
            drop(log.trim(Seq::at_least_first(RECORDS)));
        }
        drop(log.close());
    }
}

fn is_whole(machine: &Machine, case: &str) {
    let mut log =
        Log::open_on(&machine.dir("log"), options()).unwrap_or_else(|e| panic!("{case}: {e}"));
    assert_eq!(log.recovery().archive_error, None, "{case}");
    let names = machine.dir("archive").list().unwrap();
    assert!(
        names.iter().all(|n| parse_container_name(n).is_some()),
        "{case}: {names:?}"
    );
    let all_are_there = |log: &Log| {
        let reader = log.reader();
        let records = reader.read(Seq::FIRST, 100, usize::MAX);
        let records = records.unwrap_or_else(|e| panic!("{case}: {e}"));
        let found: Vec<u64> = records.iter().map(|r| r.header().seq.get()).collect();
        assert_eq!(found, (1..=RECORDS).collect::<Vec<_>>(), "{case}");
        for (n, record) in (1..).zip(&records) {
            assert_eq!(record.payload(), self::record(n).payload, "{case}");
        }
    };
    all_are_there(&log);
    log.trim(Seq::at_least_first(RECORDS))
        .unwrap_or_else(|e| panic!("{case}: {e}"));
    all_are_there(&log);
    // The reader outlives the log: it reads the catalog, whose lock this machine does not show.
    let reader = log.reader();
    log.close().unwrap();
    let infos = reader.segments().unwrap();
    let archived = infos.iter().filter(|info| info.archived).count();
    assert_eq!((archived, infos.len()), (3, 4), "{case}");
    let report = verify_on(&machine.dir("log"), &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{case}: {:?}", report.findings);
}

/// What a power cut at each sync of a trim leaves.
fn cuts(machine: &Machine) -> Vec<Cut> {
    machine.keep_cuts();
    trim(machine);
    machine.take_cuts()
}

#[test]
fn no_record_is_lost_when_the_power_goes_while_archiving() {
    let cuts = cuts(&machine());
    assert!(cuts.len() > 12, "{} syncs", cuts.len());
    for (n, cut) in cuts.iter().enumerate() {
        for fate in FATES {
            is_whole(&cut.restart(fate), &format!("cut at {n}, {fate:?}"));
        }
    }
}

#[test]
fn no_record_is_lost_when_the_power_goes_again_while_recovering() {
    for (n, cut) in cuts(&machine()).iter().enumerate() {
        let fate = FATES[n % FATES.len()];
        let again = cuts(&cut.restart(fate));
        // Each first cut with a part of the second ones, another part every time.
        for (m, second) in again.iter().enumerate().skip(n % 2).step_by(2) {
            let fate = FATES[m % FATES.len()];
            let case = format!("cut at {n}, again at {m}, {fate:?}");
            is_whole(&second.restart(fate), &case);
        }
    }
}

#[test]
fn a_full_archive_disk_removes_nothing_and_the_log_goes_on() {
    let machine = machine();
    let mut log = Log::open_on(&machine.dir("log"), options()).unwrap();
    machine.set_capacity(Some(machine.used()));
    let refused = log.trim(Seq::at_least_first(RECORDS)).unwrap_err();
    assert!(
        matches!(&refused, crate::AppendError::Archive(e)
            if matches!(e.source, ContainerError::Disk(crate::DiskError::Full(_)))),
        "{refused}"
    );
    machine.set_capacity(None);
    assert_eq!(log.trim(Seq::at_least_first(RECORDS)).unwrap().len(), 3);
    drop(log);
    is_whole(&machine, "after the disk was full");
}
