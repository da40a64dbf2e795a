//! What a trim removes, and what keeps the rest. Pure.

use serde::{Deserialize, Serialize};
use wal::SegmentInfo;

/// A segment as commands show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// File name in the log's folder.
    pub file: String,
    /// Its first number.
    pub first: u64,
    /// Its last number; none while it has no record.
    pub last: Option<u64>,
    /// Records in it.
    pub count: u64,
    /// Record bytes.
    pub bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// It is complete and never changes again.
    pub sealed: bool,
    /// It is in the archive and no longer in the log's folder.
    pub archived: bool,
    /// It was repaired after an unclean stop.
    pub recovered: bool,
    /// SHA-256 of its records, in hexadecimal, once sealed.
    pub digest: Option<String>,
}

impl From<&SegmentInfo> for Segment {
    fn from(info: &SegmentInfo) -> Segment {
        Segment {
            file: info.file.clone(),
            first: info.first.get(),
            last: info.last.map(wal::Seq::get),
            count: info.count,
            bytes: info.bytes,
            file_bytes: info.file_bytes,
            sealed: info.sealed,
            archived: info.archived,
            recovered: info.recovered,
            digest: info.digest.map(|digest| hex(&digest)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Somebody who still needs the log from some number on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// A cursor's or a store's name.
    pub name: String,
    /// The last number it is done with; 0 for none.
    pub seq: u64,
    /// Why it is not known how far it is; everything is kept then.
    pub unknown: Option<String>,
}

/// What a trim does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The number asked for, or the one that the policy comes to.
    pub asked: u64,
    /// The first number that stays: `asked`, or less where somebody still needs what is before it.
    pub keep_from: u64,
    /// The segments that go.
    pub go: Vec<Segment>,
    /// Segments that stay only because somebody still needs them.
    pub held: Vec<Segment>,
    /// Who needs them.
    pub held_by: Vec<Floor>,
    /// Cursors that would need what is asked to go, and do not count: nothing that is configured moves them.
    pub ignored: Vec<Floor>,
}

/// The plan for removing everything below `asked` that nobody needs: whole sealed segments, from the oldest on. `idle`
/// are the cursors that do not count.
pub fn plan(segments: &[SegmentInfo], asked: u64, floors: &[Floor], idle: &[Floor]) -> Plan {
    let needed = floors.iter().map(|floor| floor.seq.saturating_add(1)).min();
    let keep_from = asked.min(needed.unwrap_or(u64::MAX));
    let lies_below = |info: &SegmentInfo, limit: u64| {
        info.sealed && info.last.is_some_and(|last| last.get() < limit)
    };
    let below: Vec<&SegmentInfo> = segments
        .iter()
        .take_while(|info| lies_below(info, asked))
        .collect();
    let newest = |of: &[&SegmentInfo]| {
        let last = of.last().and_then(|info| info.last);
        last.map_or(0, wal::Seq::get)
    };
    let newest_due = newest(&below);
    let (go, held): (Vec<&SegmentInfo>, Vec<&SegmentInfo>) = below
        .into_iter()
        .partition(|info| lies_below(info, keep_from));
    let newest_held = newest(&held);
    let holders = floors.iter().filter(|floor| floor.seq < newest_held);
    let ignored = idle.iter().filter(|floor| floor.seq < newest_due);
    Plan {
        asked,
        keep_from,
        go: go.into_iter().map(Segment::from).collect(),
        held: held.into_iter().map(Segment::from).collect(),
        held_by: holders.cloned().collect(),
        ignored: ignored.cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wal::Seq;

    fn segment(first: u64, last: u64, sealed: bool) -> SegmentInfo {
        SegmentInfo {
            file: format!("segment-{first}"),
            first: Seq::new(first).expect("from 1"),
            last: Seq::new(last),
            count: last + 1 - first,
            bytes: 1,
            file_bytes: 1,
            sealed,
            sealed_at: None,
            archived: false,
            digest: None,
            previous: None,
            recovered: false,
            missing: 0,
            replaces: None,
            damage: None,
        }
    }

    fn floor(name: &str, seq: u64) -> Floor {
        Floor {
            name: name.to_owned(),
            seq,
            unknown: None,
        }
    }

    #[test]
    fn nothing_goes_that_somebody_needs() {
        let log = [
            segment(1, 10, true),
            segment(11, 20, true),
            segment(21, 30, true),
            segment(31, 35, false),
        ];
        let names = |segments: &[Segment]| segments.iter().map(|it| it.first).collect::<Vec<_>>();
        let all_done = plan(&log, 25, &[floor("a", 35), floor("b", 20)], &[]);
        assert_eq!(names(&all_done.go), [1, 11]);
        assert!(all_done.held.is_empty() && all_done.held_by.is_empty());
        // One is at the last record of a segment, one in the middle of the next.
        let floors = [floor("a", 10), floor("b", 15), floor("c", 30)];
        let slow = plan(&log, 31, &floors, &[]);
        assert_eq!((slow.keep_from, names(&slow.go)), (11, vec![1]));
        assert_eq!(names(&slow.held), [11, 21]);
        assert_eq!(slow.held_by, [floor("a", 10), floor("b", 15)]);
        // The active segment stays whatever is asked; an unknown position keeps all; nobody at all keeps nothing.
        assert_eq!(names(&plan(&log, u64::MAX, &[], &[]).go), [1, 11, 21]);
        assert!(plan(&log, u64::MAX, &[floor("lost", 0)], &[]).go.is_empty());
        assert_eq!(plan(&log, 1, &[], &[]).go, []);
        // What nobody moves does not hold back, and is told where it would have.
        let idle = [floor("old", 3), floor("new", 20)];
        let freed = plan(&log, 21, &[floor("a", 35)], &idle);
        assert_eq!(
            (names(&freed.go), freed.ignored),
            (vec![1, 11], vec![floor("old", 3)])
        );
    }
}
