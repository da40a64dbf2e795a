//! Rows in the binary form of `COPY`.

use super::value::EPOCH_MICROS;
use crate::event::{Json, Timestamp};
use crate::store::rows::MessageRow;

/// What begins the stream: the mark of the form, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What ends it.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// A field without a value.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// About what a row takes, for the first allocation.
const ROW_BYTES: usize = 640;

/// A stream of rows.
#[derive(Debug)]
pub(super) struct CopyStream {
    bytes: Vec<u8>,
}

impl CopyStream {
    /// The contents of messages, their columns in the order of `statements::CONTENT`.
    pub(super) fn of_contents(rows: &[MessageRow]) -> CopyStream {
        let mut bytes = Vec::with_capacity(HEADER.len() + rows.len() * ROW_BYTES);
        bytes.extend_from_slice(HEADER);
        let mut stream = CopyStream { bytes };
        let fields = i16::try_from(super::statements::CONTENT.len()).unwrap_or(i16::MAX);
        for row in rows {
            stream.bytes.extend_from_slice(&fields.to_be_bytes());
            stream.content(row);
        }
        stream
    }

    /// The whole stream.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&TRAILER);
        self.bytes
    }

    fn content(&mut self, row: &MessageRow) {
        self.int(Some(row.peer_id));
        self.int(Some(row.message_id));
        self.time(Some(row.posted_at));
        self.int(Some(row.rank));
        self.int(Some(row.seq));
        self.int(Some(row.first_seq));
        self.time(Some(row.received_at));
        self.time(row.edited_at);
        self.int(row.sender_id);
        self.int(row.reply_to_message_id);
        self.int(row.reply_to_peer_id);
        self.int(row.topic_id);
        self.int(row.grouped_id);
        self.int(row.views);
        self.int(row.forwards);
        self.bool(row.versioned);
        self.bool(row.pinned);
        self.text(Some(row.kind));
        self.text(Some(row.origin));
        self.text(row.media_kind);
        self.text(Some(&row.text));
        self.text(row.sender_name.as_deref());
        self.text(row.post_author.as_deref());
        self.text(row.via_bot.as_deref());
        self.json(row.entities.as_ref());
        self.json(row.forward.as_ref());
        self.json(row.media.as_ref());
        self.json(row.reactions.as_ref());
        self.json(row.poll.as_ref());
        self.json(row.buttons.as_ref());
        self.json(row.service.as_ref());
        self.json(row.changed.as_ref());
    }

    fn int(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.field(&[&value.to_be_bytes()]),
            None => self.null(),
        }
    }

    fn time(&mut self, at: Option<Timestamp>) {
        self.int(at.map(|at| at.micros() - EPOCH_MICROS));
    }

    fn bool(&mut self, value: bool) {
        self.field(&[&[u8::from(value)]]);
    }

    fn text(&mut self, value: Option<&str>) {
        match value {
            Some(text) => self.field(&[text.as_bytes()]),
            None => self.null(),
        }
    }

    /// The version of jsonb's binary form, and then it is text.
    fn json(&mut self, value: Option<&Json>) {
        match value {
            Some(json) => self.field(&[&[1], json.as_str().as_bytes()]),
            None => self.null(),
        }
    }

    fn null(&mut self) {
        self.bytes.extend_from_slice(&NULL);
    }

    fn field(&mut self, parts: &[&[u8]]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        // A record of the log is far smaller than 2 GiB.
        let len = i32::try_from(len).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&len.to_be_bytes());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_that_of_the_manual() {
        let mut stream = CopyStream::of_contents(&[]);
        stream.int(Some(1));
        stream.int(None);
        stream.bool(true);
        stream.text(Some("ab"));
        stream.json(Some(&Json::of(&[1])));
        let bytes = stream.finish();
        let mut expected = b"PGCOPY\n\xff\r\n\0".to_vec();
        expected.extend([0; 8]);
        expected.extend([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
        expected.extend([255; 4]);
        expected.extend([0, 0, 0, 1, 1]);
        expected.extend(b"\0\0\0\x02ab");
        expected.extend(b"\0\0\0\x04\x01[1]");
        expected.extend([255, 255]);
        assert_eq!(bytes, expected);
    }
}
