//! The active segment's file behind the redo file: commits wait in memory until they are durable
//! as one frame, and only then reach the segment.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

use crate::redo::{self, Frame, Writes};

type Edge = Bound<u64>;
type Held<'s> = MutexGuard<'s, State>;

/// The engine's header lies below this.
const HEADER_END: u64 = 512;

/// What the engine did since the last flush, in order.
#[derive(Debug)]
enum Op {
    Write(u64, Vec<u8>),
    Length(u64),
    /// What comes after must not be durable before what came before.
    Barrier,
}

/// Shared by the engine, which holds a [`Guarded`], and the writer, which flushes.
#[derive(Debug)]
pub(crate) struct Shared {
    segment: u64,
    main: Box<dyn StorageBackend>,
    /// The same file, opened once more: locks belong to an open file, and those of `main` are
    /// the engine's, whose readers of this process hold them too.
    header: Box<dyn StorageBackend>,
    redo: Box<dyn StorageBackend>,
    redo_bytes: usize,
    state: Mutex<State>,
    /// The ranges that the engine holds exclusively. Apart from `state`, which a flush keeps while
    /// it waits for readers to let go of the header: they let go of other ranges first, and that
    /// must not wait for the flush.
    locked: Mutex<Vec<(Edge, Edge)>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether commits wait for [`Shared::flush`]. Until then everything goes straight through.
    deferred: bool,
    ops: Vec<Op>,
    /// Length of the file with what waits.
    len: u64,
    mark: u64,
    /// Frames of the lap, and where the next one goes.
    place: u64,
    at: usize,
    /// The range the engine locks around writes of the header, so that readers in other
    /// processes never see half of one.
    header_lock: Option<(Edge, Edge)>,
    /// After any I/O error nothing is known of what is durable.
    failed: bool,
    frame: Vec<u8>,
}

impl Shared {
    /// Takes charge of the file of the segment that starts at `segment`. Everything goes straight
    /// through until [`Shared::defer`].
    pub(crate) fn new(
        segment: u64,
        [main, header]: [Box<dyn StorageBackend>; 2],
        redo: Box<dyn StorageBackend>,
        redo_bytes: usize,
    ) -> Arc<Shared> {
        Arc::new(Shared {
            segment,
            main,
            header,
            redo,
            redo_bytes,
            state: Mutex::default(),
            locked: Mutex::default(),
        })
    }

    /// From now on a commit is durable, and seen by other processes, after [`Shared::flush`].
    pub(crate) fn defer(&self) -> io::Result<()> {
        let mut state = self.state();
        state.len = self.main.len()?;
        state.start_lap();
        state.deferred = true;
        Ok(())
    }

    /// Largest frame: a larger commit goes to the segment itself, since writing it twice costs
    /// more than a second sync.
    fn frame_max(&self) -> usize {
        (self.redo_bytes / 2).min(128 << 10)
    }

    /// Makes durable what the engine committed, and then shows it to other processes.
    ///
    /// # Errors
    /// Of the file system; the file must be opened again after one.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        if !state.deferred || state.ops.is_empty() {
            return Ok(());
        }
        state.failed = true;
        self.flush_ops(state)?.failed = false;
        Ok(())
    }

    fn flush_ops<'s>(&'s self, mut state: Held<'s>) -> io::Result<Held<'s>> {
        let ops = std::mem::take(&mut state.ops);
        let resized = ops.iter().any(|op| matches!(op, Op::Length(_)));
        if !resized && size(&ops) <= self.frame_max() {
            return self.flush_frame(state, merge(ops));
        }
        let mut groups = split(ops).into_iter().peekable();
        if !resized {
            // The first group (pages that nothing names yet) goes to its place. Synced together
            // with all that earlier frames had put there, it starts a new lap.
            state = self.apply(state, groups.next().unwrap_or_default())?;
        }
        self.main.sync_data()?;
        state.start_lap();
        let rest: Vec<Vec<Op>> = groups.collect();
        if !resized && rest.iter().map(|group| size(group)).sum::<usize>() <= self.frame_max() {
            return self.flush_frame(state, merge(rest.into_iter().flatten().collect()));
        }
        // More than one commit, or one that changed the file's length: sync by sync, as the
        // engine asked, with no frame left that could undo it.
        redo::end_lap(&*self.redo)?;
        for group in rest {
            state = self.apply(state, group)?;
            self.main.sync_data()?;
        }
        Ok(state)
    }

    fn flush_frame<'s>(&'s self, mut state: Held<'s>, writes: Writes) -> io::Result<Held<'s>> {
        if state.at + redo::encoded_len_max(&writes) > self.redo_bytes {
            self.main.sync_data()?;
            state.start_lap();
        }
        let frame = Frame {
            mark: state.mark,
            place: state.place,
            segment: self.segment,
            len: state.len,
            writes,
        };
        let mut bytes = std::mem::take(&mut state.frame);
        frame.encode(&mut bytes);
        self.redo.write(state.at as u64, &bytes)?;
        self.redo.sync_data()?;
        state.place += 1;
        state.at += bytes.len();
        state.frame = bytes;
        // The header, at offset 0, last: it names what the others hold.
        for (offset, data) in frame.writes.into_iter().rev() {
            state = self.write_main(state, offset, &data)?;
        }
        Ok(state)
    }

    fn apply<'s>(&'s self, mut state: Held<'s>, group: Vec<Op>) -> io::Result<Held<'s>> {
        for op in group {
            match op {
                Op::Write(offset, data) => state = self.write_main(state, offset, &data)?,
                Op::Length(len) => self.main.set_len(len)?,
                Op::Barrier => {}
            }
        }
        Ok(state)
    }

    /// Lets go of the state while it waits for readers to let go of the header: they may have to
    /// read first. They find the pages of the new commit in their places by then.
    fn write_main<'s>(&'s self, state: Held<'s>, offset: u64, data: &[u8]) -> io::Result<Held<'s>> {
        let header = state.header_lock.filter(|_| offset < HEADER_END);
        let Some((start, end)) = header.filter(|range| !self.locked().contains(range)) else {
            self.main.write(offset, data)?;
            return Ok(state);
        };
        drop(state);
        self.header.lock_range(start, end).map_err(plain)?;
        let written = self.header.write(offset, data);
        self.header.unlock_range(start, end).map_err(plain)?;
        written.map(|()| self.state())
    }

    /// Flushes, puts everything into the segment durably and ends the lap: the file stands for
    /// itself again.
    pub(crate) fn settle(&self) -> io::Result<()> {
        self.flush()?;
        let mut state = self.state();
        if !state.deferred {
            return Ok(());
        }
        self.main.sync_data()?;
        redo::end_lap(&*self.redo)?;
        state.deferred = false;
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, Vec<(Edge, Edge)>> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn start_lap(&mut self) {
        (self.mark, self.place, self.at) = (redo::new_mark(), 0, 0);
    }
}

/// The engine's view of the file.
#[derive(Debug)]
pub(crate) struct Guarded(pub(crate) Arc<Shared>);

impl StorageBackend for Guarded {
    fn len(&self) -> io::Result<u64> {
        let state = self.0.state();
        if state.deferred {
            Ok(state.len)
        } else {
            self.0.main.len()
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.state();
        if !state.deferred || state.ops.is_empty() {
            return self.0.main.read(offset, out);
        }
        let there = self.0.main.len()?.saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        out[there..].fill(0);
        self.0.main.read(offset, &mut out[..there])?;
        for op in &state.ops {
            match op {
                Op::Write(at, data) => lay(out, offset, *at, data),
                Op::Length(len) => {
                    let kept = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX);
                    out.get_mut(kept..).unwrap_or_default().fill(0);
                }
                Op::Barrier => {}
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.state();
        if !state.deferred {
            return self.0.main.set_len(len);
        }
        state.len = len;
        state.ops.push(Op::Length(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.state();
        if !state.deferred {
            return self.0.main.sync_data();
        }
        state.ops.push(Op::Barrier);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.state();
        if !state.deferred {
            return self.0.main.write(offset, data);
        }
        if offset < HEADER_END {
            state.header_lock = self.0.locked().last().copied();
        }
        state.ops.push(Op::Write(offset, data.to_vec()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        let settled = self.0.settle();
        let closed = [&self.0.main, &self.0.header, &self.0.redo].map(|file| file.close());
        closed.into_iter().fold(settled, Result::and)
    }

    fn try_lock_range(&self, start: Edge, end: Edge) -> Result<bool, BackendError> {
        let given = self.0.main.try_lock_range(start, end)?;
        if given {
            self.0.locked().push((start, end));
        }
        Ok(given)
    }

    fn try_lock_shared_range(&self, start: Edge, end: Edge) -> Result<bool, BackendError> {
        self.0.main.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Edge, end: Edge) -> Result<(), BackendError> {
        self.0.main.lock_range(start, end)?;
        self.0.locked().push((start, end));
        Ok(())
    }

    fn lock_shared_range(&self, start: Edge, end: Edge) -> Result<(), BackendError> {
        self.0.main.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Edge, end: Edge) -> Result<(), BackendError> {
        self.0.main.unlock_range(start, end)?;
        self.0.locked().retain(|range| *range != (start, end));
        Ok(())
    }

    fn query_lock_range(&self, start: Edge, end: Edge) -> Result<bool, BackendError> {
        self.0.main.query_lock_range(start, end)
    }
}

/// Copies what of `data` at `at` falls into `out` at `offset`.
fn lay(out: &mut [u8], offset: u64, at: u64, data: &[u8]) {
    let from = at.max(offset);
    let to = (at + data.len() as u64).min(offset + out.len() as u64);
    if from < to {
        let part = &data[(from - at) as usize..(to - at) as usize];
        out[(from - offset) as usize..(to - offset) as usize].copy_from_slice(part);
    }
}

fn plain(e: BackendError) -> io::Error {
    match e {
        BackendError::Io(e) => e,
        e => io::Error::other(e.to_string()),
    }
}

fn size(ops: &[Op]) -> usize {
    let data = ops.iter().map(|op| match op {
        Op::Write(_, data) => data.len(),
        Op::Length(_) | Op::Barrier => 0,
    });
    data.sum()
}

/// The groups between barriers; none is empty.
fn split(ops: Vec<Op>) -> Vec<Vec<Op>> {
    let mut groups = Vec::new();
    let mut group = Vec::new();
    for op in ops {
        match op {
            Op::Barrier => groups.push(std::mem::take(&mut group)),
            op => group.push(op),
        }
    }
    groups.push(group);
    groups.retain(|group| !group.is_empty());
    groups
}

/// The net effect of writes in order: a later one hides what it covers of earlier ones.
fn merge(ops: Vec<Op>) -> Writes {
    let mut merged: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for op in ops {
        let Op::Write(offset, data) = op else {
            continue;
        };
        overlay(&mut merged, offset, data);
    }
    merged
}

/// Puts one write over the others. The engine writes whole pages, and pages of its own making
/// never overlap by parts within one commit, except that a page may be freed and its place used
/// by one of another size.
fn overlay(merged: &mut Writes, offset: u64, data: Vec<u8>) {
    let end = offset + data.len() as u64;
    let before = merged.range(..offset).next_back();
    let left = before.filter(|(at, old)| **at + old.len() as u64 > offset);
    if let Some(at) = left.map(|(at, _)| *at) {
        let mut old = merged.remove(&at).unwrap_or_default();
        let old_end = at + old.len() as u64;
        if old_end > end {
            merged.insert(end, old.split_off((end - at) as usize));
        }
        old.truncate((offset - at) as usize);
        merged.insert(at, old);
    }
    let covered: Vec<u64> = merged.range(offset..end).map(|(at, _)| *at).collect();
    for at in covered {
        let mut old = merged.remove(&at).unwrap_or_default();
        if at + old.len() as u64 > end {
            merged.insert(end, old.split_off((end - at) as usize));
        }
    }
    merged.insert(offset, data);
}
