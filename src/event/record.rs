//! Event to log record, and record to envelope.

use wal::{NewRecord, Record, Seq};

use super::{CODEC_ID, CodecError, Event, Origin, PeerId, Timestamp, decode, dedup_key, encode};

/// An event with its number in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its number.
    pub seq: Seq,
    /// The epoch it was written in.
    pub epoch: u32,
    /// When it reached us, recorded once at append.
    pub received_at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A record whose payload is intact (its CRC was checked) but cannot be read as an event.
#[derive(Debug, thiserror::Error)]
#[error("record {seq} cannot be read")]
pub struct RecordError {
    /// The record's number.
    pub seq: Seq,
    /// Why.
    #[source]
    pub source: CodecError,
}

impl Event {
    /// The record to append, received at the given time.
    pub fn to_record(&self, received_at: Timestamp) -> Result<NewRecord, CodecError> {
        Ok(NewRecord {
            codec: CODEC_ID,
            flags: origin_flags(self.origin),
            kind: self.body.kind() as u8,
            peer_kind: self.peer.map_or(0, |peer| peer.kind() as u8),
            peer_id: self.peer.map_or(0, PeerId::bare),
            message_id: self.body.message_id().unwrap_or(0),
            received_at: received_at.micros(),
            source_at: self.body.source_at().unwrap_or(received_at).micros(),
            payload: encode(self)?,
            key: dedup_key(self),
        })
    }
}

impl Envelope {
    /// The record it is of.
    pub fn to_record(&self) -> Option<Record> {
        // It was decoded from a payload within the size limit, so it can be encoded again.
        let record = self.event.to_record(self.received_at).ok()?;
        Record::of(&record, self.seq, self.epoch).ok()
    }

    /// The envelope of a record.
    pub fn from_record(record: &Record) -> Result<Envelope, RecordError> {
        let header = record.header();
        let event = decode(header.codec, record.payload()).map_err(|source| RecordError {
            seq: header.seq,
            source,
        })?;
        Ok(Envelope {
            seq: header.seq,
            epoch: header.epoch,
            received_at: Timestamp::from_micros(header.received_at),
            event,
        })
    }
}

/// The origin, readable from the header without decoding the payload: low byte of the flags.
fn origin_flags(origin: Origin) -> u16 {
    origin as u16
}
