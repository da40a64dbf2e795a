use super::*;
use crate::pace::Pace;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn encode(rows: &BTreeMap<Vec<u8>, u64>) -> (KeysEntry, Vec<u8>) {
    let mut out = Vec::new();
    let pacer = Pacer::new(Pace::UNLIMITED);
    let mut rows = rows.iter().map(|(key, seq)| Ok((key.clone(), *seq)));
    let entry = write(LogId([7; 16]), &mut rows, &mut out, &pacer).unwrap();
    (entry, out)
}

fn decode(bytes: Vec<u8>) -> Result<(KeysEntry, BTreeMap<Vec<u8>, u64>), ContainerError> {
    let mut keys = Keys::open(Stream::new(bytes)?)?;
    assert_eq!(keys.log_id(), LogId([7; 16]));
    let rows = keys.by_ref().collect::<Result<_, _>>()?;
    Ok((keys.entry().ok_or_else(damaged)?, rows))
}

fn sample(count: u64) -> BTreeMap<Vec<u8>, u64> {
    let key = |n: u64| [n.wrapping_mul(0x9e37_79b9).to_be_bytes(), n.to_be_bytes()].concat();
    (1..=count).map(|n| (key(n), n)).collect()
}

#[test]
fn keys_come_back_from_many_frames_and_from_none() {
    for count in [0, 1, 100_000] {
        let rows = sample(count);
        let (entry, bytes) = encode(&rows);
        assert_eq!((entry.count, entry.bytes), (count, bytes.len() as u64));
        assert!(is_keys_name(&entry.name()), "{}", entry.name());
        assert_eq!(decode(bytes).unwrap(), (entry, rows));
    }
    assert!(!is_keys_name("keys-0123.walk") && !is_keys_name("backup.txt"));
}

#[test]
fn no_changed_or_missing_byte_goes_unnoticed() {
    let (_, bytes) = encode(&sample(40));
    for at in (0..8).chain(24..bytes.len()) {
        for flip in [1, 0x80] {
            let mut bad = bytes.clone();
            bad[at] ^= flip;
            assert!(decode(bad).is_err(), "byte {at}");
        }
        assert!(decode(bytes[..at].to_vec()).is_err(), "cut at {at}");
    }
    assert!(decode([bytes, vec![0]].concat()).is_err(), "more follows");
}

#[test]
fn keys_that_do_not_ascend_are_refused() {
    let pacer = Pacer::new(Pace::UNLIMITED);
    for rows in [[b"b", b"a"], [b"a", b"a"]] {
        let mut out = Vec::new();
        let mut rows = rows.into_iter().map(|key| Ok((key.to_vec(), 1)));
        write(LogId([7; 16]), &mut rows, &mut out, &pacer).unwrap();
        assert!(matches!(decode(out), Err(ContainerError::Damaged { .. })));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        tail in proptest::collection::vec(any::<u8>(), 0..200),
        cut in 0usize..200,
    ) {
        let (_, mut bytes) = encode(&sample(3));
        bytes.truncate(cut.max(HEAD_LEN));
        bytes.extend(tail);
        let _ = decode(bytes);
    }
}
