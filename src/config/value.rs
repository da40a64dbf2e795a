//! Values: read from text or TOML, held to their limits, written back in the form they are read in.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::keys::{Key, Kind};
use super::list;
use super::reference::Fetched;
use super::secret::{AuthKey, BackendUrl, Secret, SessionKey, Token};

/// A value that is inside the limits of its key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Path(PathBuf),
    Word(String),
    Switch(bool),
    /// A count, or bytes.
    Number(u64),
    Span(Duration),
    Url(BackendUrl),
    Secret(Secret),
    SessionKey(SessionKey),
    AuthKey(Box<AuthKey>),
    Token(Token),
    Socket(SocketAddrV4),
    /// Each entry once, in the form it is shown in.
    List(Vec<String>),
}

/// Why a text is no value of its key: what is wrong, and the remedy. Never repeats a secret.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Wrong {
        Wrong {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

const SIZES: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
const SPANS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a secret as it was kept.
pub(super) fn from_secret(key: &Key, fetched: &Fetched) -> Result<Value, Wrong> {
    match key.kind {
        Kind::SessionKey => session_key(key, &fetched.bytes, fetched.text().ok()),
        Kind::AuthKeyFile => match <[u8; 256]>::try_from(fetched.bytes.as_slice()) {
            Ok(bytes) => Ok(Value::AuthKey(Box::new(AuthKey::new(bytes)))),
            Err(_) => Err(Wrong::new(
                format!("the {} holds {} bytes", fetched.from, fetched.bytes.len()),
                "write the 256 raw bytes of the key alone into it",
            )),
        },
        Kind::TokenFile => Token::of(&fetched.bytes).map(Value::Token).ok_or_else(|| {
            Wrong::new(
                format!("the {} is no token", fetched.from),
                "write 32 to 1024 random bytes into it: head -c 32 /dev/urandom | base64",
            )
        }),
        _ => from_text(key, fetched.text()?),
    }
}

fn session_key(key: &Key, bytes: &[u8], text: Option<&str>) -> Result<Value, Wrong> {
    match SessionKey::of(bytes, text) {
        Some(session_key) => Ok(Value::SessionKey(session_key)),
        None => Err(Wrong::new(
            format!("{} has {} bytes that are no key", key.path(), bytes.len()),
            format!("keep {}", expected(key)),
        )),
    }
}

/// Reads the text of an environment variable, a default or a resolved secret.
pub(super) fn from_text(key: &Key, text: &str) -> Result<Value, Wrong> {
    if text.trim().is_empty() {
        return Err(empty(key));
    }
    match key.kind {
        Kind::Switch => match text.trim() {
            "true" => Ok(Value::Switch(true)),
            "false" => Ok(Value::Switch(false)),
            _ => Err(mistyped(key, &quoted(text))),
        },
        Kind::Count { .. } => match text.trim().replace('_', "").parse() {
            Ok(number) => limited(key, number),
            Err(_) => Err(mistyped(key, &quoted(text))),
        },
        Kind::Size { .. } => match text.trim().replace('_', "").parse() {
            Ok(number) => limited(key, number),
            Err(_) => from_string(key, text),
        },
        _ => from_string(key, text),
    }
}

/// Reads a value of a file, which has a type of its own. Secrets written as tables are resolved before.
pub(super) fn from_toml(key: &Key, value: &DeValue<'_>) -> Result<Value, Wrong> {
    match (key.kind, value) {
        (Kind::Switch, DeValue::Boolean(on)) => Ok(Value::Switch(*on)),
        (Kind::Count { .. } | Kind::Size { .. }, DeValue::Integer(number)) => {
            match u64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => limited(key, number),
                Err(_) => Err(mistyped(key, &number.to_string())),
            }
        }
        (Kind::Switch | Kind::Count { .. }, DeValue::String(_)) => {
            Err(mistyped(key, "text in quotes"))
        }
        (_, DeValue::String(text)) => from_string(key, text),
        (kind, DeValue::Array(entries)) if kind.is_list() => list::from_array(key, entries),
        (_, other) => Err(mistyped(key, type_name(other))),
    }
}

/// A value written as a string in a file.
fn from_string(key: &Key, text: &str) -> Result<Value, Wrong> {
    if text.trim().is_empty() {
        return Err(empty(key));
    }
    match key.kind {
        Kind::Path if text.contains('\0') => Err(mistyped(key, "text with a NUL")),
        Kind::Path => Ok(Value::Path(PathBuf::from(text))),
        Kind::Name { chars_max } => {
            let legal = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
            if text.len() <= chars_max && text.chars().all(legal) {
                Ok(Value::Word(text.to_owned()))
            } else {
                Err(mistyped(key, &quoted(text)))
            }
        }
        Kind::Choice(words) => match words.iter().find(|word| **word == text) {
            Some(word) => Ok(Value::Word((*word).to_owned())),
            None => Err(mistyped(key, &quoted(text))),
        },
        Kind::Size { .. } => match scaled(text, &SIZES) {
            Some(bytes) => limited(key, bytes),
            None => Err(mistyped(key, &quoted(text))),
        },
        Kind::Span { .. } => match scaled(text, &SPANS) {
            Some(milliseconds) => limited(key, milliseconds),
            None => Err(mistyped(key, &quoted(text))),
        },
        Kind::Url(schemes) => address(key, text, schemes),
        Kind::SecretWord { chars_max } => {
            let text = text.trim();
            if text.len() <= chars_max && text.chars().all(|c| c.is_ascii_alphanumeric()) {
                Ok(Value::Secret(Secret::new(text.to_owned())))
            } else {
                Err(mistyped(key, "what it is"))
            }
        }
        Kind::Password { bytes_max } => {
            let text = text.trim_end_matches(['\r', '\n']);
            if text.len() <= bytes_max && !text.chars().any(char::is_control) {
                Ok(Value::Secret(Secret::new(text.to_owned())))
            } else {
                Err(mistyped(key, "what it is"))
            }
        }
        Kind::SessionKey => session_key(key, text.as_bytes(), Some(text)),
        Kind::Socket => match text.trim().parse::<SocketAddrV4>() {
            Ok(address) if address.port() != 0 && !address.ip().is_unspecified() => {
                Ok(Value::Socket(address))
            }
            _ => Err(mistyped(key, &quoted(text))),
        },
        Kind::Names { .. } | Kind::Hosts { .. } | Kind::Chats { .. } | Kind::Kinds(_) => {
            list::from_text(key, text)
        }
        Kind::Switch | Kind::Count { .. } => Err(mistyped(key, "text in quotes")),
        Kind::AuthKeyFile | Kind::TokenFile => Err(mistyped(key, "text")),
    }
}

/// An address. The text never gets into an error: its password may be anywhere in a wrong one.
fn address(key: &Key, text: &str, schemes: &[&str]) -> Result<Value, Wrong> {
    let remedy = format!("write it as {}", forms(schemes));
    let text = text.trim_end_matches(['\r', '\n']);
    if text.chars().any(|c| c.is_control() || c == ' ') {
        let what = format!("{} has a space or a control character in it", key.path());
        return Err(Wrong::new(what, "percent-encode it, a space as %20"));
    }
    let url = BackendUrl::parse(text).map_err(|error| {
        let what = format!("{} is no address: {error}", key.path());
        let more = "percent-encode `/ @ : # ? %` in user and password";
        Wrong::new(what, format!("{remedy}; {more}"))
    })?;
    if schemes.contains(&url.scheme()) {
        Ok(Value::Url(url))
    } else {
        let what = format!("{} has the wrong scheme", key.path());
        Err(Wrong::new(what, remedy))
    }
}

fn forms(schemes: &[&str]) -> String {
    let forms: Vec<String> = schemes
        .iter()
        .map(|scheme| match *scheme {
            "unix" | "redis+unix" => format!("{scheme}:///path"),
            _ => format!("{scheme}://user:password@host/..."),
        })
        .collect();
    forms.join(" or ")
}

/// Holds a number to the limits of its key.
fn limited(key: &Key, number: u64) -> Result<Value, Wrong> {
    let (min, max, value) = match key.kind {
        Kind::Count { min, max, .. } | Kind::Size { min, max } => (min, max, Value::Number(number)),
        Kind::Span { min, max } => (min, max, Value::Span(Duration::from_millis(number))),
        _ => return Err(mistyped(key, "a number")),
    };
    if number < min || number > max {
        let side = if number < min { "below" } else { "above" };
        let what = format!(
            "{} = {} is {side} its limit",
            key.path(),
            plain(&value, key)
        );
        return Err(Wrong::new(what, format!("write {}", expected(key))));
    }
    Ok(value)
}

/// Bytes of a size as the configuration writes it: `64MiB`; none for anything else.
pub fn size(text: &str) -> Option<u64> {
    scaled(text, &SIZES)
}

/// `12MiB` with a table of units; none when it is no number, has no unit of the table, or does not fit.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The largest unit that writes a number without a fraction.
fn unscaled(number: u64, units: &[(&str, u64)]) -> String {
    for (name, factor) in units {
        if number >= *factor && number.is_multiple_of(*factor) {
            return format!("{}{name}", number / factor);
        }
    }
    format!("{number}{}", units.last().map_or("", |(name, _)| name))
}

/// A value without quotes.
pub(super) fn plain(value: &Value, key: &Key) -> String {
    match (value, key.kind) {
        (Value::Path(path), _) => path.display().to_string(),
        (Value::Word(word), _) => word.clone(),
        (Value::Switch(on), _) => on.to_string(),
        (Value::Number(number), Kind::Size { .. }) => unscaled(*number, &SIZES),
        (Value::Number(number), _) => number.to_string(),
        (Value::Span(span), _) => milliseconds(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        (Value::Url(url), _) => url.to_string(),
        (Value::Secret(_) | Value::SessionKey(_) | Value::AuthKey(_) | Value::Token(_), _) => {
            "***".to_owned()
        }
        (Value::Socket(address), _) => address.to_string(),
        (Value::List(entries), _) => list::plain(entries, key),
    }
}

/// A value as TOML. An address shows its masked form, which is not the address.
pub(super) fn as_toml(value: &Value, key: &Key) -> String {
    let text = plain(value, key);
    match (value, key.kind) {
        (Value::Switch(_), _) | (Value::Number(_), Kind::Count { .. }) => text,
        (Value::List(entries), _) => list::as_toml(entries, key),
        _ => toml::Value::String(text).to_string(),
    }
}

fn milliseconds(number: u64) -> String {
    unscaled(number, &SPANS)
}

/// What a key wants, in words: `a size from 1MiB to 1GiB`.
pub(super) fn expected(key: &Key) -> String {
    match key.kind {
        Kind::Path => "a path in quotes".to_owned(),
        Kind::Name { chars_max } => {
            format!("1 to {chars_max} letters, digits or `_ - . :` in quotes")
        }
        Kind::Switch => "true or false".to_owned(),
        Kind::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            words.join(" or ")
        }
        Kind::Count { .. } => format!("a whole number, {}", limits(key)),
        Kind::Size { .. } => format!(
            "bytes as a whole number or \"64MiB\" (KiB, MiB, GiB), {}",
            limits(key)
        ),
        Kind::Span { .. } => format!("a duration as \"30s\" (ms, s, m, h, d), {}", limits(key)),
        Kind::Url(schemes) => forms(schemes),
        Kind::SecretWord { chars_max } => format!("1 to {chars_max} letters and digits"),
        Kind::Password { bytes_max } => {
            format!("1 to {bytes_max} bytes of text without control characters")
        }
        Kind::SessionKey => "32 raw bytes, or a passphrase of 8 to 1024 bytes".to_owned(),
        Kind::AuthKeyFile => "the path of a file of 256 bytes in quotes".to_owned(),
        Kind::TokenFile => "the path of a file of 32 to 1024 bytes in quotes".to_owned(),
        Kind::Socket => "an IPv4 address with a port, as \"127.0.0.1:4430\"".to_owned(),
        Kind::Names { .. } | Kind::Hosts { .. } | Kind::Chats { .. } | Kind::Kinds(_) => {
            list::expected(key)
        }
    }
}

/// The limits alone: `1MiB to 1GiB`; empty where there are none.
pub(super) fn limits(key: &Key) -> String {
    match key.kind {
        Kind::Count { min, max, unit } => format!("{min} to {max} {unit}").trim_end().to_owned(),
        Kind::Size { min, max } => {
            format!("{} to {}", unscaled(min, &SIZES), unscaled(max, &SIZES))
        }
        Kind::Span { min, max } => format!("{} to {}", milliseconds(min), milliseconds(max)),
        Kind::Name { chars_max } => format!("1 to {chars_max} of letters, digits, `_ - . :`"),
        Kind::Switch => "`true`, `false`".to_owned(),
        Kind::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Kind::Url(schemes) => {
            let schemes: Vec<String> = schemes.iter().map(|word| format!("`{word}:`")).collect();
            schemes.join(", ")
        }
        Kind::SecretWord { chars_max } => format!("1 to {chars_max} of letters, digits"),
        Kind::Password { bytes_max } => format!("1 to {bytes_max} bytes"),
        Kind::SessionKey => "32 raw bytes, or text of 8 to 1024 bytes".to_owned(),
        Kind::AuthKeyFile => "256 bytes".to_owned(),
        Kind::TokenFile => "32 to 1024 bytes".to_owned(),
        Kind::Names { .. } | Kind::Hosts { .. } | Kind::Chats { .. } | Kind::Kinds(_) => {
            list::limits(key)
        }
        Kind::Path | Kind::Socket => String::new(),
    }
}

fn empty(key: &Key) -> Wrong {
    Wrong::new(
        format!("{} is empty", key.path()),
        format!("write {}, or remove it", expected(key)),
    )
}

pub(super) fn mistyped(key: &Key, got: &str) -> Wrong {
    Wrong::new(
        format!("{} cannot be {got}", key.path()),
        format!("write {}", expected(key)),
    )
}

/// A text as it may be repeated in a message: short, without control characters.
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    format!("{short:?}")
}

/// A name that the operator chose, as it may be repeated: what does not look like a name may be a secret that was
/// written in the wrong place.
pub(super) fn name_shown(name: &str) -> String {
    let looks_like_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.len() <= 40 && name.chars().all(looks_like_a_name) {
        name.to_owned()
    } else {
        "...".to_owned()
    }
}

/// The TOML type of a value, with its article.
pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::{self, Default};
    use super::*;

    #[test]
    fn every_default_is_inside_its_limits_and_reads_back() {
        for key in keys::KEYS {
            if let Default::Text(text) = key.default {
                let value = from_text(key, text).expect("a default is a legal value");
                assert_eq!(from_text(key, &plain(&value, key)), Ok(value.clone()));
                assert_eq!(
                    plain(&value, key),
                    text,
                    "{} is in its shortest form",
                    key.path()
                );
            }
        }
    }

    #[test]
    fn a_password_is_any_text_on_one_line() {
        let key = keys::KEYS
            .iter()
            .find(|key| matches!(key.kind, Kind::Password { .. }))
            .expect("there is one");
        let read = |text: &str| match from_text(key, text) {
            Ok(Value::Secret(secret)) => Some(secret.expose().to_owned()),
            _ => None,
        };
        // A file ends with a newline, which is not meant.
        assert_eq!(read(" a:b@c %\n").as_deref(), Some(" a:b@c %"));
        for wrong in ["", "a\nb", "a\u{7}", &"x".repeat(513)] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn units_are_exact() {
        assert_eq!(scaled("64MiB", &SIZES), Some(64 << 20));
        assert_eq!(scaled("64 MiB", &SIZES), Some(64 << 20));
        for wrong in [
            "64MB",
            "64",
            "MiB",
            "-1MiB",
            "1.5MiB",
            "64mib",
            "99999999999GiB",
        ] {
            assert_eq!(scaled(wrong, &SIZES), None, "{wrong}");
        }
        assert_eq!(scaled("100ms", &SPANS), Some(100));
        assert_eq!(scaled("1d", &SPANS), Some(86_400_000));
        assert_eq!(unscaled(90_000, &SPANS), "90s");
        assert_eq!(unscaled(0, &SPANS), "0ms");
    }
}
