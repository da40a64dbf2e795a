//! Since when a history is wanted.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The older end of a history that is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// Its first message.
    #[default]
    Beginning,
    /// Nothing from before this date, in seconds since the epoch.
    Date(i32),
    /// Nothing below this message id.
    Message(i32),
}

/// Text that names no older end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is none of a date (2026-01-31, 2026-01-31T12:00:00Z), a duration until now (90m, 12h, 7d, 2w) and a message id"
)]
pub struct SinceError(pub String);

impl Since {
    /// Reads a date, a duration until `now`, or a message id.
    pub fn parse(text: &str, now: Timestamp) -> Result<Since, SinceError> {
        let found = match text.parse::<i32>() {
            Ok(id) => (id > 0).then_some(Since::Message(id)),
            Err(_) => {
                let at = ago(text, now).or_else(|| instant(text));
                at.and_then(date)
            }
        };
        found.ok_or_else(|| SinceError(text.to_owned()))
    }

    /// Whether a message of this id and date is older than what is wanted.
    pub fn excludes(self, id: i32, date: i32) -> bool {
        match self {
            Since::Beginning => false,
            Since::Date(first) => date < first,
            Since::Message(first) => id < first,
        }
    }
}

fn date(seconds: i64) -> Option<Since> {
    let seconds = i32::try_from(seconds).ok()?;
    (seconds > 0).then_some(Since::Date(seconds))
}

fn ago(text: &str, now: Timestamp) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
    Some(now.seconds() - i64::from(count) * seconds)
}

/// A day begins at midnight, UTC.
fn instant(text: &str) -> Option<i64> {
    let instant: Timestamp = match text.len() {
        10 => format!("{text}T00:00:00Z").parse().ok()?,
        _ => text.parse().ok()?,
    };
    Some(instant.seconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_name_a_date_a_duration_or_a_message() {
        let now = Timestamp::from_seconds(1_700_000_000);
        for (text, expected) in [
            ("2023-11-14", Some(Since::Date(1_699_920_000))),
            ("2023-11-14T22:13:20Z", Some(Since::Date(1_700_000_000))),
            (
                "2023-11-14T23:13:20+01:00",
                Some(Since::Date(1_700_000_000)),
            ),
            ("90m", Some(Since::Date(1_700_000_000 - 5400))),
            ("2w", Some(Since::Date(1_700_000_000 - 1_209_600))),
            ("4711", Some(Since::Message(4711))),
            ("0", None),
            ("-5", None),
            ("9999999999", None),
            ("100000w", None),
            ("2023-11-14T22:13:20", None),
            ("2023-13-14", None),
            ("1900-01-01", None),
            ("d", None),
            ("-3d", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(Since::parse(text, now).ok(), expected, "{text}");
        }
    }

    #[test]
    fn the_bound_itself_is_wanted() {
        assert!(!Since::Beginning.excludes(1, 0));
        assert!(Since::Date(10).excludes(99, 9) && !Since::Date(10).excludes(1, 10));
        assert!(Since::Message(10).excludes(9, 99) && !Since::Message(10).excludes(10, 1));
    }
}
