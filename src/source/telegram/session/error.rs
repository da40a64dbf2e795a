//! Why a session file cannot be used, and what mends it.

use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Class, Classify, Exit, io_class};

/// Why a session file cannot be used. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The file system refused something.
    #[error("cannot use {}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// It belongs to another user.
    #[error("{} belongs to another user (id {owner})", path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Others may read or write it.
    #[error("{} is open to other users (mode {mode:04o})", path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The bits that it should have.
        wanted: u32,
    },
    /// Something else stands where the file or folder should be.
    #[error("{} is not what it should be: a link, or something of another kind", .0.display())]
    Misplaced(PathBuf),
    /// Another process has it.
    #[error("the session of account {account} is in use by {holder}")]
    Held {
        /// The name of the account.
        account: String,
        /// Process, host and start of the holder, as it wrote them.
        holder: String,
    },
    /// `session_key` does not open it.
    #[error("telegram.session_key does not open {}: another key sealed it, or the file was changed", .0.display())]
    WrongKey(PathBuf),
    /// Its content is not what was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The database in it could not be read or written.
    #[error("cannot use {}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
    /// The server wants another key than the one that is kept.
    #[error("the server of data centre {0} does not know the key of this session")]
    KeyKept(i32),
    /// The file is a session for something else than `[telegram.dc]` names.
    #[error("{} was made for another data centre or key than telegram.dc names", .0.display())]
    OtherCentre(PathBuf),
    /// The system gave no random bytes, or the key could not be made.
    #[error("cannot make a key: {0}")]
    Crypto(String),
    /// The work on the file was not finished.
    #[error("the work on the session file was not finished")]
    Unfinished,
}

impl SessionError {
    pub(super) fn disk(path: &Path, source: io::Error) -> SessionError {
        SessionError::Disk {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn store(path: &Path, source: impl Into<redb::Error>) -> SessionError {
        SessionError::Store {
            path: path.to_owned(),
            source: Box::new(source.into()),
        }
    }
}

impl Classify for SessionError {
    fn class(&self) -> Class {
        match self {
            SessionError::Disk { source, .. } => io_class(source),
            SessionError::Store { source, .. } => match &**source {
                redb::Error::Io(error) => io_class(error),
                redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => Class::Corrupt,
                _ => Class::Operator,
            },
            SessionError::Damaged { .. } => Class::Corrupt,
            SessionError::Foreign { .. }
            | SessionError::Exposed { .. }
            | SessionError::Misplaced(_)
            | SessionError::Held { .. }
            | SessionError::WrongKey(_)
            | SessionError::KeyKept(_)
            | SessionError::OtherCentre(_)
            | SessionError::Crypto(_) => Class::Operator,
            SessionError::Unfinished => Class::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            SessionError::Disk { .. } => "check the disk, and the owner of the folder".to_owned(),
            SessionError::Foreign { path, owner } => format!(
                "run it as that user (sudo -u '#{owner}' ...), or: chown -R $(id -u) {}",
                path.display()
            ),
            SessionError::Exposed { path, wanted, .. } => {
                format!("chmod {wanted:o} {}", path.display())
            }
            SessionError::Misplaced(path) => format!("move {} away", path.display()),
            SessionError::Held { .. } => "stop that process first".to_owned(),
            SessionError::WrongKey(_) => {
                "set telegram.session_key to the key of the login; if it is lost: \
                 telegram-gateway logout --local, then login"
                    .to_owned()
            }
            SessionError::Damaged { .. } | SessionError::Store { .. } => {
                "if the disk is sound: telegram-gateway logout --local, then login".to_owned()
            }
            SessionError::KeyKept(_) => "log in again: telegram-gateway login".to_owned(),
            SessionError::OtherCentre(_) => {
                "telegram-gateway logout --local removes it; or mend telegram.dc".to_owned()
            }
            SessionError::Crypto(_) | SessionError::Unfinished => return None,
        })
    }

    fn exit(&self) -> Exit {
        match self {
            SessionError::Held { .. } => Exit::Locked,
            SessionError::Foreign { .. }
            | SessionError::Exposed { .. }
            | SessionError::WrongKey(_)
            | SessionError::KeyKept(_) => Exit::Auth,
            SessionError::Disk { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Exit::Auth
            }
            SessionError::OtherCentre(_) => Exit::Config,
            _ => match self.class() {
                Class::Corrupt => Exit::Data,
                _ => Exit::Failure,
            },
        }
    }
}
