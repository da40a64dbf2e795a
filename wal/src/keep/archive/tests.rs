//! An archive on a disk that fills. What a power cut leaves of it is tried by the crash matrix.

use super::*;
use crate::fault::{Fate, Io, Machine};
use crate::verify::verify_on;
use crate::{Log, Options, testing};

const RECORDS: u64 = 8;

fn options() -> Options {
    Options {
        archive: Some("archive".into()),
        ..testing::options()
    }
}

/// Four segments of two records each, all but the last sealed.
fn machine() -> Machine {
    let machine = Machine::new();
    let mut log = Log::open_on(&machine.dir("log"), options()).unwrap();
    testing::fill(&mut log, 0..RECORDS / 2 - 1);
    log.append(&testing::records(RECORDS - 1..=RECORDS))
        .unwrap();
    log.close().unwrap();
    machine.restart(Fate::Kept)
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
            assert_eq!(record.payload(), testing::record(n).payload, "{case}");
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

#[test]
fn a_read_of_a_container_that_failed_once_is_not_remembered() {
    let machine = machine();
    is_whole(&machine, "archiving");
    let open = || Log::open_on(&machine.dir("log"), options()).unwrap();
    let sound = format!("{:?}", open().reader().segments().unwrap());
    let mut misled = 0;
    for nth in 1.. {
        let log = open();
        let reader = log.reader();
        let at = machine.done(Io::Read) + nth;
        machine.fail_at(Io::Read, at);
        let first = reader.segments();
        misled += u32::from(first.is_ok_and(|infos| format!("{infos:?}") != sound));
        let failed = machine.done(Io::Read) >= at;
        machine.fail_at(Io::Read, u64::MAX);
        assert_eq!(format!("{:?}", reader.segments().unwrap()), sound, "{nth}");
        if !failed {
            break;
        }
    }
    assert!(misled > 0, "no container was read");
}
