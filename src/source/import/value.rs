//! Reading fields of parsed messages: a field that is absent, null or of another type is not there.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::report::Notes;
use crate::event::{PeerId, PeerKind, Timestamp};

/// A member that is there and not null.
pub(super) fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).filter(|value| !value.is_null())
}

pub(super) fn str_at<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// Text that is not empty.
pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    str_at(value, key)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// A whole number, also one written as text.
pub(super) fn int(value: &Value, key: &str) -> Option<i64> {
    match value.get(key)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A number of seconds or so, rounded down where it is written with a fraction.
pub(super) fn rounded(value: &Value, key: &str) -> Option<i64> {
    int(value, key).or_else(|| Some(value.get(key)?.as_f64()? as i64))
}

pub(super) fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// The elements of a list; none when there is no list.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The constructor of a Telethon object, empty when it has none.
pub(super) fn constructor(value: &Value) -> &str {
    str_at(value, "_").unwrap_or_default()
}

/// Length in UTF-16 code units, which is what entity offsets count.
pub(super) fn utf16_len(text: &str) -> i64 {
    text.encode_utf16().count() as i64
}

pub(super) fn peer(kind: PeerKind, bare: i64) -> Option<PeerId> {
    PeerId::new(kind, bare).ok()
}

/// Why a message cannot be imported at all; everything less is noted and passed over.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) problem: String,
    pub(super) hint: Option<String>,
}

/// What mapping a message needs to know, and what it has to say.
pub(super) struct Context<'a> {
    pub(super) time_zone: Option<&'a TimeZone>,
    pub(super) notes: &'a mut Notes,
}

impl Context<'_> {
    /// A date of any writer: whole seconds, ISO 8601 with an offset, or local time, which needs the flag.
    pub(super) fn date(&self, value: &Value) -> Result<Option<Timestamp>, Problem> {
        let text = match value {
            Value::Number(seconds) => return Ok(seconds.as_i64().and_then(plausible)),
            Value::String(text) => text.trim(),
            _ => return Ok(None),
        };
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(plausible(instant.as_second()));
        }
        let Ok(local) = text.parse::<jiff::civil::DateTime>() else {
            return Ok(None);
        };
        let Some(zone) = self.time_zone else {
            return Err(Problem {
                problem: format!("date {local} has no time zone"),
                hint: Some(
                    "tell the time zone of the computer that made the export: --source-timezone Europe/Berlin"
                        .to_owned(),
                ),
            });
        };
        // An hour that a clock change repeats is read as its first pass: the export does not tell which it was.
        let instant = zone.to_timestamp(local).ok();
        Ok(instant.and_then(|instant| plausible(instant.as_second())))
    }
}

/// A date from 1970 on; zero and before is how clients write "never".
fn plausible(seconds: i64) -> Option<Timestamp> {
    (seconds > 0).then(|| Timestamp::from_seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dates_are_read_with_their_zone_and_refused_without() {
        let mut notes = Notes::default();
        let bare = Context {
            time_zone: None,
            notes: &mut notes,
        };
        let at = Some(Timestamp::from_seconds(1_621_959_758));
        for same in [
            json!("2021-05-25T16:22:38+00:00"),
            json!("2021-05-25 18:22:38+02:00"),
            json!("2021-05-25T16:22:38Z"),
            json!(1_621_959_758),
        ] {
            assert_eq!(bare.date(&same).expect("has a zone"), at, "{same}");
        }
        assert_eq!(bare.date(&json!("soon")).expect("no date"), None);
        assert_eq!(bare.date(&json!(0)).expect("no date"), None);
        let refused = bare.date(&json!("2021-05-25T18:22:38"));
        let hint = refused.expect_err("local time").hint.unwrap_or_default();
        assert!(hint.contains("--source-timezone"), "{hint}");
        let zone = TimeZone::get("Europe/Kyiv").expect("known");
        let zoned = Context {
            time_zone: Some(&zone),
            notes: &mut notes,
        };
        let local = zoned.date(&json!("2021-05-25T19:22:38"));
        assert_eq!(local.expect("zone given"), at);
    }
}
