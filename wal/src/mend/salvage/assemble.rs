//! From everything that was gathered of a segment to what its replacement holds. Pure, but for
//! asking the caller's source.

use std::collections::{BTreeMap, HashSet};

use super::gather::Gathered;
use super::{Found, RecordSource, Target};
use crate::block::Piece;
use crate::carve;
use crate::clock;
use crate::frame::{KEY_BYTES_MAX, Record};
use crate::hole::{Hole, Holes};
use crate::manifest::{ENGINE, Manifest, Tally};
use crate::rewrite::{Keys, Whole, is_of};
use crate::segment::Meta;
use crate::seq::{Identity, Seq};

/// What the replacement will hold.
pub(super) struct Assembled {
    pub(super) whole: Whole,
    pub(super) records: BTreeMap<u64, Vec<u8>>,
    pub(super) keys: Keys,
    pub(super) found: Found,
    /// Nothing is lost: the records are those of the original manifest.
    pub(super) complete: bool,
}

pub(super) fn assemble(
    target: &Target,
    mut gathered: Gathered,
    source: Option<&dyn RecordSource>,
) -> Assembled {
    let mut holes = known_holes(target, &gathered);
    let manifest = target.manifest.clone().or(gathered.manifest.take());
    let (records, found) = choose(target, &mut gathered, &holes, manifest.as_ref(), source);
    if let Some(source) = source {
        derive_keys(source, &records, &mut gathered.keys);
    }
    let before = holes.count();
    let now = clock::unix_micros();
    holes.note_missing(target.first, target.last, records.keys().copied(), now);
    let tally = tally(records.iter().map(|(seq, bytes)| (*seq, bytes.as_slice())));
    let original = manifest.filter(|manifest| {
        manifest.first == target.first && manifest.identity.log_id == target.log_id
    });
    let meta = meta(target, &gathered, original.as_ref(), &records, now);
    let nothing_lost = holes.count() == before;
    let (manifest, complete) = match original {
        Some(same) if is_of(&same, &tally, target.last) && nothing_lost => (same, true),
        original => {
            let new = replacing(target, &meta, original, &tally, &holes, now);
            let complete = new.replaces.is_none() && nothing_lost;
            (new, complete)
        }
    };
    Assembled {
        whole: Whole {
            meta,
            carried: gathered.carried.unwrap_or_default(),
            holes,
            manifest: Some(manifest),
        },
        keys: keys(gathered.keys),
        records,
        found,
        complete,
    }
}

/// Holes stay what they are: whoever counts on every number has passed over them.
fn known_holes(target: &Target, gathered: &Gathered) -> Holes {
    let mut all: Vec<Hole> = target.holes.iter().copied().collect();
    for hole in &gathered.holes {
        let inside = hole.first.get() >= target.first && hole.last.get() <= target.last;
        if inside && !all.iter().any(|known| known.first == hole.first) {
            all.push(*hole);
        }
    }
    Holes::new(all).unwrap_or_else(|| target.holes.clone())
}

fn choose(
    target: &Target,
    gathered: &mut Gathered,
    holes: &Holes,
    manifest: Option<&Manifest>,
    source: Option<&dyn RecordSource>,
) -> (BTreeMap<u64, Vec<u8>>, Found) {
    let mut found = Found::default();
    let mut records = std::mem::take(&mut gathered.committed);
    records.retain(|seq, _| !holes.covers(*seq));
    found.engine = records.len() as u64;
    let mut disputed: Vec<(u64, Vec<Vec<u8>>)> = Vec::new();
    for (seq, mut versions) in std::mem::take(&mut gathered.carved) {
        if records.contains_key(&seq) || holes.covers(seq) {
            continue;
        }
        if versions.len() > 1 {
            disputed.push((seq, versions));
        } else if let Some(record) = versions.pop() {
            records.insert(seq, record);
            found.carved += 1;
        }
    }
    if let Some(source) = source {
        ask(
            target,
            source,
            holes,
            &mut records,
            &mut gathered.keys,
            &mut found,
        );
    }
    disputed.retain(|(seq, _)| !records.contains_key(seq));
    if let Some(manifest) = manifest.filter(|_| !disputed.is_empty()) {
        found.carved += decide(&disputed, manifest, &mut records);
    }
    (records, found)
}

/// Takes the version of each disputed number that makes up the digest, if any does.
fn decide(
    disputed: &[(u64, Vec<Vec<u8>>)],
    manifest: &Manifest,
    records: &mut BTreeMap<u64, Vec<u8>>,
) -> u64 {
    if records.len() + disputed.len() != manifest.count as usize {
        return 0;
    }
    let versions: Vec<usize> = disputed
        .iter()
        .map(|(_, versions)| versions.len())
        .collect();
    let choice = carve::settle(&versions, |choice| {
        let mut all: BTreeMap<u64, &[u8]> = records
            .iter()
            .map(|(seq, bytes)| (*seq, bytes.as_slice()))
            .collect();
        for ((seq, versions), pick) in disputed.iter().zip(choice) {
            all.insert(*seq, &versions[*pick]);
        }
        tally(all.into_iter()).digest() == manifest.digest
    });
    let Some(choice) = choice else {
        return 0;
    };
    for ((seq, versions), pick) in disputed.iter().zip(choice) {
        records.insert(*seq, versions[pick].clone());
    }
    disputed.len() as u64
}

/// Asks the source for every run of numbers that nothing else has.
fn ask(
    target: &Target,
    source: &dyn RecordSource,
    holes: &Holes,
    records: &mut BTreeMap<u64, Vec<u8>>,
    keys: &mut BTreeMap<u64, Vec<u8>>,
    found: &mut Found,
) {
    let mut lacking = holes.clone();
    lacking.note_missing(target.first, target.last, records.keys().copied(), 0);
    for run in lacking.iter().filter(|run| !holes.covers(run.first.get())) {
        source.records(run.first, run.last, &mut |record| {
            let header = record.header();
            let seq = header.seq.get();
            let wanted = (run.first..=run.last).contains(&header.seq)
                && target.epoch.is_none_or(|epoch| epoch == header.epoch);
            if wanted && !records.contains_key(&seq) {
                records.insert(seq, record.as_bytes().to_vec());
                found.source += 1;
            }
        });
    }
    let (Some(first), Some(last)) = (Seq::new(target.first), Seq::new(target.last)) else {
        return;
    };
    source.keys(first, last, &mut |seq, key| {
        if (first..=last).contains(&seq) {
            keys.entry(seq.get()).or_insert_with(|| key.to_vec());
        }
    });
}

/// Asks the source for the keys that follow from the records and that nothing has.
fn derive_keys(
    source: &dyn RecordSource,
    records: &BTreeMap<u64, Vec<u8>>,
    keys: &mut BTreeMap<u64, Vec<u8>>,
) {
    for (seq, bytes) in records {
        if keys.contains_key(seq) {
            continue;
        }
        let record = Record::decode(bytes.clone()).ok();
        let key = record.and_then(|record| source.key_of(&record));
        if let Some(key) = key.filter(|key| key.len() <= KEY_BYTES_MAX) {
            keys.insert(*seq, key);
        }
    }
}

fn tally<'r>(records: impl Iterator<Item = (u64, &'r [u8])>) -> Tally {
    let mut tally = Tally::default();
    for (seq, bytes) in records {
        tally.add(&Piece {
            seq,
            last: seq,
            bytes,
        });
    }
    tally
}

fn meta(
    target: &Target,
    gathered: &Gathered,
    original: Option<&Manifest>,
    records: &BTreeMap<u64, Vec<u8>>,
    now: i64,
) -> Meta {
    let own = gathered.meta.as_ref();
    let own = own.filter(|m| m.first == target.first && m.identity.log_id == target.log_id);
    let epoch = original
        .map(|manifest| manifest.identity.epoch)
        .or(target.epoch)
        .or(own.map(|meta| meta.identity.epoch))
        .unwrap_or_else(|| most_frequent_epoch(records).unwrap_or(target.epoch_before));
    Meta {
        identity: Identity {
            log_id: target.log_id,
            epoch,
        },
        first: target.first,
        previous: original.map_or(target.previous, |manifest| manifest.previous),
        created_at: original
            .map(|manifest| manifest.created_at)
            .or(own.map(|meta| meta.created_at))
            .unwrap_or(now),
        recovered: original.map_or_else(
            || own.is_some_and(|meta| meta.recovered),
            |manifest| manifest.recovered,
        ),
    }
}

fn most_frequent_epoch(records: &BTreeMap<u64, Vec<u8>>) -> Option<u32> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for header in records
        .values()
        .filter_map(|bytes| crate::frame::peek(bytes))
    {
        *counts.entry(header.epoch).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(epoch, _)| epoch)
}

fn replacing(
    target: &Target,
    meta: &Meta,
    original: Option<Manifest>,
    tally: &Tally,
    holes: &Holes,
    now: i64,
) -> Manifest {
    let digest = tally.digest();
    let link = original.as_ref().map(Manifest::link).or(target.named);
    Manifest {
        identity: meta.identity,
        first: target.first,
        last: target.last,
        count: tally.count,
        payload_bytes: tally.payload_bytes,
        record_bytes: tally.record_bytes,
        codecs: tally.codecs,
        digest,
        previous: meta.previous,
        recovered: meta.recovered,
        created_at: meta.created_at,
        sealed_at: original.as_ref().map_or(now, |manifest| manifest.sealed_at),
        engine: ENGINE.to_owned(),
        replaces: link.filter(|link| *link != digest),
        missing: holes.count(),
    }
}

/// A key that two numbers claim belongs to the first of them. Keys of lost records stay: the
/// event is not to come back under a new number.
fn keys(of: BTreeMap<u64, Vec<u8>>) -> Keys {
    let (mut keys, mut seen) = (Keys::default(), HashSet::new());
    for (seq, key) in &of {
        if seen.insert(key) {
            keys.push(*seq, key);
        }
    }
    keys
}
