//! `[telegram]`: whose messages are mirrored, and as whom.

use std::fmt;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::{AuthKey, Secret, SessionKey};

/// `[telegram]`: the accounts, and what of theirs is mirrored.
#[derive(Debug, Clone, PartialEq)]
pub struct Telegram {
    /// The number of the application.
    pub api_id: i32,
    /// The secret of the application.
    pub api_hash: Secret,
    /// What seals the session files.
    pub session_key: SessionKey,
    /// Names of the accounts, each once; the first one also mirrors what only an account has.
    pub accounts: Vec<String>,
    /// What is mirrored.
    pub follow: Follow,
    /// Channels that are asked again and again; each is followed.
    pub hot: Vec<Chat>,
    /// Whether private chats are mirrored too.
    pub private_chats: bool,
    /// A given data centre in place of Telegram's own.
    pub dc: Option<DataCentre>,
    /// Messages of its past that are taken when a channel is seen for the first time.
    pub backfill_depth: u32,
    /// Most requests a minute and account for what is past.
    pub requests_per_minute: u32,
    /// How often the newest messages are compared with the log.
    pub reconcile_interval: Duration,
    /// Which files are downloaded.
    pub media: Media,
}

/// `[telegram.media]`: which files are downloaded, and where they go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Kinds of files, in the words of the event model; none when nothing is downloaded.
    pub download: Vec<String>,
    /// Larger files are not downloaded.
    pub bytes_max: u64,
    /// Nothing is downloaded that would make all files together larger.
    pub store_bytes_max: u64,
    /// Where they go; already joined with `data_dir` when it was written relative.
    pub folder: PathBuf,
    /// Most requests a minute and account.
    pub requests_per_minute: u32,
}

/// The kinds of media that are files.
pub(super) const FILE_KINDS: &[&str] = &[
    "photo",
    "document",
    "video",
    "video_message",
    "audio",
    "voice_message",
    "animation",
    "sticker",
];

impl Telegram {
    /// What to tell an operator whose gateway mirrors nothing; none when something is followed.
    pub fn nothing_followed(&self) -> Option<&'static str> {
        let nothing = matches!(&self.follow, Follow::Only(chats) if chats.is_empty());
        (nothing && !self.private_chats).then_some(
            "telegram.follow names no chat, so nothing is mirrored; \
             write follow = [\"@name\", \"-100...\"], or follow = \"all\"",
        )
    }
}

/// What is mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// Every channel and group that the account is in.
    All,
    /// These chats alone.
    Only(Vec<Chat>),
}

/// A chat as an operator names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Chat {
    /// A public name, without the `@`, in lower case: Telegram does not tell cases apart.
    Username(String),
    /// A marked id: a channel -100..., a basic group negative.
    Id(i64),
}

/// The first marked id of a channel, and the last.
const CHANNEL_IDS: std::ops::RangeInclusive<i64> = -1_999_999_999_999..=-1_000_000_000_001;
/// Marked ids of basic groups.
const GROUP_IDS: std::ops::RangeInclusive<i64> = -999_999_999_999..=-1;

impl Chat {
    /// Reads `@name`, `https://t.me/name` or a marked id; none for anything else.
    pub fn parse(text: &str) -> Option<Chat> {
        if let Ok(id) = text.parse::<i64>() {
            let legal = CHANNEL_IDS.contains(&id) || GROUP_IDS.contains(&id);
            return legal.then_some(Chat::Id(id));
        }
        let name = ["@", "https://t.me/", "t.me/"]
            .iter()
            .find_map(|lead| text.strip_prefix(lead))?;
        let legal = (4..=32).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        legal.then(|| Chat::Username(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Chat::Username(name) => write!(f, "@{name}"),
            Chat::Id(id) => id.fmt(f),
        }
    }
}

/// `[telegram.dc]`: a data centre that is given with its key.
#[derive(Debug, Clone, PartialEq)]
pub struct DataCentre {
    /// Its number.
    pub id: i32,
    /// Where it listens.
    pub address: SocketAddrV4,
    /// The authorization key.
    pub auth_key: AuthKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_named_as_people_name_them() {
        for (text, expected) in [
            ("@Durov", Some("@durov")),
            ("https://t.me/durov", Some("@durov")),
            ("-1001234567890", Some("-1001234567890")),
            ("-1000000000001", Some("-1000000000001")),
            ("-1000000000000", None),
            ("-4242", Some("-4242")),
            ("4242", None),
            ("0", None),
            ("durov", None),
            ("@abc", None),
            ("@1abc", None),
            ("@a-bcd", None),
            ("https://t.me/+AbCdEf", None),
            ("-9223372036854775808", None),
            ("", None),
        ] {
            let parsed = Chat::parse(text).map(|chat| chat.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
    }
}
