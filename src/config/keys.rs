//! What a key is: kind, unit, default, limits and meaning.
//!
//! The loader, the limits check, `config defaults`, `config show` and `docs/config.md` all read the one table of keys
//! and nothing else, so they cannot drift apart.

pub(super) use super::sections::SECTIONS;
pub(super) use super::table::KEYS;

/// What a key holds, with its limits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A path of the file system.
    Path,
    /// Letters, digits and `_ - . :`.
    Name { chars_max: usize },
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number of something.
    Count {
        min: u64,
        max: u64,
        unit: &'static str,
    },
    /// Bytes: a whole number, or text with KiB, MiB or GiB.
    Size { min: u64, max: u64 },
    /// A duration: text with ms, s, m, h or d. Limits in milliseconds.
    Span { min: u64, max: u64 },
    /// A secret address with one of these schemes.
    Url(&'static [&'static str]),
    /// A secret of letters and digits, which the file only refers to.
    SecretWord { chars_max: usize },
    /// A secret of any characters but control characters, which the file only refers to.
    Password { bytes_max: usize },
    /// 32 raw bytes or a passphrase, which the file only refers to.
    SessionKey,
    /// A file of 256 secret bytes.
    AuthKeyFile,
    /// A file of the token that two machines share.
    TokenFile,
    /// An IP address with a port.
    Socket,
    /// A list of different names of letters, digits and `_ -`.
    Names { names_max: usize, chars_max: usize },
    /// A list of `host:port`.
    Hosts { hosts_max: usize },
    /// A list of usernames and chat ids; `all` when it may be everything.
    Chats { chats_max: usize, all: bool },
    /// `off`, or a list of some of these words.
    Kinds(&'static [&'static str]),
}

impl Kind {
    /// Whether it may be kept elsewhere, with only the place written.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Kind::Url(_)) || self.is_only_referred_to()
    }

    /// Whether the file must not hold it at all.
    pub(super) fn is_only_referred_to(self) -> bool {
        matches!(
            self,
            Kind::SecretWord { .. } | Kind::Password { .. } | Kind::SessionKey
        )
    }

    /// Whether it is written as a list.
    pub(super) fn is_list(self) -> bool {
        matches!(
            self,
            Kind::Names { .. } | Kind::Hosts { .. } | Kind::Chats { .. } | Kind::Kinds(_)
        )
    }
}

/// What holds when a key is not written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Default {
    /// This text, read like a value of the environment.
    Text(&'static str),
    /// Something that depends on other keys.
    Words(&'static str),
    /// Nothing: a section that is switched on must have it.
    Needed,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its section; empty at the top level.
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Default,
    /// What it does, in full sentences of Markdown.
    pub(super) about: &'static str,
}

/// One section.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    /// Switched on by being written; without it that piece does not run.
    pub(super) optional: bool,
    pub(super) about: &'static str,
}

impl Key {
    /// `section.name`, or the name at the top level.
    pub(super) fn path(&self) -> String {
        if self.section.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}.{}", self.section, self.name)
        }
    }

    /// The environment variable that sets it.
    pub(super) fn variable(&self) -> String {
        let mut name = String::from("TGW_");
        if !self.section.is_empty() {
            name.push_str(&self.section.to_ascii_uppercase().replace('.', "__"));
            name.push_str("__");
        }
        name.push_str(&self.name.to_ascii_uppercase());
        name
    }
}

/// A key.
pub(super) const fn key(
    section: &'static str,
    name: &'static str,
    kind: Kind,
    default: Default,
    about: &'static str,
) -> Key {
    Key {
        section,
        name,
        kind,
        default,
        about,
    }
}

/// A section.
pub(super) const fn section(name: &'static str, optional: bool, about: &'static str) -> Section {
    Section {
        name,
        optional,
        about,
    }
}

/// A duration, with its limits in milliseconds.
pub(super) const fn span(min: u64, max: u64) -> Kind {
    Kind::Span { min, max }
}

/// Bytes, with their limits.
pub(super) const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

/// A number of something, with its limits.
pub(super) const fn count(min: u64, max: u64, unit: &'static str) -> Kind {
    Kind::Count { min, max, unit }
}

/// The key of a section by name.
pub(super) fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.section == section && key.name == name)
}

/// The keys of one section.
pub(super) fn of(section: &str) -> impl Iterator<Item = &'static Key> + use<'_> {
    KEYS.iter().filter(move |key| key.section == section)
}

/// The candidate that differs least from what was written, when it is near enough to be meant.
pub(super) fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(written, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() + 1) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance. Long texts are no typing mistakes of a key and are not compared.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_is_the_meant_one_or_none() {
        let names = ["segment_bytes_max", "segment_age_max", "window"];
        assert_eq!(
            nearest("segment_byte_max", names),
            Some("segment_bytes_max")
        );
        assert_eq!(nearest("windwo", names), Some("window"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest(&"x".repeat(10_000), names), None);
    }
}
