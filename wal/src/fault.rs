//! A machine whose power can be cut and whose disk can fail: directories in memory that remember
//! what was not yet synced.
//!
//! ```text
//! write --> current --sync--> durable
//!               \--- power cut: a part of the unsynced writes, chosen by `Fate`, survives
//! ```
//!
//! Names are treated like contents: creating, renaming and removing a file is durable only after
//! its directory was synced. Of unsynced name changes the first ones survive, since file systems
//! keep their order. Byte-range locks are always granted: one process uses a machine at a time.

mod bytes;
mod disk;
mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

pub use disk::{FATES, Fate};

use crate::storage::{Access, LockError, LockGuard, Role, Storage};
use disk::{Disk, File, NameChange};
use file::OpenFile;

/// A directory of a machine whose power can be cut. Clones are the same machine.
#[derive(Clone, Default)]
pub struct Machine {
    state: Arc<Mutex<State>>,
    /// Of the names in this directory, with the slash at its end; empty at the top.
    prefix: String,
}

/// What a disk is asked to do and can fail at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    /// Making a file or a directory durable. What was not synced of the file before is lost by
    /// a failure, although reads show it until the machine starts again.
    Sync,
    /// Writing or resizing a file. A write that fails may have been done in part.
    Write,
    /// Reading from a file.
    Read,
}

#[derive(Default)]
struct State {
    disk: Disk,
    done: [u64; 3],
    fail_at: Option<(Io, u64)>,
    cut_at: Option<u64>,
    capacity: Option<u64>,
    off: bool,
    lies: bool,
    locked: BTreeSet<String>,
    /// The disk at each sync asked for, while they are kept.
    cuts: Option<Vec<Cut>>,
    /// File and place of each read.
    reads: BTreeSet<(usize, usize, usize)>,
}

/// A machine at a moment at which its power could have been cut.
#[derive(Clone)]
pub struct Cut {
    disk: Disk,
    prefix: String,
}

impl Cut {
    /// The machine as it starts again if the power went at that moment.
    pub fn restart(&self, fate: Fate) -> Machine {
        self.running(self.disk.survivor(fate))
    }

    /// The machine as it goes on if only the process died at that moment: what was not synced is
    /// there, and is still lost by a power cut.
    pub fn kill(&self) -> Machine {
        self.running(self.disk.clone())
    }

    fn running(&self, disk: Disk) -> Machine {
        let state = State {
            disk,
            ..State::default()
        };
        Machine {
            state: Arc::new(Mutex::new(state)),
            prefix: self.prefix.clone(),
        }
    }
}

impl State {
    /// Counts an operation, or fails it.
    fn count(&mut self, io: Io) -> io::Result<()> {
        let done = &mut self.done[io as usize];
        *done += 1;
        if self.fail_at == Some((io, *done)) {
            return Err(io::Error::other(format!("{io:?} failed")));
        }
        Ok(())
    }
}

impl Machine {
    /// A running machine with an empty directory.
    pub fn new() -> Machine {
        Machine::default()
    }

    /// A directory of the same machine, below the top one; it is there already. Power, disk and
    /// the counts of operations are those of the whole machine, the lock is its own.
    pub fn dir(&self, name: &str) -> Machine {
        Machine {
            state: Arc::clone(&self.state),
            prefix: format!("{name}/"),
        }
    }

    /// Cuts the power when sync number `sync` (from 1) is asked for: it does not happen, and
    /// everything from then on fails.
    pub fn cut_power_at(&self, sync: u64) {
        self.state().cut_at = Some(sync);
    }

    /// Lets operation number `nth` (from 1) of a kind fail, once: the next of its kind succeeds.
    pub fn fail_at(&self, io: Io, nth: u64) {
        self.state().fail_at = Some((io, nth));
    }

    /// From now on syncs do nothing and succeed: what a test that counts on syncs must catch.
    pub fn lie_about_syncs(&self) {
        self.state().lies = true;
    }

    /// Operations of a kind so far, of files and directories.
    pub fn done(&self, io: Io) -> u64 {
        self.state().done[io as usize]
    }

    /// Syncs so far, of files and of directories.
    pub fn syncs(&self) -> u64 {
        self.done(Io::Sync)
    }

    /// Limits the disk to so many bytes in all files together; `None` lifts the limit. Growing
    /// past it fails as on a full disk.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes in all files that have a name.
    pub fn used(&self) -> u64 {
        self.state().disk.used()
    }

    /// Whether the power was cut.
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// The bytes of a file as a reader sees them, for tests that damage it.
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let file = *state.disk.names.get(&self.path(name))?;
        Some(state.disk.files[file].current.to_vec())
    }

    /// Which bytes of a file were ever read, on this machine and by it. Others do not matter.
    pub fn read_bytes(&self, name: &str) -> Vec<bool> {
        let state = self.state();
        let Some(file) = state.disk.names.get(&self.path(name)) else {
            return Vec::new();
        };
        let mut read = vec![false; state.disk.files[*file].current.len()];
        for (_, at, len) in state.reads.iter().filter(|(of, _, _)| of == file) {
            let end = (at + len).min(read.len());
            read[(*at).min(end)..end].fill(true);
        }
        read
    }

    /// Puts a durable file under the name, whatever was there.
    pub fn put_file(&self, name: &str, bytes: Vec<u8>) {
        let path = self.path(name);
        self.state().disk.put(&path, &bytes);
    }

    /// Keeps from now on what a power cut at each sync would leave: one run then shows every
    /// cut, instead of one run for each.
    pub fn keep_cuts(&self) {
        self.state().cuts = Some(Vec::new());
    }

    /// The cuts kept, one for each sync since, and an end of keeping them.
    pub fn take_cuts(&self) -> Vec<Cut> {
        self.state().cuts.take().unwrap_or_default()
    }

    /// The cut at this moment.
    pub fn cut(&self) -> Cut {
        Cut {
            disk: self.state().disk.clone(),
            prefix: self.prefix.clone(),
        }
    }

    /// A number that tells what the disk holds from what another holds, as good as always: for
    /// tests that try each disk once.
    pub fn fingerprint(&self) -> u64 {
        self.state().disk.fingerprint()
    }

    /// Takes a file away, durably.
    pub fn remove_file(&self, name: &str) {
        let path = self.path(name);
        self.state().disk.take(&path);
    }

    /// Cuts the power now, if it is still on, and gives the machine as it starts again, in the
    /// same directory.
    pub fn restart(&self, fate: Fate) -> Machine {
        self.state().off = true;
        self.cut().restart(fate)
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn powered(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.off {
            Err(io::Error::other("the power is off"))
        } else {
            Ok(state)
        }
    }

    /// Cuts the power if this sync is the one to cut it at. The caller counts the sync.
    fn sync(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.powered()?;
        if state.cuts.is_some() {
            let cut = Cut {
                disk: state.disk.clone(),
                prefix: self.prefix.clone(),
            };
            state.cuts.get_or_insert_default().push(cut);
        }
        if state.cut_at == Some(state.done[Io::Sync as usize] + 1) {
            state.off = true;
            return Err(io::Error::other("the power went off"));
        }
        Ok(state)
    }
}

fn absent(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, name.to_owned())
}

impl Storage for Machine {
    fn threads(&self) -> bool {
        false
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.powered()?;
        let names = state.disk.names.keys();
        let here = names.filter(|name| disk::directory(name) == self.prefix);
        Ok(here
            .map(|name| name[self.prefix.len()..].to_owned())
            .collect())
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageBackend>> {
        let path = self.path(name);
        let mut state = self.powered()?;
        let file = if access == Access::Create {
            state.disk.files.push(File::default());
            let file = state.disk.files.len() - 1;
            state.disk.change_name(NameChange::Create(path, file));
            file
        } else {
            *state.disk.names.get(&path).ok_or_else(|| absent(name))?
        };
        Ok(Box::new(OpenFile {
            machine: self.clone(),
            file,
        }))
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        let state = self.powered()?;
        let file = state.disk.names.get(&self.path(name));
        let file = *file.ok_or_else(|| absent(name))?;
        Ok(state.disk.files[file].current.len() as u64)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.powered()?;
        if !state.disk.names.contains_key(&self.path(from)) {
            return Err(absent(from));
        }
        let change = NameChange::Rename(self.path(from), self.path(to));
        state.disk.change_name(change);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.powered()?;
        if !state.disk.names.contains_key(&self.path(name)) {
            return Err(absent(name));
        }
        let change = NameChange::Remove(self.path(name));
        state.disk.change_name(change);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.sync()?;
        state.count(Io::Sync)?;
        if !state.lies {
            state.disk.sync_names(&self.prefix);
        }
        Ok(())
    }

    fn lock(&self, _role: Role) -> Result<LockGuard, LockError> {
        let mut state = self.powered().map_err(LockError::Io)?;
        if !state.locked.insert(self.prefix.clone()) {
            return Err(LockError::Held {
                holder: "this machine".to_owned(),
                repair: false,
            });
        }
        drop(state);
        Ok(Box::new(Unlock(self.clone())))
    }
}

/// Frees the lock.
struct Unlock(Machine);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0.state().locked.remove(&self.0.prefix);
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Machine")
            .field("dir", &self.prefix)
            .field("syncs", &state.done[Io::Sync as usize])
            .field("off", &state.off)
            .finish_non_exhaustive()
    }
}
