//! What a replay re-applies: pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wal::Header;

use crate::event::{PeerId, Timestamp};

/// The part of the log to re-apply. An absent bound does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// First number.
    pub from: Option<u64>,
    /// Last number, inclusive.
    pub until: Option<u64>,
    /// Only these peers; empty: all.
    pub peers: BTreeSet<PeerId>,
    /// Only events whose Telegram date (the receipt's, where Telegram gives none) is not before this.
    pub since: Option<Timestamp>,
    /// And is before this.
    pub before: Option<Timestamp>,
}

impl Selection {
    /// Whether every event between the bounds is selected.
    pub fn is_whole_range(&self) -> bool {
        self.peers.is_empty() && self.since.is_none() && self.before.is_none()
    }

    /// Whether an event is selected, told from its record's header alone.
    pub fn selects(&self, header: &Header) -> bool {
        let seq = header.seq.get();
        let at = Timestamp::from_micros(header.source_at);
        let peer = PeerId::from_numbers(header.peer_kind, header.peer_id).ok();
        self.from.is_none_or(|from| seq >= from)
            && self.until.is_none_or(|until| seq <= until)
            && (self.peers.is_empty() || peer.is_some_and(|peer| self.peers.contains(&peer)))
            && self.since.is_none_or(|since| at >= since)
            && self.before.is_none_or(|before| at < before)
    }

    /// The numbers to read, first to last, in a log that holds `first..=tail`; none when that is empty.
    pub fn range(&self, first: u64, tail: u64) -> Option<(u64, u64)> {
        let from = self.from.unwrap_or(first).max(first);
        let until = self.until.unwrap_or(tail).min(tail);
        (from > 0 && from <= until).then_some((from, until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wal::Seq;

    fn header(seq: u64, peer: i64, at: i64) -> Header {
        let peer = PeerId::from_marked(peer).expect("a peer");
        Header {
            version: 1,
            codec: 1,
            flags: 0,
            kind: 1,
            peer_kind: peer.kind() as u8,
            epoch: 1,
            seq: Seq::new(seq).expect("not zero"),
            peer_id: peer.bare(),
            message_id: 1,
            received_at: at,
            source_at: at,
            payload_len: 0,
        }
    }

    #[test]
    fn selects_by_number_peer_and_date() {
        let all = Selection::default();
        assert!(all.selects(&header(1, 5, 0)) && all.is_whole_range());
        let some = Selection {
            from: Some(3),
            until: Some(5),
            peers: [PeerId::from_marked(-1_000_000_000_007).expect("a peer")].into(),
            since: Some(Timestamp::from_micros(10)),
            before: Some(Timestamp::from_micros(20)),
        };
        assert!(some.selects(&header(3, -1_000_000_000_007, 10)));
        for (seq, peer, at) in [
            (2, -1_000_000_000_007, 10),
            (6, -1_000_000_000_007, 10),
            (3, 7, 10),
            (3, -1_000_000_000_007, 9),
            (3, -1_000_000_000_007, 20),
        ] {
            assert!(!some.selects(&header(seq, peer, at)), "{seq} {peer} {at}");
        }
    }

    #[test]
    fn range_stays_inside_the_log() {
        let some = Selection {
            from: Some(3),
            until: Some(50),
            ..Selection::default()
        };
        assert_eq!(some.range(1, 10), Some((3, 10)));
        assert_eq!(some.range(5, 100), Some((5, 50)));
        assert_eq!(some.range(60, 100), None);
        assert_eq!(Selection::default().range(0, 0), None);
    }
}
