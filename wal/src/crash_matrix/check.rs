//! What must hold of a log after whatever happened to it.

use crate::fault::Machine;
use crate::verify::verify_on;
use crate::{Batch, Log, Outcome, Seq};

use super::life::{State, Told, bookmark, cursor, record, seq};
use super::{Setup, options};

/// The log opens, holds what was acknowledged, goes on, and passes verification.
pub(super) fn check(machine: &Machine, told: &Told, how: &str) {
    let log = Log::open_on(machine, options(Setup::Tiny)).unwrap_or_else(|e| panic!("{how}: {e}"));
    let state = observe(&log, told, how);
    go_on(log, machine, &state, how);
}

/// The state the log is in: the one acknowledged or the one asked for, and nothing between.
pub(super) fn observe(log: &Log, told: &Told, how: &str) -> State {
    let reader = log.reader();
    let tail = log.recovery().tail.map_or(0, Seq::get);
    assert_eq!(reader.tail().unwrap().map_or(0, Seq::get), tail, "{how}");
    let holes = reader.holes().unwrap();
    let holes: Vec<(u64, u64)> = holes
        .iter()
        .map(|h| (h.first.get(), h.last.get()))
        .collect();
    let found = (tail, bookmark(log), cursor(log), &holes);
    let told_of =
        |state: &&State| found == (state.tail, state.bookmark, state.cursor, &state.holes);
    let candidates = || [Some(&told.now), told.asked.as_ref()].into_iter().flatten();
    let state = candidates().find(told_of).unwrap_or_else(|| {
        panic!("{how}: found {found:?} (tail, bookmark, cursor, holes), told {told:?}")
    });
    let first = first_of(log, tail);
    let keep_from = candidates().map(|state| state.keep_from).max();
    assert!(
        first >= told.now.floor && first <= keep_from.unwrap_or(0).max(1),
        "{how}: starts at {first}, told {told:?}"
    );
    records(log, first, state, how);
    segments(log, first, &told.now, how);
    State {
        floor: first,
        keep_from: keep_from.unwrap_or(0),
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

/// One after another without a gap, sealed as far as was acknowledged.
fn segments(log: &Log, first: u64, now: &State, how: &str) {
    let segments = log.reader().segments().unwrap();
    assert_eq!(segments[0].first.get(), first, "{how}");
    for pair in segments.windows(2) {
        let next = pair[0].last.map_or(0, Seq::get) + 1;
        assert_eq!(pair[1].first.get(), next, "{how}");
        assert!(
            pair[0].sealed && pair[1].previous == pair[0].digest,
            "{how}"
        );
    }
    let active = segments.last().unwrap();
    assert!(!active.sealed && active.first.get() > now.sealed, "{how}");
}

/// Everything handed in again changes nothing, new records get the next numbers, the log closes,
/// and verification finds nothing.
pub(super) fn go_on(mut log: Log, machine: &Machine, state: &State, how: &str) {
    let mut all = state.numbers(1);
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
    let report = verify_on(machine, &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{how}: {:?}", report.findings);
    let kept = state.numbers(state.floor.max(1)).len() as u64 + 2;
    assert_eq!(report.records, kept, "{how}");
}
