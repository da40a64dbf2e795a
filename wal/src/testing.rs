//! What the tests of this crate make logs of.

use crate::{Batch, Log, NewRecord, Options};

/// A record that follows from its number, as its key does.
pub(crate) fn record(n: u64) -> NewRecord {
    NewRecord {
        codec: 1,
        flags: 0,
        kind: 1,
        peer_kind: 1,
        peer_id: 7,
        message_id: n as i64,
        received_at: 1,
        source_at: 1,
        payload: format!("payload {n}").into_bytes(),
        key: Some(n.to_be_bytes().to_vec()),
    }
}

/// The records with these numbers.
pub(crate) fn records(numbers: impl IntoIterator<Item = u64>) -> Batch {
    Batch {
        records: numbers.into_iter().map(record).collect(),
        ..Batch::default()
    }
}

/// Appends a segment of two records for each of these numbers, and seals it.
pub(crate) fn fill(log: &mut Log, segments: std::ops::Range<u64>) {
    for n in segments {
        log.append(&records([2 * n + 1, 2 * n + 2])).unwrap();
        log.seal().unwrap();
    }
}

/// A log of which many copies are made: with little memory and a short redo file.
pub(crate) fn options() -> Options {
    Options {
        cache_bytes: 1 << 20,
        redo_bytes: 64 << 10,
        ..Options::default()
    }
}
