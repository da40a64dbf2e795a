//! Blocks: nothing lost in cutting, nothing hidden by damage.

use proptest::prelude::*;

use super::*;
use crate::frame::{HEADER_LEN, NewRecord};
use crate::seq::Seq;

fn record(len: usize) -> NewRecord {
    NewRecord {
        payload: vec![7; len],
        key: None,
        ..crate::testing::record(1)
    }
}

fn block(first: u64, lens: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    for (seq, len) in (first..).zip(lens) {
        frame::encode(&record(*len), Seq::new(seq).unwrap(), 1, &mut out);
    }
    out
}

/// Numbers whose records are whole, and the numbers said to be damaged.
fn read(before: u64, last: u64, bytes: &[u8]) -> (Vec<u64>, Vec<u64>) {
    let (mut whole, mut damaged) = (Vec::new(), Vec::new());
    for piece in Pieces::new(before, last, bytes) {
        let decoded = frame::Record::decode(piece.bytes.to_vec());
        if piece.last == piece.seq && decoded.is_ok_and(|r| r.header().seq.get() == piece.seq) {
            whole.push(piece.seq);
        } else {
            damaged.extend(piece.seq..=piece.last);
        }
    }
    (whole, damaged)
}

#[test]
fn a_thousand_records_fill_their_pages() {
    let lens = vec![360; 1000];
    let runs = runs(&lens, 0);
    let pages: usize = runs
        .iter()
        .map(|run| (run.len() * 360 + LEAF_OVERHEAD).next_power_of_two())
        .sum();
    assert!(pages * 100 <= 360_000 * 103, "{pages} {runs:?}");
    assert!(runs.len() < 14, "{runs:?}");
}

#[test]
fn a_missing_row_shows_as_a_gap() {
    let bytes = block(8, &[5, 6, 7]);
    let first = Pieces::new(3, 10, &bytes).next().unwrap();
    assert_eq!((first.seq, first.last), (8, 8));
    assert_eq!(read(3, 10, &bytes), (vec![8, 9, 10], vec![]));
}

#[test]
fn numbers_at_the_end_of_their_range_neither_overflow_nor_loop() {
    let pieces: Vec<Piece<'_>> = Pieces::new(u64::MAX - 1, u64::MAX, &[]).collect();
    assert_eq!(pieces.len(), 1);
    let bytes = block(1, &[3, 3]);
    let pieces: Vec<Piece<'_>> = Pieces::new(0, u64::MAX, &bytes).collect();
    assert_eq!(pieces.len(), 3);
    assert_eq!((pieces[2].seq, pieces[2].last), (3, u64::MAX));
    assert_eq!(keys(1, u64::MAX, &[0, 0], |_, _| ()), None);
}

proptest! {
    #[test]
    fn runs_cover_everything_in_order(
        lens in prop::collection::vec(0usize..9000, 0..200),
        more in 0usize..9,
    ) {
        let mut at = 0;
        for run in runs(&lens, more) {
            prop_assert!(run.start == at && run.end > at);
            let bytes: usize = lens[run.clone()].iter().sum();
            prop_assert!(run.len() == 1 || bytes + more <= (PAGE << ORDER_MAX) - LEAF_OVERHEAD);
            at = run.end;
        }
        prop_assert_eq!(at, lens.len());
    }

    #[test]
    fn every_number_of_a_damaged_block_is_whole_or_named(
        before in 0u64..1000,
        lens in prop::collection::vec(0usize..90, 1..8),
        at: prop::sample::Index,
        flip in 1u8..,
        cut in any::<bool>(),
    ) {
        let mut bytes = block(before + 1, &lens);
        let all: Vec<u64> = (before + 1..).take(lens.len()).collect();
        let last = before + lens.len() as u64;
        prop_assert_eq!(read(before, last, &bytes), (all.clone(), vec![]));
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        let (whole, damaged) = read(before, last, &bytes);
        prop_assert!(!damaged.is_empty());
        let mut seen = [whole.clone(), damaged].concat();
        seen.sort_unstable();
        prop_assert_eq!(seen, all);
        // What lies before the damage is whole.
        let mut end = 0;
        let sound = lens.iter().take_while(|len| { end += HEADER_LEN + **len; end <= at }).count();
        prop_assert!(whole.len() >= sound);
    }

    #[test]
    fn keys_come_back(list in prop::collection::vec(
        prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 0..20,
    )) {
        let mut bytes = Vec::new();
        let mut len = 0;
        for key in &list {
            put_key(key.as_deref(), &mut bytes);
            len += key_len(key.as_deref());
        }
        prop_assert_eq!(bytes.len(), len);
        let wanted: Vec<_> = (5..).zip(list).filter_map(|(seq, key)| Some((seq, key?))).collect();
        for layout in [1, 2] {
            if layout == 2 {
                end_keys(5, &mut bytes);
                prop_assert_eq!(bytes.len(), len + KEYS_SUM);
            }
            let mut found = Vec::new();
            keys(layout, 5, &bytes, |key, seq| found.push((seq, key.to_vec()))).unwrap();
            prop_assert_eq!(&found, &wanted);
        }
    }

    #[test]
    fn a_row_of_keys_that_changed_or_lies_elsewhere_is_refused(
        key in prop::collection::vec(any::<u8>(), 0..40),
        at: prop::sample::Index,
        bit in 0u8..8,
        elsewhere in any::<u64>(),
    ) {
        let mut row = Vec::new();
        put_key(Some(&key), &mut row);
        put_key(None, &mut row);
        end_keys(5, &mut row);
        let at = at.index(row.len());
        let mut flipped = row.clone();
        flipped[at] ^= 1 << bit;
        prop_assert_eq!(keys(2, 5, &flipped, |_, _| ()), None);
        prop_assert_eq!(keys(2, 5, &row[..at], |_, _| ()), None);
        prop_assert_eq!(keys(2, elsewhere, &row, |_, _| ()).is_some(), elsewhere == 5);
        prop_assert_eq!(keys(2, 5, &vec![0; row.len()], |_, _| ()), None);
    }

    #[test]
    fn any_bytes_are_taken_apart_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
        let mut all = 0;
        let _ = keys(1, 1, &bytes, |key, _| all += key.len());
        prop_assert!(all <= bytes.len());
        prop_assert!(Pieces::new(0, u64::MAX, &bytes).count() <= 2 + bytes.len());
    }
}
