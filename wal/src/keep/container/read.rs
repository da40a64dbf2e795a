//! Taking a container apart. Whatever the bytes are: no panic, and no memory beyond the index
//! and one frame.

use std::io;

use redb::StorageBackend;
use sha2::{Digest, Sha256};

use super::write::{Sum, check_record};
use super::{
    ContainerError, Entry, HEAD_LEN, Index, Kind, SHA_LEN, TRAILER_LEN, check_head, read_trailer,
};
use crate::batch::{BOOKMARK_BYTES_MAX, NAME_BYTES_MAX};
use crate::block::Piece;
use crate::frame::{FrameError, KEY_BYTES_MAX, array, stored_len};
use crate::hole::Holes;
use crate::manifest::{Manifest, Tally};
use crate::pace::{Pace, Pacer};
use crate::segment::Carried;
use crate::seq::Seq;

/// Bytes that can be read anywhere.
pub(crate) trait Source {
    /// How many there are.
    fn len(&self) -> io::Result<u64>;
    /// Fills `out` from `at` on.
    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()>;
}

impl Source for Box<dyn StorageBackend> {
    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }

    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        (**self).read(at, out)
    }
}

impl Source for Vec<u8> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.as_slice().len() as u64)
    }

    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let end = at.checked_add(out.len());
        let part = end.and_then(|end| self.get(at..end));
        out.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// An open container. Opening reads its ends only; [`Container::check`] reads all of it.
pub(crate) struct Container<S> {
    source: S,
    bytes: u64,
    sha256: [u8; SHA_LEN],
    pub(super) index: Index,
    /// Where each frame starts.
    pub(super) starts: Vec<u64>,
}

impl<S: Source> Container<S> {
    pub(crate) fn open(source: S) -> Result<Container<S>, ContainerError> {
        let bytes = source.len()?;
        let damaged = |what| ContainerError::Damaged { what };
        let mut head = [0; HEAD_LEN];
        if bytes < HEAD_LEN as u64 {
            return Err(ContainerError::NotAContainer);
        }
        source.read(0, &mut head)?;
        check_head(&head)?;
        let end = bytes
            .checked_sub(TRAILER_LEN as u64)
            .filter(|end| *end >= HEAD_LEN as u64)
            .ok_or(damaged("it is cut off"))?;
        let mut trailer = [0; TRAILER_LEN];
        source.read(end, &mut trailer)?;
        let (index_at, crc, sha256) = read_trailer(&trailer).ok_or(damaged("its last bytes"))?;
        if index_at < HEAD_LEN as u64 || index_at > end {
            return Err(damaged("its last bytes"));
        }
        let len = usize::try_from(end - index_at).map_err(io::Error::other)?;
        let mut index = vec![0; len];
        source.read(index_at, &mut index)?;
        if crc32fast::hash(&index) != crc {
            return Err(damaged("its index"));
        }
        let frame_bytes = index_at - HEAD_LEN as u64;
        let index = Index::decode(&index, frame_bytes).ok_or(damaged("its index"))?;
        let mut at = HEAD_LEN as u64;
        let start_of = |entry: &Entry| {
            let start = at;
            at += u64::from(entry.stored);
            start
        };
        let starts = index.entries.iter().map(start_of).collect();
        Ok(Container {
            source,
            bytes,
            sha256,
            index,
            starts,
        })
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    pub(crate) fn into_source(self) -> S {
        self.source
    }

    /// The manifest of the segment.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.index.manifest
    }

    /// The holes of the segment.
    pub(crate) fn holes(&self) -> &Holes {
        &self.index.holes
    }

    /// Length and hash as the container says; only [`Container::check`] shows that it is true.
    pub(crate) fn sum(&self) -> Sum {
        Sum {
            bytes: self.bytes,
            sha256: self.sha256,
        }
    }

    /// The records from number `from` on. Only frames that hold them are decoded.
    pub(crate) fn records(&self, from: u64) -> Records<'_, S> {
        let next = self.index.holes.after(from.max(self.manifest().first));
        let is_before = |entry: &Entry| entry.kind == Kind::Records && entry.last < next;
        Records {
            container: self,
            entry: self.index.entries.partition_point(is_before),
            next,
            raw: Vec::new(),
            at: 0,
            seq: 0,
        }
    }

    /// Hands out all dedup keys, in the order of their records.
    pub(crate) fn each_key(&self, mut take: impl FnMut(&[u8], u64)) -> Result<(), ContainerError> {
        for (at, entry) in self.entries(Kind::Keys) {
            let raw = self.frame(at)?;
            let mut next = entry.first;
            keys(&raw, |key, seq| {
                let is_next = seq >= next && seq <= entry.last;
                next = seq.saturating_add(1);
                is_next.then(|| take(key, seq))
            })
            .ok_or(frame_error(entry))?;
        }
        Ok(())
    }

    /// Bookmarks and cursors.
    pub(crate) fn carried(&self) -> Result<Carried, ContainerError> {
        let mut carried = Carried::default();
        for (at, _) in self.entries(Kind::Carried) {
            let raw = self.frame(at)?;
            let what = "its bookmarks and cursors";
            names(&raw, &mut carried).ok_or(ContainerError::Damaged { what })?;
        }
        Ok(carried)
    }

    /// Reads and checks everything: the hash, every record and its number, the manifest, keys,
    /// bookmarks and cursors.
    pub(crate) fn check(&self) -> Result<Sum, ContainerError> {
        self.check_at(&Pacer::new(Pace::UNLIMITED))
    }

    /// As [`Container::check`], at a pace.
    pub(crate) fn check_at(&self, pacer: &Pacer) -> Result<Sum, ContainerError> {
        let damaged = |what| ContainerError::Damaged { what };
        let mut tally = Tally::default();
        let mut records = self.records(self.manifest().first);
        while let Some((seq, bytes)) = records.next()? {
            tally.add(&Piece {
                seq,
                last: seq,
                bytes,
            });
            pacer.worked(bytes.len());
        }
        let said = self.manifest();
        let same = said.digest == tally.digest()
            && said.count == tally.count
            && said.record_bytes == tally.record_bytes
            && said.payload_bytes == tally.payload_bytes
            && said.codecs == tally.codecs
            && said.missing == self.holes().count();
        if !same {
            return Err(damaged("its records are not those of its manifest"));
        }
        self.each_key(|_, _| {})?;
        self.carried()?;
        // Last: a damaged record is worth its own name.
        if self.hash()? != self.sha256 {
            return Err(damaged("its hash"));
        }
        Ok(self.sum())
    }

    fn hash(&self) -> Result<[u8; SHA_LEN], ContainerError> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        let (mut at, end) = (0, self.bytes - SHA_LEN as u64);
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let part = left.min(buffer.len());
            self.source.read(at, &mut buffer[..part])?;
            hasher.update(&buffer[..part]);
            at += part as u64;
        }
        Ok(hasher.finalize().into())
    }

    pub(super) fn entries(&self, kind: Kind) -> impl Iterator<Item = (usize, &Entry)> {
        let all = self.index.entries.iter().enumerate();
        all.filter(move |(_, entry)| entry.kind == kind)
    }

    /// Decodes a frame. Its lengths were found possible when the index was read.
    fn frame(&self, at: usize) -> Result<Vec<u8>, ContainerError> {
        let entry = &self.index.entries[at];
        let mut stored = vec![0; entry.stored as usize];
        self.source.read(self.starts[at], &mut stored)?;
        if crc32fast::hash(&stored) != entry.crc {
            return Err(frame_error(entry));
        }
        match zstd::bulk::decompress(&stored, entry.raw as usize) {
            Ok(raw) if raw.len() == entry.raw as usize => Ok(raw),
            _ => Err(frame_error(entry)),
        }
    }
}

fn frame_error(entry: &Entry) -> ContainerError {
    match entry.kind {
        Kind::Records => ContainerError::Frame {
            first: entry.first,
            last: entry.last,
        },
        Kind::Keys => ContainerError::Damaged {
            what: "its dedup keys",
        },
        Kind::Carried => ContainerError::Damaged {
            what: "its bookmarks and cursors",
        },
    }
}

/// Walks records in order, with one frame in memory.
pub(crate) struct Records<'c, S> {
    container: &'c Container<S>,
    /// The frame after the one in `raw`.
    entry: usize,
    /// The number that comes next.
    next: u64,
    raw: Vec<u8>,
    /// Where the next record of `raw` starts.
    at: usize,
    /// The number that the next record of `raw` must have.
    seq: u64,
}

impl<S: Source> Records<'_, S> {
    /// The next record and its number, checked; `None` at the end of the segment.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &[u8])>, ContainerError> {
        let index = &self.container.index;
        loop {
            if self.at == self.raw.len() && !self.load()? {
                return match self.next > index.manifest.last {
                    true => Ok(None),
                    false => Err(missing(self.next)),
                };
            }
            let seq = self.seq;
            let start = self.at;
            let len = stored_len(&self.raw[start..]).ok_or(ContainerError::Record {
                seq: Seq::at_least_first(seq),
                source: FrameError::Short {
                    bytes: self.raw.len() - start,
                },
            })?;
            self.at = start + len;
            self.seq = index.holes.after(seq.saturating_add(1));
            if seq < self.next {
                continue;
            }
            if seq > self.next {
                return Err(missing(self.next));
            }
            check_record(&self.raw[start..self.at], seq)?;
            self.next = self.seq;
            return Ok(Some((seq, &self.raw[start..self.at])));
        }
    }

    /// Decodes the next frame of records.
    fn load(&mut self) -> Result<bool, ContainerError> {
        let entries = &self.container.index.entries;
        let entry = entries.get(self.entry);
        let Some(entry) = entry.filter(|entry| entry.kind == Kind::Records) else {
            return Ok(false);
        };
        self.raw = self.container.frame(self.entry)?;
        (self.at, self.seq) = (0, entry.first);
        self.entry += 1;
        Ok(true)
    }
}

fn missing(seq: u64) -> ContainerError {
    ContainerError::Missing {
        seq: Seq::at_least_first(seq),
    }
}

/// Takes a frame of keys apart; `None` when it is none or `take` says so.
fn keys(raw: &[u8], mut take: impl FnMut(&[u8], u64) -> Option<()>) -> Option<()> {
    let mut rest = raw;
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(10)?;
        let len = usize::from(u16::from_le_bytes(array(head, 8)));
        let (key, after) = after.split_at_checked(len)?;
        rest = after;
        if len > KEY_BYTES_MAX {
            return None;
        }
        take(key, u64::from_le_bytes(array(head, 0)))?;
    }
    Some(())
}

/// Takes a frame of bookmarks and cursors apart; `None` when it is none.
fn names(raw: &[u8], carried: &mut Carried) -> Option<()> {
    let mut rest = raw;
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(3)?;
        let len = usize::from(u16::from_le_bytes(array(head, 1)));
        let (name, after) = after.split_at_checked(len)?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        let (number, after) = after.split_at_checked(if head[0] == 1 { 4 } else { 8 })?;
        rest = match head[0] {
            1 => {
                let len = usize::try_from(u32::from_le_bytes(array(number, 0))).ok()?;
                let (value, after) = after.split_at_checked(len)?;
                if len > BOOKMARK_BYTES_MAX {
                    return None;
                }
                carried.bookmarks.push((name, value.to_vec()));
                after
            }
            2 => {
                let at = u64::from_le_bytes(array(number, 0));
                carried.cursors.push((name, at));
                after
            }
            _ => return None,
        };
        if len > NAME_BYTES_MAX {
            return None;
        }
    }
    Some(())
}
