//! The redo file: one sync per append instead of two, whatever the number of pages.
//!
//! The engine commits in two phases, pages first, then the header that names them, with a sync
//! after each; a power cut between the two is harmless because of their order. Here the writes of
//! one commit become one **frame**, appended to a file of fixed length whose blocks were written
//! before, so that one sync of one run of blocks makes the whole commit durable, and order inside
//! it does not matter. Only then do the pages go to their places in the segment, unsynced. What a
//! power cut takes from those is written again from the frames when the log is opened.
//!
//! The frames since the segment was last synced form a **lap**: it starts at the beginning of the
//! file, every frame carries the lap's mark and its place in it, and the first frame that does not
//! ends it. A frame starts on a block of its own, since a power cut during the write of a block
//! may take what the block held before.
//!
//! # A frame, byte by byte
//!
//! Little-endian, filled with zeroes up to the next multiple of 4096.
//!
//! ```text
//!   0  [4]   "WRDO"
//!   4  u32   crc32 over everything from byte 8 to the end of the last write
//!   8  u64   mark of the lap, random
//!  16  u64   place in the lap, from 0
//!  24  u64   first number of the segment
//!  32  u64   length of the segment file
//!  40  u32   bytes of the writes
//!  44  u32   number of writes
//!  48        the writes: u64 offset, u32 length, u32 stored length, the stored bytes;
//!            zeroes follow them up to the length
//! ```

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use redb::StorageBackend;

use crate::clock;
use crate::error::{AtFile, OpenError};
use crate::frame::array;
use crate::plan::{TEMPORARY, segment_name};
use crate::storage::{Access, Storage};

/// Its name in the log's directory.
pub(crate) const REDO: &str = "redo";
const MAGIC: [u8; 4] = *b"WRDO";
const HEAD: usize = 48;
/// Most bytes of all writes of a frame, zeroes counted: larger commits do not go through this file.
const WRITE_MAX: usize = 1 << 20;
/// Frames start on multiples of this.
pub(crate) const BLOCK: usize = 4096;

/// Writes to one file, later ones over earlier ones.
pub(crate) type Writes = BTreeMap<u64, Vec<u8>>;

/// What one frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) mark: u64,
    pub(crate) place: u64,
    /// First number of the segment.
    pub(crate) segment: u64,
    /// Length of the segment file after the writes.
    pub(crate) len: u64,
    pub(crate) writes: Writes,
}

/// What comes before the bytes of a write.
const WRITE_HEAD: usize = 16;

/// Most bytes that a frame of these writes takes in the file.
pub(crate) fn encoded_len_max(writes: &Writes) -> usize {
    let body: usize = writes.values().map(|data| WRITE_HEAD + data.len()).sum();
    (HEAD + body).next_multiple_of(BLOCK)
}

/// The bytes without the zeroes at their end: pages are seldom full.
fn stored(data: &[u8]) -> &[u8] {
    // In words, since most of a page is looked at.
    let words = data.rchunks_exact(8).take_while(|word| **word == [0; 8]);
    &data[..data.len() - 8 * words.count()]
}

impl Frame {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        for number in [self.mark, self.place, self.segment, self.len] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(self.writes.len() as u32).to_le_bytes());
        for (offset, data) in &self.writes {
            let stored = stored(data);
            out.extend_from_slice(&offset.to_le_bytes());
            out.extend_from_slice(&(data.len() as u32).to_le_bytes());
            out.extend_from_slice(&(stored.len() as u32).to_le_bytes());
            out.extend_from_slice(stored);
        }
        let body = (out.len() - HEAD) as u32;
        out[40..44].copy_from_slice(&body.to_le_bytes());
        let crc = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }

    /// The frame at the start of `bytes`, with the bytes it takes; `None` for anything that
    /// [`Frame::encode`] did not produce whole.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Frame, usize)> {
        let head = bytes.get(..HEAD)?;
        let body = u32::from_le_bytes(array(head, 40)) as usize;
        let end = HEAD.checked_add(body)?;
        let covered = bytes.get(8..end)?;
        if head[..4] != MAGIC || crc32fast::hash(covered) != u32::from_le_bytes(array(head, 4)) {
            return None;
        }
        let mut rest = &bytes[HEAD..end];
        let (mut writes, mut held) = (Writes::new(), 0);
        for _ in 0..u32::from_le_bytes(array(head, 44)) {
            let (place, after) = rest.split_at_checked(WRITE_HEAD)?;
            let len = u32::from_le_bytes(array(place, 8)) as usize;
            let stored = u32::from_le_bytes(array(place, 12)) as usize;
            let (data, after) = after.split_at_checked(stored)?;
            held = len.saturating_add(held);
            if stored > len || held > WRITE_MAX {
                return None;
            }
            let mut data = data.to_vec();
            data.resize(len, 0);
            writes.insert(u64::from_le_bytes(array(place, 0)), data);
            rest = after;
        }
        let frame = Frame {
            mark: u64::from_le_bytes(array(head, 8)),
            place: u64::from_le_bytes(array(head, 16)),
            segment: u64::from_le_bytes(array(head, 24)),
            len: u64::from_le_bytes(array(head, 32)),
            writes,
        };
        rest.is_empty()
            .then_some((frame, end.next_multiple_of(BLOCK)))
    }
}

/// The lap that `bytes` start with, and the bytes it takes; empty when they start with no whole
/// frame.
pub(crate) fn lap(bytes: &[u8]) -> (Vec<Frame>, usize) {
    let mut frames: Vec<Frame> = Vec::new();
    let mut at = 0;
    while let Some((frame, len)) = bytes.get(at..).and_then(Frame::decode) {
        let expected = frames.len() as u64;
        let same = |first: &Frame| first.mark == frame.mark && first.segment == frame.segment;
        if frame.place != expected || !frames.first().is_none_or(same) {
            break;
        }
        frames.push(frame);
        at += len;
    }
    (frames, at)
}

/// A mark no earlier lap had: stale frames behind a short lap must not be taken for its own.
pub(crate) fn new_mark() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_i64(clock::unix_micros());
    hasher.finish()
}

/// Opens the redo file with at least `bytes` of written blocks, making it if it is not there.
pub(crate) fn open(
    storage: &dyn Storage,
    bytes: usize,
) -> Result<Box<dyn StorageBackend>, OpenError> {
    let there = match storage.len(REDO) {
        Ok(len) => len >= bytes as u64,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
        Err(e) => return Err(crate::error::At::new(REDO, e).into()),
    };
    if !there {
        let temporary = format!("{REDO}{TEMPORARY}");
        let file = storage.open(&temporary, Access::Create).at(&temporary)?;
        let zeroes = vec![0; 1 << 16];
        file.set_len(bytes as u64).at(&temporary)?;
        for at in (0..bytes).step_by(zeroes.len()) {
            let part = &zeroes[..zeroes.len().min(bytes - at)];
            file.write(at as u64, part).at(&temporary)?;
        }
        file.sync_data().at(&temporary)?;
        file.close().at(&temporary)?;
        storage.rename(&temporary, REDO).at(&temporary)?;
        storage.sync_dir().at(REDO)?;
    }
    Ok(storage.open(REDO, Access::Write).at(REDO)?)
}

/// Writes to its segment again what the redo file holds, makes that durable, and ends the lap.
/// Must come before anything else writes to a segment that a crashed writer left: a later replay
/// would put old pages over new ones.
pub(crate) fn replay(storage: &dyn Storage) -> Result<(), OpenError> {
    let len = match storage.len(REDO) {
        Ok(len) => len,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(crate::error::At::new(REDO, e).into()),
    };
    let redo = storage.open(REDO, Access::Write).at(REDO)?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    redo.read(0, &mut bytes).at(REDO)?;
    let (frames, lap_len) = lap(&bytes);
    let Some(first) = frames.first() else {
        // A writer that died while it ended its lap may have left that to be read and not to
        // last: frames that come back by a power cut would put old pages over new ones.
        return Ok(end_lap(&*redo).at(REDO)?);
    };
    // What can be read need not be durable, since the writer may have died before its sync or of
    // it. No page goes to the segment before the frame that repairs it is known to last.
    redo.write(0, &bytes[..lap_len]).at(REDO)?;
    redo.sync_data().at(REDO)?;
    let name = segment_name(first.segment);
    match storage.open(&name, Access::Write) {
        Ok(segment) => {
            for frame in &frames {
                apply(&*segment, frame).at(&name)?;
            }
            segment.sync_data().at(&name)?;
            segment.close().at(&name)?;
        }
        // Removed since: nothing wants the frames any more.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(crate::error::At::new(&name, e).into()),
    }
    end_lap(&*redo).at(REDO)?;
    redo.close().at(REDO)?;
    Ok(())
}

fn apply(segment: &dyn StorageBackend, frame: &Frame) -> std::io::Result<()> {
    if segment.len()? != frame.len {
        segment.set_len(frame.len)?;
    }
    for (offset, data) in &frame.writes {
        segment.write(*offset, data)?;
    }
    Ok(())
}

/// Makes the redo file hold no frame, durably.
pub(crate) fn end_lap(redo: &dyn StorageBackend) -> std::io::Result<()> {
    redo.write(0, &[0; BLOCK])?;
    redo.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(place: u64) -> Frame {
        let writes = [(0, vec![place as u8 + 1; 320]), (8192, vec![7; 4096])];
        Frame {
            mark: 5,
            place,
            segment: 1,
            len: 100_000,
            writes: writes.into_iter().collect(),
        }
    }

    fn encoded(frame: &Frame) -> Vec<u8> {
        let mut out = Vec::new();
        frame.encode(&mut out);
        assert!(out.len() <= encoded_len_max(&frame.writes));
        out
    }

    #[test]
    fn a_lap_ends_at_the_first_frame_that_is_not_its_own_or_not_whole() {
        let whole: Vec<u8> = (0..3).flat_map(|place| encoded(&frame(place))).collect();
        assert_eq!(lap(&whole).0, [frame(0), frame(1), frame(2)]);
        let one = whole.len() / 3;
        let mut stale = whole.clone();
        stale[..one].copy_from_slice(&encoded(&Frame {
            mark: 6,
            ..frame(0)
        }));
        assert_eq!(lap(&stale).0.len(), 1, "the rest is of an earlier lap");
        assert_eq!(lap(&whole[one..]).0, [], "a lap starts with place 0");
        for cut in [0, 1, 4095, one - 4096] {
            assert_eq!(lap(&whole[..one + cut]).0.len(), 1, "cut {cut} bytes in");
        }
    }

    #[test]
    fn no_flipped_bit_of_a_frame_goes_unseen() {
        let bytes = encoded(&frame(0));
        let used = HEAD + 2 * WRITE_HEAD + 320 + 4096;
        for at in 0..used {
            let mut bad = bytes.clone();
            bad[at] ^= 0x40;
            assert_eq!(Frame::decode(&bad), None, "byte {at}");
        }
    }
}
