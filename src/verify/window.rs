//! The windows of the cache against those that the log tells of. Pure.
//!
//! A value says by its numbers which events it came from. Where the log has those no more (trimmed, lost with a segment, of
//! a life that is over) it cannot say what is right: the value is kept, and no difference.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Difference, Report};
use crate::event::Timestamp;
use crate::journal::Holes;
use crate::store::mend::Subject;
use crate::store::redis::{Cache, Fields, Peer};

/// What the log can tell, and what the cache must hold of that.
pub(super) struct Told {
    /// The first number that the log has.
    pub(super) first: u64,
    /// Of the log.
    pub(super) holes: Holes,
    /// What was received before may have expired.
    pub(super) oldest: Timestamp,
    /// Messages that the cache keeps of a channel.
    pub(super) window: usize,
}

impl Told {
    /// Whether a value came from events that the log no longer has.
    fn is_gone(&self, fields: &Fields) -> bool {
        let is_gone = |seq: u64| seq < self.first || self.holes.at(seq).is_some();
        let parts = fields.iter().filter(|(name, _)| name.ends_with("_seq"));
        let mut parts = parts.filter_map(|(_, seq)| seq.parse().ok());
        parts.any(is_gone) || content_seq(fields).is_some_and(is_gone)
    }

    /// Whether something of this was received too late to have expired.
    fn is_young(&self, fields: &Fields, name: &str) -> bool {
        let at = fields.get(name);
        let at = at.and_then(|text| text.parse::<Timestamp>().ok());
        at.is_some_and(|at| at > self.oldest)
    }
}

/// The number of the event that a content came from.
fn content_seq(fields: &Fields) -> Option<u64> {
    let content: Value = serde_json::from_str(fields.get("content")?).ok()?;
    content.get("seq")?.as_u64()
}

/// Compares what is kept of a channel's messages.
pub(super) fn compare_peer(
    peer_id: i64,
    expected: &Peer,
    found: &Peer,
    told: &Told,
    report: &mut Report,
) {
    let gone = found.messages.iter();
    let gone: BTreeSet<i64> = gone
        .filter(|(_, fields)| told.is_gone(fields))
        .map(|(id, _)| *id)
        .collect();
    report.kept += gone.len() as u64;
    // Those that the log cannot tell of take places of the window.
    let floor = match found.messages.first_key_value() {
        Some((lowest, _)) if !gone.is_empty() && found.messages.len() >= told.window => *lowest,
        _ => i64::MIN,
    };
    let subject = |message_id| Subject {
        peer_id,
        message_id,
    };
    let wanted = expected.messages.range(floor..);
    for (id, fields) in wanted.filter(|(id, _)| !gone.contains(id)) {
        let must_be = told.is_young(fields, "received_at");
        compare(
            subject(*id),
            fields,
            found.messages.get(id),
            must_be,
            report,
        );
    }
    for id in found.messages.keys() {
        if !expected.messages.contains_key(id) && !gone.contains(id) {
            differs(subject(*id), "surplus", Vec::new(), report);
        }
    }
}

/// Compares the channels' names.
pub(super) fn compare_channels(
    expected: &Cache,
    found: &BTreeMap<i64, Fields>,
    told: &Told,
    report: &mut Report,
) {
    let none = Peer::default();
    let subject = |peer_id| Subject {
        peer_id,
        message_id: 0,
    };
    let gone = found.iter().filter(|(_, fields)| told.is_gone(fields));
    let gone: BTreeSet<i64> = gone.map(|(peer, _)| *peer).collect();
    report.kept += gone.len() as u64;
    for (peer, fields) in &expected.channels {
        if gone.contains(peer) {
            continue;
        }
        // A channel's name lives as long as anything comes of it.
        let messages = &expected.peers.get(peer).unwrap_or(&none).messages;
        let must_be = told.is_young(fields, "updated_at")
            || messages.values().any(|it| told.is_young(it, "received_at"));
        compare(subject(*peer), fields, found.get(peer), must_be, report);
    }
    for peer in found.keys() {
        if !expected.channels.contains_key(peer) && !gone.contains(peer) {
            differs(subject(*peer), "surplus", Vec::new(), report);
        }
    }
}

fn compare(
    subject: Subject,
    expected: &Fields,
    found: Option<&Fields>,
    must_be: bool,
    report: &mut Report,
) {
    report.rows += 1;
    match found.filter(|fields| !fields.is_empty()) {
        None if must_be => differs(subject, "missing", Vec::new(), report),
        // Expired: a reader takes it as a miss and asks the store.
        None => {}
        Some(found) => {
            let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
            let names = names.into_iter();
            let wrong: Vec<&String> = names
                .filter(|name| expected.get(*name) != found.get(*name))
                .collect();
            if wrong.is_empty() {
                return;
            }
            let shown = |of: &Fields, name| of.get(name).cloned().map_or(Value::Null, Value::from);
            let values = wrong.into_iter();
            let values =
                values.map(|name| (name.clone(), shown(expected, name), shown(found, name)));
            differs(subject, "differs", values.collect(), report);
        }
    }
}

/// Notes a difference, with the parts that differ: their names, what the log says and what is there.
fn differs(subject: Subject, what: &str, parts: Vec<(String, Value, Value)>, report: &mut Report) {
    let Subject {
        peer_id,
        message_id,
    } = subject;
    let name = match subject.is_message() {
        true => format!("msg:{peer_id}:{message_id}"),
        false => format!("channel:{peer_id}"),
    };
    let mut difference = Difference {
        kind: None,
        place: "key".to_owned(),
        key: vec![name.into()],
        what: what.to_owned(),
        columns: Vec::new(),
    };
    for (part, right, wrong) in parts {
        difference.key.push(part.into());
        difference.columns.push(("value", right, wrong));
    }
    report.found(difference);
    report.subjects.insert(subject);
}

#[cfg(test)]
mod tests {
    use wal::{Hole, HoleCause, Seq};

    use super::*;

    fn message(content_seq: u64, first_seq: u64) -> Fields {
        let fields = [
            ("content", format!(r#"{{"text":"a","seq":{content_seq}}}"#)),
            ("rank", content_seq.to_string()),
            ("first_seq", first_seq.to_string()),
            ("received_at", "2026-01-01T00:00:00Z".to_owned()),
        ];
        let fields = fields.into_iter();
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn peer(messages: &[(i64, Fields)]) -> Peer {
        Peer {
            messages: messages.iter().cloned().collect(),
            ..Peer::default()
        }
    }

    /// Of a log that begins at 10 and has lost 20.
    fn compared(expected: &[(i64, Fields)], found: &[(i64, Fields)]) -> (u64, Vec<i64>) {
        let lost = Seq::new(20).expect("from 1");
        let told = Told {
            first: 10,
            holes: Holes::new(vec![Hole {
                first: lost,
                last: lost,
                cause: HoleCause::Damage,
                noted_at: 0,
            }]),
            oldest: Timestamp::from_seconds(0),
            window: 3,
        };
        let mut report = Report::new("redis");
        compare_peer(7, &peer(expected), &peer(found), &told, &mut report);
        assert_eq!(report.differences, report.subjects.len() as u64);
        let subjects = report.subjects.iter().map(|it| it.message_id);
        (report.kept, subjects.collect())
    }

    #[test]
    fn what_the_log_cannot_tell_of_is_kept_and_all_else_must_be_right() {
        let (old, new) = (message(5, 5), message(12, 12));
        assert_eq!(
            compared(&[(1, new.clone())], &[(1, new.clone())]),
            (0, vec![])
        );
        assert_eq!(compared(&[(1, new.clone())], &[]), (0, vec![1]), "missing");
        let other = message(13, 12);
        assert_eq!(compared(&[(1, new.clone())], &[(1, other)]), (0, vec![1]));
        assert_eq!(compared(&[], &[(1, new.clone())]), (0, vec![1]), "surplus");
        assert_eq!(compared(&[], &[(1, old.clone())]), (1, vec![]), "trimmed");
        let edited = message(12, 5);
        assert_eq!(compared(&[(1, new.clone())], &[(1, edited)]), (1, vec![]));
        let lost = message(20, 12);
        assert_eq!(compared(&[(1, new.clone())], &[(1, lost)]), (1, vec![]));
        let mut pinned = new.clone();
        pinned.insert("pinned_seq".to_owned(), "9".to_owned());
        assert_eq!(compared(&[(1, new.clone())], &[(1, pinned)]), (1, vec![]));
        // Full of what the log has trimmed: lower ones have no place.
        let full = [(5, old.clone()), (6, old.clone()), (7, old)];
        assert_eq!(compared(&[(4, new.clone())], &full), (3, vec![]));
        assert_eq!(compared(&[(8, new)], &full), (3, vec![8]));
    }
}
