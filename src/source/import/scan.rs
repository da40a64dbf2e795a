//! Finds where JSON values begin and end, without building them.
//!
//! Exports are broken in known ways (see `repair`), so this looks only at quotes, backslashes and brackets. It keeps
//! one window of the file: a value that is captured stays in the window whole, a value that is skipped does not.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::nesting::{Nesting, Step};

/// Bytes asked of the file at a time.
const CHUNK: usize = 256 * 1024;

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

    pub(super) fn must_peek(&mut self) -> Result<u8, ScanError> {
        match self.peek()? {
            // Zeros where a value or a bracket should be are what a file system leaves of a file whose writer was killed.
            None | Some(0) => Err(ScanError::Ended(self.offset())),
            Some(byte) => Ok(byte),
        }
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
    }
}
