//! What the disk of a machine holds: contents and names, current and durable.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::bytes::Bytes;

/// Disks write sectors of this size whole or not at all.
const SECTOR: usize = 512;

/// What becomes of writes and name changes that were not synced when the power went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// None survives.
    Lost,
    /// All survive; only the answer to the sync was lost.
    Kept,
    /// Of the writes to each file the first, third, fifth survive; of the names the first half.
    Odd,
    /// Of the writes to each file the second, fourth, sixth survive; of the names the first half.
    Even,
    /// The first half survives: the power went before the sync was asked for.
    Half,
    /// Of every write each second sector survives, of the names the first half.
    Torn,
    /// All names survive and no write.
    Names,
    /// All writes survive and no name.
    Writes,
}

/// All fates, for tests that try each.
pub const FATES: [Fate; 8] = [
    Fate::Lost,
    Fate::Kept,
    Fate::Odd,
    Fate::Even,
    Fate::Half,
    Fate::Torn,
    Fate::Names,
    Fate::Writes,
];

impl Fate {
    /// Whether write `n` of `count` survives.
    fn keeps_write(self, n: usize, count: usize) -> bool {
        match self {
            Fate::Lost | Fate::Names => false,
            Fate::Kept | Fate::Torn | Fate::Writes => true,
            Fate::Odd => n.is_multiple_of(2),
            Fate::Even => n % 2 == 1,
            Fate::Half => n < count.div_ceil(2),
        }
    }

    /// How many of the name changes survive: the first ones.
    fn kept_names(self, count: usize) -> usize {
        match self {
            Fate::Lost | Fate::Writes => 0,
            Fate::Kept | Fate::Names => count,
            Fate::Odd | Fate::Even | Fate::Half | Fate::Torn => count.div_ceil(2),
        }
    }
}

#[derive(Default, Clone)]
pub(super) struct File {
    pub(super) current: Arc<Bytes>,
    durable: Arc<Bytes>,
    unsynced: Vec<Arc<Change>>,
}

pub(super) enum Change {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl Change {
    /// The part of a write that was done when it failed in its middle.
    pub(super) fn half(self) -> Change {
        match self {
            Change::Length(len) => Change::Length(len),
            Change::Bytes(at, mut data) => {
                let sectors = data.len() / SECTOR / 2;
                data.truncate(sectors * SECTOR);
                Change::Bytes(at, data)
            }
        }
    }

    fn apply(&self, bytes: &mut Bytes, torn: bool) {
        match self {
            Change::Length(len) => bytes.resize(*len),
            Change::Bytes(at, data) if torn => {
                bytes.resize(bytes.len().max(at + data.len()));
                for (n, sector) in data.chunks(SECTOR).enumerate().step_by(2) {
                    bytes.write(at + n * SECTOR, sector);
                }
            }
            Change::Bytes(at, data) => bytes.write(*at, data),
        }
    }
}

impl File {
    pub(super) fn holding(bytes: &[u8]) -> File {
        let bytes = Arc::new(Bytes::of(bytes));
        File {
            durable: Arc::clone(&bytes),
            current: bytes,
            unsynced: Vec::new(),
        }
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(Arc::make_mut(&mut self.current), false);
        self.unsynced.push(Arc::new(change));
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(Arc::make_mut(&mut self.durable), false);
        }
    }

    /// A sync that the disk refused. The operating system takes the pages for clean from then
    /// on: reads go on showing them, no later sync writes them. Lengths are metadata and stay.
    pub(super) fn fail_sync(&mut self) {
        self.unsynced
            .retain(|change| matches!(**change, Change::Length(_)));
    }

    fn survivor(&self, fate: Fate) -> File {
        let mut durable = Arc::clone(&self.durable);
        for (n, change) in self.unsynced.iter().enumerate() {
            if fate.keeps_write(n, self.unsynced.len()) {
                change.apply(Arc::make_mut(&mut durable), fate == Fate::Torn);
            }
        }
        File {
            current: Arc::clone(&durable),
            durable,
            unsynced: Vec::new(),
        }
    }
}

/// Contents and names of all directories. A name in a sub-directory is `directory/name`.
#[derive(Default, Clone)]
pub(super) struct Disk {
    pub(super) files: Vec<File>,
    pub(super) names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced: Vec<NameChange>,
}

#[derive(Clone)]
pub(super) enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

/// The directory part of a name, with its slash; empty in the top directory.
pub(super) fn directory(name: &str) -> &str {
    &name[..name.rfind('/').map_or(0, |slash| slash + 1)]
}

impl NameChange {
    fn directory(&self) -> &str {
        match self {
            NameChange::Create(name, _) | NameChange::Remove(name) => directory(name),
            NameChange::Rename(from, _) => directory(from),
        }
    }

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

impl Disk {
    pub(super) fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced.push(change);
    }

    /// Adds a file that is durable with its name at once.
    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) {
        self.files.push(File::holding(bytes));
        let file = self.files.len() - 1;
        for names in [&mut self.names, &mut self.durable_names] {
            names.insert(name.to_owned(), file);
        }
    }

    /// Removes a name, durably at once.
    pub(super) fn take(&mut self, name: &str) {
        for names in [&mut self.names, &mut self.durable_names] {
            names.remove(name);
        }
    }

    /// Makes the name changes of one directory durable, given with its slash.
    pub(super) fn sync_names(&mut self, dir: &str) {
        let durable_names = &mut self.durable_names;
        self.unsynced.retain(|change| {
            let here = change.directory() == dir;
            if here {
                change.apply(durable_names);
            }
            !here
        });
    }

    /// Bytes in all files that have a name.
    pub(super) fn used(&self) -> u64 {
        let files = self.names.values();
        files
            .map(|file| self.files[*file].current.len() as u64)
            .sum()
    }

    /// A number that tells names and contents from others; 32 bits of each file count.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, file) in &self.names {
            name.hash(&mut hasher);
            self.files[*file].current.crc32().hash(&mut hasher);
        }
        hasher.finish()
    }

    /// What is left after a power cut.
    pub(super) fn survivor(&self, fate: Fate) -> Disk {
        let mut names = self.durable_names.clone();
        let kept = fate.kept_names(self.unsynced.len());
        for change in &self.unsynced[..kept] {
            change.apply(&mut names);
        }
        Disk {
            files: self.files.iter().map(|file| file.survivor(fate)).collect(),
            durable_names: names.clone(),
            names,
            unsynced: Vec::new(),
        }
    }
}
