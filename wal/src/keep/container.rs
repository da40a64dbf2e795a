//! A sealed segment as one compressed file that describes itself: what archives and backups are
//! made of. The layout here is pure; `write` makes such a file, `read` takes it apart.
//!
//! Layout, version 1, little-endian:
//!
//! ```text
//!   0  [4]     magic "WALZ"
//!   4  u8      version (1)
//!   5  [3]     zeroes
//!   8          frames, one after another: zstd, each decodable alone
//!   i          index
//!   t  u64     where the index starts (i)
//!  +8  u32     crc32 over the index
//! +12  [4]     magic "walz"
//! +16  [32]    SHA-256 over everything before it; the last bytes of the file
//! ```
//!
//! The index:
//!
//! ```text
//!   u32     length of the manifest, then the manifest as in the segment
//!   u32     holes, then for each: u64 first, then 21 bytes as in the segment
//!   u32     frames, then for each: u8 kind, u64 first, u64 last, u32 bytes as stored,
//!           u32 bytes as decoded, u32 crc32 of the bytes as stored
//! ```
//!
//! Frames lie in the order of the index, without a gap. Those of kind 1 come first: records as
//! in a segment, one after another, whole, those with the numbers first to last. Then kind 2,
//! the dedup keys of records first to last: u64 number, u16 length, key. Then kind 3, first and
//! last being zero: u8 1, u16 length, name, u32 length, value for a bookmark; u8 2, u16 length,
//! name, u64 number for a cursor. A frame decodes to [`FRAME_BYTES`] at most, or to one thing
//! that is larger.

mod read;
mod source;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::{Container, Source};
pub use source::Containers;
#[cfg(test)]
use write::Encoder;
pub(crate) use write::{Sum, copy, pack, put, store};

use crate::error::{At, DiskError};
use crate::frame::{FrameError, HEADER_LEN, PAYLOAD_BYTES_MAX, array};
use crate::hole::{Hole, Holes};
use crate::manifest::Manifest;
use crate::seq::Seq;

/// What the names of containers end with.
pub(crate) const EXTENSION: &str = ".walz";

const MAGIC: [u8; 4] = *b"WALZ";
const END_MAGIC: [u8; 4] = *b"walz";
const VERSION: u8 = 1;
const HEAD_LEN: usize = 8;
const TRAILER_LEN: usize = 48;
const SHA_LEN: usize = 32;
const HOLE_LEN: usize = 29;
const ENTRY_LEN: usize = 29;
/// Bytes of a frame before compression: enough for compression to pay, little to decode when
/// only one record is wanted.
const FRAME_BYTES: usize = 1 << 20;
/// What a frame may decode to: the largest record.
const RAW_MAX: usize = HEADER_LEN + PAYLOAD_BYTES_MAX;
/// No zstd frame decodes to more than this times its own length: a block of 128 KiB takes four
/// bytes at least.
const RATIO_MAX: usize = 1 << 15;

/// What is wrong with a container, or what kept it from being written.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The storage below failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file does not start like a container.
    #[error("is no container of a segment")]
    NotAContainer,
    /// The file was written by a newer program.
    #[error("container version {found} is newer than this program knows")]
    TooNew {
        /// Its version.
        found: u8,
    },
    /// The bytes changed since they were written, or were never all there.
    #[error("the container is damaged: {what}")]
    Damaged {
        /// The part.
        what: &'static str,
    },
    /// The part that holds these records cannot be decoded.
    #[error("the part with records {first} to {last} is damaged")]
    Frame {
        /// First record in it.
        first: u64,
        /// Last record in it.
        last: u64,
    },
    /// One record is damaged, in the container or in the segment it should be made from.
    #[error("record {seq} is damaged: {source}")]
    Record {
        /// Which record.
        seq: Seq,
        /// What is wrong with it.
        source: FrameError,
    },
    /// A record lies under another number than its header says.
    #[error("the record under number {seq} says it is {found}")]
    Misplaced {
        /// The number it lies under.
        seq: Seq,
        /// The number in its header.
        found: Seq,
    },
    /// A number has no record.
    #[error("record {seq} is missing")]
    Missing {
        /// The number.
        seq: Seq,
    },
    /// Only sealed segments are made into containers.
    #[error("the segment is not sealed")]
    NotSealed,
    /// A sound container of another log, or of other records, has the name.
    #[error("a container with other records is already there")]
    Occupied,
}

impl From<At> for ContainerError {
    fn from(At { source, .. }: At) -> Self {
        ContainerError::Disk(source)
    }
}

impl From<std::io::Error> for ContainerError {
    fn from(e: std::io::Error) -> Self {
        ContainerError::Disk(e.into())
    }
}

/// The container of the segment that starts at `first`.
pub(crate) fn container_name(first: u64) -> String {
    format!("segment-{first:020}{EXTENSION}")
}

/// The inverse of [`container_name`].
pub(crate) fn parse_container_name(name: &str) -> Option<u64> {
    let first: u64 = name
        .strip_prefix("segment-")?
        .strip_suffix(EXTENSION)?
        .parse()
        .ok()?;
    (container_name(first) == name).then_some(first)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Kind {
    Records = 1,
    Keys = 2,
    Carried = 3,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        [Kind::Records, Kind::Keys, Kind::Carried]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A frame as the index names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    first: u64,
    last: u64,
    stored: u32,
    raw: u32,
    crc: u32,
}

impl Entry {
    /// Nothing is allocated for a frame whose lengths cannot be true.
    fn is_possible(&self) -> bool {
        let (stored, raw) = (self.stored as usize, self.raw as usize);
        raw > 0 && raw <= RAW_MAX && raw <= stored.saturating_mul(RATIO_MAX)
    }
}

/// Everything but the frames.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Index {
    manifest: Manifest,
    holes: Holes,
    entries: Vec<Entry>,
}

fn head() -> [u8; HEAD_LEN] {
    let mut out = [0; HEAD_LEN];
    out[..4].copy_from_slice(&MAGIC);
    out[4] = VERSION;
    out
}

fn check_head(bytes: &[u8]) -> Result<(), ContainerError> {
    if bytes.len() < HEAD_LEN || bytes[..4] != MAGIC {
        return Err(ContainerError::NotAContainer);
    }
    match bytes[4] {
        VERSION if bytes[5..HEAD_LEN] == [0; 3] => Ok(()),
        found if found > VERSION => Err(ContainerError::TooNew { found }),
        _ => Err(ContainerError::Damaged {
            what: "its first bytes",
        }),
    }
}

/// The trailer without the hash.
fn trailer(index_at: u64, index: &[u8]) -> Vec<u8> {
    let mut out = index_at.to_le_bytes().to_vec();
    out.extend_from_slice(&crc32fast::hash(index).to_le_bytes());
    out.extend_from_slice(&END_MAGIC);
    out
}

/// What the trailer says: where the index starts, its crc, the hash. `None` if it is none.
fn read_trailer(bytes: &[u8; TRAILER_LEN]) -> Option<(u64, u32, [u8; SHA_LEN])> {
    (bytes[12..16] == END_MAGIC).then(|| {
        (
            u64::from_le_bytes(array(bytes, 0)),
            u32::from_le_bytes(array(bytes, 8)),
            array(bytes, 16),
        )
    })
}

/// Gives any bytes a start and an end with the right checksums, for fuzzing what is between.
#[cfg(any(test, feature = "fault"))]
pub(crate) fn put_right(bytes: &mut [u8]) {
    let Some(end) = bytes.len().checked_sub(TRAILER_LEN) else {
        return;
    };
    if end < HEAD_LEN {
        return;
    }
    bytes[..HEAD_LEN].copy_from_slice(&head());
    let said = u64::from_le_bytes(array(bytes, end)) as usize;
    let index_at = said.clamp(HEAD_LEN, end);
    let trailer = trailer(index_at as u64, &bytes[index_at..end]);
    bytes[end..end + trailer.len()].copy_from_slice(&trailer);
    let (hashed, sha256) = bytes.split_at_mut(end + trailer.len());
    sha256.copy_from_slice(&<sha2::Sha256 as sha2::Digest>::digest(hashed));
}

impl Index {
    /// `None` when there are more parts than the format can count.
    fn encode(&self) -> Option<Vec<u8>> {
        let manifest = self.manifest.encode();
        let mut out = Vec::new();
        out.extend_from_slice(&u32::try_from(manifest.len()).ok()?.to_le_bytes());
        out.extend_from_slice(&manifest);
        let holes = self.holes.iter().count();
        out.extend_from_slice(&u32::try_from(holes).ok()?.to_le_bytes());
        for hole in self.holes.iter() {
            out.extend_from_slice(&hole.first.get().to_le_bytes());
            out.extend_from_slice(&hole.encode());
        }
        out.extend_from_slice(&u32::try_from(self.entries.len()).ok()?.to_le_bytes());
        for entry in &self.entries {
            out.push(entry.kind as u8);
            out.extend_from_slice(&entry.first.to_le_bytes());
            out.extend_from_slice(&entry.last.to_le_bytes());
            for number in [entry.stored, entry.raw, entry.crc] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        Some(out)
    }

    /// `None` for anything that cannot be the index of frames of `frame_bytes` together.
    fn decode(bytes: &[u8], frame_bytes: u64) -> Option<Index> {
        let mut rest = bytes;
        let len = take_u32(&mut rest)?;
        let (manifest, after) = rest.split_at_checked(len)?;
        rest = after;
        let holes = rows(&mut rest, HOLE_LEN)?
            .map(|row| Hole::decode(u64::from_le_bytes(array(row, 0)), &row[8..]))
            .collect::<Option<_>>()?;
        let entries = rows(&mut rest, ENTRY_LEN)?
            .map(|row| {
                Some(Entry {
                    kind: Kind::of(row[0])?,
                    first: u64::from_le_bytes(array(row, 1)),
                    last: u64::from_le_bytes(array(row, 9)),
                    stored: u32::from_le_bytes(array(row, 17)),
                    raw: u32::from_le_bytes(array(row, 21)),
                    crc: u32::from_le_bytes(array(row, 25)),
                })
            })
            .collect::<Option<_>>()?;
        let index = Index {
            manifest: Manifest::decode(manifest)?,
            holes: Holes::new(holes)?,
            entries,
        };
        (rest.is_empty() && index.is_consistent(frame_bytes)).then_some(index)
    }

    /// Whether frames and holes lie in order within the segment, and no length is impossible.
    fn is_consistent(&self, frame_bytes: u64) -> bool {
        let (first, last) = (self.manifest.first, self.manifest.last);
        let holes = self
            .holes
            .iter()
            .map(|hole| (hole.first.get(), hole.last.get()));
        let frames = |kind| {
            let of_kind = self.entries.iter().filter(move |entry| entry.kind == kind);
            of_kind.map(|entry| (entry.first, entry.last))
        };
        let stored = self.entries.iter().map(|entry| u64::from(entry.stored));
        first > 0
            && last < u64::MAX
            && ascend(holes, first, last)
            && ascend(frames(Kind::Records), first, last)
            && ascend(frames(Kind::Keys), first, last)
            && self.entries.is_sorted_by_key(|entry| entry.kind)
            && self.entries.iter().all(Entry::is_possible)
            && stored.sum::<u64>() == frame_bytes
    }
}

/// Whether the ranges lie one after another between `first` and `last`.
fn ascend(ranges: impl Iterator<Item = (u64, u64)>, first: u64, last: u64) -> bool {
    let mut next = first;
    for (from, to) in ranges {
        if from < next || to < from || to > last {
            return false;
        }
        next = to.saturating_add(1);
    }
    true
}

fn take_u32(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = rest.split_at_checked(size_of::<u32>())?;
    *rest = after;
    usize::try_from(u32::from_le_bytes(array(number, 0))).ok()
}

/// A count and so many rows of `len` bytes.
fn rows<'b>(rest: &mut &'b [u8], len: usize) -> Option<std::slice::ChunksExact<'b, u8>> {
    let count = take_u32(rest)?;
    let (rows, after) = rest.split_at_checked(count.checked_mul(len)?)?;
    *rest = after;
    Some(rows.chunks_exact(len))
}
