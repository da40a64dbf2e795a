//! Functions that take any bytes for what a disk may hold, and panic where this crate would be
//! wrong: by a panic of its own, by reading something it would not write, or by more memory than
//! the bytes allow (`wal/tests/allocations.rs`). For `wal/fuzz` and for the tests of this crate.
//!
//! Checksums keep mutated bytes out, so each function tries them also with the checksum put right;
//! not so [`catalog`], whose pages are the engine's and carry its sums.

#[cfg(test)]
mod tests;

use crate::block::{self, Pieces};
use crate::contain::contained;
use crate::container::{self, Container};
use crate::error::OpenError;
use crate::fault::Machine;
use crate::frame::array;
use crate::hole::Hole;
use crate::manifest::Manifest;
use crate::plan::CATALOG;
use crate::{HEADER_LEN, Log, Options, Record, Seq, redo, verify};

/// A function for any bytes.
pub type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: [(&str, Target); 6] = [
    ("record", record),
    ("block", block),
    ("manifest", manifest),
    ("redo", redo),
    ("container", archived),
    ("catalog", catalog),
];

/// A record as it is stored.
pub fn record(bytes: &[u8]) {
    drop(Record::decode(bytes.to_vec()));
    let Some(payload) = bytes.len().checked_sub(HEADER_LEN) else {
        return;
    };
    let mut whole = bytes.to_vec();
    whole[..3].copy_from_slice(&[b'W', b'R', 1]);
    whole[52..56].copy_from_slice(&(payload as u32).to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&whole[..56]);
    crc.update(&whole[HEADER_LEN..]);
    whole[56..60].copy_from_slice(&crc.finalize().to_le_bytes());
    match Record::decode(whole.clone()) {
        Ok(record) => {
            assert_eq!(record.as_bytes(), whole);
            assert_eq!(record.payload().len(), payload);
        }
        Err(_) => assert_eq!(array(&whole, 12), [0; 8], "only number zero is refused"),
    }
}

/// A block of records, and one of keys, after 8 bytes that say which numbers it should hold.
pub fn block(bytes: &[u8]) {
    let Some((place, bytes)) = bytes.split_at_checked(8) else {
        return;
    };
    let before = u64::from(u32::from_le_bytes(array(place, 0)));
    let last = before.saturating_add(u64::from(u32::from_le_bytes(array(place, 4))));
    let (mut next, mut len, mut pieces) = (before + 1, 0, 0);
    for piece in Pieces::new(before, last, bytes) {
        assert!(piece.seq >= next && piece.last >= piece.seq);
        next = piece.last + 1;
        len += piece.bytes.len();
        pieces += 1;
    }
    assert!(next > last && len == bytes.len());
    assert!(pieces <= 1 + bytes.len() / HEADER_LEN);
    keys(before, bytes);
}

/// A row of keys, of the layout without a checksum and of the one with it.
fn keys(first: u64, bytes: &[u8]) {
    let mut row = bytes.to_vec();
    block::end_keys(first, &mut row);
    for (layout, row) in [(1, bytes), (2, bytes), (2, &row)] {
        let mut len = 0;
        let whole = block::keys(layout, first, row, |key, seq| {
            assert!(seq >= first);
            len += key.len() + 2;
        });
        assert!(len <= row.len() && (layout == 2 || whole.is_some() || !row.is_empty()));
    }
}

/// A manifest, and a hole.
pub fn manifest(bytes: &[u8]) {
    let again = |bytes: &[u8]| {
        if let Some(manifest) = Manifest::decode(bytes) {
            assert!(manifest.engine.len() <= 255);
            assert_eq!(Manifest::decode(&manifest.encode()), Some(manifest));
        }
    };
    again(bytes);
    let mut whole = bytes.to_vec();
    whole.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    again(&whole);
    if let Some((first, rest)) = bytes.split_at_checked(8)
        && let Some(hole) = Hole::decode(u64::from_le_bytes(array(first, 0)), rest)
    {
        assert_eq!(hole.encode(), rest);
    }
}

/// The redo file.
pub fn redo(bytes: &[u8]) {
    let mut whole = bytes.to_vec();
    if whole.len() >= 48 {
        whole[..4].copy_from_slice(b"WRDO");
        let body = u32::from_le_bytes(array(&whole, 40)) as usize % (whole.len() - 47);
        whole[40..44].copy_from_slice(&(body as u32).to_le_bytes());
        let crc = crc32fast::hash(&whole[8..48 + body]);
        whole[4..8].copy_from_slice(&crc.to_le_bytes());
    }
    for bytes in [bytes, &whole] {
        for frame in redo::lap(bytes).0 {
            let held: usize = frame.writes.values().map(Vec::len).sum();
            assert!(
                held <= 1 << 20,
                "more than any frame, whatever is left out as zeroes"
            );
            let mut out = Vec::new();
            frame.encode(&mut out);
            assert_eq!(
                redo::Frame::decode(&out).map(|(frame, _)| frame),
                Some(frame)
            );
        }
    }
}

/// A container of an archive or a backup.
pub fn archived(bytes: &[u8]) {
    let mut whole = bytes.to_vec();
    container::put_right(&mut whole);
    for bytes in [bytes.to_vec(), whole] {
        let Ok(container) = Container::open(bytes) else {
            continue;
        };
        drop(container.check());
        drop(container.each_key(|key, _| assert!(key.len() <= crate::KEY_BYTES_MAX)));
        drop(container.carried());
        let mut records = container.records(container.manifest().first);
        while let Ok(Some(_)) = records.next() {}
    }
}

/// The file of a catalog, in an otherwise sound log: opened, read, verified. The engine's panics
/// are contained, as they are in use.
pub fn catalog(bytes: &[u8]) {
    let machine = Machine::new();
    let options = || Options {
        cache_bytes: 1 << 20,
        redo_bytes: 64 << 10,
        ..Options::default()
    };
    let sound = Log::open_on(&machine, options()).and_then(|log| {
        drop(log);
        machine.put_file(CATALOG, bytes.to_vec());
        contained::<_, OpenError>(CATALOG, || verify::verify_on(&machine, &mut |_| {}))?;
        Log::open_on(&machine, options())
    });
    if let Ok(log) = sound {
        drop(log.reader().read(Seq::FIRST, 10, usize::MAX));
    }
}
