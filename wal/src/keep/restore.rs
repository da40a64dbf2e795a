//! Making a log again from a backup, in an empty directory.
//!
//! While a restore is under way the directory has a marker, and no log opens there. A restore
//! that was interrupted is started over by running it again.

mod work;

use std::io::Read;
use std::path::Path;

use crate::backup::BackupError;
use crate::backup::index::{self, INDEX, Index};
use crate::backup::keys::{Keys, Stream, is_keys_name};
use crate::container::{Container, ContainerError, container_name, parse_container_name};
use crate::error::{AtFile, OpenError};
use crate::seq::{Identity, Seq};
use crate::storage::{Access, Disk, Storage};
use work::Work;

/// How far past the highest number known to have been given out a restored log goes on.
pub const FENCE_MARGIN: u64 = 1_000_000;

/// Each life of a log counts one up. A checkpoint that is further ahead than this is no life of
/// the log, but damaged.
const EPOCHS_MAX: u32 = 100;

/// Where a restored log goes on, so that no number is given out twice: those of the log's last
/// hours may be in stores and brokers, though not in the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence<'a> {
    /// [`FENCE_MARGIN`] past this number (the highest checkpoint known) or past the tail that
    /// the backup names, whichever is higher.
    Past(Option<Seq>),
    /// Right after this number.
    To(Seq),
    /// As the checkpoints of stores demand, of which those of other logs do not count: past the
    /// highest as with [`Fence::Past`], or right after `to`, which must not be below it; and in an
    /// epoch that none of them knows.
    Beyond {
        /// The checkpoints.
        known: &'a [(Identity, Seq)],
        /// The last number of the fence.
        to: Option<Seq>,
    },
}

/// What a fence comes to for one backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    /// The last number that is skipped.
    to: u64,
    /// The newest epoch that is known.
    epoch: u32,
}

/// What a restore came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The log in its new life.
    pub identity: Identity,
    /// Segments made.
    pub segments: usize,
    /// Records in them.
    pub records: u64,
    /// Number of the first record.
    pub first: Option<Seq>,
    /// Number of the last record.
    pub last: Option<Seq>,
    /// The tail: numbers from after `last` up to here are a hole. The next record is after it.
    pub tail: Seq,
}

/// Why no log was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The directory is not empty; nothing was changed in it.
    #[error("{dir} is not empty: it holds {found}")]
    NotEmpty {
        /// The directory.
        dir: String,
        /// One of its files.
        found: String,
    },
    /// A log is open in the directory, or another restore is under way.
    #[error("the directory is in use by {holder}")]
    Locked {
        /// By whom.
        holder: String,
    },
    /// A number that the log may have given out lies past the fence. Nothing was changed, unless
    /// the backup is a stream, whose tail is known at its end.
    #[error("the fence {fence} is below {tail}, a number that was given out")]
    FenceTooLow {
        /// The fence asked for.
        fence: Seq,
        /// The highest number given out.
        tail: u64,
    },
    /// A container of the backup is damaged or is not the one the index names. Running the
    /// restore again with a sound backup starts over.
    #[error("{file}: {source}")]
    Container {
        /// The container.
        file: String,
        /// What is wrong with it.
        source: ContainerError,
    },
    /// A container does not follow on the one before it.
    #[error("{file} does not continue the chain of segments")]
    Chain {
        /// The container.
        file: String,
    },
    /// The stream is no tar of a backup, or ends too early.
    #[error("the stream is not a whole backup: {what}")]
    Stream {
        /// What is wrong.
        what: String,
    },
    /// The directory of the new log failed.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<crate::error::At> for RestoreError {
    fn from(at: crate::error::At) -> Self {
        RestoreError::Open(at.into())
    }
}

/// Restores the backup of the directory `from` into the directory `to`, which is made if it is
/// not there. Everything is checked. `progress` is told the bytes of containers done so far.
///
/// # Errors
/// [`RestoreError`]; after an error other than those that say that nothing was changed, `to`
/// opens as no log until a restore is run again.
pub fn restore(
    from: &Path,
    to: &Path,
    fence: Fence<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let disk = Disk::new(to);
    disk.create_dir().at(&to.display().to_string())?;
    let dir = from.display().to_string();
    restore_to(&Disk::new(from), &dir, &disk, fence, progress)
}

/// As [`restore`], from a tar that [`crate::backup_tar`] wrote. Holds one container in memory.
///
/// # Errors
/// As [`restore`].
pub fn restore_tar(
    from: &mut dyn Read,
    to: &Path,
    fence: Fence<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let disk = Disk::new(to);
    disk.create_dir().at(&to.display().to_string())?;
    restore_stream(from, &disk, fence, progress)
}

/// As [`restore`], between directories of a machine whose power can be cut.
///
/// # Errors
/// As [`restore`].
#[cfg(any(test, feature = "fault"))]
pub fn restore_on(
    from: &crate::fault::Machine,
    to: &crate::fault::Machine,
    fence: Fence<'_>,
) -> Result<Restored, RestoreError> {
    restore_to(from, "the machine", to, fence, &mut |_| {})
}

pub(crate) fn restore_to(
    from: &dyn Storage,
    dir: &str,
    to: &dyn Storage,
    fence: Fence<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let index = index::load(from)?.ok_or(BackupError::NotABackup {
        dir: dir.to_owned(),
    })?;
    let limits = fence.limits(&index)?;
    let mut work = Work::begin(to)?;
    for entry in &index.entries {
        let file = container_name(entry.first);
        let opened = from.open(&file, Access::Read).map_err(|e| bad(&file, e))?;
        let container = Container::open(opened).map_err(|e| bad(&file, e))?;
        let made = work.segment(&container)?;
        if made != *entry {
            return Err(bad(&file, NOT_NAMED));
        }
        progress(work.bytes());
    }
    if let Some(entry) = &index.keys {
        let file = entry.name();
        let opened = from.open(&file, Access::Read).and_then(Stream::new);
        let keys = opened.map_err(ContainerError::from).and_then(Keys::open);
        work.keys(&file, &mut keys.map_err(|e| bad(&file, e))?)?;
        progress(work.bytes());
    }
    work.finish(&index, limits)
}

pub(crate) fn restore_stream(
    from: &mut dyn Read,
    to: &dyn Storage,
    fence: Fence<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, RestoreError> {
    let mut work = Work::begin(to)?;
    let mut tar = tar::Archive::new(from);
    let mut index = None;
    for entry in tar.entries().map_err(stream)? {
        let mut entry = entry.map_err(stream)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut bytes = Vec::new();
        if name == INDEX {
            let limit = index::BYTES_MAX + 1;
            entry.take(limit).read_to_end(&mut bytes).map_err(stream)?;
            index = Some(Index::decode(&bytes)?);
            continue;
        }
        if is_keys_name(&name) {
            let mut keys = Keys::open(entry).map_err(|e| bad(&name, e))?;
            work.keys(&name, &mut keys)?;
            progress(work.bytes());
            continue;
        }
        if parse_container_name(&name).is_none() {
            let what = format!("it holds {name:?}");
            return Err(RestoreError::Stream { what });
        }
        // Grows with what is really there, whatever the header says.
        entry.read_to_end(&mut bytes).map_err(stream)?;
        let container = Container::open(bytes).map_err(|e| bad(&name, e))?;
        work.segment(&container)?;
        progress(work.bytes());
    }
    // To the end, so that whoever writes into a pipe can finish.
    std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(stream)?;
    let index = index.ok_or_else(|| RestoreError::Stream {
        what: "it ends before its index".to_owned(),
    })?;
    let limits = fence.limits(&index)?;
    work.finish(&index, limits)
}

const NOT_NAMED: ContainerError = ContainerError::Damaged {
    what: "it is not the one the index names",
};

fn bad(file: &str, source: impl Into<ContainerError>) -> RestoreError {
    RestoreError::Container {
        file: file.to_owned(),
        source: source.into(),
    }
}

fn stream(e: std::io::Error) -> RestoreError {
    RestoreError::Stream {
        what: e.to_string(),
    }
}

impl Fence<'_> {
    fn limits(self, index: &Index) -> Result<Limits, RestoreError> {
        let (identity, tail) = (index.identity, index.tail);
        let (known, to) = match self {
            Fence::Past(known) => (known.map(|seq| (identity, seq)), None),
            Fence::To(to) => (None, Some(to)),
            Fence::Beyond { known, to } => return limits(identity, tail, known, to),
        };
        limits(identity, tail, known.as_slice(), to)
    }
}

fn limits(
    identity: Identity,
    tail: u64,
    known: &[(Identity, Seq)],
    to: Option<Seq>,
) -> Result<Limits, RestoreError> {
    let epochs = identity.epoch.saturating_add(EPOCHS_MAX);
    let ours = known
        .iter()
        .filter(|(it, _)| it.log_id == identity.log_id && it.epoch <= epochs);
    let (mut highest, mut epoch) = (tail, identity.epoch);
    for (it, seq) in ours {
        highest = highest.max(seq.get());
        epoch = epoch.max(it.epoch);
    }
    match to {
        None => Ok(Limits {
            to: highest.saturating_add(FENCE_MARGIN),
            epoch,
        }),
        Some(fence) if fence.get() < highest => Err(RestoreError::FenceTooLow {
            fence,
            tail: highest,
        }),
        Some(fence) => Ok(Limits {
            to: fence.get(),
            epoch,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seq::LogId;

    fn id(log: u8, epoch: u32) -> Identity {
        Identity {
            log_id: LogId([log; 16]),
            epoch,
        }
    }

    #[test]
    fn a_fence_lies_behind_all_that_this_log_gave_out_in_an_epoch_that_nobody_knows() {
        let seq = Seq::at_least_first;
        let beyond = |known: &[(Identity, Seq)], to| limits(id(1, 2), 100, known, to);
        let is = |to, epoch| Limits { to, epoch };
        assert_eq!(beyond(&[], None).unwrap(), is(1_000_100, 2));
        let known = [
            (id(1, 2), seq(300)),
            (id(1, 4), seq(7)),
            (id(9, 9), seq(900)),
            (id(1, u32::MAX), seq(900)),
        ];
        assert_eq!(beyond(&known, None).unwrap(), is(1_000_300, 4));
        assert_eq!(beyond(&known, Some(seq(300))).unwrap(), is(300, 4));
        for (known, to, tail) in [(&known[..], 299, 300), (&[], 99, 100)] {
            let refused = beyond(known, Some(seq(to)));
            assert!(matches!(
                refused,
                Err(RestoreError::FenceTooLow { tail: told, .. }) if told == tail
            ));
        }
        let last = [(id(1, 2), seq(u64::MAX))];
        assert_eq!(beyond(&last, None).unwrap().to, u64::MAX);
    }
}
