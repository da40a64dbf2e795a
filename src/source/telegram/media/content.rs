//! The folder of the files: each under the SHA-256 of its bytes, so that what is the same is there once.
//!
//! A file is written beside the others, synced, and then moved to its place: what has a place is whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::MediaError;
use super::find::FileId;

/// Where files are while they are written.
const UNFINISHED: &str = "tmp";

/// See the module.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Draft {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    digest: Sha256,
    bytes: u64,
}

/// A file that has its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Of its bytes, in hexadecimal.
    pub sha256: String,
    /// How many.
    pub bytes: u64,
    /// Whether no other file had the same.
    pub is_new: bool,
}

/// How a file is, compared with what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Soundness {
    /// As it was written.
    Sound,
    /// Not there.
    Missing,
    /// Other bytes.
    Damaged,
}

impl Folder {
    /// The folder, which is there or not.
    pub fn at(path: &Path) -> Folder {
        Folder(path.to_owned())
    }

    /// Makes it, and removes what a stop left unfinished.
    pub fn open(path: &Path) -> Result<Folder, MediaError> {
        let unfinished = path.join(UNFINISHED);
        make(&unfinished)?;
        let fail = |source| MediaError::io("clear", &unfinished, source);
        for entry in fs::read_dir(&unfinished).map_err(fail)? {
            fs::remove_file(entry.map_err(fail)?.path()).map_err(fail)?;
        }
        Ok(Folder::at(path))
    }

    /// Where a file of this digest is.
    pub fn place(&self, sha256: &str) -> PathBuf {
        let (shelf, name) = sha256.split_at_checked(2).unwrap_or(("", sha256));
        self.0.join(shelf).join(name)
    }

    /// Begins a file.
    pub(super) fn begin(&self, id: FileId) -> Result<Draft, MediaError> {
        // Never the same twice: a try that was given up may still be writing when the next begins.
        let number = fastrand::u64(..);
        let name = format!("{}-{}-{number:016x}", id.class.as_str(), id.id);
        let path = self.0.join(UNFINISHED).join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path);
        Ok(Draft {
            folder: self.0.clone(),
            file: file.map_err(|source| MediaError::io("make", &path, source))?,
            path,
            digest: Sha256::new(),
            bytes: 0,
        })
    }

    /// Reads a file and compares.
    pub fn check(&self, sha256: &str) -> Result<Soundness, MediaError> {
        let path = self.place(sha256);
        let fail = |source| MediaError::io("read", &path, source);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Soundness::Missing),
            Err(error) => return Err(fail(error)),
        };
        let (mut digest, mut block) = (Sha256::new(), vec![0; 64 * 1024]);
        loop {
            match file.read(&mut block).map_err(fail)? {
                0 => break,
                count => digest.update(&block[..count]),
            }
        }
        match hex(digest) == sha256 {
            true => Ok(Soundness::Sound),
            false => Ok(Soundness::Damaged),
        }
    }
}

impl Draft {
    /// How much there is of it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), MediaError> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| MediaError::io("write", &self.path, source))?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Gives it its place, durably.
    pub(super) fn finish(mut self) -> Result<Kept, MediaError> {
        let sha256 = hex(std::mem::take(&mut self.digest));
        let place = Folder::at(&self.folder).place(&sha256);
        let is_new = !place.exists();
        if is_new {
            let synced = self.file.sync_all();
            synced.map_err(|source| MediaError::io("sync", &self.path, source))?;
            let shelf = place.parent().unwrap_or(&self.folder);
            make(shelf)?;
            let moved = fs::rename(&self.path, &place);
            moved.map_err(|source| MediaError::io("move", &self.path, source))?;
            sync_folder(shelf)?;
            sync_folder(&self.folder)?;
        }
        Ok(Kept {
            sha256,
            bytes: self.bytes,
            is_new,
        })
    }
}

impl Drop for Draft {
    /// What was not moved is removed; what stays nevertheless, the next start removes.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn make(path: &Path) -> Result<(), MediaError> {
    let made = DirBuilder::new().mode(0o700).recursive(true).create(path);
    made.map_err(|source| MediaError::io("make the folder", path, source))
}

fn sync_folder(path: &Path) -> Result<(), MediaError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|source| MediaError::io("sync the folder", path, source))
}

fn hex(digest: Sha256) -> String {
    let digest = digest.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::find::Class;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const FILE: FileId = FileId {
        class: Class::Photo,
        id: 7,
    };
    /// Of "abc", from FIPS 180.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_private_and_the_same_bytes_are_kept_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(&dir.path().join("media")).expect("made");
        let mut draft = folder.begin(FILE).expect("begun");
        draft.write(b"ab").expect("written");
        draft.write(b"c").expect("written");
        let kept = draft.finish().expect("kept");
        assert_eq!(
            (kept.sha256.as_str(), kept.bytes, kept.is_new),
            (ABC, 3, true)
        );
        let place = folder.place(ABC);
        assert_eq!(fs::read(&place).expect("there"), b"abc");
        assert_eq!(mode(&place), 0o600);
        assert_eq!(mode(&dir.path().join("media")), 0o700);
        let mut again = folder.begin(FileId { id: 8, ..FILE }).expect("begun");
        again.write(b"abc").expect("written");
        assert!(!again.finish().expect("kept").is_new);
        let unfinished = dir.path().join("media").join(UNFINISHED);
        assert_eq!(fs::read_dir(unfinished).expect("there").count(), 0);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_seen() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(dir.path()).expect("made");
        assert_eq!(folder.check(ABC).expect("read"), Soundness::Missing);
        let mut draft = folder.begin(FILE).expect("begun");
        draft.write(b"abc").expect("written");
        draft.finish().expect("kept");
        assert_eq!(folder.check(ABC).expect("read"), Soundness::Sound);
        fs::write(folder.place(ABC), b"abd").expect("written");
        assert_eq!(folder.check(ABC).expect("read"), Soundness::Damaged);
    }

    #[test]
    fn what_a_kill_left_is_removed_by_the_next_start() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(dir.path()).expect("made");
        let mut draft = folder.begin(FILE).expect("begun");
        draft.write(b"half").expect("written");
        std::mem::forget(draft);
        let unfinished = dir.path().join(UNFINISHED);
        assert_eq!(fs::read_dir(&unfinished).expect("there").count(), 1);
        Folder::open(dir.path()).expect("opened");
        assert_eq!(fs::read_dir(&unfinished).expect("there").count(), 0);
    }
}
