//! Readers beside a writer that appends, rolls and trims as fast as it can.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use wal::{Log, ReadError, Reader, Seq, verify};

use crate::common::{batch, fast_dir, keyed, plain, small};

const RECORDS: u64 = 600;

/// Sets the flag however its thread ends, so that a failure does not leave the others waiting.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn write(mut log: Log, done: &AtomicBool) {
    let _done = Done(done);
    for n in 1..=RECORDS {
        let record = keyed(n, &(n % 400).to_be_bytes());
        log.append(&batch(vec![record, plain(n)])).unwrap();
        if n % 50 == 0 {
            let tail = log.reader().tail().unwrap().unwrap().get();
            log.trim(Seq::new(tail - 60).unwrap()).unwrap();
        }
    }
    log.close().unwrap();
}

/// Reads everything from the start, in order, without a gap that is not a trim.
fn follow(reader: &Reader, done: &AtomicBool) -> u64 {
    let (mut next, mut read) = (Seq::FIRST, 0);
    loop {
        let last_round = done.load(Ordering::SeqCst);
        let tail = reader.tail().unwrap();
        match reader.read(next, 7, usize::MAX) {
            Ok(records) => {
                for record in &records {
                    assert_eq!(record.header().seq, next);
                    next = next.next();
                    read += 1;
                }
                // What the tail promised is there.
                assert!(
                    !records.is_empty() || tail.is_none_or(|tail| tail < next),
                    "{tail:?} {next}"
                );
                if records.is_empty() && last_round {
                    return read;
                }
            }
            Err(ReadError::Trimmed { first }) => {
                assert!(first > next);
                next = first;
            }
            Err(e) => panic!("at {next}: {e}"),
        }
        assert!(!reader.segments().unwrap().is_empty());
    }
}

fn check(dir: &Path, done: &AtomicBool) {
    while !done.load(Ordering::SeqCst) {
        let report = verify(dir, &mut |_| {}).unwrap();
        // Neither trims nor rolls under the verifier's feet are damage.
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    }
}

#[test]
fn readers_of_both_kinds_keep_up_with_a_hurrying_writer() {
    let dir = fast_dir();
    let log = Log::open(dir.path(), small(2000)).unwrap();
    let (inside, outside) = (log.reader(), Reader::open(dir.path()).unwrap());
    let done = AtomicBool::new(false);
    let tail = std::thread::scope(|scope| {
        scope.spawn(|| write(log, &done));
        scope.spawn(|| check(dir.path(), &done));
        let one = scope.spawn(|| follow(&inside, &done));
        let other = scope.spawn(|| follow(&outside, &done));
        let read = [one.join().unwrap(), other.join().unwrap()];
        assert!(read.iter().all(|read| *read > 100), "{read:?}");
        inside.tail().unwrap()
    });
    // 600 without a key, 400 with one, and 200 duplicates.
    assert_eq!(tail, Seq::new(1000));
    assert_eq!(outside.tail().unwrap(), tail);
}
