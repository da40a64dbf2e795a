//! The server's time, which a test may shift or stop.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    offset: i64,
    stopped: Option<i64>,
}

impl Clock {
    pub(crate) fn since_epoch(&self) -> Duration {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let seconds = self.stopped.unwrap_or(seconds + self.offset);
        Duration::new(u64::try_from(seconds).unwrap_or(0), now.subsec_nanos())
    }

    pub(crate) fn date(&self) -> i32 {
        i32::try_from(self.since_epoch().as_secs()).unwrap_or(i32::MAX)
    }

    /// Later by so many seconds than it would be; earlier when negative. Also moves a stopped clock.
    pub(crate) fn shift(&mut self, seconds: i64) {
        self.offset += seconds;
        self.stopped = self.stopped.map(|stopped| stopped + seconds);
    }

    pub(crate) fn stop_at(&mut self, date: i32) {
        self.stopped = Some(i64::from(date));
    }

    pub(crate) fn run(&mut self) {
        self.stopped = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_clock_moves_when_it_is_told_to() {
        let mut clock = Clock::default();
        clock.stop_at(1_700_000_000);
        assert_eq!(clock.date(), 1_700_000_000);
        clock.shift(-60);
        assert_eq!(clock.date(), 1_699_999_940);
    }
}
