//! Requests and answers as bytes.

use wal::{Hole, HoleCause, Record, Seq};

use super::{EdgeError, RANGE_BYTES_MAX, RANGE_EVENTS_MAX};
use crate::failure::Class;
use crate::journal::cut::Cut;

const WHERE: u8 = 1;
const HOLES: u8 = 2;
const RANGE: u8 = 3;
/// First byte of an answer that is none.
const ERROR: u8 = 0;

/// Largest request.
pub(super) const REQUEST_BYTES_MAX: usize = 4096;
/// Most characters of a fault that travel.
const FAULT_CHARS_MAX: usize = 500;
/// Largest answer: a range, the last record of which may be a whole one over the limit, and what is around the records.
pub(super) const ANSWER_BYTES_MAX: usize =
    RANGE_BYTES_MAX + wal::PAYLOAD_BYTES_MAX + RANGE_EVENTS_MAX * 4 + 4096;

/// What the projector asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// Where the log is; and how a store is doing.
    Where { report: Option<Report> },
    /// What numbers have no record.
    Holes,
    /// Records.
    Range {
        from: Seq,
        until: u64,
        events_max: u32,
        bytes_max: u32,
    },
}

/// What a projector elsewhere tells of its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The store's name.
    pub store: String,
    /// How far it has come, by its own word and by that of its projector: the lower.
    pub seq: u64,
    /// Why it does not get on at the moment, and whether that takes a person.
    pub fault: Option<(String, bool)>,
}

impl Report {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.store.len()).unwrap_or(u8::MAX));
        out.extend(self.store.as_bytes());
        out.extend(self.seq.to_le_bytes());
        let Some((text, needs_person)) = &self.fault else {
            out.push(0);
            return;
        };
        out.push(if *needs_person { 2 } else { 1 });
        let text: String = text.chars().take(FAULT_CHARS_MAX).collect();
        out.extend(text.as_bytes());
    }

    fn decode(cut: &mut Cut<'_>) -> Option<Report> {
        let [len] = cut.array()?;
        let store = std::str::from_utf8(cut.take(usize::from(len))?).ok()?;
        let seq = cut.u64()?;
        let [fault] = cut.array()?;
        let text = cut.take(if fault == 0 { 0 } else { cut.0.len() })?;
        let text = String::from_utf8_lossy(text).into_owned();
        Some(Report {
            store: store.to_owned(),
            seq,
            fault: (fault > 0).then_some((text, fault == 2)),
        })
    }
}

/// Where a log is; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Where {
    pub(super) first: u64,
    pub(super) tail: u64,
    /// What the broker has confirmed.
    pub(super) confirmed: u64,
}

impl Request {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Request::Where { report } => {
                let mut out = vec![WHERE];
                if let Some(report) = report {
                    report.encode(&mut out);
                }
                out
            }
            Request::Holes => vec![HOLES],
            Request::Range {
                from,
                until,
                events_max,
                bytes_max,
            } => {
                let mut out = vec![RANGE];
                out.extend(from.get().to_le_bytes());
                out.extend(until.to_le_bytes());
                out.extend(events_max.to_le_bytes());
                out.extend(bytes_max.to_le_bytes());
                out
            }
        }
    }

    /// None for anything that [`encode`](Self::encode) did not make.
    pub(super) fn decode(message: &[u8]) -> Option<Request> {
        let (tag, rest) = message.split_first()?;
        let mut cut = Cut(rest);
        let request = match *tag {
            WHERE if rest.is_empty() => Request::Where { report: None },
            WHERE => Request::Where {
                report: Some(Report::decode(&mut cut)?),
            },
            HOLES => Request::Holes,
            RANGE => Request::Range {
                from: Seq::new(cut.u64()?)?,
                until: cut.u64()?,
                events_max: cut.u32()?,
                bytes_max: cut.u32()?,
            },
            _ => return None,
        };
        cut.0.is_empty().then_some(request)
    }
}

pub(super) fn encode_where(at: Where) -> Vec<u8> {
    let mut out = vec![WHERE];
    for number in [at.first, at.tail, at.confirmed] {
        out.extend(number.to_le_bytes());
    }
    out
}

pub(super) fn encode_holes<'h>(holes: impl Iterator<Item = &'h Hole>) -> Vec<u8> {
    let mut out = vec![HOLES];
    for hole in holes {
        out.extend(hole.first.get().to_le_bytes());
        out.extend(hole.last.get().to_le_bytes());
        out.extend(hole.noted_at.to_le_bytes());
        out.push(u8::from(hole.cause == HoleCause::Fence));
    }
    out
}

pub(super) fn encode_records(records: &[Record]) -> Vec<u8> {
    let bytes: usize = records.iter().map(|it| it.as_bytes().len() + 4).sum();
    let mut out = Vec::with_capacity(bytes + 1);
    out.push(RANGE);
    for record in records {
        let bytes = record.as_bytes();
        out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(bytes);
    }
    out
}

pub(super) fn encode_error(class: Class, trimmed: bool, text: &str) -> Vec<u8> {
    let class = match class {
        Class::Transient => 0,
        Class::Operator => 1,
        Class::Corrupt => 2,
        Class::Bug => 3,
    };
    let mut out = vec![ERROR, class, u8::from(trimmed)];
    out.extend(text.as_bytes());
    out
}

/// The body of an answer of the kind that was asked for, or the edge's reason; none for neither.
fn body(kind: u8, message: &[u8]) -> Option<Result<Cut<'_>, EdgeError>> {
    let (tag, rest) = message.split_first()?;
    if *tag == kind {
        return Some(Ok(Cut(rest)));
    }
    let [class, trimmed, text @ ..] = rest else {
        return None;
    };
    let class = match class {
        0 => Class::Transient,
        1 => Class::Operator,
        2 => Class::Corrupt,
        _ => Class::Bug,
    };
    (*tag == ERROR).then(|| {
        Err(EdgeError::Answer {
            class,
            trimmed: *trimmed == 1,
            text: String::from_utf8_lossy(text).into_owned(),
        })
    })
}

/// What an answer says, or the edge's reason why not; none for what is no answer to the request.
pub(super) type Said<T> = Option<Result<T, EdgeError>>;

pub(super) fn decode_where(message: &[u8]) -> Said<Where> {
    let mut cut = match body(WHERE, message)? {
        Ok(cut) => cut,
        Err(error) => return Some(Err(error)),
    };
    let at = Where {
        first: cut.u64()?,
        tail: cut.u64()?,
        confirmed: cut.u64()?,
    };
    cut.0.is_empty().then_some(Ok(at))
}

pub(super) fn decode_holes(message: &[u8]) -> Said<Vec<Hole>> {
    let mut cut = match body(HOLES, message)? {
        Ok(cut) => cut,
        Err(error) => return Some(Err(error)),
    };
    let mut holes = Vec::new();
    while !cut.0.is_empty() {
        let (first, last) = (Seq::new(cut.u64()?)?, Seq::new(cut.u64()?)?);
        let noted_at = i64::from_le_bytes(cut.array()?);
        let [fence] = cut.array()?;
        let cause = match fence {
            0 => HoleCause::Damage,
            _ => HoleCause::Fence,
        };
        holes.push(Hole {
            first,
            last,
            cause,
            noted_at,
        });
    }
    Some(Ok(holes))
}

/// Records of a range: each with the right checksum, in order, none outside.
pub(super) fn decode_records(message: &[u8], from: Seq, until: u64) -> Said<Vec<Record>> {
    let mut cut = match body(RANGE, message)? {
        Ok(cut) => cut,
        Err(error) => return Some(Err(error)),
    };
    let (mut records, mut at) = (Vec::new(), from.get());
    while !cut.0.is_empty() {
        let len = cut.u32()?;
        let record = Record::decode(cut.take(len as usize)?.to_vec()).ok()?;
        let seq = record.header().seq.get();
        if seq < at || seq > until {
            return None;
        }
        at = seq + 1;
        records.push(record);
    }
    Some(Ok(records))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_round_trip_and_nothing_else_is_one() {
        let report = |fault: Option<(&str, bool)>| Request::Where {
            report: Some(Report {
                store: "timescale".to_owned(),
                seq: 7,
                fault: fault.map(|(text, needs_person)| (text.to_owned(), needs_person)),
            }),
        };
        let long = "\u{1f980}".repeat(FAULT_CHARS_MAX);
        for request in [
            Request::Where { report: None },
            report(None),
            report(Some((&long, false))),
            report(Some(("wrong password", true))),
            Request::Holes,
            Request::Range {
                from: Seq::FIRST,
                until: 9,
                events_max: 5,
                bytes_max: 6,
            },
        ] {
            let bytes = request.encode();
            assert!(bytes.len() <= REQUEST_BYTES_MAX);
            assert_eq!(Request::decode(&bytes), Some(request.clone()));
            let cut = &bytes[..bytes.len() - 1];
            assert_ne!(Request::decode(cut), Some(request.clone()));
            let more = [&bytes[..], b"x"].concat();
            assert_ne!(Request::decode(&more), Some(request));
        }
        assert_eq!(Request::decode(&[HOLES, 0]), None);
        assert_eq!(Request::decode(&[RANGE, 1, 0, 0, 0]), None);
    }

    #[test]
    fn answers_round_trip_and_an_error_keeps_its_class() {
        let at = Where {
            first: 1,
            tail: 2,
            confirmed: 3,
        };
        let said = decode_where(&encode_where(at));
        assert!(matches!(said, Some(Ok(found)) if found == at));
        let hole = Hole {
            first: Seq::FIRST,
            last: Seq::FIRST.next(),
            cause: HoleCause::Fence,
            noted_at: -3,
        };
        let said = decode_holes(&encode_holes([hole].iter()));
        assert!(matches!(said, Some(Ok(found)) if found == [hole]));
        for class in [
            Class::Transient,
            Class::Operator,
            Class::Corrupt,
            Class::Bug,
        ] {
            let told = encode_error(class, true, "why");
            let expected = (class, true, "why");
            let said = decode_records(&told, Seq::FIRST, 9);
            let Some(Err(EdgeError::Answer {
                class,
                trimmed,
                text,
            })) = said
            else {
                panic!("{said:?}");
            };
            assert_eq!((class, trimmed, &*text), expected);
        }
        // An answer to another question.
        assert!(decode_where(&encode_holes([].iter())).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_decoders(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Request::decode(&bytes);
            let _ = (decode_where(&bytes), decode_holes(&bytes));
            if let Some(Ok(records)) = decode_records(&bytes, Seq::FIRST, 9) {
                prop_assert!(records.is_empty(), "no record has a right checksum by chance");
            }
        }
    }
}
