use std::collections::BTreeSet;

use super::*;
use crate::broker::frame::FrameKind;
use proptest::prelude::*;
use wal::LogId;

const OURS: Identity = Identity {
    log_id: LogId([1; 16]),
    epoch: 2,
};
const LIMITS: Limits = Limits {
    bytes_max: 100,
    batch_bytes_max: usize::MAX,
    grace: Duration::from_millis(200),
    behind_max: 1_000_000,
};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Thing(u64);

impl Item for Thing {
    fn seq(&self) -> u64 {
        self.0
    }

    fn size(&self) -> usize {
        10
    }
}

fn header(confirmed: u64) -> FrameHeader {
    FrameHeader {
        identity: OURS,
        kind: FrameKind::Records,
        tail: 0,
        confirmed,
    }
}

fn things(range: std::ops::RangeInclusive<u64>) -> Vec<Thing> {
    range.map(Thing).collect()
}

fn seqs(things: &[Thing]) -> Vec<u64> {
    things.iter().map(|it| it.0).collect()
}

#[test]
fn what_comes_in_order_goes_out_in_order_and_is_acknowledged_when_applied() {
    let now = Instant::now();
    let mut inbox = Inbox::new(OURS, 10, LIMITS);
    inbox.deliver(1, &header(10), things(9..=12));
    inbox.deliver(2, &header(12), things(13..=14));
    assert_eq!(seqs(&inbox.take(3)), [11, 12, 13]);
    assert_eq!(inbox.applied(11), None);
    assert_eq!(inbox.applied(13), Some(1));
    assert_eq!(seqs(&inbox.take(3)), [14]);
    assert_eq!(inbox.need(now), Need::Nothing);
    inbox.deliver(3, &header(14), vec![]);
    assert_eq!(inbox.applied(14), Some(3));
    assert_eq!(inbox.unacknowledged(), 0);
    assert_eq!(inbox.losses(), Losses::default());
}

#[test]
fn a_hole_is_read_from_the_log_after_the_grace_and_counted_once() {
    let now = Instant::now();
    let mut inbox = Inbox::new(OURS, 0, LIMITS);
    inbox.deliver(1, &header(0), things(5..=6));
    assert!(inbox.take(9).is_empty());
    assert_eq!(inbox.need(now), Need::Until(now + LIMITS.grace));
    let later = now + LIMITS.grace;
    assert_eq!(inbox.need(later), Need::Read(1, 4));
    inbox.filled(1, 2, things(1..=2));
    assert_eq!(seqs(&inbox.take(9)), [1, 2]);
    assert_eq!(inbox.need(later), Need::Until(later + LIMITS.grace));
    let later = later + LIMITS.grace;
    assert_eq!(inbox.need(later), Need::Read(3, 4));
    inbox.filled(3, 4, things(3..=4));
    inbox.filled(3, 4, things(3..=4));
    assert_eq!(seqs(&inbox.take(9)), [3, 4, 5, 6]);
    assert_eq!(
        inbox.losses(),
        Losses {
            ranges: 1,
            events: 4
        }
    );
}

#[test]
fn a_marker_ahead_of_what_came_shows_the_loss_of_the_end() {
    let now = Instant::now();
    let mut inbox = Inbox::new(OURS, 3, LIMITS);
    inbox.deliver(1, &header(7), vec![]);
    assert_eq!(inbox.need(now), Need::Until(now + LIMITS.grace));
    assert_eq!(inbox.need(now + LIMITS.grace), Need::Read(4, 7));
    inbox.deliver(2, &header(7), things(4..=7));
    assert_eq!(inbox.need(now + LIMITS.grace), Need::Nothing);
    assert_eq!(inbox.losses().events, 0);
}

#[test]
fn a_suspicion_is_checked_at_once_and_blames_nobody() {
    let now = Instant::now();
    let mut inbox = Inbox::new(OURS, 3, LIMITS);
    inbox.suspect(9, true);
    assert_eq!(inbox.need(now), Need::Read(4, 9));
    inbox.filled(4, 9, things(4..=9));
    assert_eq!(seqs(&inbox.take(9)), [4, 5, 6, 7, 8, 9]);
    assert_eq!(inbox.losses().events, 0);
}

#[test]
fn a_projection_that_is_far_behind_reads_the_log_and_drops_the_copies() {
    let now = Instant::now();
    let limits = Limits {
        behind_max: 10,
        ..LIMITS
    };
    let mut inbox = Inbox::new(OURS, 0, limits);
    inbox.behind(10);
    assert!(!inbox.is_catching_up());
    assert_eq!(inbox.need(now), Need::Nothing, "the queue brings it");
    inbox.behind(20);
    assert!(inbox.is_catching_up());
    assert_eq!(inbox.known(), 20);
    assert_eq!(inbox.need(now), Need::Read(1, 20), "at once");
    inbox.deliver(1, &header(0), things(1..=3));
    inbox.deliver_copy(2, &header(5), 5);
    inbox.deliver(3, &header(0), things(19..=22));
    inbox.filled(1, 4, things(1..=4));
    assert_eq!(seqs(&inbox.take(9)), [1, 2, 3, 4]);
    assert_eq!(inbox.applied(4), Some(1), "acknowledged when applied");
    // What came meanwhile is no reason to go on with the log when it is near.
    inbox.behind(14);
    assert_eq!(inbox.need(now), Need::Read(5, 20));
    inbox.filled(5, 20, things(5..=20));
    assert_eq!(seqs(&inbox.take(99)), (5..=22).collect::<Vec<_>>());
    assert!(!inbox.is_catching_up());
    assert_eq!(inbox.applied(22), Some(3));
    assert_eq!(inbox.need(now), Need::Nothing);
    assert_eq!(inbox.losses(), Losses::default());
}

#[test]
fn numbers_that_the_log_has_not_count_as_there_and_are_no_loss() {
    let now = Instant::now();
    let mut inbox = Inbox::new(OURS, 0, LIMITS);
    inbox.deliver(1, &header(0), [things(1..=2), things(9..=10)].concat());
    assert_eq!(seqs(&inbox.take(9)), [1, 2]);
    inbox.need(now);
    let later = now + LIMITS.grace;
    assert_eq!(inbox.need(later), Need::Read(3, 8));
    // The log has one record there.
    inbox.filled(3, 8, things(5..=5));
    assert_eq!(seqs(&inbox.take(9)), [5, 9, 10]);
    assert_eq!(inbox.losses().events, 1);
    assert_eq!(inbox.applied(10), Some(1));
    // A hole at the end: nothing is waited for.
    inbox.suspect(20, true);
    assert_eq!(inbox.need(later), Need::Read(11, 20));
    inbox.filled(11, 20, Vec::new());
    assert_eq!(inbox.need(later), Need::Nothing);
    inbox.seek(10);
    inbox.deliver(2, &header(20), things(21..=21));
    assert_eq!(seqs(&inbox.take(9)), [21]);
}

#[test]
fn an_epoch_that_is_over_is_not_applied_and_nobody_is_blamed_for_it() {
    let now = Instant::now();
    let mut inbox = Inbox::new(OURS, 0, LIMITS);
    let mut old = header(0);
    old.identity.epoch = 1;
    let verdict = inbox.deliver(1, &old, things(1..=4));
    assert_eq!(verdict, Verdict::Foreign(old.identity));
    inbox.deliver(2, &header(4), things(5..=5));
    assert_eq!(inbox.need(now), Need::Read(1, 4), "at once");
    inbox.filled(1, 4, things(1..=4));
    assert_eq!(seqs(&inbox.take(9)), [1, 2, 3, 4, 5]);
    assert_eq!(inbox.losses(), Losses::default());
}

#[test]
fn after_a_failed_batch_the_log_gives_it_again() {
    let now = Instant::now();
    let mut inbox = Inbox::new(OURS, 0, LIMITS);
    inbox.deliver(1, &header(0), things(1..=4));
    inbox.take(3);
    inbox.seek(1);
    assert_eq!(inbox.need(now), Need::Read(2, 4));
    inbox.filled(2, 4, things(2..=4));
    assert_eq!(seqs(&inbox.take(9)), [2, 3, 4]);
    assert_eq!(inbox.losses().events, 0);
}

#[test]
fn frames_of_another_log_or_epoch_are_foreign() {
    let mut inbox = Inbox::new(OURS, 0, LIMITS);
    for identity in [
        Identity { epoch: 1, ..OURS },
        Identity {
            log_id: LogId([9; 16]),
            ..OURS
        },
    ] {
        let header = FrameHeader {
            identity,
            ..header(9)
        };
        assert_eq!(
            inbox.deliver(1, &header, things(1..=2)),
            Verdict::Foreign(identity)
        );
    }
    assert!(inbox.take(9).is_empty());
    assert_eq!(inbox.unacknowledged(), 0);
}

#[test]
fn a_batch_of_long_records_is_full_before_it_has_so_many() {
    let batch_bytes_max = 25;
    let mut inbox = Inbox::new(
        OURS,
        0,
        Limits {
            batch_bytes_max,
            ..LIMITS
        },
    );
    inbox.deliver(1, &header(0), things(1..=5));
    assert_eq!(seqs(&inbox.take(2)), [1, 2]);
    assert_eq!(seqs(&inbox.take(9)), [3, 4, 5]);
    inbox.deliver(2, &header(0), things(6..=9));
    assert_eq!(seqs(&inbox.take(9)), [6, 7, 8]);
}

#[test]
fn memory_is_bounded_while_a_hole_is_open() {
    let mut inbox = Inbox::new(OURS, 0, LIMITS);
    for tag in 1..=20 {
        inbox.deliver(tag, &header(0), things(tag * 5..=tag * 5 + 4));
    }
    assert!(inbox.bytes <= LIMITS.bytes_max);
    assert_eq!(inbox.unacknowledged(), 20);
}

#[derive(Debug, Clone)]
enum Step {
    Deliver {
        lost: bool,
        twice: bool,
        late: bool,
    },
    Marker,
    /// The log says how long it is.
    Look,
    /// Numbers that the log has no record of.
    Hole,
    Take(usize),
    Fill(usize),
    Apply,
    Fail,
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.2))
            .prop_map(|(lost, twice, late)| Step::Deliver { lost, twice, late }),
        1 => Just(Step::Marker),
        1 => Just(Step::Look),
        1 => Just(Step::Hole),
        4 => (1usize..6).prop_map(Step::Take),
        3 => (1usize..6).prop_map(Step::Fill),
        3 => Just(Step::Apply),
        1 => Just(Step::Fail),
        1 => Just(Step::Reconnect),
    ]
}

struct World {
    inbox: Inbox<Thing>,
    absent: BTreeSet<u64>,
    now: Instant,
    tag: u64,
    /// What the projection has committed.
    committed: Vec<u64>,
    /// Handed out and not committed.
    batch: Vec<Thing>,
    acked: u64,
    lost: u64,
}

impl World {
    /// As the feed does it: what is known is not taken apart.
    fn deliver(&mut self, confirmed: u64, things: Vec<Thing>) {
        self.tag += 1;
        match things.last() {
            Some(last) if last.0 <= self.inbox.known() => {
                self.inbox
                    .deliver_copy(self.tag, &header(confirmed), last.0);
            }
            _ => {
                self.inbox.deliver(self.tag, &header(confirmed), things);
            }
        }
    }

    /// What the log has of a range.
    fn log(&self, range: std::ops::RangeInclusive<u64>) -> Vec<Thing> {
        let there = range.filter(|seq| !self.absent.contains(seq));
        there.map(Thing).collect()
    }

    /// The last number that is committed.
    fn at(&self) -> u64 {
        self.committed.last().copied().unwrap_or(0)
    }

    fn take(&mut self, max: usize) {
        if self.batch.is_empty() {
            self.batch = self.inbox.take(max);
        }
    }

    fn fill(&mut self, max: usize) {
        self.now += LIMITS.grace;
        self.inbox.need(self.now);
        self.now += LIMITS.grace;
        if let Need::Read(from, to) = self.inbox.need(self.now) {
            let mut read = self.log(from..=to);
            read.truncate(max);
            let upto = read.last().map_or(to, |last| last.0);
            self.inbox.filled(from, upto, read);
        }
    }

    fn apply(&mut self) {
        self.committed.extend(self.batch.drain(..).map(|it| it.0));
        let done = self.at();
        if let Some(tag) = self.inbox.applied(done) {
            self.acked = tag;
        }
    }
}

proptest! {
    /// Whatever is lost, doubled, or late: every number is applied once, in order; nothing is acknowledged
    /// before it is applied, and in the end everything is.
    #[test]
    fn every_number_is_applied_once_and_in_order(
        steps in prop::collection::vec((step(), 1u64..8), 1..150), bytes_max in 0usize..200, behind_max in 0u64..40,
    ) {
        let limits = Limits { bytes_max, behind_max, ..LIMITS };
        let mut world = World {
            inbox: Inbox::new(OURS, 0, limits), absent: BTreeSet::new(), now: Instant::now(), tag: 0,
            committed: vec![], batch: vec![], acked: 0, lost: 0,
        };
        let mut tail = 0;
        let mut late: Vec<std::ops::RangeInclusive<u64>> = Vec::new();
        for (step, count) in steps {
            match step {
                Step::Deliver { lost, twice, late: is_late } => {
                    let range = tail + 1..=tail + count;
                    tail += count;
                    if lost {
                        world.lost += count;
                    } else if is_late {
                        late.push(range);
                    } else {
                        for _ in 0..=usize::from(twice) {
                            world.deliver(0, things(range.clone()));
                        }
                        late.drain(..).for_each(|range| world.deliver(0, things(range)));
                    }
                }
                Step::Marker => world.deliver(tail, vec![]),
                Step::Look => world.inbox.behind(tail),
                Step::Hole => {
                    world.absent.extend(tail + 1..=tail + count);
                    tail += count;
                }
                Step::Take(max) => world.take(max),
                Step::Fill(max) => world.fill(max),
                Step::Apply => world.apply(),
                Step::Fail => {
                    world.batch.clear();
                    world.inbox.seek(world.at());
                }
                Step::Reconnect => {
                    world.inbox.disconnected();
                    world.acked = world.tag;
                }
            }
            prop_assert!(world.inbox.bytes <= bytes_max + 80);
            let held: usize = world.inbox.waiting.values().map(Item::size).sum();
            prop_assert_eq!(held, world.inbox.bytes);
        }
        world.deliver(tail, vec![]);
        for _ in 0..2000 {
            world.take(7);
            world.apply();
            world.fill(7);
        }
        prop_assert_eq!(&world.committed, &seqs(&world.log(1..=tail)));
        prop_assert_eq!(world.inbox.unacknowledged(), 0);
        prop_assert_eq!(world.acked, world.tag);
    }

    /// Without loss nothing is called a loss, whatever is doubled or applied late.
    #[test]
    fn nothing_is_called_a_loss_without_one(
        counts in prop::collection::vec((1u64..8, any::<bool>(), 1usize..9), 1..60),
    ) {
        let now = Instant::now();
        let mut inbox = Inbox::new(OURS, 0, Limits { bytes_max: 10_000, ..LIMITS });
        let (mut tail, mut tag, mut out) = (0, 0, Vec::new());
        for (count, twice, take) in counts {
            for _ in 0..=usize::from(twice) {
                tag += 1;
                inbox.deliver(tag, &header(tail), things(tail + 1..=tail + count));
            }
            tail += count;
            out.extend(seqs(&inbox.take(take)));
            prop_assert_eq!(inbox.need(now), Need::Nothing);
        }
        out.extend(seqs(&inbox.take(1000)));
        prop_assert_eq!(out, (1..=tail).collect::<Vec<_>>());
        prop_assert_eq!(inbox.losses(), Losses::default());
    }
}
