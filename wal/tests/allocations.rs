//! No function for bytes that a disk may hold allocates more than a stated multiple of them: on
//! every kept input, on changed ones, and on arbitrary bytes. A binary of its own, since all that
//! it allocates is counted; what the C library of zstd allocates is not.

use std::path::{Path, PathBuf};

use changes::{cases, changed_input, changes, kept};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use wal::fuzz::{TARGETS, Target};

#[path = "support/changes.rs"]
mod changes;

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

/// What a function may hold at one moment: so many times its input, and so many bytes anyway. Not
/// for changed catalogs: the engine makes room for a page before it looks whether the file has
/// one, and a damaged page number can ask it for up to 4 GiB.
fn allowed(target: &str) -> (usize, usize) {
    match target {
        "record" | "block" | "manifest" => (8, 1 << 10),
        // A frame leaves out zeroes, up to 1 MiB, and takes a block of the file at least. It is
        // decoded, written again and decoded again.
        "redo" => (2 * (1 << 20) / 4096, 5 << 20),
        // The largest record, twice: decoded, and as a record of its own.
        "container" => (8, 33 << 20),
        "catalog" => (16, 4 << 20),
        _ => panic!("{target} has no limit"),
    }
}

/// Those of which no input may ask for more.
fn held_to_it() -> Vec<(&'static str, Target)> {
    let all = TARGETS.into_iter();
    all.filter(|(name, _)| *name != "catalog").collect()
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/fuzz")
        .join(target)
}

/// What the function held at most, beyond what was held before.
fn held(target: Target, bytes: &[u8]) -> usize {
    let before = COUNTED.current_usage();
    COUNTED.reset_peak_usage();
    target(bytes);
    COUNTED.peak_usage().saturating_sub(before)
}

fn allocates_in_proportion((name, target): (&str, Target), bytes: &[u8]) {
    let held = held(target, bytes);
    let (times, anyway) = allowed(name);
    assert!(
        held <= bytes.len() * times + anyway,
        "{name}: {held} bytes for {} of input",
        bytes.len()
    );
}

/// One test: whatever another one did meanwhile would be counted too.
#[test]
fn what_a_disk_may_hold_allocates_in_proportion() {
    for target in TARGETS {
        for (path, bytes) in kept(&corpus(target.0)) {
            println!("{}", path.display());
            allocates_in_proportion(target, &bytes);
        }
    }
    let targets = || prop::sample::select(held_to_it());
    let changed = (targets(), any::<Index>(), changes());
    let tried = TestRunner::new(cases(2000)).run(&changed, |(target, which, changes)| {
        allocates_in_proportion(target, &changed_input(&corpus(target.0), which, &changes));
        Ok(())
    });
    tried.expect("in proportion");
    let any_bytes = (targets(), prop::collection::vec(any::<u8>(), 0..300));
    let tried = TestRunner::new(cases(2000)).run(&any_bytes, |(target, bytes)| {
        allocates_in_proportion(target, &bytes);
        Ok(())
    });
    tried.expect("in proportion");
}
