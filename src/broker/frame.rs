//! Frames: what travels over `telegram.log` to our own projectors. Pure.
//!
//! A frame carries whole records as they are stored, each with its own CRC, or none at all (a tail marker). All
//! numbers are little endian; the layout is frozen, another one gets another version.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | magic `TGWF` |
//! | 4 | version, 1 |
//! | 5 | kind: 1 records, 2 tail marker |
//! | 6..8 | zero |
//! | 8..24 | log id |
//! | 24..28 | epoch |
//! | 28..32 | number of records |
//! | 32..40 | last seq of the log when this was sent, 0 for none |
//! | 40..48 | last seq up to which the broker had confirmed everything, 0 for none |
//! | 48.. | for each record: length (4 bytes), record |
//!
//! A queue keeps order, so who has received a frame has also received all that was confirmed when it was sent; if
//! not, the broker lost it.

use wal::{Identity, LogId};

/// Largest body that is read or written; RabbitMQ's own default limit is the same.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes before the first record.
pub const HEADER_BYTES: usize = 48;
/// Bytes a record costs besides itself.
pub const RECORD_OVERHEAD: usize = 4;

const MAGIC: [u8; 4] = *b"TGWF";
const VERSION: u8 = 1;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Records.
    Records,
    /// Nothing but how far the log and the confirms have come.
    Marker,
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The log it was sent from.
    pub identity: Identity,
    /// What it carries.
    pub kind: FrameKind,
    /// Last seq of the log when it was sent; 0 for an empty log.
    pub tail: u64,
    /// Everything up to this seq was confirmed by the broker when it was sent; 0 for nothing.
    pub confirmed: u64,
}

/// Why a body is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Larger than anything we send.
    #[error("body of {0} bytes is larger than {BODY_BYTES_MAX}")]
    TooLarge(usize),
    /// It does not begin as frames do.
    #[error("no frame of ours")]
    Foreign,
    /// A newer version of the program sent it.
    #[error("frame version {0} is unknown to this version: upgrade telegram-gateway")]
    UnknownVersion(u8),
    /// It begins as a frame and goes on as something else.
    #[error("damaged frame: {0}")]
    Damaged(&'static str),
}

/// Builds one frame. The header is written last, since it says what is known when the frame leaves.
#[derive(Debug, Clone)]
pub struct FrameBuilder {
    body: Vec<u8>,
    count: u32,
}

impl Default for FrameBuilder {
    fn default() -> FrameBuilder {
        FrameBuilder::with_capacity(0)
    }
}

impl FrameBuilder {
    /// An empty frame with room for so many bytes of records.
    pub fn with_capacity(bytes: usize) -> FrameBuilder {
        let mut body = Vec::with_capacity(HEADER_BYTES + bytes);
        body.resize(HEADER_BYTES, 0);
        FrameBuilder { body, count: 0 }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether it carries no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a stored record; false, and nothing added, when the body would grow over its limit.
    #[must_use]
    pub fn push(&mut self, record: &[u8]) -> bool {
        let Ok(length) = u32::try_from(record.len()) else {
            return false;
        };
        if self.body.len() + RECORD_OVERHEAD + record.len() > BODY_BYTES_MAX {
            return false;
        }
        self.body.extend_from_slice(&length.to_le_bytes());
        self.body.extend_from_slice(record);
        self.count += 1;
        true
    }

    /// The body to send. Without records it is a marker.
    pub fn finish(mut self, identity: Identity, tail: u64, confirmed: u64) -> Vec<u8> {
        let kind = if self.count == 0 { 2 } else { 1 };
        self.body[..4].copy_from_slice(&MAGIC);
        self.body[4] = VERSION;
        self.body[5] = kind;
        self.body[8..24].copy_from_slice(&identity.log_id.0);
        self.body[24..28].copy_from_slice(&identity.epoch.to_le_bytes());
        self.body[28..32].copy_from_slice(&self.count.to_le_bytes());
        self.body[32..40].copy_from_slice(&tail.to_le_bytes());
        self.body[40..48].copy_from_slice(&confirmed.to_le_bytes());
        self.body
    }
}

/// A tail marker.
pub fn marker(identity: Identity, tail: u64, confirmed: u64) -> Vec<u8> {
    FrameBuilder::default().finish(identity, tail, confirmed)
}

/// Header and records of a body. Copies nothing and allocates no more than the body's own size; the records' CRCs are
/// the caller's to check.
pub fn decode(body: &[u8]) -> Result<(FrameHeader, Vec<&[u8]>), FrameError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(FrameError::TooLarge(body.len()));
    }
    let mut rest = Reader(body);
    if rest.array::<4>() != Ok(MAGIC) {
        return Err(FrameError::Foreign);
    }
    let [version, kind, zero, zero_too] = rest.array::<4>()?;
    if version != VERSION {
        return Err(FrameError::UnknownVersion(version));
    }
    if (zero, zero_too) != (0, 0) {
        return Err(FrameError::Damaged("reserved bytes are set"));
    }
    let identity = Identity {
        log_id: LogId(rest.array()?),
        epoch: u32::from_le_bytes(rest.array()?),
    };
    let count = rest.u32()? as usize;
    let header = FrameHeader {
        identity,
        kind: match (kind, count) {
            (1, 1..) => FrameKind::Records,
            (2, 0) => FrameKind::Marker,
            _ => return Err(FrameError::Damaged("kind and count do not agree")),
        },
        tail: u64::from_le_bytes(rest.array()?),
        confirmed: u64::from_le_bytes(rest.array()?),
    };
    // A count cannot promise more than the bytes can hold.
    let mut records = Vec::with_capacity(count.min(rest.0.len() / RECORD_OVERHEAD));
    for _ in 0..count {
        let length = rest.u32()? as usize;
        records.push(rest.take(length)?);
    }
    if !rest.0.is_empty() {
        return Err(FrameError::Damaged("bytes after the last record"));
    }
    Ok((header, records))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FrameError> {
        let (head, tail) = self
            .0
            .split_at_checked(length)
            .ok_or(FrameError::Damaged("it ends too early"))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(u32::from_le_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IDENTITY: Identity = Identity {
        log_id: LogId(*b"golden-log-id-16"),
        epoch: 3,
    };

    fn frame(records: &[Vec<u8>]) -> Vec<u8> {
        let mut builder = FrameBuilder::default();
        for record in records {
            assert!(builder.push(record));
        }
        builder.finish(IDENTITY, 700, 650)
    }

    #[test]
    fn golden_frames_decode_for_ever() {
        let records = include_bytes!("../../fixtures/broker/frame-v1-records.bin");
        let (header, parts) = decode(records).expect("golden");
        assert_eq!(header.kind, FrameKind::Records);
        assert_eq!((header.tail, header.confirmed), (700, 650));
        assert_eq!(header.identity, IDENTITY);
        assert_eq!(parts, [&b"first record"[..], b"", b"third"]);
        assert_eq!(
            frame(&[b"first record".to_vec(), vec![], b"third".to_vec()]),
            records
        );
        let golden = include_bytes!("../../fixtures/broker/frame-v1-marker.bin");
        assert_eq!(decode(golden).expect("golden").0.kind, FrameKind::Marker);
        assert_eq!(marker(IDENTITY, 700, 650), golden);
    }

    #[test]
    fn a_body_never_grows_over_its_limit() {
        let mut builder = FrameBuilder::default();
        assert!(builder.push(&vec![7; BODY_BYTES_MAX - HEADER_BYTES - RECORD_OVERHEAD]));
        assert!(!builder.push(&[]));
        let body = builder.finish(IDENTITY, 1, 1);
        assert_eq!(body.len(), BODY_BYTES_MAX);
        assert!(decode(&body).is_ok());
        let larger = vec![0; BODY_BYTES_MAX + 1];
        assert_eq!(decode(&larger), Err(FrameError::TooLarge(larger.len())));
    }

    #[test]
    fn a_version_of_the_future_is_named() {
        let mut body = marker(IDENTITY, 1, 1);
        body[4] = 9;
        assert_eq!(decode(&body), Err(FrameError::UnknownVersion(9)));
        assert_eq!(decode(b"{\"json\":1}"), Err(FrameError::Foreign));
        assert_eq!(decode(b""), Err(FrameError::Foreign));
    }

    proptest! {
        #[test]
        fn frames_round_trip(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let body = frame(&records);
            let (header, parts) = decode(&body).expect("own frame");
            prop_assert_eq!(header.identity, IDENTITY);
            prop_assert_eq!(header.kind == FrameKind::Marker, records.is_empty());
            prop_assert_eq!(parts, records);
        }

        #[test]
        fn garbage_never_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&body);
        }

        #[test]
        fn damage_never_panics_nor_over_allocates(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8),
            at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
        ) {
            let mut body = frame(&records);
            let at = at.index(body.len());
            body[at] = byte;
            if let Ok((_, parts)) = decode(&body) {
                prop_assert!(parts.capacity() * RECORD_OVERHEAD <= body.len());
            }
            body.truncate(cut.index(body.len()));
            prop_assert!(decode(&body).is_err());
        }
    }
}
