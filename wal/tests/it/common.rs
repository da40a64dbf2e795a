//! Records and batches for the tests of this directory.

use wal::{Batch, Log, NewRecord, Options};

/// A record without a key; its payload says its number.
pub(crate) fn plain(n: u64) -> NewRecord {
    NewRecord {
        codec: 1,
        flags: 0x8001,
        kind: 3,
        peer_kind: 2,
        peer_id: -100_000 - n as i64,
        message_id: n as i64,
        received_at: 1_700_000_000_000_000 + n as i64,
        source_at: 1_600_000_000_000_000,
        payload: format!("payload {n}").into_bytes(),
        key: None,
    }
}

pub(crate) fn keyed(n: u64, key: &[u8]) -> NewRecord {
    NewRecord {
        key: Some(key.to_vec()),
        ..plain(n)
    }
}

pub(crate) fn batch(records: Vec<NewRecord>) -> Batch {
    Batch {
        records,
        ..Batch::default()
    }
}

/// Options under which a segment is full after `bytes` record bytes.
pub(crate) fn small(bytes: u64) -> Options {
    Options {
        segment_bytes_max: bytes,
        redo_bytes: 96 << 10,
        cache_bytes: 4 << 20,
        ..Options::default()
    }
}

/// Appends one record and gives the tail.
pub(crate) fn tail_of(log: &mut Log, record: NewRecord) -> u64 {
    log.append(&batch(vec![record]))
        .unwrap()
        .tail
        .unwrap()
        .get()
}

/// A directory in memory where there is one: a test of many small commits then waits for no disk.
pub(crate) fn fast_dir() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}
