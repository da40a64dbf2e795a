//! Checking the containers of an archive against the log that they came from.

use std::path::Path;

use super::{Finding, FindingKind, VerifyReport};
use crate::archive::Archived;
use crate::catalog::Contents;
use crate::container::{Container, ContainerError, container_name, parse_container_name};
use crate::error::{AtFile, OpenError};
use crate::manifest::Manifest;
use crate::plan::segments_in;
use crate::salvage::{catalog_of, identify};
use crate::seq::Seq;
use crate::storage::{Access, Disk, Storage};

/// Reads and checks every container in `archive` that is one of the log in `dir`: its hash, its
/// records, keys and manifest, that it is what the catalog says was archived, the chain, and that
/// none is missing between others. Segments of the report are containers. `progress` is told the
/// bytes read so far.
///
/// Containers of other logs are left alone, and the oldest ones may have been removed.
///
/// # Errors
/// Only what keeps it from starting: a directory that cannot be read. An archive that was never
/// made has no containers.
pub fn verify_archive(
    dir: &Path,
    archive: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<VerifyReport, OpenError> {
    if !archive.exists() {
        return Ok(VerifyReport::default());
    }
    verify_archive_on(&Disk::new(dir), &Disk::new(archive), progress)
}

pub(crate) fn verify_archive_on(
    log: &dyn Storage,
    archive: &dyn Storage,
    progress: &mut dyn FnMut(u64),
) -> Result<VerifyReport, OpenError> {
    let names = log.list().at("the log directory")?;
    let mut check = Check {
        archive,
        log_id: identify(log, &names),
        catalog: catalog_of(log),
        floor: segments_in(&names).first().copied().unwrap_or(u64::MAX),
        report: VerifyReport::default(),
        link: None,
    };
    let names = archive.list().at("the archive")?;
    let mut firsts: Vec<u64> = names
        .iter()
        .filter_map(|it| parse_container_name(it))
        .collect();
    firsts.sort_unstable();
    let mut read = 0;
    for first in &firsts {
        check.container(*first);
        read += archive.len(&container_name(*first)).unwrap_or(0);
        progress(read);
    }
    check.end(&firsts);
    Ok(check.report)
}

struct Check<'a> {
    archive: &'a dyn Storage,
    /// `None` when nothing of the log says so; then every container counts as one of it.
    log_id: Option<crate::seq::LogId>,
    catalog: Option<Contents>,
    /// Where the live segments begin.
    floor: u64,
    report: VerifyReport,
    /// The number after the last container, and the digest that what starts there should name.
    link: Option<(u64, [u8; 32])>,
}

impl Check<'_> {
    fn find(&mut self, kind: FindingKind, first: u64, seq: Option<Seq>, what: String) {
        self.report.findings.push(Finding {
            kind,
            segment: container_name(first),
            seq,
            what,
        });
    }

    fn archived(&self, first: u64) -> Option<&Archived> {
        let all = &self.catalog.as_ref()?.archived;
        all.iter().find(|it| it.manifest.first == first)
    }

    fn container(&mut self, first: u64) {
        let opened = self.archive.open(&container_name(first), Access::Read);
        let container = match opened.map_err(Into::into).and_then(Container::open) {
            Ok(container) => container,
            Err(e) => {
                self.report.segments += 1;
                self.link = None;
                let (kind, seq) = kind_of(&e);
                return self.find(kind, first, seq, e.to_string());
            }
        };
        let manifest = container.manifest();
        if self
            .log_id
            .is_some_and(|ours| ours != manifest.identity.log_id)
        {
            return;
        }
        self.report.segments += 1;
        self.report.records += manifest.count;
        self.report.bytes += manifest.record_bytes;
        self.report.holes.extend(container.holes().iter());
        let misnamed = manifest.first != first;
        let known = self.archived(first);
        if misnamed || known.is_some_and(|known| known.manifest.digest != manifest.digest) {
            let what = "it is not the one that was archived under this name".to_owned();
            self.find(FindingKind::ContainerDamaged, first, None, what);
        } else if let Err(e) = container.check() {
            let (kind, seq) = kind_of(&e);
            self.find(kind, first, seq, e.to_string());
        }
        self.chain(manifest);
    }

    fn chain(&mut self, manifest: &Manifest) {
        let expected = self.link.filter(|(next, _)| *next == manifest.first);
        if expected.is_some_and(|(_, digest)| manifest.previous != Some(digest)) {
            let what = "does not name the digest of the segment before".to_owned();
            self.find(FindingKind::ChainBroken, manifest.first, None, what);
        }
        self.link = manifest
            .last
            .checked_add(1)
            .map(|next| (next, manifest.link()));
    }

    /// What the catalog says was archived is there, unless all that is older was removed too.
    fn end(&mut self, firsts: &[u64]) {
        let Some(catalog) = self.catalog.take() else {
            return;
        };
        let oldest = firsts.first().copied().unwrap_or(u64::MAX);
        for Archived { manifest, .. } in &catalog.archived {
            let first = manifest.first;
            if first > oldest && first < self.floor && firsts.binary_search(&first).is_err() {
                let what = format!(
                    "the container with records {first} to {} is missing",
                    manifest.last
                );
                self.find(FindingKind::ContainerMissing, first, Seq::new(first), what);
            }
        }
        let live = catalog.floor;
        if let (Some((next, digest)), Some(previous)) = (self.link, live.previous)
            && next == live.first
            && previous != digest
        {
            let what = "is not what the first segment of the log names".to_owned();
            let last = firsts.last().copied().unwrap_or(next);
            self.find(FindingKind::ChainBroken, last, None, what);
        }
    }
}

/// The same sorts of findings for a container, wherever it lies.
pub(crate) fn kind_of(e: &ContainerError) -> (FindingKind, Option<Seq>) {
    match e {
        ContainerError::Record { seq, .. } | ContainerError::Misplaced { seq, .. } => {
            (FindingKind::RecordDamaged, Some(*seq))
        }
        ContainerError::Missing { seq } => (FindingKind::RecordMissing, Some(*seq)),
        ContainerError::Disk(e) if e.is_absent() => (FindingKind::ContainerMissing, None),
        _ => (FindingKind::ContainerDamaged, None),
    }
}
