//! When which number became durable, so that later stages are measured from there too.

use std::collections::VecDeque;

/// Commits that are remembered: some seconds at full speed. What is older is measured from its receipt alone.
const COMMITS_MAX: usize = 8192;

/// The newest commits: the last number of each, and when it was durable, in microseconds since the epoch.
#[derive(Debug, Default)]
pub(super) struct Durable {
    commits: VecDeque<(u64, i64)>,
    /// Numbers up to here became durable at a time that is not known: the log's tail at the start, and what is forgotten.
    floor: Option<u64>,
}

impl Durable {
    /// The log's tail is here now.
    pub(super) fn reached(&mut self, seq: u64, now_us: i64) {
        let floor = *self.floor.get_or_insert(seq);
        let newest = self.commits.back().map_or(floor, |(last, _)| *last);
        if seq <= newest {
            return;
        }
        if self.commits.len() == COMMITS_MAX
            && let Some((last, _)) = self.commits.pop_front()
        {
            self.floor = Some(last);
        }
        self.commits.push_back((seq, now_us));
    }

    /// When this number became durable, if that is known.
    pub(super) fn when(&self, seq: u64) -> Option<i64> {
        if seq <= self.floor? {
            return None;
        }
        let at = self.commits.partition_point(|(last, _)| *last < seq);
        self.commits.get(at).map(|(_, at_us)| *at_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_became_durable_with_its_commit() {
        let mut durable = Durable::default();
        durable.reached(100, 1);
        durable.reached(100, 2);
        durable.reached(103, 3);
        durable.reached(110, 4);
        let when = |seq| durable.when(seq);
        assert_eq!((when(1), when(100)), (None, None));
        assert_eq!((when(101), when(103)), (Some(3), Some(3)));
        assert_eq!((when(104), when(110), when(111)), (Some(4), Some(4), None));
    }

    #[test]
    fn an_empty_log_has_its_first_commit_too() {
        let mut durable = Durable::default();
        assert_eq!(durable.when(1), None);
        durable.reached(0, 1);
        durable.reached(5, 2);
        assert_eq!((durable.when(1), durable.when(5)), (Some(2), Some(2)));
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut durable = Durable::default();
        for seq in 0..=COMMITS_MAX as u64 + 5 {
            durable.reached(seq, seq as i64);
        }
        assert_eq!(durable.commits.len(), COMMITS_MAX);
        assert_eq!((durable.when(5), durable.when(6)), (None, Some(6)));
    }
}
