//! Values that are lists: read from text with commas or from TOML, each entry once.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use toml::Spanned;
use toml::de::DeValue;

use super::keys::{Key, Kind};
use super::telegram::Chat;
use super::value::{self, Value, Wrong, mistyped, quoted};

/// The word for everything that could be listed.
pub(super) const ALL: &str = "all";
/// The word for an empty list.
const OFF: &str = "off";

/// Reads entries with commas between them, or the one word that stands for a list.
pub(super) fn from_text(key: &Key, text: &str) -> Result<Value, Wrong> {
    let text = text.trim();
    match key.kind {
        Kind::Chats { all: true, .. } if text == ALL => Ok(Value::List(vec![ALL.to_owned()])),
        Kind::Kinds(_) if text == OFF => Ok(Value::List(Vec::new())),
        _ => from_entries(
            key,
            text.split(',').map(|entry| Cow::Borrowed(entry.trim())),
        ),
    }
}

/// Reads an array: text, and ids as numbers.
pub(super) fn from_array(key: &Key, entries: &[Spanned<DeValue<'_>>]) -> Result<Value, Wrong> {
    let mut texts = Vec::with_capacity(entries.len());
    for entry in entries {
        texts.push(match entry.get_ref() {
            DeValue::String(text) => Cow::Borrowed(text.as_ref()),
            DeValue::Integer(number) if matches!(key.kind, Kind::Chats { .. }) => {
                Cow::Owned(number.to_string())
            }
            other => {
                let what = format!("a list with {}", value::type_name(other));
                return Err(mistyped(key, &what));
            }
        });
    }
    from_entries(key, texts.into_iter())
}

fn from_entries<'t>(
    key: &Key,
    entries: impl Iterator<Item = Cow<'t, str>>,
) -> Result<Value, Wrong> {
    let mut list: Vec<String> = Vec::new();
    for text in entries {
        let Some(entry) = entry(key, &text) else {
            return Err(mistyped(key, &format!("a list with {}", quoted(&text))));
        };
        if list.contains(&entry) {
            let what = format!("{} names {entry} twice", key.path());
            return Err(Wrong::new(what, "name it once"));
        }
        list.push(entry);
    }
    let most = match key.kind {
        Kind::Names { names_max, .. } => names_max,
        Kind::Hosts { hosts_max } => hosts_max,
        Kind::Chats { chats_max, .. } => chats_max,
        _ => usize::MAX,
    };
    if list.len() > most {
        let what = format!("{} has {} entries", key.path(), list.len());
        return Err(Wrong::new(what, format!("write {}", expected(key))));
    }
    if list.is_empty() && matches!(key.kind, Kind::Names { .. } | Kind::Hosts { .. }) {
        return Err(mistyped(key, "empty"));
    }
    Ok(Value::List(list))
}

/// An entry in the form it is shown in; none for what is no entry of this list.
fn entry(key: &Key, text: &str) -> Option<String> {
    match key.kind {
        Kind::Chats { .. } => Chat::parse(text).map(|chat| chat.to_string()),
        Kind::Hosts { .. } => host(text).map(|(host, port)| format!("{host}:{port}")),
        Kind::Kinds(words) => words.contains(&text).then(|| text.to_owned()),
        Kind::Names { chars_max, .. } => {
            // They name folders.
            let legal = (1..=chars_max).contains(&text.len())
                && text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            legal.then(|| text.to_owned())
        }
        _ => None,
    }
}

/// `host:port` taken apart; an IPv6 address is in brackets.
pub(super) fn host(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let legal = match bare {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
        }
    };
    legal.then_some((host, port))
}

/// The list as text, in the form that [`from_text`] reads.
pub(super) fn plain(entries: &[String], key: &Key) -> String {
    match key.kind {
        Kind::Kinds(_) if entries.is_empty() => OFF.to_owned(),
        _ => entries.join(","),
    }
}

/// The list as TOML.
pub(super) fn as_toml(entries: &[String], key: &Key) -> String {
    let word = match key.kind {
        Kind::Kinds(_) => entries.is_empty().then_some(OFF),
        Kind::Chats { all: true, .. } => (entries == [ALL]).then_some(ALL),
        _ => None,
    };
    match word {
        Some(word) => format!("{word:?}"),
        None => toml::Value::from(entries.to_vec()).to_string(),
    }
}

/// What a list wants, in words.
pub(super) fn expected(key: &Key) -> String {
    match key.kind {
        Kind::Chats {
            chats_max,
            all: false,
        } => format!("a list of at most {chats_max} as [\"@name\", \"-1001234567890\"]"),
        Kind::Chats { .. } => "\"all\", or a list as [\"@name\", \"-1001234567890\"]".to_owned(),
        Kind::Kinds(words) => format!("\"off\", or a list of some of {words:?}"),
        Kind::Names {
            names_max,
            chars_max,
        } => format!(
            "a list of 1 to {names_max} names, each of 1 to {chars_max} letters, digits or `_ -`"
        ),
        Kind::Hosts { hosts_max } => {
            format!("a list of 1 to {hosts_max} as [\"10.0.0.1:26379\", \"sentinel-2:26379\"]")
        }
        _ => "a list".to_owned(),
    }
}

/// The limits alone.
pub(super) fn limits(key: &Key) -> String {
    match key.kind {
        Kind::Chats { chats_max, .. } => format!("at most {chats_max} entries"),
        Kind::Names {
            names_max,
            chars_max,
        } => format!("1 to {names_max} names of 1 to {chars_max} letters, digits, `_ -`"),
        Kind::Hosts { hosts_max } => format!("1 to {hosts_max} times `host:port`"),
        Kind::Kinds(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("`off`; {}", words.join(", "))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    fn read(section: &str, name: &str, text: &str) -> Result<String, String> {
        let key = keys::find(section, name).expect("a key");
        match value::from_text(key, text) {
            Ok(value) => Ok(value::as_toml(&value, key)),
            Err(wrong) => Err(wrong.what),
        }
    }

    #[test]
    fn lists_are_read_from_text_and_shown_as_toml() {
        let follow = |text| read("telegram", "follow", text);
        assert_eq!(
            follow("@Name, -1001234567890"),
            Ok("[\"@name\", \"-1001234567890\"]".to_owned())
        );
        assert_eq!(follow("all"), Ok("\"all\"".to_owned()));
        assert!(follow("@name,@NAME").is_err());
        assert!(follow("@name,").is_err());
        assert!(follow("everything").is_err());
        assert!(read("telegram", "hot", "all").is_err());
        let eleven: Vec<String> = (0..11).map(|n| format!("@name{n}")).collect();
        assert!(read("telegram", "hot", &eleven.join(",")).is_err());
        assert!(read("telegram", "hot", &eleven[..10].join(",")).is_ok());
        let download = |text| read("telegram.media", "download", text);
        assert_eq!(download("off"), Ok("\"off\"".to_owned()));
        assert_eq!(
            download("photo, document"),
            Ok("[\"photo\", \"document\"]".to_owned())
        );
        assert!(download("photos").is_err());
        assert!(read("telegram", "accounts", "main,../main").is_err());
        assert!(read("telegram", "accounts", "main,main").is_err());
        let sentinels = |text| read("redis", "sentinels", text);
        assert_eq!(
            sentinels("10.0.0.1:26379, [::1]:26380"),
            Ok("[\"10.0.0.1:26379\", \"[::1]:26380\"]".to_owned())
        );
        for wrong in [
            "",
            "host",
            "host:0",
            ":1",
            "[10.0.0.1]:1",
            "a:1,a:1",
            "u:p@h:1",
        ] {
            assert!(sentinels(wrong).is_err(), "{wrong}");
        }
    }
}
