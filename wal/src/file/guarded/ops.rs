//! What waits for a flush: operations in order, and their net effect. Pure.

use std::collections::BTreeMap;

use crate::redo::Writes;

/// What the engine did since the last flush, in order.
#[derive(Debug)]
pub(super) enum Op {
    Write(u64, Vec<u8>),
    /// What comes after must not be durable before what came before.
    Barrier,
}

/// Copies what of `data` at `at` falls into `out` at `offset`.
pub(super) fn lay(out: &mut [u8], offset: u64, at: u64, data: &[u8]) {
    let from = at.max(offset);
    let to = (at + data.len() as u64).min(offset + out.len() as u64);
    if from < to {
        let part = &data[(from - at) as usize..(to - at) as usize];
        out[(from - offset) as usize..(to - offset) as usize].copy_from_slice(part);
    }
}

/// Bytes of the writes.
pub(super) fn size(ops: &[Op]) -> usize {
    let data = ops.iter().map(|op| match op {
        Op::Write(_, data) => data.len(),
        Op::Barrier => 0,
    });
    data.sum()
}

/// The groups between barriers; none is empty.
pub(super) fn split(ops: Vec<Op>) -> Vec<Vec<Op>> {
    let mut groups = Vec::new();
    let mut group = Vec::new();
    for op in ops {
        match op {
            Op::Barrier => groups.push(std::mem::take(&mut group)),
            op => group.push(op),
        }
    }
    groups.push(group);
    groups.retain(|group| !group.is_empty());
    groups
}

/// The net effect of writes in order: a later one hides what it covers of earlier ones.
pub(super) fn merge(ops: Vec<Op>) -> Writes {
    let mut merged: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for op in ops {
        let Op::Write(offset, data) = op else {
            continue;
        };
        overlay(&mut merged, offset, data);
    }
    merged
}

/// Puts one write over the others. The engine writes whole pages, and pages of its own making
/// never overlap by parts within one commit, except that a page may be freed and its place used
/// by one of another size.
fn overlay(merged: &mut Writes, offset: u64, data: Vec<u8>) {
    let end = offset + data.len() as u64;
    let before = merged.range(..offset).next_back();
    let left = before.filter(|(at, old)| **at + old.len() as u64 > offset);
    if let Some(at) = left.map(|(at, _)| *at) {
        let mut old = merged.remove(&at).unwrap_or_default();
        let old_end = at + old.len() as u64;
        if old_end > end {
            merged.insert(end, old.split_off((end - at) as usize));
        }
        old.truncate((offset - at) as usize);
        merged.insert(at, old);
    }
    let covered: Vec<u64> = merged.range(offset..end).map(|(at, _)| *at).collect();
    for at in covered {
        let mut old = merged.remove(&at).unwrap_or_default();
        if at + old.len() as u64 > end {
            merged.insert(end, old.split_off((end - at) as usize));
        }
    }
    merged.insert(offset, data);
}
