//! A body from the queue, taken apart.

use wal::Record;

use crate::broker::frame::{self, FrameHeader, FrameKind};
use crate::failure::chain;

/// What a body carries.
pub(super) enum Body {
    /// A frame of which something may be new, or a marker.
    Records(FrameHeader, Vec<Record>),
    /// A frame of which everything is known, with its last number.
    Copy(FrameHeader, u64),
}

/// Header and records of a body, each record checked by its CRC. A frame whose last record is not behind `known` is
/// not taken apart further: frames carry rising numbers.
pub(super) fn open(body: &[u8], known: u64) -> Result<Body, String> {
    let (header, parts) = frame::decode(body).map_err(|error| error.to_string())?;
    let record = |part: &[u8]| {
        let record = Record::decode(part.to_vec()).map_err(|error| chain(&error))?;
        if record.header().epoch > header.identity.epoch {
            return Err("a record of a later epoch than its frame".to_owned());
        }
        Ok(record)
    };
    let Some((last, before)) = parts.split_last() else {
        debug_assert_eq!(header.kind, FrameKind::Marker);
        return Ok(Body::Records(header, Vec::new()));
    };
    let last = record(last)?;
    let last_seq = last.header().seq.get();
    if last_seq <= known {
        return Ok(Body::Copy(header, last_seq));
    }
    let mut records = Vec::with_capacity(parts.len());
    for part in before {
        records.push(record(part)?);
    }
    records.push(last);
    Ok(Body::Records(header, records))
}
