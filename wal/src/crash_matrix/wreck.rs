//! Damage, what is done about it, and what is done about a crash in the middle of that.

use std::sync::Arc;

use crate::backup::backup_on;
use crate::fault::Machine;
use crate::plan::segment_name;
use crate::redo::REDO;
use crate::restore::{Fence, restore_on};
use crate::salvage::salvage_on;
use crate::storage::Storage;
use crate::{Log, OpenError, ReadError, Record, RecordSource, SegmentInfo, Seq};

use super::life::{Failure, backup_dir, log_dir, seq};
use super::op::{Op, State, Told};
use super::{Setup, options};

/// Knows how the keys follow from the records, and nothing else.
pub(super) struct Deriving;

impl RecordSource for Deriving {
    fn records(&self, _: Seq, _: Seq, _: &mut dyn FnMut(&Record)) {}

    fn keys(&self, _: Seq, _: Seq, _: &mut dyn FnMut(Seq, &[u8])) {}

    fn key_of(&self, record: &Record) -> Option<Vec<u8>> {
        Some(record.header().seq.get().to_be_bytes().to_vec())
    }
}

/// Where the segment starts that the operation damages; `None` when there is none of that kind.
pub(super) fn victim(log: &Log, op: Op, now: &State) -> Result<Option<u64>, ReadError> {
    let segments = log.reader().segments()?;
    if op == Op::LoseEnd {
        return Ok(segments.last().map(|it| it.first.get()));
    }
    let number = match op {
        Op::Lose => now.losable(),
        _ => Some(now.sealed).filter(|it| *it > 0),
    };
    Ok(number.and_then(|number| sealed_with(&segments, number)))
}

/// Where the segment in the log's own directory starts that is sealed and has the number.
fn sealed_with(segments: &[SegmentInfo], number: u64) -> Option<u64> {
    let has = |last: Option<Seq>| last.is_some_and(|last| last.get() >= number);
    let mut sealed = segments.iter().filter(|it| it.sealed && !it.archived);
    sealed.find(|it| has(it.last)).map(|it| it.first.get())
}

/// Zeroes the first sector of a segment of a closed log, and breaks every copy of record `lost`:
/// also in originals that an earlier salvage put aside.
pub(super) fn damage(dir: &Machine, first: u64, lost: Option<u64>) {
    let file = segment_name(first);
    for name in dir.list().unwrap() {
        if !name.starts_with(&file) {
            continue;
        }
        let mut bytes = dir.file(&name).unwrap();
        bytes[..512].fill(0);
        if let Some(lost) = lost {
            break_copies(&mut bytes, lost);
        }
        dir.put_file(&name, bytes);
    }
    // Its pages may have what the segment had; after closing nothing needs them.
    if let Some(redo) = dir.file(REDO) {
        dir.put_file(REDO, vec![0; redo.len()]);
    }
}

fn break_copies(bytes: &mut [u8], n: u64) {
    for at in 0..bytes.len().saturating_sub(crate::HEADER_LEN) {
        if bytes[at..].starts_with(b"WR") && bytes[at + 12..at + 20] == n.to_le_bytes() {
            bytes[at + 56] ^= 1;
        }
    }
}

/// Seals, backs up and restores a closed log, once more if that was interrupted.
pub(super) fn restore(
    machine: &Machine,
    setup: Setup,
    from: &State,
    to: &State,
) -> Result<(), Failure> {
    let mut log = Log::open_on(&log_dir(machine, from.life), options(setup))?;
    log.seal()?;
    let backup = backup_dir(machine, to.life);
    backup_on(&log.reader(), &backup)?;
    log.close()?;
    restore_on(&backup, &log_dir(machine, to.life), Fence::To(seq(to.tail)))?;
    Ok(())
}

/// Opens the log after a crash, and does again what was interrupted and does not complete itself.
pub(super) fn recover(machine: &Machine, setup: Setup, told: &Told) -> Result<Log, Failure> {
    let mut dir = log_dir(machine, told.now.life);
    match &told.asked {
        Some((Op::Restore, to)) => {
            dir = log_dir(machine, to.life);
            if !is_restored(&dir, setup)? {
                restore(machine, setup, &told.now, to)?;
            }
        }
        Some((Op::Mend | Op::Lose | Op::LoseEnd, to)) => {
            let fence = Some(seq(to.tail.max(1)));
            let storage = Arc::new(dir.clone());
            salvage_on(storage, options(setup), fence, Some(&Deriving))?;
        }
        _ => {}
    }
    Ok(Log::open_on(&dir, options(setup))?)
}

/// Whether the directory holds the whole log: otherwise it is empty, or no log opens there.
fn is_restored(dir: &Machine, setup: Setup) -> Result<bool, Failure> {
    if dir
        .list()
        .map_err(crate::DiskError::from)
        .unwrap()
        .is_empty()
    {
        return Ok(false);
    }
    match Log::open_on(dir, options(setup)) {
        Ok(_) => Ok(true),
        Err(OpenError::RestoreUnfinished) => Ok(false),
        Err(e) => Err(e.into()),
    }
}
