//! Is anyone there? The library sends pings and never looks for the answer, so a line that is half open, or a
//! connection that was accepted and never served, looks like a quiet evening.
//!
//! Pure: told of what happened, it says what to do. A ping without an answer ends the connection; when the next one
//! has no answer either, the trouble is in the client itself, and all of it is made anew.

use std::time::{Duration, Instant};

/// Between dropping a connection and the ping that tries the next one.
const AGAIN: Duration = Duration::from_secs(1);

/// What to do about a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// Drop the connection; the next request makes another.
    Disconnect,
    /// Make the whole client anew.
    Rebuild,
}

/// The decisions; see the module.
#[derive(Debug)]
pub struct Watchdog {
    every: Duration,
    due: Instant,
    on_its_way: bool,
    silences: u32,
}

impl Watchdog {
    /// Begins with a new client, and pings so long after each answer.
    pub fn new(every: Duration, now: Instant) -> Watchdog {
        Watchdog {
            every,
            due: now + every,
            on_its_way: false,
            silences: 0,
        }
    }

    /// When to ping; none while a ping is on its way.
    pub fn due(&self) -> Option<Instant> {
        (!self.on_its_way).then_some(self.due)
    }

    /// A ping was sent.
    pub fn pinged(&mut self) {
        self.on_its_way = true;
    }

    /// It was answered, even if with an error: someone is there.
    pub fn answered(&mut self, now: Instant) {
        self.on_its_way = false;
        self.silences = 0;
        self.due = now + self.every;
    }

    /// The connection is known to be lost: that is nobody's silence, and making another has a pace of its own.
    pub fn lost(&mut self, now: Instant) {
        self.on_its_way = false;
        self.due = now + self.every;
    }

    /// Nobody answered in time.
    pub fn silent(&mut self, now: Instant) -> Cure {
        self.on_its_way = false;
        self.silences += 1;
        self.due = now + AGAIN;
        if self.silences == 1 {
            Cure::Disconnect
        } else {
            Cure::Rebuild
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(30);
    const LIMIT: Duration = Duration::from_secs(15);

    #[test]
    fn the_first_silence_costs_the_connection_and_the_second_the_client() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(EVERY, start);
        assert_eq!(watchdog.due(), Some(start + EVERY));
        watchdog.pinged();
        assert_eq!(watchdog.due(), None, "one ping at a time");
        let silent = start + EVERY + LIMIT;
        assert_eq!(watchdog.silent(silent), Cure::Disconnect);
        assert_eq!(watchdog.due(), Some(silent + AGAIN), "looks again soon");
        watchdog.pinged();
        assert_eq!(watchdog.silent(silent + AGAIN + LIMIT), Cure::Rebuild);
    }

    #[test]
    fn an_answer_makes_up_for_a_silence() {
        let now = Instant::now();
        let mut watchdog = Watchdog::new(EVERY, now);
        assert_eq!(watchdog.silent(now), Cure::Disconnect);
        watchdog.pinged();
        watchdog.answered(now);
        assert_eq!(watchdog.due(), Some(now + EVERY));
        assert_eq!(watchdog.silent(now), Cure::Disconnect);
        watchdog.lost(now);
        assert_eq!(watchdog.silent(now), Cure::Rebuild, "lost is no answer");
    }
}
