//! What is known of one segment.

use redb::ReadTransaction;

use crate::error::{AtFile, ReadError};
use crate::manifest::Manifest;
use crate::plan::segment_name;
use crate::segment;
use crate::seq::Seq;

/// One segment of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// File name within the log's directory, or within the archive's if it is `archived`.
    pub file: String,
    /// Number of its first record, or of the record that will be its first.
    pub first: Seq,
    /// Number of its last record, `None` while it has none.
    pub last: Option<Seq>,
    /// Records in it.
    pub count: u64,
    /// Numbers of its range without a record: those of its holes.
    pub missing: u64,
    /// Record bytes in it (headers and payloads).
    pub bytes: u64,
    /// Length of the file in bytes; parts of it may not occupy disk space.
    pub file_bytes: u64,
    /// Whether it is complete and never changes again.
    pub sealed: bool,
    /// When it was sealed, microseconds since the Unix epoch, UTC; `None` while it is active.
    pub sealed_at: Option<i64>,
    /// Whether it is a container in the archive and no longer in the log's directory.
    pub archived: bool,
    /// SHA-256 over its record bytes in order, once sealed.
    pub digest: Option<[u8; 32]>,
    /// Digest of the segment it was salvaged from, which the next segment names instead of its own.
    pub replaces: Option<[u8; 32]>,
    /// The digest of the segment before it, `None` for the first of the log.
    pub previous: Option<[u8; 32]>,
    /// Whether the file was repaired after an unclean stop of its writer.
    pub recovered: bool,
    /// What is wrong with the file, in words, where it cannot be read; the rest is then what the
    /// catalog knows.
    pub damage: Option<String>,
}

impl SegmentInfo {
    pub(crate) fn sealed(manifest: &Manifest, file_bytes: u64) -> SegmentInfo {
        SegmentInfo {
            file: segment_name(manifest.first),
            first: Seq::at_least_first(manifest.first),
            last: Seq::new(manifest.last),
            count: manifest.count,
            missing: manifest.missing,
            bytes: manifest.record_bytes,
            file_bytes,
            sealed: true,
            sealed_at: Some(manifest.sealed_at),
            archived: false,
            digest: Some(manifest.digest),
            replaces: manifest.replaces,
            previous: manifest.previous,
            recovered: manifest.recovered,
            damage: None,
        }
    }
}

/// Describes a segment from a snapshot of it. `live_bytes` spares the walk over an active one.
pub(crate) fn look(
    txn: &ReadTransaction,
    first: u64,
    file_bytes: u64,
    live_bytes: Option<u64>,
) -> Result<SegmentInfo, ReadError> {
    let file = segment_name(first);
    if let Some(manifest) = segment::read_seal(txn, &file)? {
        return Ok(SegmentInfo::sealed(&manifest, file_bytes));
    }
    let last = segment::read_last(txn).at(&file)?;
    let bytes = match live_bytes {
        Some(bytes) => bytes,
        None => crate::sum::sum_bytes(txn).at(&file)?,
    };
    let missing = segment::read_holes(txn).at(&file)?.count();
    let meta = segment::read_meta(txn, &file)?;
    Ok(SegmentInfo {
        first: Seq::at_least_first(first),
        last: last.and_then(Seq::new),
        count: last.map_or(0, |last| (last + 1 - first).saturating_sub(missing)),
        missing,
        bytes,
        file_bytes,
        sealed: false,
        sealed_at: None,
        archived: false,
        digest: None,
        replaces: None,
        previous: meta.previous,
        recovered: meta.recovered,
        damage: None,
        file,
    })
}

/// Adds the segments that are missing, and those that are `broken`: first numbers, with what is
/// wrong.
pub(crate) fn fill_in(
    infos: &mut Vec<SegmentInfo>,
    broken: Vec<(u64, String)>,
    manifests: &[Manifest],
    len: impl Fn(&str) -> u64,
) {
    for manifest in manifests {
        if infos.iter().any(|info| info.first.get() == manifest.first) {
            continue;
        }
        let why = broken.iter().find(|(first, _)| *first == manifest.first);
        let why = why.map_or("the file is missing", |(_, why)| why);
        let info = SegmentInfo::sealed(manifest, len(&segment_name(manifest.first)));
        infos.push(SegmentInfo {
            damage: Some(why.to_owned()),
            ..info
        });
    }
    for (first, why) in broken {
        if infos.iter().any(|info| info.first.get() == first) {
            continue;
        }
        let file = segment_name(first);
        infos.push(SegmentInfo {
            first: Seq::at_least_first(first),
            last: None,
            count: 0,
            missing: 0,
            bytes: 0,
            file_bytes: len(&file),
            sealed: true,
            sealed_at: None,
            archived: false,
            digest: None,
            replaces: None,
            previous: None,
            recovered: false,
            damage: Some(why),
            file,
        });
    }
    infos.sort_unstable_by_key(|info| info.first);
}
