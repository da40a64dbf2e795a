//! Packing no faster than the appends beside it can bear: processor and disk are shared.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// Bytes that are worked on between two rests: long enough that a rest is no mere yield.
const STEP: u64 = 128 << 10;
/// What was not used of the rate in the last moment may be caught up, and no more than that.
const CATCH_UP: Duration = Duration::from_millis(50);

/// How fast containers are packed and read back, in bytes of records a second, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(Option<NonZeroU64>);

impl Pace {
    /// As fast as it goes.
    pub const UNLIMITED: Pace = Pace(None);

    /// So many bytes a second; 0 is no limit.
    pub fn new(bytes_per_second: u64) -> Pace {
        Pace(NonZeroU64::new(bytes_per_second))
    }
}

/// Keeps one thread to a pace.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    /// Worked on since the last rest.
    unpaid: Cell<u64>,
    /// When the work paid for so far ends at this pace.
    due: Cell<Instant>,
}

impl Pacer {
    pub(crate) fn new(pace: Pace) -> Pacer {
        Pacer {
            pace,
            unpaid: Cell::new(0),
            due: Cell::new(Instant::now()),
        }
    }

    /// Takes note of work on so many bytes, and rests when it is time to.
    pub(crate) fn worked(&self, bytes: usize) {
        let Pace(Some(rate)) = self.pace else {
            return;
        };
        let unpaid = self.unpaid.get().saturating_add(bytes as u64);
        self.unpaid.set(unpaid);
        if unpaid < STEP {
            return;
        }
        self.unpaid.set(0);
        let now = Instant::now();
        let due = due(self.due.get(), now, unpaid, rate);
        self.due.set(due);
        std::thread::sleep(due.saturating_duration_since(now));
    }
}

/// When work on `bytes` more ends, that was due to begin at `begun`.
fn due(begun: Instant, now: Instant, bytes: u64, rate: NonZeroU64) -> Instant {
    let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
    let micros = u128::from(bytes) * 1_000_000 / u128::from(rate.get());
    let takes = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
    begun.max(earliest).checked_add(takes).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_makes_up_for_the_work_and_lost_time_is_not_caught_up() {
        let rate = NonZeroU64::new(1000).unwrap();
        let start = Instant::now() + Duration::from_secs(60);
        let at = |millis| start + Duration::from_millis(millis);
        // The work took 20 of the 100 ms that 100 bytes may take.
        assert_eq!(due(at(0), at(20), 100, rate), at(100));
        assert_eq!(due(at(100), at(120), 100, rate), at(200));
        // It took longer than it may: no rest, and only a moment is caught up.
        assert_eq!(due(at(0), at(130), 100, rate), at(180));
        assert_eq!(due(at(0), at(5000), 100, rate), at(5050));
    }

    #[test]
    fn without_a_limit_nothing_rests() {
        assert_eq!(Pace::new(0), Pace::UNLIMITED);
        let pacer = Pacer::new(Pace::UNLIMITED);
        let before = pacer.due.get();
        pacer.worked(usize::MAX);
        assert_eq!(pacer.due.get(), before);
    }
}
