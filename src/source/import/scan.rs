//! Finds where JSON values begin and end, without building them.
//!
//! Exports are broken in known ways (see `repair`), so this looks only at quotes, backslashes and brackets. It keeps
//! one window of the file: a value that is captured stays in the window whole, a value that is skipped does not.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Bytes asked of the file at a time.
const CHUNK: usize = 256 * 1024;
/// Deepest nesting that is followed. Below the 128 of serde_json, so that a value found here can always be parsed.
const DEPTH_MAX: u32 = 100;

/// Why scanning stopped.
#[derive(Debug)]
pub(super) enum ScanError {
    /// The file could not be read.
    Io(io::Error),
    /// The file ended inside of something; the offset is where that began.
    Ended(u64),
    /// What stands at the offset cannot stand there.
    Bad(u64, String),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> ScanError {
        ScanError::Io(error)
    }
}

/// A window over a file.
pub(super) struct Scanner<R> {
    input: R,
    window: Vec<u8>,
    /// Offset in the file of the first byte of the window.
    base: u64,
    /// Next byte to look at, in the window.
    at: usize,
}

impl<R: Read + Seek> Scanner<R> {
    pub(super) fn new(input: R) -> Scanner<R> {
        Scanner {
            input,
            window: Vec::new(),
            base: 0,
            at: 0,
        }
    }

    /// Offset in the file of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The bytes of the last captured value, until the scanner moves.
    pub(super) fn captured(&self, range: Range<usize>) -> &[u8] {
        self.window.get(range).unwrap_or_default()
    }

    /// Goes to an offset in the file.
    pub(super) fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(offset))?;
        self.window.clear();
        self.base = offset;
        self.at = 0;
        Ok(())
    }

    /// Gets more of the file, giving up what stands before `keep`. False at the end of the file.
    fn fill(&mut self, keep: usize) -> io::Result<bool> {
        self.window.drain(..keep);
        self.base += keep as u64;
        self.at -= keep;
        let filled = self.window.len();
        // Grows with the value that is kept, so that a long one is not moved once per chunk.
        let want = CHUNK.max(filled);
        self.window.resize(filled + want, 0);
        loop {
            match self.input.read(&mut self.window[filled..]) {
                Ok(got) => {
                    self.window.truncate(filled + got);
                    return Ok(got > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.window.truncate(filled);
                    return Err(error);
                }
            }
        }
    }

    /// The next byte that is no white space, not consumed; none at the end of the file.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, ScanError> {
        loop {
            while let Some(&byte) = self.window.get(self.at) {
                if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                    return Ok(Some(byte));
                }
                self.at += 1;
            }
            if !self.fill(self.at)? {
                return Ok(None);
            }
        }
    }

    fn must_peek(&mut self) -> Result<u8, ScanError> {
        self.peek()?.ok_or(ScanError::Ended(self.offset()))
    }

    /// Consumes one byte that must come next.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), ScanError> {
        let found = self.must_peek()?;
        if found != byte {
            return Err(self.bad(format!(
                "'{}' expected, found '{}'",
                byte as char,
                found.escape_ascii()
            )));
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn bad(&self, problem: impl Into<String>) -> ScanError {
        ScanError::Bad(self.offset(), problem.into())
    }

    /// Inside an array: true when another element follows, false when the array has ended (and is consumed).
    pub(super) fn element(&mut self, first: bool) -> Result<bool, ScanError> {
        self.more(first, b']')
    }

    fn more(&mut self, first: bool, close: u8) -> Result<bool, ScanError> {
        if self.must_peek()? == close {
            self.at += 1;
            return Ok(false);
        }
        if !first {
            self.expect(b',')?;
            self.must_peek()?;
        }
        Ok(true)
    }

    /// Inside an object: the next key, its colon consumed; none when the object has ended (and is consumed).
    pub(super) fn key(&mut self, first: bool) -> Result<Option<String>, ScanError> {
        if !self.more(first, b'}')? {
            return Ok(None);
        }
        if self.must_peek()? != b'"' {
            return Err(self.bad("a key in quotes expected"));
        }
        let range = self.capture(CHUNK)?.1;
        // Quotes were found at both ends.
        let inner = range.start + 1..range.end - 1;
        let key = String::from_utf8_lossy(self.captured(inner)).into_owned();
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// Steps over one value.
    pub(super) fn skip(&mut self) -> Result<(), ScanError> {
        self.pass(None).map(|_| ())
    }

    /// Steps over one value of at most `max` bytes and keeps it: its offset in the file and its place in the window.
    pub(super) fn capture(&mut self, max: usize) -> Result<(u64, Range<usize>), ScanError> {
        self.pass(Some(max))
    }

    fn pass(&mut self, max: Option<usize>) -> Result<(u64, Range<usize>), ScanError> {
        let first = self.must_peek()?;
        if matches!(first, b',' | b':' | b'}' | b']') {
            return Err(self.bad(format!("a value expected, found '{}'", first as char)));
        }
        let offset = self.offset();
        let mut start = self.at;
        let mut nesting = Nesting::default();
        loop {
            let step = nesting.advance(&self.window[self.at..]);
            match step {
                Step::More(used) => self.at += used,
                Step::Done(used) => self.at += used,
                Step::Bad(used, problem) => {
                    self.at += used;
                    return Err(self.bad(problem));
                }
            }
            if max.is_some_and(|max| self.offset() - offset > max as u64) {
                return Err(ScanError::Bad(
                    offset,
                    format!("a value longer than {} bytes", max.unwrap_or_default()),
                ));
            }
            if matches!(step, Step::Done(_)) {
                return Ok((offset, start..self.at));
            }
            let keep = if max.is_some() { start } else { self.at };
            if !self.fill(keep)? {
                return Err(ScanError::Ended(offset));
            }
            start -= start.min(keep);
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    /// All bytes were used, the value goes on.
    More(usize),
    /// The value ends after this many bytes.
    Done(usize),
    /// The byte after this many cannot stand there.
    Bad(usize, &'static str),
}

/// Where in a value the scanner is; survives the edge of the window.
#[derive(Default)]
struct Nesting {
    depth: u32,
    /// One bit per level: set for an object.
    objects: u128,
    string: bool,
    escaped: bool,
}

impl Nesting {
    fn advance(&mut self, bytes: &[u8]) -> Step {
        let mut at = 0;
        while at < bytes.len() {
            if self.escaped {
                self.escaped = false;
                at += 1;
                continue;
            }
            if self.string {
                at += string_stop(&bytes[at..]);
                match bytes.get(at) {
                    Some(b'"') => {
                        self.string = false;
                        at += 1;
                        if self.depth == 0 {
                            return Step::Done(at);
                        }
                    }
                    Some(_) => {
                        self.escaped = true;
                        at += 1;
                    }
                    None => {}
                }
                continue;
            }
            match bytes[at] {
                b'"' => self.string = true,
                open @ (b'{' | b'[') => {
                    if self.depth == DEPTH_MAX {
                        return Step::Bad(at, "nested deeper than 100 levels");
                    }
                    let bit = 1 << self.depth;
                    self.objects = (self.objects & !bit) | if open == b'{' { bit } else { 0 };
                    self.depth += 1;
                }
                b'}' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r' if self.depth == 0 => {
                    return Step::Done(at);
                }
                close @ (b'}' | b']') => {
                    self.depth -= 1;
                    if (self.objects >> self.depth) & 1 != u128::from(close == b'}') {
                        return Step::Bad(at, "brackets do not match");
                    }
                    if self.depth == 0 {
                        return Step::Done(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        Step::More(at)
    }
}

/// Bytes before the first quote or backslash.
fn string_stop(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let found = has_byte(word, b'"') | has_byte(word, b'\\');
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = &bytes[at..];
    at + rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\'))
        .unwrap_or(rest.len())
}

/// The classic zero-byte test on `word ^ byte…byte`: the lowest set bit marks the first match (higher ones may lie).
fn has_byte(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = word ^ (LOW * u64::from(byte));
    zero.wrapping_sub(LOW) & !zero & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn capture(text: &str) -> Result<String, ScanError> {
        let mut scanner = Scanner::new(Cursor::new(text.as_bytes().to_vec()));
        let (_, range) = scanner.capture(1 << 20)?;
        Ok(String::from_utf8_lossy(scanner.captured(range)).into_owned())
    }

    #[test]
    fn values_end_where_their_brackets_and_quotes_do() {
        for value in [
            r#"{"a":"}]\"{","b":[1,{}]}"#,
            r#""a\\""#,
            "[]",
            r#"{"document_id": video_files/x.webm}"#,
        ] {
            assert_eq!(capture(&format!(" {value} ,")).expect("scans"), value);
        }
        assert_eq!(capture("12,").expect("scans"), "12");
        assert!(matches!(capture("{\"a\":[}"), Err(ScanError::Bad(6, _))));
        assert!(matches!(capture(" {\"a\":1"), Err(ScanError::Ended(1))));
        let deep = "[".repeat(200);
        assert!(matches!(capture(&deep), Err(ScanError::Bad(100, _))));
    }

    #[test]
    fn a_value_larger_than_the_cap_is_refused_at_its_start() {
        let long = format!("  {{\"a\":\"{}\"}}", "x".repeat(CHUNK * 3));
        let mut scanner = Scanner::new(Cursor::new(long.into_bytes()));
        assert!(matches!(scanner.capture(CHUNK), Err(ScanError::Bad(2, _))));
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_found_whole(text in ".{0,40}", n in 0..80_000usize, tail in "[ ,\\]}]{0,3}") {
            let value = serde_json::json!({"t": text, "pad": "y".repeat(n * 8), "l": [text, {"k": null}]}).to_string();
            prop_assert_eq!(capture(&format!("{value}{tail}")).expect("scans"), value);
        }

        #[test]
        fn string_stop_is_the_naive_search(bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), any::<u8>()], 0..60)) {
            let naive = bytes.iter().position(|b| matches!(b, b'"' | b'\\')).unwrap_or(bytes.len());
            prop_assert_eq!(string_stop(&bytes), naive);
        }
    }
}
