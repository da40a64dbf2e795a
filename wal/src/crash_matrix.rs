//! The power is cut at every sync of every short life of a log, with every fate of what was not
//! synced, and again at every sync of the recovery from that. What the caller was told decides
//! what must be there ([`op::Told`]).
//!
//! A life is a sequence of [`op::Op`]s on a [`Machine`]. All sequences up to a length are tried;
//! long ones are drawn at random. A sequence is cut only in its last operation: the cuts before
//! that are those of a shorter sequence.
//!
//! `TGW_CRASH_LENGTH` is the length of the sequences with [`Setup::Roomy`], 2 at least; those of the
//! other setups, and those in which what comes after the first cut is cut, too, are shorter by one.
//! With [`Setup::Kept`] that is what comes after an append and a seal, as nothing can be archived
//! before, and it archives or trims. Without the variable the length is 3, sequences of more than
//! one operation start with an append, and what comes after the first cut is cut in one of
//! [`SECOND_EVERY`] cases: all of them take hours. The variable also has every operation of the
//! disk fail in the longer of the two lives of [`errors`]. `PROPTEST_CASES` is the number of random
//! lives.
//!
//! What a log does beside its appends (the digest, the next segment's file, the keys on their way
//! into the catalog) is done at once here, where the append asks for it, so that every run is the
//! same: no cut falls between such work and an append that came meanwhile.
//!
//! A new operation is a variant of [`op::Op`], its place in [`op::OPS`], what it asks for
//! (`asked`), how it is carried out (`carry_out`), and what is done again after a crash in its
//! middle, if it does not complete itself (`recover`).

mod check;
mod errors;
mod life;
mod op;
mod random;
mod wreck;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Options;
use crate::fault::{Cut, FATES, Fate, Machine};
use crate::prepared::PREPARED;
use crate::redo::{self, REDO};
use check::{check, go_on, observe};
use life::Life;
use op::{OPS, Op, State, Told};
use wreck::recover;

/// How a log is set up, for the ways of a commit to the disk and of a segment to its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setup {
    /// Two batches fill a segment, whose file is made ahead; of a commit only the engine's header
    /// fits into the redo file.
    Tiny,
    /// Commits go through the redo file, some five to a lap; segments are sealed by request, and
    /// no file is made ahead.
    Roomy,
    /// As it ships: two batches fill a segment, whose file is made ahead, and commits go through
    /// the redo file.
    Shipped,
    /// As roomy, and what is trimmed is archived.
    Kept,
}

const SETUPS: [Setup; 4] = [Setup::Tiny, Setup::Roomy, Setup::Shipped, Setup::Kept];

/// The directory of the archive, one for all lives of the log.
const ARCHIVE: &str = "archive";

impl Setup {
    /// Whether what is trimmed is archived.
    fn archives(self) -> bool {
        self == Setup::Kept
    }
}

fn options(setup: Setup) -> Options {
    Options {
        segment_bytes_max: match setup {
            Setup::Tiny | Setup::Shipped => 2000,
            Setup::Roomy | Setup::Kept => 2 << 20,
        },
        redo_bytes: match setup {
            Setup::Tiny => 16 << 10,
            Setup::Roomy | Setup::Shipped | Setup::Kept => 256 << 10,
        },
        cache_bytes: 1 << 20,
        archive: setup.archives().then(|| ARCHIVE.into()),
        ..Options::default()
    }
}

/// Of so many first cuts one is followed by second ones. No divisor of the number of fates.
const SECOND_EVERY: usize = 37;

/// Whether the first cut that was counted as this one is followed by second ones.
fn is_cut_again(count: usize) -> bool {
    asked_length().is_some() || count.is_multiple_of(SECOND_EVERY)
}

/// The value of `TGW_CRASH_LENGTH`.
fn asked_length() -> Option<usize> {
    let set = std::env::var("TGW_CRASH_LENGTH").ok();
    set.map(|text| text.parse().expect("TGW_CRASH_LENGTH"))
}

fn length() -> usize {
    asked_length().unwrap_or(3)
}

/// Every sequence of exactly this many operations.
fn sequences(length: usize, ops: &[Op]) -> Vec<Vec<Op>> {
    let mut all = vec![Vec::new()];
    for _ in 0..length {
        let longer = |before: &Vec<Op>| {
            let before = before.clone();
            ops.iter().map(move |op| [&*before, &[*op]].concat())
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// The sequences of up to so many operations that are worth a trial with this setup.
fn worthwhile(longest: usize, setup: Setup) -> Vec<Vec<Op>> {
    if setup.archives() {
        let archives = |ops: &Vec<Op>| ops.contains(&Op::Archive) || ops.contains(&Op::Trim);
        let all = (1..=longest).flat_map(|length| sequences(length, &OPS));
        let after_a_seal = |ops: Vec<Op>| [&[Op::Append, Op::Seal], &*ops].concat();
        return all.filter(archives).map(after_a_seal).collect();
    }
    let ops: Vec<Op> = OPS.into_iter().filter(|op| *op != Op::Archive).collect();
    // Little happens to an empty log, so most of the time goes to those that are not.
    let everything = asked_length().is_some();
    let is_worth = |ops: &Vec<Op>| everything || ops.len() < 2 || ops[0] == Op::Append;
    let all = (0..=longest).flat_map(|length| sequences(length, &ops));
    all.filter(is_worth).collect()
}

/// The cuts of the last operation, or of the making of the log where there is none, and the one
/// after it, each with what the caller had been told by then.
fn cuts_of(ops: &[Op], setup: Setup) -> Vec<(Cut, Told)> {
    let machine = Machine::new();
    let Some((last, before)) = ops.split_last() else {
        machine.keep_cuts();
        let life = Life::on(machine.clone(), setup);
        let told = Told::default();
        let cuts = machine.take_cuts().into_iter().chain([life.machine.cut()]);
        return cuts.map(|cut| (cut, told.clone())).collect();
    };
    let mut life = Life::on(machine, setup);
    for op in before {
        life.take(*op).unwrap();
    }
    let asked = Told::asking(life.told.now.clone(), *last, setup);
    life.keep_cuts();
    life.take(*last).unwrap();
    let cuts = life.machine.take_cuts().into_iter();
    let mut all: Vec<(Cut, Told)> = cuts.map(|cut| (cut, asked.clone())).collect();
    all.push((life.machine.cut(), life.told.clone()));
    all
}

/// What was tried, so that a test can say that it was worth it.
#[derive(Debug, Default)]
struct Tried {
    cuts: usize,
    second_cuts: usize,
    /// What they left of the disk, each counted once.
    disks: usize,
}

/// Disks that were checked against what the caller had been told.
#[derive(Default)]
struct Seen(HashSet<(u64, State, bool)>);

impl Seen {
    fn is_new(&mut self, machine: &Machine, told: &Told) -> bool {
        let key = (
            machine.fingerprint(),
            told.now.clone(),
            told.asked.is_some(),
        );
        self.0.insert(key)
    }
}

/// What happens to one sequence of operations.
type Trial = fn(&[Op], Setup) -> Tried;

/// Cuts the last operation everywhere.
fn cut_once(ops: &[Op], setup: Setup) -> Tried {
    try_cuts(ops, setup, false)
}

/// Cuts the last operation everywhere, and the recovery from each cut everywhere.
fn cut_twice(ops: &[Op], setup: Setup) -> Tried {
    try_cuts(ops, setup, true)
}

fn try_cuts(ops: &[Op], setup: Setup, twice: bool) -> Tried {
    let mut tried = Tried::default();
    let mut seen = Seen::default();
    for (n, (cut, told)) in cuts_of(ops, setup).into_iter().enumerate() {
        for fate in FATES {
            tried.cuts += 1;
            let machine = cut.restart(fate);
            if !seen.is_new(&machine, &told) {
                continue;
            }
            tried.disks += 1;
            if twice && !is_cut_again(tried.disks) {
                continue;
            }
            let how = format!("{setup:?} {ops:?} cut at sync {n} of the last, {fate:?}");
            machine.keep_cuts();
            let log = recover(&machine, setup, &told);
            let log = log.unwrap_or_else(|e| panic!("{how}: {e:?}"));
            let cuts = machine.take_cuts();
            let state = observe(&log, &told, &how);
            go_on(log, &machine, &state, &how);
            if twice {
                tried.second_cuts += cuts.len() * FATES.len();
                tried.disks += cut_again(&cuts, setup, &told, &mut seen, &how);
            }
        }
    }
    tried
}

/// Cuts a recovery everywhere; says how many disks that left that were not seen before.
fn cut_again(cuts: &[Cut], setup: Setup, told: &Told, seen: &mut Seen, how: &str) -> usize {
    let mut disks = 0;
    for (n, cut) in cuts.iter().enumerate() {
        for fate in FATES {
            let machine = cut.restart(fate);
            if seen.is_new(&machine, told) {
                disks += 1;
                let how = format!("{how}, then at sync {n} of the recovery, {fate:?}");
                check(&machine, setup, told, &how);
            }
        }
    }
    disks
}

/// Kills the process at some of the syncs of the last operation; the next one opens the log and
/// appends, and then the power goes, at each of its syncs.
fn kill_then_cut(ops: &[Op], setup: Setup) -> Tried {
    let kills = cuts_of(ops, setup).into_iter().enumerate();
    let some = kills
        .filter(|(n, _)| is_cut_again(*n))
        .map(|(_, kill)| kill);
    kill_at(some, ops, setup, Op::Append)
}

/// The same at all of the syncs, and the next one does the last operation again.
fn kill_then_cut_again(ops: &[Op], setup: Setup) -> Tried {
    let all = cuts_of(ops, setup).into_iter();
    kill_at(all, ops, setup, *ops.last().unwrap())
}

fn kill_at(kills: impl Iterator<Item = (Cut, Told)>, ops: &[Op], setup: Setup, next: Op) -> Tried {
    let (mut tried, mut seen) = (Tried::default(), Seen::default());
    for (n, (killed, told)) in kills.enumerate() {
        let how = format!("{setup:?} {ops:?}, kill {n} in the last, then {next:?}");
        let cuts = cuts_after_kill(killed.kill(), setup, &told, next, &how);
        tried.second_cuts += cuts.len() * FATES.len();
        tried.cuts += cuts.len() * FATES.len();
        for (n, (cut, told)) in cuts.iter().enumerate() {
            for fate in FATES {
                let machine = cut.restart(fate);
                if seen.is_new(&machine, told) {
                    tried.disks += 1;
                    let how = format!("{how}, cut at its sync {n}, {fate:?}");
                    check(&machine, setup, told, &how);
                }
            }
        }
    }
    tried
}

/// The cuts of opening the log and of the next operation, and the one after it, each with what
/// the caller had been told by then.
fn cuts_after_kill(
    machine: Machine,
    setup: Setup,
    told: &Told,
    next: Op,
    how: &str,
) -> Vec<(Cut, Told)> {
    machine.keep_cuts();
    let life = Life::after(machine, setup, told.clone());
    let mut life = life.unwrap_or_else(|e| panic!("{how}: {e:?}"));
    let opening = life.machine.take_cuts().into_iter();
    let mut cuts: Vec<(Cut, Told)> = opening.map(|cut| (cut, told.clone())).collect();
    let now = observe(life.log.as_ref().unwrap(), told, how);
    life.told = Told::known(now.clone());
    let asked = Told::asking(now, next, setup);
    life.keep_cuts();
    life.take(next).unwrap_or_else(|e| panic!("{how}: {e:?}"));
    let working = life.machine.take_cuts().into_iter();
    cuts.extend(working.map(|cut| (cut, asked.clone())));
    cuts.push((life.machine.cut(), life.told.clone()));
    cuts
}

/// Tries every sequence of up to so many operations, on all cores.
fn try_sequences(longest: usize, setup: Setup, trial: Trial) -> Tried {
    let all = worthwhile(longest, setup);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut tried = Vec::new();
        while let Some(ops) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            tried.push(trial(ops, setup));
        }
        tried
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tried = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.collect::<Vec<_>>()
    });
    let mut total = Tried::default();
    for one in tried {
        for one in one.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
            total.cuts += one.cuts;
            total.disks += one.disks;
            total.second_cuts += one.second_cuts;
        }
    }
    println!("{setup:?}, {} sequences: {total:?}", all.len());
    total
}

#[test]
fn nothing_acknowledged_is_lost_by_a_power_cut_at_any_sync_of_any_short_life() {
    let tried = try_sequences(length(), Setup::Roomy, cut_once);
    assert!(tried.disks > 1000, "too little is cut: {tried:?}");
    for setup in [Setup::Tiny, Setup::Shipped, Setup::Kept] {
        let tried = try_sequences(length() - 1, setup, cut_once);
        assert!(tried.disks > 1000, "too little is cut: {tried:?}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_second_power_cut_during_recovery() {
    for setup in SETUPS {
        let tried = try_sequences(length() - 1, setup, cut_twice);
        assert!(tried.second_cuts > 1000, "recovery syncs too: {tried:?}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_a_process_is_killed_and_later_the_power_goes() {
    for setup in SETUPS {
        let tried = try_sequences(length() - 1, setup, kill_then_cut);
        assert!(tried.disks > 1000, "too little is cut: {tried:?}");
    }
}

/// A setup that does not do what it says lets its cuts prove nothing.
#[test]
fn each_setup_takes_the_way_to_the_disk_that_it_says() {
    for (setup, ahead, redo) in [
        (Setup::Tiny, true, false),
        (Setup::Roomy, false, true),
        (Setup::Shipped, true, true),
        (Setup::Kept, false, true),
    ] {
        let mut life = Life::on(Machine::new(), setup);
        life.take(Op::Append).unwrap();
        let dir = life::log_dir(&life.machine, 0);
        assert_eq!(dir.file(PREPARED).is_some(), ahead, "{setup:?}");
        let (frames, _) = redo::lap(&dir.file(REDO).unwrap());
        let mut places = frames.iter().flat_map(|frame| frame.writes.keys());
        assert_eq!(places.any(|at| *at >= 4096), redo, "{setup:?}");
    }
}

#[test]
fn nothing_archived_is_lost_when_a_process_is_killed_and_later_the_power_goes() {
    for op in [Op::Archive, Op::Trim, Op::Backup] {
        let tried = kill_then_cut_again(&[Op::Append, Op::Seal, op], Setup::Kept);
        assert!(tried.disks > 10, "too little is cut: {tried:?}");
    }
}

/// A test that accepts a disk that lies accepts everything.
#[test]
fn a_log_on_a_disk_that_only_says_that_it_synced_is_caught() {
    for op in [Op::Append, Op::Note] {
        let mut life = Life::on(Machine::new(), Setup::Tiny);
        life.machine.lie_about_syncs();
        life.take(op).unwrap();
        let machine = life.machine.restart(Fate::Lost);
        let caught =
            std::panic::catch_unwind(|| check(&machine, Setup::Tiny, &life.told, "not synced"));
        assert!(caught.is_err(), "{op:?}");
    }
}
