//! What a sealed segment says about itself, and the chain the manifests form. Pure.
//!
//! Layout, version 1, little-endian:
//!
//! ```text
//!   0  u8      version (1)
//!   1  u8      flags: 1 = has a predecessor, 2 = was recovered after a crash
//!   2  [16]    log id
//!  18  u32     epoch
//!  22  u64     first number
//!  30  u64     last number
//!  38  u64     records
//!  46  u64     payload bytes
//!  54  u64     record bytes (headers and payloads)
//!  62  [32]    codec set, one bit per codec id
//!  94  [32]    SHA-256 over the record bytes in order of their numbers
//! 126  [32]    digest of the segment before (zeroes without one)
//! 158  i64     created, microseconds since the Unix epoch
//! 166  i64     sealed, microseconds since the Unix epoch
//! 174  u8      length of the engine's version text, then the text
//!   .  u32     crc32 over everything before it
//! ```
//!
//! Version 2 is written for a segment that has holes or replaces another, and only for those:
//!
//! ```text
//!   0  u8      version (2)
//!   1  u8      flags: as above, and 4 = replaces another
//!   2  [172]   as above
//! 174  [32]    digest of the segment it replaces, which the next one names (zeroes without one)
//! 206  u64     numbers without a record: those of its holes
//! 214  u8      length of the engine's version text, then the text
//!   .  u32     crc32 over everything before it
//! ```

use crate::block::Piece;
use crate::frame::{HEADER_LEN, array};
use crate::seq::{Identity, LogId};
use sha2::{Digest, Sha256};

/// Version of the storage engine that writes the files, as recorded in manifests. A test keeps
/// it equal to the resolved dependency.
pub(crate) const ENGINE: &str = "redb 4.6";

const HAS_PREVIOUS: u8 = 1;
const RECOVERED: u8 = 2;
const REPLACES: u8 = 4;
/// Where the fields end that all versions share.
const SHARED: usize = 174;
/// What version 2 adds.
const ADDED: usize = 40;

/// The manifest of one sealed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) identity: Identity,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) count: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) record_bytes: u64,
    pub(crate) codecs: [u8; 32],
    pub(crate) digest: [u8; 32],
    pub(crate) previous: Option<[u8; 32]>,
    pub(crate) recovered: bool,
    pub(crate) created_at: i64,
    pub(crate) sealed_at: i64,
    pub(crate) engine: String,
    /// Digest of the segment this one was made from, when not all of that could be read.
    pub(crate) replaces: Option<[u8; 32]>,
    /// Numbers without a record, all of them in recorded holes.
    pub(crate) missing: u64,
}

impl Manifest {
    /// The digest by which the next segment knows this one.
    pub(crate) fn link(&self) -> [u8; 32] {
        self.replaces.unwrap_or(self.digest)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SHARED + ADDED + 32);
        let version = if self.replaces.is_some() || self.missing > 0 {
            2
        } else {
            1
        };
        let replaces = if self.replaces.is_some() { REPLACES } else { 0 };
        let previous = if self.previous.is_some() {
            HAS_PREVIOUS
        } else {
            0
        };
        let recovered = if self.recovered { RECOVERED } else { 0 };
        out.extend_from_slice(&[version, previous | recovered | replaces]);
        out.extend_from_slice(&self.identity.log_id.0);
        out.extend_from_slice(&self.identity.epoch.to_le_bytes());
        for number in [
            self.first,
            self.last,
            self.count,
            self.payload_bytes,
            self.record_bytes,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.codecs);
        out.extend_from_slice(&self.digest);
        out.extend_from_slice(&self.previous.unwrap_or_default());
        out.extend_from_slice(&self.created_at.to_le_bytes());
        out.extend_from_slice(&self.sealed_at.to_le_bytes());
        if version == 2 {
            out.extend_from_slice(&self.replaces.unwrap_or_default());
            out.extend_from_slice(&self.missing.to_le_bytes());
        }
        let engine = &self.engine.as_bytes()[..self.engine.len().min(255)];
        out.push(engine.len() as u8);
        out.extend_from_slice(engine);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` for anything that [`Manifest::encode`] did not produce.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Manifest> {
        let body = bytes.get(..bytes.len().checked_sub(4)?)?;
        if crc32fast::hash(body) != u32::from_le_bytes(array(bytes, body.len())) {
            return None;
        }
        let engine_at = match body.first()? {
            1 => SHARED,
            2 => SHARED + ADDED,
            _ => return None,
        };
        let (engine_len, engine) = body.get(engine_at..)?.split_first()?;
        if engine.len() != usize::from(*engine_len) {
            return None;
        }
        let is_v2 = engine_at > SHARED;
        Some(Manifest {
            identity: Identity {
                log_id: LogId(array(body, 2)),
                epoch: u32::from_le_bytes(array(body, 18)),
            },
            first: u64::from_le_bytes(array(body, 22)),
            last: u64::from_le_bytes(array(body, 30)),
            count: u64::from_le_bytes(array(body, 38)),
            payload_bytes: u64::from_le_bytes(array(body, 46)),
            record_bytes: u64::from_le_bytes(array(body, 54)),
            codecs: array(body, 62),
            digest: array(body, 94),
            previous: (body[1] & HAS_PREVIOUS != 0).then(|| array(body, 126)),
            recovered: body[1] & RECOVERED != 0,
            created_at: i64::from_le_bytes(array(body, 158)),
            sealed_at: i64::from_le_bytes(array(body, 166)),
            engine: String::from_utf8(engine.to_vec()).ok()?,
            replaces: (is_v2 && body[1] & REPLACES != 0).then(|| array(body, SHARED)),
            missing: if is_v2 {
                u64::from_le_bytes(array(body, SHARED + 32))
            } else {
                0
            },
        })
    }
}

/// Adds up a segment's records in order; the numbers of its manifest.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) record_bytes: u64,
    pub(crate) codecs: [u8; 32],
    hasher: Sha256,
}

impl Tally {
    /// Takes the stored bytes as they are: whether they are a sound record is a question for
    /// every read, and a damaged one must not stop the log from sealing and going on.
    pub(crate) fn add(&mut self, piece: &Piece<'_>) {
        let record = piece.bytes;
        self.count = self
            .count
            .saturating_add(piece.last - piece.seq)
            .saturating_add(1);
        self.record_bytes += record.len() as u64;
        self.payload_bytes += record.len().saturating_sub(HEADER_LEN) as u64;
        if let Some(codec) = record.get(3) {
            self.codecs[usize::from(codec / 8)] |= 1 << (codec % 8);
        }
        self.hasher.update(record);
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(previous: Option<[u8; 32]>) -> Manifest {
        Manifest {
            identity: Identity {
                log_id: LogId([7; 16]),
                epoch: 3,
            },
            first: 11,
            last: 20,
            count: 10,
            payload_bytes: 400,
            record_bytes: 1000,
            codecs: [5; 32],
            digest: [8; 32],
            previous,
            recovered: previous.is_some(),
            created_at: -5,
            sealed_at: 77,
            engine: ENGINE.to_owned(),
            replaces: None,
            missing: 0,
        }
    }

    #[test]
    fn manifests_survive_encoding_and_no_flipped_bit_does() {
        let replaced = Manifest {
            replaces: Some([6; 32]),
            ..sample(None)
        };
        let fenced = Manifest {
            missing: 3,
            ..sample(Some([9; 32]))
        };
        let cases = [
            (sample(None), 1, [8; 32]),
            (sample(Some([9; 32])), 1, [8; 32]),
            (replaced, 2, [6; 32]),
            (fenced, 2, [8; 32]),
        ];
        for (manifest, version, link) in cases {
            let bytes = manifest.encode();
            assert_eq!((bytes[0], manifest.link()), (version, link));
            assert_eq!(Manifest::decode(&bytes), Some(manifest));
            for at in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[at] ^= 0x10;
                assert_eq!(Manifest::decode(&bad), None, "byte {at}");
                assert_eq!(Manifest::decode(&bytes[..at]), None, "cut at {at}");
            }
        }
    }

    #[test]
    fn the_engine_named_is_the_engine_used() {
        let manifest = include_str!("../../Cargo.toml");
        let version = ENGINE.trim_start_matches("redb ");
        assert!(manifest.contains(&format!("redb = \"{version}\"")));
    }
}
