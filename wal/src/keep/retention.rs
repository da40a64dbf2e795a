//! Which segments may go, and why the others stay. Pure.

use std::fmt;
use std::time::Duration;

use crate::info::SegmentInfo;
use crate::seq::Seq;

/// How much of the log is kept. What no limit names stays for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// A segment goes this long after it was sealed.
    pub age_max: Option<Duration>,
    /// The oldest segments go until the files of the log, the active one included, have at most
    /// so many bytes. The archive does not count.
    pub bytes_max: Option<u64>,
}

/// Somebody who still needs the log: a cursor, or a projection with its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionFloor {
    /// Who, for the operator.
    pub name: String,
    /// The last number that is no longer needed; `None` when everything is.
    pub done: Option<Seq>,
}

/// Why a segment stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It is the one that is written.
    Active,
    /// No limit of the policy wants it gone.
    WithinLimits,
    /// A limit wants it gone, but it holds numbers that somebody still needs.
    Needed {
        /// The one who is furthest behind.
        by: String,
        /// The first number they need.
        from: Seq,
    },
    /// A limit wants it gone, but an older segment stays, and the log has no gaps.
    AfterKept,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kept::Active => f.write_str("it is being written"),
            Kept::WithinLimits => f.write_str("within the limits"),
            Kept::Needed { by, from } => write!(f, "{by} needs the log from {from} on"),
            Kept::AfterKept => f.write_str("an older segment stays"),
        }
    }
}

/// What retention would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// These go, oldest first.
    pub remove: Vec<SegmentInfo>,
    /// These stay, oldest first, each with the reason.
    pub keep: Vec<(SegmentInfo, Kept)>,
}

impl RetentionPlan {
    /// The number to hand to [`crate::Log::trim`]; `None` when nothing is to go.
    pub fn keep_from(&self) -> Option<Seq> {
        self.remove.last()?.last.map(Seq::next)
    }
}

/// Plans over the `segments` of a log, oldest first; those in the archive are left alone. `now`
/// is in microseconds since the Unix epoch, UTC. A clock that stands before the time at which a
/// segment was sealed makes the segment no older than new.
pub fn plan_retention(
    segments: &[SegmentInfo],
    now: i64,
    policy: &RetentionPolicy,
    floors: &[RetentionFloor],
) -> RetentionPlan {
    let slowest = floors.iter().min_by_key(|floor| floor.done);
    let live = segments.iter().filter(|segment| !segment.archived);
    let mut bytes: u64 = live.clone().map(|segment| segment.file_bytes).sum();
    let mut plan = RetentionPlan::default();
    for segment in live {
        let is_over = policy.bytes_max.is_some_and(|most| bytes > most);
        match kept(segment, is_over || is_old(segment, now, policy), slowest) {
            None if plan.keep.is_empty() => {
                bytes -= segment.file_bytes;
                plan.remove.push(segment.clone());
            }
            None => plan.keep.push((segment.clone(), Kept::AfterKept)),
            Some(why) => plan.keep.push((segment.clone(), why)),
        }
    }
    plan
}

fn is_old(segment: &SegmentInfo, now: i64, policy: &RetentionPolicy) -> bool {
    let (Some(most), Some(sealed_at)) = (policy.age_max, segment.sealed_at) else {
        return false;
    };
    let age = u64::try_from(now.saturating_sub(sealed_at)).unwrap_or(0);
    Duration::from_micros(age) > most
}

/// Why a segment stays, older ones aside; `None` if it may go.
fn kept(segment: &SegmentInfo, is_due: bool, slowest: Option<&RetentionFloor>) -> Option<Kept> {
    if !segment.sealed {
        return Some(Kept::Active);
    }
    if !is_due {
        return Some(Kept::WithinLimits);
    }
    let needs = slowest.filter(|floor| floor.done < segment.last)?;
    Some(Kept::Needed {
        by: needs.name.clone(),
        from: needs.done.map_or(Seq::FIRST, Seq::next),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const NOW: i64 = 1_800_000_000_000_000;

    fn days_ago(days: i64) -> i64 {
        NOW - days * DAY.as_micros() as i64
    }

    /// Ten records in 100 bytes.
    fn segment(first: u64, days: i64) -> SegmentInfo {
        SegmentInfo {
            file: crate::plan::segment_name(first),
            first: Seq::new(first).unwrap(),
            last: Seq::new(first + 9),
            count: 10,
            missing: 0,
            replaces: None,
            bytes: 80,
            file_bytes: 100,
            sealed: true,
            sealed_at: Some(days_ago(days)),
            archived: false,
            digest: Some([0; 32]),
            previous: None,
            recovered: false,
            damage: None,
        }
    }

    /// Three sealed segments, 9, 6 and 3 days old, and the active one.
    fn log() -> Vec<SegmentInfo> {
        let active = SegmentInfo {
            sealed: false,
            sealed_at: None,
            ..segment(31, 0)
        };
        vec![segment(1, 9), segment(11, 6), segment(21, 3), active]
    }

    fn age(days: u32) -> RetentionPolicy {
        RetentionPolicy {
            age_max: Some(DAY * days),
            bytes_max: None,
        }
    }

    fn bytes(most: u64) -> RetentionPolicy {
        RetentionPolicy {
            age_max: None,
            bytes_max: Some(most),
        }
    }

    fn floor(name: &str, done: u64) -> RetentionFloor {
        RetentionFloor {
            name: name.to_owned(),
            done: Seq::new(done),
        }
    }

    fn removed(policy: &RetentionPolicy, floors: &[RetentionFloor]) -> Vec<u64> {
        let plan = plan_retention(&log(), NOW, policy, floors);
        assert_eq!(plan.remove.len() + plan.keep.len(), 4);
        let gone: Vec<u64> = plan.remove.iter().map(|s| s.first.get()).collect();
        let keep_from = gone.last().and_then(|first| Seq::new(first + 10));
        assert_eq!(plan.keep_from(), keep_from);
        gone
    }

    #[test]
    fn age_and_bytes_each_take_the_oldest_and_never_the_active_one() {
        assert_eq!(removed(&RetentionPolicy::default(), &[]), []);
        assert_eq!(removed(&age(10), &[]), []);
        assert_eq!(removed(&age(5), &[]), [1, 11]);
        assert_eq!(removed(&age(0), &[]), [1, 11, 21]);
        assert_eq!(removed(&bytes(400), &[]), []);
        assert_eq!(removed(&bytes(399), &[]), [1]);
        assert_eq!(removed(&bytes(0), &[]), [1, 11, 21]);
        let both = RetentionPolicy {
            age_max: age(8).age_max,
            bytes_max: Some(250),
        };
        assert_eq!(removed(&both, &[]), [1, 11]);
    }

    #[test]
    fn nothing_goes_that_somebody_needs_and_they_are_named() {
        assert_eq!(removed(&age(0), &[floor("relay", 20)]), [1, 11]);
        assert_eq!(removed(&age(0), &[floor("relay", 19)]), [1]);
        let floors = [floor("relay", 30), floor("timescale", 12), floor("x", 25)];
        assert_eq!(removed(&age(0), &floors), [1]);
        assert_eq!(removed(&age(0), &[floor("new", 0), floor("relay", 30)]), []);
        let plan = plan_retention(&log(), NOW, &age(5), &floors);
        let why: Vec<String> = plan.keep.iter().map(|(_, why)| why.to_string()).collect();
        assert_eq!(
            why,
            [
                "timescale needs the log from 13 on",
                "within the limits",
                "it is being written"
            ]
        );
    }

    #[test]
    fn no_gap_is_made_when_an_older_segment_stays() {
        let mut segments = log();
        // The clock stood in the future when the first one was sealed.
        segments[0].sealed_at = Some(days_ago(-300));
        let plan = plan_retention(&segments, NOW, &age(1), &[]);
        assert_eq!(plan.remove, []);
        let why: Vec<&Kept> = plan.keep.iter().map(|(_, why)| why).collect();
        use Kept::{Active, AfterKept, WithinLimits};
        assert_eq!(why, [&WithinLimits, &AfterKept, &AfterKept, &Active]);
    }

    #[test]
    fn what_is_archived_is_neither_counted_nor_planned() {
        let mut segments = log();
        segments[0].archived = true;
        let plan = plan_retention(&segments, NOW, &bytes(250), &[]);
        let gone: Vec<u64> = plan.remove.iter().map(|s| s.first.get()).collect();
        assert_eq!((gone, plan.keep.len()), (vec![11], 2));
    }
}
