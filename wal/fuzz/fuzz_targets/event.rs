#![no_main]

use telegram_gateway::event::{CODEC_ID, decode, encode};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(event) = decode(CODEC_ID, bytes) else {
        return;
    };
    let again = encode(&event).expect("what was decoded is within the limits");
    assert_eq!(decode(CODEC_ID, &again).expect("what was encoded is decoded"), event);
});
