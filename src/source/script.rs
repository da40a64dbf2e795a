//! Plays events from a file of JSON lines: for demonstrations and tests that need a story told exactly.
//!
//! A line is an event as `event::Event` writes itself in JSON. `origin` may be left out (synthetic), and so may
//! `stamp`: it becomes the number of the line. `"pause_ms": 500` on a line waits that long before it. Lines that start
//! with `#` are comments; an empty line or a pause ends a batch.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::{Source, SourceBatch, SourceError};
use crate::event::Event;

/// Most events of a batch.
const BATCH_EVENTS_MAX: usize = 500;
/// Longest line, in bytes.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest pause: a story is not an outage.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// The source; see the module.
pub struct Script {
    path: PathBuf,
    input: BufReader<File>,
    /// Number of the line read last, from 1.
    line: u64,
    /// Offset of the byte behind that line.
    offset: u64,
    /// The line that ended a batch by its pause, and when it is due.
    waiting: Option<(Event, Instant)>,
    /// A broken line behind the batch given last.
    failed: Option<SourceError>,
}

/// What a line says besides its event.
#[derive(Debug, Default, Deserialize)]
struct Extras {
    stamp: Option<i64>,
    pause_ms: Option<u64>,
}

enum Line {
    End,
    /// An empty one.
    Break,
    Comment,
    Event(Box<Event>, Option<Duration>),
}

impl Script {
    /// Name of the bookmark of a script: each file has its own.
    pub fn bookmark_name(path: &Path) -> String {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The log limits names; a longer one shares its bookmark with its like.
        format!("script:{}", name.chars().take(60).collect::<String>())
    }

    /// Plays from the first line.
    pub fn open(path: &Path) -> Result<Script, SourceError> {
        Script::resume(path, None)
    }

    /// Plays on behind the line of a bookmark, or from the first when there is none.
    pub fn resume(path: &Path, bookmark: Option<&[u8]>) -> Result<Script, SourceError> {
        let file = File::open(path).map_err(|source| SourceError::Io {
            path: path.display().to_string(),
            source,
        })?;
        let mut script = Script {
            path: path.to_owned(),
            input: BufReader::new(file),
            line: 0,
            offset: 0,
            waiting: None,
            failed: None,
        };
        let Some(bookmark) = bookmark else {
            return Ok(script);
        };
        let Ok(done) = <[u8; 8]>::try_from(bookmark) else {
            return Err(script.wrong(0, "the bookmark of the script cannot be read"));
        };
        let mut bytes = Vec::new();
        while script.line < u64::from_le_bytes(done) {
            if !script.read_line(&mut bytes)? {
                return Err(script.wrong(0, "the script is shorter than what was played of it"));
            }
        }
        Ok(script)
    }

    /// The next line without its end; false at the end of the file.
    fn read_line(&mut self, bytes: &mut Vec<u8>) -> Result<bool, SourceError> {
        bytes.clear();
        let mut limited = (&mut self.input).take(LINE_BYTES_MAX);
        let read = limited
            .read_until(b'\n', bytes)
            .map_err(|source| SourceError::Io {
                path: self.path.display().to_string(),
                source,
            })?;
        if read == 0 {
            return Ok(false);
        }
        self.line += 1;
        if read as u64 == LINE_BYTES_MAX {
            return Err(self.wrong(0, "a line longer than 4 MiB"));
        }
        self.offset += read as u64;
        bytes.truncate(bytes.trim_ascii_end().len());
        Ok(true)
    }

    fn next_line(&mut self) -> Result<Line, SourceError> {
        let start = self.offset;
        let mut bytes = Vec::new();
        if !self.read_line(&mut bytes)? {
            return Ok(Line::End);
        }
        if bytes.is_empty() {
            return Ok(Line::Break);
        }
        if bytes.trim_ascii_start().starts_with(b"#") {
            return Ok(Line::Comment);
        }
        let at = |error: serde_json::Error| {
            let column = error.column().max(1);
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or(&text);
            SourceError::Input {
                path: format!("{}:{}:{column}", self.path.display(), self.line),
                offset: start + column as u64 - 1,
                problem: what.to_owned(),
                hint: None,
            }
        };
        let mut event: Event = serde_json::from_slice(&bytes).map_err(at)?;
        let extras: Extras = serde_json::from_slice(&bytes).map_err(at)?;
        let line = i64::try_from(self.line).unwrap_or(i64::MAX);
        event.stamp = extras.stamp.unwrap_or(line);
        let pause = extras.pause_ms.map(Duration::from_millis);
        Ok(Line::Event(
            Box::new(event),
            pause.map(|pause| pause.min(PAUSE_MAX)),
        ))
    }

    fn wrong(&self, column: u64, problem: &str) -> SourceError {
        SourceError::Input {
            path: format!("{}:{}:{}", self.path.display(), self.line, column + 1),
            offset: self.offset + column,
            problem: problem.to_owned(),
            hint: None,
        }
    }

    /// Reads lines up to the end of the batch. Gives the last line that belongs to it.
    fn fill(&mut self, events: &mut Vec<Event>) -> Result<u64, SourceError> {
        let mut done = self.line;
        while events.len() < BATCH_EVENTS_MAX {
            let line = match self.failed.take() {
                Some(error) => Err(error),
                None => self.next_line(),
            };
            match line {
                // What stands before a broken line is played first.
                Err(error) if !events.is_empty() => {
                    self.failed = Some(error);
                    break;
                }
                Err(error) => return Err(error),
                Ok(Line::End) => break,
                Ok(Line::Break) if !events.is_empty() => {
                    done = self.line;
                    break;
                }
                Ok(Line::Break | Line::Comment) => {}
                Ok(Line::Event(event, None)) => events.push(*event),
                Ok(Line::Event(event, Some(pause))) => {
                    self.waiting = Some((*event, Instant::now() + pause));
                    break;
                }
            }
            done = self.line;
        }
        Ok(done)
    }
}

impl Source for Script {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        let mut events = Vec::new();
        loop {
            if let Some((_, due)) = &self.waiting {
                // The line stays where it is until its time has come.
                sleep_until(*due).await;
                events.extend(self.waiting.take().map(|(event, _)| event));
            }
            let done = self.fill(&mut events)?;
            if !events.is_empty() {
                return Ok(Some(SourceBatch {
                    events,
                    due_at: None,
                    bookmarks: vec![(
                        Script::bookmark_name(&self.path),
                        done.to_le_bytes().to_vec(),
                    )],
                }));
            }
            if self.waiting.is_none() {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests;
