//! What must hold of a log after whatever happened to it.

use crate::backup;
use crate::fault::Machine;
use crate::storage::Storage;
use crate::verify::{verify_archive_on, verify_on};
use crate::{Batch, Log, Outcome, Seq, VerifyReport};

use super::life::{backup_dir, holes, log_dir, marks, record, seq};
use super::op::{State, Told};
use super::wreck::recover;
use super::{ARCHIVE, Setup};

/// The log opens, holds what was acknowledged, goes on, and passes verification.
pub(super) fn check(machine: &Machine, setup: Setup, told: &Told, how: &str) {
    let log = recover(machine, setup, told).unwrap_or_else(|e| panic!("{how}: {e:?}"));
    let state = observe(&log, told, how);
    go_on(log, machine, &state, how);
}

/// The state the log is in: the one acknowledged or the one asked for, and nothing between.
pub(super) fn observe(log: &Log, told: &Told, how: &str) -> State {
    let reader = log.reader();
    let tail = log.recovery().tail.map_or(0, Seq::get);
    assert_eq!(reader.tail().unwrap().map_or(0, Seq::get), tail, "{how}");
    let (holes, found) = (holes(log), marks(log));
    let told_of = |state: &&State| {
        let (is, lost) = (state.marks, state.marks_lost);
        let older = found.bookmark <= is.bookmark && found.cursor <= is.cursor;
        tail == state.tail && state.has_holes(&holes) && (found == is || lost && older)
    };
    let asked = told.asked.as_ref().map(|(_, asked)| asked);
    let candidates = || [Some(&told.now), asked].into_iter().flatten();
    let state = candidates().find(told_of);
    let state = state.unwrap_or_else(|| {
        panic!("{how}: found tail {tail}, holes {holes:?}, {found:?}; told {told:?}")
    });
    let mut state = state.clone();
    state.found_holes(holes);
    let state = &state;
    let first = first_of(log, tail);
    let keep_from = candidates().map(|state| state.keep_from).max();
    // In a new life nothing was trimmed, and nothing sealed, yet.
    let restored = state.life != told.now.life;
    let least = if restored { state } else { &told.now };
    // Nothing says where a log starts whose first segments hold nothing.
    let kept = state.numbers(keep_from.unwrap_or(0).max(1));
    assert!(
        first >= least.floor && kept.first().is_none_or(|kept| first <= *kept),
        "{how}: starts at {first}, told {told:?}"
    );
    records(log, first, state, how);
    let sealed = segments(log, first, least, how);
    let since = sealed > state.sealed || state.marks_lost;
    // As after an append that was answered: a full segment is sealed before what is appended.
    let before = sealed == told.now.tail && !restored && !state.marks_lost;
    State {
        marks: found,
        marks_lost: false,
        sealed,
        sealed_marks: match since {
            true if before => told.now.marks,
            true => found,
            false => state.sealed_marks,
        },
        sealed_marks_lost: candidates().any(|it| it.sealed_marks_lost) && !since,
        floor: first,
        keep_from: keep_from.unwrap_or(0),
        archived: candidates().map(|it| it.archived).max().unwrap_or(0),
        backed_up: candidates().map(|it| it.backed_up).min().unwrap_or(0),
        ..state.clone()
    }
}

fn first_of(log: &Log, tail: u64) -> u64 {
    let first = log.reader().first().unwrap();
    first.map_or(tail + 1, Seq::get)
}

/// Gapless but for holes, with the right contents.
fn records(log: &Log, first: u64, state: &State, how: &str) {
    let read = log.reader().read(seq(first), 1000, usize::MAX);
    let records = read.unwrap_or_else(|e| panic!("{how}: {e}"));
    let numbers: Vec<u64> = records.iter().map(|r| r.header().seq.get()).collect();
    assert_eq!(numbers, state.numbers(first), "{how}");
    for found in &records {
        let wanted = record(found.header().seq.get());
        assert_eq!(found.payload(), wanted.payload, "{how}");
        assert_eq!(found.header().message_id, wanted.message_id, "{how}");
    }
}

/// One after another without a gap, sealed as far as was acknowledged; says how far.
fn segments(log: &Log, first: u64, now: &State, how: &str) -> u64 {
    let segments = log.reader().segments().unwrap();
    assert_eq!(segments[0].first.get(), first, "{how}");
    for pair in segments.windows(2) {
        let next = pair[0].last.map_or(0, Seq::get) + 1;
        assert_eq!(pair[1].first.get(), next, "{how}");
        let link = pair[0].replaces.or(pair[0].digest);
        assert!(pair[0].sealed && pair[1].previous == link, "{how}");
    }
    let active = segments.last().unwrap();
    assert!(!active.sealed && active.first.get() > now.sealed, "{how}");
    active.first.get() - 1
}

/// Everything handed in again changes nothing, new records get the next numbers, the log closes,
/// and verification of all that there is finds nothing.
pub(super) fn go_on(mut log: Log, machine: &Machine, state: &State, how: &str) {
    // A backup does not know the keys of what was trimmed before it.
    let known_from = if state.life == 0 { 1 } else { state.floor };
    let mut all = state.numbers(known_from.max(1));
    let known = all.len();
    all.extend([state.tail + 1, state.tail + 2]);
    let again = Batch {
        records: all.iter().copied().map(record).collect(),
        ..Batch::default()
    };
    let expected = all.iter().enumerate().map(|(at, n)| match at < known {
        true => Outcome::Duplicate(seq(*n)),
        false => Outcome::Appended(seq(*n)),
    });
    let done = log.append(&again).unwrap_or_else(|e| panic!("{how}: {e}"));
    assert_eq!(done.outcomes, expected.collect::<Vec<_>>(), "{how}");
    log.close().unwrap();
    let dir = log_dir(machine, state.life);
    let report = verify_on(&dir, &mut |_| {}).unwrap();
    let archive = verify_archive_on(&dir, &machine.dir(ARCHIVE), &mut |_| {}).unwrap();
    for VerifyReport { findings, .. } in [&report, &archive] {
        assert!(findings.is_empty(), "{how}: {findings:?}");
    }
    let names = machine.dir(ARCHIVE).list().unwrap();
    assert!(
        !names.iter().any(|it| it.ends_with(".tmp")),
        "{how}: {names:?}"
    );
    // What is in the archive only was read above.
    let live = report.records + archive.records;
    let kept = state.numbers(state.floor.max(1)).len() as u64 + 2;
    assert!(
        live >= kept && report.records <= kept,
        "{how}: {live} of {kept}"
    );
    is_backed_up(machine, state, how);
}

/// The backup is sound, and has what it is known to have.
fn is_backed_up(machine: &Machine, state: &State, how: &str) {
    let backup = backup::verify_on(&backup_dir(machine, state.life), &mut |_| {});
    let Some(backup) = backup.unwrap_or_else(|e| panic!("{how}: {e}")) else {
        assert_eq!(state.backed_up, 0, "{how}: there is no backup");
        return;
    };
    let findings = backup.findings;
    assert!(findings.is_empty(), "{how}: {findings:?}");
    let last = backup.report.last.map_or(0, Seq::get);
    assert!(last >= state.backed_up, "{how}: the backup ends at {last}");
}
