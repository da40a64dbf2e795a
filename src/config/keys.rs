//! The table of every key: kind, unit, default, limits and meaning.
//!
//! The loader, the limits check, `config defaults`, `config show` and `docs/config.md` all read this table and nothing
//! else, so they cannot drift apart.

use super::keys::Default::{Needed, Text, Words};
use super::keys::Kind::{Choice, Count, Name, Path, Size, Span, Switch, Url};

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
            name.push_str(&self.section.to_ascii_uppercase());
            name.push_str("__");
        }
        name.push_str(&self.name.to_ascii_uppercase());
        name
    }
}

/// Every section in the order they are shown. Top-level keys come before them.
pub(super) const SECTIONS: &[Section] = &[
    section("wal", false, "The log."),
    section(
        "relay",
        false,
        "From the log to the broker and the projections.",
    ),
    section("rabbitmq", true, "The broker."),
    section("timescale", true, "The TimescaleDB projection."),
    section("redis", true, "The Redis projection."),
    section(
        "sqlite",
        true,
        "The embedded projection: on when `[timescale]` is absent, or when its path is written.",
    ),
];

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const TLS: &[&str] = &["required", "off"];
const ABOUT_TLS: &str = "`required`: TLS with a checked certificate for every host but loopback. `off`: plaintext, even \
     across a network.";

/// Every key, by section.
pub(super) const KEYS: &[Key] = &[
    key(
        "",
        "data_dir",
        Path,
        Text("telegram-gateway-data"),
        "Folder of the log, the SQLite file and the lock. A relative path starts at the working directory.",
    ),
    key(
        "wal",
        "segment_bytes_max",
        Size { min: MIB, max: GIB },
        Text("64MiB"),
        "A segment is sealed when its records reach this size. After an unclean stop the open segment is read whole, so \
         a large one makes a slow start.",
    ),
    key(
        "wal",
        "segment_age_max",
        Span {
            min: MINUTE,
            max: 365 * DAY,
        },
        Text("1d"),
        "A segment is sealed at this age.",
    ),
    key(
        "wal",
        "queue_events_max",
        count(1, 1_000_000, "events"),
        Text("8192"),
        "Events that may wait for the log before a source is held back.",
    ),
    key(
        "wal",
        "commit_events_max",
        count(1, 100_000, "events"),
        Text("2048"),
        "Most events in one commit.",
    ),
    key(
        "wal",
        "ballast",
        Size {
            min: 0,
            max: 16 * GIB,
        },
        Text("16MiB"),
        "Room on the disk that is kept for trouble, in the file `ballast` of `data_dir`. When the disk is full it is given \
         back so that the log can be read on, trimmed and closed in order; events are taken again once it could be \
         filled anew. 0: none.",
    ),
    key(
        "wal",
        "keep_age",
        Span {
            min: HOUR,
            max: 36_500 * DAY,
        },
        Words("for ever"),
        "Sealed segments whose last record is older than this are removed, but never what the relay or a store still needs.",
    ),
    key(
        "wal",
        "keep_bytes",
        Size {
            min: MIB,
            max: 1 << 50,
        },
        Words("no limit"),
        "The oldest sealed segments are removed while the log takes more of the disk than this, but never what the \
         relay or a store still needs.",
    ),
    key(
        "wal",
        "archive_dir",
        Path,
        Words("none: what is removed is gone"),
        "Folder into which segments are written, compressed, before they are removed from the log. They are read on from \
         there. A relative path starts at `data_dir`.",
    ),
    key(
        "wal",
        "copy_bytes_per_second_max",
        Size {
            min: 0,
            max: 16 * GIB,
        },
        Text("16MiB"),
        "Record bytes a second that `backup` and the archive pack, and read back, beside the appends: they share processor \
         and disk. 0: as fast as it goes.",
    ),
    key(
        "relay",
        "frame_bytes_max",
        Size {
            min: KIB,
            max: 8 * MIB,
        },
        Text("256KiB"),
        "A frame is sent when it holds this much of records.",
    ),
    key(
        "relay",
        "frame_events_max",
        count(1, 10_000, "events"),
        Text("500"),
        "A frame is sent when it holds this many events.",
    ),
    key(
        "relay",
        "window",
        count(1, 65_535, "frames"),
        Text("256"),
        "Frames that may wait for the broker's confirm.",
    ),
    key(
        "relay",
        "batch_events_max",
        count(1, 100_000, "events"),
        Text("2000"),
        "Most events a projection applies in one transaction.",
    ),
    key(
        "relay",
        "backoff_min",
        Span {
            min: 1,
            max: MINUTE,
        },
        Text("100ms"),
        "Wait after the first failed delivery; each further failure waits longer.",
    ),
    key(
        "relay",
        "backoff_max",
        Span {
            min: 100,
            max: HOUR,
        },
        Text("30s"),
        "Longest wait after a failed delivery; not below `backoff_min`.",
    ),
    key(
        "relay",
        "marker_interval",
        Span {
            min: SECOND,
            max: 10 * MINUTE,
        },
        Text("5s"),
        "How often a tail marker is sent while nothing else is. A projector notices a lost last frame this late.",
    ),
    key(
        "rabbitmq",
        "url",
        Url(&["amqp", "amqps"]),
        Needed,
        "`amqps://user:password@host:5671/telegram`. The path is the virtual host.",
    ),
    key("rabbitmq", "tls", Choice(TLS), Text("required"), ABOUT_TLS),
    key(
        "rabbitmq",
        "events",
        Switch,
        Text("true"),
        "Publish one JSON message per event to the exchange `telegram.events`, for the operator's own programs.",
    ),
    key(
        "rabbitmq",
        "events_per_second_max",
        count(1, 1_000_000, "messages a second"),
        Text("10000"),
        "Most JSON messages a second to telegram.events; what is above it waits in the log.",
    ),
    key(
        "rabbitmq",
        "prefetch",
        count(1, 65_535, "frames"),
        Text("64"),
        "Frames a projector may hold unacknowledged.",
    ),
    key(
        "timescale",
        "url",
        Url(&["postgres", "postgresql"]),
        Needed,
        "`postgres://user:password@host:5432/database`. May go through PgBouncer in transaction mode. Without `sslmode`, \
         a host that is not loopback gets `sslmode=verify-full`.",
    ),
    key(
        "timescale",
        "direct_url",
        Url(&["postgres", "postgresql"]),
        Words("the value of `url`"),
        "Where migrations run; PgBouncer cannot hold their lock.",
    ),
    key("timescale", "tls", Choice(TLS), Text("required"), ABOUT_TLS),
    key(
        "timescale",
        "chunk_interval",
        Span {
            min: HOUR,
            max: 3650 * DAY,
        },
        Text("90d"),
        "Width of a chunk of the hypertable. A chunk costs about 3 ms to make, so a long history wants wide chunks.",
    ),
    key(
        "timescale",
        "synchronous_commit",
        Switch,
        Text("false"),
        "Wait for PostgreSQL's own fsync on each batch. Without it, rows and checkpoint vanish together in a crash of \
         the server and are applied again from the log.",
    ),
    key(
        "redis",
        "url",
        Url(&["redis", "rediss", "redis+unix", "unix"]),
        Needed,
        "`rediss://user:password@host:6379/0`, or `redis+unix:///path/to/socket`.",
    ),
    key("redis", "tls", Choice(TLS), Text("required"), ABOUT_TLS),
    key(
        "redis",
        "prefix",
        Name { chars_max: 32 },
        Text("tgw"),
        "First part of every key in Redis.",
    ),
    key(
        "redis",
        "window",
        count(1, 1_000_000, "messages"),
        Text("1000"),
        "Messages kept for each channel.",
    ),
    key(
        "redis",
        "ttl",
        Span {
            min: MINUTE,
            max: 3650 * DAY,
        },
        Text("7d"),
        "How long a key lives after it was last written.",
    ),
    key(
        "sqlite",
        "path",
        Path,
        Words("`messages.sqlite` in `data_dir`"),
        "The file. A relative path starts at `data_dir`.",
    ),
];

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

const fn key(
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

const fn section(name: &'static str, optional: bool, about: &'static str) -> Section {
    Section {
        name,
        optional,
        about,
    }
}

const fn count(min: u64, max: u64, unit: &'static str) -> Kind {
    Count { min, max, unit }
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
