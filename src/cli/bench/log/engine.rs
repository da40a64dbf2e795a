//! What is measured against each other, behind one face.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use wal::{Batch, Log, NewRecord, Options, Seq};

use super::{BenchError, failed};

/// Bytes of a payload: a message of the usual length.
pub(super) const PAYLOAD: usize = 300;
/// Bytes of a record.
pub(super) const RECORD: usize = PAYLOAD + wal::HEADER_LEN;
/// Channels whose messages come in turn.
const PEERS: u64 = 20;
/// Blocks that the raw writes go over and over: as many as a segment has.
const RAW_BYTES: u64 = 64 << 20;

/// Makes records durable.
pub(super) trait Engine {
    /// Appends so many records in one durable step; how long that took, without making them.
    fn append(&mut self, count: usize) -> Result<Duration, BenchError>;
}

/// The dedup key of a record, as long as those of events, and in their order.
pub(super) fn key(n: u64) -> Vec<u8> {
    let mut key = vec![1, 3];
    key.extend((n % PEERS).to_be_bytes());
    key.extend((n / PEERS).to_be_bytes());
    key.extend([0; 16]);
    key
}

fn record(n: u64, keyed: bool) -> NewRecord {
    NewRecord {
        codec: 1,
        flags: 0,
        kind: 1,
        peer_kind: 3,
        peer_id: (n % PEERS) as i64,
        message_id: (n / PEERS) as i64,
        received_at: n as i64,
        source_at: n as i64,
        payload: vec![n as u8; PAYLOAD],
        key: keyed.then(|| key(n)),
    }
}

/// The disk's own limit: bytes that are there already, over blocks that were written before, and a sync.
pub(super) struct Raw {
    file: File,
    at: u64,
    bytes: Vec<u8>,
}

impl Raw {
    pub(super) fn new(path: &Path) -> Result<Raw, BenchError> {
        let doing = failed::<std::io::Error>("preparing raw blocks");
        let file = File::create(path).map_err(&doing)?;
        let block = vec![0x5a; 1 << 20];
        for at in (0..RAW_BYTES).step_by(block.len()) {
            file.write_all_at(&block, at).map_err(&doing)?;
        }
        file.sync_all().map_err(&doing)?;
        Ok(Raw {
            file,
            at: 0,
            bytes: Vec::new(),
        })
    }
}

impl Engine for Raw {
    fn append(&mut self, count: usize) -> Result<Duration, BenchError> {
        let doing = failed::<std::io::Error>("writing raw blocks");
        self.bytes.resize(count * RECORD, 7);
        let len = self.bytes.len() as u64;
        if self.at + len > RAW_BYTES {
            self.at = 0;
        }
        let start = Instant::now();
        self.file
            .write_all_at(&self.bytes, self.at)
            .map_err(&doing)?;
        self.file.sync_data().map_err(&doing)?;
        self.at += len;
        Ok(start.elapsed())
    }
}

/// The log as the daemon uses it: each batch carries the source's bookmark.
pub(super) struct Whole {
    pub(super) log: Log,
    keyed: bool,
    /// Record bytes in the active segment.
    filled: u64,
    next: u64,
}

impl Whole {
    /// Opens or makes the log of a data directory.
    pub(super) fn open(data_dir: &Path, keyed: bool) -> Result<Whole, BenchError> {
        std::fs::create_dir_all(data_dir).map_err(failed("making a folder"))?;
        let dir = data_dir.join(crate::journal::LOG_DIR);
        let log = Log::open(&dir, Options::default()).map_err(failed("opening the log"))?;
        let segments = log.reader().segments().map_err(failed("reading the log"))?;
        Ok(Whole {
            filled: segments.last().map_or(0, |active| active.bytes),
            next: log.recovery().tail.map_or(1, |tail| tail.next().get()),
            keyed,
            log,
        })
    }

    /// Records in it.
    pub(super) fn records(&self) -> u64 {
        self.next - 1
    }

    /// Whether the next append seals the active segment first.
    pub(super) fn rolls_next(&self) -> bool {
        self.filled >= Options::default().segment_bytes_max
    }

    /// Record bytes until an append seals.
    pub(super) fn room(&self) -> u64 {
        Options::default()
            .segment_bytes_max
            .saturating_sub(self.filled)
    }

    /// Starts a new segment.
    pub(super) fn seal(&mut self) -> Result<(), BenchError> {
        self.filled = 0;
        self.log.seal().map_err(failed("sealing a segment"))
    }

    /// Appends until there are so many record bytes in the log.
    pub(super) fn fill(&mut self, bytes: u64, batch: usize) -> Result<(), BenchError> {
        let wanted = bytes / RECORD as u64;
        while self.records() < wanted {
            let left = usize::try_from(wanted - self.records()).unwrap_or(usize::MAX);
            self.append(batch.min(left))?;
        }
        Ok(())
    }

    /// The number of its last record.
    pub(super) fn tail(&self) -> Seq {
        Seq::new(self.records()).unwrap_or(Seq::FIRST)
    }
}

impl Engine for Whole {
    fn append(&mut self, count: usize) -> Result<Duration, BenchError> {
        if self.rolls_next() {
            self.filled = 0;
        }
        let until = self.next + count as u64;
        let records = (self.next..until).map(|n| record(n, self.keyed)).collect();
        let batch = Batch {
            records,
            bookmarks: vec![("bench".to_owned(), until.to_be_bytes().to_vec())],
            ..Batch::default()
        };
        let start = Instant::now();
        let appended = self.log.append(&batch).map_err(failed("appending"))?;
        let took = start.elapsed();
        debug_assert_eq!(appended.tail.map(Seq::get), Some(until - 1));
        self.next = until;
        self.filled += (count * RECORD) as u64;
        Ok(took)
    }
}
