//! The known mistakes of exporters, mended in the bytes of one message.
//!
//! Nothing is guessed: each repair undoes one mistake that a released program is known to make, only where the
//! message could not be read as it stands, and each is counted with the place it was first met.

use std::fmt;

use serde::Serialize;

/// A kind of mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// `\x1b` for a control character, written by Telegram Desktop; JSON spells it `\u001b`.
    HexEscape,
    /// A file path without quotes behind `"document_id":`, written by Telegram Desktop 4.1.
    UnquotedPath,
    /// Half of a surrogate pair; becomes U+FFFD, which is as long in UTF-16.
    LoneSurrogate,
}

impl Repair {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Repair::HexEscape => "hex_escape",
            Repair::UnquotedPath => "unquoted_path",
            Repair::LoneSurrogate => "lone_surrogate",
        }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The mended bytes, and what was mended where (offset in the bytes given).
pub(super) fn repair(bytes: &[u8]) -> (Vec<u8>, Vec<(Repair, usize)>) {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let mut made = Vec::new();
    let mut at = 0;
    let mut string = false;
    while at < bytes.len() {
        let used = match bytes[at] {
            b'"' => {
                string = !string;
                out.push(b'"');
                1
            }
            b'\\' if string => escape(&bytes[at..], at, &mut out, &mut made),
            b':' if !string => {
                out.push(b':');
                1 + path(bytes, at, &mut out, &mut made)
            }
            byte => {
                out.push(byte);
                1
            }
        };
        at += used;
    }
    (out, made)
}

/// One escape, `bytes` starting at its backslash. Taking escapes in pairs is what makes `\\x41` stay as it is.
fn escape(bytes: &[u8], at: usize, out: &mut Vec<u8>, made: &mut Vec<(Repair, usize)>) -> usize {
    match bytes.get(1) {
        Some(b'x') if bytes.len() >= 4 && bytes[2..4].iter().all(u8::is_ascii_hexdigit) => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&bytes[2..4]);
            made.push((Repair::HexEscape, at));
            4
        }
        Some(b'u') => {
            let (used, valid) = match unit(bytes) {
                Some(0xD800..=0xDBFF) => match unit(bytes.get(6..).unwrap_or_default()) {
                    Some(0xDC00..=0xDFFF) => (12, true),
                    _ => (6, false),
                },
                Some(0xDC00..=0xDFFF) => (6, false),
                Some(_) => (6, true),
                None => (2, true),
            };
            if valid {
                out.extend_from_slice(&bytes[..used]);
            } else {
                out.extend_from_slice(b"\\ufffd");
                made.push((Repair::LoneSurrogate, at));
            }
            used
        }
        _ => {
            let used = bytes.len().min(2);
            out.extend_from_slice(&bytes[..used]);
            used
        }
    }
}

/// The code unit of a `\uNNNN` that starts the bytes.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Quotes the path behind the colon at `colon`, if it is one without quotes. Gives the bytes used after the colon.
fn path(bytes: &[u8], colon: usize, out: &mut Vec<u8>, made: &mut Vec<(Repair, usize)>) -> usize {
    let before = bytes[..colon].trim_ascii_end();
    if !before.ends_with(b"\"document_id\"") {
        return 0;
    }
    let rest = &bytes[colon + 1..];
    let space = rest.len() - rest.trim_ascii_start().len();
    let value = &rest[space..];
    let is_path = value.first().is_some_and(u8::is_ascii_alphabetic)
        && !value.starts_with(b"null")
        && !value.starts_with(b"true")
        && !value.starts_with(b"false");
    if !is_path {
        return 0;
    }
    let end = value
        .iter()
        .position(|byte| matches!(byte, b',' | b'}' | b'\n' | b'\r' | b'"'))
        .unwrap_or(value.len());
    let value = value[..end].trim_ascii_end();
    out.extend_from_slice(&rest[..space]);
    out.push(b'"');
    for &byte in value {
        // A Windows path must not become an escape.
        if byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
    made.push((Repair::UnquotedPath, colon + 1 + space));
    space + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mended(text: &str) -> (String, Vec<Repair>) {
        let (out, made) = repair(text.as_bytes());
        let out = String::from_utf8(out).expect("stays text");
        (out, made.into_iter().map(|(kind, _)| kind).collect())
    }

    #[test]
    fn hex_escapes_are_mended_only_after_an_odd_number_of_backslashes() {
        assert_eq!(
            mended(r#"{"a":"\x01 \\x41 \\\x1B"}"#),
            (
                r#"{"a":"\u0001 \\x41 \\\u001B"}"#.to_owned(),
                vec![Repair::HexEscape, Repair::HexEscape]
            )
        );
    }

    #[test]
    fn paths_behind_document_id_are_quoted() {
        for (broken, whole) in [
            (
                "{\"document_id\": video_files/x (1).webm\n}",
                "{\"document_id\": \"video_files/x (1).webm\"\n}",
            ),
            (
                "{\"document_id\":a\\b.tgs, \"b\":1}",
                "{\"document_id\":\"a\\\\b.tgs\", \"b\":1}",
            ),
        ] {
            assert_eq!(
                mended(broken),
                (whole.to_owned(), vec![Repair::UnquotedPath])
            );
        }
        for fine in ["{\"document_id\": null}", "{\"document_id\": 12, \"x\": y}"] {
            assert_eq!(mended(fine), (fine.to_owned(), vec![]));
        }
    }

    #[test]
    fn half_pairs_become_the_replacement_character() {
        assert_eq!(
            mended(r#""\ud83d \ud83d\ude00 \ude00""#),
            (
                r#""\ufffd \ud83d\ude00 \ufffd""#.to_owned(),
                vec![Repair::LoneSurrogate; 2]
            )
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (out, made) = repair(&bytes);
            prop_assert!(out.len() <= bytes.len() * 3 + 2);
            if made.is_empty() { prop_assert_eq!(out, bytes); }
        }

        #[test]
        fn valid_json_is_left_alone(text in ".{0,60}") {
            let json = serde_json::json!({"document_id": text, "t": text}).to_string();
            prop_assert_eq!(mended(&json), (json, vec![]));
        }
    }
}
