//! Disks that fail and disks that fill.

use std::collections::HashSet;

use crate::backup::{backup_on, verify_on};
use crate::fault::{FATES, Fate, Io, Machine};
use crate::{AppendError, Batch, Log, OpenError, Seq};

use super::check::{check, observe};
use super::life::{Failure, Life, backup_dir, log_dir, seq};
use super::op::{Op, Told};
use super::{Setup, asked_length, options};

/// Meets every kind of step: a roll by size, a seal, a trim, closing and opening.
const LIFE: [Op; 13] = [
    Op::Append,
    Op::Append,
    Op::Append,
    Op::Note,
    Op::Seal,
    Op::Append,
    Op::Trim,
    Op::Append,
    Op::Fence,
    Op::Append,
    Op::Again,
    Op::Reopen,
    Op::Append,
];

/// Meets what is done with what is sealed: archive, backup, compaction, a trim into the archive,
/// restore, salvage.
const CARE: [Op; 15] = [
    Op::Append,
    Op::Seal,
    Op::Append,
    Op::Seal,
    Op::Archive,
    Op::Backup,
    Op::Compact,
    Op::Append,
    Op::Trim,
    Op::Append,
    Op::Restore,
    Op::Append,
    Op::Seal,
    Op::Mend,
    Op::Append,
];

/// A log, what is done with it, and of how many operations of the disk one fails in a test.
type Lived = (Setup, &'static [Op], usize);

/// Every way of a commit to the disk, with and without a file made ahead.
const LIVES: [Lived; 3] = [
    (Setup::Tiny, &LIFE, 1),
    (Setup::Shipped, &LIFE, 1),
    (Setup::Kept, &CARE, 7),
];

/// A life in which one operation of the disk fails.
struct Failed {
    machine: Machine,
    setup: Setup,
    told: Told,
    how: String,
}

/// Lives until something fails, or to the end where the failure is none of the log's business.
fn live((setup, ops, _): Lived, io: Io, nth: u64) -> Failed {
    let machine = Machine::new();
    machine.fail_at(io, nth);
    let mut life = Life::off(machine, setup);
    life.asks_only = true;
    let how = format!("{setup:?}: {io:?} {nth} failed");
    let mut lived = life.open();
    for op in ops {
        if lived.is_ok() {
            lived = life.take(*op);
        }
    }
    if let Err(failure) = lived {
        let how = format!("{how} in {:?}", life.told.asked);
        is_the_failure(&failure, &how);
        if failure.poisons() {
            if let Some(log) = &mut life.log {
                is_poisoned(log, &life.machine, &how);
            }
        } else if life.log.is_some() {
            goes_on(&mut life, &how);
        }
    }
    // How often a log reads and writes beside the appends depends on the moment.
    life.machine.fail_at(io, u64::MAX);
    Failed {
        machine: life.machine,
        setup,
        told: life.told,
        how,
    }
}

fn is_the_failure(failure: &Failure, how: &str) {
    let is_told = match failure {
        Failure::Append(AppendError::Disk { .. } | AppendError::Archive(_)) => true,
        Failure::Open(OpenError::Disk { .. }) => true,
        Failure::Append(_) | Failure::Open(_) => false,
        Failure::Beside(e) => format!("{e:?}").contains(" failed"),
    };
    assert!(is_told, "{how}: {failure:?}");
}

/// The handle is as good as before what failed beside it.
fn goes_on(life: &mut Life, how: &str) {
    // Done in part or not at all: what is archived may be, and nothing is known to be backed up.
    if let Some((_, asked)) = life.told.asked.take() {
        let now = &mut life.told.now;
        now.archived = now.archived.max(asked.archived);
        now.keep_from = now.keep_from.max(asked.keep_from);
    }
    life.take(Op::Append)
        .unwrap_or_else(|e| panic!("{how}, then an append: {e:?}"));
}

/// The handle does nothing any more, not even on the disk.
fn is_poisoned(log: &mut Log, machine: &Machine, how: &str) {
    let before = [Io::Sync, Io::Write].map(|io| machine.done(io));
    let refused = [
        log.append(&Batch::default()).map(drop),
        log.seal(),
        log.trim(seq(1)).map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(AppendError::Poisoned)), "{how}");
    }
    let after = [Io::Sync, Io::Write].map(|io| machine.done(io));
    assert_eq!(before, after, "{how}: the handle is tried again");
}

/// Failures of the operations of the disk in a short life: of each with `TGW_CRASH_LENGTH`.
fn each_failure(lived: Lived, then: impl Fn(Failed)) {
    let every = asked_length().map_or(lived.2, |_| 1);
    let whole = live(lived, Io::Sync, u64::MAX);
    for io in [Io::Sync, Io::Write, Io::Read] {
        let count = whole.machine.done(io);
        assert!(count > 20, "{io:?}: {count}");
        for nth in (1..=count).step_by(every) {
            then(live(lived, io, nth));
        }
    }
}

#[test]
fn a_failed_disk_operation_poisons_the_handle_and_opening_again_finds_everything() {
    for lived in LIVES {
        each_failure(lived, |failed| {
            check(&failed.machine, failed.setup, &failed.told, &failed.how);
        });
    }
}

#[test]
fn a_power_cut_after_a_failed_disk_operation_loses_nothing_acknowledged() {
    for lived in [LIVES[0], LIVES[2]] {
        each_failure(lived, |failed| {
            let (cut, mut seen) = (failed.machine.cut(), HashSet::new());
            for fate in FATES {
                let machine = cut.restart(fate);
                if seen.insert(machine.fingerprint()) {
                    let how = format!("{}, then the power, {fate:?}", failed.how);
                    check(&machine, failed.setup, &failed.told, &how);
                }
            }
        });
    }
}

/// After a failed sync the operating system shows what it never wrote. A log that goes on from
/// what it reads would build on what a power cut takes away.
#[test]
fn what_is_acknowledged_after_a_failed_disk_operation_survives_a_power_cut() {
    for lived in LIVES {
        each_failure(lived, |failed| {
            let (setup, how) = (failed.setup, format!("{}, opened again", failed.how));
            let life = Life::after(failed.machine, setup, failed.told.clone());
            let mut life = life.unwrap_or_else(|e| panic!("{how}: {e:?}"));
            let now = observe(life.log.as_ref().unwrap(), &failed.told, &how);
            life.told = Told::known(now);
            for op in [Op::Append, Op::Seal, Op::Append] {
                life.take(op).unwrap_or_else(|e| panic!("{how}: {e:?}"));
                let how = format!("{how}, {op:?}, then the power");
                let machine = life.machine.cut().restart(Fate::Lost);
                check(&machine, setup, &life.told, &how);
            }
        });
    }
}

/// A container of the archive that cannot be read once is known by hardly more than its name, and
/// the backup that copies it must not say no more of it.
#[test]
fn a_backup_is_sound_or_refused_when_any_read_fails_of_a_log_that_is_archived() {
    let mut life = Life::on(Machine::new(), Setup::Kept);
    for op in [Op::Append, Op::Seal, Op::Append, Op::Seal, Op::Trim] {
        life.take(op).unwrap();
    }
    let disk = life.machine.cut();
    // The reads of one backup, of which one fails; the machine without it says how many.
    let back_up = |nth: u64| {
        let machine = disk.kill();
        let log = Log::open_on(&log_dir(&machine, 0), options(Setup::Kept)).unwrap();
        let before = machine.done(Io::Read);
        machine.fail_at(Io::Read, before + nth);
        let dir = backup_dir(&machine, 0);
        let made = backup_on(&log.reader(), &dir);
        let reads = machine.done(Io::Read) - before;
        let found = made.is_ok().then(|| verify_on(&dir, &mut |_| {}).unwrap());
        (reads, found.flatten().map(|it| it.findings))
    };
    let (reads, found) = back_up(u64::MAX / 2);
    assert_eq!(found.map(|it| it.len()), Some(0));
    assert!(reads > 20, "{reads}");
    for nth in 1..=reads {
        let found = back_up(nth).1.unwrap_or_default();
        assert!(found.is_empty(), "read {nth}: {found:?}");
    }
}

/// How much a short life takes when there is room.
fn room_of_a_life() -> u64 {
    let mut life = Life::on(Machine::new(), Setup::Tiny);
    let mut most = 0;
    for op in LIFE {
        life.take(op).unwrap();
        most = most.max(life.machine.used());
    }
    most
}

/// Lives on a disk of this size; whether it was full at some time.
fn live_within(capacity: u64) -> bool {
    let how = format!("a disk of {capacity} bytes");
    let mut life = Life::off(Machine::new(), Setup::Tiny);
    life.asks_only = true;
    life.machine.set_capacity(Some(capacity));
    let mut lived = life.open();
    for op in LIFE {
        if lived.is_ok() {
            lived = life.take(op);
        }
    }
    let full = lived.is_err();
    match lived {
        Ok(()) => {}
        Err(Failure::Append(e)) => {
            assert!(e.is_disk_full(), "{how}: {e:?}");
            // Gone where the log was just being opened again.
            if let Some(log) = &mut life.log {
                is_poisoned(log, &life.machine, &how);
                reads_on(log, &life.told, &how);
            }
        }
        Err(Failure::Open(e)) => {
            let text = e.to_string();
            assert!(text.contains("the disk is full"), "{how}: {text}");
        }
        Err(Failure::Beside(e)) => panic!("{how}: {e}"),
    }
    life.log = None;
    // Still full: the next attempt may be refused for the same reason and must break nothing.
    let dir = log_dir(&life.machine, life.told.now.life);
    drop(Log::open_on(&dir, options(Setup::Tiny)));
    life.machine.set_capacity(None);
    let killed = life.machine.cut().kill();
    for machine in [killed, life.machine.restart(Fate::Lost)] {
        check(&machine, Setup::Tiny, &life.told, &how);
    }
    full
}

/// A full disk keeps nobody from reading what was acknowledged.
fn reads_on(log: &Log, told: &Told, how: &str) {
    let reader = log.reader();
    let tail = reader.tail().unwrap_or_else(|e| panic!("{how}: {e}"));
    assert_eq!(tail.map_or(0, Seq::get), told.now.tail, "{how}");
    let Some(first) = reader.first().unwrap() else {
        return;
    };
    let records = reader.read(first, 1000, usize::MAX).unwrap();
    assert_eq!(records.len(), told.now.numbers(first.get()).len(), "{how}");
}

#[test]
fn a_disk_that_fills_at_any_size_poisons_the_handle_and_loses_nothing() {
    let mut full = 0;
    for pages in 0..=room_of_a_life() / 4096 {
        full += u64::from(live_within(pages * 4096));
    }
    assert!(full > 50, "{full}");
}
