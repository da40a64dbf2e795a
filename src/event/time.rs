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

    /// The day it falls on, UTC, as days since the Unix epoch.
    pub fn day(self) -> i64 {
        self.0.div_euclid(86_400_000_000)
    }
}

impl fmt::Display for Timestamp {
    /// `2026-01-31T12:00:00.000000Z`: fixed width, so that text order is time order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => write!(f, "{instant:.6}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
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
            if a.micros() > 0 && b.micros() > 0 {
                prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            }
        }
    }
}
