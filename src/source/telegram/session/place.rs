//! Where the session of an account is: `telegram/<account>/` of the data folder, open to nobody else.

use std::fs::{DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use wal::LockError;

use super::error::SessionError;
use crate::source::telegram::account::Mark;

const FOLDER: &str = "telegram";
const FILE: &str = "session.redb";
/// A file is made under this name, and gets its own when it is whole.
const UNFINISHED: &str = "session.redb.new";
const LOCK: &str = "lock";

/// Where the session of an account is.
#[derive(Debug, Clone)]
pub struct Place {
    account: String,
    data_dir: PathBuf,
    folder: PathBuf,
}

/// A place that no other process has.
#[derive(Debug, Clone)]
pub struct Claim {
    place: Place,
    /// Held while this lives.
    _lock: Arc<File>,
}

impl Place {
    /// Of an account of the configuration, whose names can be names of folders.
    pub fn new(data_dir: &Path, account: &str) -> Place {
        Place {
            account: account.to_owned(),
            data_dir: data_dir.to_owned(),
            folder: data_dir.join(FOLDER).join(account),
        }
    }

    /// The name of the account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The session file.
    pub fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Whether there is a session file. Touches nothing, and needs no claim.
    pub fn is_taken(&self) -> Result<bool, SessionError> {
        let file = self.file();
        let found = file.try_exists();
        found.map_err(|error| SessionError::disk(&file, error))
    }

    /// Which session file is there. Touches nothing, and needs no claim.
    pub fn mark(&self) -> Option<Mark> {
        let found = std::fs::symlink_metadata(self.file()).ok()?;
        Some(Mark {
            number: found.ino(),
            made: found.created().ok(),
        })
    }

    /// Takes it, making the folder when it is not there.
    pub fn claim(&self) -> Result<Claim, SessionError> {
        for folder in [self.data_dir.join(FOLDER), self.folder.clone()] {
            make_private(&folder)?;
        }
        let path = self.folder.join(LOCK);
        let lock = lock_file(&path).map_err(LockError::Io).and_then(wal::hold);
        let lock = lock.map_err(|refusal| match refusal {
            LockError::Held { holder, .. } => SessionError::Held {
                account: self.account.clone(),
                holder,
            },
            LockError::Io(error) => SessionError::disk(&path, error),
        })?;
        check(&path, Kind::File)?;
        Ok(Claim {
            place: self.clone(),
            _lock: Arc::new(lock),
        })
    }
}

impl Claim {
    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether there is a session file that is ours alone.
    pub(super) fn look(&self) -> Result<bool, SessionError> {
        let file = self.place.file();
        match check(&file, Kind::File) {
            Ok(()) => Ok(true),
            Err(SessionError::Disk { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the file by `fill`, whole or not at all.
    pub(super) fn make<T>(
        &self,
        fill: impl FnOnce(&Path) -> Result<T, SessionError>,
    ) -> Result<T, SessionError> {
        let (unfinished, file) = (self.place.folder.join(UNFINISHED), self.place.file());
        remove(&unfinished)?;
        let made = private_file(&unfinished);
        made.map_err(|error| SessionError::disk(&unfinished, error))?;
        let filled = fill(&unfinished)?;
        let renamed = std::fs::rename(&unfinished, &file);
        renamed.map_err(|error| SessionError::disk(&file, error))?;
        self.settle()?;
        Ok(filled)
    }

    /// Removes the session file, with all that is in it.
    pub fn wipe(&self) -> Result<(), SessionError> {
        remove(&self.place.folder.join(UNFINISHED))?;
        remove(&self.place.file())?;
        self.settle()
    }

    fn settle(&self) -> Result<(), SessionError> {
        let folder = &self.place.folder;
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| SessionError::disk(folder, error))
    }
}

/// Follows no link: the holder's line goes into this very file.
fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let options = options
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options.open(path)
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).open(path)
}

fn remove(path: &Path) -> Result<(), SessionError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SessionError::disk(path, error))
        }
        _ => Ok(()),
    }
}

fn make_private(folder: &Path) -> Result<(), SessionError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(SessionError::disk(folder, error));
        }
        _ => {}
    }
    check(folder, Kind::Folder)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

fn check(path: &Path, kind: Kind) -> Result<(), SessionError> {
    let found = std::fs::symlink_metadata(path);
    let found = found.map_err(|error| SessionError::disk(path, error))?;
    let is_right = match kind {
        Kind::File => found.is_file(),
        Kind::Folder => found.is_dir(),
    };
    if !is_right {
        return Err(SessionError::Misplaced(path.to_owned()));
    }
    let us = std::fs::metadata("/proc/self").ok().map(|it| it.uid());
    judge(path, kind, Owned::of(&found), us)
}

/// Whose a file is, and who may use it.
#[derive(Debug, Clone, Copy)]
struct Owned {
    owner: u32,
    mode: u32,
}

impl Owned {
    fn of(found: &Metadata) -> Owned {
        Owned {
            owner: found.uid(),
            mode: found.permissions().mode() & 0o7777,
        }
    }
}

/// Only ours, and open to nobody else. `us` is none where the system does not tell.
fn judge(path: &Path, kind: Kind, found: Owned, us: Option<u32>) -> Result<(), SessionError> {
    let path = path.to_owned();
    let Owned { owner, mode } = found;
    if us.is_some_and(|us| us != owner) {
        return Err(SessionError::Foreign { path, owner });
    }
    if mode & 0o077 != 0 {
        let wanted = match kind {
            Kind::File => 0o600,
            Kind::Folder => 0o700,
        };
        return Err(SessionError::Exposed { path, mode, wanted });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_alone_is_refused() {
        let judged = |owner, mode, us| {
            let found = Owned { owner, mode };
            judge(Path::new("x"), Kind::File, found, us).map_err(|error| error.to_string())
        };
        assert_eq!(judged(5, 0o600, Some(5)), Ok(()));
        assert_eq!(judged(5, 0o600, None), Ok(()));
        let foreign = judged(6, 0o600, Some(5)).expect_err("another user's");
        assert!(foreign.contains("another user (id 6)"), "{foreign}");
        for mode in [0o640, 0o604, 0o660, 0o601] {
            let open = judged(5, mode, Some(5)).expect_err("open to others");
            assert!(open.contains(&format!("{mode:04o}")), "{open}");
        }
    }
}
