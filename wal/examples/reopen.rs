//! How long a log takes to open after its writer was killed with a full active segment.
//!
//! `cargo run --release -p telegram-gateway-wal --example reopen [directory]`

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use wal::{Batch, Log, NewRecord, Options, Reader, verify};

const CHILD: &str = "WAL_REOPEN_CHILD";
const ROUNDS: u64 = 5;

/// Fills the active segment almost to its limit, says so, and waits to be killed.
fn fill(dir: &Path) {
    let mut log = Log::open(dir, Options::default()).unwrap();
    log.seal().unwrap();
    let start = log.recovery().tail.map_or(0, wal::Seq::get);
    let mut bytes = 0;
    let mut n = start;
    while bytes < (63 << 20) {
        let mut batch = Batch::default();
        for _ in 0..500 {
            n += 1;
            bytes += 360;
            batch.records.push(NewRecord {
                codec: 1,
                flags: 0,
                kind: 1,
                peer_kind: 1,
                peer_id: 1,
                message_id: n as i64,
                received_at: 0,
                source_at: 0,
                payload: vec![7; 300],
                key: Some([(n % 20).to_be_bytes(), n.to_be_bytes()].concat()),
            });
        }
        log.append(&batch).unwrap();
    }
    println!("full");
    std::thread::park();
}

fn main() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return fill(Path::new(&dir));
    }
    let parent = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "target".to_owned());
    let dir = tempfile::tempdir_in(parent).unwrap();
    println!(
        "load {}",
        std::fs::read_to_string("/proc/loadavg")
            .unwrap_or_default()
            .trim()
    );
    for round in 1..=ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let line = BufReader::new(child.stdout.take().unwrap()).lines().next();
        assert_eq!(line.unwrap().unwrap(), "full");
        child.kill().unwrap();
        child.wait().unwrap();
        let start = Instant::now();
        if round % 2 == 0 {
            let reader = Reader::open(dir.path()).unwrap();
            let took = start.elapsed();
            println!(
                "round {round}: reader {took:?}, tail {:?}",
                reader.tail().unwrap()
            );
            continue;
        }
        let log = Log::open(dir.path(), Options::default()).unwrap();
        println!(
            "round {round}: writer {:?}, {:?}",
            start.elapsed(),
            log.recovery()
        );
        log.close().unwrap();
        let start = Instant::now();
        let log = Log::open(dir.path(), Options::default()).unwrap();
        println!("         cleanly closed: {:?}", start.elapsed());
        log.close().unwrap();
    }
    let start = Instant::now();
    let report = verify(dir.path(), &mut |_| {}).unwrap();
    let (records, findings) = (report.records, report.findings.len());
    println!(
        "verify {records} records in {:?}, {findings} findings",
        start.elapsed()
    );
}
