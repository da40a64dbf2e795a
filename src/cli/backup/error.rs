//! Why a backup or a restore failed, and what mends it.

use wal::{BackupError, ContainerError, RestoreError};

use crate::cli::CommandError;
use crate::failure::{Class, Classify, Exit};
use crate::journal::{JournalError, disk_class, is_refusal};
use crate::store::ProjectionName;

/// What ends these commands beside the log itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("cannot back up the log")]
    Backup(#[source] BackupError),
    #[error("cannot restore the log")]
    Restore(#[source] RestoreError),
    #[error("cannot tell how far {name} is: {why}")]
    Store { name: ProjectionName, why: String },
    #[error("a tar is no text for a terminal")]
    Terminal,
    #[error("the work was not finished")]
    Panicked,
}

/// An error of the log is told as everywhere.
pub(super) fn backup(error: BackupError) -> CommandError {
    match error {
        BackupError::Read(error) => JournalError::Read(error).into(),
        error => Failed::Backup(error).into(),
    }
}

/// As [`backup`].
pub(super) fn restore(error: RestoreError) -> CommandError {
    match error {
        RestoreError::Open(error) => JournalError::Open(error).into(),
        error => Failed::Restore(error).into(),
    }
}

impl Classify for Failed {
    fn class(&self) -> Class {
        match self {
            Failed::Backup(error) => backup_class(error),
            Failed::Restore(error) => match error {
                RestoreError::Backup(error) => backup_class(error),
                RestoreError::Container { source, .. } => container_class(source),
                RestoreError::Chain { .. } | RestoreError::Stream { .. } => Class::Corrupt,
                RestoreError::NotEmpty { .. }
                | RestoreError::Locked { .. }
                | RestoreError::FenceTooLow { .. } => Class::Operator,
                // Told as an error of the log.
                RestoreError::Open(_) => Class::Bug,
            },
            Failed::Store { .. } => Class::Transient,
            Failed::Terminal => Class::Operator,
            Failed::Panicked => Class::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Failed::Backup(error) => backup_hint(error)?.to_owned(),
            Failed::Restore(error) => match error {
                RestoreError::Backup(error) => backup_hint(error)?.to_owned(),
                RestoreError::NotEmpty { .. } => {
                    "a restore changes no log: choose another --data-dir, or move the folder log away".to_owned()
                }
                RestoreError::Locked { .. } => "stop the other process first".to_owned(),
                RestoreError::FenceTooLow { tail, .. } => {
                    format!("leave --fence away, or give {tail} or more")
                }
                RestoreError::Container { .. }
                | RestoreError::Chain { .. }
                | RestoreError::Stream { .. } => {
                    "telegram-gateway backup verify DIR lists all damage; run restore again with a sound backup"
                        .to_owned()
                }
                RestoreError::Open(_) => return None,
            },
            Failed::Store { .. } => "start it, or give the last number to skip yourself, higher than any \
                 it may have seen: --fence SEQ"
                .to_owned(),
            Failed::Terminal => "use a pipe, or name a directory".to_owned(),
            Failed::Panicked => return None,
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Failed::Terminal | Failed::Restore(RestoreError::FenceTooLow { .. }) => Exit::Usage,
            Failed::Restore(RestoreError::Locked { .. }) => Exit::Locked,
            Failed::Store { .. } => Exit::Backend,
            Failed::Backup(error) | Failed::Restore(RestoreError::Backup(error))
                if is_refused(error) =>
            {
                Exit::Auth
            }
            _ => match self.class() {
                Class::Corrupt => Exit::Data,
                Class::Transient | Class::Operator | Class::Bug => Exit::Failure,
            },
        }
    }
}

fn backup_class(error: &BackupError) -> Class {
    match error {
        BackupError::Segment { source, .. } => container_class(source),
        BackupError::Disk { source, .. } => disk_class(source),
        BackupError::Index { .. } => Class::Corrupt,
        BackupError::NotABackup { .. }
        | BackupError::Foreign { .. }
        | BackupError::Diverged { .. }
        | BackupError::Gap { .. } => Class::Operator,
        BackupError::Outrun => Class::Transient,
        // Told as an error of the log.
        BackupError::Read(_) => Class::Bug,
    }
}

fn backup_hint(error: &BackupError) -> Option<&'static str> {
    Some(match error {
        BackupError::Segment { source, .. } if container_class(source) == Class::Corrupt => {
            "telegram-gateway wal salvage mends the log, then back up again"
        }
        BackupError::Disk { .. } if is_refused(error) => {
            "choose a directory that this user may write, or mend its permissions"
        }
        BackupError::Index { .. } => "use another copy of the backup",
        BackupError::NotABackup { .. } => {
            "name the directory that `telegram-gateway backup` wrote; for a tar: restore - < FILE"
        }
        BackupError::Foreign { .. } | BackupError::Diverged { .. } | BackupError::Gap { .. } => {
            "leave it as it is and back up to an empty directory"
        }
        BackupError::Outrun => "run it again; it goes on where it was",
        BackupError::Segment { .. } | BackupError::Disk { .. } | BackupError::Read(_) => {
            return None;
        }
    })
}

fn is_refused(error: &BackupError) -> bool {
    matches!(error, BackupError::Disk { source: wal::DiskError::Io(error), .. } if is_refusal(error))
}

fn container_class(error: &ContainerError) -> Class {
    match error {
        ContainerError::Disk(error) if error_is_absent(error) => Class::Corrupt,
        ContainerError::Disk(error) => disk_class(error),
        ContainerError::NotAContainer
        | ContainerError::Damaged { .. }
        | ContainerError::Frame { .. }
        | ContainerError::Record { .. }
        | ContainerError::Misplaced { .. }
        | ContainerError::Missing { .. } => Class::Corrupt,
        ContainerError::TooNew { .. } | ContainerError::Occupied => Class::Operator,
        ContainerError::NotSealed => Class::Bug,
    }
}

/// A file that the index names is not there.
fn error_is_absent(error: &wal::DiskError) -> bool {
    matches!(error, wal::DiskError::Io(error) if error.kind() == std::io::ErrorKind::NotFound)
}
