//! Operations on a log as data, and what their caller knows.

use crate::fault::{Fate, Machine};
use crate::{AppendError, Batch, Log, NewRecord, OpenError, RewriteError, Seq};

use super::{Setup, options};

/// One thing that a caller does with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Op {
    /// Two records with a bookmark and a cursor that cover them.
    Append,
    /// A bookmark and a cursor alone.
    Note,
    /// Everything there is, once more: it changes nothing.
    Again,
    Seal,
    /// All that can go.
    Trim,
    /// Some numbers are never given out.
    Fence,
    /// The first sealed segment, if there is one.
    Compact,
    /// Closed and opened.
    Reopen,
    /// The power goes while nothing is asked for.
    Crash,
}

/// All of them for sequences that are enumerated; [`Op::Again`] comes at the end of each anyway.
pub(super) const OPS: [Op; 8] = [
    Op::Append,
    Op::Note,
    Op::Seal,
    Op::Trim,
    Op::Fence,
    Op::Compact,
    Op::Reopen,
    Op::Crash,
];

/// What a log holds, as far as its caller can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// The last number. All records from 1 on follow from their numbers.
    pub(super) tail: u64,
    /// First and last of the numbers that have no record.
    pub(super) holes: Vec<(u64, u64)>,
    /// In the bookmark, with the records it covers.
    pub(super) bookmark: u64,
    pub(super) cursor: u64,
    /// Everything up to here is sealed, at least.
    pub(super) sealed: u64,
    /// Everything below here is trimmed, at least.
    pub(super) floor: u64,
    /// Nothing from here on is.
    pub(super) keep_from: u64,
}

impl State {
    /// The numbers from `first` on that have a record.
    pub(super) fn numbers(&self, first: u64) -> Vec<u64> {
        let in_hole = |n: &u64| self.holes.iter().any(|(from, to)| (from..=to).contains(&n));
        (first..=self.tail).filter(|n| !in_hole(n)).collect()
    }
}

/// What the caller was told, and what it was waiting for when the power went.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) now: State,
    /// Not answered: done or not done, but not in part.
    pub(super) asked: Option<State>,
}

#[derive(Debug)]
pub(super) enum Failure {
    Append(AppendError),
    Open(OpenError),
    Rewrite(RewriteError),
}

impl From<RewriteError> for Failure {
    fn from(e: RewriteError) -> Failure {
        Failure::Rewrite(e)
    }
}

impl From<AppendError> for Failure {
    fn from(e: AppendError) -> Failure {
        Failure::Append(e)
    }
}

impl From<OpenError> for Failure {
    fn from(e: OpenError) -> Failure {
        Failure::Open(e)
    }
}

pub(super) fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

/// The record that always gets this number, and this number as its key.
pub(super) fn record(n: u64) -> NewRecord {
    NewRecord {
        codec: 1,
        flags: 0,
        kind: 1,
        peer_kind: 1,
        peer_id: 7,
        message_id: n as i64,
        received_at: 1,
        source_at: 1,
        // Long enough to fill pages, so that torn sectors tear records.
        payload: vec![n as u8; 700],
        key: Some(n.to_be_bytes().to_vec()),
    }
}

const PER_BATCH: u64 = 2;
const PER_FENCE: u64 = 3;
const BOOKMARK: &str = "source";
const CURSOR: &str = "relay";

/// A batch that leads from one state to another.
fn batch(from: &State, to: &State) -> Batch {
    let cursors = (to.cursor > from.cursor).then(|| (CURSOR.into(), seq(to.cursor)));
    let changed = to.bookmark != from.bookmark;
    let bookmarks = changed.then(|| (BOOKMARK.into(), to.bookmark.to_be_bytes().to_vec()));
    Batch {
        records: to.numbers(from.tail + 1).into_iter().map(record).collect(),
        bookmarks: bookmarks.into_iter().collect(),
        cursors: cursors.into_iter().collect(),
    }
}

/// The value of the one bookmark, 0 without it.
pub(super) fn bookmark(log: &Log) -> u64 {
    let all = log.bookmarks().unwrap();
    assert!(all.len() <= 1 && all.iter().all(|(name, _)| name == BOOKMARK));
    all.first().map_or(0, |(_, value)| {
        u64::from_be_bytes(value.as_slice().try_into().unwrap())
    })
}

/// The one cursor, 0 without it.
pub(super) fn cursor(log: &Log) -> u64 {
    let all = log.reader().cursors().unwrap();
    assert!(all.len() <= 1 && all.iter().all(|(name, _)| name == CURSOR));
    all.first().map_or(0, |(_, at)| at.get())
}

impl Op {
    /// The state after the operation. Pure.
    pub(super) fn asked(self, now: &State) -> State {
        let mut next = now.clone();
        match self {
            Op::Append => {
                next.tail += PER_BATCH;
                next.bookmark += 1;
                next.cursor = next.tail - 1;
            }
            Op::Note => {
                next.bookmark += 1;
                next.cursor = next.tail;
            }
            Op::Seal => next.sealed = next.tail,
            Op::Trim => {
                next.floor = now.sealed + 1;
                next.keep_from = now.tail + 1;
            }
            Op::Fence => {
                next.tail += PER_FENCE;
                next.holes.push((now.tail + 1, next.tail));
            }
            Op::Again | Op::Compact | Op::Reopen | Op::Crash => {}
        }
        next
    }
}

/// A log, the machine it is on, and its caller.
pub(super) struct Life {
    pub(super) machine: Machine,
    pub(super) log: Option<Log>,
    pub(super) told: Told,
    setup: Setup,
    keeps_cuts: bool,
}

impl Life {
    pub(super) fn on(machine: Machine, setup: Setup) -> Life {
        let mut life = Life::off(machine, setup);
        life.open().unwrap();
        life
    }

    /// The log is not open yet.
    pub(super) fn off(machine: Machine, setup: Setup) -> Life {
        Life {
            machine,
            log: None,
            told: Told::default(),
            setup,
            keeps_cuts: false,
        }
    }

    /// Carries the operation out and is told so; after a failure it is still asked for.
    pub(super) fn take(&mut self, op: Op) -> Result<(), Failure> {
        let from = self.told.now.clone();
        let to = op.asked(&from);
        self.told.asked = Some(to.clone());
        self.carry_out(op, &from, &to)?;
        self.told = Told {
            now: to,
            asked: None,
        };
        Ok(())
    }

    /// Keeps the cuts of the machine from now on, of the one it starts again as, too.
    pub(super) fn keep_cuts(&mut self) {
        self.keeps_cuts = true;
        self.machine.keep_cuts();
    }

    pub(super) fn open(&mut self) -> Result<(), Failure> {
        self.log = Some(Log::open_on(&self.machine, options(self.setup))?);
        Ok(())
    }

    pub(super) fn setup(&self) -> Setup {
        self.setup
    }

    fn log(&mut self) -> Result<&mut Log, Failure> {
        self.log.as_mut().ok_or(AppendError::Poisoned.into())
    }

    fn carry_out(&mut self, op: Op, from: &State, to: &State) -> Result<(), Failure> {
        match op {
            Op::Append | Op::Note => {
                self.log()?.append(&batch(from, to))?;
            }
            Op::Again => {
                let log = self.log()?;
                let all = batch(&State::default(), from);
                let done = log.append(&all)?;
                assert_eq!(done.tail.map_or(0, Seq::get), from.tail);
            }
            Op::Seal => self.log()?.seal()?,
            Op::Fence => {
                self.log()?.fence(seq(to.tail))?;
            }
            Op::Compact => {
                let log = self.log()?;
                let segments = log.reader().segments().unwrap();
                if segments[0].sealed {
                    log.compact(segments[0].first)?;
                }
            }
            Op::Trim => {
                self.log()?.trim(seq(to.keep_from))?;
            }
            Op::Reopen => {
                if let Some(log) = self.log.take() {
                    log.close()?;
                }
                self.open()?;
            }
            Op::Crash => {
                self.machine = self.machine.restart(Fate::Lost);
                if self.keeps_cuts {
                    self.machine.keep_cuts();
                }
                self.log = None;
                self.open()?;
            }
        }
        Ok(())
    }
}
