//! Does the server still push? A server may answer everything and send nothing by itself: it forgot the session, or it
//! is ill. From outside that looks like a quiet evening.
//!
//! Pure. When the line was quiet for a while, and at times even when it was not, the account asks what it missed
//! although nothing looks missing: rarely on a busy line, because Telegram then names every channel in which something
//! happened since the last time. What a check finds should have been pushed. One find costs the connection, for the
//! server may only have forgotten it; a second one in a row, with no push in between, says that the account is deaf: it
//! still gets everything, but only as often as it asks.

use std::time::{Duration, Instant};

use crate::event::Origin;

/// The longest that pushes put a check off: they may all be of some channels, and what is missing of others.
const PUT_OFF_MAX: Duration = Duration::from_secs(15 * 60);

/// What a check tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against the line.
    Fine,
    /// Something was not pushed: another connection may do better.
    Reconnect,
    /// And again: the account is deaf.
    Deaf,
}

/// The decisions; see the module.
#[derive(Debug)]
pub struct Hearing {
    quiet: Duration,
    due: Instant,
    checked: Instant,
    checking: bool,
    found: bool,
    finds: u32,
}

impl Hearing {
    /// Checks whenever the line was quiet for so long.
    pub fn new(quiet: Duration, now: Instant) -> Hearing {
        Hearing {
            quiet,
            due: now + quiet,
            checked: now,
            checking: false,
            found: false,
            finds: 0,
        }
    }

    /// When to check; none while a check goes on.
    pub fn due(&self) -> Option<Instant> {
        (!self.checking).then_some(self.due)
    }

    /// A check begins.
    pub fn begin(&mut self) {
        self.checking = true;
        self.found = false;
    }

    /// Updates were pushed.
    pub fn pushed(&mut self, now: Instant) {
        self.finds = 0;
        self.found = false;
        self.due = (now + self.quiet).min(self.checked + PUT_OFF_MAX);
    }

    /// Updates were fetched, this way. What a poll brings may be on its way still: to come before the push is what polls
    /// are for.
    pub fn fetched(&mut self, origin: Origin) {
        self.found |= self.checking && origin != Origin::Poll;
    }

    /// All that was asked is answered. Says something only when that ends a check.
    pub fn settled(&mut self, now: Instant) -> Option<Verdict> {
        if !self.checking {
            return None;
        }
        self.checking = false;
        self.begin_anew(now);
        if !self.found {
            return Some(Verdict::Fine);
        }
        self.finds += 1;
        Some(match self.finds {
            1 => Verdict::Reconnect,
            _ => Verdict::Deaf,
        })
    }

    /// The connection is gone: what the next difference finds is nobody's fault.
    pub fn lost(&mut self, now: Instant) {
        self.checking = false;
        self.found = false;
        self.begin_anew(now);
    }

    fn begin_anew(&mut self, now: Instant) {
        self.checked = now;
        self.due = now + self.quiet;
    }

    /// Whether nothing was pushed since the account was found to be deaf.
    pub fn is_deaf(&self) -> bool {
        self.finds > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(60);

    #[test]
    fn one_find_costs_the_connection_and_two_say_deaf_until_something_is_pushed() {
        let now = Instant::now();
        let mut hearing = Hearing::new(QUIET, now);
        let check = |hearing: &mut Hearing, finds: bool| {
            hearing.begin();
            assert_eq!(hearing.due(), None, "one check at a time");
            if finds {
                hearing.fetched(Origin::Difference);
            }
            hearing.settled(now)
        };
        assert_eq!(check(&mut hearing, false), Some(Verdict::Fine));
        assert_eq!(check(&mut hearing, true), Some(Verdict::Reconnect));
        hearing.lost(now);
        // A difference after a lost connection is no check.
        hearing.fetched(Origin::Difference);
        assert_eq!(hearing.settled(now), None);
        assert!(!hearing.is_deaf());
        assert_eq!(
            check(&mut hearing, false),
            Some(Verdict::Fine),
            "a quiet while clears nobody"
        );
        assert_eq!(check(&mut hearing, true), Some(Verdict::Deaf));
        assert!(hearing.is_deaf());
        hearing.pushed(now);
        assert!(!hearing.is_deaf());
        assert_eq!(check(&mut hearing, true), Some(Verdict::Reconnect));
    }

    #[test]
    fn a_push_during_a_check_clears_the_line() {
        let now = Instant::now();
        let mut hearing = Hearing::new(QUIET, now);
        hearing.begin();
        hearing.fetched(Origin::Difference);
        hearing.pushed(now);
        assert_eq!(hearing.settled(now), Some(Verdict::Fine));
        assert_eq!(hearing.due(), Some(now + QUIET));
    }

    #[test]
    fn what_a_poll_brings_speaks_against_nobody() {
        let now = Instant::now();
        let mut hearing = Hearing::new(QUIET, now);
        hearing.begin();
        hearing.fetched(Origin::Poll);
        assert_eq!(hearing.settled(now), Some(Verdict::Fine));
    }

    #[test]
    fn pushes_put_a_check_off_and_not_for_ever() {
        let start = Instant::now();
        let mut hearing = Hearing::new(QUIET, start);
        let later = start + QUIET / 2;
        hearing.pushed(later);
        assert_eq!(hearing.due(), Some(later + QUIET));
        let much_later = start + PUT_OFF_MAX - QUIET / 2;
        hearing.pushed(much_later);
        assert_eq!(hearing.due(), Some(start + PUT_OFF_MAX));
    }
}
