//! The active segment's file behind the redo file: commits wait in memory until they are durable
//! as one frame, and only then reach the segment. Pages of a commit that is too large for that go
//! to their places at once: nothing names them before its header does.
//!
//! The file may be longer than the engine knows, by blocks that were made ready for it. They are
//! cut off when the file stands for itself again.

mod ops;

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

use crate::redo::{self, Frame, Writes};
use ops::{Op, lay, merge, size, split};

type Edge = Bound<u64>;
type Held<'s> = MutexGuard<'s, State>;

/// The engine's header lies below this.
const HEADER_END: u64 = 512;

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
    /// Pages of the commit that is being written are in their places already.
    spilled: bool,
    /// Length of the file as the engine sees it.
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
    /// Takes charge of the file of the segment that starts at `segment`, of which the engine is to
    /// see `len` bytes. Everything goes straight through until [`Shared::defer`].
    pub(crate) fn new(
        segment: u64,
        [main, header]: [Box<dyn StorageBackend>; 2],
        len: u64,
        redo: Box<dyn StorageBackend>,
        redo_bytes: usize,
    ) -> Arc<Shared> {
        let state = State {
            len,
            ..State::default()
        };
        Arc::new(Shared {
            segment,
            main,
            header,
            redo,
            redo_bytes,
            state: Mutex::new(state),
            locked: Mutex::default(),
        })
    }

    /// From now on a commit is durable, and seen by other processes, after [`Shared::flush`].
    pub(crate) fn defer(&self) {
        let mut state = self.state();
        state.start_lap();
        state.deferred = true;
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
        let spilled = std::mem::take(&mut state.spilled);
        if !spilled && size(&ops) <= self.frame_max() {
            return self.flush_frame(state, merge(ops));
        }
        let mut groups = split(ops).into_iter();
        if !spilled {
            // More than one commit: the pages of the first.
            state = self.apply(state, groups.next().unwrap_or_default())?;
        }
        // Synced together with all that earlier frames had put there, they start a new lap.
        self.main.sync_data()?;
        state.start_lap();
        let rest: Vec<Vec<Op>> = groups.collect();
        if rest.iter().map(|group| size(group)).sum::<usize>() <= self.frame_max() {
            return self.flush_frame(state, merge(rest.into_iter().flatten().collect()));
        }
        // Sync by sync, as the engine asked, with no frame left that could undo it.
        redo::end_lap(&*self.redo)?;
        for group in rest {
            state = self.apply(state, group)?;
            self.main.sync_data()?;
        }
        Ok(state)
    }

    /// Whether a page may go to its place now: nothing names it before the next barrier, and what
    /// waits with it would be too large for a frame.
    fn spills(&self, state: &State, page: usize) -> bool {
        let ordered = state.ops.iter().any(|op| matches!(op, Op::Barrier));
        // What the engine goes on from after a failure may not be what is durable, and the pages
        // that it takes for free may not be free.
        !state.failed && !ordered && (state.spilled || size(&state.ops) + page > self.frame_max())
    }

    /// Writes a page to its place, with those that wait.
    fn spill(&self, state: &mut State, offset: u64, page: &[u8]) -> io::Result<()> {
        state.spilled = true;
        for op in std::mem::take(&mut state.ops) {
            match op {
                Op::Write(offset, page) if offset >= HEADER_END => {
                    self.main.write(offset, &page)?;
                }
                header => state.ops.push(header),
            }
        }
        self.main.write(offset, page)
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
            if let Op::Write(offset, data) = op {
                state = self.write_main(state, offset, &data)?;
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

    /// Puts what waits into the file of a segment that has not got its name yet, in any order, and
    /// starts a lap.
    pub(crate) fn found(&self) -> io::Result<()> {
        let mut state = self.state();
        state.failed = true;
        let ops = std::mem::take(&mut state.ops);
        let mut state = self.apply(state, ops)?;
        self.main.sync_data()?;
        (state.failed, state.spilled) = (false, false);
        state.start_lap();
        Ok(())
    }

    /// Puts into the file what was written to it so far, so that less is left for the next sync
    /// of it.
    pub(crate) fn sync_ahead(&self) -> io::Result<()> {
        // Through a handle of its own: a failure is told to every handle once.
        let synced = self.header.sync_data();
        self.state().failed |= synced.is_err();
        synced
    }

    /// Flushes, puts everything into the segment durably and ends the lap: the file stands for
    /// itself again, and is as long as the engine takes it to be.
    pub(crate) fn settle(&self) -> io::Result<()> {
        self.flush()?;
        let mut state = self.state();
        let longer = self.main.len()? > state.len;
        if longer {
            self.main.set_len(state.len)?;
        }
        if state.deferred || longer {
            self.main.sync_data()?;
        }
        if state.deferred {
            redo::end_lap(&*self.redo)?;
            state.deferred = false;
        }
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
        Ok(self.0.state().len)
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
            if let Op::Write(at, data) = op {
                lay(out, offset, *at, data);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.state();
        // A file that is longer than its header says is no harm.
        if self.0.main.len()? < len {
            // Durable before anything is written there: of a write past the end, a power cut might
            // leave a part that makes the file end within a page.
            let grown = self.0.main.set_len(len);
            let grown = grown.and_then(|()| self.0.main.sync_data());
            state.failed |= grown.is_err();
            grown?;
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.state();
        if !state.deferred {
            return self.0.main.sync_data();
        }
        // Pages before a header are in no order: nothing names them yet.
        let header = |op: &Op| matches!(op, Op::Write(offset, _) if *offset < HEADER_END);
        if state.ops.iter().any(header) {
            state.ops.push(Op::Barrier);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.state();
        if !state.deferred {
            return self.0.main.write(offset, data);
        }
        if offset < HEADER_END {
            state.header_lock = self.0.locked().last().copied();
        } else if self.0.spills(&state, data.len()) {
            let spilled = self.0.spill(&mut state, offset, data);
            state.failed |= spilled.is_err();
            return spilled;
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

fn plain(e: BackendError) -> io::Error {
    match e {
        BackendError::Io(e) => e,
        e => io::Error::other(e.to_string()),
    }
}
