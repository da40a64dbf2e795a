//! One sequence: how far it is read, and the updates that came too early.

use std::time::{Duration, Instant};

use grammers_tl_types as tl;

use super::page::Seen;
use super::sequence::Span;

/// Telegram's documentation: a missing update may still come within so long.
pub(super) const GAP_WAIT: Duration = Duration::from_millis(500);

/// Updates that may wait in one sequence.
const PARKED_MAX: usize = 4_096;

/// How far a sequence is read.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// Everything up to here has counted. None: not known yet.
    at: Option<i32>,
    /// Where the position last came from nowhere (a first sight, a jump): numbers up to here never counted for it.
    floor: i32,
    parked: Vec<Parked>,
    gap_until: Option<Instant>,
}

#[derive(Debug)]
struct Parked {
    span: Span,
    update: tl::enums::Update,
}

/// An update so far behind was not delayed: the server may have begun to count anew.
const FAR_BEHIND: i32 = 1_000;

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    /// It counts, waits, or counted before.
    Taken,
    /// It is older than any update should be that is pushed.
    FarBehind,
}

impl Offered {
    /// Of an update that is not ahead of the position.
    pub(super) fn of_old(end: i32, at: i32) -> Offered {
        match at.saturating_sub(end) > FAR_BEHIND {
            true => Offered::FarBehind,
            false => Offered::Taken,
        }
    }
}

/// What happens to an update that has no place yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Early {
    /// It waits for the ones before it, and for a difference after [`GAP_WAIT`].
    Wait,
    /// It waits, as everything does, for the answer that is on its way.
    Answer,
    /// It counts at once, without moving the position: the difference is far away.
    Count,
}

impl Track {
    pub(super) fn new(at: Option<i32>) -> Track {
        Track {
            at,
            ..Track::default()
        }
    }

    pub(super) fn at(&self) -> Option<i32> {
        self.at
    }

    /// When the wait for a missing update is over.
    pub(super) fn gap_until(&self) -> Option<Instant> {
        self.gap_until
    }

    /// Updates wait for others before them.
    pub(super) fn has_gap(&self) -> bool {
        !self.parked.is_empty()
    }

    /// A difference is asked: the wait for what is missing is over.
    pub(super) fn stop_waiting(&mut self) {
        self.gap_until = None;
    }

    /// Moves the position to where a difference ends.
    pub(super) fn set(&mut self, at: i32) {
        self.at = Some(at);
    }

    /// Moves the position to where the server says it is, leaving out whatever lies between.
    pub(super) fn jump(&mut self, at: i32) {
        self.at = Some(at);
        self.floor = at;
    }

    /// Takes a pushed update; what counts goes to `seen`. The first update of an unknown sequence gives the position,
    /// unless an answer is about to tell it.
    pub(super) fn offer(
        &mut self,
        span: Span,
        update: tl::enums::Update,
        early: Early,
        now: Instant,
        seen: &mut Vec<Seen>,
    ) -> Offered {
        if early == Early::Answer && self.parked.len() < PARKED_MAX {
            self.parked.push(Parked { span, update });
            return Offered::Taken;
        }
        if early == Early::Count {
            self.release(seen);
        }
        let Some(at) = self.at else {
            // A mark without a number of its own may be ahead of the update that has the number.
            if span.start < span.end && early == Early::Wait {
                self.jump(span.end);
            }
            seen.push(counted(span, update));
            return Offered::Taken;
        };
        if span.start == at {
            self.at = Some(span.end);
            seen.push(counted(span, update));
            self.settle(now, seen);
        } else if span.end <= at {
            if span.end <= self.floor {
                seen.push(counted(span, update));
            }
            return Offered::of_old(span.end, at);
        } else if early == Early::Wait && self.parked.len() < PARKED_MAX {
            self.parked.push(Parked { span, update });
            self.gap_until.get_or_insert(now + GAP_WAIT);
        } else {
            seen.push(counted(span, update));
        }
        Offered::Taken
    }

    /// Lets count what waited and has its place now, and drops what is covered. What is left waits on.
    pub(super) fn settle(&mut self, now: Instant, seen: &mut Vec<Seen>) {
        let Some(mut at) = self.at else { return };
        self.parked.sort_by_key(|parked| parked.span);
        let mut left = Vec::new();
        for parked in self.parked.drain(..) {
            if parked.span.start == at {
                at = parked.span.end;
                seen.push(counted(parked.span, parked.update));
            } else if parked.span.end > at {
                left.push(parked);
            } else if parked.span.end <= self.floor {
                seen.push(counted(parked.span, parked.update));
            }
        }
        self.parked = left;
        self.at = Some(at);
        self.gap_until = self
            .has_gap()
            .then(|| self.gap_until.unwrap_or(now + GAP_WAIT));
    }

    /// Lets everything count that waits, without moving the position: the difference will tell it again.
    pub(super) fn release(&mut self, seen: &mut Vec<Seen>) {
        self.parked.sort_by_key(|parked| parked.span);
        let parked = self.parked.drain(..);
        seen.extend(parked.map(|parked| counted(parked.span, parked.update)));
        self.gap_until = None;
    }
}

fn counted(span: Span, update: tl::enums::Update) -> Seen {
    Seen {
        update,
        pts: Some(span.end),
    }
}
