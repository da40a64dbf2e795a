#![no_main]

#[path = "../../../tests/it/support/payloads.rs"]
mod payloads;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| payloads::read_any(bytes));
