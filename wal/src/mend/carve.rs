//! Finding records in bytes of which nothing else is known. Pure.
//!
//! A record needs no other byte to be recognised: it starts with a magic and says its length and
//! its number, and its checksum covers all of it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::frame::{self, HEADER_LEN, Header};

/// Which records are looked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) numbers: RangeInclusive<u64>,
    /// `None` when it is not known.
    pub(crate) epoch: Option<u32>,
}

impl Wanted {
    fn is(&self, header: &Header) -> bool {
        self.numbers.contains(&header.seq.get())
            && self.epoch.is_none_or(|epoch| epoch == header.epoch)
    }
}

/// Everything that was found under one number: pages are copied when they change, so that a
/// record is often there several times. Equal bytes are kept once.
pub(crate) type Carved = BTreeMap<u64, Vec<Vec<u8>>>;

/// Takes every wanted record out of `bytes`. Returns up to where it looked: less than all only
/// when a record may go on past the end and `more` bytes follow.
pub(crate) fn carve(bytes: &[u8], wanted: &Wanted, more: bool, out: &mut Carved) -> usize {
    let mut at = 0;
    while let Some(start) = find_magic(bytes, at) {
        at = start + 1;
        let Some(len) = plausible(&bytes[start..], wanted) else {
            if more && bytes.len() - start < HEADER_LEN {
                return start;
            }
            continue;
        };
        let Some(record) = bytes.get(start..start + len) else {
            if more {
                return start;
            }
            continue;
        };
        if let Ok(header) = frame::decode_header(record) {
            keep(out, header.seq.get(), record);
            // What lies inside a whole record is its payload, whatever it looks like.
            at = start + len;
        }
    }
    // The magic itself may be cut in two.
    let cut = more && at < bytes.len() && bytes.last() == frame::MAGIC.first();
    bytes.len() - usize::from(cut)
}

fn keep(out: &mut Carved, seq: u64, record: &[u8]) {
    let same = out.entry(seq).or_default();
    if !same.iter().any(|known| known == record) {
        same.push(record.to_vec());
    }
}

fn find_magic(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let found = rest.windows(2).position(|two| two == frame::MAGIC)?;
    Some(from + found)
}

/// The length of the record that starts here, if its header can be one that is wanted. Spares
/// the checksum of what only looks like a record.
fn plausible(bytes: &[u8], wanted: &Wanted) -> Option<usize> {
    let header = frame::peek(bytes)?;
    wanted
        .is(&header)
        .then_some(HEADER_LEN + header.payload_len as usize)
}

/// What is to be taken of what was found under numbers that have no other source. A number with
/// one version has that. Of several, one was written by a transaction that never was committed;
/// they are told apart by `fits`, which knows the digest of the whole: given the choice of a
/// version per disputed number, it says whether that is it.
pub(crate) fn settle(
    disputed: &[usize],
    mut fits: impl FnMut(&[usize]) -> bool,
) -> Option<Vec<usize>> {
    let combinations = disputed
        .iter()
        .try_fold(1usize, |all, versions| all.checked_mul(*versions))
        .filter(|all| *all <= COMBINATIONS_MAX)?;
    (0..combinations).find_map(|n| {
        let mut rest = n;
        let choice: Vec<usize> = disputed
            .iter()
            .map(|versions| {
                let pick = rest % versions;
                rest /= versions;
                pick
            })
            .collect();
        fits(&choice).then_some(choice)
    })
}

/// Each combination costs a digest over the segment.
const COMBINATIONS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::NewRecord;
    use crate::seq::Seq;
    use proptest::prelude::*;

    fn record(seq: u64, epoch: u32, payload: &[u8]) -> Vec<u8> {
        let new = NewRecord {
            codec: 1,
            flags: 0,
            kind: 1,
            peer_kind: 0,
            peer_id: 1,
            message_id: 2,
            received_at: 3,
            source_at: 4,
            payload: payload.to_vec(),
            key: None,
        };
        let mut out = Vec::new();
        frame::encode(&new, Seq::new(seq).unwrap(), epoch, &mut out);
        out
    }

    fn wanted() -> Wanted {
        Wanted {
            numbers: 10..=20,
            epoch: Some(2),
        }
    }

    #[test]
    fn records_are_found_at_any_offset_and_others_are_not() {
        let inner = record(13, 2, b"not a record of this log: part of a payload");
        let mut bytes = b"WRWR\x01".to_vec();
        for part in [
            record(10, 2, b"one"),
            vec![0; 3],
            record(10, 2, b"one"),
            record(11, 1, b"another epoch"),
            record(21, 2, b"another segment"),
            record(12, 2, &inner),
            record(20, 2, b""),
        ] {
            bytes.extend_from_slice(&part);
        }
        let mut out = Carved::new();
        assert_eq!(carve(&bytes, &wanted(), false, &mut out), bytes.len());
        let found: Vec<(u64, usize)> = out.iter().map(|(seq, same)| (*seq, same.len())).collect();
        assert_eq!(found, [(10, 1), (12, 1), (20, 1)]);
        assert_eq!(out[&12][0], record(12, 2, &inner));
    }

    #[test]
    fn the_choice_that_fits_is_found_and_none_when_there_are_too_many() {
        let fits = |choice: &[usize]| choice == [1, 2, 0];
        assert_eq!(settle(&[2, 3, 2], fits), Some(vec![1, 2, 0]));
        assert_eq!(settle(&[2, 2], |_| false), None);
        assert_eq!(settle(&[2; 100], |_| true), None);
    }

    proptest! {
        #[test]
        fn a_record_cut_by_a_window_is_found_in_the_next(
            before in prop::collection::vec(any::<u8>(), 0..90),
            payload in prop::collection::vec(any::<u8>(), 0..90),
            cut: prop::sample::Index,
        ) {
            let mut bytes = before;
            bytes.extend_from_slice(&record(15, 2, &payload));
            bytes.extend_from_slice(&[7; 5]);
            let cut = cut.index(bytes.len());
            let mut out = Carved::new();
            let seen = carve(&bytes[..cut], &wanted(), true, &mut out);
            prop_assert!(seen <= cut);
            carve(&bytes[seen..], &wanted(), false, &mut out);
            prop_assert_eq!(out.get(&15).map(Vec::len), Some(1));
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(prop_oneof![Just(b'W'), Just(b'R'), Just(1u8), any::<u8>()], 0..300)) {
            let mut out = Carved::new();
            let any = Wanted { numbers: 0..=u64::MAX, epoch: None };
            prop_assert!(carve(&bytes, &any, true, &mut out) <= bytes.len());
        }
    }
}
