//! Single bits of a log's files are flipped.
//!
//! By default: every bit of the first 64 bytes of each file, where the engine's flags and sizes
//! are, and one bit of each 37th byte of the rest. `TGW_FLIP_ALL=1/8` tries every bit of every eighth
//! byte, `2/8` those beside them and so on; all eight take half an hour a file on two cores, in a
//! release build. Bytes that no operation reads are left out in either case: nothing depends on them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fault::Machine;
use crate::plan::{CATALOG, segment_name};
use crate::verify::verify_on;

use super::{RECORDS, Verdict, ask, judge, log};

/// The file with its bytes that matter.
fn matters(machine: &Machine, file: &str) -> Vec<usize> {
    verify_on(machine, &mut |_| {}).unwrap();
    ask(machine).unwrap();
    let read = machine.read_bytes(file);
    (0..read.len()).filter(|at| read[*at]).collect()
}

/// Which part of how many is flipped in full; none without the wish for it.
fn part() -> Option<(usize, usize)> {
    let wish = std::env::var("TGW_FLIP_ALL").ok()?;
    let part = wish
        .split_once('/')
        .and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)))
        .filter(|(part, of)| (1..=*of).contains(part));
    Some(part.unwrap_or_else(|| panic!("TGW_FLIP_ALL={wish} is not a part such as 1/8")))
}

/// Which bits of the byte at this place are flipped.
fn bits(at: usize, part: Option<(usize, usize)>) -> std::ops::Range<u8> {
    const EVERY: usize = 37;
    /// Without a checksum; what follows of the header has its own.
    const FLAGS_AND_SIZES: usize = 64;
    match part {
        Some((part, of)) if at % of + 1 == part => 0..8,
        Some(_) => 0..0,
        None if at < FLAGS_AND_SIZES => 0..8,
        None if at.is_multiple_of(EVERY) => {
            let bit = (at / EVERY % 8) as u8;
            bit..bit + 1
        }
        None => 0..0,
    }
}

/// Flips bits of one file, on all cores. Says how often which verdict was given.
fn flip_all(file: &str) -> BTreeMap<Verdict, usize> {
    let machine = log();
    let sound = ask(&machine.cut().kill()).unwrap();
    let places = matters(&machine.cut().kill(), file);
    assert!(places.len() > 4096, "{file}: {}", places.len());
    let bytes = machine.file(file).unwrap();
    let part = part();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut verdicts = Vec::new();
        while let Some(at) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            for bit in bits(*at, part) {
                let damaged = machine.cut().kill();
                let mut bytes = bytes.clone();
                bytes[*at] ^= 1 << bit;
                damaged.put_file(file, bytes);
                let verdict = judge(&damaged, &sound);
                if let Verdict::Wrong(what) = &verdict {
                    println!("bit {bit} of byte {at} of {file}: {what}");
                }
                verdicts.push(verdict);
            }
        }
        verdicts
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.collect::<Vec<_>>()
    });
    let mut count = BTreeMap::new();
    for verdicts in all {
        for verdict in verdicts.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
            *count.entry(verdict).or_default() += 1;
        }
    }
    println!("{file}, {} bytes matter: {count:?}", places.len());
    let wrong = |verdict: &Verdict| matches!(verdict, Verdict::Wrong(_));
    assert!(!count.keys().any(wrong), "{file}: {count:?}");
    count
}

#[test]
fn a_flipped_bit_of_a_sealed_segment_is_found_or_changes_nothing() {
    let verdicts = flip_all(&segment_name(1));
    assert!(verdicts[&Verdict::Found] > 300, "{verdicts:?}");
}

#[test]
fn a_flipped_bit_of_the_active_segment_is_found_or_changes_nothing() {
    flip_all(&segment_name(RECORDS + 1));
}

#[test]
fn a_flipped_bit_of_the_catalog_is_found_or_changes_nothing() {
    flip_all(CATALOG);
}
