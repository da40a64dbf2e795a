//! Pages, sectors and whole files that are not what they were.

use crate::fault::Machine;
use crate::plan::{CATALOG, segment_name};
use crate::{Batch, Log, Outcome, Seq};

use super::{Answers, RECORDS, Verdict, ask, judge, log, options, record};

const PAGE: usize = 4096;

/// The files of a log with what they hold.
fn files() -> [String; 3] {
    [segment_name(1), segment_name(RECORDS + 1), CATALOG.into()]
}

/// Tries changed bytes in place of each file; `None` leaves one out.
fn each(change: impl Fn(&[u8], usize) -> Option<Vec<u8>>) {
    let machine = log();
    let sound = ask(&machine.cut().kill()).unwrap();
    let mut found = 0;
    for file in files() {
        let bytes = machine.file(&file).unwrap();
        for at in 0..=bytes.len() / 512 {
            let Some(changed) = change(&bytes, at * 512) else {
                continue;
            };
            if changed == bytes {
                continue;
            }
            let damaged = machine.cut().kill();
            damaged.put_file(&file, changed);
            let verdict = judge(&damaged, &sound);
            let is_wrong = matches!(verdict, Verdict::Wrong(_));
            assert!(!is_wrong, "{file} at {}: {verdict:?}", at * 512);
            found += usize::from(verdict == Verdict::Found);
        }
    }
    assert!(found > 0, "nothing was damaged");
}

#[test]
fn a_page_of_zeroes_is_found_or_changes_nothing() {
    each(|bytes, at| {
        let end = (at + PAGE).min(bytes.len());
        at.is_multiple_of(PAGE).then(|| zeroed(bytes, at, end))
    });
}

#[test]
fn a_first_sector_of_zeroes_is_found() {
    each(|bytes, at| (at == 0).then(|| zeroed(bytes, 0, 512)));
}

fn zeroed(bytes: &[u8], from: usize, to: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[from..to].fill(0);
    bytes
}

#[test]
fn a_file_cut_short_is_found_or_lacks_nothing() {
    each(|bytes, at| (at.is_multiple_of(1536) && at < bytes.len()).then(|| bytes[..at].to_vec()));
}

/// Three sealed segments and an active one; and the catalog as it was after each seal.
fn grown() -> (Machine, Vec<Vec<u8>>) {
    let machine = Machine::new();
    let mut log = Log::open_on(&machine, options()).unwrap();
    let mut catalogs = Vec::new();
    for n in 0..4 {
        let part = super::batch(n * 10 + 1..=n * 10 + 10);
        log.append(&part).unwrap();
        if n < 3 {
            log.seal().unwrap();
            log.close().unwrap();
            catalogs.push(machine.file(CATALOG).unwrap());
            log = Log::open_on(&machine, options()).unwrap();
        }
    }
    log.close().unwrap();
    (machine, catalogs)
}

#[test]
fn segments_that_changed_places_are_found_and_no_wrong_record_is_read() {
    let machine = grown().0;
    let sound = ask(&machine.cut().kill()).unwrap();
    for (one, other) in [(1, 11), (1, 21), (11, 21), (1, 31), (21, 31)] {
        let (one, other) = (segment_name(one), segment_name(other));
        let damaged = machine.cut().kill();
        damaged.put_file(&one, machine.file(&other).unwrap());
        assert_eq!(judge(&damaged, &sound), Verdict::Found, "{one} is {other}");
        let damaged = machine.cut().kill();
        damaged.put_file(&one, machine.file(&other).unwrap());
        damaged.put_file(&other, machine.file(&one).unwrap());
        assert_eq!(judge(&damaged, &sound), Verdict::Found, "{one} and {other}");
    }
}

#[test]
fn a_segment_of_another_log_is_found_and_nothing_of_it_is_read() {
    let (machine, other) = (grown().0, grown().0);
    let sound = ask(&machine.cut().kill()).unwrap();
    for first in [1, 11, 21, 31] {
        let damaged = machine.cut().kill();
        let file = segment_name(first);
        damaged.put_file(&file, other.file(&file).unwrap());
        // The records are the same, which is why only verification can tell.
        assert_eq!(judge(&damaged, &sound), Verdict::Found, "{file}");
    }
}

/// The log opens by itself, and answers as if nothing had been.
fn heals(machine: &Machine, sound: &Answers, how: &str) {
    assert_eq!(ask(machine).as_ref(), Ok(sound), "{how}");
    assert!(super::is_sound(machine), "{how}: later");
}

#[test]
fn a_catalog_that_is_gone_is_made_again() {
    let machine = grown().0;
    let sound = ask(&machine.cut().kill()).unwrap();
    let damaged = machine.cut().kill();
    damaged.remove_file(CATALOG);
    assert!(!super::is_sound(&damaged));
    heals(&damaged, &sound, "without a catalog");
}

#[test]
fn a_catalog_older_than_the_segments_is_brought_up_to_them() {
    let (machine, catalogs) = grown();
    let sound = ask(&machine.cut().kill()).unwrap();
    for (n, old) in catalogs.into_iter().enumerate() {
        let damaged = machine.cut().kill();
        damaged.put_file(CATALOG, old);
        heals(&damaged, &sound, &format!("the catalog of seal {n}"));
    }
}

#[test]
fn a_catalog_older_than_a_trim_loses_nothing_but_the_start() {
    let (machine, catalogs) = grown();
    let mut log = Log::open_on(&machine, options()).unwrap();
    log.trim(Seq::new(11).unwrap()).unwrap();
    log.close().unwrap();
    for old in catalogs {
        let damaged = machine.cut().kill();
        damaged.put_file(CATALOG, old);
        let mut log = Log::open_on(&damaged, options()).unwrap();
        let from = Seq::new(11).unwrap();
        let records = log.reader().read(from, 1000, usize::MAX).unwrap();
        assert_eq!(records.len(), 30);
        let again = Batch {
            records: (11..=41).map(record).collect(),
            ..Batch::default()
        };
        let outcomes = log.append(&again).unwrap().outcomes;
        assert_eq!(outcomes[0], Outcome::Duplicate(from));
        log.close().unwrap();
    }
}
