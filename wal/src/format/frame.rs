//! A record as bytes: the header documented in the crate docs, then the payload. Pure.

use crate::seq::Seq;

/// First two bytes of every record.
pub const MAGIC: [u8; 2] = *b"WR";
/// The format version new records are written with. Older versions stay readable for ever.
pub const FORMAT_VERSION: u8 = 1;
/// Bytes of the header of format version 1.
pub const HEADER_LEN: usize = 60;
/// Most bytes one payload may have: 16 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;
/// Most bytes a dedup key may have.
pub const KEY_BYTES_MAX: usize = 1024;

/// Where the checksum lies; it covers everything else of the record.
const CRC_AT: usize = 56;
const SEQ_AT: usize = 12;
const LEN_AT: usize = 52;

/// What the caller knows about a record before it has a number. The log does not interpret any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// How the payload is encoded.
    pub codec: u8,
    /// Free for the caller.
    pub flags: u16,
    /// Free for the caller.
    pub kind: u8,
    /// Free for the caller.
    pub peer_kind: u8,
    /// Free for the caller.
    pub peer_id: i64,
    /// Free for the caller.
    pub message_id: i64,
    /// Microseconds since the Unix epoch, UTC.
    pub received_at: i64,
    /// Microseconds since the Unix epoch, UTC.
    pub source_at: i64,
    /// At most [`PAYLOAD_BYTES_MAX`] bytes.
    pub payload: Vec<u8>,
    /// Dedup key: a record whose key is already in the log is not appended again. At most
    /// [`KEY_BYTES_MAX`] bytes. Lookups and merges walk keys in byte order, so keys of things
    /// that arrive together should lie together: peer, message id, stamp, each big-endian.
    pub key: Option<Vec<u8>>,
}

/// The decoded header of a stored record. The log interprets `version`, `epoch`, `seq` and
/// `payload_len`; the rest belongs to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Format version of this record.
    pub version: u8,
    /// How the payload is encoded; the caller's number.
    pub codec: u8,
    /// The caller's flags.
    pub flags: u16,
    /// The caller's kind of event.
    pub kind: u8,
    /// The caller's kind of peer.
    pub peer_kind: u8,
    /// Life of the log in which the record was appended.
    pub epoch: u32,
    /// The record's number.
    pub seq: Seq,
    /// The caller's peer.
    pub peer_id: i64,
    /// The caller's message.
    pub message_id: i64,
    /// When it was received, microseconds since the Unix epoch, UTC.
    pub received_at: i64,
    /// When it happened at its source, microseconds since the Unix epoch, UTC.
    pub source_at: i64,
    /// Bytes after the header.
    pub payload_len: u32,
}

/// One stored record: checked on construction, so a value of this type is never damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    bytes: Vec<u8>,
    header: Header,
}

impl Record {
    /// Takes header and payload as [`Record::as_bytes`] gives them and checks magic, version,
    /// length and checksum.
    ///
    /// # Errors
    /// The first check that fails; see [`FrameError`].
    pub fn decode(bytes: Vec<u8>) -> Result<Record, FrameError> {
        let header = decode_header(&bytes)?;
        Ok(Record { bytes, header })
    }

    /// The record as appending it under this number would store it.
    ///
    /// # Errors
    /// A payload that is larger than [`PAYLOAD_BYTES_MAX`].
    pub fn of(record: &NewRecord, seq: Seq, epoch: u32) -> Result<Record, FrameError> {
        if record.payload.len() > PAYLOAD_BYTES_MAX {
            return Err(FrameError::Length {
                expected: PAYLOAD_BYTES_MAX as u64,
                found: record.payload.len() as u64,
            });
        }
        let mut bytes = Vec::with_capacity(encoded_len(record));
        encode(record, seq, epoch, &mut bytes);
        Record::decode(bytes)
    }

    /// The decoded header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The caller's bytes.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }

    /// Header and payload as stored: what a relay may ship and a peer may decode again.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a header has.
    #[error("{bytes} bytes are too few for a record header")]
    Short {
        /// Bytes present.
        bytes: usize,
    },
    /// The first two bytes are not the magic.
    #[error("bytes {found:02x?} are not the start of a record")]
    Magic {
        /// The two bytes found.
        found: [u8; 2],
    },
    /// Written by a newer program, or damaged.
    #[error("record format version {found} is not known")]
    Version {
        /// The version found.
        found: u8,
    },
    /// The header and the stored length disagree.
    #[error("the header says {expected} payload bytes, {found} are there")]
    Length {
        /// What the header says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The stored number is zero.
    #[error("the record has number zero")]
    Seq,
    /// The bytes changed since they were written.
    #[error("checksum {found:08x} does not match the stored {expected:08x}")]
    Checksum {
        /// The checksum stored in the record.
        expected: u32,
        /// The checksum of the bytes as read.
        found: u32,
    },
}

/// Bytes that [`encode`] appends.
pub(crate) fn encoded_len(record: &NewRecord) -> usize {
    HEADER_LEN + record.payload.len()
}

/// Appends the encoded record to `out`. The payload must be within [`PAYLOAD_BYTES_MAX`], which
/// `batch::check` ensures before a batch reaches this point.
pub(crate) fn encode(record: &NewRecord, seq: Seq, epoch: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let payload_len = u32::try_from(record.payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[FORMAT_VERSION, record.codec]);
    out.extend_from_slice(&record.flags.to_le_bytes());
    out.extend_from_slice(&[record.kind, record.peer_kind]);
    out.extend_from_slice(&epoch.to_le_bytes());
    out.extend_from_slice(&seq.get().to_le_bytes());
    out.extend_from_slice(&record.peer_id.to_le_bytes());
    out.extend_from_slice(&record.message_id.to_le_bytes());
    out.extend_from_slice(&record.received_at.to_le_bytes());
    out.extend_from_slice(&record.source_at.to_le_bytes());
    out.extend_from_slice(&payload_len.to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&out[start..]);
    crc.update(&record.payload);
    out.extend_from_slice(&crc.finalize().to_le_bytes());
    out.extend_from_slice(&record.payload);
}

/// Checks a whole record and decodes its header.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<Header, FrameError> {
    let short = FrameError::Short { bytes: bytes.len() };
    let (head, payload) = bytes.split_at_checked(HEADER_LEN).ok_or(short)?;
    if head[0..2] != MAGIC {
        let found = [head[0], head[1]];
        return Err(FrameError::Magic { found });
    }
    if head[2] != FORMAT_VERSION {
        return Err(FrameError::Version { found: head[2] });
    }
    let payload_len = u32::from_le_bytes(array(head, LEN_AT));
    if u64::from(payload_len) != payload.len() as u64 {
        return Err(FrameError::Length {
            expected: u64::from(payload_len),
            found: payload.len() as u64,
        });
    }
    let expected = u32::from_le_bytes(array(head, CRC_AT));
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[..CRC_AT]);
    crc.update(payload);
    let found = crc.finalize();
    if found != expected {
        return Err(FrameError::Checksum { expected, found });
    }
    fields(head).ok_or(FrameError::Seq)
}

/// `None` when the number is zero.
fn fields(head: &[u8]) -> Option<Header> {
    Some(Header {
        version: head[2],
        codec: head[3],
        flags: u16::from_le_bytes(array(head, 4)),
        kind: head[6],
        peer_kind: head[7],
        epoch: u32::from_le_bytes(array(head, 8)),
        seq: Seq::new(u64::from_le_bytes(array(head, SEQ_AT)))?,
        peer_id: i64::from_le_bytes(array(head, 20)),
        message_id: i64::from_le_bytes(array(head, 28)),
        received_at: i64::from_le_bytes(array(head, 36)),
        source_at: i64::from_le_bytes(array(head, 44)),
        payload_len: u32::from_le_bytes(array(head, LEN_AT)),
    })
}

/// What the first [`HEADER_LEN`] of these bytes say if they are a header; nothing is checked but
/// that they can be one.
pub(crate) fn peek(bytes: &[u8]) -> Option<Header> {
    let head = bytes.get(..HEADER_LEN)?;
    if head[0..2] != MAGIC || head[2] != FORMAT_VERSION {
        return None;
    }
    fields(head).filter(|header| header.payload_len as usize <= PAYLOAD_BYTES_MAX)
}

/// Bytes of the record that `bytes` start with, as its header says; `None` when they are too few
/// or no header of this version. Says nothing about damage elsewhere in the record.
pub(crate) fn stored_len(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..HEADER_LEN)?;
    if head[0..2] != MAGIC || head[2] != FORMAT_VERSION {
        return None;
    }
    let payload = usize::try_from(u32::from_le_bytes(array(head, LEN_AT))).ok()?;
    let len = payload.checked_add(HEADER_LEN)?;
    (len <= bytes.len()).then_some(len)
}

/// The number of an undamaged record if it is above `first`.
pub(crate) fn numbered_from(record: &[u8], first: u64) -> Option<u64> {
    let seq = u64::from_le_bytes(array(record, SEQ_AT));
    // The checksum is only worth its time when the number is not the expected one.
    (seq > first && decode_header(record).is_ok()).then_some(seq)
}

/// `N` bytes at `at`; zeroes past the end, which callers have excluded by a length check.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(part) = bytes.get(at..at + N) {
        out.copy_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn any_record()(
            codec: u8, flags: u16, kind: u8, peer_kind: u8, peer_id: i64, message_id: i64,
            received_at: i64, source_at: i64, payload in prop::collection::vec(any::<u8>(), 0..80),
        ) -> NewRecord {
            NewRecord {
                codec, flags, kind, peer_kind, peer_id, message_id, received_at, source_at,
                payload, key: None,
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(new in any_record(), seq in 1u64.., epoch: u32) {
            let mut bytes = Vec::new();
            encode(&new, Seq::new(seq).unwrap(), epoch, &mut bytes);
            prop_assert_eq!(bytes.len(), HEADER_LEN + new.payload.len());
            let record = Record::decode(bytes.clone()).unwrap();
            let h = *record.header();
            prop_assert_eq!(record.as_bytes(), &bytes[..]);
            prop_assert_eq!(record.payload(), &new.payload[..]);
            prop_assert_eq!((h.seq.get(), h.epoch, h.version), (seq, epoch, FORMAT_VERSION));
            prop_assert_eq!((h.codec, h.flags, h.kind), (new.codec, new.flags, new.kind));
            prop_assert_eq!((h.peer_kind, h.peer_id), (new.peer_kind, new.peer_id));
            prop_assert_eq!((h.message_id, h.received_at), (new.message_id, new.received_at));
            prop_assert_eq!(h.source_at, new.source_at);
        }

        #[test]
        fn any_flipped_bit_is_refused(new in any_record(), at: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = Vec::new();
            encode(&new, Seq::FIRST, 1, &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Record::decode(bytes).is_err());
        }

        #[test]
        fn any_cut_is_refused(new in any_record(), at: prop::sample::Index) {
            let mut bytes = Vec::new();
            encode(&new, Seq::FIRST, 1, &mut bytes);
            bytes.truncate(at.index(bytes.len()));
            prop_assert!(Record::decode(bytes).is_err());
        }
    }
}
