//! Does this machine's clock agree with Telegram's? The numbers of messages are made from the clock, and Telegram takes
//! none that are from the future: a clock that is half a minute ahead makes an account deaf and dumb, without a word of
//! why.
//!
//! Pure. Some answers say what time it is at Telegram. The answer was made between the question and its arrival, so
//! what is told of a skew is beyond doubt, however long the way was.

use super::driver::Answer;
use grammers_tl_types as tl;

/// A skew of so many seconds is told; Telegram bears 30 into the future and 300 into the past.
const TOLD_SECONDS: i64 = 10;

/// With a clock that is so many seconds ahead nothing can be asked.
pub const AHEAD_MAX_SECONDS: i64 = 30;

/// No server of Telegram can believe that it is earlier than this (2020).
const EPOCH: i32 = 1_577_836_800;

/// The times of Telegram that an answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was made then.
    Now(i32),
    /// It was made then or later.
    Since(i32),
}

impl Told {
    /// What an answer tells, if anything.
    pub fn by(answer: &Answer) -> Option<Told> {
        let told = match answer {
            Answer::State(tl::enums::updates::State::State(state)) => Told::Now(state.date),
            Answer::Difference(tl::enums::updates::Difference::Empty(empty)) => {
                Told::Now(empty.date)
            }
            Answer::Difference(tl::enums::updates::Difference::Difference(whole)) => {
                let tl::enums::updates::State::State(state) = &whole.state;
                Told::Since(state.date)
            }
            _ => return None,
        };
        let (Told::Now(date) | Told::Since(date)) = told;
        (date >= EPOCH).then_some(told)
    }

    /// By how many seconds Telegram's clock is ahead of ours at least (negative: behind), of a question that was asked
    /// and answered then, in microseconds of our clock. None where that says nothing.
    pub fn skew(self, asked: i64, answered: i64) -> Option<i64> {
        const SECOND: i64 = 1_000_000;
        let (Told::Now(date) | Told::Since(date)) = self;
        let date = i64::from(date) * SECOND;
        let least = date.saturating_sub(answered);
        let most = date.saturating_add(SECOND).saturating_sub(asked);
        match self {
            _ if least >= SECOND => Some(least / SECOND),
            Told::Now(_) => Some(most.min(0) / SECOND),
            Told::Since(_) => None,
        }
    }
}

/// What changed about the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Telegram's clock is ahead of ours by so many seconds; negative: behind.
    Off(i64),
    /// They agree again.
    Right,
}

/// What the operator was told.
#[derive(Debug, Default)]
pub struct Clock(Option<i64>);

impl Clock {
    /// Takes a skew. Says something only when that is news.
    pub fn measured(&mut self, skew: i64) -> Option<Change> {
        let off = skew.abs() >= TOLD_SECONDS;
        match self.0 {
            Some(_) if !off => {
                self.0 = None;
                Some(Change::Right)
            }
            Some(told) if (skew - told).abs() < TOLD_SECONDS => None,
            None if !off => None,
            _ => {
                self.0 = Some(skew);
                Some(Change::Off(skew))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i32 = 1_700_000_000;
    const NOW_US: i64 = 1_700_000_000_000_000;
    const SECOND: i64 = 1_000_000;

    #[test]
    fn only_what_is_beyond_doubt_is_a_skew() {
        let now = |date, asked, answered| {
            Told::Now(date).skew(NOW_US + asked * SECOND, NOW_US + answered * SECOND)
        };
        assert_eq!(now(NOW, 0, 0), Some(0));
        assert_eq!(now(NOW, -30, 30), Some(0), "a long way is no skew");
        assert_eq!(now(NOW + 58, 0, 1), Some(57));
        assert_eq!(
            now(NOW - 58, 0, 1),
            Some(-57),
            "their second may be all but over"
        );
        assert_eq!(now(NOW + 3600, 0, 0), Some(3600));
        assert_eq!(now(i32::MAX, -60, i64::from(i32::MAX)), Some(0));
        let since = |date| Told::Since(date).skew(NOW_US, NOW_US);
        assert_eq!(since(NOW + 58), Some(58), "it cannot be from the future");
        assert_eq!(since(NOW - 58), None, "it may be old");
        assert_eq!(Told::Now(NOW).skew(i64::MIN, i64::MAX), Some(0));
        // A machine without a battery for its clock.
        assert_eq!(Told::Now(NOW).skew(0, 0), Some(i64::from(NOW)));
    }

    #[test]
    fn a_skew_is_told_once_and_its_end() {
        let mut clock = Clock::default();
        assert_eq!(clock.measured(0), None);
        assert_eq!(clock.measured(-9), None);
        assert_eq!(clock.measured(-58), Some(Change::Off(-58)));
        assert_eq!(clock.measured(-58), None);
        assert_eq!(clock.measured(-66), None, "about the same");
        assert_eq!(clock.measured(3600), Some(Change::Off(3600)));
        assert_eq!(clock.measured(1), Some(Change::Right));
        assert_eq!(clock.measured(1), None);
    }

    #[test]
    fn answers_tell_the_time_where_it_is_theirs() {
        let empty = |date| {
            let empty = tl::types::updates::DifferenceEmpty { date, seq: 0 };
            Told::by(&Answer::Difference(empty.into()))
        };
        assert_eq!(empty(NOW), Some(Told::Now(NOW)));
        assert_eq!(empty(1), None, "no date at all");
        assert_eq!(Told::by(&Answer::ChannelState { pts: 1 }), None);
    }
}
