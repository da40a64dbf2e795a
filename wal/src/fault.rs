//! A machine whose power can be cut: files in memory that remember what was not yet synced.
//!
//! ```text
//! write --> current --sync--> durable
//!               \--- power cut: a part of the unsynced writes, chosen by `Fate`, survives
//! ```
//!
//! Names are treated like contents: creating, renaming and removing a file is durable only after
//! the directory was synced. Of unsynced name changes the first ones survive, since file systems
//! keep their order. Byte-range locks are always granted: one process uses a machine at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

use crate::storage::{Access, LockError, LockGuard, Role, Storage};

/// Disks write sectors of this size whole or not at all.
const SECTOR: usize = 512;

/// What becomes of writes that were not synced when the power went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// None survives.
    Lost,
    /// All survive; only the answer to the sync was lost.
    Kept,
    /// The first, third, fifth survive.
    Odd,
    /// The second, fourth, sixth survive.
    Even,
    /// Of every write each second sector survives.
    Torn,
}

/// All fates, for tests that try each.
pub const FATES: [Fate; 5] = [Fate::Lost, Fate::Kept, Fate::Odd, Fate::Even, Fate::Torn];

/// A directory of a machine whose power can be cut. Clones are the same machine.
#[derive(Clone, Default)]
pub struct Machine {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    name_changes: Vec<NameChange>,
    syncs: u64,
    cut_at: Option<u64>,
    capacity: Option<u64>,
    off: bool,
    locked: bool,
}

#[derive(Default)]
struct File {
    current: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
}

enum Change {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl Machine {
    /// A running machine with an empty directory.
    pub fn new() -> Machine {
        Machine::default()
    }

    /// Cuts the power when sync number `sync` (from 1) is asked for: it does not happen, and
    /// everything from then on fails.
    pub fn cut_power_at(&self, sync: u64) {
        self.state().cut_at = Some(sync);
    }

    /// Syncs so far, of files and of the directory.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Limits the disk to so many bytes in all files together; `None` lifts the limit. Growing
    /// past it fails as on a full disk.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes in all files that have a name.
    pub fn used(&self) -> u64 {
        let state = self.state();
        state
            .names
            .values()
            .map(|file| state.files[*file].current.len() as u64)
            .sum()
    }

    /// Whether the power was cut.
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Cuts the power now, if it is still on, and gives the machine as it starts again.
    pub fn restart(&self, fate: Fate) -> Machine {
        let mut state = self.state();
        state.off = true;
        let mut names = state.durable_names.clone();
        let kept = match fate {
            Fate::Lost => 0,
            Fate::Kept => state.name_changes.len(),
            Fate::Odd | Fate::Even | Fate::Torn => state.name_changes.len().div_ceil(2),
        };
        for change in &state.name_changes[..kept] {
            change.apply(&mut names);
        }
        let files: Vec<File> = state.files.iter().map(|file| file.survivor(fate)).collect();
        let next = State {
            files,
            durable_names: names.clone(),
            names,
            ..State::default()
        };
        Machine {
            state: Arc::new(Mutex::new(next)),
        }
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

    /// Counts a sync, or cuts the power at it.
    fn sync(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.powered()?;
        state.syncs += 1;
        if state.cut_at == Some(state.syncs) {
            state.off = true;
            return Err(io::Error::other("the power went off"));
        }
        Ok(state)
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            NameChange::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, torn: bool) {
        match self {
            Change::Length(len) => bytes.resize(*len, 0),
            Change::Bytes(at, data) => {
                if bytes.len() < at + data.len() {
                    bytes.resize(at + data.len(), 0);
                }
                for (n, sector) in data.chunks(SECTOR).enumerate() {
                    if !torn || n % 2 == 0 {
                        let start = at + n * SECTOR;
                        bytes[start..start + sector.len()].copy_from_slice(sector);
                    }
                }
            }
        }
    }
}

impl File {
    fn survivor(&self, fate: Fate) -> File {
        let mut durable = self.durable.clone();
        for (n, change) in self.changes.iter().enumerate() {
            let survives = match fate {
                Fate::Lost => false,
                Fate::Kept | Fate::Torn => true,
                Fate::Odd => n % 2 == 0,
                Fate::Even => n % 2 == 1,
            };
            if survives {
                change.apply(&mut durable, fate == Fate::Torn);
            }
        }
        File {
            current: durable.clone(),
            durable,
            changes: Vec::new(),
        }
    }
}

fn absent(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, name.to_owned())
}

impl Storage for Machine {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.powered()?.names.keys().cloned().collect())
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageBackend>> {
        let mut state = self.powered()?;
        let file = if access == Access::Create {
            state.files.push(File::default());
            let file = state.files.len() - 1;
            let change = NameChange::Create(name.to_owned(), file);
            change.apply(&mut state.names);
            state.name_changes.push(change);
            file
        } else {
            *state.names.get(name).ok_or_else(|| absent(name))?
        };
        Ok(Box::new(OpenFile {
            machine: self.clone(),
            file,
        }))
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        let state = self.powered()?;
        let file = *state.names.get(name).ok_or_else(|| absent(name))?;
        Ok(state.files[file].current.len() as u64)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.powered()?;
        if !state.names.contains_key(from) {
            return Err(absent(from));
        }
        let change = NameChange::Rename(from.to_owned(), to.to_owned());
        change.apply(&mut state.names);
        state.name_changes.push(change);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.powered()?;
        if !state.names.contains_key(name) {
            return Err(absent(name));
        }
        let change = NameChange::Remove(name.to_owned());
        change.apply(&mut state.names);
        state.name_changes.push(change);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.sync()?;
        state.durable_names = state.names.clone();
        state.name_changes.clear();
        Ok(())
    }

    fn lock(&self, _role: Role) -> Result<LockGuard, LockError> {
        let mut state = self.powered().map_err(LockError::Io)?;
        if state.locked {
            return Err(LockError::Held {
                holder: "this machine".to_owned(),
                repair: false,
            });
        }
        state.locked = true;
        Ok(Box::new(Unlock(self.clone())))
    }
}

/// Frees the lock.
struct Unlock(Machine);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Machine")
            .field("syncs", &state.syncs)
            .field("off", &state.off)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct OpenFile {
    machine: Machine,
    file: usize,
}

fn index(n: u64) -> io::Result<usize> {
    usize::try_from(n).map_err(io::Error::other)
}

impl StorageBackend for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.machine.powered()?.files[self.file].current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.machine.powered()?;
        let at = index(offset)?;
        let from = state.files[self.file].current.get(at..at + out.len());
        out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let growth = len.saturating_sub(StorageBackend::len(self)?);
        let full = self.machine.used() + growth;
        if growth > 0
            && self
                .machine
                .powered()?
                .capacity
                .is_some_and(|most| full > most)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.change(Change::Length(index(len)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.machine.sync()?;
        let file = &mut state.files[self.file];
        file.durable.clone_from(&file.current);
        file.changes.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Bytes(index(offset)?, data.to_vec()))
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }
    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }
    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

impl OpenFile {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.machine.powered()?;
        let file = &mut state.files[self.file];
        change.apply(&mut file.current, false);
        file.changes.push(change);
        Ok(())
    }
}
