//! Proving that a backup can be restored.

use std::path::Path;

use super::index::{self, Entry};
use super::orphans;
use super::{BackupError, BackupReport};
use crate::container::{Container, ContainerError, container_name};
use crate::manifest::Manifest;
use crate::seq::{LogId, Seq};
use crate::storage::{Access, Disk, Storage};
use crate::verify::{Finding, FindingKind, kind_of};

/// Result of reading a backup.
#[derive(Debug, Clone)]
pub struct BackupCheck {
    /// What is in it, as its index says.
    pub report: BackupReport,
    /// Records read.
    pub records: u64,
    /// Everything that is not as it should be; a backup without findings can be restored.
    pub findings: Vec<Finding>,
}

/// Reads everything in the backup of `dir`: hashes, records, manifests, that each segment
/// follows on the one before it. Goes on after a finding. `progress` is told the bytes read.
///
/// # Errors
/// [`BackupError::NotABackup`], [`BackupError::Index`]: nothing else can be said then.
pub fn verify_backup(
    dir: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<BackupCheck, BackupError> {
    let not = || BackupError::NotABackup {
        dir: dir.display().to_string(),
    };
    if !dir.is_dir() {
        return Err(not());
    }
    verify_on(&Disk::new(dir), progress)?.ok_or_else(not)
}

/// `None` where no backup is.
pub(crate) fn verify_on(
    storage: &dyn Storage,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<BackupCheck>, BackupError> {
    let Some(index) = index::load(storage)? else {
        return Ok(None);
    };
    let mut check = BackupCheck {
        report: index.report(0, 0),
        records: 0,
        findings: Vec::new(),
    };
    let mut link = None;
    let mut done = 0;
    for entry in &index.entries {
        let file = container_name(entry.first);
        let mut find = |kind, seq: Option<Seq>, what: String| {
            check.findings.push(Finding {
                kind,
                segment: file.clone(),
                seq,
                what,
            });
        };
        match checked(storage, entry, index.identity.log_id) {
            Ok(manifest) => {
                if link.is_some() && manifest.previous != link {
                    let what = "does not name the digest of the segment before";
                    find(FindingKind::ChainBroken, None, what.to_owned());
                }
                check.records += manifest.count;
                link = Some(manifest.link());
            }
            Err(e) => {
                let (kind, seq) = kind_of(&e);
                find(kind, seq, e.to_string());
                link = None;
            }
        }
        done += entry.bytes;
        progress(done);
    }
    if let Some(keys) = &index.keys {
        if let Err(e) = orphans::check(storage, keys, index.identity.log_id) {
            let (kind, seq) = kind_of(&e);
            check.findings.push(Finding {
                kind,
                segment: keys.name(),
                seq,
                what: e.to_string(),
            });
        }
        progress(done + keys.bytes);
    }
    Ok(Some(check))
}

/// Reads a container whole and compares it with its entry.
pub(crate) fn checked(
    storage: &dyn Storage,
    entry: &Entry,
    log_id: LogId,
) -> Result<Manifest, ContainerError> {
    let opened = storage.open(&container_name(entry.first), Access::Read)?;
    let container = Container::open(opened)?;
    let sum = container.check()?;
    let manifest = container.manifest();
    if manifest.identity.log_id != log_id || Entry::of_manifest(manifest, sum) != *entry {
        return Err(ContainerError::Damaged {
            what: "it is not the one the index names",
        });
    }
    Ok(manifest.clone())
}
