//! Instants: microseconds since the Unix epoch, UTC, on every border of the house.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Microseconds since the Unix epoch, UTC. Telegram's own dates have whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Text that is no instant with an offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an instant: write it as 2026-01-31T12:00:00Z (an offset is required)")]
pub struct TimestampError(pub String);

/// 0001-01-01 and 9999-12-31: what every store and the text form can hold.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_207_200_000_000;

impl Timestamp {
    /// From microseconds; values outside the years 1 to 9999 are clamped, so that no store refuses them.
    pub fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros.clamp(*RANGE.start(), *RANGE.end()))
    }

    /// From whole seconds.
    pub fn from_seconds(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds.saturating_mul(1_000_000))
    }

    /// The wall clock. Only stages that stamp a receipt may call it; projections are pure (I7).
    pub fn now() -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Microseconds since the Unix epoch.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The beginning of the hour it falls in, UTC.
    pub fn hour(self) -> Timestamp {
        Timestamp(self.0 - self.0.rem_euclid(3_600_000_000))
    }

    /// The day it falls on, UTC, as days since the Unix epoch.
    pub fn day(self) -> i64 {
        self.0.div_euclid(86_400_000_000)
    }
}

impl fmt::Display for Timestamp {
    /// `2026-01-31T12:00:00.000000Z`: fixed width, so that text order is time order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let (year, month, day) = date(self.day());
        let micros = self.0.rem_euclid(86_400_000_000);
        let seconds = micros / 1_000_000;
        for (at, width, value) in [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, seconds / 3600),
            (14, 2, seconds / 60 % 60),
            (17, 2, seconds % 60),
            (20, 6, micros % 1_000_000),
        ] {
            digits(&mut text[at..at + width], value);
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

fn digits(text: &mut [u8], mut value: i64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// Year, month and day of a day since the Unix epoch: written for each event several times, so done by hand.
/// Years begin in March here, so that the leap day is the last one.
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day = day.rem_euclid(146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let after_new_year = i64::from(month >= 10);
    (
        year + era * 400 + after_new_year,
        month + 3 - 12 * after_new_year,
        day,
    )
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Timestamp, TimestampError> {
        let instant: jiff::Timestamp = text
            .trim()
            .parse()
            .map_err(|_| TimestampError(text.to_owned()))?;
        Ok(Timestamp::from_micros(instant.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom)
        } else {
            Ok(Timestamp::from_micros(i64::deserialize(deserializer)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_has_fixed_width_and_needs_an_offset() {
        let at = Timestamp::from_seconds(1_647_005_818);
        assert_eq!(at.to_string(), "2022-03-11T13:36:58.000000Z");
        assert!("2022-03-11T13:36:58".parse::<Timestamp>().is_err());
        assert_eq!("2022-03-11T15:36:58+02:00".parse(), Ok(at));
    }

    proptest! {
        #[test]
        fn text_round_trips_and_keeps_order(a in RANGE, b in RANGE) {
            let (a, b) = (Timestamp::from_micros(a), Timestamp::from_micros(b));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            let instant = jiff::Timestamp::from_microsecond(a.micros()).expect("in range");
            prop_assert_eq!(a.to_string(), format!("{instant:.6}"));
            if a.micros() > 0 && b.micros() > 0 {
                prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            }
        }
    }
}
