//! The ballast: room on the disk that is kept for trouble.
//!
//! A file of real blocks in the data directory. When the disk is full, half of it is given back, so that the log can
//! be opened again, read on and trimmed; the rest goes when the program stops, so that it can close the log in order.
//! That the file could be filled anew is the proof that space has returned.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Its name in the data directory.
pub const BALLAST: &str = "ballast";

/// Written at once; a full disk is noticed after this much.
const PIECE: usize = 1 << 20;

/// The file, and how large it has to be.
#[derive(Debug, Clone)]
pub(super) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    pub(super) fn new(data_dir: &Path, bytes: u64) -> Ballast {
        Ballast {
            path: data_dir.join(BALLAST),
            bytes,
        }
    }

    /// Whether one is wanted at all.
    pub(super) fn is_on(&self) -> bool {
        self.bytes > 0
    }

    /// Makes it whole: all blocks written and synced. When that fails it is as large as before.
    pub(super) fn fill(&self) -> io::Result<()> {
        if !self.is_on() {
            return self.cut(0);
        }
        let allocated = self.allocated()?;
        if allocated > self.bytes {
            return self.cut(self.bytes);
        }
        if allocated == self.bytes {
            return Ok(());
        }
        let filled = self.write_from(allocated);
        if filled.is_err() {
            // The room that was taken in vain is needed elsewhere.
            let _ = self.cut(allocated);
        }
        filled
    }

    /// Gives back half of what it should have.
    pub(super) fn release_half(&self) -> io::Result<()> {
        let half = self.bytes / 2;
        if self.allocated()? > half {
            self.cut(half)?;
        }
        Ok(())
    }

    /// Gives all of it back.
    pub(super) fn release(&self) -> io::Result<()> {
        self.cut(0)
    }

    /// Bytes at its start that occupy the disk; a file with holes in it (a copy, say) counts for nothing.
    fn allocated(&self) -> io::Result<u64> {
        match std::fs::metadata(&self.path) {
            Ok(found) if found.blocks() * 512 >= found.len() => Ok(found.len()),
            Ok(_) => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn cut(&self, to: u64) -> io::Result<()> {
        if to > 0 {
            return OpenOptions::new().write(true).open(&self.path)?.set_len(to);
        }
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn write_from(&self, start: u64) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        file.set_len(start)?;
        file.seek(SeekFrom::Start(start))?;
        // Noise: a file system that compresses would keep no room for anything else.
        let mut random = fastrand::Rng::new();
        let mut piece = vec![0; PIECE];
        let mut left = self.bytes - start;
        while left > 0 {
            let len = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            random.fill(&mut piece[..len]);
            file.write_all(&piece[..len])?;
            left -= len as u64;
        }
        file.sync_all()?;
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_occupies_the_disk_and_gives_room_back_in_two_steps() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(BALLAST);
        let occupied = || std::fs::metadata(&path).map_or(0, |found| found.blocks() * 512);
        let ballast = Ballast::new(dir.path(), 3 << 20);
        ballast.fill().expect("room");
        assert!(occupied() >= 3 << 20);
        ballast.release_half().expect("cut");
        assert!(occupied() <= (3 << 20) / 2 + 4096);
        ballast.fill().expect("room");
        ballast.release().expect("removed");
        assert_eq!(occupied(), 0);
        ballast.release_half().expect("nothing to cut");
        // A file that only looks large is filled; one that is too large is cut; none is wanted: it goes.
        let sparse = File::create(&path).expect("a file");
        sparse.set_len(3 << 20).expect("a size");
        ballast.fill().expect("room");
        assert!(occupied() >= 3 << 20);
        Ballast::new(dir.path(), 1 << 20).fill().expect("cut");
        assert_eq!(std::fs::metadata(&path).expect("there").len(), 1 << 20);
        Ballast::new(dir.path(), 0).fill().expect("removed");
        assert!(!path.exists());
    }
}
