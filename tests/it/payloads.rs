//! Any bytes may stand where an event should: the fuzz target of the codec in the ordinary suite, on every payload kept
//! under `fixtures/fuzz/event/`, on changed ones, and on arbitrary bytes.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::gateway::repository;
use crate::support::payloads::read_any;
use changes::{cases, changed_input, changes, kept};

#[path = "../../wal/tests/support/changes.rs"]
mod changes;

fn corpus() -> PathBuf {
    repository("fixtures/fuzz/event")
}

#[test]
fn every_kept_payload_is_an_event_or_refused() {
    for (path, bytes) in kept(&corpus()) {
        println!("{}", path.display());
        read_any(&bytes);
    }
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn changed_payloads_are_events_or_refused(which: Index, changes in changes()) {
        read_any(&changed_input(&corpus(), which, &changes));
    }

    #[test]
    fn any_bytes_are_an_event_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_any(&bytes);
    }
}

#[test]
#[ignore = "makes the first inputs, of the golden payloads"]
fn make_seeds() {
    fs::create_dir_all(corpus()).expect("made");
    for (path, payload) in kept(&repository("fixtures/events")) {
        if path.extension().is_some_and(|it| it == "bin") {
            let name = path.file_stem().expect("has a name").to_string_lossy();
            let seed = corpus().join(format!("seed-{name}"));
            fs::write(seed, payload).expect("written");
        }
    }
}
