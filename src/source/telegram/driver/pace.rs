//! When a box may be asked: after which waits, how much at a time, and whether the last answer is still on its way.

use std::time::{Duration, Instant};

use super::track::Early;
use crate::backoff::Backoff;

/// The first wait after a failure.
const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// How long pushed updates wait for an answer on its way. What takes longer has trouble of its own.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// How many updates are asked for, by the number of answers in a row that could not be read.
const LIMITS: [i32; 3] = [100, 10, 1];

/// How often a doubt about a position is looked into.
const SUSPECT_EVERY: Duration = Duration::from_secs(15 * 60);

/// The calls of one box.
#[derive(Debug)]
pub(super) struct Pace {
    flight: Option<Flight>,
    /// Nothing is asked before.
    hold: Option<Instant>,
    /// The server, or the caller, wants it so: nothing ends this wait before its time.
    is_ordered: bool,
    backoff: Backoff,
    unreadable: usize,
    /// The position is not doubted again before.
    trusted: Option<Instant>,
}

#[derive(Debug)]
struct Flight {
    since: Instant,
    is_poll: bool,
}

impl Pace {
    /// `longest`: the longest wait after a failure.
    pub(super) fn new(longest: Duration) -> Pace {
        Pace {
            flight: None,
            hold: None,
            is_ordered: false,
            backoff: Backoff::new(BACKOFF_MIN, longest),
            unreadable: 0,
            trusted: None,
        }
    }

    /// When the box is asked, if something wants it asked at `wanted`.
    pub(super) fn due(&self, wanted: Option<Instant>) -> Option<Instant> {
        match self.flight {
            Some(_) => None,
            None => wanted.map(|at| self.hold.map_or(at, |hold| hold.max(at))),
        }
    }

    pub(super) fn depart(&mut self, is_poll: bool, now: Instant) {
        self.flight = Some(Flight {
            since: now,
            is_poll,
        });
    }

    /// The call is over: whether one was on its way, and whether it was a poll.
    pub(super) fn arrive(&mut self) -> Option<bool> {
        self.flight.take().map(|flight| flight.is_poll)
    }

    /// A call for something that is missing is on its way.
    pub(super) fn is_away_for_news(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| !flight.is_poll)
    }

    /// What pushed updates do that are too early.
    pub(super) fn early(&self, now: Instant) -> Early {
        match &self.flight {
            Some(flight) if now.saturating_duration_since(flight.since) < ANSWER_WAIT => {
                Early::Answer
            }
            Some(_) => Early::Count,
            None if self.hold.is_some_and(|hold| hold > now) => Early::Count,
            None => Early::Wait,
        }
    }

    /// A good answer: the next failure waits from the start.
    pub(super) fn good(&mut self) {
        self.backoff.reset();
        self.hold = None;
        self.unreadable = 0;
    }

    /// Holds the box for so long, by order.
    pub(super) fn wait(&mut self, wait: Duration, now: Instant) {
        self.hold = Some(after(now, wait));
        self.is_ordered = true;
    }

    /// Holds the box after a failure, longer each time.
    pub(super) fn fail(&mut self, chance: f64, now: Instant) {
        self.hold = Some(after(now, self.backoff.wait(chance)));
        self.is_ordered = false;
    }

    /// Failures since the last good answer.
    pub(super) fn failures(&self) -> u32 {
        self.backoff.tries()
    }

    /// Something changed that may mend the failure.
    pub(super) fn retry(&mut self) {
        if !self.is_ordered {
            self.hold = None;
        }
    }

    /// The position may be wrong: asks, now and then.
    pub(super) fn suspect(&mut self, now: Instant, asked: &mut Option<Instant>) {
        if self.trusted.is_none_or(|until| until <= now) {
            self.trusted = Some(after(now, SUSPECT_EVERY));
            asked.get_or_insert(now);
        }
    }

    /// How many updates to ask for.
    pub(super) fn limit(&self) -> i32 {
        LIMITS[self.unreadable.min(LIMITS.len() - 1)]
    }

    /// Fewer updates are asked for than usual.
    pub(super) fn is_cautious(&self) -> bool {
        self.unreadable > 0
    }

    /// An answer could not be read: the next one is asked for fewer updates. True when it was for a single one.
    pub(super) fn is_hopeless(&mut self) -> bool {
        self.unreadable += 1;
        let hopeless = self.unreadable >= LIMITS.len();
        if hopeless {
            // There may be more of the kind close by.
            self.unreadable = 1;
        }
        hopeless
    }
}

/// A later moment; far away when there is none so far.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
    now.checked_add(wait.min(FAR)).unwrap_or(now)
}
