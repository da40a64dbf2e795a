//! The dedup keys of records that no container of a backup holds: those of segments that were
//! trimmed before the first backup. A file of its own, whose name is of its contents: a later
//! one lies beside it until the index names that.
//!
//! Layout, version 1, little-endian:
//!
//! ```text
//!   0  [4]   magic "WALK"
//!   4  u8    version (1)
//!   5  [3]   zeroes
//!   8  [16]  log id
//!  24        frames, one after another: u32 bytes decoded, u32 bytes stored, u32 crc32 of the
//!            bytes stored, then these: zstd
//!   e  u32   0: no more frames
//!  +4  u64   keys in all frames
//! +12  [32]  SHA-256 over everything before it; the last bytes of the file
//! ```
//!
//! A frame decodes to keys: u16 length, key, u64 number. They ascend by key throughout the file,
//! so that it can be merged with the catalog, and taken into one, with one frame in memory.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use crate::container::{ContainerError, Source};
use crate::frame::{KEY_BYTES_MAX, array};
use crate::pace::Pacer;
use crate::seq::LogId;

const MAGIC: [u8; 4] = *b"WALK";
const VERSION: u8 = 1;
const HEAD_LEN: usize = 24;
const LEVEL: i32 = 3;
/// A frame is closed when it decodes to this many bytes.
const FRAME_BYTES: usize = 1 << 20;
/// What no frame exceeds, decoded or stored.
const FRAME_MAX: usize = FRAME_BYTES + (64 << 10);
const PREFIX: &str = "keys-";
const EXTENSION: &str = ".walk";

/// A key and its number.
pub(crate) type Row = (Vec<u8>, u64);

/// What the index says of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeysEntry {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
}

impl KeysEntry {
    /// The file's name.
    pub(crate) fn name(&self) -> String {
        let start = u64::from_be_bytes(array(&self.sha256, 0));
        format!("{PREFIX}{start:016x}{EXTENSION}")
    }
}

/// Whether a file has the name of one of these.
pub(crate) fn is_keys_name(name: &str) -> bool {
    let digits = name
        .strip_prefix(PREFIX)
        .and_then(|n| n.strip_suffix(EXTENSION));
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn damaged() -> ContainerError {
    let what = "the dedup keys";
    ContainerError::Damaged { what }
}

/// Writes the keys, which must ascend. Holds one frame in memory.
pub(crate) fn write(
    log_id: LogId,
    rows: &mut dyn Iterator<Item = Result<Row, ContainerError>>,
    out: &mut dyn Write,
    pacer: &Pacer,
) -> Result<KeysEntry, ContainerError> {
    let mut out = Hashed::new(out);
    let mut head = [0; HEAD_LEN];
    head[..4].copy_from_slice(&MAGIC);
    head[4] = VERSION;
    head[8..].copy_from_slice(&log_id.0);
    out.put(&head)?;
    let (mut raw, mut count) = (Vec::new(), 0u64);
    for row in rows {
        let (key, seq) = row?;
        let len = u16::try_from(key.len()).map_err(io::Error::other)?;
        raw.extend_from_slice(&len.to_le_bytes());
        raw.extend_from_slice(&key);
        raw.extend_from_slice(&seq.to_le_bytes());
        count += 1;
        pacer.worked(key.len());
        if raw.len() >= FRAME_BYTES {
            out.frame(&raw)?;
            raw.clear();
        }
    }
    if !raw.is_empty() {
        out.frame(&raw)?;
    }
    out.put(&0u32.to_le_bytes())?;
    out.put(&count.to_le_bytes())?;
    let sha256: [u8; 32] = out.hasher.finalize().into();
    out.inner.write_all(&sha256)?;
    out.inner.flush()?;
    Ok(KeysEntry {
        count,
        bytes: out.bytes + sha256.len() as u64,
        sha256,
    })
}

/// Counts and hashes what goes through.
struct Hashed<T> {
    inner: T,
    hasher: Sha256,
    bytes: u64,
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Hashed<T> {
        Hashed {
            inner,
            hasher: Sha256::new(),
            bytes: 0,
        }
    }

    fn passed(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl Hashed<&mut dyn Write> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all(bytes)?;
        self.passed(bytes);
        Ok(())
    }

    fn frame(&mut self, raw: &[u8]) -> io::Result<()> {
        let stored = zstd::bulk::compress(raw, LEVEL)?;
        let number = |n: usize| u32::try_from(n).map_err(io::Error::other);
        self.put(&number(raw.len())?.to_le_bytes())?;
        self.put(&number(stored.len())?.to_le_bytes())?;
        self.put(&crc32fast::hash(&stored).to_le_bytes())?;
        self.put(&stored)
    }
}

impl<R: Read> Hashed<R> {
    fn take<const LEN: usize>(&mut self) -> Result<[u8; LEN], ContainerError> {
        let mut bytes = [0; LEN];
        fill(&mut self.inner, &mut bytes)?;
        self.passed(&bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> Result<usize, ContainerError> {
        Ok(u32::from_le_bytes(self.take()?) as usize)
    }
}

fn fill(input: &mut impl Read, out: &mut [u8]) -> Result<(), ContainerError> {
    input.read_exact(out).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => damaged(),
        _ => e.into(),
    })
}

/// Hands out the keys of a file in order. The last one came when it ends without an error: only
/// then [`Keys::entry`] is there, and only then are the others known to be what was written.
pub(crate) struct Keys<R> {
    input: Hashed<R>,
    log_id: LogId,
    raw: Vec<u8>,
    at: usize,
    /// The key before.
    last: Option<Vec<u8>>,
    count: u64,
    entry: Option<KeysEntry>,
    ended: bool,
}

impl<R: Read> Keys<R> {
    pub(crate) fn open(input: R) -> Result<Keys<R>, ContainerError> {
        let mut input = Hashed::new(input);
        let head: [u8; HEAD_LEN] = input.take()?;
        if head[..4] != MAGIC || head[5..8] != [0; 3] {
            return Err(damaged());
        }
        match head[4] {
            VERSION => {}
            found if found > VERSION => return Err(ContainerError::TooNew { found }),
            _ => return Err(damaged()),
        }
        Ok(Keys {
            input,
            log_id: LogId(array(&head, 8)),
            raw: Vec::new(),
            at: 0,
            last: None,
            count: 0,
            entry: None,
            ended: false,
        })
    }

    pub(crate) fn log_id(&self) -> LogId {
        self.log_id
    }

    /// What was read, once all of it was.
    pub(crate) fn entry(&self) -> Option<KeysEntry> {
        self.entry
    }

    fn load(&mut self) -> Result<bool, ContainerError> {
        let raw = self.input.number()?;
        if raw == 0 {
            return self.end().map(|()| false);
        }
        let (stored, crc) = (self.input.number()?, self.input.number()?);
        if raw > FRAME_MAX || stored > FRAME_MAX {
            return Err(damaged());
        }
        let mut bytes = vec![0; stored];
        fill(&mut self.input.inner, &mut bytes)?;
        self.input.passed(&bytes);
        if crc32fast::hash(&bytes) as usize != crc {
            return Err(damaged());
        }
        self.raw = zstd::bulk::decompress(&bytes, raw).map_err(|_| damaged())?;
        self.at = 0;
        if self.raw.len() == raw {
            Ok(true)
        } else {
            Err(damaged())
        }
    }

    fn end(&mut self) -> Result<(), ContainerError> {
        let count = u64::from_le_bytes(self.input.take()?);
        let expected: [u8; 32] = std::mem::take(&mut self.input.hasher).finalize().into();
        let sha256: [u8; 32] = self.input.take()?;
        let is_last = self.input.inner.read(&mut [0])? == 0;
        if count != self.count || sha256 != expected || !is_last {
            return Err(damaged());
        }
        self.entry = Some(KeysEntry {
            count,
            bytes: self.input.bytes,
            sha256,
        });
        Ok(())
    }

    fn row(&mut self) -> Result<Option<Row>, ContainerError> {
        if self.at == self.raw.len() && !self.load()? {
            return Ok(None);
        }
        let (key, seq, len) = row(&self.raw[self.at..]).ok_or_else(damaged)?;
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Err(damaged());
        }
        self.at += len;
        self.count += 1;
        self.last = Some(key.clone());
        Ok(Some((key, seq)))
    }
}

impl<R: Read> Iterator for Keys<R> {
    type Item = Result<Row, ContainerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.row().transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}

/// The row that `raw` starts with, and its length.
fn row(raw: &[u8]) -> Option<(Vec<u8>, u64, usize)> {
    let (len, rest) = raw.split_at_checked(2)?;
    let len = usize::from(u16::from_le_bytes(array(len, 0)));
    let (key, rest) = rest.split_at_checked(len)?;
    let seq = u64::from_le_bytes(array(rest.get(..8)?, 0));
    (len <= KEY_BYTES_MAX && seq > 0).then(|| (key.to_vec(), seq, 2 + len + 8))
}

/// A file of a storage, read from its start to its end.
pub(crate) struct Stream<S> {
    source: S,
    at: u64,
    end: u64,
}

impl<S: Source> Stream<S> {
    pub(crate) fn new(source: S) -> io::Result<Stream<S>> {
        let end = source.len()?;
        Ok(Stream { source, at: 0, end })
    }
}

impl<S: Source> Read for Stream<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let len = left.min(out.len());
        self.source.read(self.at, &mut out[..len])?;
        self.at += len as u64;
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
