//! Which request may be sent when: waits that Telegram asked for, and a budget for what can wait.
//!
//! Pure: the time is passed in. Three things hold a request back:
//!
//! - Telegram asked for a wait (FLOOD_WAIT and its kin): it binds that method alone, to the second, and every request
//!   of it. The live stream is pushed by the server and needs no request, so it goes on.
//! - The places at once: of two, history takes one at most, so that a name never waits for a backfill.
//! - A bucket of tokens.
//!
//! Differences are not in it: the driver has its own bounds, and a wait of its own for each channel, so that one
//! channel's trouble is not another's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Requests that are on their way at once.
const AT_ONCE_MAX: usize = 2;

/// How soon a request that found no place asks again. Places come free by answers, which nobody can foresee.
const PLACE_RETRY: Duration = Duration::from_millis(50);

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Who is behind a name, an account's own state.
    Resolve,
    /// History, comparing, media.
    History,
}

impl Priority {
    /// Places that a request of this kind may not be the one to take.
    fn leaves_free(self) -> usize {
        match self {
            Priority::Resolve => 0,
            Priority::History => 1,
        }
    }
}

/// The decisions; see the module.
#[derive(Debug)]
pub struct Budget {
    per_minute: u32,
    /// Tokens that were left when it was last refilled.
    tokens: f64,
    refilled: Instant,
    waits: BTreeMap<&'static str, Instant>,
    on_their_way: usize,
}

impl Budget {
    /// A full bucket of so many requests a minute, at least one.
    pub fn new(per_minute: u32, now: Instant) -> Budget {
        let per_minute = per_minute.max(1);
        Budget {
            per_minute,
            tokens: f64::from(per_minute),
            refilled: now,
            waits: BTreeMap::new(),
            on_their_way: 0,
        }
    }

    /// Takes a place for a request, or says when to ask again. [`Budget::done`] gives the place back.
    pub fn take(
        &mut self,
        method: &'static str,
        priority: Priority,
        now: Instant,
    ) -> Result<(), Instant> {
        if let Some(due) = self.waits_until(method, now) {
            return Err(due);
        }
        if self.on_their_way + priority.leaves_free() >= AT_ONCE_MAX {
            return Err(now + PLACE_RETRY);
        }
        self.refill(now);
        if self.tokens < 1.0 {
            let missing = (1.0 - self.tokens) * 60.0 / f64::from(self.per_minute);
            return Err(now + Duration::from_secs_f64(missing));
        }
        self.tokens -= 1.0;
        self.on_their_way += 1;
        Ok(())
    }

    /// A request came back, with whatever answer, or was given up.
    pub fn done(&mut self) {
        self.on_their_way = self.on_their_way.saturating_sub(1);
    }

    /// Telegram wants this method left alone for so long.
    pub fn flooded(&mut self, method: &'static str, wait: Duration, now: Instant) {
        let due = now + wait;
        let known = self.waits.entry(method).or_insert(due);
        *known = due.max(*known);
    }

    /// Until when a method must be left alone; none when it need not be.
    pub fn waits_until(&mut self, method: &'static str, now: Instant) -> Option<Instant> {
        let due = *self.waits.get(method)?;
        if due > now {
            return Some(due);
        }
        self.waits.remove(method);
        None
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        let full = f64::from(self.per_minute);
        self.tokens = (self.tokens + passed * full / 60.0).min(full);
        self.refilled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTORY: &str = "messages.getHistory";
    const USERS: &str = "users.getUsers";

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_wait_binds_its_method_to_the_second_and_no_other() {
        let start = Instant::now();
        let mut budget = Budget::new(60, start);
        for wait in [3, 30, 90, 3600] {
            budget.flooded(HISTORY, second(wait), start);
            let due = start + second(wait);
            let early = due - Duration::from_millis(1);
            assert_eq!(
                budget.take(HISTORY, Priority::History, early),
                Err(due),
                "a moment too early"
            );
            assert_eq!(
                budget.take(USERS, Priority::History, early),
                Ok(()),
                "other methods go on"
            );
            budget.done();
            assert_eq!(budget.take(HISTORY, Priority::History, due), Ok(()));
            budget.done();
        }
    }

    #[test]
    fn of_two_waits_the_longer_counts() {
        let start = Instant::now();
        let mut budget = Budget::new(60, start);
        budget.flooded(HISTORY, second(90), start);
        budget.flooded(HISTORY, second(3), start);
        assert_eq!(
            budget.waits_until(HISTORY, start + second(4)),
            Some(start + second(90))
        );
    }

    #[test]
    fn history_leaves_a_place_for_names() {
        let now = Instant::now();
        let mut budget = Budget::new(600, now);
        assert!(budget.take(HISTORY, Priority::History, now).is_ok());
        assert!(budget.take(HISTORY, Priority::History, now).is_err());
        assert!(budget.take(USERS, Priority::Resolve, now).is_ok());
        assert!(budget.take(USERS, Priority::Resolve, now).is_err());
        budget.done();
        assert!(budget.take(USERS, Priority::Resolve, now).is_ok());
    }

    #[test]
    fn the_bucket_empties_and_fills_again() {
        let start = Instant::now();
        let mut budget = Budget::new(2, start);
        let mut take = |at| {
            let taken = budget.take(HISTORY, Priority::History, at);
            if taken.is_ok() {
                budget.done();
            }
            taken
        };
        assert_eq!((take(start), take(start)), (Ok(()), Ok(())));
        assert_eq!(take(start), Err(start + second(30)));
        assert!(take(start + second(29)).is_err());
        assert_eq!(take(start + second(31)), Ok(()));
        // A long rest fills the bucket, and no more than it holds.
        let later = start + second(86_400);
        assert_eq!((take(later), take(later)), (Ok(()), Ok(())));
        assert!(take(later).is_err());
    }
}
