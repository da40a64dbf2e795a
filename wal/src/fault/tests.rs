//! The machine itself: a test that trusts a wrong machine proves nothing.

use super::*;

fn write(dir: &Machine, name: &str, bytes: &[u8]) -> Box<dyn StorageBackend> {
    let file = Storage::open(dir, name, Access::Create).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write(0, bytes).unwrap();
    file
}

#[test]
fn directories_share_power_and_counts_but_neither_names_nor_lock() {
    let top = Machine::new();
    let archive = top.dir("archive");
    write(&top, "a", b"top").sync_data().unwrap();
    write(&archive, "a", b"below").sync_data().unwrap();
    assert_eq!(Storage::list(&top).unwrap(), ["a"]);
    assert_eq!(Storage::list(&archive).unwrap(), ["a"]);
    assert_eq!(archive.file("a").unwrap(), b"below");
    let _one = top.lock(Role::Writer).unwrap();
    let _other = archive.lock(Role::Writer).unwrap();
    assert!(archive.lock(Role::Writer).is_err());
    // Only the synced directory keeps its name.
    archive.sync_dir().unwrap();
    assert_eq!(top.syncs(), 3);
    let after = top.restart(Fate::Lost);
    assert!(archive.is_off());
    assert_eq!(Storage::list(&after).unwrap(), [""; 0]);
    assert_eq!(after.dir("archive").file("a").unwrap(), b"below");
}

#[test]
fn a_failed_sync_loses_what_it_should_have_kept_although_reads_show_it() {
    let machine = Machine::new();
    let file = write(&machine, "a", b"old");
    file.sync_data().unwrap();
    machine.sync_dir().unwrap();
    file.write(0, b"new").unwrap();
    machine.fail_at(Io::Sync, 3);
    file.sync_data().unwrap_err();
    assert_eq!(machine.file("a").unwrap(), b"new");
    file.sync_data().unwrap();
    for fate in FATES {
        assert_eq!(machine.restart(fate).file("a").unwrap(), b"old", "{fate:?}");
    }
}

#[test]
fn a_read_or_write_fails_once_when_told_to() {
    let machine = Machine::new();
    let file = write(&machine, "a", &[1; 2048]);
    machine.fail_at(Io::Write, 3);
    file.write(0, &[2; 2048]).unwrap_err();
    let half = [[2; 1024], [1; 1024]].concat();
    assert_eq!(machine.file("a").unwrap(), half);
    machine.fail_at(Io::Read, 1);
    let mut out = [0; 4];
    file.read(0, &mut out).unwrap_err();
    file.read(0, &mut out).unwrap();
    assert_eq!(machine.done(Io::Write), 3);
}

#[test]
fn fates_choose_among_the_unsynced_writes() {
    let machine = Machine::new();
    let file = write(&machine, "a", &[0; 1024]);
    file.sync_data().unwrap();
    machine.sync_dir().unwrap();
    file.write(0, &[1; 1024]).unwrap();
    file.write(0, &[2; 512]).unwrap();
    let after = |fate| {
        let bytes = machine.restart(fate).file("a").unwrap();
        (bytes[0], bytes[1023])
    };
    let all = FATES.map(after);
    assert_eq!(all[..4], [(0, 0), (2, 1), (1, 1), (2, 0)]);
    assert_eq!(all[4..], [(1, 1), (2, 0), (0, 0), (2, 1)]);
    let named = |fate| {
        let machine = Machine::new();
        write(&machine, "a", b"x");
        let names = Storage::list(&machine.restart(fate)).unwrap();
        names.len()
    };
    assert_eq!(FATES.map(named), [0, 1, 1, 1, 1, 1, 1, 0]);
}

#[test]
fn a_full_disk_refuses_growth_and_nothing_else() {
    let machine = Machine::new();
    let file = write(&machine, "a", &[0; 100]);
    machine.set_capacity(Some(100));
    file.write(0, &[1; 100]).unwrap();
    for refused in [file.set_len(101), file.write(1, &[0; 100])] {
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
    machine.set_capacity(None);
    file.set_len(101).unwrap();
}

#[test]
fn every_sync_leaves_its_cut() {
    let machine = Machine::new();
    machine.keep_cuts();
    let file = write(&machine, "a", b"one");
    file.sync_data().unwrap();
    machine.sync_dir().unwrap();
    file.write(0, b"two").unwrap();
    let cuts = machine.take_cuts();
    assert_eq!(cuts.len(), 2);
    assert_eq!(cuts[0].restart(Fate::Kept).file("a").unwrap(), b"one");
    assert_eq!(cuts[1].restart(Fate::Lost).file("a"), None);
    let now = machine.cut();
    assert_eq!(now.restart(Fate::Lost).file("a").unwrap(), b"one");
    let kept = now.restart(Fate::Kept);
    assert_eq!(kept.fingerprint(), machine.fingerprint());
    assert_ne!(now.restart(Fate::Lost).fingerprint(), kept.fingerprint());
    assert!(!machine.is_off());
}
