//! Changes of any bytes, for the tests that try kept inputs and changed ones: of the log's own
//! functions, of what they allocate, and of the codec of events.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

/// What happens to an input.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Byte(Index, u8),
    Number(Index, u32),
    Cut(Index),
    Insert(Index, Vec<u8>),
}

/// A few changes.
pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(), 1..6)
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let number = prop_oneof![any::<u32>(), 0..100u32, Just(u32::MAX)];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        3 => (at(), number).prop_map(|(at, number)| Change::Number(at, number)),
        1 => at().prop_map(Change::Cut),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, b)| Change::Insert(at, b)),
    ]
}

/// The bytes after the changes, one after another.
pub(crate) fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match change {
            Change::Byte(at, byte) => {
                let at = place(at);
                bytes.splice(at..(at + 1).min(bytes.len()), [*byte]);
            }
            Change::Number(at, number) => {
                let at = place(at);
                bytes.splice(at..(at + 4).min(bytes.len()), number.to_le_bytes());
            }
            Change::Cut(at) => bytes.truncate(place(at)),
            Change::Insert(at, more) => {
                let at = place(at);
                bytes.splice(at..at, more.iter().copied());
            }
        }
    }
    bytes
}

/// The inputs kept in a folder, by their paths. There are some.
pub(crate) fn kept(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let listed = fs::read_dir(folder).expect("a corpus");
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("listed").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}", folder.display());
    let read = |path: PathBuf| (path.clone(), fs::read(path).expect("readable"));
    paths.into_iter().map(read).collect()
}

/// One of the kept inputs, changed.
pub(crate) fn changed_input(folder: &Path, which: Index, changes: &[Change]) -> Vec<u8> {
    let mut kept = kept(folder);
    changed(kept.swap_remove(which.index(kept.len())).1, changes)
}

/// As many cases as were asked for, or else so many.
pub(crate) fn cases(count: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = count;
    }
    config
}
