//! A backup as a tar stream: the same files as in a directory, the index last.

use std::io::Write;

use tar::{Builder, EntryType, Header};

use super::index::{Entry, INDEX, Index};
use super::keys::KeysEntry;
use super::orphans::Orphans;
use super::{BackupError, BackupReport, LOOKS_MAX, fill, sealed};
use crate::clock;
use crate::container::{Container, ContainerError, container_name};
use crate::error::AtFile;
use crate::info::SegmentInfo;
use crate::pace::{Pace, Pacer};
use crate::reader::Reader;
use crate::seq::Seq;

/// How errors name the stream.
const STREAM: &str = "the stream of the backup";
/// Every file in a tar fills whole blocks.
const BLOCK: u64 = 512;

/// Writes a whole backup as a tar to `out`. Each container is made and checked in memory, which
/// takes as much as the largest segment compressed: a few ten MiB with segments of the default
/// size. It is done at `pace`. `progress` is told the record bytes done so far.
///
/// # Errors
/// [`BackupError`]; the stream then has no index and is no backup.
pub fn backup_tar(
    reader: &Reader,
    out: &mut dyn Write,
    pace: Pace,
    progress: &mut dyn FnMut(u64),
) -> Result<BackupReport, BackupError> {
    let pacer = Pacer::new(pace);
    let mut tar = Builder::new(out);
    let mut entries: Vec<Entry> = Vec::new();
    let (mut bytes, mut done) = (0, 0);
    let mut looks = 0;
    loop {
        looks += 1;
        let next = entries.last().map(|entry| entry.last + 1);
        let segments = sealed(reader)?;
        let rest = segments.iter().filter(|info| {
            let first = info.first.get();
            next.is_none_or(|next| first >= next)
        });
        let mut gone = false;
        for info in rest {
            let follows = entries
                .last()
                .is_none_or(|e| e.last + 1 == info.first.get());
            let made = if follows {
                make(reader, info, &pacer)?
            } else {
                None
            };
            let Some((entry, container)) = made else {
                gone = true;
                break;
            };
            append(&mut tar, &container_name(entry.first), &container)?;
            bytes += entry.bytes;
            done += info.bytes;
            entries.push(entry);
            progress(done);
        }
        if !gone {
            break;
        }
        // What follows on what is in the stream already was removed from the log.
        if looks == LOOKS_MAX || !entries.is_empty() {
            return Err(BackupError::Outrun);
        }
    }
    let identity = reader.identity_now()?;
    let orphans = Orphans::of(reader, identity.log_id, &entries)?;
    let keys = append_keys(&mut tar, &orphans, &pacer)?;
    bytes += keys.map_or(0, |entry| entry.bytes);
    let index = Index {
        identity,
        tail: reader.tail()?.map_or(0, Seq::get),
        created_at: clock::unix_micros(),
        entries,
        keys,
    };
    append(&mut tar, INDEX, index.encode().as_bytes())?;
    tar.into_inner().and_then(Write::flush).at(STREAM)?;
    Ok(index.report(index.entries.len(), bytes))
}

/// A checked container in memory; `None` if the segment is gone.
fn make(
    reader: &Reader,
    info: &SegmentInfo,
    pacer: &Pacer,
) -> Result<Option<(Entry, Vec<u8>)>, BackupError> {
    let mut bytes = Vec::new();
    let made = fill(reader, info, &mut bytes, pacer).and_then(|()| {
        let container = Container::open(bytes)?;
        let entry = Entry::of_manifest(container.manifest(), container.check_at(pacer)?);
        Ok((entry, container.into_source()))
    });
    match made {
        Ok(made) => Ok(Some(made)),
        Err(ContainerError::Disk(e)) if e.is_absent() => Ok(None),
        Err(source) => Err(BackupError::Segment {
            file: info.file.clone(),
            source,
        }),
    }
}

fn header(bytes: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(bytes);
    header.set_mode(0o600);
    let seconds = clock::unix_micros() / 1_000_000;
    header.set_mtime(u64::try_from(seconds).unwrap_or(0));
    header
}

fn append<W: Write>(tar: &mut Builder<W>, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
    let mut header = header(bytes.len() as u64);
    Ok(tar.append_data(&mut header, name, bytes).at(STREAM)?)
}

/// The keys without a container, written as they are found: they may be more than fit in memory.
fn append_keys<W: Write>(
    tar: &mut Builder<W>,
    orphans: &Orphans<'_>,
    pacer: &Pacer,
) -> Result<Option<KeysEntry>, BackupError> {
    let written = orphans.stream(pacer, |entry| {
        let mut header = header(entry.bytes);
        header.set_path(entry.name())?;
        header.set_cksum();
        let out = tar.get_mut();
        out.write_all(header.as_bytes())?;
        Ok(out)
    })?;
    let Some((entry, out)) = written else {
        return Ok(None);
    };
    let rest = entry.bytes.next_multiple_of(BLOCK) - entry.bytes;
    let padding = vec![0; usize::try_from(rest).unwrap_or(0)];
    out.write_all(&padding).at(STREAM)?;
    Ok(Some(entry))
}
