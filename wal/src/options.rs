//! How a log is opened and what opening had to do.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::seal::SealRule;
use crate::seq::Seq;

/// How a log is written. The files do not depend on it: any value opens any log.
///
/// # Why two phases, a shared file, and a redo file
///
/// Records of 300 bytes per second, median of 7 turns in one run, and the same as a part of
/// "raw", which overwrites and syncs blocks that were written before (2 cores, ext4 on a virtual
/// disk; `cargo run --release -p telegram-gateway-wal --example modes`):
///
/// | Batch | raw | redb one-phase | redb two-phase | redb shared |
/// |---|---|---|---|---|
/// | 1 | 8,672 | 3,703 (0.43) | 2,575 (0.30) | 2,796 (0.32) |
/// | 1000 | 3,831,307 | 653,709 (0.17) | 602,773 (0.16) | 625,649 (0.16) |
///
/// Sharing the file with readers in other processes costs nothing beyond two phases, but two
/// phases are two syncs. The redo file makes one of them: a single record with its key and a
/// bookmark then takes about twice as long as raw (`telegram-gateway bench log`), which is less
/// than one phase of the bare engine would.
///
/// # What a large commit takes
///
/// 1000 records with keys take the log five to six times as long as raw: 0.18 to 0.20 of it in
/// the median of four runs of `telegram-gateway bench log`, 0.25 to 0.28 without keys. That is as
/// long as the segment was made in blocks that were written ahead: the sync of new blocks alone
/// takes longer than that of all the data.
///
/// Of a commit of 1000 (`perf record` of the example), three tenths are the pages' way to the disk,
/// an eighth the sync of the header that must come after them, a sixth each the engine's rows and
/// the search for the keys, and a tenth encoding and checksums. Less would take one sync for
/// pages and header both, that is, a redo frame with checksums of pages that are elsewhere, and
/// an engine that takes over pages instead of copying rows.
///
/// # What a reader beside it takes
///
/// Appends of 1000 keep 1.2 processors busy, with the keeper's work beside them (`/proc/PID/stat`
/// of the writer of `telegram-gateway bench log`). Where there are two, a process that keeps one of
/// them busy leaves 0.8 of that, whether it reads the log or only counts: `bench log` measures
/// appends beside a loop that touches nothing, too. The commands of the program that read the
/// whole log run at a lower priority; more than that takes a third processor.
#[derive(Debug, Clone)]
pub struct Options {
    /// Record bytes after which a segment is sealed. Default 64 MiB. Repairing a segment after
    /// a crash takes time in proportion: 0.07 to 0.10 s measured for a full one of the default
    /// size (`telegram-gateway bench log`). From an eighth to a half of it, the file of the next
    /// segment is written ahead: five quarters of this, at most 128 MiB, of disk space more than
    /// the records take.
    pub segment_bytes_max: u64,
    /// Age after which a segment with records is sealed, looked at when appending. Default one day.
    pub segment_age_max: Duration,
    /// Length of the redo file. A commit of up to half of it, and at most 128 KiB, is one
    /// write and one sync there; a larger one syncs twice. Each time it is full, the segment is
    /// synced. Default 8 MiB: some 200 commits of one record.
    pub redo_bytes: usize,
    /// Directory that trimmed segments are kept in, compressed, each as a file that describes
    /// itself. Made when it is not there; may be on another disk. Default none: what is trimmed
    /// is gone.
    pub archive: Option<PathBuf>,
    /// Memory for the pages of the active segment and of the catalog together. Default 64 MiB.
    pub cache_bytes: usize,
    /// Told how far opening is while it repairs the active segment after an unclean stop.
    /// Default: nobody.
    pub progress: Option<Progress>,
}

/// Who is told the part of a repair that is done, 0 to 1. Called on the thread that opens.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(f64) + Send + Sync>);

impl Progress {
    /// Tells `hear`.
    pub fn new(hear: impl Fn(f64) + Send + Sync + 'static) -> Progress {
        Progress(Arc::new(hear))
    }

    pub(crate) fn tell(&self, done: f64) {
        (self.0)(done);
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes_max: 64 << 20,
            segment_age_max: Duration::from_secs(24 * 60 * 60),
            redo_bytes: 8 << 20,
            archive: None,
            cache_bytes: 64 << 20,
            progress: None,
        }
    }
}

impl Options {
    pub(crate) fn seal_rule(&self) -> SealRule {
        SealRule {
            bytes_max: self.segment_bytes_max,
            age_max: self.segment_age_max,
        }
    }

    /// Three quarters go to the active segment, where every append works; the catalog is only
    /// asked about keys.
    pub(crate) fn segment_cache(&self) -> usize {
        self.cache_bytes / 4 * 3
    }

    pub(crate) fn catalog_cache(&self) -> usize {
        self.cache_bytes / 4
    }
}

/// What opening had to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The log did not exist before.
    pub created: bool,
    /// The last writer did not close the log; its active segment was repaired.
    pub unclean: bool,
    /// How long opening took.
    pub took: Duration,
    /// The highest number in the log.
    pub tail: Option<Seq>,
    /// A seal that a crash had interrupted was completed.
    pub seal_completed: bool,
    /// The catalog was missing or damaged and was made again from the segments. Dedup keys of
    /// segments trimmed before are forgotten by that; nothing else is lost.
    pub catalog_rebuilt: bool,
    /// Why the archive could not be looked at. Appending goes on; trimming is refused and what
    /// is archived cannot be read until it is there again.
    pub archive_error: Option<String>,
    /// Segments before the newest that were found missing or damaged, oldest first. The log goes
    /// on without them, reads of their numbers are errors, and [`crate::Log::salvage`] repairs
    /// them. Opening looks into sealed segments only while it makes the catalog again:
    /// [`crate::verify()`] finds what else is damaged.
    pub damaged: Vec<Damaged>,
}

/// A sealed segment that is missing or damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// File name within the log's directory.
    pub file: String,
    /// The number it starts with.
    pub first: Seq,
    /// What is wrong, in words.
    pub why: String,
}
