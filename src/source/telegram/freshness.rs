//! How long a channel has been quiet, against its usual rhythm. Pure, and of bounded size.

/// How much a new pause counts against those before.
const WEIGHT: f64 = 0.1;

/// Pauses that make a rhythm.
const PAUSES_MIN: u32 = 5;

/// A pause that is so many times the usual one is remarkable.
const LATE_TIMES: f64 = 6.0;

/// Nobody is late before this.
const LATE_MIN_SECONDS: f64 = 60.0;

/// When a channel spoke, and how often it does. Times are Telegram's, in seconds since the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rhythm {
    last: i64,
    pauses: u32,
    mean: f64,
}

impl Rhythm {
    /// The channel spoke then.
    pub fn heard(&mut self, date: i64) {
        if self.last == 0 {
            self.last = date;
            return;
        }
        // What comes late or twice makes no pause, and an album none between its parts.
        if date <= self.last {
            return;
        }
        let pause = (date - self.last) as f64;
        self.last = date;
        self.pauses = self.pauses.saturating_add(1);
        // The first ones count alike, so that one of them does not stand for all.
        let weight = WEIGHT.max(1.0 / f64::from(self.pauses));
        self.mean += (pause - self.mean) * weight;
    }

    /// When it spoke last; none if it never did.
    pub fn last(&self) -> Option<i64> {
        (self.last != 0).then_some(self.last)
    }

    /// Its usual pause in seconds, once there were enough.
    pub fn usual(&self) -> Option<f64> {
        (self.pauses >= PAUSES_MIN).then_some(self.mean)
    }

    /// From when on its silence is remarkable.
    pub fn late_at(&self) -> Option<i64> {
        let patience = (self.usual()? * LATE_TIMES).max(LATE_MIN_SECONDS);
        Some(self.last.saturating_add(patience as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_000;

    fn regular(pause: i64, times: i64) -> Rhythm {
        let mut rhythm = Rhythm::default();
        (0..=times).for_each(|n| rhythm.heard(START + n * pause));
        rhythm
    }

    #[test]
    fn a_rhythm_takes_some_pauses() {
        assert_eq!(Rhythm::default().last(), None);
        assert_eq!(regular(100, 4).late_at(), None);
        let rhythm = regular(100, 5);
        assert_eq!(rhythm.usual(), Some(100.0));
        assert_eq!(rhythm.late_at(), Some(START + 500 + 600));
        assert_eq!(regular(1, 50).late_at(), Some(START + 50 + 60));
    }

    #[test]
    fn a_new_rhythm_is_learnt() {
        let mut rhythm = regular(10, 1000);
        let last = rhythm.last().expect("it spoke");
        (1..=50).for_each(|n| rhythm.heard(last + n * 1000));
        let usual = rhythm.usual().expect("known");
        assert!((900.0..=1000.0).contains(&usual), "{usual}");
    }

    #[test]
    fn what_comes_late_or_twice_changes_nothing() {
        let mut rhythm = regular(100, 10);
        let before = rhythm;
        rhythm.heard(START);
        rhythm.heard(START + 1000);
        assert_eq!(rhythm, before);
    }
}
