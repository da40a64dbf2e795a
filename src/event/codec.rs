//! Event to payload bytes and back: the only file that names bincode.
//!
//! bincode is unmaintained (RUSTSEC-2025-0141) and frozen at 2.0.1; a record's header carries [`CODEC_ID`], so
//! another codec can take over for new records while old ones decode for ever. Golden payloads of every version
//! ever written are in `fixtures/events/`.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

use super::Event;

/// Codec id of payloads written now: bincode 2, little endian, varint, [`Event`] version 1.
pub const CODEC_ID: u8 = 1;

/// Largest payload that is written or read, in bytes. Telegram's largest message with raw bytes stays far below.
const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;

fn config() -> Configuration<LittleEndian, Varint, Limit<PAYLOAD_BYTES_MAX>> {
    bincode::config::standard().with_limit::<PAYLOAD_BYTES_MAX>()
}

/// Why a payload could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The event is larger than the limit of 4 MiB.
    #[error("event does not fit a record of {PAYLOAD_BYTES_MAX} bytes")]
    TooLarge(#[source] bincode::error::EncodeError),
    /// A newer version of the program wrote this record.
    #[error("payload codec {0} is unknown to this version: upgrade telegram-gateway")]
    UnknownCodec(u8),
    /// The bytes are not an event.
    #[error("payload is no event of codec {codec}")]
    Invalid {
        /// The codec id in the header.
        codec: u8,
        /// What the decoder said.
        #[source]
        source: bincode::error::DecodeError,
    },
    /// The event ended before the bytes did.
    #[error("payload of codec {codec} has {extra} bytes after the event")]
    Trailing {
        /// The codec id in the header.
        codec: u8,
        /// Bytes left over.
        extra: usize,
    },
}

/// The payload of an event.
pub fn encode(event: &Event) -> Result<Vec<u8>, CodecError> {
    let payload = bincode::serde::encode_to_vec(event, config()).map_err(CodecError::TooLarge)?;
    // The codec holds readers to the limit, and not writers.
    if payload.len() > PAYLOAD_BYTES_MAX {
        let over = bincode::error::EncodeError::Other("longer than any reader takes");
        return Err(CodecError::TooLarge(over));
    }
    Ok(payload)
}

/// The event of a payload written with the given codec.
pub fn decode(codec: u8, payload: &[u8]) -> Result<Event, CodecError> {
    if codec != CODEC_ID {
        return Err(CodecError::UnknownCodec(codec));
    }
    let (event, used) = bincode::serde::decode_from_slice(payload, config())
        .map_err(|source| CodecError::Invalid { codec, source })?;
    match payload.len() - used {
        0 => Ok(event),
        extra => Err(CodecError::Trailing { codec, extra }),
    }
}
