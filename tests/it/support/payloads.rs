//! What must hold of any bytes that are read as the payload of an event; for `wal/fuzz`, too.

use telegram_gateway::event::{CODEC_ID, decode, encode};

/// Reads the bytes as a payload: what is an event is written and read again as the same one.
pub(crate) fn read_any(bytes: &[u8]) {
    let Ok(event) = decode(CODEC_ID, bytes) else {
        return;
    };
    let again = encode(&event).expect("what was decoded is within the limits");
    assert_eq!(
        decode(CODEC_ID, &again).expect("what was encoded is decoded"),
        event
    );
}
