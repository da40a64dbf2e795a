//! Public surface of the log (stub: replaced by the real crate).
#![allow(unused_variables, dead_code, missing_docs, clippy::unimplemented)]
use std::path::Path;
use std::time::Duration;

/// Sequence number: gapless, from 1, never reused within (log_id, epoch).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);
impl Seq {
    pub const FIRST: Seq = Seq(1);
    pub fn new(n: u64) -> Option<Seq> {
        (n > 0).then_some(Seq(n))
    }
    pub fn get(self) -> u64 {
        self.0
    }
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}
impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(pub [u8; 16]);
impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        unimplemented!()
    }
}
impl std::str::FromStr for LogId {
    type Err = ParseLogIdError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        unimplemented!()
    }
}
#[derive(Debug, thiserror::Error)]
#[error("not a log id")]
pub struct ParseLogIdError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    pub log_id: LogId,
    pub epoch: u32,
}

/// What the caller knows about a record before it has a number. The log does not interpret any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    pub codec: u8,
    pub flags: u16,
    pub kind: u8,
    pub peer_kind: u8,
    pub peer_id: i64,
    pub message_id: i64,
    /// Microseconds since the Unix epoch, UTC.
    pub received_at: i64,
    pub source_at: i64,
    pub payload: Vec<u8>,
    /// Dedup key: a record whose key is already in the log is not appended again.
    pub key: Option<Vec<u8>>,
}
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub records: Vec<NewRecord>,
    pub bookmarks: Vec<(String, Vec<u8>)>,
    pub cursors: Vec<(String, Seq)>,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Appended(Seq),
    Duplicate(Seq),
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    pub outcomes: Vec<Outcome>,
    pub tail: Option<Seq>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub version: u8,
    pub codec: u8,
    pub flags: u16,
    pub kind: u8,
    pub peer_kind: u8,
    pub epoch: u32,
    pub seq: Seq,
    pub peer_id: i64,
    pub message_id: i64,
    pub received_at: i64,
    pub source_at: i64,
    pub payload_len: u32,
}
/// One stored record: checked on construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    bytes: Vec<u8>,
    header: Header,
}
impl Record {
    pub fn decode(bytes: Vec<u8>) -> Result<Record, FrameError> {
        unimplemented!()
    }
    pub fn header(&self) -> &Header {
        &self.header
    }
    pub fn payload(&self) -> &[u8] {
        unimplemented!()
    }
    /// Header and payload as stored: what a relay may ship and a peer may decode again.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("bad frame")]
    Bad,
}
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("locked by {holder}")]
    Locked { holder: String },
    #[error("other")]
    Other,
}
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("poisoned")]
    Poisoned,
}
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("trimmed")]
    Trimmed { first: Seq },
}

#[derive(Debug, Clone)]
pub struct Options {
    pub segment_bytes_max: u64,
    pub segment_age_max: Duration,
    pub two_phase: bool,
    pub cache_bytes: usize,
}
impl Default for Options {
    fn default() -> Self {
        unimplemented!()
    }
}
/// What opening had to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    pub created: bool,
    pub unclean: bool,
    pub took: Duration,
    pub tail: Option<Seq>,
}

/// The one writer.
pub struct Log;
impl Log {
    pub fn open(dir: &Path, options: Options) -> Result<Log, OpenError> {
        unimplemented!()
    }
    pub fn append(&mut self, batch: &Batch) -> Result<Appended, AppendError> {
        unimplemented!()
    }
    pub fn seal(&mut self) -> Result<(), AppendError> {
        unimplemented!()
    }
    pub fn trim(&mut self, keep_from: Seq) -> Result<Vec<SegmentInfo>, AppendError> {
        unimplemented!()
    }
    pub fn identity(&self) -> Identity {
        unimplemented!()
    }
    pub fn recovery(&self) -> &Recovery {
        unimplemented!()
    }
    pub fn bookmarks(&self) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        unimplemented!()
    }
    pub fn reader(&self) -> Reader {
        unimplemented!()
    }
    pub fn close(self) -> Result<(), AppendError> {
        unimplemented!()
    }
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    pub file: String,
    pub first: Seq,
    pub last: Option<Seq>,
    pub count: u64,
    pub bytes: u64,
    pub file_bytes: u64,
    pub sealed: bool,
    pub digest: Option<[u8; 32]>,
    pub previous: Option<[u8; 32]>,
}

/// Reads while a writer (this process or another) appends; cheap to clone; holds no read transaction between calls.
#[derive(Clone)]
pub struct Reader;
impl Reader {
    /// Opens the log of `dir` beside a running writer, or with none running.
    pub fn open(dir: &Path) -> Result<Reader, OpenError> {
        unimplemented!()
    }
    pub fn identity(&self) -> Identity {
        unimplemented!()
    }
    pub fn first(&self) -> Result<Option<Seq>, ReadError> {
        unimplemented!()
    }
    pub fn tail(&self) -> Result<Option<Seq>, ReadError> {
        unimplemented!()
    }
    /// Records `from..`, in order, every one checked; empty when `from` is past the tail.
    pub fn read(
        &self,
        from: Seq,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        unimplemented!()
    }
    pub fn cursors(&self) -> Result<Vec<(String, Seq)>, ReadError> {
        unimplemented!()
    }
    pub fn bookmarks(&self) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        unimplemented!()
    }
    pub fn segments(&self) -> Result<Vec<SegmentInfo>, ReadError> {
        unimplemented!()
    }
}
/// Result of checking a log record by record.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    pub segments: usize,
    pub records: u64,
    pub bytes: u64,
    pub findings: Vec<Finding>,
}
#[derive(Debug, Clone)]
pub struct Finding {
    pub segment: String,
    pub seq: Option<Seq>,
    pub what: String,
}
pub fn verify(dir: &Path, progress: &mut dyn FnMut(u64)) -> Result<VerifyReport, OpenError> {
    unimplemented!()
}
