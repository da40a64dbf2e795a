//! What a durable append costs, by batch size, beside the physical limit: overwriting preallocated blocks + fdatasync.
//!
//! `cargo bench --bench append`. The machine's load shows in both, so compare them with each other, not with yesterday.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wal::{Batch, Log, NewRecord, Options};

const PAYLOAD: usize = 300;
const SIZES: [usize; 4] = [1, 10, 100, 1000];
const RAW_BYTES: u64 = 64 << 20;

fn record(n: u64, keyed: bool) -> NewRecord {
    NewRecord {
        codec: 1,
        flags: 0,
        kind: 1,
        peer_kind: 3,
        peer_id: 1_000_000 + (n % 12) as i64,
        message_id: (n / 12) as i64,
        received_at: n as i64,
        source_at: n as i64,
        payload: vec![n as u8; PAYLOAD],
        key: keyed.then(|| {
            let mut key = vec![1, 3];
            key.extend((n % 12).to_be_bytes());
            key.extend((n / 12).to_be_bytes());
            key.extend([0; 16]);
            key
        }),
    }
}

fn raw(criterion: &mut Criterion, dir: &std::path::Path) {
    let mut group = criterion.benchmark_group("raw preallocated + fdatasync");
    let file = File::create(dir.join("raw")).expect("a file");
    let block = vec![7u8; 1 << 20];
    for at in (0..RAW_BYTES).step_by(block.len()) {
        file.write_all_at(&block, at).expect("room on the disk");
    }
    file.sync_all().expect("a sync");
    for size in SIZES {
        let bytes = vec![9u8; size * (PAYLOAD + 64)];
        let mut at = 0;
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                if at + bytes.len() as u64 > RAW_BYTES {
                    at = 0;
                }
                file.write_all_at(black_box(&bytes), at).expect("a write");
                file.sync_data().expect("a sync");
                at += bytes.len() as u64;
            });
        });
    }
    group.finish();
}

fn log(criterion: &mut Criterion, dir: &std::path::Path, keyed: bool) {
    let name = if keyed {
        "log append with dedup keys"
    } else {
        "log append"
    };
    let mut group = criterion.benchmark_group(name);
    let mut log = Log::open(&dir.join(name), Options::default()).expect("a log");
    let mut next = 0;
    for size in SIZES {
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_batched(
                || {
                    let records = (next..next + size as u64)
                        .map(|n| record(n, keyed))
                        .collect();
                    next += size as u64;
                    Batch {
                        records,
                        ..Batch::default()
                    }
                },
                |batch| log.append(&batch).expect("an append"),
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn append(criterion: &mut Criterion) {
    // Below the target folder: the disk of the checkout, not a tmpfs that syncs for free.
    let root = std::env::var_os("CARGO_TARGET_TMPDIR")
        .unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    let dir = tempfile::tempdir_in(root).expect("a folder");
    raw(criterion, dir.path());
    log(criterion, dir.path(), true);
    log(criterion, dir.path(), false);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30);
    targets = append
}
criterion_main!(benches);
