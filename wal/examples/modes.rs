//! How fast the engine's commit modes and the log itself append, against the disk's own limit.
//!
//! `cargo run --release -p telegram-gateway-wal --example modes [directory [records per batch]..]`
//!
//! `ONLY="raw;log, no keys"` leaves the other engines out.
//!
//! Every engine gets the same records, in turns of half a second within one run; the figure is
//! the median of the turns. They include what sealing full segments takes; the median append
//! does not, nor the making of the records. "raw" overwrites blocks written before and syncs them: nothing that
//! is durable can be faster.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::fs::{File, OpenOptions};
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use redb::{Builder, ConcurrencyMode, Database, TableDefinition};
use wal::{Batch, Log, NewRecord, Options};

const RECORDS: TableDefinition<u64, &[u8]> = TableDefinition::new("records");
const PAYLOAD: usize = 300;
const TURNS: usize = 7;
const TURN: Duration = Duration::from_millis(500);
/// A page of the engine without its own part.
const BLOCK: usize = (64 << 10) - 16;
const RAW_BYTES: u64 = 64 << 20;

trait Engine {
    /// Appends `count` records durably; how long that took, without making the caller's records.
    fn append(&mut self, count: usize) -> Duration;

    /// How long each seal of a full segment took.
    fn seals(&self) -> &[f64] {
        &[]
    }
}

/// As many bytes as the log's records have, with as much to checksum.
fn encode(count: usize, out: &mut Vec<u8>) {
    let payload = [7u8; PAYLOAD];
    for _ in 0..count {
        out.extend_from_slice(&[0; wal::HEADER_LEN - 4]);
        out.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        out.extend_from_slice(&payload);
    }
}

struct Raw {
    file: File,
    at: u64,
    buffer: Vec<u8>,
}

impl Raw {
    fn new(path: &Path) -> Raw {
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(path)
            .unwrap();
        let block = vec![0x5a; 1 << 20];
        for at in (0..RAW_BYTES).step_by(block.len()) {
            file.write_all_at(&block, at).unwrap();
        }
        file.sync_all().unwrap();
        Raw {
            file,
            at: 0,
            buffer: Vec::new(),
        }
    }
}

impl Engine for Raw {
    fn append(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        self.buffer.clear();
        encode(count, &mut self.buffer);
        if self.at + self.buffer.len() as u64 > RAW_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(&self.buffer, self.at).unwrap();
        self.file.sync_data().unwrap();
        self.at += self.buffer.len() as u64;
        start.elapsed()
    }
}

/// The engine alone: one table, no keys, no checksum.
struct Bare {
    db: Database,
    two_phase: bool,
    next: u64,
}

impl Bare {
    fn new(path: &Path, mode: ConcurrencyMode, two_phase: bool) -> Bare {
        let mut builder = Builder::new();
        let db = builder
            .set_cache_size(64 << 20)
            .set_concurrency_mode(mode)
            .create(path)
            .unwrap();
        Bare {
            db,
            two_phase,
            next: 1,
        }
    }
}

impl Engine for Bare {
    fn append(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        let mut txn = self.db.begin_write().unwrap();
        txn.set_two_phase_commit(self.two_phase);
        {
            let mut table = txn.open_table(RECORDS).unwrap();
            let mut cursor = table.upper_bound_mut(Bound::<u64>::Unbounded).unwrap();
            let record = [7u8; PAYLOAD + wal::HEADER_LEN];
            for _ in 0..count {
                cursor.insert_before(self.next, &record[..]).unwrap();
                self.next += 1;
            }
            cursor.close().unwrap();
        }
        txn.commit().unwrap();
        start.elapsed()
    }
}

/// The engine with many records in one row, and their checksums.
struct Blocks(Bare);

impl Blocks {
    fn new(path: &Path) -> Blocks {
        Blocks(Bare::new(path, ConcurrencyMode::SingleWriter, true))
    }
}

impl Engine for Blocks {
    fn append(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        let mut txn = self.0.db.begin_write().unwrap();
        txn.set_two_phase_commit(true);
        {
            let mut table = txn.open_table(RECORDS).unwrap();
            let most = BLOCK / (PAYLOAD + wal::HEADER_LEN);
            let mut buffer = Vec::new();
            for at in (0..count).step_by(most) {
                let records = most.min(count - at);
                buffer.clear();
                encode(records, &mut buffer);
                table.insert(self.0.next, &buffer[..]).unwrap();
                self.0.next += records as u64;
            }
        }
        txn.commit().unwrap();
        start.elapsed()
    }
}

struct Whole {
    log: Log,
    keys: bool,
    peers: u64,
    next: u64,
    seals: Vec<f64>,
}

impl Whole {
    fn new(dir: &Path, keys: bool, peers: u64) -> Whole {
        let log = Log::open(dir, Options::default()).unwrap();
        Whole {
            log,
            keys,
            peers,
            next: 1,
            seals: Vec::new(),
        }
    }
}

impl Engine for Whole {
    fn append(&mut self, count: usize) -> Duration {
        let mut batch = Batch::default();
        for _ in 0..count {
            let n = self.next;
            // Channels in turn, each with ascending message ids: what a busy account sees.
            let (peer, message) = (n % self.peers, n / self.peers);
            let key = [peer.to_be_bytes(), message.to_be_bytes()].concat();
            batch.records.push(NewRecord {
                codec: 1,
                flags: 0,
                kind: 1,
                peer_kind: 1,
                peer_id: peer as i64,
                message_id: message as i64,
                received_at: 0,
                source_at: 0,
                payload: vec![7; PAYLOAD],
                key: self.keys.then_some(key),
            });
            self.next += 1;
        }
        batch
            .bookmarks
            .push(("source".into(), self.next.to_be_bytes().to_vec()));
        let start = Instant::now();
        let appended = self.log.append(&batch).unwrap();
        let took = start.elapsed();
        self.seals
            .extend(appended.rolled.map(|rolled| rolled.as_secs_f64()));
        took
    }

    fn seals(&self) -> &[f64] {
        &self.seals
    }
}

/// Records per second; adds the seconds of each append to `times`.
fn turn(engine: &mut dyn Engine, count: usize, times: &mut Vec<f64>) -> f64 {
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < TURN {
        times.push(engine.append(count).as_secs_f64());
        done += count;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn engines(dir: &Path, count: usize) -> Vec<(&'static str, Box<dyn Engine>)> {
    let path = |name: &str| dir.join(format!("{name}-{count}"));
    let exclusive = ConcurrencyMode::ExclusiveWriter;
    let shared = ConcurrencyMode::SingleWriter;
    let mut engines: Vec<(&'static str, Box<dyn Engine>)> = vec![
        ("raw", Box::new(Raw::new(&path("raw")))),
        (
            "redb one-phase",
            Box::new(Bare::new(&path("one"), exclusive, false)),
        ),
        (
            "redb two-phase",
            Box::new(Bare::new(&path("two"), exclusive, true)),
        ),
        (
            "redb SingleWriter",
            Box::new(Bare::new(&path("single"), shared, true)),
        ),
        (
            "redb rows of 64 KiB",
            Box::new(Blocks::new(&path("blocks"))),
        ),
        (
            "log, no keys",
            Box::new(Whole::new(&path("log"), false, 20)),
        ),
        (
            "log, keys, 20 peers",
            Box::new(Whole::new(&path("logk"), true, 20)),
        ),
        (
            "log, keys, 1000 peers",
            Box::new(Whole::new(&path("logk1000"), true, 1000)),
        ),
    ];
    if let Ok(only) = std::env::var("ONLY") {
        engines.retain(|(name, _)| only.split(';').any(|wanted| wanted == *name));
    }
    engines
}

fn main() {
    let parent = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "target".to_owned());
    let dir = tempfile::tempdir_in(parent).unwrap();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load {}; records/s, and of raw", load.trim());
    let counts: Vec<usize> = std::env::args()
        .skip(2)
        .map(|n| n.parse().unwrap())
        .collect();
    for count in counts {
        let mut engines = engines(dir.path(), count);
        let mut rates = vec![Vec::new(); engines.len()];
        let mut times = rates.clone();
        for _ in 0..TURNS {
            for (at, (_, engine)) in engines.iter_mut().enumerate() {
                rates[at].push(turn(engine.as_mut(), count, &mut times[at]));
            }
        }
        let medians: Vec<f64> = rates.into_iter().map(median).collect();
        let times: Vec<f64> = times.into_iter().map(median).collect();
        println!("batches of {count}: records/s, of raw; median append in us, raw's part of it");
        for (at, (name, engine)) in engines.iter().enumerate() {
            print!(
                "  {name:<22} {:>10.0}  {:.3} {:>8.0}  {:.3}",
                medians[at],
                medians[at] / medians[0],
                times[at] * 1e6,
                times[0] / times[at]
            );
            match engine.seals() {
                [] => println!(),
                seals => println!(
                    "  ({} seals of {:.0} us)",
                    seals.len(),
                    median(seals.to_vec()) * 1e6
                ),
            }
        }
    }
}
