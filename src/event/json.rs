//! Text and JSON as every store and the broker hold them, so that all of them say the same.

use serde_json::Value;

/// Text as every store can hold it: PostgreSQL refuses U+0000 in text and JSON, so it becomes U+FFFD in all of them.
/// The log keeps the original.
pub fn clean(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// Takes out what is null or false (absent says the same and is shorter), and what some store could not hold.
pub fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !matches!(member, Value::Null | Value::Bool(false)));
            members.values_mut().for_each(tidy);
            if members.keys().any(|key| key.contains('\0')) {
                *members = std::mem::take(members)
                    .into_iter()
                    .map(|(key, member)| (clean(&key), member))
                    .collect();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::String(text) if text.contains('\0') => *text = clean(text),
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|_| number.is_f64()).and_then(whole) {
                *number = whole;
            }
        }
        _ => {}
    }
}

/// A float without a fraction as an integer: jsonb writes 1e16 as one, and reading it back must give what was written.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // exact: whole and inside the range
pub(super) fn whole(float: f64) -> Option<serde_json::Number> {
    if float.fract() != 0.0 {
        None
    } else if (0.0..1.844_674_407_370_955_2e19).contains(&float) {
        Some((float as u64).into())
    } else if (-9.223_372_036_854_776e18..0.0).contains(&float) {
        Some((float as i64).into())
    } else {
        None
    }
}
