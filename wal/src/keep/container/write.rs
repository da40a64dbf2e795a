//! Making a container.

use std::io::{self, Write};

use redb::{ReadTransaction, StorageBackend};
use sha2::{Digest, Sha256};

use super::read::{Container, Source};
use super::{ContainerError, Entry, FRAME_BYTES, Index, Kind, head, trailer};
use crate::block::Pieces;
use crate::error::DiskError;
use crate::frame;
use crate::hole::Holes;
use crate::manifest::Manifest;
use crate::pace::Pacer;
use crate::plan::TEMPORARY;
use crate::segment::{self, Carried};
use crate::seq::Seq;
use crate::storage::{Access, Storage};
use crate::{dedup, tables};

/// Level of compression: from here on more time buys little.
const LEVEL: i32 = 3;
/// Bytes written between two syncs: a file that is synced only at its end keeps the disk from the
/// appends' syncs for as long as all of it takes.
const SYNC_BYTES: u64 = 4 << 20;

/// Length and hash of a finished container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) bytes: u64,
    /// SHA-256 as in the trailer: over all bytes but the last 32.
    pub(crate) sha256: [u8; 32],
}

/// Writes a container from records, then keys, then what is carried, each in order. Holds one
/// frame in memory.
pub(crate) struct Encoder<W> {
    out: W,
    at: u64,
    hasher: Sha256,
    entries: Vec<Entry>,
    /// The frame that is being filled.
    raw: Vec<u8>,
    kind: Kind,
    first: u64,
    last: u64,
}

impl<W: Write> Encoder<W> {
    pub(crate) fn new(out: W) -> io::Result<Encoder<W>> {
        let mut encoder = Encoder {
            out,
            at: 0,
            hasher: Sha256::new(),
            entries: Vec::new(),
            raw: Vec::new(),
            kind: Kind::Records,
            first: 0,
            last: 0,
        };
        encoder.put(&head())?;
        Ok(encoder)
    }

    /// The next record, header and payload.
    pub(crate) fn record(&mut self, seq: u64, bytes: &[u8]) -> io::Result<()> {
        self.room(Kind::Records, seq, bytes.len())?;
        self.raw.extend_from_slice(bytes);
        Ok(())
    }

    /// The next dedup key.
    pub(crate) fn key(&mut self, seq: u64, key: &[u8]) -> io::Result<()> {
        let len = short(key.len())?;
        self.room(Kind::Keys, seq, key.len() + 10)?;
        self.raw.extend_from_slice(&seq.to_le_bytes());
        self.raw.extend_from_slice(&len);
        self.raw.extend_from_slice(key);
        Ok(())
    }

    /// Bookmarks and cursors.
    pub(crate) fn carried(&mut self, carried: &Carried) -> io::Result<()> {
        for (name, value) in &carried.bookmarks {
            let len = u32::try_from(value.len()).map_err(io::Error::other)?;
            self.name(1, name, value.len() + 4)?;
            self.raw.extend_from_slice(&len.to_le_bytes());
            self.raw.extend_from_slice(value);
        }
        for (name, at) in &carried.cursors {
            self.name(2, name, 8)?;
            self.raw.extend_from_slice(&at.to_le_bytes());
        }
        Ok(())
    }

    fn name(&mut self, kind: u8, name: &str, more: usize) -> io::Result<()> {
        let len = short(name.len())?;
        self.room(Kind::Carried, 0, name.len() + 3 + more)?;
        self.raw.push(kind);
        self.raw.extend_from_slice(&len);
        self.raw.extend_from_slice(name.as_bytes());
        Ok(())
    }

    /// Writes index and trailer.
    pub(crate) fn finish(mut self, manifest: &Manifest, holes: &Holes) -> io::Result<(Sum, W)> {
        self.flush()?;
        let index = Index {
            manifest: manifest.clone(),
            holes: holes.clone(),
            entries: std::mem::take(&mut self.entries),
        };
        let index = index
            .encode()
            .ok_or(io::Error::other("too many parts for one container"))?;
        let end = trailer(self.at, &index);
        self.put(&index)?;
        self.put(&end)?;
        let sha256: [u8; 32] = self.hasher.finalize().into();
        self.out.write_all(&sha256)?;
        self.out.flush()?;
        let bytes = self.at + sha256.len() as u64;
        Ok((Sum { bytes, sha256 }, self.out))
    }

    /// Closes the frame when `len` more bytes of this kind do not fit.
    fn room(&mut self, kind: Kind, seq: u64, len: usize) -> io::Result<()> {
        if kind != self.kind || self.raw.len() + len > FRAME_BYTES {
            self.flush()?;
        }
        if self.raw.is_empty() {
            (self.kind, self.first) = (kind, seq);
        }
        self.last = seq;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let stored = zstd::bulk::compress(&self.raw, LEVEL)?;
        let number = |len: usize| u32::try_from(len).map_err(io::Error::other);
        self.entries.push(Entry {
            kind: self.kind,
            first: self.first,
            last: self.last,
            stored: number(stored.len())?,
            raw: number(self.raw.len())?,
            crc: crc32fast::hash(&stored),
        });
        self.raw.clear();
        self.put(&stored)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }
}

fn short(len: usize) -> io::Result<[u8; 2]> {
    let len = u16::try_from(len).map_err(io::Error::other)?;
    Ok(len.to_le_bytes())
}

/// Packs a sealed segment.
///
/// # Errors
/// [`ContainerError::Record`] for a damaged record: what is packed is whole.
pub(crate) fn pack<W: Write>(
    segment: &ReadTransaction,
    manifest: &Manifest,
    out: W,
    pacer: &Pacer,
) -> Result<(Sum, W), ContainerError> {
    let mut encoder = Encoder::new(out)?;
    let holes = segment::read_holes(segment)?;
    let mut next = manifest.first;
    let records = segment
        .open_table(tables::RECORDS)
        .map_err(DiskError::from)?;
    for row in redb::ReadableTable::iter(&records).map_err(DiskError::from)? {
        let (last, block) = row.map_err(DiskError::from)?;
        let before = holes.after(next) - 1;
        for piece in Pieces::new(before, last.value(), block.value()) {
            check_record(piece.bytes, piece.seq)?;
            encoder.record(piece.seq, piece.bytes)?;
            pacer.worked(piece.bytes.len());
        }
        next = last.value().saturating_add(1);
    }
    let mut written = Ok(());
    dedup::each(segment, |key, seq| {
        if written.is_ok() {
            written = encoder.key(seq, key);
            pacer.worked(key.len());
        }
    })?;
    written?;
    encoder.carried(&segment::read_carried(segment)?)?;
    Ok(encoder.finish(manifest, &holes)?)
}

/// A record must be sound and say that it has this number.
pub(super) fn check_record(bytes: &[u8], seq: u64) -> Result<(), ContainerError> {
    let seq = Seq::at_least_first(seq);
    let header =
        frame::decode_header(bytes).map_err(|source| ContainerError::Record { seq, source })?;
    let found = header.seq;
    if found != seq {
        return Err(ContainerError::Misplaced { seq, found });
    }
    Ok(())
}

/// Writes a container and reads everything back before it gets its name: a container with its
/// name is whole.
pub(crate) fn store(
    storage: &dyn Storage,
    name: &str,
    pacer: &Pacer,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), ContainerError>,
) -> Result<Sum, ContainerError> {
    put(storage, name, fill, |file| {
        Container::open(file)?.check_at(pacer)
    })
}

/// Writes a file under a temporary name, syncs it, has it read back by `check`, and only then
/// gives it its name, durably. What `check` found is returned.
pub(crate) fn put<T>(
    storage: &dyn Storage,
    name: &str,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), ContainerError>,
    check: impl FnOnce(Box<dyn StorageBackend>) -> Result<T, ContainerError>,
) -> Result<T, ContainerError> {
    let temporary = format!("{name}{TEMPORARY}");
    let mut sink = Sink {
        file: storage.open(&temporary, Access::Create)?,
        at: 0,
        unsynced: 0,
    };
    fill(&mut sink)?;
    sink.file.sync_data()?;
    sink.file.close()?;
    drop(sink);
    let found = check(storage.open(&temporary, Access::Read)?)?;
    storage.rename(&temporary, name)?;
    storage.sync_dir()?;
    Ok(found)
}

/// Copies the bytes of a container. They are not checked here.
pub(crate) fn copy(
    source: &dyn Source,
    out: &mut dyn Write,
    pacer: &Pacer,
) -> Result<(), ContainerError> {
    let mut left = source.len()?;
    let mut at = 0;
    let mut buffer = vec![0; 1 << 16];
    while left > 0 {
        let take = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        source.read(at, &mut buffer[..take])?;
        out.write_all(&buffer[..take])?;
        pacer.worked(take);
        at += take as u64;
        left -= take as u64;
    }
    Ok(())
}

/// Appends to a file of the log's storage.
struct Sink {
    file: Box<dyn StorageBackend>,
    at: u64,
    unsynced: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = self.at + bytes.len() as u64;
        self.file.set_len(end)?;
        self.file.write(self.at, bytes)?;
        self.at = end;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
