//! Whether the silence of a queue can be believed. Pure: no clock, no connection.
//!
//! A relay sends a marker when nothing else happens, so a queue that is silent for some marker intervals is not idle but
//! deaf: it is not bound any more, or its relay is gone or held up. From then on until something is heard the log is
//! believed alone; so it is when there has been no connection for a moment.

use std::time::{Duration, Instant};

/// A broker that does not answer for so long is not waited for: the log is read.
const AWAY_LIMIT: Duration = Duration::from_secs(1);
/// So many marker intervals of silence mean that the queue is deaf, not that nothing happens.
const DEAF_INTERVALS: u32 = 3;

/// What is known of the line.
#[derive(Debug, Clone)]
pub(crate) struct Hearing {
    silence_max: Duration,
    is_connected: bool,
    is_deaf: bool,
    /// Last time that anything of ours came, or that the connection was lost or made.
    since: Instant,
}

impl Hearing {
    /// Not connected yet; a relay sends a marker at least this often.
    pub(crate) fn new(marker_interval: Duration, now: Instant) -> Hearing {
        Hearing {
            silence_max: marker_interval * DEAF_INTERVALS,
            is_connected: false,
            is_deaf: false,
            since: now,
        }
    }

    /// The same, where the queue is believed only once it has brought something: another consumer may hold it still.
    pub(crate) fn shared(marker_interval: Duration, now: Instant) -> Hearing {
        Hearing {
            is_deaf: true,
            ..Hearing::new(marker_interval, now)
        }
    }

    /// The queue is being read.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.is_connected = true;
        self.since = now;
    }

    /// The queue is not read any more, or could not be.
    pub(crate) fn disconnected(&mut self, now: Instant) {
        if self.is_connected {
            self.is_connected = false;
            self.since = now;
        }
    }

    /// A frame or marker of ours came.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.is_deaf = false;
        self.since = now;
    }

    /// Looks at the clock; true when the queue has just gone deaf, or is deaf still after another connection was tried
    /// for as long: the connection is worth nothing, and another one has to look after queue and binding.
    pub(crate) fn is_worthless(&mut self, now: Instant) -> bool {
        let worthless = self.is_connected && now >= self.since + self.silence_max;
        self.is_deaf |= worthless;
        worthless
    }

    /// Connected or not, nothing of ours has come for too long.
    pub(crate) fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// Whether the log has to be asked, since the queue would not tell.
    pub(crate) fn is_doubted(&self, now: Instant) -> bool {
        self.is_deaf || now >= self.look_at()
    }

    /// When silence has to be looked at next.
    pub(crate) fn look_at(&self) -> Instant {
        match self.is_connected {
            true => self.since + self.silence_max,
            false => self.since + AWAY_LIMIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MARKERS: Duration = Duration::from_secs(5);

    #[test]
    fn markers_keep_an_idle_queue_believed_and_their_absence_makes_it_deaf() {
        let began = Instant::now();
        let mut hearing = Hearing::new(MARKERS, began);
        hearing.connected(began);
        let mut now = began;
        for _ in 0..10 {
            now += MARKERS;
            assert!(!hearing.is_worthless(now) && !hearing.is_doubted(now));
            hearing.heard(now);
        }
        now += MARKERS * DEAF_INTERVALS;
        assert!(hearing.is_worthless(now) && hearing.is_deaf() && hearing.is_doubted(now));
        // Another connection is doubted from its first moment on, until something comes.
        hearing.disconnected(now);
        hearing.connected(now);
        assert!(hearing.is_doubted(now) && !hearing.is_worthless(now));
        hearing.heard(now);
        assert!(!hearing.is_doubted(now) && !hearing.is_deaf());
    }

    #[test]
    fn a_queue_that_another_one_may_hold_is_believed_once_it_brings_something() {
        let began = Instant::now();
        let mut hearing = Hearing::shared(MARKERS, began);
        hearing.connected(began);
        assert!(hearing.is_doubted(began) && !hearing.is_worthless(began));
        hearing.heard(began + MARKERS);
        assert!(!hearing.is_doubted(began + MARKERS));
    }

    #[test]
    fn a_broker_that_is_away_is_not_waited_for() {
        let began = Instant::now();
        let mut hearing = Hearing::new(MARKERS, began);
        assert!(!hearing.is_doubted(began));
        let mut now = began + AWAY_LIMIT;
        assert!(hearing.is_doubted(now) && !hearing.is_worthless(now));
        // Failing to connect again and again renews nothing.
        hearing.disconnected(now);
        now += AWAY_LIMIT;
        hearing.disconnected(now);
        assert!(hearing.is_doubted(now));
        assert!(!hearing.is_deaf());
    }

    proptest! {
        /// Whatever happens to the line, what comes is missed for a bounded time only: a moment behind the last thing
        /// heard or the last change of the connection, doubt begins.
        #[test]
        fn silence_is_never_believed_for_long(steps in prop::collection::vec((0u8..4, 0u64..20), 1..60)) {
            let mut now = Instant::now();
            let mut hearing = Hearing::new(MARKERS, now);
            let (mut last, mut connected) = (now, false);
            for (step, seconds) in steps {
                now += Duration::from_secs(seconds);
                let was_deaf = hearing.is_deaf();
                match step {
                    0 => { hearing.connected(now); (last, connected) = (now, true); }
                    1 => {
                        hearing.disconnected(now);
                        if connected { last = now; }
                        connected = false;
                    }
                    2 if connected => { hearing.heard(now); last = now; }
                    _ => {
                        let worthless = hearing.is_worthless(now);
                        prop_assert_eq!(worthless, connected && now >= last + MARKERS * DEAF_INTERVALS);
                        prop_assert!(!worthless || hearing.is_deaf());
                    }
                }
                prop_assert!(!was_deaf || step == 2 || hearing.is_deaf(), "only what comes ends it");
                let limit = if connected { MARKERS * DEAF_INTERVALS } else { AWAY_LIMIT };
                prop_assert_eq!(hearing.look_at(), last + limit);
                prop_assert_eq!(hearing.is_doubted(now), hearing.is_deaf() || now >= last + limit);
            }
        }
    }
}
