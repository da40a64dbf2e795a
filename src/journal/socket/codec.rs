//! Requests and replies as bytes.

use serde::Serialize;
use wal::{NewRecord, Outcome, Seq};

use crate::journal::Append;
use crate::journal::control::{Answer, Command};
use crate::journal::cut::Cut;

/// First byte of a request.
const APPEND: u8 = 1;
const COMMAND: u8 = 2;
/// First byte of a reply.
const OUTCOMES: u8 = 0;
const ERROR: u8 = 1;
const ANSWER: u8 = 2;

fn len32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(len32(bytes).to_le_bytes());
    out.extend(bytes);
}

fn count(out: &mut Vec<u8>, n: usize) {
    out.extend(u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
}

pub(super) fn encode_append(append: &Append) -> Vec<u8> {
    let mut out = vec![APPEND];
    count(&mut out, append.bookmarks.len());
    for (name, value) in &append.bookmarks {
        put(&mut out, name.as_bytes());
        put(&mut out, value);
    }
    count(&mut out, append.records.len());
    for record in &append.records {
        out.extend([
            record.codec,
            record.kind,
            record.peer_kind,
            u8::from(record.key.is_some()),
        ]);
        out.extend(record.flags.to_le_bytes());
        for number in [
            record.peer_id,
            record.message_id,
            record.received_at,
            record.source_at,
        ] {
            out.extend(number.to_le_bytes());
        }
        put(&mut out, &record.payload);
        if let Some(key) = &record.key {
            put(&mut out, key);
        }
    }
    out
}

pub(super) fn encode_outcomes(outcomes: &[Outcome]) -> Vec<u8> {
    let mut out = vec![OUTCOMES];
    count(&mut out, outcomes.len());
    for outcome in outcomes {
        let (tag, seq) = match outcome {
            Outcome::Appended(seq) => (0, seq),
            Outcome::Duplicate(seq) => (1, seq),
        };
        out.push(tag);
        out.extend(seq.get().to_le_bytes());
    }
    out
}

pub(super) fn encode_error(text: &str) -> Vec<u8> {
    let mut out = vec![ERROR];
    put(&mut out, text.as_bytes());
    out
}

pub(super) fn encode_command(command: &Command) -> Vec<u8> {
    json(COMMAND, command)
}

pub(super) fn encode_answer(answer: &Answer) -> Vec<u8> {
    json(ANSWER, answer)
}

fn json(tag: u8, value: &impl Serialize) -> Vec<u8> {
    let mut out = vec![tag];
    // Plain data without maps, which JSON can always hold; were it not so, the other side would refuse the rest.
    out.extend(serde_json::to_vec(value).unwrap_or_default());
    out
}

/// What a client asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    Append(Append),
    Command(Command),
}

/// What it is told.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    Outcomes(Vec<Outcome>),
    Answer(Box<Answer>),
    Error(String),
}

/// None for anything that [`encode_append`] and [`encode_command`] did not make.
pub(super) fn decode_request(message: &[u8]) -> Option<Asked> {
    match message.split_first()? {
        (&APPEND, rest) => decode_append(rest).map(Asked::Append),
        (&COMMAND, rest) => serde_json::from_slice(rest).ok().map(Asked::Command),
        _ => None,
    }
}

fn decode_append(message: &[u8]) -> Option<Append> {
    let mut cut = Cut(message);
    let mut append = Append::default();
    for _ in 0..cut.u32()? {
        let name = String::from_utf8(cut.bytes()?.to_vec()).ok()?;
        append.bookmarks.push((name, cut.bytes()?.to_vec()));
    }
    for _ in 0..cut.u32()? {
        let [codec, kind, peer_kind, has_key] = cut.array()?;
        append.records.push(NewRecord {
            codec,
            kind,
            peer_kind,
            flags: u16::from_le_bytes(cut.array()?),
            peer_id: cut.i64()?,
            message_id: cut.i64()?,
            received_at: cut.i64()?,
            source_at: cut.i64()?,
            payload: cut.bytes()?.to_vec(),
            key: if has_key == 1 {
                Some(cut.bytes()?.to_vec())
            } else {
                None
            },
        });
    }
    cut.0.is_empty().then_some(append)
}

/// None for anything that the encoders of replies did not make.
pub(super) fn decode_reply(message: &[u8]) -> Option<Reply> {
    let (tag, rest) = message.split_first()?;
    match *tag {
        OUTCOMES => decode_outcomes(rest).map(Reply::Outcomes),
        ERROR => {
            let text = Cut(rest).bytes()?;
            Some(Reply::Error(String::from_utf8_lossy(text).into_owned()))
        }
        ANSWER => serde_json::from_slice(rest).ok().map(Reply::Answer),
        _ => None,
    }
}

fn decode_outcomes(message: &[u8]) -> Option<Vec<Outcome>> {
    let mut cut = Cut(message);
    let mut outcomes = Vec::new();
    for _ in 0..cut.u32()? {
        let [tag] = cut.array()?;
        let seq = Seq::new(u64::from_le_bytes(cut.array()?))?;
        outcomes.push(match tag {
            0 => Outcome::Appended(seq),
            1 => Outcome::Duplicate(seq),
            _ => return None,
        });
    }
    Some(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Since;
    use crate::failure::Exit;
    use crate::journal::control::{Ask, Chats, Refusal};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn appends_round_trip_and_garbage_is_refused(
            payload in proptest::collection::vec(any::<u8>(), 0..50),
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50)),
            numbers in any::<(u8, u16, i64, i64)>(),
            cut in 0usize..200,
        ) {
            let (byte, flags, peer_id, received_at) = numbers;
            let record = NewRecord {
                codec: byte, flags, kind: byte, peer_kind: byte, peer_id, message_id: -peer_id.saturating_abs(),
                received_at, source_at: 7, payload, key,
            };
            let append = Append {
                records: vec![record; 2],
                bookmarks: vec![("box".to_owned(), vec![1, 2])],
                cursors: Vec::new(),
            };
            let bytes = encode_append(&append);
            prop_assert_eq!(decode_request(&bytes), Some(Asked::Append(append)));
            let shorter = cut.min(bytes.len().saturating_sub(1));
            prop_assert_eq!(decode_request(&bytes[..shorter]), None);
        }
    }

    #[test]
    fn replies_and_commands_round_trip() {
        let outcomes = vec![
            Outcome::Appended(Seq::FIRST),
            Outcome::Duplicate(Seq::FIRST.next()),
        ];
        let reply = decode_reply(&encode_outcomes(&outcomes));
        assert_eq!(reply, Some(Reply::Outcomes(outcomes)));
        let reply = decode_reply(&encode_error("full"));
        assert_eq!(reply, Some(Reply::Error("full".to_owned())));
        let answer = Answer::Sealed { segment: None };
        let reply = decode_reply(&encode_answer(&answer));
        assert_eq!(reply, Some(Reply::Answer(Box::new(answer))));
        let trim = Command::Trim {
            keep_from: Some(7),
            plan: true,
        };
        let backfill = Ask::Backfill {
            account: "main".to_owned(),
            chat: "@name".to_owned(),
            since: Since::Message(7),
            limit: 9,
        };
        for command in [
            trim,
            Command::Telegram(backfill),
            Command::Telegram(Ask::Chats),
        ] {
            let asked = decode_request(&encode_command(&command));
            assert_eq!(asked, Some(Asked::Command(command)));
        }
        let refusal = Refusal::new(Exit::Auth, "no", "log in");
        for answer in [Answer::Refused(refusal), Answer::Chats(Chats::default())] {
            let reply = decode_reply(&encode_answer(&answer));
            assert_eq!(reply, Some(Reply::Answer(Box::new(answer))));
        }
        for garbage in [&[9][..], &[], &[COMMAND, b'{'], &[ANSWER]] {
            assert_eq!(decode_reply(garbage), None);
            assert_eq!(decode_request(garbage), None);
        }
    }
}
