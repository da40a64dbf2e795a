//! Backups and what is restored from them.

use std::path::{Path, PathBuf};

use crate::common::{batch, fast_dir, keyed, plain, tail_of};
use wal::*;

fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

fn quiet() -> impl FnMut(u64) {
    |_| {}
}

fn backup(
    reader: &Reader,
    dir: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<BackupReport, BackupError> {
    wal::backup(reader, dir, Pace::UNLIMITED, progress)
}

/// Three records with keys, then a seal; bookmark and cursor say how far.
fn fill(log: &mut Log, segments: std::ops::Range<u64>) {
    for n in segments {
        let records = (3 * n + 1..=3 * n + 3).map(|n| keyed(n, &n.to_be_bytes()));
        let b = Batch {
            records: records.collect(),
            bookmarks: vec![("import".into(), n.to_be_bytes().to_vec())],
            cursors: vec![("relay".into(), seq(3 * n + 2))],
        };
        log.append(&b).unwrap();
        log.seal().unwrap();
    }
}

struct Place {
    _parent: tempfile::TempDir,
    log: PathBuf,
    archive: PathBuf,
    backup: PathBuf,
    restored: PathBuf,
}

fn place() -> Place {
    let parent = fast_dir();
    let at = |name: &str| parent.path().join(name);
    Place {
        log: at("log"),
        archive: at("archive"),
        backup: at("backups/backup"),
        restored: at("restored"),
        _parent: parent,
    }
}

fn open(dir: &Path) -> Log {
    let options = Options {
        cache_bytes: 4 << 20,
        ..Options::default()
    };
    Log::open(dir, options).unwrap()
}

fn all(reader: &Reader) -> Vec<Record> {
    let first = reader.first().unwrap().unwrap();
    reader.read(first, 1000, usize::MAX).unwrap()
}

/// Everything a restored log must be: equal to `reader` up to `last`, fenced to `tail`, sound.
fn check_restored(dir: &Path, reader: &Reader, last: u64, tail: u64) {
    let mut log = open(dir);
    assert_eq!(log.recovery().tail, Some(seq(tail)));
    assert_eq!(log.identity().log_id, reader.identity().log_id);
    assert_eq!(log.identity().epoch, reader.identity().epoch + 1);
    let expected = all(reader).into_iter();
    let expected: Vec<Record> = expected.filter(|r| r.header().seq.get() <= last).collect();
    assert_eq!(all(&log.reader()), expected);
    assert_eq!(log.bookmarks().unwrap()[0].1, (last / 3 - 1).to_be_bytes());
    let cursors = log.reader().cursors().unwrap();
    assert_eq!(cursors, [("relay".to_owned(), seq(last - 1))]);
    let holes = log.reader().holes().unwrap();
    let ranges: Vec<_> = holes.iter().map(|h| (h.first, h.last, h.cause)).collect();
    assert_eq!(ranges, [(seq(last + 1), seq(tail), HoleCause::Fence)]);
    let known = (1..=last).map(|n| keyed(90, &n.to_be_bytes())).collect();
    let outcomes = log.append(&batch(known)).unwrap().outcomes;
    let duplicates = (1..=last).map(|n| Outcome::Duplicate(seq(n)));
    assert_eq!(outcomes, duplicates.collect::<Vec<_>>());
    assert_eq!(tail_of(&mut log, plain(7)), tail + 1);
    log.seal().unwrap();
    let report = verify(dir, &mut quiet()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(all(&log.reader()).len(), last as usize + 1);
}

#[test]
fn a_log_is_backed_up_while_it_runs_and_restored_without_reusing_a_number() {
    let at = place();
    let mut log = open(&at.log);
    fill(&mut log, 0..4);
    tail_of(&mut log, plain(13));
    let report = backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    assert_eq!((report.segments, report.written), (4, 4));
    assert_eq!((report.first, report.last), (Some(seq(1)), Some(seq(12))));
    assert_eq!(report.tail, Some(seq(13)));
    let check = verify_backup(&at.backup, &mut quiet()).unwrap();
    assert!(check.findings.is_empty(), "{:?}", check.findings);
    assert_eq!((check.records, check.report.tail), (12, report.tail));
    let fence = Fence::Past(Some(seq(20)));
    let done = restore(&at.backup, &at.restored, fence, &mut quiet()).unwrap();
    assert_eq!(done.tail, seq(20 + FENCE_MARGIN));
    assert_eq!((done.records, done.last), (12, Some(seq(12))));
    check_restored(&at.restored, &log.reader(), 12, 20 + FENCE_MARGIN);
    // And what was restored is a log like any other: it can be backed up, and that restored.
    let again = place();
    let second = open(&at.restored);
    backup(&second.reader(), &again.backup, &mut quiet()).unwrap();
    let fence = Fence::To(seq(2_000_000));
    let done = restore(&again.backup, &again.restored, fence, &mut quiet()).unwrap();
    assert_eq!(done.identity.epoch, 3);
    assert_eq!(done.records, 13);
    assert_eq!(open(&again.restored).reader().holes().unwrap().len(), 2);
}

#[test]
fn a_later_backup_writes_only_what_is_new_and_keeps_what_was_trimmed() {
    let at = place();
    let mut log = open(&at.log);
    fill(&mut log, 0..2);
    backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    fill(&mut log, 2..3);
    log.trim(seq(4)).unwrap();
    let whole = log.reader();
    let report = backup(&whole, &at.backup, &mut quiet()).unwrap();
    assert_eq!((report.segments, report.written), (3, 1));
    assert_eq!(report.first, Some(seq(1)));
    log.trim(seq(1000)).unwrap();
    let report = backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    assert_eq!((report.segments, report.written), (3, 0));
    // Without its index the containers are found again, and not written again.
    std::fs::write(at.backup.join("backup.txt"), "damaged").unwrap();
    assert!(matches!(
        verify_backup(&at.backup, &mut quiet()),
        Err(BackupError::Index { .. })
    ));
    fill(&mut log, 3..4);
    let report = backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    assert_eq!((report.segments, report.written), (1, 1));
    fill(&mut log, 4..6);
    log.trim(seq(16)).unwrap();
    assert!(matches!(
        backup(&log.reader(), &at.backup, &mut quiet()),
        Err(BackupError::Gap { last, first }) if (last.get(), first.get()) == (12, 16)
    ));
}

#[test]
fn archived_segments_are_backed_up_too() {
    let at = place();
    let options = Options {
        archive: Some(at.archive.clone()),
        ..Options::default()
    };
    let mut log = Log::open(&at.log, options).unwrap();
    fill(&mut log, 0..4);
    log.trim(seq(7)).unwrap();
    let report = backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    assert_eq!((report.segments, report.first), (4, Some(seq(1))));
    let fence = Fence::To(seq(12));
    let done = restore(&at.backup, &at.restored, fence, &mut quiet()).unwrap();
    assert_eq!(done.tail, seq(12));
    let mut restored = open(&at.restored);
    assert_eq!(all(&restored.reader()), all(&log.reader()));
    assert!(restored.reader().holes().unwrap().is_empty());
    assert_eq!(tail_of(&mut restored, plain(1)), 13);
}

#[test]
fn a_tar_stream_is_a_backup() {
    let at = place();
    let mut log = open(&at.log);
    fill(&mut log, 0..3);
    let mut tar = Vec::new();
    let report = backup_tar(&log.reader(), &mut tar, Pace::UNLIMITED, &mut quiet()).unwrap();
    assert_eq!((report.segments, report.last), (3, Some(seq(9))));
    let fence = Fence::Past(None);
    for cut in [0, 100, tar.len() / 2, tar.len() - 2000] {
        let mut short = &tar[..cut];
        let refused = restore_tar(&mut short, &at.restored, fence, &mut quiet());
        assert!(refused.is_err(), "cut at {cut}");
        assert!(matches!(
            Log::open(&at.restored, Options::default()),
            Err(OpenError::RestoreUnfinished)
        ));
    }
    let mut bad = tar.clone();
    bad[700] ^= 1;
    assert!(restore_tar(&mut &bad[..], &at.restored, fence, &mut quiet()).is_err());
    restore_tar(&mut &tar[..], &at.restored, fence, &mut quiet()).unwrap();
    check_restored(&at.restored, &log.reader(), 9, 9 + FENCE_MARGIN);
    // The same files as in a directory.
    let unpacked = at.restored.with_file_name("unpacked");
    tar::Archive::new(&tar[..]).unpack(&unpacked).unwrap();
    let check = verify_backup(&unpacked, &mut quiet()).unwrap();
    assert!(check.findings.is_empty(), "{:?}", check.findings);
}

#[test]
fn nothing_is_restored_into_a_directory_that_is_not_empty() {
    let at = place();
    let mut log = open(&at.log);
    fill(&mut log, 0..2);
    backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    let image = |dir: &Path| {
        let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            files.push((path.clone(), std::fs::read(path).unwrap()));
        }
        files.sort();
        files
    };
    let other = at.restored.with_file_name("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("notes.txt"), "mine").unwrap();
    for dir in [&at.log, &other] {
        let before = image(dir);
        let refused = restore(&at.backup, dir, Fence::Past(None), &mut quiet()).unwrap_err();
        assert!(
            matches!(refused, RestoreError::NotEmpty { .. }),
            "{refused}"
        );
        assert!(image(dir) == before, "something changed");
    }
    let low = Fence::To(seq(5));
    let refused = restore(&at.backup, &at.restored, low, &mut quiet()).unwrap_err();
    assert!(
        matches!(refused, RestoreError::FenceTooLow { tail: 6, .. }),
        "{refused}"
    );
    assert!(image(&at.restored).is_empty());
    assert!(matches!(
        restore(&other, &at.restored, low, &mut quiet()),
        Err(RestoreError::Backup(BackupError::NotABackup { .. }))
    ));
}

#[test]
fn a_damaged_backup_is_found_and_not_restored_and_a_sound_one_afterwards_is() {
    let at = place();
    let mut log = open(&at.log);
    fill(&mut log, 0..3);
    backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    let path = at.backup.join("segment-00000000000000000004.walz");
    let sound = std::fs::read(&path).unwrap();
    let other = std::fs::read(at.backup.join("segment-00000000000000000007.walz")).unwrap();
    let mut flipped = sound.clone();
    flipped[sound.len() / 3] ^= 4;
    for bad in [Some(flipped), Some(other), Some(sound[..99].to_vec()), None] {
        match &bad {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let check = verify_backup(&at.backup, &mut quiet()).unwrap();
        assert_eq!(check.findings.len(), 1, "{:?}", check.findings);
        assert!(check.findings[0].segment.contains("004.walz"));
        let fence = Fence::Past(None);
        restore(&at.backup, &at.restored, fence, &mut quiet()).unwrap_err();
        assert!(matches!(
            Reader::open(&at.restored),
            Err(OpenError::RestoreUnfinished)
        ));
    }
    // The next backup makes it whole again.
    let report = backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    assert_eq!((report.segments, report.written), (3, 1));
    assert_eq!(std::fs::read(&path).unwrap(), sound);
    let fence = Fence::Past(None);
    restore(&at.backup, &at.restored, fence, &mut quiet()).unwrap();
    check_restored(&at.restored, &log.reader(), 9, 9 + FENCE_MARGIN);
}

#[test]
fn a_damaged_segment_is_named_and_the_earlier_backup_stays() {
    let at = place();
    let mut log = open(&at.log);
    fill(&mut log, 0..1);
    backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    fill(&mut log, 1..3);
    let path = at.log.join("segment-00000000000000000004.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    let found = bytes.windows(9).position(|w| w == b"payload 5").unwrap();
    bytes[found] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = backup(&log.reader(), &at.backup, &mut quiet()).unwrap_err();
    assert!(
        matches!(&refused, BackupError::Segment {
            source: ContainerError::Record { seq: at, .. }, ..
        } if at.get() == 5),
        "{refused}"
    );
    let check = verify_backup(&at.backup, &mut quiet()).unwrap();
    assert_eq!((check.records, check.findings.len()), (3, 0));
}

#[test]
fn a_backup_of_another_log_or_of_another_life_is_never_overwritten() {
    let at = place();
    let mut log = open(&at.log);
    fill(&mut log, 0..2);
    backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    let other = place();
    let mut stranger = open(&other.log);
    fill(&mut stranger, 0..2);
    assert!(matches!(
        backup(&stranger.reader(), &at.backup, &mut quiet()),
        Err(BackupError::Foreign { found }) if found == log.identity().log_id
    ));
    // Restored from here, then both lives go on.
    let fence = Fence::To(seq(6));
    restore(&at.backup, &at.restored, fence, &mut quiet()).unwrap();
    fill(&mut log, 2..4);
    backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    let mut second = open(&at.restored);
    let shorter = backup(&second.reader(), &at.backup, &mut quiet()).unwrap_err();
    assert!(
        matches!(shorter, BackupError::Diverged { first } if first == seq(7)),
        "{shorter}"
    );
    fill(&mut second, 2..5);
    assert!(matches!(
        backup(&second.reader(), &at.backup, &mut quiet()),
        Err(BackupError::Diverged { first }) if first == seq(7)
    ));
    let check = verify_backup(&at.backup, &mut quiet()).unwrap();
    assert_eq!((check.records, check.findings.len()), (12, 0));
}

#[test]
fn an_empty_log_can_be_backed_up_and_restored() {
    let at = place();
    let log = open(&at.log);
    let report = backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    assert_eq!((report.segments, report.tail), (0, None));
    restore(&at.backup, &at.restored, Fence::To(seq(50)), &mut quiet()).unwrap();
    let mut restored = open(&at.restored);
    assert_eq!(restored.identity().log_id, log.identity().log_id);
    assert_eq!(tail_of(&mut restored, plain(1)), 51);
}

/// The log of `dir` must know the first `known` keys of [`fill`], and nothing else.
fn check_keys(dir: &Path, known: u64) {
    let mut log = open(dir);
    let records = (1..=known + 1).map(|n| keyed(90, &n.to_be_bytes()));
    let outcomes = log.append(&batch(records.collect())).unwrap().outcomes;
    let (new, old) = outcomes.split_last().unwrap();
    let is_known = |it: &Outcome| matches!(it, Outcome::Duplicate(_));
    assert!(old.iter().all(is_known), "{old:?}");
    assert!(matches!(new, Outcome::Appended(_)), "{new:?}");
    log.seal().unwrap();
    let report = verify(dir, &mut quiet()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

fn keys_files(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|it| it == "walk"))
        .collect()
}

#[test]
fn keys_of_records_trimmed_before_the_first_backup_are_known_after_a_restore() {
    let at = place();
    let mut log = open(&at.log);
    fill(&mut log, 0..3);
    log.trim(seq(7)).unwrap();
    let report = backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    assert_eq!((report.first, report.keys), (Some(seq(7)), 6));
    // Nothing is new; what the log trims now is in a container.
    let again = backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    assert_eq!((again.keys, again.written_bytes), (6, 0));
    fill(&mut log, 3..4);
    log.trim(seq(10)).unwrap();
    let report = backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    assert_eq!((report.first, report.keys), (Some(seq(7)), 6));
    let check = verify_backup(&at.backup, &mut quiet()).unwrap();
    assert!(check.findings.is_empty(), "{:?}", check.findings);
    restore(&at.backup, &at.restored, Fence::Past(None), &mut quiet()).unwrap();
    check_keys(&at.restored, 12);
    // Those of a log that was restored are in its own backup.
    let mut tar = Vec::new();
    let restored = Reader::open(&at.restored).unwrap();
    let report = backup_tar(&restored, &mut tar, Pace::UNLIMITED, &mut quiet()).unwrap();
    assert_eq!(report.keys, 6);
    let third = at.log.with_file_name("third");
    restore_tar(&mut &tar[..], &third, Fence::Past(None), &mut quiet()).unwrap();
    check_keys(&third, 13);
}

#[test]
fn keys_survive_a_log_that_was_trimmed_of_everything() {
    let at = place();
    let mut log = open(&at.log);
    fill(&mut log, 0..2);
    log.trim(seq(7)).unwrap();
    let report = backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    assert_eq!((report.segments, report.keys), (0, 6));
    restore(&at.backup, &at.restored, Fence::Past(None), &mut quiet()).unwrap();
    check_keys(&at.restored, 6);
    let mut tar = Vec::new();
    backup_tar(&log.reader(), &mut tar, Pace::UNLIMITED, &mut quiet()).unwrap();
    let again = at.log.with_file_name("again");
    restore_tar(&mut &tar[..], &again, Fence::Past(None), &mut quiet()).unwrap();
    check_keys(&again, 6);
}

#[test]
fn damaged_keys_are_found_refused_and_written_again() {
    let at = place();
    let mut log = open(&at.log);
    fill(&mut log, 0..3);
    log.trim(seq(7)).unwrap();
    backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    let file = keys_files(&at.backup).pop().unwrap();
    let sound = std::fs::read(&file).unwrap();
    let mut bytes = sound.clone();
    bytes[40] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let check = verify_backup(&at.backup, &mut quiet()).unwrap();
    assert_eq!(check.findings.len(), 1, "{:?}", check.findings);
    assert_eq!(check.findings[0].kind, FindingKind::ContainerDamaged);
    let refused = restore(&at.backup, &at.restored, Fence::Past(None), &mut quiet());
    assert!(matches!(refused, Err(RestoreError::Container { .. })));
    backup(&log.reader(), &at.backup, &mut quiet()).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), sound);
    assert_eq!(keys_files(&at.backup).len(), 1);
    restore(&at.backup, &at.restored, Fence::Past(None), &mut quiet()).unwrap();
    check_keys(&at.restored, 9);
}
