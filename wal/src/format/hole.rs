//! Numbers that will never be readable, recorded for ever. Pure.
//!
//! A row is keyed by the hole's first number. Its value, little-endian:
//!
//! ```text
//!   0  u64   last number
//!   8  u8    cause: 1 = damage, 2 = fence
//!   9  i64   noted, microseconds since the Unix epoch
//!  17  u32   crc32 over the first number (u64) and everything before this field
//! ```

use std::fmt;

use crate::frame::array;
use crate::seq::Seq;

const LEN: usize = 21;
const CRC_AT: usize = 17;

/// Why no record can be read under a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoleCause {
    /// The records were there, and what was left of their segment does not hold them any more.
    Damage,
    /// The numbers were skipped, because they may have been given out before the log lost its
    /// end or was restored from an older copy.
    Fence,
}

impl HoleCause {
    /// `damage` or `fence`; never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            HoleCause::Damage => "damage",
            HoleCause::Fence => "fence",
        }
    }

    fn code(self) -> u8 {
        match self {
            HoleCause::Damage => 1,
            HoleCause::Fence => 2,
        }
    }
}

impl fmt::Display for HoleCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A range of numbers that no read will ever give, recorded for ever. It lies inside the range
/// of one segment. Whoever counts on every number treats it as covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// The first of the numbers.
    pub first: Seq,
    /// The last of them.
    pub last: Seq,
    /// Why.
    pub cause: HoleCause,
    /// When it was recorded, microseconds since the Unix epoch, UTC.
    pub noted_at: i64,
}

impl Hole {
    /// How many numbers it covers.
    pub fn count(&self) -> u64 {
        (self.last.get() - self.first.get()).saturating_add(1)
    }

    pub(crate) fn encode(&self) -> [u8; LEN] {
        let mut out = [0; LEN];
        out[..8].copy_from_slice(&self.last.get().to_le_bytes());
        out[8] = self.cause.code();
        out[9..CRC_AT].copy_from_slice(&self.noted_at.to_le_bytes());
        let crc = checksum(self.first.get(), &out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` for anything that [`Hole::encode`] did not produce for a hole that starts at `first`.
    pub(crate) fn decode(first: u64, bytes: &[u8]) -> Option<Hole> {
        if bytes.len() != LEN
            || checksum(first, &bytes[..CRC_AT]) != u32::from_le_bytes(array(bytes, CRC_AT))
        {
            return None;
        }
        let last = Seq::new(u64::from_le_bytes(array(bytes, 0)))?;
        let first = Seq::new(first).filter(|first| *first <= last)?;
        Some(Hole {
            first,
            last,
            cause: match bytes[8] {
                1 => HoleCause::Damage,
                2 => HoleCause::Fence,
                _ => return None,
            },
            noted_at: i64::from_le_bytes(array(bytes, 9)),
        })
    }
}

fn checksum(first: u64, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&first.to_le_bytes());
    crc.update(body);
    crc.finalize()
}

/// Holes in order of their numbers, none overlapping another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holes(Vec<Hole>);

impl Holes {
    /// Sorts them. `None` when two overlap.
    pub(crate) fn new(mut holes: Vec<Hole>) -> Option<Holes> {
        holes.sort_unstable_by_key(|hole| hole.first);
        let apart = holes.windows(2).all(|pair| pair[0].last < pair[1].first);
        apart.then_some(Holes(holes))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that lie from `first` to `last`.
    pub(crate) fn within(&self, first: u64, last: u64) -> Holes {
        let inside = |hole: &&Hole| hole.first.get() >= first && hole.last.get() <= last;
        Holes(self.0.iter().filter(inside).copied().collect())
    }

    /// The first number from `next` on that lies in no hole.
    pub(crate) fn after(&self, next: u64) -> u64 {
        let mut next = next;
        let at = self.0.partition_point(|hole| hole.last.get() < next);
        for hole in &self.0[at..] {
            if hole.first.get() > next {
                break;
            }
            next = hole.last.get().saturating_add(1);
        }
        next
    }

    pub(crate) fn covers(&self, seq: u64) -> bool {
        self.after(seq) != seq
    }

    /// The highest number in a hole.
    pub(crate) fn last(&self) -> Option<u64> {
        self.0.last().map(|hole| hole.last.get())
    }

    /// How many numbers they cover.
    pub(crate) fn count(&self) -> u64 {
        let counts = self.0.iter().map(Hole::count);
        counts.fold(0, u64::saturating_add)
    }

    /// Records the numbers of `first..=last` that are neither in `there` (ascending) nor in a
    /// hole already as lost to damage.
    pub(crate) fn note_missing(
        &mut self,
        first: u64,
        last: u64,
        there: impl Iterator<Item = u64>,
        noted_at: i64,
    ) {
        let mut found = Vec::new();
        let mut next = first;
        let ends = there.chain(std::iter::once(last.saturating_add(1)));
        let known: Vec<(u64, u64)> = self
            .0
            .iter()
            .map(|hole| (hole.first.get(), hole.last.get()))
            .collect();
        for end in ends {
            for (from, to) in apart(next, end, &known) {
                found.push(Hole {
                    first: Seq::at_least_first(from),
                    last: Seq::at_least_first(to),
                    cause: HoleCause::Damage,
                    noted_at,
                });
            }
            next = end.saturating_add(1);
        }
        self.0.extend(found);
        self.0.sort_unstable_by_key(|hole| hole.first);
    }
}

/// The parts of `from..end` outside the `known` ranges, as inclusive ranges.
fn apart(from: u64, end: u64, known: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    let mut next = from;
    let at = known.partition_point(|(_, last)| *last < from);
    for (first, last) in &known[at..] {
        if *first >= end {
            break;
        }
        if next < *first {
            out.push((next, first - 1));
        }
        next = next.max(last.saturating_add(1));
    }
    if next < end {
        out.push((next, end - 1));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(first: u64, last: u64) -> Hole {
        Hole {
            first: Seq::new(first).unwrap(),
            last: Seq::new(last).unwrap(),
            cause: HoleCause::Fence,
            noted_at: -7,
        }
    }

    #[test]
    fn holes_survive_encoding_and_no_flipped_bit_does() {
        let one = hole(5, 9);
        let bytes = one.encode();
        assert_eq!(Hole::decode(5, &bytes), Some(one));
        assert_eq!(Hole::decode(4, &bytes), None);
        for at in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[at / 8] ^= 1 << (at % 8);
            assert_eq!(Hole::decode(5, &bad), None, "bit {at}");
        }
        assert_eq!(Hole::decode(5, &bytes[1..]), None);
        assert_eq!(Hole::decode(9, &hole(9, 3).encode()), None, "ends early");
    }

    #[test]
    fn a_number_in_a_hole_leads_to_the_next_that_is_not() {
        let holes = Holes::new(vec![hole(20, 20), hole(3, 4), hole(5, 9)]).unwrap();
        for (next, after) in [(1, 1), (3, 10), (7, 10), (10, 10), (20, 21), (21, 21)] {
            assert_eq!(holes.after(next), after);
            assert_eq!(holes.covers(next), next != after);
        }
        assert_eq!((holes.count(), holes.last()), (8, Some(20)));
        assert_eq!(Holes::new(vec![hole(3, 5), hole(5, 9)]), None);
    }

    #[test]
    fn what_is_missing_becomes_holes_and_known_holes_stay_as_they_are() {
        let mut holes = Holes::new(vec![hole(4, 6)]).unwrap();
        holes.note_missing(1, 12, [2, 3, 9].into_iter(), 5);
        let ranges: Vec<(u64, u64, HoleCause)> = holes
            .iter()
            .map(|h| (h.first.get(), h.last.get(), h.cause))
            .collect();
        let damage = HoleCause::Damage;
        assert_eq!(
            ranges,
            [
                (1, 1, damage),
                (4, 6, HoleCause::Fence),
                (7, 8, damage),
                (10, 12, damage)
            ]
        );
        let before = holes.clone();
        holes.note_missing(1, 12, [2, 3, 9].into_iter(), 6);
        assert_eq!(holes, before);
    }
}
