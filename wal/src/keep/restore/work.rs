//! The steps of a restore, whatever the backup comes from.

use std::io::Read;
use std::sync::Arc;

use redb::ReadableDatabase;

use super::{Limits, RestoreError, Restored, bad};
use crate::archive::read_error;
use crate::backup::index::{Entry, Index};
use crate::backup::keys::{Keys as OrphanKeys, KeysEntry, Row};
use crate::catalog::{Catalog, Floor};
use crate::clock;
use crate::container::{Container, ContainerError, Source, container_name};
use crate::dedup::Sorted;
use crate::error::{AtFile, DiskError, OpenError};
use crate::hole::{Hole, HoleCause, Holes};
use crate::log::segment_mode;
use crate::open::remove;
use crate::options::Options;
use crate::plan::{CATALOG, RESTORE_MARKER, TEMPORARY, parse_segment_name, segment_name};
use crate::rewrite::{Keys, NONE, Whole, rewrite};
use crate::segment::{self, Carried, Meta, Mode};
use crate::seq::{Identity, LogId, Seq};
use crate::storage::{Access, LockError, LockGuard, Role, Storage};

/// Dedup keys in memory at once, of at most a KiB each.
const KEYS_AT_ONCE: usize = 16_384;

/// A restore under way.
pub(super) struct Work<'s> {
    to: &'s dyn Storage,
    catalog: Option<Catalog>,
    made: Vec<Entry>,
    /// The keys of records that are in none of them.
    keys: Option<KeysEntry>,
    records: u64,
    /// What the last segment hands on.
    identity: Option<Identity>,
    link: Option<[u8; 32]>,
    carried: Carried,
    _lock: LockGuard,
}

impl<'s> Work<'s> {
    /// Takes the directory: only an empty one, or one where a restore was interrupted.
    pub(super) fn begin(to: &'s dyn Storage) -> Result<Work<'s>, RestoreError> {
        // Looked at before the lock is taken, since that writes into the directory.
        check_empty(to)?;
        let lock = match to.lock(Role::Writer) {
            Ok(lock) => lock,
            Err(LockError::Held { holder, .. }) => return Err(RestoreError::Locked { holder }),
            Err(LockError::Io(e)) => return Err(crate::error::At::new("lock", e).into()),
        };
        let names = check_empty(to)?;
        mark(to).at(RESTORE_MARKER)?;
        for name in names.iter().filter(|name| is_ours(name)) {
            remove(to, name)?;
        }
        Ok(Work {
            to,
            catalog: None,
            made: Vec::new(),
            keys: None,
            records: 0,
            identity: None,
            link: None,
            carried: Carried::default(),
            _lock: lock,
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        let made = self.made.iter().map(|entry| entry.bytes);
        made.chain(self.keys.map(|entry| entry.bytes)).sum()
    }

    /// Makes the next segment from its container.
    pub(super) fn segment<S: Source>(
        &mut self,
        container: &Container<S>,
    ) -> Result<Entry, RestoreError> {
        let manifest = container.manifest();
        let (name, file) = (container_name(manifest.first), segment_name(manifest.first));
        let sum = container.check().map_err(|e| bad(&name, e))?;
        if let Some(last) = self.made.last() {
            let log_id = self.identity.map(|identity| identity.log_id);
            let follows = last.last + 1 == manifest.first
                && self.link == manifest.previous
                && log_id == Some(manifest.identity.log_id);
            if !follows {
                return Err(RestoreError::Chain { file: name });
            }
        }
        let carried = container.carried().map_err(|e| bad(&name, e))?;
        let mut keys = Keys::default();
        let copied = container.each_key(|key, seq| keys.push(seq, key));
        copied.map_err(|e| bad(&name, e))?;
        let whole = Whole {
            meta: Meta {
                identity: manifest.identity,
                first: manifest.first,
                previous: manifest.previous,
                created_at: manifest.created_at,
                recovered: manifest.recovered,
            },
            carried: carried.clone(),
            holes: container.holes().clone(),
            manifest: Some(manifest.clone()),
        };
        let records = records(container, &name);
        rewrite(self.to, &file, &whole, records, keys.iter())?;
        let floor = Floor {
            first: manifest.first,
            previous: manifest.previous,
        };
        let db = segment::open_read_only(self.to, &file).at(&file)?;
        let txn = db.begin_read().at(&file)?;
        let catalog = self.catalog(manifest.identity.log_id, floor)?;
        catalog.absorb(manifest, &txn).at(CATALOG)?;
        let entry = Entry::of_manifest(manifest, sum);
        self.made.push(entry);
        self.records += manifest.count;
        (self.identity, self.link) = (Some(manifest.identity), Some(manifest.link()));
        self.carried = carried;
        Ok(entry)
    }

    /// Takes in the keys of records that are not in the backup, some at a time.
    pub(super) fn keys<R: Read>(
        &mut self,
        file: &str,
        keys: &mut OrphanKeys<R>,
    ) -> Result<(), RestoreError> {
        let own = self.identity.map(|identity| identity.log_id);
        if own.is_some_and(|own| own != keys.log_id()) {
            let what = "its dedup keys are of another log".to_owned();
            return Err(RestoreError::Stream { what });
        }
        let floor = Floor {
            first: 1,
            previous: None,
        };
        let catalog = self.catalog(keys.log_id(), floor)?;
        loop {
            let (mut rows, mut count) = (keys.by_ref().take(KEYS_AT_ONCE), 0);
            let sorted = Sorted::collect(|take| {
                rows.try_for_each(|row| {
                    let (key, seq): Row = row?;
                    take(&key, seq);
                    count += 1;
                    Ok(())
                })
            });
            let sorted = sorted.map_err(|e: ContainerError| bad(file, e))?;
            if count == 0 {
                break;
            }
            catalog.add_keys(&sorted).at(CATALOG)?;
        }
        self.keys = keys.entry();
        Ok(())
    }

    /// The catalog, made with the first segment, or with the keys where there is none.
    fn catalog(&mut self, log_id: LogId, floor: Floor) -> Result<&Catalog, RestoreError> {
        let catalog = match self.catalog.take() {
            Some(catalog) => catalog,
            None => Catalog::create(self.to, mode(), log_id, floor, floor.first)?,
        };
        Ok(self.catalog.insert(catalog))
    }

    /// Makes the active segment behind the fence and lets the directory be a log.
    pub(super) fn finish(
        mut self,
        index: &Index,
        limits: Limits,
    ) -> Result<Restored, RestoreError> {
        if self.made != index.entries || self.keys != index.keys {
            let what = "its files are not those of its index".to_owned();
            return Err(RestoreError::Stream { what });
        }
        let last = self.made.last().map_or(0, |entry| entry.last);
        let newest_epoch = self.identity.map_or(0, |identity| identity.epoch);
        let identity = Identity {
            log_id: index.identity.log_id,
            epoch: newest_epoch.max(limits.epoch).saturating_add(1),
        };
        if self
            .identity
            .is_some_and(|own| own.log_id != identity.log_id)
        {
            let what = "its files are of another log than its index".to_owned();
            return Err(RestoreError::Stream { what });
        }
        let first = last + 1;
        let whole = Whole {
            meta: Meta {
                identity,
                first,
                previous: self.link,
                created_at: clock::unix_micros(),
                recovered: false,
            },
            carried: std::mem::take(&mut self.carried),
            holes: fence_hole(first, limits.to),
            manifest: None,
        };
        rewrite(
            self.to,
            &segment_name(first),
            &whole,
            NONE,
            Keys::default().iter(),
        )?;
        let floor = Floor {
            first,
            previous: None,
        };
        let catalog = self.catalog(identity.log_id, floor)?;
        catalog.note_newest(first).at(CATALOG)?;
        // Every commit to it was durable; nothing else has it.
        if let Some(db) = self.catalog.take().and_then(|c| Arc::into_inner(c.db)) {
            db.close().at(CATALOG)?;
        }
        remove(self.to, RESTORE_MARKER)?;
        self.to.sync_dir().at(RESTORE_MARKER)?;
        Ok(Restored {
            identity,
            segments: self.made.len(),
            records: self.records,
            first: self.made.first().and_then(|entry| Seq::new(entry.first)),
            last: Seq::new(last),
            tail: Seq::at_least_first(limits.to),
        })
    }
}

/// Makes the marker, at once under its name: a half-written one is one too.
fn mark(to: &dyn Storage) -> std::io::Result<()> {
    let text = b"A log is being restored here. Until that is done there is none.\n";
    let file = to.open(RESTORE_MARKER, Access::Create)?;
    file.set_len(text.len() as u64)?;
    file.write(0, text)?;
    file.sync_data()?;
    file.close()?;
    to.sync_dir()
}

fn fence_hole(first: u64, last: u64) -> Holes {
    if last < first {
        return Holes::default();
    }
    let hole = Hole {
        first: Seq::at_least_first(first),
        last: Seq::at_least_first(last),
        cause: HoleCause::Fence,
        noted_at: clock::unix_micros(),
    };
    Holes::new(vec![hole]).unwrap_or_default()
}

/// The names in the directory, if a restore may have it.
fn check_empty(to: &dyn Storage) -> Result<Vec<String>, RestoreError> {
    let names = to.list().at("the log directory")?;
    let marked = names.iter().any(|name| name == RESTORE_MARKER);
    let in_the_way = |name: &&String| {
        let known = is_ours(name) && marked || name.as_str() == RESTORE_MARKER;
        // The lock is made by whoever looks; the other by the file system itself.
        !known && !matches!(name.as_str(), "lock" | "lost+found")
    };
    if let Some(found) = names.iter().find(in_the_way).cloned() {
        let dir = format!("{to:?}");
        return Err(RestoreError::NotEmpty { dir, found });
    }
    Ok(names)
}

/// What an interrupted restore leaves, but for the marker.
fn is_ours(name: &str) -> bool {
    let whole = name.strip_suffix(TEMPORARY).unwrap_or(name);
    whole == CATALOG || parse_segment_name(whole).is_some()
}

fn mode() -> Mode {
    segment_mode(&Options {
        cache_bytes: 16 << 20,
        ..Options::default()
    })
}

/// All records of a container, which was checked.
fn records<'c, S: Source>(
    container: &'c Container<S>,
    file: &'c str,
) -> impl Iterator<Item = Result<(u64, Vec<u8>), OpenError>> + 'c {
    let mut records = container.records(container.manifest().first);
    std::iter::from_fn(move || match records.next() {
        Ok(record) => record.map(|(seq, bytes)| Ok((seq, bytes.to_vec()))),
        Err(e) => {
            let what = read_error(e, file).to_string();
            let source: DiskError = std::io::Error::other(what).into();
            Some(Err(crate::error::At::new(file, source).into()))
        }
    })
}
