//! When a frame leaves. Pure.

use std::time::{Duration, Instant};

/// Shortest time between two frames that are not full. At 50 events a second each event leaves at once; under load
/// frames fill up, and what a message costs the broker is shared by hundreds of events.
pub const LINGER: Duration = Duration::from_micros(1500);

/// The rule.
#[derive(Debug, Clone)]
pub struct Pace {
    linger: Duration,
    full: u64,
    last: Option<Instant>,
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
    /// A frame of `full` events waits for nothing.
    pub fn new(full: usize) -> Pace {
        Pace {
            linger: LINGER,
            full: full as u64,
            last: None,
        }
    }

    /// When the next frame leaves if so many events wait.
    pub fn due(&self, now: Instant, waiting: u64) -> Due {
        match self.last {
            _ if waiting == 0 => Due::Never,
            Some(last) if waiting < self.full && now < last + self.linger => {
                Due::At(last + self.linger)
            }
            _ => Due::Now,
        }
    }

    /// A frame left.
    pub fn sent(&mut self, now: Instant) {
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_events_leave_at_once_and_bursts_wait_for_company() {
        let now = Instant::now();
        let mut pace = Pace::new(500);
        assert_eq!(pace.due(now, 0), Due::Never);
        assert_eq!(pace.due(now, 1), Due::Now);
        pace.sent(now);
        assert_eq!(pace.due(now, 1), Due::At(now + LINGER));
        assert_eq!(pace.due(now, 499), Due::At(now + LINGER));
        assert_eq!(pace.due(now, 500), Due::Now);
        assert_eq!(pace.due(now + LINGER, 1), Due::Now);
        assert_eq!(pace.due(now + Duration::from_millis(20), 1), Due::Now);
    }
}
