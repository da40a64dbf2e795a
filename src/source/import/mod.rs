//! Imports export files: what Telegram Desktop and Telethon write.
//!
//! A file is recognised by what is in it, and read twice. The first pass ([`survey`]) reads and checks everything and
//! counts; a file that is broken is refused there, before anything is appended. The second ([`ImportSource`]) gives
//! the events. No pass holds more than one message and one window of the file, so a file of many gigabytes needs no
//! more memory than a small one, with two exceptions: 16 bytes for each album, and 32 bytes for each message of a file
//! that is not sorted (Telethon writes the newest first: 10 million messages take 320 MB).
//!
//! Events come chat by chat, and within a chat by date and id, however the file is sorted: both orders give the same
//! log. All of it is a pure function of the file, so a second import adds nothing (see `event::dedup_key`).
//!
//! | file | what |
//! |---|---|
//! | `scan`, `nesting` | where values begin and end, without building them |
//! | `walk`, `chat` | the layouts of the formats: which values are messages, of which chats |
//! | `repair` | mends known mistakes of exporters in one message |
//! | `lean` | parses one message, leaving personal data out |
//! | `desktop`, `telethon` | one message to one event |
//! | `survey`, `read` | the two passes |
//! | `report` | what was found |

mod chat;
mod desktop;
mod lean;
mod nesting;
mod read;
mod repair;
mod report;
mod scan;
mod survey;
mod telethon;
mod value;
mod walk;

use std::path::Path;

use jiff::tz::TimeZone;
use serde_json::Value;

pub use read::ImportSource;
pub use repair::Repair;
pub use report::{Repaired, Report, Skipped};
pub use survey::{Survey, survey};
pub use walk::Layout;

use self::chat::Chat;
use self::scan::ScanError;
use self::value::{Context, Problem};
use super::SourceError;
use crate::event::{Body, Event, Origin, PeerId, Raw, Timestamp};

/// Largest message read, in bytes of the file. The largest one met had 51 KB; and what is read here must fit a record
/// of the log, whose limit is the same.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest raw message kept beside an event.
const RAW_BYTES_MAX: usize = 1024 * 1024;

/// How to import.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Refuse files that need a repair.
    pub strict: bool,
    /// Import what is whole of a file that is cut off.
    pub allow_truncated: bool,
    /// Time zone of dates that have none: Desktop exports from before 2021.
    pub source_timezone: Option<TimeZone>,
    /// Import private chats, groups and channels too, not only public ones.
    pub include_private: bool,
}

/// What a message of the file became.
enum Mapped {
    Message(Box<Item>),
    /// Left out: the type of its chat is not imported.
    Skipped(&'static str),
}

struct Item {
    event: Event,
    /// Its date, where it has one, and its id: the order of events.
    date: Option<Timestamp>,
    id: i64,
    /// It says that its peer is a broadcast channel.
    broadcast: bool,
}

/// An event for input that this version cannot read.
fn unknown(peer: Option<PeerId>, message_id: Option<i64>, what: &str, value: &Value) -> Event {
    let bytes = value.to_string().into_bytes();
    let raw = (bytes.len() <= RAW_BYTES_MAX).then_some(Raw { layer: 0, bytes });
    Event {
        peer,
        origin: Origin::Import,
        stamp: 0,
        body: Body::Unknown {
            message_id,
            what: report::clean(what),
        },
        raw,
    }
}

/// Reads one message: parse, repair where needed, map. Gives the repairs made, with their places in the bytes.
fn read_message(
    bytes: &[u8],
    layout: Layout,
    chat: Option<&Chat>,
    options: &Options,
    context: &mut Context<'_>,
) -> Result<(Mapped, Vec<(Repair, usize)>), Fault> {
    let (value, repairs) = parse(bytes, options.strict)?;
    let mapped = match chat {
        Some(chat) if layout.is_desktop() => desktop::map(chat, &value, context),
        _ => telethon::map(&value, options.include_private, context),
    };
    Ok((mapped.map_err(Fault::of)?, repairs))
}

fn parse(bytes: &[u8], strict: bool) -> Result<(Value, Vec<(Repair, usize)>), Fault> {
    let error = match lean::parse(bytes) {
        Ok(value) => return Ok((value, Vec::new())),
        Err(error) => error,
    };
    let (mended, repairs) = repair::repair(bytes);
    if repairs.is_empty() {
        return Err(Fault::json(bytes, &error));
    }
    if let (true, Some((kind, at))) = (strict, repairs.first()) {
        return Err(Fault {
            offset: *at,
            problem: format!("this is no JSON (known mistake: {kind})"),
            hint: Some("leave out --strict to have it mended".to_owned()),
        });
    }
    match lean::parse(&mended) {
        Ok(value) => Ok((value, repairs)),
        // Its position is one in the mended bytes; the start of the message is near enough.
        Err(error) => Err(Fault {
            offset: 0,
            ..Fault::json(&mended, &error)
        }),
    }
}

/// Why one message stops the import; the offset counts from its start.
#[derive(Debug)]
struct Fault {
    offset: usize,
    problem: String,
    hint: Option<String>,
}

impl Fault {
    fn of(problem: Problem) -> Fault {
        Fault {
            offset: 0,
            problem: problem.problem,
            hint: problem.hint,
        }
    }

    fn json(bytes: &[u8], error: &serde_json::Error) -> Fault {
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or(&text);
        let line_start = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .take(error.line().saturating_sub(1))
            .map(<[u8]>::len)
            .sum::<usize>();
        let offset = line_start + error.column().saturating_sub(1);
        Fault {
            offset: offset.min(bytes.len()),
            problem: format!("this is no JSON ({what})"),
            hint: Some("the file is damaged there; nothing was imported: export again".to_owned()),
        }
    }

    fn at(self, path: &Path, start: u64) -> SourceError {
        SourceError::Input {
            path: path.display().to_string(),
            offset: start + self.offset as u64,
            problem: self.problem,
            hint: self.hint,
        }
    }
}

fn scan_error(path: &Path, error: ScanError) -> SourceError {
    let path = path.display().to_string();
    match error {
        ScanError::Io(source) => SourceError::Io { path, source },
        ScanError::Ended(offset) => SourceError::Input {
            path,
            offset,
            problem: "the file is cut off, what begins here has no end".to_owned(),
            hint: Some(
                "nothing was imported: export again, or import what is whole with --allow-truncated"
                    .to_owned(),
            ),
        },
        ScanError::Bad(offset, problem) => SourceError::Input {
            path,
            offset,
            problem,
            hint: Some("nothing was imported: export again".to_owned()),
        },
    }
}
