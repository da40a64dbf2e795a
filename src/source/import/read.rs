//! The second pass: gives the events of a surveyed file, in order.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::vec;

use super::report::{Notes, Report};
use super::scan::ScanError;
use super::survey::{Entry, Survey};
use super::value::Context;
use super::walk::Walker;
use super::{Mapped, read_message, scan_error};
use crate::event::{Body, Event, Origin, PeerId, Timestamp};
use crate::source::{Source, SourceBatch, SourceError};

/// Most events of a batch.
const BATCH_EVENTS_MAX: usize = 1000;
/// A batch is closed when this much of the file has gone into it, so that long messages do not add up.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// The events of an export file. Reading blocks; the caller owns the task it runs in.
pub struct ImportSource {
    /// Peers not yet introduced by an event are still in its `peers`.
    survey: Survey,
    order: Order,
    done: u64,
    total: u64,
    ended: bool,
}

enum Order {
    File(Box<Walker<File>>),
    Index(vec::IntoIter<Entry>),
}

impl ImportSource {
    /// Starts the second pass.
    pub fn open(mut survey: Survey) -> Result<ImportSource, SourceError> {
        let io = |source| SourceError::Io {
            path: survey.path.display().to_string(),
            source,
        };
        let mut total = survey.size;
        let order = if let Some(index) = survey.index.take() {
            total = index.iter().map(|entry| u64::from(entry.len)).sum();
            Order::Index(index.into_iter())
        } else {
            let mut input = survey.file.try_clone().map_err(io)?;
            input.seek(SeekFrom::Start(0)).map_err(io)?;
            let walker = Walker::open(input, survey.options.include_private)
                .map_err(|error| scan_error(&survey.path, error))?;
            Order::File(Box::new(walker))
        };
        Ok(ImportSource {
            survey,
            order,
            done: 0,
            total,
            ended: false,
        })
    }

    /// What was found, and what the caller has written into it through [`ImportSource::report_mut`].
    pub fn report(&self) -> &Report {
        &self.survey.report
    }

    /// For the caller, who alone knows what the log took.
    pub fn report_mut(&mut self) -> &mut Report {
        &mut self.survey.report
    }

    /// Bytes done and in all.
    pub fn progress(&self) -> (u64, u64) {
        let done = if self.ended {
            self.total
        } else {
            self.done.min(self.total)
        };
        (done, self.total)
    }

    /// The next batch; the same as [`Source::next`] without the wait.
    pub fn next_batch(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        let mut batch = SourceBatch::default();
        let start = self.done;
        // One message gives up to two events.
        while !self.ended
            && batch.events.len() + 2 <= BATCH_EVENTS_MAX
            && self.done - start < BATCH_BYTES
        {
            let Some(event) = self.event()? else {
                continue;
            };
            if let Some(channel) = event.peer.and_then(|peer| self.introduce(peer)) {
                batch.events.push(channel);
            }
            batch.events.push(event);
        }
        Ok((!batch.events.is_empty()).then_some(batch))
    }

    /// The event of the next message; none when that message is left out, or the file has ended.
    fn event(&mut self) -> Result<Option<Event>, SourceError> {
        let survey = &self.survey;
        let mut buffer = Vec::new();
        let (section, offset, bytes, chats) = match &mut self.order {
            Order::File(walker) => {
                let piece = match walker.next() {
                    Ok(Some(piece)) => piece,
                    Ok(None) => {
                        self.ended = true;
                        return Ok(None);
                    }
                    Err(ScanError::Ended(_)) if survey.options.allow_truncated => {
                        self.ended = true;
                        return Ok(None);
                    }
                    Err(error) => return Err(scan_error(&survey.path, error)),
                };
                self.done = walker.offset();
                let bytes = walker.bytes(&piece);
                (piece.section, piece.offset, bytes, &walker.chats)
            }
            Order::Index(entries) => {
                let Some(entry) = entries.next() else {
                    self.ended = true;
                    return Ok(None);
                };
                buffer.resize(entry.len as usize, 0);
                survey
                    .file
                    .read_exact_at(&mut buffer, entry.offset)
                    .map_err(|source| SourceError::Io {
                        path: survey.path.display().to_string(),
                        source,
                    })?;
                self.done += u64::from(entry.len);
                (entry.section, entry.offset, &buffer[..], &survey.chats)
            }
        };
        let mut context = Context {
            time_zone: survey.options.source_timezone.as_ref(),
            notes: &mut Notes::default(),
        };
        let chat = chats.get(section as usize);
        let (mapped, _) = read_message(bytes, survey.layout, chat, &survey.options, &mut context)
            .map_err(|fault| fault.at(&survey.path, offset))?;
        Ok(match mapped {
            Mapped::Message(item) => Some(item.event),
            Mapped::Skipped(_) => None,
        })
    }

    /// The event that introduces a peer, once. Its stamp is the newest date of the file: the same file says nothing
    /// new, a later one may say that the peer is called as it was before.
    fn introduce(&mut self, peer: PeerId) -> Option<Event> {
        let info = self.survey.peers.remove(&peer)?;
        Some(Event {
            peer: Some(peer),
            origin: Origin::Import,
            stamp: self.survey.report().last_date.map_or(0, Timestamp::seconds),
            body: Body::Channel(info),
            raw: None,
        })
    }
}

impl Source for ImportSource {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        self.next_batch()
    }
}
