//! Operations on a log as data, and what they ask for. Pure.

use super::Setup;

/// One thing that is done with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Op {
    /// Two records with a bookmark and a cursor that cover them.
    Append,
    /// A bookmark and a cursor alone.
    Note,
    /// Everything there is, once more: it changes nothing.
    Again,
    Seal,
    /// All that can go; into the archive, where there is one.
    Trim,
    /// Some numbers are never given out.
    Fence,
    /// The first sealed segment, if there is one.
    Compact,
    /// The same, into the archive; it stays in the log.
    Archive,
    /// All that is sealed.
    Backup,
    /// Everything is sealed, backed up and restored elsewhere, where the log goes on.
    Restore,
    /// The first sector of a sealed segment is zeroed, and the log salvaged: nothing is lost.
    Mend,
    /// The same, with the last record of the segment damaged wherever it is.
    Lose,
    /// The first sector of the active segment is zeroed, and the log salvaged.
    LoseEnd,
    /// Closed and opened.
    Reopen,
    /// The power goes while nothing is asked for.
    Crash,
}

/// All of them for sequences that are enumerated; [`Op::Again`] comes at the end of each anyway.
pub(super) const OPS: [Op; 14] = [
    Op::Append,
    Op::Note,
    Op::Seal,
    Op::Trim,
    Op::Fence,
    Op::Compact,
    Op::Archive,
    Op::Backup,
    Op::Restore,
    Op::Mend,
    Op::Lose,
    Op::LoseEnd,
    Op::Reopen,
    Op::Crash,
];

/// The values of the one bookmark and the one cursor, 0 without them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Marks {
    /// With the records it covers.
    pub(super) bookmark: u64,
    pub(super) cursor: u64,
}

/// What a log holds, as far as its caller can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// How often the log was restored; each time in a directory of its own.
    pub(super) life: u32,
    /// Where the backup started that it was restored from: it knows no hole below.
    pub(super) base: u64,
    /// The last number. All records from 1 on follow from their numbers.
    pub(super) tail: u64,
    /// First and last of the numbers that have no record; no two of them touch.
    pub(super) holes: Vec<(u64, u64)>,
    pub(super) marks: Marks,
    /// Older ones are as good: those of the active segment were lost.
    pub(super) marks_lost: bool,
    /// The active segment was salvaged: records that were never acknowledged may have come back,
    /// as the records of their numbers.
    pub(super) end_lost: bool,
    /// Everything up to here is sealed, at least.
    pub(super) sealed: u64,
    /// As they were then.
    pub(super) sealed_marks: Marks,
    /// Older ones are as good: those of the last sealed segment were in what was damaged.
    pub(super) sealed_marks_lost: bool,
    /// Everything below here is trimmed, at least.
    pub(super) floor: u64,
    /// Nothing from here on is.
    pub(super) keep_from: u64,
    /// Nothing past here is in the archive.
    pub(super) archived: u64,
    /// Everything up to here is in the backup.
    pub(super) backed_up: u64,
}

impl State {
    /// The numbers from `first` on that have a record.
    pub(super) fn numbers(&self, first: u64) -> Vec<u64> {
        (first..=self.tail).filter(|n| !self.in_hole(*n)).collect()
    }

    fn in_hole(&self, n: u64) -> bool {
        self.holes
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&n))
    }

    /// The number that [`Op::Lose`] takes away: the last that is known to be sealed, if it can be
    /// lost.
    pub(super) fn losable(&self) -> Option<u64> {
        let n = self.sealed;
        let lost = n == 0 || self.in_hole(n) || n < self.keep_from || n <= self.archived;
        (!lost).then_some(n)
    }

    /// The holes that the log knows.
    pub(super) fn known_holes(&self) -> Vec<(u64, u64)> {
        clipped(&self.holes, self.base)
    }

    /// Whether a log with these holes has what is asked for.
    pub(super) fn has_holes(&self, found: &[(u64, u64)]) -> bool {
        let known = self.known_holes();
        let inside = |(from, to): &(u64, u64)| known.iter().any(|it| it.0 <= *from && *to <= it.1);
        found == known || self.end_lost && found.iter().all(inside)
    }

    /// The log was found with these holes.
    pub(super) fn found_holes(&mut self, found: Vec<(u64, u64)>) {
        if std::mem::take(&mut self.end_lost) {
            let below = self.base.saturating_sub(1);
            let older = self.holes.iter().map(|(from, to)| (*from, below.min(*to)));
            let older = older.filter(|(from, to)| from <= to);
            self.holes = joined(older.chain(found).collect());
        }
    }

    fn skip_to(&mut self, to: u64) {
        self.holes.push((self.tail + 1, to));
        self.holes = joined(std::mem::take(&mut self.holes));
        self.tail = to;
    }

    fn seal(&mut self) {
        if self.tail > self.sealed {
            self.sealed_marks = self.marks;
            self.sealed_marks_lost = false;
        }
        self.sealed = self.tail;
    }
}

/// Ranges in order, those that touch made one.
pub(super) fn joined(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::new();
    for (from, to) in ranges {
        match out.last_mut() {
            Some(last) if last.1 + 1 >= from => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out
}

/// What of the ranges is not below `first`.
fn clipped(ranges: &[(u64, u64)], first: u64) -> Vec<(u64, u64)> {
    let clipped = ranges.iter().map(|(from, to)| (*from.max(&first), *to));
    clipped.filter(|(from, to)| from <= to).collect()
}

const PER_BATCH: u64 = 2;
const PER_FENCE: u64 = 3;

impl Op {
    /// The state after the operation.
    pub(super) fn asked(self, now: &State, setup: Setup) -> State {
        let mut next = now.clone();
        match self {
            Op::Append => {
                next.tail += PER_BATCH;
                next.marks.bookmark += 1;
                next.marks.cursor = next.tail - 1;
            }
            Op::Note => {
                next.marks.bookmark += 1;
                next.marks.cursor = next.tail;
            }
            Op::Seal => next.seal(),
            Op::Trim if setup.archives() => next.archived = now.tail,
            Op::Trim => {
                next.floor = now.sealed + 1;
                next.keep_from = now.tail + 1;
            }
            Op::Archive if setup.archives() => next.archived = now.tail,
            // What was trimmed since the last one cannot be added to it.
            Op::Backup if now.keep_from <= now.backed_up + 1 => next.backed_up = now.sealed,
            Op::Fence => next.skip_to(now.tail + PER_FENCE),
            // Nothing but keys is left to be backed up.
            Op::Restore if now.floor > now.tail => {
                next = State {
                    life: now.life + 1,
                    keep_from: now.tail + PER_FENCE + 1,
                    archived: now.archived,
                    ..State::default()
                };
                next.skip_to(now.tail + PER_FENCE);
            }
            Op::Restore => {
                next.seal();
                next.life += 1;
                next.base = now.base.max(now.floor);
                next.marks = next.sealed_marks;
                next.marks_lost = std::mem::take(&mut next.sealed_marks_lost);
                next.backed_up = 0;
                next.skip_to(now.tail + PER_FENCE);
            }
            Op::Mend => next.sealed_marks_lost = true,
            Op::Lose => {
                next.sealed_marks_lost = true;
                if let Some(n) = now.losable() {
                    next.holes.push((n, n));
                    next.holes = joined(next.holes);
                }
            }
            Op::LoseEnd => {
                // Numbers that were skipped at the end of the damaged segment are told by nothing
                // else; they may come to lie in the next one.
                let last = now.numbers(1).last().copied();
                next.sealed = now.sealed.max(last.unwrap_or(0));
                next.marks_lost = true;
                next.end_lost = true;
                next.skip_to(now.tail + PER_FENCE);
            }
            Op::Archive | Op::Backup => {}
            Op::Again | Op::Compact | Op::Reopen | Op::Crash => {}
        }
        next
    }
}

/// What the caller was told, and what it was waiting for when the power went.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) now: State,
    /// Not answered: done or not done, but not in part.
    pub(super) asked: Option<(Op, State)>,
}

impl Told {
    /// Nothing is under way.
    pub(super) fn known(now: State) -> Told {
        Told { now, asked: None }
    }

    /// The operation is under way.
    pub(super) fn asking(now: State, op: Op, setup: Setup) -> Told {
        let asked = Some((op, op.asked(&now, setup)));
        Told { now, asked }
    }
}
