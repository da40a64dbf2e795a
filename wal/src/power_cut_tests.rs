//! The power is cut at every sync of a short life of a log, with every fate of what was not
//! synced, and once more at every sync of the recovery from that.

use crate::fault::{FATES, Fate, Machine};
use crate::verify::verify_on;
use crate::{AppendError, Batch, Log, NewRecord, Options, Outcome, Seq};

/// What the caller was told, and what it was waiting for when the power went.
#[derive(Default, Clone)]
struct Caller {
    /// Batches acknowledged.
    acknowledged: u64,
    /// One more was handed in and not answered.
    in_flight: bool,
    /// Trimmed below, acknowledged or not.
    trimmed: u64,
}

const PER_BATCH: u64 = 2;
const BATCHES: u64 = 6;

fn record(n: u64) -> NewRecord {
    NewRecord {
        codec: 1,
        flags: 0,
        kind: 1,
        peer_kind: 1,
        peer_id: 7,
        message_id: n as i64,
        received_at: 1,
        source_at: 1,
        // Long enough to fill pages, so that torn sectors tear records.
        payload: vec![n as u8; 700],
        key: Some(n.to_be_bytes().to_vec()),
    }
}

/// Batch `b` holds records `2b-1` and `2b` and says so in bookmark and cursor.
fn batch(b: u64) -> Batch {
    Batch {
        records: (b * PER_BATCH - 1..=b * PER_BATCH).map(record).collect(),
        bookmarks: vec![("source".into(), b.to_be_bytes().to_vec())],
        cursors: vec![("relay".into(), Seq::new(b * PER_BATCH - 1).unwrap())],
    }
}

fn options() -> Options {
    // Two batches fill a segment.
    Options {
        segment_bytes_max: 2000,
        cache_bytes: 1 << 20,
        ..Options::default()
    }
}

/// Lives until the end or until the power goes.
fn live(machine: &Machine, caller: &mut Caller) -> Result<(), AppendError> {
    let Ok(mut log) = Log::open_on(machine, options()) else {
        return Err(AppendError::Poisoned);
    };
    for b in caller.acknowledged + 1..=BATCHES {
        caller.in_flight = true;
        log.append(&batch(b))?;
        (caller.acknowledged, caller.in_flight) = (b, false);
    }
    caller.trimmed = 5;
    log.trim(Seq::new(5).unwrap())?;
    log.seal()?;
    log.close()
}

/// The log opens and holds what was acknowledged; the same batches handed in again change
/// nothing; it can go on.
fn check(machine: &Machine, caller: &Caller, how: &str) -> u64 {
    let mut log = Log::open_on(machine, options()).unwrap_or_else(|e| panic!("{how}: {e}"));
    let opened = machine.syncs();
    let tail = log.recovery().tail.map_or(0, Seq::get);
    let acknowledged = caller.acknowledged * PER_BATCH;
    let in_flight = if caller.in_flight { PER_BATCH } else { 0 };
    assert!(
        tail == acknowledged || tail == acknowledged + in_flight,
        "{how}: tail {tail}, acknowledged {acknowledged}"
    );
    let reader = log.reader();
    let first = reader.first().unwrap().map_or(tail + 1, Seq::get);
    assert!(
        first == 1 || first <= caller.trimmed,
        "{how}: starts at {first}"
    );
    let records = reader
        .read(Seq::new(first).unwrap(), 1000, usize::MAX)
        .unwrap();
    let numbers: Vec<u64> = records.iter().map(|r| r.header().seq.get()).collect();
    assert_eq!(numbers, (first..=tail).collect::<Vec<_>>(), "{how}");
    for found in &records {
        let wanted = record(found.header().seq.get());
        assert_eq!(found.payload(), wanted.payload, "{how}");
        assert_eq!(found.header().message_id, wanted.message_id, "{how}");
    }
    if tail > 0 {
        let b = tail / PER_BATCH;
        assert_eq!(
            log.bookmarks().unwrap(),
            batch(b).bookmarks,
            "{how}: bookmark beside its records"
        );
        assert_eq!(
            reader.cursors().unwrap(),
            batch(b).cursors,
            "{how}: cursor beside its records"
        );
    }
    let all = 1..=(BATCHES + 1) * PER_BATCH;
    let again = Batch {
        records: all.clone().map(record).collect(),
        ..Batch::default()
    };
    let expected = all.map(|n| {
        let seq = Seq::new(n).unwrap();
        if n <= tail {
            Outcome::Duplicate(seq)
        } else {
            Outcome::Appended(seq)
        }
    });
    let done = log.append(&again).unwrap();
    assert_eq!(done.outcomes, expected.collect::<Vec<_>>(), "{how}: again");
    log.close().unwrap();
    let report = verify_on(machine, &mut |_| {}).unwrap();
    assert!(report.findings.is_empty(), "{how}: {:?}", report.findings);
    opened
}

/// The machine after a life in which the power went at `cut`.
fn life_cut_at(cut: u64) -> (Machine, Caller) {
    let (machine, mut caller) = (Machine::new(), Caller::default());
    machine.cut_power_at(cut);
    live(&machine, &mut caller).expect_err("the power went");
    assert!(machine.is_off());
    (machine, caller)
}

fn syncs_of_a_life() -> u64 {
    let (machine, mut caller) = (Machine::new(), Caller::default());
    live(&machine, &mut caller).unwrap();
    check(&machine.restart(Fate::Lost), &caller, "uncut");
    machine.syncs()
}

#[test]
fn nothing_acknowledged_is_lost_by_a_power_cut_at_any_sync() {
    let syncs = syncs_of_a_life();
    assert!(
        syncs > 30,
        "the life of the log is too short to be worth cutting: {syncs}"
    );
    for cut in 1..=syncs {
        let (machine, caller) = life_cut_at(cut);
        for fate in FATES {
            check(
                &machine.restart(fate),
                &caller,
                &format!("cut at sync {cut}, {fate:?}"),
            );
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_second_power_cut_during_recovery() {
    let syncs = syncs_of_a_life();
    let mut cuts = 0;
    for cut in 1..=syncs {
        let (machine, caller) = life_cut_at(cut);
        // One of the fates in turn, so that each meets each kind of sync over the whole life.
        let fate = FATES[cut as usize % FATES.len()];
        let during = check(
            &machine.restart(fate),
            &caller,
            "to count the syncs of recovery",
        );
        for second in 1..=during {
            let recovering = machine.restart(fate);
            recovering.cut_power_at(second);
            Log::open_on(&recovering, options()).expect_err("the power went again");
            cuts += 1;
            // In turn again: over all cuts, every pair of fates meets every kind of sync.
            let second_fate = FATES[(cut / 5 + second) as usize % FATES.len()];
            let how = format!("cut at sync {cut}, {fate:?}, then at {second}, {second_fate:?}");
            check(&recovering.restart(second_fate), &caller, &how);
        }
    }
    assert!(cuts > syncs, "recovery syncs too: {cuts}");
}

#[test]
fn a_full_disk_poisons_the_handle_and_loses_nothing() {
    let machine = Machine::new();
    let mut log = Log::open_on(&machine, options()).unwrap();
    log.append(&batch(1)).unwrap();
    machine.set_capacity(Some(machine.used()));
    let mut acknowledged = 1;
    let refused = loop {
        match log.append(&batch(acknowledged + 1)) {
            Ok(_) => acknowledged += 1,
            Err(e) => break e,
        }
        assert!(acknowledged < 10_000, "the disk never fills");
    };
    assert!(refused.is_disk_full(), "{refused:?}");
    let again = log.append(&batch(acknowledged + 1)).unwrap_err();
    assert!(matches!(again, AppendError::Poisoned), "{again}");
    assert!(matches!(log.seal(), Err(AppendError::Poisoned)));
    let tail = log.reader().tail().unwrap().unwrap().get();
    assert_eq!(tail, acknowledged * PER_BATCH, "reading goes on");
    drop(log);
    machine.set_capacity(None);
    let mut log = Log::open_on(&machine, options()).unwrap();
    let tail = log.recovery().tail.unwrap().get();
    assert_eq!(tail, acknowledged * PER_BATCH);
    log.append(&batch(acknowledged + 1)).unwrap();
}
