//! The sampled history of counters: of each message one row an interval, in which each counter is the last one told.
//!
//! A pure function of the log and of the store's [`Sampling`], which the store keeps beside the rows: an interval begins
//! at a multiple of its length since the epoch, an event belongs to the one that it was received in, and of two values
//! of a counter that with the higher number wins. So order, repetition and parts do not matter here either (I6). What an
//! import says is no sample: it is not of the moment at which it came.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rows::{Change, MessageRow, Stamped, StateRow, later};
use super::{Entry, Scope};
use crate::event::{Envelope, Json, Timestamp};

/// What a store samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// The length of an interval, in microseconds.
    pub interval_us: i64,
    /// Only events behind this number.
    pub after: i64,
}

/// The microseconds of an interval, as the stores keep them.
pub fn interval_us(interval: Duration) -> i64 {
    i64::try_from(interval.as_micros()).unwrap_or(i64::MAX)
}

/// The counters of a message in an interval.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the columns are documented by the contract
pub struct SampleRow {
    pub peer_id: i64,
    pub message_id: i64,
    pub interval_at: Timestamp,
    /// When the newest of it was received.
    pub sampled_at: Timestamp,
    pub seq: i64,
    pub views: Stamped<i64>,
    pub forwards: Stamped<i64>,
    pub reactions: Stamped<Json>,
    pub poll: Stamped<Json>,
}

impl SampleRow {
    /// What identifies it.
    pub fn key(&self) -> (i64, i64, Timestamp) {
        (self.peer_id, self.message_id, self.interval_at)
    }

    /// Merges more of the same message and interval into this one.
    pub fn merge(&mut self, other: SampleRow) {
        if other.seq > self.seq {
            (self.seq, self.sampled_at) = (other.seq, other.sampled_at);
        }
        later(&mut self.views, other.views);
        later(&mut self.forwards, other.forwards);
        later(&mut self.reactions, other.reactions);
        later(&mut self.poll, other.poll);
    }
}

/// The samples of a batch, each key once, in key order.
pub fn of(entries: &[Entry], scope: impl Into<Scope>) -> Vec<SampleRow> {
    let scope = scope.into();
    let Some(sampling) = scope.sampling else {
        return Vec::new();
    };
    let mut samples = BTreeMap::new();
    for entry in entries {
        let Entry::Event(envelope) = entry else {
            continue;
        };
        if let Some(row) = sample(envelope, sampling) {
            merge(&mut samples, row);
        }
    }
    let kept = |row: &SampleRow| scope.since.is_none_or(|since| row.interval_at >= since);
    samples.into_values().filter(kept).collect()
}

/// Takes a sample in.
pub(super) fn merge(samples: &mut BTreeMap<(i64, i64, Timestamp), SampleRow>, row: SampleRow) {
    use std::collections::btree_map::Entry as Slot;
    match samples.entry(row.key()) {
        Slot::Vacant(slot) => _ = slot.insert(row),
        Slot::Occupied(mut slot) => slot.get_mut().merge(row),
    }
}

fn sample(envelope: &Envelope, sampling: Sampling) -> Option<SampleRow> {
    let seq = i64::try_from(envelope.seq.get()).unwrap_or(i64::MAX);
    if seq <= sampling.after {
        return None;
    }
    let at = envelope.received_at;
    let interval = sampling.interval_us.max(1);
    let start = at.micros().div_euclid(interval).saturating_mul(interval);
    let row = |peer_id, message_id| SampleRow {
        peer_id,
        message_id,
        interval_at: Timestamp::from_micros(start),
        sampled_at: at,
        seq,
        views: None,
        forwards: None,
        reactions: None,
        poll: None,
    };
    let row = match Change::of(envelope) {
        Change::Content(it) if envelope.event.origin.is_authoritative() => {
            let MessageRow {
                views,
                forwards,
                reactions,
                poll,
                ..
            } = *it;
            SampleRow {
                views: views.map(|value| (seq, value)),
                forwards: forwards.map(|value| (seq, value)),
                reactions: reactions.map(|value| (seq, value)),
                poll: poll.map(|value| (seq, value)),
                ..row(it.peer_id, it.message_id)
            }
        }
        Change::State(it) => {
            let StateRow {
                views,
                forwards,
                reactions,
                poll,
                ..
            } = *it;
            SampleRow {
                views,
                forwards,
                reactions,
                poll,
                ..row(it.peer_id, it.message_id)
            }
        }
        _ => return None,
    };
    let says_something = row.views.is_some()
        || row.forwards.is_some()
        || row.reactions.is_some()
        || row.poll.is_some();
    says_something.then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Event, Message, Origin, PeerId, PeerKind};
    use wal::Seq;

    fn entry(seq: u64, received: i64, origin: Origin, body: Body) -> Entry {
        Entry::Event(Envelope {
            seq: Seq::new(seq).expect("from 1"),
            epoch: 1,
            received_at: Timestamp::from_seconds(received),
            event: Event {
                peer: PeerId::new(PeerKind::Channel, 5).ok(),
                origin,
                stamp: 0,
                body,
                raw: None,
            },
        })
    }

    fn counted(seq: u64, received: i64, views: Option<i64>, forwards: Option<i64>) -> Entry {
        let body = Body::Counters {
            message_id: 7,
            views,
            forwards,
            reactions: None,
        };
        entry(seq, received, Origin::Live, body)
    }

    fn hourly(after: i64) -> Scope {
        let interval_us = interval_us(Duration::from_secs(3600));
        Scope {
            sampling: Some(Sampling { interval_us, after }),
            since: None,
        }
    }

    #[test]
    fn an_interval_has_the_last_value_of_each_counter() {
        let log = [
            counted(1, 3_600, Some(10), None),
            counted(2, 4_000, None, Some(1)),
            counted(3, 7_199, Some(20), None),
            counted(4, 7_200, Some(30), None),
        ];
        let samples = of(&log, hourly(0));
        let told: Vec<_> = samples
            .iter()
            .map(|it| {
                let at = (it.interval_at.seconds(), it.sampled_at.seconds());
                (at, it.views, it.forwards, it.seq)
            })
            .collect();
        assert_eq!(
            told,
            [
                ((3_600, 7_199), Some((3, 20)), Some((2, 1)), 3),
                ((7_200, 7_200), Some((4, 30)), None, 4),
            ]
        );
        let backwards: Vec<Entry> = log.iter().rev().cloned().collect();
        assert_eq!(of(&backwards, hourly(0)), samples);
        assert_eq!(of(&log, hourly(3)), samples[1..], "behind the number alone");
        assert!(of(&log, Scope::default()).is_empty());
        let since = Some(Timestamp::from_seconds(7_200));
        let late = Scope { since, ..hourly(0) };
        assert_eq!(of(&log, late), samples[1..], "from the date on alone");
    }

    #[test]
    fn posts_count_and_imports_do_not() {
        let post = |seq, origin| {
            let message = Message {
                id: 7,
                views: Some(3),
                ..Message::default()
            };
            entry(seq, 10, origin, Body::Posted(Box::new(message)))
        };
        let samples = of(&[post(1, Origin::Live), post(2, Origin::Import)], hourly(0));
        assert_eq!(samples.len(), 1);
        assert_eq!(samples[0].views, Some((1, 3)));
        let gone = entry(3, 10, Origin::Live, Body::Deleted { message_id: 7 });
        assert!(of(&[gone], hourly(0)).is_empty(), "it counts nothing");
    }
}
