//! The life of a log: its machine, its caller, and how operations are carried out.

use std::sync::Arc;

use crate::archive::ArchiveError;
use crate::backup::{BackupError, backup_on};
use crate::fault::{Fate, Machine};
use crate::salvage::salvage_on;
use crate::{
    AppendError, Batch, Log, NewRecord, OpenError, ReadError, RestoreError, RewriteError, Seq,
};

use super::op::{Marks, Op, State, Told, joined};
use super::wreck::{self, Deriving};
use super::{Setup, options};

#[derive(Debug)]
pub(super) enum Failure {
    Append(AppendError),
    Open(OpenError),
    /// What leaves the handle as it is.
    Beside(Box<dyn std::error::Error>),
}

impl Failure {
    /// Whether the handle is not to be used any more.
    pub(super) fn poisons(&self) -> bool {
        match self {
            Failure::Append(e) => e.poisons(),
            Failure::Open(_) => true,
            Failure::Beside(_) => false,
        }
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

macro_rules! beside {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(e: $error) -> Failure {
                Failure::Beside(e.into())
            }
        }
    )*};
}
beside!(
    ArchiveError,
    BackupError,
    ReadError,
    RestoreError,
    RewriteError
);

pub(super) fn seq(n: u64) -> Seq {
    Seq::new(n).unwrap()
}

/// The record that always gets this number, and this number as its key.
pub(super) fn record(n: u64) -> NewRecord {
    NewRecord {
        // Long enough to fill pages, so that torn sectors tear records.
        payload: vec![n as u8; 700],
        ..crate::testing::record(n)
    }
}

const BOOKMARK: &str = "source";
const CURSOR: &str = "relay";

/// A batch that leads from one state to another.
fn batch(from: &State, to: &State) -> Batch {
    let (was, is) = (from.marks, to.marks);
    let cursors = (is.cursor > was.cursor).then(|| (CURSOR.into(), seq(is.cursor)));
    let changed = is.bookmark != was.bookmark;
    let bookmarks = changed.then(|| (BOOKMARK.into(), is.bookmark.to_be_bytes().to_vec()));
    Batch {
        records: to.numbers(from.tail + 1).into_iter().map(record).collect(),
        bookmarks: bookmarks.into_iter().collect(),
        cursors: cursors.into_iter().collect(),
    }
}

pub(super) fn marks(log: &Log) -> Marks {
    let bookmarks = log.bookmarks().unwrap();
    assert!(bookmarks.len() <= 1 && bookmarks.iter().all(|(name, _)| name == BOOKMARK));
    let bookmark = bookmarks.first().map_or(0, |(_, value)| {
        u64::from_be_bytes(value.as_slice().try_into().unwrap())
    });
    let cursors = log.reader().cursors().unwrap();
    assert!(cursors.len() <= 1 && cursors.iter().all(|(name, _)| name == CURSOR));
    let cursor = cursors.first().map_or(0, |(_, at)| at.get());
    Marks { bookmark, cursor }
}

/// A full segment is sealed unasked, mostly by the append that comes after.
fn sealed_unasked(sealed: u64, from: &State, to: &mut State) {
    if sealed > to.sealed {
        let before = sealed == from.tail;
        to.sealed_marks = if before { from.marks } else { to.marks };
        to.sealed_marks_lost = false;
        to.sealed = sealed;
    }
}

/// First and last of the numbers that have no record; no two of them touch.
pub(super) fn holes(log: &Log) -> Vec<(u64, u64)> {
    let holes = log.reader().holes().unwrap();
    let ends = holes.iter().map(|hole| (hole.first.get(), hole.last.get()));
    joined(ends.collect())
}

/// The last number that is sealed, 0 without one.
pub(super) fn sealed(log: &Log) -> u64 {
    let segments = log.reader().segments().unwrap();
    segments.last().map_or(0, |it| it.first.get() - 1)
}

/// The directory of the log, in this one of its lives.
pub(super) fn log_dir(machine: &Machine, life: u32) -> Machine {
    machine.dir(&format!("log-{life}"))
}

/// The directory of its backup.
pub(super) fn backup_dir(machine: &Machine, life: u32) -> Machine {
    machine.dir(&format!("backup-{life}"))
}

/// A log, the machine it is on, and its caller.
pub(super) struct Life {
    pub(super) machine: Machine,
    pub(super) log: Option<Log>,
    pub(super) told: Told,
    setup: Setup,
    keeps_cuts: bool,
    /// Nothing is read that is not asked for: it would meet the failures that the log is to meet.
    pub(super) asks_only: bool,
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
            asks_only: false,
        }
    }

    /// Goes on after what happened to the machine.
    pub(super) fn after(machine: Machine, setup: Setup, told: Told) -> Result<Life, Failure> {
        let log = wreck::recover(&machine, setup, &told)?;
        let mut life = Life::off(machine, setup);
        (life.log, life.told) = (Some(log), told);
        Ok(life)
    }

    /// Carries the operation out and is told so; after a failure it is still asked for.
    pub(super) fn take(&mut self, op: Op) -> Result<(), Failure> {
        let from = self.told.now.clone();
        let mut to = op.asked(&from, self.setup);
        self.told.asked = Some((op, to.clone()));
        self.carry_out(op, &from, &to)?;
        if std::mem::take(&mut to.marks_lost) {
            let log = self.log()?;
            to.marks = marks(log);
            to.sealed_marks = to.marks;
            to.sealed = sealed(log);
            let holes = holes(log);
            assert!(to.has_holes(&holes), "{holes:?}, asked for {to:?}");
            to.found_holes(holes);
        }
        if !self.asks_only {
            sealed_unasked(sealed(self.log()?), &from, &mut to);
        }
        self.told = Told::known(to);
        Ok(())
    }

    /// Keeps the cuts of the machine from now on, of the one it starts again as, too.
    pub(super) fn keep_cuts(&mut self) {
        self.keeps_cuts = true;
        self.machine.keep_cuts();
    }

    pub(super) fn open(&mut self) -> Result<(), Failure> {
        let dir = log_dir(&self.machine, self.told.now.life);
        self.log = Some(Log::open_on(&dir, options(self.setup))?);
        Ok(())
    }

    pub(super) fn setup(&self) -> Setup {
        self.setup
    }

    fn close(&mut self) -> Result<(), Failure> {
        match self.log.take() {
            Some(log) => Ok(log.close()?),
            None => Ok(()),
        }
    }

    fn log(&mut self) -> Result<&mut Log, Failure> {
        self.log.as_mut().ok_or(AppendError::Poisoned.into())
    }

    /// Where the first sealed segment in the log's own directory starts.
    fn first_sealed(&mut self) -> Result<Option<Seq>, Failure> {
        let segments = self.log()?.reader().segments()?;
        let mut sealed = segments.iter().filter(|it| it.sealed && !it.archived);
        Ok(sealed.next().map(|it| it.first))
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
                if let Some(first) = self.first_sealed()? {
                    self.log()?.compact(first)?;
                }
            }
            Op::Trim => {
                self.log()?.trim(seq(from.tail + 1))?;
            }
            Op::Archive => {
                if let (Some(first), Some(archiver)) =
                    (self.first_sealed()?, self.log()?.archiver())
                {
                    archiver.archive(first)?;
                }
            }
            Op::Backup => {
                if to.backed_up == from.sealed {
                    let dir = backup_dir(&self.machine, from.life);
                    backup_on(&self.log()?.reader(), &dir)?;
                }
            }
            Op::Restore => {
                self.close()?;
                wreck::restore(&self.machine, self.setup, from, to)?;
                self.told.now.life = to.life;
                self.open()?;
            }
            Op::Mend | Op::Lose | Op::LoseEnd => {
                let segment = wreck::victim(self.log()?, op, from)?;
                self.close()?;
                if let Some(first) = segment {
                    let dir = log_dir(&self.machine, from.life);
                    wreck::damage(&dir, first, from.losable().filter(|_| op == Op::Lose));
                    let fence = Some(seq(to.tail));
                    salvage_on(Arc::new(dir), options(self.setup), fence, Some(&Deriving))?;
                }
                self.open()?;
            }
            Op::Reopen => {
                self.close()?;
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
