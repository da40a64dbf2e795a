//! The wall clock, read in one place. It only dates files and ages segments; no order depends on it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch, negative before it.
pub(crate) fn unix_micros() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_micros()).map_or(i64::MIN, std::ops::Neg::neg)
        }
    }
}

/// `2026-11-23T12:12:23Z`, for the lock file that an operator reads.
pub(crate) fn utc_text(unix_micros: i64) -> String {
    let seconds = unix_micros.div_euclid(1_000_000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a civil date, counting years from March so that the leap day comes last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::utc_text;

    #[test]
    fn dates_are_civil() {
        assert_eq!(utc_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc_text(951_782_399_000_000), "2000-02-28T23:59:59Z");
        assert_eq!(utc_text(951_782_400_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(utc_text(1_795_435_943_000_000), "2026-11-23T12:12:23Z");
    }
}
