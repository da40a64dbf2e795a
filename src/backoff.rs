//! Waits between tries: growing, bounded, spread by chance, without a last try.

use std::time::Duration;

/// Doubles the wait with each try up to a longest one. Each wait is drawn from the upper half of its span, so that
/// many clients of one server that fell together do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    /// Waits from `min` (of the first try) to `max`.
    pub fn new(min: Duration, max: Duration) -> Backoff {
        Backoff {
            min,
            max: max.max(min),
            tries: 0,
        }
    }

    /// The wait before the next try; `chance` is a random number in 0..1.
    pub fn wait(&mut self, chance: f64) -> Duration {
        // 2^32 times a millisecond is 50 days: the longest wait was reached long before.
        let span = self
            .min
            .saturating_mul(1_u32.checked_shl(self.tries).unwrap_or(u32::MAX))
            .min(self.max);
        self.tries = self.tries.saturating_add(1);
        span.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }

    /// After a success: the next failure waits `min` again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Failures since the last success.
    pub fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1500));
        let waits: Vec<_> = (0..6).map(|_| backoff.wait(1.0)).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1500, 1500].map(ms));
        backoff.reset();
        assert_eq!(backoff.wait(0.0), ms(50));
    }

    proptest! {
        #[test]
        fn waits_are_bounded_for_ever(tries in 0u32..200, chance in 0.0f64..1.0, min in 1u64..1000, max in 1u64..100_000) {
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(max));
            let mut backoff = Backoff::new(min, max);
            let mut wait = Duration::ZERO;
            for _ in 0..=tries {
                wait = backoff.wait(chance);
            }
            prop_assert!(wait <= max.max(min));
            prop_assert!(wait >= min / 2);
        }
    }
}
