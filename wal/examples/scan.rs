//! How many bytes a sealed segment takes per record, and how fast records are read again.
//!
//! `cargo run --release -p telegram-gateway-wal --example scan [directory [records per append]]`

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use wal::{Batch, Log, NewRecord, Options, Seq, verify};

const PAYLOAD: usize = 300;
const BYTES: u64 = 128 << 20;
const READ: usize = 10_000;

fn record(n: u64) -> NewRecord {
    NewRecord {
        codec: 1,
        flags: 0,
        kind: 1,
        peer_kind: 1,
        peer_id: 1,
        message_id: n as i64,
        received_at: 0,
        source_at: 0,
        payload: vec![7; PAYLOAD],
        key: Some([(n % 20).to_be_bytes(), n.to_be_bytes()].concat()),
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let parent = args.next().unwrap_or_else(|| "target".to_owned());
    let count: u64 = args.next().map_or(1000, |count| count.parse().unwrap());
    let dir = tempfile::tempdir_in(parent).unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    let total = BYTES / (PAYLOAD + wal::HEADER_LEN) as u64;
    for first in (1..=total).step_by(count as usize) {
        let records = (first..first + count).map(record).collect();
        let batch = Batch {
            records,
            ..Batch::default()
        };
        log.append(&batch).unwrap();
    }
    log.seal().unwrap();
    let reader = log.reader();
    for info in reader.segments().unwrap().iter().filter(|info| info.sealed) {
        let meta = std::fs::metadata(dir.path().join(&info.file)).unwrap();
        let each = |bytes: u64| bytes as f64 / info.count as f64;
        println!(
            "sealed: {} records; per record {:.0} bytes on disk, {:.0} of file length",
            info.count,
            each(meta.blocks() * 512),
            each(meta.len())
        );
    }
    for _ in 0..3 {
        let (start, mut next, mut read) = (Instant::now(), Seq::FIRST, 0);
        loop {
            let records = reader.read(next, READ, usize::MAX).unwrap();
            let Some(last) = records.last() else { break };
            next = last.header().seq.next();
            read += records.len();
        }
        let rate = read as f64 / start.elapsed().as_secs_f64();
        println!("read, checked: {rate:.0} records/s");
    }
    let start = Instant::now();
    let report = verify(dir.path(), &mut |_| {}).unwrap();
    let rate = report.records as f64 / start.elapsed().as_secs_f64();
    println!("verify: {rate:.0} records/s");
    let (start, singles) = (Instant::now(), 20_000);
    for n in 0..singles {
        let seq = Seq::new(n * 7919 % total + 1).unwrap();
        assert_eq!(reader.read(seq, 1, usize::MAX).unwrap().len(), 1);
    }
    let rate = singles as f64 / start.elapsed().as_secs_f64();
    println!("single records: {rate:.0}/s");
}
