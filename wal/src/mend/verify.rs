//! Checking a log record by record, beside a running writer.

mod archived;
mod contents;
pub(crate) mod integrity;
mod kind;

pub(crate) use archived::kind_of;
pub use archived::verify_archive;
#[cfg(test)]
pub(crate) use archived::verify_archive_on;
pub use kind::FindingKind;

use std::path::Path;

use redb::ReadTransaction;

use crate::catalog::{self, Contents};
use crate::contain::contained;
use crate::dedup;
use crate::error::{AtFile, OpenError};
use crate::files::open_settled;
use crate::hole::Hole;
use crate::manifest::Manifest;
use crate::overlay::Opened;
use crate::part::{Window, read_part};
use crate::plan::{CATALOG, segment_name, segments_in};
use crate::segment;
use crate::seq::Seq;
use crate::storage::{Disk, Storage};
use FindingKind::{
    CatalogDiffers, CatalogMissing, CatalogOlder, CatalogUnreadable, ChainBroken, HolesDiffer,
    RecordUnreadable, SegmentForeign, SegmentMisplaced, SegmentMissing, SegmentNotSealed,
    SegmentUnreadable,
};

/// Most findings listed per segment; a last one says how many more there were.
pub const FINDINGS_MAX: usize = 1000;

/// Result of checking a log record by record.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Segments looked at.
    pub segments: usize,
    /// Records looked at, damaged ones included.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Recorded holes of the segments looked at. They are no findings: what they cover was
    /// reported when it was lost.
    pub holes: Vec<Hole>,
    /// Everything that is not as it should be; empty for a sound log.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What sort of thing.
    pub kind: FindingKind,
    /// The file.
    pub segment: String,
    /// The record, if it is about one.
    pub seq: Option<Seq>,
    /// What is wrong, in words.
    pub what: String,
}

/// Checks every record (checksum, number, epoch), each sealed segment against its manifest and
/// the catalog, the chain, the keys, and that no number is missing. Goes on after a finding, and
/// works beside a running writer. `progress` is told the record bytes checked so far, and at the
/// end of all.
///
/// # Errors
/// Only what keeps it from starting: no log there, or a directory that cannot be read.
pub fn verify(dir: &Path, progress: &mut dyn FnMut(u64)) -> Result<VerifyReport, OpenError> {
    if !dir.is_dir() {
        return Err(OpenError::NotALog {
            dir: dir.display().to_string(),
        });
    }
    verify_on(&Disk::new(dir), progress).map_err(|e| match e {
        OpenError::NotALog { .. } => OpenError::NotALog {
            dir: dir.display().to_string(),
        },
        e => e,
    })
}

pub(crate) fn verify_on(
    storage: &dyn Storage,
    progress: &mut dyn FnMut(u64),
) -> Result<VerifyReport, OpenError> {
    let mut check = Check {
        before_newest: false,
        storage,
        catalog_file: None,
        keys_in_catalog: Vec::new(),
        report: VerifyReport::default(),
        progress,
    };
    // The catalog before the list: a segment sealed in between is then only newer than it.
    let catalog = check.catalog();
    let names = storage.list().at("the log directory")?;
    let firsts = segments_in(&names);
    if firsts.is_empty() && catalog.is_none() {
        return Err(OpenError::NotALog { dir: String::new() });
    }
    check.presence(&firsts, catalog.as_ref());
    let mut link = Link {
        expected: firsts.first().copied().unwrap_or(1),
        digest: None,
    };
    if let Some(contents) = &catalog {
        link.digest = contents
            .floor
            .previous
            .filter(|_| contents.floor.first == link.expected);
    }
    for (at, first) in firsts.iter().copied().enumerate() {
        let newest = at + 1 == firsts.len();
        // The one before it may still be on its way into the catalog.
        check.before_newest = at + 2 == firsts.len();
        check.segment(first, newest, catalog.as_ref(), &mut link);
    }
    (check.progress)(check.report.bytes);
    Ok(check.report)
}

/// Where the next segment should start and what it should name.
struct Link {
    expected: u64,
    /// `None` when unknown, because the segment before is unreadable or trimmed.
    digest: Option<[u8; 32]>,
}

struct Check<'a> {
    storage: &'a dyn Storage,
    catalog_file: Option<Opened>,
    /// How many dedup keys the catalog has for each of its manifests, in their order.
    keys_in_catalog: Vec<u64>,
    report: VerifyReport,
    progress: &'a mut dyn FnMut(u64),
    /// Whether the segment looked at is the last but one.
    before_newest: bool,
}

impl Check<'_> {
    fn find(
        &mut self,
        kind: FindingKind,
        segment: &str,
        seq: Option<u64>,
        what: impl Into<String>,
    ) {
        let finding = Finding {
            kind,
            segment: segment.to_owned(),
            seq: seq.and_then(Seq::new),
            what: what.into(),
        };
        self.report.findings.push(finding);
    }

    fn catalog(&mut self) -> Option<Contents> {
        let storage = self.storage;
        let read = contained::<_, OpenError>(CATALOG, || {
            let Some(db) = open_settled(storage, CATALOG)? else {
                return Ok(None);
            };
            let txn = db.begin_read().at(CATALOG)?;
            let contents = catalog::read(&txn)?;
            let keys = dedup::count(&txn, &contents.manifests, &contents.holes).at(CATALOG)?;
            Ok(Some((db, contents, keys)))
        });
        match read {
            Ok(Some((db, contents, keys))) => {
                self.catalog_file = Some(db);
                self.keys_in_catalog = keys;
                self.pages_at_rest(CATALOG);
                return Some(contents);
            }
            Ok(None) => self.find(CatalogMissing, CATALOG, None, "the catalog is missing"),
            Err(e) => self.find(CatalogUnreadable, CATALOG, None, e.to_string()),
        }
        None
    }

    /// The catalog as it is now: a running writer goes on while its log is checked.
    fn catalog_now(&self) -> Option<Contents> {
        let db = self.catalog_file.as_ref()?;
        let read =
            contained::<_, OpenError>(CATALOG, || catalog::read(&db.begin_read().at(CATALOG)?));
        read.ok()
    }

    /// Below this a running writer has trimmed by now.
    fn floor_now(&self) -> u64 {
        self.catalog_now().map_or(0, |now| now.floor.first)
    }

    /// Every segment the catalog knows has its file.
    fn presence(&mut self, firsts: &[u64], catalog: Option<&Contents>) {
        let newest = catalog.map_or(0, |contents| contents.newest);
        if firsts.last().is_none_or(|last| *last < newest) {
            let what = format!("the file with records from {newest} is missing");
            self.find(SegmentMissing, &segment_name(newest), Some(newest), what);
        }
        let floor = self.floor_now();
        for manifest in catalog.iter().flat_map(|contents| &contents.manifests) {
            // What a running writer has trimmed since the catalog was read is not missing.
            if !firsts.contains(&manifest.first) && manifest.first >= floor {
                let file = segment_name(manifest.first);
                let what = format!(
                    "the file with records {} to {} is missing",
                    manifest.first, manifest.last
                );
                self.find(SegmentMissing, &file, Some(manifest.first), what);
            }
        }
    }

    fn segment(&mut self, first: u64, newest: bool, catalog: Option<&Contents>, link: &mut Link) {
        let file = segment_name(first);
        if first != link.expected && link.expected >= self.floor_now() {
            let what = format!("starts at {first}, but {} should come next", link.expected);
            self.find(SegmentMissing, &file, Some(link.expected), what);
        }
        if first != link.expected {
            // The chain goes on past what is missing as far as the catalog knows that.
            let manifests = catalog.iter().flat_map(|c| &c.manifests);
            let before = manifests.into_iter().find(|m| m.last + 1 == first);
            link.digest = before.map(Manifest::link);
        }
        self.report.segments += 1;
        let known = catalog.and_then(|c| c.manifests.iter().find(|m| m.first == first));
        *link = Link {
            expected: known.map_or(first, |m| m.last + 1),
            digest: link.digest,
        };
        let mut after = None;
        let outcome = contained::<_, OpenError>(&file, || {
            let Some(db) = open_settled(self.storage, &file)? else {
                return Ok(());
            };
            let txn = db.begin_read().at(&file)?;
            after = Some(self.contents(&txn, first, newest, catalog, link.digest)?);
            Ok(())
        });
        link.digest = known.map(Manifest::link);
        if let Some((expected, digest)) = after {
            (link.expected, link.digest) = (expected, digest);
        }
        match outcome {
            Ok(()) if newest => self.pages_at_rest(&file),
            Ok(()) => self.pages(&file),
            Err(e) => {
                self.find(SegmentUnreadable, &file, None, e.to_string());
                self.salvage(first, known);
            }
        }
    }

    /// Checks an open segment; returns the number after it and its digest.
    fn contents(
        &mut self,
        txn: &ReadTransaction,
        first: u64,
        newest: bool,
        catalog: Option<&Contents>,
        previous: Option<[u8; 32]>,
    ) -> Result<(u64, Option<[u8; 32]>), OpenError> {
        let file = segment_name(first);
        let manifests = catalog.map_or(&[][..], |contents| &contents.manifests);
        let at = manifests
            .iter()
            .position(|manifest| manifest.first == first);
        let known = at.map(|at| &manifests[at]);
        let log_id = catalog.map(|contents| contents.log_id);
        let meta = segment::read_meta(txn, &file)?;
        if meta.first != first {
            let what = format!("says that it starts at {}", meta.first);
            self.find(SegmentMisplaced, &file, Some(first), what);
        }
        if log_id.is_some_and(|log_id| meta.identity.log_id != log_id) {
            self.find(SegmentForeign, &file, None, "belongs to another log");
        }
        if previous.is_some() && meta.previous != previous {
            let what = "does not name the digest of the segment before";
            self.find(ChainBroken, &file, None, what);
        }
        let sealed = segment::read_seal(txn, &file)?;
        let (tally, next) = self.records(txn, &meta, &file).at(&file)?;
        let missing = segment::read_holes(txn).at(&file)?.count();
        self.keys(txn, first, next, &file).at(&file)?;
        match &sealed {
            Some(manifest) => self.manifest(manifest, &meta, &tally, next, missing, &file),
            None if !newest => {
                let what = "is not sealed, but others follow it";
                self.find(SegmentNotSealed, &file, None, what);
            }
            None => self.cursors(txn, next, &file).at(&file)?,
        }
        if let (Some(at), true) = (at, sealed.is_some()) {
            let count = self.keys_in_catalog.get(at).copied().unwrap_or(0);
            self.catalogued(txn, &file, count).at(CATALOG)?;
        }
        if let (Some(known), Some(contents)) = (known, catalog) {
            let holes = segment::read_holes(txn).at(&file)?;
            if holes != contents.holes.within(known.first, known.last) {
                self.find(HolesDiffer, &file, None, "the catalog has other holes");
            }
        }
        match (&sealed, known) {
            (Some(sealed), Some(known)) if sealed != known => {
                let what = "the catalog has another manifest";
                self.find(CatalogDiffers, &file, None, what);
            }
            (None, Some(_)) => {
                let what = "the catalog says that it is sealed";
                self.find(CatalogDiffers, &file, None, what);
            }
            (Some(sealed), None) if !newest && !self.before_newest => {
                let now = self.catalog_now();
                let gone = |now: &Contents| now.floor.first > sealed.first;
                if !now.is_some_and(|now| gone(&now) || now.manifests.contains(sealed)) {
                    self.find(CatalogOlder, &file, None, "is not in the catalog");
                }
            }
            _ => {}
        }
        Ok((next, sealed.map(|manifest| manifest.link())))
    }

    /// A segment that cannot be walked: names the records that cannot be read one by one.
    fn salvage(&mut self, first: u64, known: Option<&Manifest>) {
        let Some(last) = known.map(|manifest| manifest.last) else {
            return;
        };
        let file = segment_name(first);
        let Ok(Some(db)) = contained(&file, || open_settled(self.storage, &file)) else {
            return;
        };
        let mut lost: Option<(u64, u64)> = None;
        for seq in first..=last {
            let readable = contained::<_, OpenError>(&file, || {
                let txn = db.begin_read().at(&file)?;
                Ok(read_part(&txn, first, Window::one(seq))
                    .is_ok_and(|part| part.records.len() == 1))
            });
            if !matches!(readable, Ok(true)) {
                lost = Some((lost.map_or(seq, |(from, _)| from), seq));
            } else if let Some((from, to)) = lost.take() {
                let what = format!("records {from} to {to} cannot be read");
                self.find(RecordUnreadable, &file, Some(from), what);
            }
        }
        if let Some((from, to)) = lost {
            let what = format!("records {from} to {to} cannot be read");
            self.find(RecordUnreadable, &file, Some(from), what);
        }
    }
}
