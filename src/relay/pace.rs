//! When a frame leaves. Pure.

use std::time::{Duration, Instant};

/// Shortest time between two frames that are not full. At 50 events a second each event leaves at once.
const LINGER: Duration = Duration::from_micros(1500);
/// The same while events come in crowds. What a frame costs the broker, the stores and the processors that they share
/// with the log is then divided by more events, which makes all of them wait less: 5,000 events a second on two cores.
const LINGER_CROWDED: Duration = Duration::from_millis(5);
/// Events of a frame from which on it is a crowd.
const CROWD: u64 = 5;

/// The rule.
#[derive(Debug, Clone)]
pub struct Pace {
    full: u64,
    /// When the last frame left, and how long the next one waits for company.
    last: Option<(Instant, Duration)>,
    /// Shortest time for one event, where their rate is limited.
    each: Duration,
    /// Nothing leaves before.
    not_before: Option<Instant>,
}

/// When the next frame leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// There is nothing to send.
    Never,
    /// Now.
    Now,
    /// Then, or earlier if enough events come together.
    At(Instant),
}

impl Pace {
    /// A frame of `full` events waits for nothing but the limit of events a second, if there is one.
    pub fn new(full: usize, per_second_max: Option<u32>) -> Pace {
        let each = per_second_max.map_or(Duration::ZERO, |limit| {
            Duration::from_secs(1) / limit.max(1)
        });
        Pace {
            full: full as u64,
            last: None,
            each,
            not_before: None,
        }
    }

    /// When the next frame leaves if so many events wait.
    pub fn due(&self, now: Instant, waiting: u64) -> Due {
        match self.last {
            _ if waiting == 0 => Due::Never,
            _ if self.not_before.is_some_and(|at| now < at) => {
                self.not_before.map_or(Due::Now, Due::At)
            }
            Some((last, linger)) if waiting < self.full && now < last + linger => {
                Due::At(last + linger)
            }
            _ => Due::Now,
        }
    }

    /// So many events left.
    pub fn sent(&mut self, now: Instant, events: u64) {
        let linger = match events {
            CROWD.. => LINGER_CROWDED,
            _ => LINGER,
        };
        self.last = Some((now, linger));
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.not_before = Some(now + self.each * events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_events_leave_at_once_and_bursts_wait_for_company() {
        let now = Instant::now();
        let mut pace = Pace::new(500, None);
        assert_eq!(pace.due(now, 0), Due::Never);
        assert_eq!(pace.due(now, 1), Due::Now);
        pace.sent(now, 1);
        assert_eq!(pace.due(now, 1), Due::At(now + LINGER));
        assert_eq!(pace.due(now, 499), Due::At(now + LINGER));
        assert_eq!(pace.due(now, 500), Due::Now);
        assert_eq!(pace.due(now + LINGER, 1), Due::Now);
        assert_eq!(pace.due(now + Duration::from_millis(20), 1), Due::Now);
    }

    #[test]
    fn a_crowd_makes_the_next_frame_wait_longer() {
        let now = Instant::now();
        let mut pace = Pace::new(500, None);
        pace.sent(now, CROWD);
        assert_eq!(pace.due(now + LINGER, 1), Due::At(now + LINGER_CROWDED));
        assert_eq!(pace.due(now + LINGER, 500), Due::Now);
        let later = now + LINGER_CROWDED;
        assert_eq!(pace.due(later, 1), Due::Now);
        pace.sent(later, 1);
        assert_eq!(pace.due(later, 1), Due::At(later + LINGER));
    }

    #[test]
    fn a_limited_rate_is_kept_and_delays_no_single_event() {
        let now = Instant::now();
        let mut pace = Pace::new(1, Some(1000));
        assert_eq!(pace.due(now, 1), Due::Now);
        pace.sent(now, 500);
        let later = now + Duration::from_millis(500);
        assert_eq!(pace.due(now, 9), Due::At(later));
        assert_eq!(pace.due(now, 0), Due::Never);
        assert_eq!(pace.due(later, 9), Due::Now);
    }
}
