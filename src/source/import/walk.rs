//! Walks an export file and gives its messages one after the other, whatever the layout.
//!
//! ```text
//! [ {_}, {_}, ... ]                                          Telethon
//! {_} {_} ...                                                Telethon, one object after the other
//! { name, type, id, messages: [ ... ] }                      Telegram Desktop, one chat
//! { about, ..., chats: { list: [ chat, ... ] }, left_chats }   Telegram Desktop, everything
//! ```
//!
//! Chats of a type that is not wanted, and everything of a full export that is not a chat (phone numbers, contacts,
//! sessions), are stepped over by the scanner and never parsed.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::ops::Range;

use serde_json::Value;

use super::chat::{Chat, Header};
use super::report::Skipped;
use super::scan::{ScanError, Scanner};
use super::value::{int, str_at};
use super::{MESSAGE_BYTES_MAX, lean, repair};

/// Longest name, type or id of a chat.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// What kind of export a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Telegram Desktop, the export of one chat.
    DesktopChat,
    /// Telegram Desktop, the export of an account.
    DesktopAccount,
    /// An array of Telethon dictionaries.
    TelethonArray,
    /// Telethon dictionaries one after the other, usually one on a line.
    TelethonLines,
}

impl Layout {
    /// The name shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Layout::DesktopChat => "Telegram Desktop chat export",
            Layout::DesktopAccount => "Telegram Desktop account export",
            Layout::TelethonArray => "Telethon array",
            Layout::TelethonLines => "Telethon lines",
        }
    }

    pub(super) fn is_desktop(self) -> bool {
        matches!(self, Layout::DesktopChat | Layout::DesktopAccount)
    }
}

/// A message of the file: its place, and its bytes in the window until the walker moves.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// Number of its chat in the file; 0 in Telethon files.
    pub(super) section: u32,
    pub(super) offset: u64,
    pub(super) range: Range<usize>,
}

#[derive(Debug)]
enum Frame {
    Lines,
    Array {
        first: bool,
    },
    /// In the root of an account export.
    Account {
        first: bool,
    },
    /// In `chats` or `left_chats`.
    Dialogs {
        first: bool,
    },
    List {
        first: bool,
    },
    Chat {
        first: bool,
        header: Header,
    },
    Messages {
        first: bool,
        section: u32,
    },
}

/// See the module.
pub(super) struct Walker<R> {
    scanner: Scanner<R>,
    frames: Vec<Frame>,
    include_private: bool,
    pub(super) layout: Layout,
    /// The chats met so far that are imported.
    pub(super) chats: Vec<Chat>,
    /// The chats met so far that are not.
    pub(super) skipped: BTreeMap<String, Skipped>,
}

const NOT_KNOWN: &str = "this is no export that is known (Telegram Desktop result.json, or Telethon messages as an array or \
                         one object per line)";

impl<R: Read + Seek> Walker<R> {
    /// Recognises the file by what is in it.
    pub(super) fn open(input: R, include_private: bool) -> Result<Walker<R>, ScanError> {
        let mut walker = Walker {
            scanner: Scanner::new(input),
            frames: Vec::new(),
            include_private,
            layout: Layout::TelethonArray,
            chats: Vec::new(),
            skipped: BTreeMap::new(),
        };
        walker.skip_byte_order_mark()?;
        match walker.scanner.peek()? {
            Some(b'[') => walker.open_array()?,
            Some(b'{') => walker.open_object()?,
            Some(_) => return Err(walker.scanner.bad(NOT_KNOWN)),
            None => return Err(walker.scanner.bad("the file is empty")),
        }
        Ok(walker)
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), ScanError> {
        self.scanner.peek()?;
        if self.scanner.captured(0..3) == b"\xEF\xBB\xBF" {
            self.scanner.seek(3)?;
        }
        Ok(())
    }

    fn open_array(&mut self) -> Result<(), ScanError> {
        self.scanner.expect(b'[')?;
        let start = self.scanner.offset();
        if self.scanner.element(true)? {
            let (offset, range) = self.scanner.capture(MESSAGE_BYTES_MAX)?;
            let first = parse_small(self.scanner.captured(range));
            if first.is_none_or(|first| first.get("_").is_none()) {
                return Err(ScanError::Bad(offset, NOT_KNOWN.to_owned()));
            }
        }
        self.scanner.seek(start)?;
        self.frames.push(Frame::Array { first: true });
        Ok(())
    }

    fn open_object(&mut self) -> Result<(), ScanError> {
        let start = self.scanner.offset();
        self.scanner.expect(b'{')?;
        let mut first = true;
        while let Some(key) = self.scanner.key(first)? {
            first = false;
            let (layout, frame) = match key.as_str() {
                "_" => (Layout::TelethonLines, Frame::Lines),
                "messages" => (
                    Layout::DesktopChat,
                    Frame::Chat {
                        first: true,
                        header: Header::default(),
                    },
                ),
                "chats" | "left_chats" => (Layout::DesktopAccount, Frame::Account { first: true }),
                _ => {
                    self.scanner.skip()?;
                    continue;
                }
            };
            self.layout = layout;
            self.scanner.seek(start)?;
            if !matches!(frame, Frame::Lines) {
                self.scanner.expect(b'{')?;
            }
            self.frames.push(frame);
            return Ok(());
        }
        Err(ScanError::Bad(start, NOT_KNOWN.to_owned()))
    }

    /// Bytes of the file behind us.
    pub(super) fn offset(&self) -> u64 {
        self.scanner.offset()
    }

    /// The bytes of the piece given last.
    pub(super) fn bytes(&self, piece: &Piece) -> &[u8] {
        self.scanner.captured(piece.range.clone())
    }

    /// The next message, or none at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, ScanError> {
        while let Some(frame) = self.frames.pop() {
            let piece = match frame {
                Frame::Lines => self.lines()?,
                Frame::Array { first } => self.message(first, 0, |first| Frame::Array { first })?,
                Frame::Messages { first, section } => {
                    self.message(first, section, |first| Frame::Messages { first, section })?
                }
                Frame::Account { first } => self.account(first)?,
                Frame::Dialogs { first } => self.dialogs(first)?,
                Frame::List { first } => self.list(first)?,
                Frame::Chat { first, header } => self.chat(first, header)?,
            };
            if piece.is_some() {
                return Ok(piece);
            }
        }
        match self.scanner.peek()? {
            None => Ok(None),
            Some(_) => Err(self.scanner.bad("the file goes on after its end")),
        }
    }

    fn lines(&mut self) -> Result<Option<Piece>, ScanError> {
        if self.scanner.peek()?.is_none() {
            return Ok(None);
        }
        if self.scanner.must_peek()? != b'{' {
            return Err(self.scanner.bad("an object expected"));
        }
        self.frames.push(Frame::Lines);
        self.piece(0).map(Some)
    }

    fn message(
        &mut self,
        first: bool,
        section: u32,
        frame: impl Fn(bool) -> Frame,
    ) -> Result<Option<Piece>, ScanError> {
        if !self.scanner.element(first)? {
            return Ok(None);
        }
        self.frames.push(frame(false));
        self.piece(section).map(Some)
    }

    fn piece(&mut self, section: u32) -> Result<Piece, ScanError> {
        let (offset, range) = self.scanner.capture(MESSAGE_BYTES_MAX)?;
        Ok(Piece {
            section,
            offset,
            range,
        })
    }

    fn account(&mut self, first: bool) -> Result<Option<Piece>, ScanError> {
        let Some(key) = self.scanner.key(first)? else {
            return Ok(None);
        };
        self.frames.push(Frame::Account { first: false });
        if matches!(key.as_str(), "chats" | "left_chats") {
            self.scanner.expect(b'{')?;
            self.frames.push(Frame::Dialogs { first: true });
        } else {
            self.scanner.skip()?;
        }
        Ok(None)
    }

    fn dialogs(&mut self, first: bool) -> Result<Option<Piece>, ScanError> {
        let Some(key) = self.scanner.key(first)? else {
            return Ok(None);
        };
        self.frames.push(Frame::Dialogs { first: false });
        if key == "list" {
            self.scanner.expect(b'[')?;
            self.frames.push(Frame::List { first: true });
        } else {
            self.scanner.skip()?;
        }
        Ok(None)
    }

    fn list(&mut self, first: bool) -> Result<Option<Piece>, ScanError> {
        if self.scanner.element(first)? {
            self.scanner.expect(b'{')?;
            self.frames.push(Frame::List { first: false });
            self.frames.push(Frame::Chat {
                first: true,
                header: Header::default(),
            });
        }
        Ok(None)
    }

    fn chat(&mut self, first: bool, mut header: Header) -> Result<Option<Piece>, ScanError> {
        let Some(key) = self.scanner.key(first)? else {
            return Ok(None);
        };
        if key != "messages" {
            self.header_field(&key, &mut header)?;
            self.frames.push(Frame::Chat {
                first: false,
                header,
            });
            return Ok(None);
        }
        self.scanner.peek()?;
        let messages = self.scanner.offset();
        // Desktop writes the header first; a file that was sorted by other hands may not.
        if header.chat_type.is_none() || header.id.is_none() {
            self.scanner.skip()?;
            while let Some(key) = self.scanner.key(false)? {
                self.header_field(&key, &mut header)?;
            }
            self.scanner.seek(messages)?;
        }
        if header.chat_type.is_none() && header.id.is_none() {
            return Err(ScanError::Bad(messages, NOT_KNOWN.to_owned()));
        }
        let wanted = header.wanted(self.include_private);
        self.frames.push(Frame::Chat {
            first: false,
            header: Header::default(),
        });
        self.scanner.expect(b'[')?;
        match wanted {
            Ok(chat) => {
                let section = u32::try_from(self.chats.len())
                    .map_err(|_| self.scanner.bad("too many chats"))?;
                self.chats.push(chat);
                let first = true;
                self.frames.push(Frame::Messages { first, section });
            }
            Err(chat_type) => self.skip_messages(chat_type)?,
        }
        Ok(None)
    }

    fn header_field(&mut self, key: &str, header: &mut Header) -> Result<(), ScanError> {
        if !matches!(key, "name" | "type" | "id") {
            return self.scanner.skip();
        }
        let range = self.scanner.capture(HEADER_BYTES_MAX)?.1;
        let Some(value) = parse_small(self.scanner.captured(range)) else {
            return Ok(());
        };
        let field = serde_json::json!({ key: value });
        match key {
            "name" => header.name = str_at(&field, key).map(str::to_owned),
            "type" => header.chat_type = str_at(&field, key).map(str::to_owned),
            _ => header.id = int(&field, key),
        }
        Ok(())
    }

    fn skip_messages(&mut self, chat_type: String) -> Result<(), ScanError> {
        let mut messages = 0;
        while self.scanner.element(messages == 0)? {
            self.scanner.skip()?;
            messages += 1;
        }
        let skipped = self.skipped.entry(chat_type).or_default();
        skipped.chats += 1;
        skipped.messages += messages;
        Ok(())
    }
}

fn parse_small(bytes: &[u8]) -> Option<Value> {
    lean::parse(bytes)
        .or_else(|_| lean::parse(&repair::repair(bytes).0))
        .ok()
}
