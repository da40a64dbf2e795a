//! The first pass: reads and checks the whole file, counts, and finds out in what order it has to be read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::chat::Chat;
use super::report::{Counter, Report};
use super::scan::ScanError;
use super::value::Context;
use super::walk::{Layout, Piece, Walker};
use super::{Item, Mapped, Options, SourceError, read_message, scan_error};
use crate::event::{Body, ChannelInfo, PeerId, PeerKind, Timestamp};

/// Bytes between two reports of progress.
const PROGRESS_STEP: u64 = 1024 * 1024;

/// A message of a file that is not sorted. 32 bytes, so that 10 million take 320 MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) section: u32,
    pub(super) len: u32,
    pub(super) date: i64,
    pub(super) id: i64,
    pub(super) offset: u64,
}

impl Entry {
    /// What events are sorted by. The offset keeps equal ones apart.
    fn key(&self) -> (u32, i64, i64, u64) {
        (self.section, self.date, self.id, self.offset)
    }
}

/// A file that was read once and found whole: what is in it, and what the second pass needs.
#[derive(Debug)]
pub struct Survey {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) options: Options,
    pub(super) layout: Layout,
    pub(super) chats: Vec<Chat>,
    /// The first event of each peer.
    pub(super) peers: BTreeMap<PeerId, ChannelInfo>,
    /// The order of reading; none when it is that of the file.
    pub(super) index: Option<Vec<Entry>>,
    pub(super) report: Report,
}

impl Survey {
    /// What was found. `appended` and `duplicates` are zero.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What kind of file it is.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file has to be read out of order, for which an index of 32 bytes a message is held.
    pub fn is_indexed(&self) -> bool {
        self.index.is_some()
    }
}

/// What is known of a peer so far.
#[derive(Debug, Default)]
struct Facts {
    first: Option<Timestamp>,
    broadcast: bool,
    /// The newest title, with the date and id of the message that told it.
    title: Option<(Timestamp, i64, String)>,
    migrated_from: Option<PeerId>,
}

impl Facts {
    fn add(&mut self, item: &Item) {
        self.broadcast |= item.broadcast;
        let Some(date) = item.date else { return };
        self.first = Some(self.first.map_or(date, |first| first.min(date)));
        let Body::Posted(message) = &item.event.body else {
            return;
        };
        let Some(service) = &message.service else {
            return;
        };
        let Some(details) = service.details.as_ref().map(|details| details.value()) else {
            return;
        };
        let names = matches!(
            service.action.as_str(),
            "create_channel" | "create_group" | "edit_group_title"
        );
        if let (true, Some(title)) = (names, details["title"].as_str()) {
            let newer = |(at, id, _): &(Timestamp, i64, String)| (*at, *id) <= (date, item.id);
            if self.title.as_ref().is_none_or(newer) {
                self.title = Some((date, item.id, title.to_owned()));
            }
        }
        if service.action == "migrate_from_group" {
            let bare = details["chat_id"].as_i64().unwrap_or(0);
            self.migrated_from = PeerId::new(PeerKind::Chat, bare).ok();
        }
    }

    fn channel(self, peer: PeerId, chat: Option<&Chat>) -> ChannelInfo {
        let kind = match (chat, peer.kind()) {
            (Some(chat), _) => chat.kind,
            (None, PeerKind::Channel) if self.broadcast => "channel",
            (None, PeerKind::Channel) => "supergroup",
            (None, PeerKind::Chat) => "group",
            (None, PeerKind::User) => "user",
        };
        let told = self.title.map(|(_, _, title)| title);
        ChannelInfo {
            kind: kind.to_owned(),
            title: chat.and_then(|chat| chat.title.clone()).or(told),
            username: None,
            migrated_from: self.migrated_from,
            at: self.first,
        }
    }
}

/// Reads the whole file without importing any of it. `progress` is told bytes done and in all; it starts again from 0
/// when the file turns out to need an index after all.
pub fn survey(
    path: &Path,
    options: &Options,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Survey, SourceError> {
    let io = |source| SourceError::Io {
        path: path.display().to_string(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    for indexed in [false, true] {
        // The clone shares the position, so it is set anew.
        let mut input = file.try_clone().map_err(io)?;
        input.seek(SeekFrom::Start(0)).map_err(io)?;
        let walker =
            Walker::open(input, options.include_private).map_err(|e| scan_error(path, e))?;
        let pass = Pass {
            path,
            options,
            counter: Counter::default(),
            facts: BTreeMap::new(),
            index: indexed.then(Vec::new),
            last: (0, i64::MIN, i64::MIN),
        };
        if let Some(found) = pass.run(walker, &mut |done| progress(done, size))? {
            return Ok(found.into_survey(path, file, size, options));
        }
    }
    unreachable!("a pass with an index takes any order")
}

/// One run over the file.
struct Pass<'a> {
    path: &'a Path,
    options: &'a Options,
    counter: Counter,
    facts: BTreeMap<PeerId, (Facts, u32)>,
    index: Option<Vec<Entry>>,
    /// Section, date and id of the message before.
    last: (u32, i64, i64),
}

struct Found {
    layout: Layout,
    chats: Vec<Chat>,
    facts: BTreeMap<PeerId, (Facts, u32)>,
    index: Option<Vec<Entry>>,
    report: Report,
}

impl Found {
    fn into_survey(self, path: &Path, file: File, size: u64, options: &Options) -> Survey {
        let chats = self.chats;
        let peers = self
            .facts
            .into_iter()
            .map(|(peer, (facts, section))| {
                let chat = chats.get(section as usize);
                (peer, facts.channel(peer, chat))
            })
            .collect::<BTreeMap<_, _>>();
        let mut report = self.report;
        report.peers = peers.len() as u64;
        Survey {
            path: path.to_owned(),
            file,
            size,
            options: options.clone(),
            layout: self.layout,
            chats,
            peers,
            index: self.index,
            report,
        }
    }
}

impl Pass<'_> {
    /// None when the file turned out not to be sorted and there is no index.
    fn run(
        mut self,
        mut walker: Walker<File>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Option<Found>, SourceError> {
        let mut told = 0;
        progress(0);
        loop {
            let piece = match walker.next() {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(ScanError::Ended(offset)) if self.options.allow_truncated => {
                    self.counter.report.truncated_at = Some(offset);
                    break;
                }
                Err(error) => return Err(scan_error(self.path, error)),
            };
            if !self.message(&walker, &piece)? {
                return Ok(None);
            }
            if walker.offset() - told >= PROGRESS_STEP {
                told = walker.offset();
                progress(told);
            }
        }
        progress(walker.offset());
        if let Some(index) = &mut self.index {
            index.sort_unstable_by_key(Entry::key);
        }
        let mut report = self.counter.finish();
        report.skipped.append(&mut walker.skipped);
        Ok(Some(Found {
            layout: walker.layout,
            chats: walker.chats,
            facts: self.facts,
            index: self.index,
            report,
        }))
    }

    /// False when this message is out of order and there is no index.
    fn message(&mut self, walker: &Walker<File>, piece: &Piece) -> Result<bool, SourceError> {
        let bytes = walker.bytes(piece);
        let mut context = Context {
            time_zone: self.options.source_timezone.as_ref(),
            notes: &mut self.counter.notes,
        };
        let chat = walker.chats.get(piece.section as usize);
        let (mapped, repairs) =
            read_message(bytes, walker.layout, chat, self.options, &mut context)
                .map_err(|fault| fault.at(self.path, piece.offset))?;
        for (kind, at) in repairs {
            self.counter.repaired(kind, piece.offset + at as u64);
        }
        let item = match mapped {
            Mapped::Message(item) => item,
            Mapped::Skipped(chat_type) => {
                self.counter.skipped(chat_type);
                return Ok(true);
            }
        };
        // What has no date stays behind the message it stands behind.
        let date = match item.date {
            Some(date) => date.micros(),
            None if self.last.0 == piece.section => self.last.1,
            None => i64::MIN,
        };
        let place = (piece.section, date, item.id);
        match &mut self.index {
            Some(index) => index.push(Entry {
                section: piece.section,
                // At most MESSAGE_BYTES_MAX.
                len: bytes.len() as u32,
                date,
                id: item.id,
                offset: piece.offset,
            }),
            None if place < self.last => return Ok(false),
            None => {}
        }
        self.last = place;
        if let Some(peer) = item.event.peer {
            let entry = self.facts.entry(peer);
            let (facts, _) = entry.or_insert_with(|| (Facts::default(), piece.section));
            facts.add(&item);
        }
        self.counter.event(&item.event);
        Ok(true)
    }
}
