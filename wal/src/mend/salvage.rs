//! Saving what can be read of damaged segments, under the same numbers.
//!
//! For each segment, in this order: what the engine can still read, number by number; records
//! found in the bytes of the file, wherever they lie ([`crate::carve`]); the same from other
//! files that turn out to be this segment (a misnamed one, an original put aside by an earlier
//! salvage); and what the caller has ([`RecordSource`]). Dedup keys come from the catalog, from
//! what is readable of the segment's own, and from the caller, who may know how they follow from
//! the records.
//!
//! What comes of it replaces the segment ([`replace`]); numbers of which nothing came become a
//! hole. If everything came back, the segment is what it was, to the digest.

mod active;
mod assemble;
mod gather;
mod identify;
mod judge;
mod replace;

use std::path::Path;
use std::sync::Arc;

use redb::ReadableDatabase;

use crate::carve::Wanted;
use crate::catalog::{Catalog, Contents};
use crate::contain::contained;
use crate::error::{AppendError, AtFile, OpenError, RewriteError};
use crate::frame::Record;
use crate::hole::{Hole, Holes};
use crate::log::Log;
use crate::manifest::Manifest;
use crate::open;
use crate::options::Options;
use crate::plan::{CATALOG, parse_segment_name, segment_name, segments_in};
use crate::redo;
use crate::rewrite::rewrite;
use crate::seq::{LogId, Seq};
use crate::storage::{Disk, Storage};
use gather::Gathered;

pub use identify::log_id;
pub(crate) use identify::{catalog_of, identify};
pub(crate) use replace::{absorb, replacements_in, settle};

/// Where salvage may find records besides the files of the log: an archive, a backup.
pub trait RecordSource {
    /// Hands out the records it has with numbers from `first` to `last`, of this log, in any
    /// order. What it cannot read it leaves out.
    fn records(&self, first: Seq, last: Seq, take: &mut dyn FnMut(&Record));

    /// Hands out the dedup keys it has for numbers from `first` to `last`, in any order.
    fn keys(&self, first: Seq, last: Seq, take: &mut dyn FnMut(Seq, &[u8]));
    /// The dedup key that the record was appended with, if that follows from the record. Asked
    /// for records whose key nothing has; without an answer they are no duplicates any more.
    fn key_of(&self, _record: &Record) -> Option<Vec<u8>> {
        None
    }
}

/// What became of one damaged segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// File name of the replacement: that of the segment.
    pub file: String,
    /// Number it starts with.
    pub first: Seq,
    /// Number it ends with.
    pub last: Seq,
    /// Records it has now.
    pub records: u64,
    /// Where they came from.
    pub found: Found,
    /// Nothing is lost and nothing changed: its digest is that of the original.
    pub complete: bool,
    /// All its holes, those included that it had before.
    pub holes: Vec<Hole>,
    /// The name the damaged file was given, `None` if there was no file.
    pub kept_as: Option<String>,
}

/// How many records came from where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// The engine could still read them.
    pub engine: u64,
    /// Found in the bytes of a file.
    pub carved: u64,
    /// From the caller's source.
    pub source: u64,
}

/// What a salvage of a whole log came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// Segments that were damaged, in the order in which they were replaced.
    pub segments: Vec<Salvaged>,
    /// The active segment was damaged: the numbers that its lost end may have had.
    pub fence: Option<Hole>,
}

/// Checks every segment of the log in `dir` and replaces the damaged ones, the active one
/// included. One that cannot be opened is sealed with what was saved, and a new one starts in a
/// new epoch, past a fence up to `fence_to` and all numbers known to have been given out. Without
/// `fence_to`, a million past those. A sound log is left as it is. Needs memory for twice the largest damaged
/// segment.
///
/// # Errors
/// [`OpenError::Locked`] while a writer lives. After any other error the next open completes or
/// undoes what was begun; damaged originals are never removed.
pub fn salvage(
    dir: &Path,
    options: Options,
    fence_to: Option<Seq>,
    from: Option<&dyn RecordSource>,
) -> Result<SalvageReport, RewriteError> {
    if !dir.is_dir() {
        let dir = dir.display().to_string();
        return Err(OpenError::NotALog { dir }.into());
    }
    salvage_on(Arc::new(Disk::new(dir)), options, fence_to, from)
}

pub(crate) fn salvage_on(
    storage: Arc<dyn Storage>,
    options: Options,
    fence_to: Option<Seq>,
    from: Option<&dyn RecordSource>,
) -> Result<SalvageReport, RewriteError> {
    let names = storage.list().at("the log directory")?;
    if segments_in(&names).is_empty() && !names.iter().any(|name| name == CATALOG) {
        return Err(OpenError::NotALog { dir: String::new() }.into());
    }
    let mut report = SalvageReport::default();
    let mut newest = |e: &OpenError| -> Result<bool, RewriteError> {
        let done = active::salvage(&*storage, &options, e, fence_to, from)?;
        let done = done.map(|(segments, fence)| {
            report.segments.extend(segments);
            report.fence = Some(fence);
        });
        Ok(done.is_some())
    };
    if let Some(damage) = look(&*storage)? {
        newest(&damage)?;
    }
    let mut log = match open::open(Arc::clone(&storage), options.clone()) {
        Err(e) if judge::may_be_damage(&e) && newest(&e)? => open::open(storage, options)?,
        opened => opened?,
    };
    if !judge::active_is_sound(&log) {
        log.seal().map_err(append_to_rewrite)?;
    }
    for first in judge::damaged(&log)? {
        report.segments.push(log.salvage(first, from)?);
    }
    log.close().map_err(append_to_rewrite)?;
    Ok(report)
}

/// What opening does not look at: puts a damaged catalog aside, and says whether the newest
/// segment has pages that reading does not meet and appending would.
fn look(storage: &dyn Storage) -> Result<Option<OpenError>, RewriteError> {
    let _lock = open::take_lock(storage)?;
    let names = open::clear_temporaries(storage)?;
    redo::replay(storage)?;
    mend_catalog(storage, &names)?;
    let Some(file) = segments_in(&names).last().copied().map(segment_name) else {
        return Ok(None);
    };
    if gather::engine_is_sound(storage, &file, gather::as_an_append) {
        return Ok(None);
    }
    let what = "a page is not what was written".to_owned();
    Ok(Some(OpenError::Disk {
        file,
        source: redb::Error::Corrupted(what).into(),
    }))
}

/// Opening makes the catalog again from the segments, which need its keys. It stays if no
/// segment can say which log this is.
fn mend_catalog(storage: &dyn Storage, names: &[String]) -> Result<(), RewriteError> {
    let there = names.iter().any(|name| name == CATALOG);
    if !there || gather::engine_is_sound(storage, CATALOG, gather::as_a_seal) {
        return Ok(());
    }
    let files = segments_in(names).into_iter();
    if files
        .rev()
        .any(|first| gather::description(storage, &segment_name(first)).is_some())
    {
        open::put_catalog_aside(storage)?;
    }
    Ok(())
}

/// Sealing and closing meet no limit of a batch.
fn append_to_rewrite(e: AppendError) -> RewriteError {
    match e {
        AppendError::Disk { file, source } => RewriteError::Disk { file, source },
        AppendError::Structure(e) => e.into(),
        _ => RewriteError::Poisoned,
    }
}

impl Log {
    /// Replaces the sealed segment that starts at `first` by what can be read of it, whether or
    /// not it is damaged. One whose file is missing becomes what `from` has of it, down to a
    /// single hole. Nothing is appended meanwhile; readers go on, and see the replacement.
    ///
    /// # Errors
    /// [`RewriteError::NotSealed`] for a number at which no sealed segment starts. The handle
    /// stays good; after any other error the next open completes what was begun.
    pub fn salvage(
        &mut self,
        first: Seq,
        from: Option<&dyn RecordSource>,
    ) -> Result<Salvaged, RewriteError> {
        if self.poisoned {
            return Err(RewriteError::Poisoned);
        }
        let known = self.recovery.damaged.iter().any(|d| d.first == first);
        if !known {
            self.check_sealed(first)?;
        }
        self.settle()?;
        let contents = self.catalog.contents()?;
        let target = Target::new(&*self.storage, &contents, first.get())?;
        let salvaged = sealed(&*self.storage, &self.catalog, &target, from)?;
        self.recovery.damaged.retain(|d| d.first != first);
        Ok(salvaged)
    }
}

/// What is known of a segment from everything around it.
struct Target {
    first: u64,
    last: u64,
    log_id: LogId,
    /// `None` when it is not known.
    epoch: Option<u32>,
    /// Epoch of what comes before.
    epoch_before: u32,
    /// Digest of the segment before.
    previous: Option<[u8; 32]>,
    /// The digest by which the next segment knows it.
    named: Option<[u8; 32]>,
    /// As the catalog has it.
    manifest: Option<Manifest>,
    holes: Holes,
}

impl Target {
    fn new(storage: &dyn Storage, contents: &Contents, first: u64) -> Result<Target, RewriteError> {
        let names = storage.list().at("the log directory")?;
        let manifests = &contents.manifests;
        let manifest = manifests.iter().find(|m| m.first == first).cloned();
        let before = manifests.iter().rfind(|m| m.first < first);
        let adjacent = before.filter(|m| m.last + 1 == first);
        let files = segments_in(&names);
        let next = files
            .iter()
            .copied()
            .chain(manifests.iter().map(|m| m.first))
            .filter(|next| *next > first)
            .min();
        let own = gather::description(storage, &segment_name(first));
        let after = next.and_then(|next| {
            let known = manifests.iter().find(|m| m.first == next);
            known
                .map(|m| (m.previous, m.identity.epoch))
                .or_else(|| Some(link_of(&gather::description(storage, &segment_name(next))?)))
        });
        let epoch_before = before.map_or(1, |m| m.identity.epoch);
        let epoch = manifest.as_ref().map(|m| m.identity.epoch).or_else(|| {
            // Epochs never go back.
            let same = after.is_some_and(|(_, epoch)| epoch == epoch_before);
            same.then_some(epoch_before)
        });
        let last = match (&manifest, next) {
            (Some(manifest), _) => manifest.last,
            (None, Some(next)) => next - 1,
            (None, None) => {
                let first = Seq::at_least_first(first);
                return Err(RewriteError::NotSealed { first });
            }
        };
        let previous = if first == contents.floor.first {
            contents.floor.previous
        } else {
            adjacent
                .map(Manifest::link)
                .or(own.and_then(|meta| meta.previous))
        };
        Ok(Target {
            first,
            last,
            log_id: contents.log_id,
            epoch,
            epoch_before,
            previous,
            named: after.and_then(|(named, _)| named),
            manifest,
            holes: contents.holes.within(first, last),
        })
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            numbers: self.first..=self.last,
            epoch: self.epoch,
        }
    }
}

fn link_of(meta: &crate::segment::Meta) -> (Option<[u8; 32]>, u32) {
    (meta.previous, meta.identity.epoch)
}

/// Replaces a segment that others follow.
fn sealed(
    storage: &dyn Storage,
    catalog: &Catalog,
    target: &Target,
    from: Option<&dyn RecordSource>,
) -> Result<Salvaged, RewriteError> {
    let gathered = gather(storage, catalog, target)?;
    let assembled = assemble::assemble(target, gathered, from);
    let name = replace::replacement_name(target.first);
    let mut salvaged = write(storage, &name, assembled)?;
    salvaged.kept_as = contained(&name, || {
        replace::put_in_place(storage, catalog, target.first)
    })?;
    Ok(salvaged)
}

/// Reads everything there is of a segment in the directory.
fn gather(
    storage: &dyn Storage,
    catalog: &Catalog,
    target: &Target,
) -> Result<Gathered, RewriteError> {
    let mut out = Gathered::default();
    let wanted = target.wanted();
    let file = segment_name(target.first);
    let snapshot = catalog.db.begin_read().at(CATALOG)?;
    gather::keys_of_catalog(&snapshot, &wanted.numbers, &mut out.keys);
    let names = storage.list().at("the log directory")?;
    let take = |name: &str, out: &mut Gathered| {
        gather::from_tree(storage, name, &wanted, out);
        if out.lacks(wanted.numbers.clone(), &target.holes) {
            // A file that cannot be read at all has nothing.
            drop(gather::from_bytes(storage, name, &wanted, &mut out.carved));
        }
    };
    if names.contains(&file) {
        take(&file, &mut out);
    }
    let others = names.iter().filter(|name| {
        **name != file && (parse_segment_name(name).is_some() || replace::is_put_aside(name))
    });
    for name in others {
        if !out.lacks(wanted.numbers.clone(), &target.holes) {
            break;
        }
        let own = name.starts_with(&file);
        if own || gather::description(storage, name).is_some_and(|m| is_of(&m, target)) {
            take(name, &mut out);
        }
    }
    Ok(out)
}

fn is_of(meta: &crate::segment::Meta, target: &Target) -> bool {
    meta.first == target.first && meta.identity.log_id == target.log_id
}

/// Writes the replacement under its name.
fn write(
    storage: &dyn Storage,
    name: &str,
    assembled: assemble::Assembled,
) -> Result<Salvaged, RewriteError> {
    let assemble::Assembled {
        whole,
        records,
        keys,
        found,
        complete,
    } = assembled;
    let count = records.len() as u64;
    rewrite(
        storage,
        name,
        &whole,
        records.into_iter().map(Ok),
        keys.iter(),
    )?;
    let last = whole.manifest.as_ref().map_or(0, |m| m.last);
    Ok(Salvaged {
        file: segment_name(whole.meta.first),
        first: Seq::at_least_first(whole.meta.first),
        last: Seq::at_least_first(last),
        records: count,
        found,
        complete,
        holes: whole.holes.iter().copied().collect(),
        kept_as: None,
    })
}
