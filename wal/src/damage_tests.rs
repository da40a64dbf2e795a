//! Damaged files: verification finds it, or nothing at all depends on it; and whatever is read
//! all the same is right.

mod files;
mod flips;
mod unclean;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::fault::Machine;
use crate::testing;
use crate::verify::verify_on;
use crate::{Batch, Log, NewRecord, Options, Outcome, Seq};

const RECORDS: u64 = 200;
/// In the active segment.
const MORE: u64 = 20;

fn record(n: u64) -> NewRecord {
    let record = testing::record(n);
    NewRecord {
        // Some without a key.
        key: record.key.filter(|_| !n.is_multiple_of(10)),
        ..record
    }
}

fn batch(numbers: std::ops::RangeInclusive<u64>) -> Batch {
    Batch {
        bookmarks: vec![("source".into(), numbers.end().to_be_bytes().to_vec())],
        cursors: vec![("relay".into(), Seq::new(*numbers.end()).unwrap())],
        records: numbers.map(record).collect(),
    }
}

fn options() -> Options {
    Options {
        cache_bytes: 1 << 20,
        // As small as holds the records, for a small redo file.
        segment_bytes_max: 32 << 10,
        ..Options::default()
    }
}

/// A sealed segment, appended to in large and small batches, and an active one; closed.
fn log() -> Machine {
    let machine = Machine::new();
    let mut log = Log::open_on(&machine, options()).unwrap();
    let mut next = 1;
    for len in [1, 100, 1, 1, 7, 50, 3, 37] {
        log.append(&batch(next..=next + len - 1)).unwrap();
        next += len;
    }
    assert_eq!(next, RECORDS + 1);
    log.seal().unwrap();
    log.append(&batch(next..=RECORDS + MORE)).unwrap();
    log.close().unwrap();
    machine
}

/// Everything that a log answers.
#[derive(Debug, PartialEq, Eq)]
struct Answers {
    records: Vec<Vec<u8>>,
    bookmarks: Vec<(String, Vec<u8>)>,
    cursors: Vec<(String, Seq)>,
    again: Vec<Outcome>,
}

/// Fails with the first thing that is refused.
fn ask(machine: &Machine) -> Result<Answers, String> {
    let mut log = Log::open_on(machine, options()).map_err(|e| e.to_string())?;
    let reader = log.reader();
    let records = reader.read(Seq::FIRST, 1000, usize::MAX);
    let records = records.map_err(|e| e.to_string())?;
    let bookmarks = log.bookmarks().map_err(|e| e.to_string())?;
    let cursors = reader.cursors().map_err(|e| e.to_string())?;
    let tail = reader.tail().map_err(|e| e.to_string())?;
    let all = 1..=tail.map_or(0, Seq::get);
    let keyed = all.map(record).filter(|r| r.key.is_some());
    let again = Batch {
        records: keyed.collect(),
        ..Batch::default()
    };
    let done = log.append(&again).map_err(|e| e.to_string())?;
    log.close().map_err(|e| e.to_string())?;
    Ok(Answers {
        records: records.iter().map(|r| r.as_bytes().to_vec()).collect(),
        bookmarks,
        cursors,
        again: done.outcomes,
    })
}

/// What became of a damage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// And whatever is read all the same is right.
    Found,
    /// Not found, and no answer differs.
    Harmless,
    /// A defect of the log.
    Wrong(String),
}

fn is_sound(machine: &Machine) -> bool {
    verify_on(machine, &mut |_| {}).is_ok_and(|report| report.findings.is_empty())
}

/// Whether damage is found, or changes nothing.
fn judge(damaged: &Machine, sound: &Answers) -> Verdict {
    let found = !is_sound(&damaged.cut().kill());
    let asked = catch_unwind(AssertUnwindSafe(|| ask(damaged)));
    let wrong = match asked {
        Err(_) => "opening or reading panics",
        Ok(Ok(answers)) if !sound.records.starts_with(&answers.records) => "a wrong record is read",
        Ok(_) if found => return Verdict::Found,
        Ok(Err(e)) => &format!("not found, but refused: {e}"),
        Ok(Ok(answers)) if answers != *sound => "not found, but something else is answered",
        Ok(Ok(_)) if is_sound(damaged) => return Verdict::Harmless,
        Ok(Ok(_)) => "found only later",
    };
    Verdict::Wrong(wrong.to_owned())
}
