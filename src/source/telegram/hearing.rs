//! Does the server still push? A server may answer everything and send nothing by itself: it forgot the session, or it
//! is ill. From outside that looks like a quiet evening.
//!
//! Pure. Now and then the account asks what it missed although nothing looks missing. What such a check finds should
//! have been pushed. One find costs the connection, for the server may only have forgotten it; a second one in a row,
//! with no push in between, says that the account is deaf: it still gets everything, but only as often as it asks.

use std::time::{Duration, Instant};

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
    every: Duration,
    due: Instant,
    checking: bool,
    found: bool,
    finds: u32,
}

impl Hearing {
    /// Checks every so often from now on.
    pub fn new(every: Duration, now: Instant) -> Hearing {
        Hearing {
            every,
            due: now + every,
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
    pub fn pushed(&mut self) {
        self.finds = 0;
        self.found = false;
    }

    /// Updates were fetched.
    pub fn fetched(&mut self) {
        self.found |= self.checking;
    }

    /// All that was asked is answered. Says something only when that ends a check.
    pub fn settled(&mut self, now: Instant) -> Option<Verdict> {
        if !self.checking {
            return None;
        }
        self.checking = false;
        self.due = now + self.every;
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
        self.due = now + self.every;
    }

    /// Whether nothing was pushed since the account was found to be deaf.
    pub fn is_deaf(&self) -> bool {
        self.finds > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(60);

    #[test]
    fn one_find_costs_the_connection_and_two_say_deaf_until_something_is_pushed() {
        let now = Instant::now();
        let mut hearing = Hearing::new(EVERY, now);
        let check = |hearing: &mut Hearing, finds: bool| {
            hearing.begin();
            assert_eq!(hearing.due(), None, "one check at a time");
            if finds {
                hearing.fetched();
            }
            hearing.settled(now)
        };
        assert_eq!(check(&mut hearing, false), Some(Verdict::Fine));
        assert_eq!(check(&mut hearing, true), Some(Verdict::Reconnect));
        hearing.lost(now);
        // A difference after a lost connection is no check.
        hearing.fetched();
        assert_eq!(hearing.settled(now), None);
        assert!(!hearing.is_deaf());
        assert_eq!(
            check(&mut hearing, false),
            Some(Verdict::Fine),
            "a quiet while clears nobody"
        );
        assert_eq!(check(&mut hearing, true), Some(Verdict::Deaf));
        assert!(hearing.is_deaf());
        hearing.pushed();
        assert!(!hearing.is_deaf());
        assert_eq!(check(&mut hearing, true), Some(Verdict::Reconnect));
    }

    #[test]
    fn a_push_during_a_check_clears_the_line() {
        let now = Instant::now();
        let mut hearing = Hearing::new(EVERY, now);
        hearing.begin();
        hearing.fetched();
        hearing.pushed();
        assert_eq!(hearing.settled(now), Some(Verdict::Fine));
        assert_eq!(hearing.due(), Some(now + EVERY));
    }
}
