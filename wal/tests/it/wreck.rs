//! Logs to damage, and ways to damage them.

use std::fs;
use std::path::{Path, PathBuf};

use wal::{Finding, Log, NewRecord, Options, Reader, Record, Seq, verify};

use crate::common::{batch, keyed};

/// Records of a segment, of three.
pub(crate) const EACH: u64 = 200;
/// The last of the log: half a segment in the active one.
pub(crate) const TAIL: u64 = 3 * EACH + EACH / 2;

pub(crate) fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

pub(crate) fn event(n: u64) -> NewRecord {
    let text = format!("record {n:06} {}", "lorem ipsum ".repeat(20));
    NewRecord {
        payload: text.into_bytes(),
        ..keyed(n, &n.to_be_bytes())
    }
}

pub(crate) fn segment(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("segment-{first:020}.redb"))
}

/// Three sealed segments and an active one, appended 7 at a time; closed.
pub(crate) fn log_in(dir: &Path) {
    let mut log = Log::open(dir, Options::default()).unwrap();
    let all: Vec<u64> = (1..=TAIL).collect();
    for part in all.chunks(EACH as usize) {
        for few in part.chunks(7) {
            let mut few = batch(few.iter().copied().map(event).collect());
            few.bookmarks = vec![("source".into(), b"somewhere".to_vec())];
            log.append(&few).unwrap();
        }
        if part.len() as u64 == EACH {
            log.seal().unwrap();
        }
    }
    log.close().unwrap();
}

pub(crate) fn all(reader: &Reader) -> Vec<Record> {
    reader.read(seq(1), usize::MAX, usize::MAX).unwrap()
}

pub(crate) fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|r| r.header().seq.get()).collect()
}

/// Changes the bytes of a file.
pub(crate) fn edit(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

/// Makes every copy of these records in the file unreadable.
pub(crate) fn wipe(file: &Path, records: std::ops::RangeInclusive<u64>) {
    edit(file, |bytes| {
        for n in records {
            let start = event(n).payload[..14].to_vec();
            let places =
                (0..bytes.len() - start.len()).filter(|at| bytes[*at..].starts_with(&start));
            for at in places.collect::<Vec<_>>() {
                bytes[at] ^= 1;
            }
        }
    });
}

pub(crate) fn findings(dir: &Path) -> Vec<Finding> {
    verify(dir, &mut |_| {}).unwrap().findings
}
