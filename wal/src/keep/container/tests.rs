use proptest::prelude::*;

use super::*;
use crate::block::Piece;
use crate::frame::NewRecord;
use crate::hole::HoleCause;
use crate::manifest::{ENGINE, Tally};
use crate::pace::{Pace, Pacer};
use crate::segment::{Carried, read_seal};
use crate::seq::{Identity, LogId};
use crate::storage::{Access, Disk, Storage};
use crate::testing::record;
use crate::{Batch, Log, Options, frame};

/// Records under these numbers; what lies between them are holes.
struct Sample {
    numbers: Vec<u64>,
    payload: fn(u64) -> Vec<u8>,
    first: u64,
    last: u64,
}

fn text(n: u64) -> Vec<u8> {
    format!("payload of {n}").into_bytes()
}

/// Bytes that do not compress, of more than one frame every third time.
fn large(n: u64) -> Vec<u8> {
    let len = if n.is_multiple_of(3) {
        FRAME_BYTES + 7
    } else {
        400_000
    };
    let mut state = n;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

impl Sample {
    fn dense(first: u64, last: u64, payload: fn(u64) -> Vec<u8>) -> Sample {
        Sample {
            numbers: (first..=last).collect(),
            payload,
            first,
            last,
        }
    }

    fn record(&self, n: u64) -> Vec<u8> {
        let new = NewRecord {
            payload: (self.payload)(n),
            key: None,
            ..record(n)
        };
        let mut bytes = Vec::new();
        frame::encode(&new, Seq::new(n).unwrap(), 1, &mut bytes);
        bytes
    }

    fn holes(&self) -> Holes {
        let mut holes = Vec::new();
        let mut next = self.first;
        for n in self.numbers.iter().copied().chain([self.last + 1]) {
            if n > next {
                holes.push(Hole {
                    first: Seq::new(next).unwrap(),
                    last: Seq::new(n - 1).unwrap(),
                    cause: HoleCause::Damage,
                    noted_at: -5,
                });
            }
            next = n + 1;
        }
        Holes::new(holes).unwrap()
    }

    fn manifest(&self) -> Manifest {
        let mut tally = Tally::default();
        for seq in self.numbers.iter().copied() {
            let bytes = &self.record(seq)[..];
            tally.add(&Piece {
                seq,
                last: seq,
                bytes,
            });
        }
        Manifest {
            identity: Identity {
                log_id: LogId([7; 16]),
                epoch: 1,
            },
            first: self.first,
            last: self.last,
            count: tally.count,
            payload_bytes: tally.payload_bytes,
            record_bytes: tally.record_bytes,
            codecs: tally.codecs,
            digest: tally.digest(),
            previous: None,
            recovered: false,
            created_at: 1,
            sealed_at: 2,
            engine: ENGINE.to_owned(),
            replaces: None,
            missing: self.holes().count(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new()).unwrap();
        for n in &self.numbers {
            encoder.record(*n, &self.record(*n)).unwrap();
        }
        for n in self.numbers.iter().filter(|n| *n % 2 == 1) {
            // The first one empty, which is a key like any other.
            let key = text(*n);
            encoder
                .key(*n, if *n == self.first { b"" } else { &key })
                .unwrap();
        }
        encoder.carried(&carried()).unwrap();
        let holes = self.holes();
        let (sum, bytes) = encoder.finish(&self.manifest(), &holes).unwrap();
        assert_eq!(sum.bytes, bytes.len() as u64);
        bytes
    }
}

fn carried() -> Carried {
    Carried {
        bookmarks: vec![
            ("import".into(), b"position".to_vec()),
            (String::new(), vec![]),
        ],
        cursors: vec![("relay".into(), 3)],
    }
}

fn numbers(container: &Container<Vec<u8>>, from: u64) -> Result<Vec<u64>, ContainerError> {
    let mut out = Vec::new();
    let mut records = container.records(from);
    while let Some((seq, _)) = records.next()? {
        out.push(seq);
    }
    Ok(out)
}

fn check(bytes: Vec<u8>) -> Result<(), ContainerError> {
    Container::open(bytes)?.check().map(drop)
}

#[test]
fn what_was_packed_is_unpacked() {
    let holed = Sample {
        numbers: vec![12, 13, 20, 29],
        payload: text,
        first: 11,
        last: 35,
    };
    let empty = Sample {
        numbers: vec![],
        payload: text,
        first: 5,
        last: 9,
    };
    let samples = [
        Sample::dense(1, 1, text),
        Sample::dense(7, 700, text),
        Sample::dense(1, 7, large),
        holed,
        empty,
    ];
    for sample in samples {
        let container = Container::open(sample.bytes()).unwrap();
        assert_eq!(container.check().unwrap(), container.sum());
        assert_eq!(*container.manifest(), sample.manifest());
        assert_eq!(*container.holes(), sample.holes());
        let mut records = container.records(0);
        for n in &sample.numbers {
            let (seq, bytes) = records.next().unwrap().unwrap();
            assert_eq!((seq, bytes), (*n, &sample.record(*n)[..]));
        }
        assert!(records.next().unwrap().is_none());
        for from in sample.first.saturating_sub(2)..=sample.last + 2 {
            let wanted = sample.numbers.iter().copied().filter(|n| *n >= from);
            assert_eq!(
                numbers(&container, from).unwrap(),
                wanted.collect::<Vec<_>>()
            );
        }
        let mut keys = Vec::new();
        container
            .each_key(|key, seq| keys.push((seq, key.to_vec())))
            .unwrap();
        let odd = sample.numbers.iter().filter(|n| *n % 2 == 1);
        let expected = odd.map(|n| (*n, if *n == sample.first { vec![] } else { text(*n) }));
        assert_eq!(keys, expected.collect::<Vec<_>>());
        let found = container.carried().unwrap();
        assert_eq!(found.bookmarks, carried().bookmarks);
        assert_eq!(found.cursors, carried().cursors);
    }
}

#[test]
fn one_record_is_read_by_decoding_one_frame() {
    let sample = Sample::dense(1, 9, large);
    let mut bytes = sample.bytes();
    let container = Container::open(bytes.clone()).unwrap();
    let frames = container.index.entries.len();
    assert!(frames > 5, "{frames} frames");
    // All but the last frame of records are broken, and nobody looks at them.
    let last = container.entries(Kind::Records).last().unwrap().0;
    for at in 0..last {
        bytes[container.starts[at] as usize + 9] ^= 1;
    }
    let broken = Container::open(bytes).unwrap();
    let from = container.index.entries[last].first;
    assert_eq!(numbers(&broken, from).unwrap().last(), Some(&9));
    assert!(matches!(
        numbers(&broken, 1),
        Err(ContainerError::Frame { first: 1, .. })
    ));
}

#[test]
fn every_flipped_byte_is_detected() {
    let bytes = Sample::dense(3, 12, text).bytes();
    check(bytes.clone()).unwrap();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] ^= flip;
            assert!(check(bad).is_err(), "byte {at} of {}", bytes.len());
        }
    }
}

#[test]
fn every_cut_and_every_byte_more_is_detected() {
    let bytes = Sample::dense(3, 12, text).bytes();
    for len in 0..bytes.len() {
        assert!(check(bytes[..len].to_vec()).is_err(), "cut at {len}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(check(longer).is_err());
}

#[test]
fn a_missing_a_foreign_and_a_damaged_record_are_named() {
    let sample = Sample::dense(1, 4, text);
    let pack = |records: [Vec<u8>; 3], numbers: [u64; 3]| {
        let mut encoder = Encoder::new(Vec::new()).unwrap();
        for (n, bytes) in numbers.into_iter().zip(&records) {
            encoder.record(n, bytes).unwrap();
        }
        encoder
            .finish(&sample.manifest(), &Holes::default())
            .unwrap()
            .1
    };
    let [one, two, three, four] = [1, 2, 3, 4].map(|n| sample.record(n));
    let short = pack([one.clone(), two.clone(), three.clone()], [1, 2, 3]);
    assert!(matches!(
        check(short),
        Err(ContainerError::Missing { seq }) if seq.get() == 4
    ));
    let jump = pack([one.clone(), two.clone(), four], [1, 2, 4]);
    assert!(matches!(
        check(jump),
        Err(ContainerError::Misplaced { seq, found }) if (seq.get(), found.get()) == (3, 4)
    ));
    let mut bad = two;
    bad[61] ^= 1;
    let damaged = pack([one, bad, three], [1, 2, 3]);
    assert!(matches!(
        check(damaged),
        Err(ContainerError::Record { seq, .. }) if seq.get() == 2
    ));
}

#[test]
fn lengths_that_cannot_be_true_allocate_nothing() {
    let entry = |stored, raw| Entry {
        kind: Kind::Records,
        first: 1,
        last: 1,
        stored,
        raw,
        crc: 0,
    };
    assert!(entry(400, FRAME_BYTES as u32).is_possible());
    assert!(!entry(400, 0).is_possible());
    assert!(!entry(400, u32::MAX).is_possible());
    assert!(!entry(10, RAW_MAX as u32).is_possible());
    let mut rest = &[0xff; 40][..];
    assert!(rows(&mut rest, ENTRY_LEN).is_none());
}

#[test]
fn a_newer_container_and_another_file_are_told_apart() {
    let mut bytes = Sample::dense(1, 1, text).bytes();
    bytes[4] = 9;
    assert!(matches!(
        check(bytes),
        Err(ContainerError::TooNew { found: 9 })
    ));
    assert!(matches!(
        check(b"PK\x03\x04 something else entirely".to_vec()),
        Err(ContainerError::NotAContainer)
    ));
}

#[test]
fn names_carry_the_first_number() {
    let name = container_name(42);
    assert_eq!(name, "segment-00000000000000000042.walz");
    assert_eq!(parse_container_name(&name), Some(42));
    for other in [
        "segment-42.walz",
        "segment-00000000000000000042.redb",
        "x.walz",
    ] {
        assert_eq!(parse_container_name(other), None);
    }
}

#[test]
fn a_sealed_segment_becomes_a_container_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(dir.path(), Options::default()).unwrap();
    let sample = Sample::dense(1, 40, text);
    for n in 1..=40u64 {
        let record = NewRecord {
            codec: 1,
            flags: 0,
            kind: 1,
            peer_kind: 1,
            peer_id: 7,
            message_id: n as i64,
            received_at: 1,
            source_at: 1,
            payload: text(n),
            key: (n % 2 == 1).then(|| text(n)),
        };
        let batch = Batch {
            records: vec![record],
            bookmarks: vec![("import".into(), text(n))],
            cursors: vec![],
        };
        log.append(&batch).unwrap();
    }
    log.seal().unwrap();
    let disk = Disk::new(dir.path());
    let file = crate::plan::segment_name(1);
    let db = crate::segment::open_read_only(&disk, &file).unwrap();
    let txn = redb::ReadableDatabase::begin_read(&db).unwrap();
    let manifest = read_seal(&txn, &file).unwrap().unwrap();
    let name = container_name(1);
    let pacer = Pacer::new(Pace::UNLIMITED);
    let sum = store(&disk, &name, &pacer, |out| {
        pack(&txn, &manifest, out, &pacer).map(drop)
    });
    let opened = disk.open(&name, Access::Read).unwrap();
    let container = Container::open(opened).unwrap();
    assert_eq!(container.check().unwrap(), sum.unwrap());
    assert_eq!(*container.manifest(), manifest);
    let mut records = container.records(39);
    assert_eq!(records.next().unwrap().unwrap().1, sample.record(39));
    assert_eq!(container.carried().unwrap().bookmarks[0].1, text(40));
    let mut keys = 0;
    container.each_key(|_, _| keys += 1).unwrap();
    assert_eq!(keys, 20);
    let mut copied = Vec::new();
    copy(
        &disk.open(&name, Access::Read).unwrap(),
        &mut copied,
        &pacer,
    )
    .unwrap();
    check(copied).unwrap();
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(check(bytes).is_err());
    }

    /// Random bytes between a sound head and a trailer whose crc holds: the index is reached.
    #[test]
    fn no_index_makes_the_reader_panic(
        frames in prop::collection::vec(any::<u8>(), 0..80),
        body in prop::collection::vec(any::<u8>(), 0..200),
        real in any::<bool>(),
        counts in any::<[u8; 4]>(),
    ) {
        let mut index = Vec::new();
        if real {
            let manifest = Sample::dense(1, 2, text).manifest().encode();
            index.extend_from_slice(&(manifest.len() as u32).to_le_bytes());
            index.extend_from_slice(&manifest);
            index.extend_from_slice(&counts);
        }
        index.extend_from_slice(&body);
        let mut bytes = head().to_vec();
        bytes.extend_from_slice(&frames);
        let end = trailer(bytes.len() as u64, &index);
        bytes.extend_from_slice(&index);
        bytes.extend_from_slice(&end);
        bytes.extend_from_slice(&[0; SHA_LEN]);
        prop_assert!(check(bytes).is_err());
    }

    /// Frames of random content behind a sound index: records, keys and names are reached.
    #[test]
    fn no_frame_makes_the_reader_panic(
        raw in prop::collection::vec(any::<u8>(), 1..200),
        kind in 1u8..4,
        len in any::<u8>(),
    ) {
        let stored = zstd::bulk::compress(&raw, 1).unwrap();
        let is_carried = kind == Kind::Carried as u8;
        let (first, last) = if is_carried { (0, 0) } else { (1, 2) };
        let entry = Entry {
            kind: Kind::of(kind).unwrap(),
            first,
            last,
            stored: stored.len() as u32,
            // Sometimes the truth.
            raw: if len < 200 { raw.len() as u32 } else { u32::from(len) },
            crc: crc32fast::hash(&stored),
        };
        let manifest = Sample::dense(1, 2, text).manifest();
        let index = Index { manifest, holes: Holes::default(), entries: vec![entry] }.encode().unwrap();
        let mut bytes = head().to_vec();
        bytes.extend_from_slice(&stored);
        let end = trailer(bytes.len() as u64, &index);
        bytes.extend_from_slice(&index);
        bytes.extend_from_slice(&end);
        bytes.extend_from_slice(&[0; SHA_LEN]);
        let container = Container::open(bytes).unwrap();
        let _ = (container.check(), container.carried(), container.each_key(|_, _| {}));
    }
}
