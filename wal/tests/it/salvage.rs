//! Salvage: what can be read is saved under its own number, and what cannot is named for ever.

use std::fs;
use std::path::Path;

use wal::{
    FindingKind, Hole, HoleCause, Log, OpenError, Options, Outcome, Reader, Record, RecordSource,
    SalvageReport, Seq, salvage,
};

use crate::common::{batch, fast_dir};
use crate::wreck::{EACH, TAIL, all, edit, event, findings, log_in, numbers, segment, seq, wipe};

fn run(dir: &Path) -> SalvageReport {
    salvage(dir, Options::default(), None, None).unwrap()
}

fn ranges(holes: &[Hole]) -> Vec<(u64, u64)> {
    let holes = holes.iter();
    holes.map(|h| (h.first.get(), h.last.get())).collect()
}

/// A log, its records, and the file of its second segment as it was.
fn sample() -> (tempfile::TempDir, Vec<Record>, Vec<u8>) {
    let dir = fast_dir();
    log_in(dir.path());
    let records = all(&Reader::open(dir.path()).unwrap());
    assert_eq!(records.len() as u64, TAIL);
    let file = fs::read(segment(dir.path(), EACH + 1)).unwrap();
    (dir, records, file)
}

/// The log is sound and has exactly these records.
fn has(dir: &Path, records: &[Record]) {
    assert_eq!(all(&Reader::open(dir).unwrap()), records);
    let found = findings(dir);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_sound_log_is_left_as_it_is() {
    let (dir, records, file) = sample();
    assert_eq!(run(dir.path()), SalvageReport::default());
    assert_eq!(fs::read(segment(dir.path(), EACH + 1)).unwrap(), file);
    has(dir.path(), &records);
    let empty = fast_dir();
    let refused = salvage(empty.path(), Options::default(), None, None).unwrap_err();
    assert!(refused.to_string().contains("holds no log"), "{refused}");
}

#[test]
fn everything_comes_back_from_a_file_whose_engine_is_broken() {
    let (dir, records, sound) = sample();
    let file = segment(dir.path(), EACH + 1);
    let before = Reader::open(dir.path()).unwrap().segments().unwrap();
    // The engine's magic, its first page, and each of the first pages after that.
    let mut damages: Vec<std::ops::Range<usize>> = vec![0..512, 0..4096];
    damages.extend((1..8).map(|page| page * 4096..(page + 1) * 4096));
    let mut complete = 0;
    for damage in damages {
        fs::write(&file, &sound).unwrap();
        edit(&file, |bytes| bytes[damage.clone()].fill(0));
        let report = run(dir.path());
        for salvaged in &report.segments {
            assert_eq!(salvaged.first, seq(EACH + 1));
            let kept = dir.path().join(salvaged.kept_as.as_ref().unwrap());
            assert_eq!(
                fs::read(kept).unwrap()[damage.clone()],
                vec![0; damage.len()]
            );
        }
        let lost = report.segments.iter().flat_map(|s| &s.holes).count();
        if lost == 0 {
            complete += 1;
            has(dir.path(), &records);
            let after = Reader::open(dir.path()).unwrap().segments().unwrap();
            assert_eq!(after[1].digest, before[1].digest);
            assert_eq!(after[1].replaces, None, "it is what it was");
        }
        // Holes are for ever: start the next round without them.
        fs::remove_file(dir.path().join("catalog.redb")).unwrap();
    }
    assert!(complete >= 4, "only {complete} came back whole");
}

#[test]
fn a_lost_record_becomes_a_hole_and_the_chain_goes_on() {
    let (dir, records, _) = sample();
    let file = segment(dir.path(), EACH + 1);
    let (from, to) = (EACH + 50, EACH + 52);
    wipe(&file, from..=to);
    assert!(!findings(dir.path()).is_empty());
    let report = run(dir.path());
    assert_eq!(report.fence, None);
    let [salvaged] = &report.segments[..] else {
        panic!("{report:?}")
    };
    assert!(!salvaged.complete);
    assert_eq!(salvaged.records, EACH - 3);
    assert_eq!(ranges(&salvaged.holes), [(from, to)]);
    assert_eq!(salvaged.holes[0].cause, HoleCause::Damage);
    let left: Vec<Record> = records
        .into_iter()
        .filter(|r| !(from..=to).contains(&r.header().seq.get()))
        .collect();
    has(dir.path(), &left);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(ranges(&reader.holes().unwrap()), [(from, to)]);
    let info = &reader.segments().unwrap()[1];
    assert_eq!((info.count, info.missing), (EACH - 3, 3));
    assert!(info.replaces.is_some());
    // The keys of what was lost are still known: it does not come back under a new number.
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    assert_eq!(log.recovery().damaged, []);
    let again = log.append(&batch(vec![event(from)])).unwrap();
    assert_eq!(again.outcomes, [Outcome::Duplicate(seq(from))]);
    log.close().unwrap();
    // Nor when the catalog is made again; and a second salvage finds nothing to do.
    fs::remove_file(dir.path().join("catalog.redb")).unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    assert_eq!(ranges(&log.reader().holes().unwrap()), [(from, to)]);
    let again = log.append(&batch(vec![event(from)])).unwrap();
    assert_eq!(again.outcomes, [Outcome::Duplicate(seq(from))]);
    log.close().unwrap();
    assert_eq!(run(dir.path()), SalvageReport::default());
    has(dir.path(), &left);
}

#[test]
fn a_truncated_file_gives_what_is_left_of_it() {
    let (dir, records, sound) = sample();
    let file = segment(dir.path(), EACH + 1);
    edit(&file, |bytes| bytes.truncate(bytes.len() / 2 + 100));
    let report = run(dir.path());
    let [salvaged] = &report.segments[..] else {
        panic!("{report:?}")
    };
    assert!(
        salvaged.records > 0 && salvaged.records < EACH,
        "{salvaged:?}"
    );
    assert_eq!(salvaged.found.engine, 0);
    assert_eq!(salvaged.found.carved, salvaged.records);
    let lost: u64 = salvaged.holes.iter().map(Hole::count).sum();
    assert_eq!(salvaged.records + lost, EACH);
    let reader = Reader::open(dir.path()).unwrap();
    let left = all(&reader);
    assert_eq!(left.len() as u64, TAIL - lost);
    assert!(left.iter().all(|r| records.contains(r)));
    assert!(findings(dir.path()).is_empty());
    drop(sound);
}

#[test]
fn swapped_files_are_put_right_without_a_loss() {
    let (dir, records, _) = sample();
    let [one, two] = [1, EACH + 1].map(|first| segment(dir.path(), first));
    let aside = dir.path().join("aside");
    fs::rename(&one, &aside).unwrap();
    fs::rename(&two, &one).unwrap();
    fs::rename(&aside, &two).unwrap();
    let report = run(dir.path());
    assert_eq!(report.segments.len(), 2);
    assert!(report.segments.iter().all(|s| s.complete), "{report:?}");
    has(dir.path(), &records);
}

#[test]
fn two_records_with_one_number_are_told_apart_by_the_digest_or_both_left_out() {
    let (dir, records, _) = sample();
    let n = EACH + 60;
    // The same number with other words, whole, as a rolled back append leaves it behind.
    let other = fast_dir();
    let mut log = Log::open(other.path(), Options::default()).unwrap();
    log.append(&batch(
        (1..=n)
            .map(|n| {
                let mut record = event(n);
                record.payload.push(b'!');
                record
            })
            .collect(),
    ))
    .unwrap();
    let forged = log.reader().read(seq(n), 1, usize::MAX).unwrap()[0]
        .as_bytes()
        .to_vec();
    drop(log);
    let file = segment(dir.path(), EACH + 1);
    let broken = |wiped: &[u64]| {
        edit(&file, |bytes| {
            bytes[..512].fill(0);
            bytes.extend_from_slice(&forged);
        });
        for n in wiped {
            wipe(&file, *n..=*n);
        }
    };
    broken(&[]);
    let report = run(dir.path());
    assert!(report.segments[0].complete, "{report:?}");
    has(dir.path(), &records);
    // With something else lost the digest decides nothing. The file put aside before still has
    // that, and would be asked.
    let kept = report.segments[0].kept_as.as_ref().unwrap();
    fs::remove_file(dir.path().join(kept)).unwrap();
    broken(&[n + 40]);
    let report = run(dir.path());
    assert_eq!(
        ranges(&report.segments[0].holes),
        [(n, n), (n + 40, n + 40)]
    );
}

#[test]
fn a_damaged_active_segment_is_sealed_with_what_is_left_and_fenced_off() {
    let (dir, records, _) = sample();
    let active = segment(dir.path(), 3 * EACH + 1);
    edit(&active, |bytes| bytes[..512].fill(0));
    let refused = Log::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Disk { .. }), "{refused}");
    let to = seq(TAIL + 5000);
    let report = salvage(dir.path(), Options::default(), Some(to), None).unwrap();
    let [salvaged] = &report.segments[..] else {
        panic!("{report:?}")
    };
    assert_eq!(salvaged.records, EACH / 2, "{salvaged:?}");
    assert_eq!(ranges(&[report.fence.unwrap()]), [(TAIL + 1, TAIL + 5000)]);
    has(dir.path(), &records);
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    assert_eq!(log.recovery().tail, Some(to));
    assert_eq!(log.identity().epoch, 2);
    // The file's own bookmarks are gone with its engine; those of the segment before stand in.
    assert_eq!(log.bookmarks().unwrap()[0].1, b"somewhere");
    let done = log.append(&batch(vec![event(TAIL + 1)])).unwrap();
    assert_eq!(done.tail, Some(to.next()));
    log.close().unwrap();
    assert!(findings(dir.path()).is_empty());
}

#[test]
fn a_lost_active_segment_is_fenced_off_a_million_numbers_far() {
    let (dir, records, _) = sample();
    for name in ["redo", "segment-00000000000000000601.redb"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    let refused = Log::open(dir.path(), Options::default()).unwrap_err();
    assert!(
        matches!(refused, OpenError::SegmentMissing { .. }),
        "{refused}"
    );
    let report = run(dir.path());
    assert_eq!(report.segments[0].kept_as, None);
    assert_eq!(ranges(&report.segments[0].holes), [(601, 601)]);
    assert_eq!(ranges(&[report.fence.unwrap()]), [(602, 1_000_601)]);
    has(dir.path(), &records[..600]);
}

/// Some of the records of a log.
struct Copy(Vec<Record>);

impl RecordSource for Copy {
    fn records(&self, first: Seq, last: Seq, take: &mut dyn FnMut(&Record)) {
        let range = first..=last;
        self.0
            .iter()
            .filter(|r| range.contains(&r.header().seq))
            .for_each(take);
    }

    fn keys(&self, first: Seq, last: Seq, take: &mut dyn FnMut(Seq, &[u8])) {
        for n in first.get()..=last.get() {
            take(seq(n), &n.to_be_bytes());
        }
    }
}

#[test]
fn a_copy_fills_in_what_the_files_lack_down_to_a_whole_segment() {
    let (dir, records, _) = sample();
    let copy = Copy(records.clone());
    wipe(&segment(dir.path(), 1), 10..=12);
    fs::remove_file(segment(dir.path(), EACH + 1)).unwrap();
    let report = salvage(dir.path(), Options::default(), None, Some(&copy)).unwrap();
    let from: Vec<u64> = report.segments.iter().map(|s| s.found.source).collect();
    assert_eq!(from, [3, EACH]);
    assert!(report.segments.iter().all(|s| s.complete), "{report:?}");
    has(dir.path(), &records);
    // A copy that lacks some leaves a hole where it does.
    let copy = Copy(records[..EACH as usize + 100].to_vec());
    fs::remove_file(segment(dir.path(), EACH + 1)).unwrap();
    let report = salvage(dir.path(), Options::default(), None, Some(&copy)).unwrap();
    assert_eq!(ranges(&report.segments[0].holes), [(EACH + 101, 2 * EACH)]);
}

/// Knows how the keys follow from the records, and nothing else.
struct Deriving;

impl RecordSource for Deriving {
    fn records(&self, _: Seq, _: Seq, _: &mut dyn FnMut(&Record)) {}

    fn keys(&self, _: Seq, _: Seq, _: &mut dyn FnMut(Seq, &[u8])) {}

    fn key_of(&self, record: &Record) -> Option<Vec<u8>> {
        Some(record.header().message_id.to_be_bytes().to_vec())
    }
}

#[test]
fn damaged_keys_of_the_newest_segment_let_no_record_in_twice_if_they_can_be_derived() {
    let derived: [(Option<&dyn RecordSource>, bool); 2] = [(None, false), (Some(&Deriving), true)];
    for (from, again_known) in derived {
        let (dir, records, _) = sample();
        let n = TAIL - 3;
        edit(&segment(dir.path(), 3 * EACH + 1), |bytes| {
            let key = n.to_be_bytes();
            let at = bytes.windows(8).position(|found| found == key).unwrap();
            bytes[at + 7] ^= 0x80;
        });
        let found = findings(dir.path());
        assert_eq!(found[0].kind, FindingKind::KeysDamaged, "{found:?}");
        assert!(found[0].seq <= Some(seq(n)), "{found:?}");
        // It would take the record for a new one.
        let refused = Log::open(dir.path(), Options::default()).unwrap_err();
        assert!(refused.to_string().contains("dedup keys"), "{refused}");
        let report = salvage(dir.path(), Options::default(), None, from).unwrap();
        assert!(report.segments[0].complete, "{report:?}");
        has(dir.path(), &records);
        let mut log = Log::open(dir.path(), Options::default()).unwrap();
        let again = log.append(&batch(vec![event(n), event(1)])).unwrap();
        let is_known = matches!(again.outcomes[0], Outcome::Duplicate(it) if it == seq(n));
        assert_eq!(is_known, again_known, "{again:?}");
        assert_eq!(again.outcomes[1], Outcome::Duplicate(seq(1)));
        log.close().unwrap();
    }
}

#[test]
fn an_open_log_salvages_a_segment_under_its_readers() {
    let (dir, records, _) = sample();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    let reader = log.reader();
    let n = EACH + 70;
    wipe(&segment(dir.path(), EACH + 1), n..=n);
    reader.read(seq(n), 1, usize::MAX).unwrap_err();
    let salvaged = log.salvage(seq(EACH + 1), None).unwrap();
    assert_eq!(ranges(&salvaged.holes), [(n, n)]);
    let left: Vec<u64> = (1..=TAIL).filter(|seq| *seq != n).collect();
    assert_eq!(numbers(&all(&reader)), left);
    assert_eq!(ranges(&reader.holes().unwrap()), [(n, n)]);
    log.append(&batch(vec![event(TAIL + 1)])).unwrap();
    log.salvage(seq(TAIL), None).unwrap_err();
    log.salvage(seq(3 * EACH + 1), None).unwrap_err();
    // Once more changes nothing.
    assert!(log.salvage(seq(EACH + 1), None).unwrap().complete);
    log.close().unwrap();
    assert!(findings(dir.path()).is_empty());
    drop(records);
}
