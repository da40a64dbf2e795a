//! Numbers that no record has and none will ever have, for whoever counts numbers. Pure.

use wal::{Hole, HoleCause};

/// The recorded holes of a log, in order, none overlapping another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holes(Vec<Hole>);

impl Holes {
    /// As `wal::Reader::holes` gives them.
    pub fn new(mut holes: Vec<Hole>) -> Holes {
        holes.sort_unstable_by_key(|hole| hole.first);
        Holes(holes)
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter()
    }

    /// The hole that a number lies in.
    pub fn at(&self, seq: u64) -> Option<&Hole> {
        let at = self.0.partition_point(|hole| hole.last.get() < seq);
        self.0.get(at).filter(|hole| hole.first.get() <= seq)
    }

    /// Whether a number was skipped by a fence: it may have had a record in a life of the log that is lost.
    pub fn is_fenced(&self, seq: u64) -> bool {
        self.at(seq)
            .is_some_and(|hole| hole.cause == HoleCause::Fence)
    }

    /// The last number of those right behind `after` that lie in holes; `after` where the next one does not. Who has
    /// everything up to `after` has everything up to there.
    pub fn skip(&self, after: u64) -> u64 {
        let mut at = after;
        while let Some(hole) = self.at(at.saturating_add(1)) {
            at = hole.last.get();
        }
        at
    }

    /// The highest number up to `seq` that lies in no hole; 0 for none.
    pub fn back(&self, seq: u64) -> u64 {
        let mut at = seq;
        while let Some(hole) = self.at(at) {
            at = hole.first.get() - 1;
        }
        at
    }

    /// How many of the numbers behind `after` up to `until` are not in a hole.
    pub fn between(&self, after: u64, until: u64) -> u64 {
        let all = until.saturating_sub(after);
        self.0.iter().fold(all, |left, hole| {
            let first = hole.first.get().max(after.saturating_add(1));
            let last = hole.last.get().min(until);
            left.saturating_sub((last + 1).saturating_sub(first))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wal::Seq;

    fn holes(ranges: &[(u64, u64)]) -> Holes {
        let seq = |n| Seq::new(n).expect("from 1");
        let hole = |(first, last): &(u64, u64)| Hole {
            first: seq(*first),
            last: seq(*last),
            cause: HoleCause::Fence,
            noted_at: 0,
        };
        Holes::new(ranges.iter().map(hole).collect())
    }

    #[test]
    fn neighbouring_holes_are_passed_together() {
        let holes = holes(&[(8, 9), (4, 5), (6, 7), (1, 2)]);
        assert_eq!(holes.skip(3), 9);
        assert_eq!(holes.skip(2), 2);
        assert_eq!(holes.skip(0), 2);
        assert_eq!(holes.back(9), 3);
        assert_eq!(holes.back(2), 0);
        assert_eq!(holes.between(0, 12), 4);
        assert!(holes.is_fenced(4) && !holes.is_fenced(3));
    }

    proptest! {
        #[test]
        fn they_count_as_counting_one_by_one_would(
            present in proptest::collection::vec(any::<bool>(), 1..40), after in 0_u64..45, more in 0_u64..45,
        ) {
            let ranges: Vec<(u64, u64)> = (1..).zip(&present).filter(|(_, is)| !**is).map(|(n, _)| (n, n)).collect();
            let holes = holes(&ranges);
            let is = |n: u64| n > 0 && present.get(usize::try_from(n).unwrap_or(0) - 1).copied().unwrap_or(true);
            let until = after + more;
            prop_assert_eq!(holes.between(after, until), (after + 1..=until).filter(|n| is(*n)).count() as u64);
            let skipped = (after + 1..).take_while(|n| !is(*n)).last().unwrap_or(after);
            prop_assert_eq!(holes.skip(after), skipped);
            prop_assert_eq!(holes.back(until), (1..=until).rev().find(|n| is(*n)).unwrap_or(0));
        }
    }
}
