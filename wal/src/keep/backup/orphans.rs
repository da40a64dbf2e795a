//! The dedup keys that the catalog has of records before the first one in a backup: which there
//! are, and how they come into it.

use std::cmp::Ordering;
use std::io::{self, Write};
use std::iter::Peekable;

use redb::{ReadOnlyTable, ReadableTable, StorageBackend};

use super::BackupError;
use super::index::Entry;
use super::keys::{self, Keys, KeysEntry, Row, Stream, is_keys_name};
use crate::container::{self, ContainerError};
use crate::error::{AtFile, DiskError, ReadError};
use crate::pace::Pacer;
use crate::plan::CATALOG;
use crate::reader::Reader;
use crate::seq::LogId;
use crate::storage::{Access, Storage};
use crate::tables;

/// How errors name them.
const KEYS: &str = "the dedup keys of trimmed records";

type Found = Result<Row, ContainerError>;
type Table = ReadOnlyTable<&'static [u8], u64>;

/// Keys of a log that no container of a backup holds. However many there are, they pass through
/// with one part of their file in memory.
pub(super) struct Orphans<'r> {
    reader: &'r Reader,
    log_id: LogId,
    /// Records from here on are in containers, or are not sealed yet.
    first: u64,
}

impl<'r> Orphans<'r> {
    /// Of a backup with these containers.
    pub(super) fn of(
        reader: &'r Reader,
        log_id: LogId,
        entries: &[Entry],
    ) -> Result<Orphans<'r>, BackupError> {
        let first = match entries.first() {
            Some(entry) => entry.first,
            // Nothing is sealed, so the active segment is all there is.
            None => reader.files().refresh()?[0],
        };
        Ok(Orphans {
            reader,
            log_id,
            first,
        })
    }

    /// Brings them into a directory, with those that an earlier backup left there. Nothing is
    /// written when none is new.
    pub(super) fn keep(
        &self,
        to: &dyn Storage,
        before: Option<KeysEntry>,
        pacer: &Pacer,
    ) -> Result<Option<KeysEntry>, BackupError> {
        // A damaged one is made again from the catalog.
        let before = before.filter(|entry| check(to, entry, self.log_id).is_ok());
        let made = self.with(|table| {
            let rows = || -> Result<_, ContainerError> {
                let old = before.map(|entry| open(to, &entry)).transpose()?;
                Ok(Merged::of(old.into_iter().flatten(), self.rows(table)?))
            };
            let entry = keys::write(self.log_id, &mut rows()?, &mut io::sink(), pacer)?;
            if entry.count == 0 || Some(entry) == before {
                return Ok(before);
            }
            container::put(
                to,
                &entry.name(),
                |out| keys::write(self.log_id, &mut rows()?, out, pacer).map(drop),
                |file| read(file, &entry, self.log_id),
            )?;
            Ok(Some(entry))
        })?;
        Ok(made.unwrap_or(before))
    }

    /// Hands their file out, if there are any: first what it will be, then what takes its bytes.
    pub(super) fn stream<W: Write>(
        &self,
        pacer: &Pacer,
        begin: impl FnOnce(&KeysEntry) -> io::Result<W>,
    ) -> Result<Option<(KeysEntry, W)>, BackupError> {
        let made = self.with(|table| {
            let entry = keys::write(self.log_id, &mut self.rows(table)?, &mut io::sink(), pacer)?;
            if entry.count == 0 {
                return Ok(None);
            }
            let mut out = begin(&entry)?;
            keys::write(self.log_id, &mut self.rows(table)?, &mut out, pacer)?;
            Ok(Some((entry, out)))
        })?;
        Ok(made.flatten())
    }

    /// Runs `work` on the keys of the catalog, if any of them can be one of these.
    fn with<T>(
        &self,
        work: impl FnOnce(&Table) -> Result<T, ContainerError>,
    ) -> Result<Option<T>, BackupError> {
        if self.first <= 1 {
            return Ok(None);
        }
        let done = self.reader.files().with_catalog(|txn| {
            let table = txn.open_table(tables::KEYS).at(CATALOG)?;
            Ok::<_, ReadError>(work(&table))
        })?;
        done.transpose().map_err(|source| BackupError::Segment {
            file: KEYS.to_owned(),
            source,
        })
    }

    fn rows<'t>(
        &self,
        table: &'t Table,
    ) -> Result<impl Iterator<Item = Found> + use<'t>, ContainerError> {
        let first = self.first;
        let rows = table.iter().map_err(DiskError::from)?;
        Ok(rows.filter_map(move |row| match row {
            Ok((key, seq)) => {
                let seq = seq.value();
                (seq < first).then(|| Ok((key.value().to_vec(), seq)))
            }
            Err(e) => Some(Err(DiskError::from(e).into())),
        }))
    }
}

/// Removes such files other than the one that the index names now.
pub(super) fn clear(to: &dyn Storage, named: Option<KeysEntry>) -> Result<(), BackupError> {
    let named = named.map(|entry| entry.name());
    for name in to.list().at("the backup")? {
        if is_keys_name(&name) && Some(&name) != named.as_ref() {
            to.remove(&name).at(&name)?;
        }
    }
    Ok(())
}

type File = Box<dyn StorageBackend>;

fn open(from: &dyn Storage, entry: &KeysEntry) -> Result<Keys<Stream<File>>, ContainerError> {
    Keys::open(Stream::new(from.open(&entry.name(), Access::Read)?)?)
}

/// Reads the file that an index names, and nothing of it is wrong.
pub(crate) fn check(
    from: &dyn Storage,
    entry: &KeysEntry,
    log_id: LogId,
) -> Result<(), ContainerError> {
    read(from.open(&entry.name(), Access::Read)?, entry, log_id)
}

fn read(file: File, entry: &KeysEntry, log_id: LogId) -> Result<(), ContainerError> {
    let mut keys = Keys::open(Stream::new(file)?)?;
    keys.by_ref().try_for_each(|row| row.map(drop))?;
    if keys.log_id() == log_id && keys.entry() == Some(*entry) {
        return Ok(());
    }
    Err(ContainerError::Damaged {
        what: "it is not the one the index names",
    })
}

/// Two ascending runs of keys as one. A key of both has the older number.
struct Merged<A: Iterator<Item = Found>, B: Iterator<Item = Found>> {
    one: Peekable<A>,
    other: Peekable<B>,
}

impl<A: Iterator<Item = Found>, B: Iterator<Item = Found>> Merged<A, B> {
    fn of(one: A, other: B) -> Merged<A, B> {
        Merged {
            one: one.peekable(),
            other: other.peekable(),
        }
    }
}

impl<A: Iterator<Item = Found>, B: Iterator<Item = Found>> Iterator for Merged<A, B> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let order = match (self.one.peek(), self.other.peek()) {
            (Some(Ok((one, _))), Some(Ok((other, _)))) => one.cmp(other),
            (Some(Err(_)), _) | (_, None) => Ordering::Less,
            (_, Some(Err(_))) | (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => self.one.next(),
            Ordering::Greater => self.other.next(),
            Ordering::Equal => match (self.one.next()?, self.other.next()?) {
                (Ok((key, one)), Ok((_, other))) => Some(Ok((key, one.min(other)))),
                (failed, _) => Some(failed),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(keys: &[(&str, u64)]) -> impl Iterator<Item = Found> {
        let rows = keys
            .iter()
            .map(|(key, seq)| (key.as_bytes().to_vec(), *seq));
        rows.map(Ok).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn two_runs_become_one_in_order_with_the_older_number_of_each_key() {
        let one = run(&[("a", 1), ("c", 9), ("e", 5)]);
        let other = run(&[("b", 2), ("c", 3), ("f", 6), ("g", 7)]);
        let merged = Merged::of(one, other).collect::<Result<Vec<_>, _>>();
        let shown: Vec<String> = merged
            .unwrap()
            .into_iter()
            .map(|(key, seq)| format!("{}{seq}", String::from_utf8_lossy(&key)))
            .collect();
        assert_eq!(shown, ["a1", "b2", "c3", "e5", "f6", "g7"]);
    }

    #[test]
    fn an_error_of_either_run_comes_out() {
        let failed = || std::iter::once(Err(ContainerError::NotSealed));
        let mut one = Merged::of(run(&[("a", 1)]), failed());
        assert!(one.any(|row| row.is_err()));
        let mut other = Merged::of(failed(), run(&[("a", 1)]));
        assert!(other.any(|row| row.is_err()));
    }
}
