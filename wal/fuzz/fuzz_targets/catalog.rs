#![no_main]
//! The engine panics on damaged pages and the log contains that, so a panic as such is no finding
//! here: the hook that makes it one is taken out. A panic that is not contained still is one,
//! since it cannot leave the target.

use std::sync::Once;

static QUIET: Once = Once::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    wal::fuzz::catalog(bytes);
});
