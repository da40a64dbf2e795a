//! What an import found and did.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use super::repair::Repair;
use crate::event::{Body, Event, Message, Timestamp};

/// Names kept apart in a count; a file with more different ones has them counted under `other`.
const NAMES_MAX: usize = 256;
/// Longest name kept.
const NAME_CHARS_MAX: usize = 64;

/// What an import found and did. Counts are of the chats that are imported, unless they say otherwise.
///
/// - `messages`: everything with a number and a date, service messages too; without `unknown` ones.
/// - `edited`: messages with an edit date, hidden ones too; `edited_hidden`: those of them whose edit readers do not see.
/// - `replies`: messages that answer another one. Telethon marks the target of a pin the same way, so there pins count.
/// - `albums`: groups of messages that share a number; `album_members`: the messages in them. Desktop files tell neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the names say it, the rest is above
pub struct Report {
    /// Messages read, unknown ones too.
    pub read: u64,
    /// Events that were new to the log; filled in by the caller.
    pub appended: u64,
    /// Events the log already had; filled in by the caller.
    pub duplicates: u64,
    pub messages: u64,
    pub edited: u64,
    pub edited_hidden: u64,
    pub replies: u64,
    pub forwards: u64,
    pub albums: u64,
    pub album_members: u64,
    pub service: u64,
    pub polls: u64,
    pub peers: u64,
    pub first_date: Option<Timestamp>,
    pub last_date: Option<Timestamp>,
    /// Messages by kind of media.
    pub media: BTreeMap<String, u64>,
    /// Service messages by action.
    pub actions: BTreeMap<String, u64>,
    /// Mistakes of the exporter that were mended, by kind.
    pub repairs: BTreeMap<Repair, Repaired>,
    /// What this version does not know, by name. Messages among it are kept raw.
    pub unknown: BTreeMap<String, u64>,
    /// Chats left out, by type.
    pub skipped: BTreeMap<String, Skipped>,
    /// Where the file was cut off, if it was and that was allowed: the start of what could not be read.
    pub truncated_at: Option<u64>,
}

impl Report {
    /// Adds the report of another file. A peer that is in both counts twice.
    pub fn merge(&mut self, other: &Report) {
        let add = |mine: &mut BTreeMap<String, u64>, others: &BTreeMap<String, u64>| {
            for (name, count) in others {
                *mine.entry(name.clone()).or_default() += count;
            }
        };
        for (mine, other) in [
            (&mut self.read, other.read),
            (&mut self.appended, other.appended),
            (&mut self.duplicates, other.duplicates),
            (&mut self.messages, other.messages),
            (&mut self.edited, other.edited),
            (&mut self.edited_hidden, other.edited_hidden),
            (&mut self.replies, other.replies),
            (&mut self.forwards, other.forwards),
            (&mut self.albums, other.albums),
            (&mut self.album_members, other.album_members),
            (&mut self.service, other.service),
            (&mut self.polls, other.polls),
            (&mut self.peers, other.peers),
        ] {
            *mine += other;
        }
        self.first_date = [self.first_date, other.first_date]
            .into_iter()
            .flatten()
            .min();
        self.last_date = self.last_date.max(other.last_date);
        add(&mut self.media, &other.media);
        add(&mut self.actions, &other.actions);
        add(&mut self.unknown, &other.unknown);
        for (kind, repaired) in &other.repairs {
            self.repairs
                .entry(*kind)
                .and_modify(|mine| mine.count += repaired.count)
                .or_insert(*repaired);
        }
        for (kind, skipped) in &other.skipped {
            let mine = self.skipped.entry(kind.clone()).or_default();
            mine.chats += skipped.chats;
            mine.messages += skipped.messages;
        }
        self.truncated_at = self.truncated_at.or(other.truncated_at);
    }
}

/// Repairs of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// How many.
    pub count: u64,
    /// Offset in the file of the first.
    pub first_offset: u64,
}

/// Chats of one type that were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Chats, where the file has chats.
    pub chats: u64,
    /// Messages in them.
    pub messages: u64,
}

/// What was noted while mapping: not errors, but not to be passed over in silence.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) unknown: BTreeMap<String, u64>,
}

impl Notes {
    /// Something this version does not know, as `class name`.
    pub(super) fn unknown(&mut self, class: &str, name: &str) {
        count(&mut self.unknown, &format!("{class} {}", clean(name)));
    }
}

/// A name from a file, safe to print and of bounded length.
pub(super) fn clean(name: &str) -> String {
    let name = name.chars().take(NAME_CHARS_MAX);
    name.map(|c| match c {
        ' '..='~' => c,
        _ => '?',
    })
    .collect()
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else {
        let name = if counts.len() < NAMES_MAX {
            name
        } else {
            "other"
        };
        *counts.entry(name.to_owned()).or_default() += 1;
    }
}

/// Adds up a [`Report`]. Albums need to be told apart: 16 bytes for each.
#[derive(Debug, Default)]
pub(super) struct Counter {
    pub(super) report: Report,
    pub(super) notes: Notes,
    albums: HashSet<u64>,
}

impl Counter {
    pub(super) fn event(&mut self, event: &Event) {
        self.report.read += 1;
        match &event.body {
            Body::Posted(message) => self.message(event, message),
            Body::Unknown { what, .. } => count(&mut self.report.unknown, &clean(what)),
            _ => {}
        }
    }

    fn message(&mut self, event: &Event, message: &Message) {
        let report = &mut self.report;
        report.messages += 1;
        report.edited += u64::from(message.edited_at.is_some());
        report.edited_hidden += u64::from(message.edit_hidden);
        report.replies += u64::from(message.reply_to.is_some());
        report.forwards += u64::from(message.forward.is_some());
        report.polls += u64::from(message.poll.is_some());
        if let Some(service) = &message.service {
            report.service += 1;
            count(&mut report.actions, &clean(&service.action));
        }
        if let Some(media) = &message.media {
            count(&mut report.media, media.kind.as_str());
        }
        if let Some(album) = message.grouped_id {
            report.album_members += 1;
            let mut hasher = DefaultHasher::new();
            (event.peer, album).hash(&mut hasher);
            self.albums.insert(hasher.finish());
        }
        let at = message.posted_at;
        report.first_date = Some(report.first_date.map_or(at, |first| first.min(at)));
        report.last_date = Some(report.last_date.map_or(at, |last| last.max(at)));
    }

    pub(super) fn repaired(&mut self, kind: Repair, offset: u64) {
        let entry = self.report.repairs.entry(kind).or_insert(Repaired {
            count: 0,
            first_offset: offset,
        });
        entry.count += 1;
    }

    /// A message left out because of the type of its chat.
    pub(super) fn skipped(&mut self, chat_type: &str) {
        let entry = self.report.skipped.entry(clean(chat_type)).or_default();
        entry.messages += 1;
    }

    pub(super) fn finish(mut self) -> Report {
        self.report.albums = self.albums.len() as u64;
        for (name, n) in self.notes.unknown {
            *self.report.unknown.entry(name).or_default() += n;
        }
        self.report
    }
}
