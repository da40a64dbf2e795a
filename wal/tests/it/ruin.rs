//! Whatever happens to the files of a log: after a salvage it opens, has nothing that was not
//! written, and accounts for every number.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use proptest::prelude::*;
use wal::{Log, Options, Reader, salvage};

use crate::common::{batch, fast_dir, keyed};
use crate::wreck::{EACH, TAIL, edit, event, findings, log_in, segment, seq};

/// What happens to one file.
#[derive(Debug, Clone)]
enum Harm {
    Zeroes(prop::sample::Index, usize),
    Noise(prop::sample::Index, Vec<u8>),
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Gone,
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        3 => (at(), 1..20_000usize).prop_map(|(at, len)| Harm::Zeroes(at, len)),
        3 => (at(), prop::collection::vec(any::<u8>(), 1..5000)).prop_map(|(at, b)| Harm::Noise(at, b)),
        3 => (at(), 0..8u8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        1 => at().prop_map(Harm::Cut),
        1 => Just(Harm::Gone),
    ]
}

fn inflict(file: &Path, harm: &Harm) {
    if matches!(harm, Harm::Gone) {
        // Gone already is gone.
        drop(fs::remove_file(file));
        return;
    }
    if !file.exists() || fs::metadata(file).unwrap().len() == 0 {
        return;
    }
    edit(file, |bytes| {
        let len = bytes.len();
        match harm {
            Harm::Zeroes(at, run) => {
                let at = at.index(len);
                bytes[at..(at + run).min(len)].fill(0);
            }
            Harm::Noise(at, noise) => {
                let at = at.index(len);
                let run = noise.len().min(len - at);
                bytes[at..at + run].copy_from_slice(&noise[..run]);
            }
            Harm::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Harm::Cut(at) => bytes.truncate(at.index(len)),
            Harm::Gone => {}
        }
    });
}

/// The files there are, the catalog last.
fn file(dir: &Path, which: usize) -> std::path::PathBuf {
    match which {
        4 => dir.join("catalog.redb"),
        n => segment(dir, n as u64 * EACH + 1),
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A log to which all of this has happened.
fn ruined(harms: &[(usize, Harm)]) -> tempfile::TempDir {
    static SOUND: OnceLock<tempfile::TempDir> = OnceLock::new();
    let sound = SOUND.get_or_init(|| {
        let dir = fast_dir();
        log_in(dir.path());
        dir
    });
    let dir = fast_dir();
    copy(sound.path(), dir.path());
    for (which, harm) in harms {
        inflict(&file(dir.path(), *which), harm);
    }
    dir
}

/// What the child process is told its log by.
const DIR: &str = "TGW_WAL_RUINED";

/// Everything that a daemon does with its log. What it answers does not matter here, that it answers does.
#[test]
#[ignore = "the child of the test below"]
fn child() {
    let dir = std::env::var(DIR).unwrap();
    let dir = Path::new(&dir);
    drop(wal::verify(dir, &mut |_| {}));
    let append = |from: u64, until: u64| {
        move |log: &mut Log| {
            let known = (until - 100..until - 95).map(event);
            let records = (from..until).map(event).chain(known).collect();
            log.append(&batch(records)).is_ok()
        }
    };
    type Work = Box<dyn Fn(&mut Log) -> bool>;
    let works: [Work; 8] = [
        Box::new(append(TAIL + 1, TAIL + 2)),
        Box::new(append(TAIL + 2, TAIL + 150)),
        Box::new(|log| log.reader().read(seq(1), usize::MAX, usize::MAX).is_ok()),
        Box::new(|log| log.seal().is_ok()),
        Box::new(append(TAIL + 150, TAIL + 300)),
        Box::new(|log| log.trim(seq(EACH + 1)).is_ok()),
        Box::new(|log| log.reader().read(seq(TAIL), usize::MAX, usize::MAX).is_ok()),
        Box::new(|log| log.seal().is_ok()),
    ];
    let mut open = None;
    for work in works {
        let Some(mut log) = open
            .take()
            .or_else(|| Log::open(dir, Options::default()).ok())
        else {
            return;
        };
        // After an error it is opened anew, as the daemon does.
        open = work(&mut log).then_some(log);
    }
    drop(open.map(Log::close));
}

/// Runs [`child`] on a log; how it ended, unless well, with what it said.
fn lived_through(dir: &Path) -> Result<(), String> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "ruin::child", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdin(Stdio::null());
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {said}", output.status)),
    }
}

/// Reads everything; every number is a record as it was written, in a hole, or past the end.
fn account(dir: &Path, catalog_harmed: bool) {
    let reader = Reader::open(dir).unwrap();
    let first = reader.first().unwrap().unwrap();
    let tail = reader.tail().unwrap().unwrap().get();
    // Without its catalog a log cannot know that its first segment is missing.
    assert!(first.get() == 1 || catalog_harmed, "starts at {first}");
    let mut numbers: BTreeSet<u64> = BTreeSet::new();
    for record in reader.read(first, usize::MAX, usize::MAX).unwrap() {
        let n = record.header().seq.get();
        assert_eq!(record.payload(), event(n).payload, "record {n}");
        assert!(numbers.insert(n));
    }
    for hole in reader.holes().unwrap() {
        for n in hole.first.get()..=hole.last.get().min(TAIL + 10) {
            assert!(numbers.insert(n), "record {n} lies in a hole");
        }
    }
    let expected = (first.get()..=tail.min(TAIL + 10)).collect();
    assert_eq!(numbers, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(std::env::var("RUIN").map_or(40, |v| v.parse().unwrap())))]

    #[test]
    fn after_any_damage_a_salvaged_log_opens_and_accounts_for_every_number(
        harms in prop::collection::vec((0..5usize, harm()), 1..4),
    ) {
        let dir = ruined(&harms);
        let catalog_harmed = harms.iter().any(|(which, _)| *which == 4);
        // Neither opening, closing nor verifying ends in a panic, whatever they answer.
        drop(wal::verify(dir.path(), &mut |_| {}));
        if let Ok(log) = Log::open(dir.path(), Options::default()) {
            // Closing writes what opening only reads, and may be the first to meet a damaged page.
            drop(log.close());
        }
        salvage(dir.path(), Options::default(), None, None).unwrap();
        account(dir.path(), catalog_harmed);
        let found = findings(dir.path());
        prop_assert!(found.is_empty(), "{:?}", found);
        let mut log = Log::open(dir.path(), Options::default()).unwrap();
        prop_assert_eq!(&log.recovery().damaged, &[]);
        let next = log.reader().tail().unwrap().unwrap().next();
        let done = log.append(&batch(vec![keyed(1, b"one more")])).unwrap();
        prop_assert_eq!(done.tail, Some(next));
        log.close().unwrap();
    }

    #[test]
    fn after_any_damage_the_log_answers_and_ends_no_process(
        harms in prop::collection::vec((prop_oneof![0..5usize, 3..5usize], harm()), 1..4),
    ) {
        let dir = ruined(&harms);
        let lived = lived_through(dir.path());
        prop_assert!(lived.is_ok(), "{}", lived.unwrap_err());
    }
}
