//! How soon after a lost connection another is made. A line that breaks once is asked again at once; one that breaks
//! again and again, as with a server that answers and hangs up, is not asked without a pause. Pure.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// A connection that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(60);
/// Pauses after those that did not.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// The losses of a client.
#[derive(Debug)]
pub(super) struct Losses {
    backoff: Backoff,
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Default for Losses {
    fn default() -> Losses {
        Losses {
            backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX),
            last: None,
            due: None,
        }
    }
}

impl Losses {
    /// A connection was lost; `chance` spreads the pauses.
    pub(super) fn lost(&mut self, chance: f64, now: Instant) {
        let lasted = self.last.map(|last| now.saturating_duration_since(last));
        self.last = Some(now);
        self.due = Some(match lasted.is_none_or(|lasted| lasted >= STEADY) {
            true => {
                self.backoff.reset();
                now
            }
            false => now + self.backoff.wait(chance),
        });
    }

    /// When to ask again, if that is still to be done.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether to ask now; once for each loss.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loss_is_asked_about_at_once_and_a_flapping_line_with_growing_pauses() {
        let start = Instant::now();
        let mut losses = Losses::default();
        assert!(!losses.take(start), "nothing was lost");
        losses.lost(1.0, start);
        assert!(losses.take(start));
        assert!(!losses.take(start), "once");
        let mut now = start;
        for pause in [1, 2, 4, 8, 15, 15] {
            losses.lost(1.0, now);
            let due = now + Duration::from_secs(pause);
            assert_eq!(losses.due(), Some(due));
            assert!(!losses.take(due - Duration::from_millis(1)));
            assert!(losses.take(due));
            now = due;
        }
        now += STEADY;
        losses.lost(1.0, now);
        assert!(losses.take(now), "that was a good one");
    }
}
