//! What an event costs in the processor alone: payload, dedup key, and the rows of a projection.
//!
//! `cargo bench --bench codec`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telegram_gateway::event::{CODEC_ID, Envelope, Event, Timestamp, decode, dedup_key, encode};
use telegram_gateway::source::Source as _;
use telegram_gateway::source::synthetic::{Options, Synthetic};
use telegram_gateway::store::Entry;
use telegram_gateway::store::rows::Rows;
use wal::Seq;

const EVENTS: u64 = 2_000;

fn events() -> Vec<Event> {
    let mut source = Synthetic::new(&Options {
        events: Some(EVENTS),
        rate: 0,
        ..Options::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut events = Vec::new();
    while let Some(batch) = runtime
        .block_on(source.next())
        .expect("the generator cannot fail")
    {
        events.extend(batch.events);
    }
    events
}

fn codec(criterion: &mut Criterion) {
    let events = events();
    let payloads: Vec<Vec<u8>> = events
        .iter()
        .map(|event| encode(event).expect("small"))
        .collect();
    let entries: Vec<Entry> = (1..)
        .zip(&events)
        .map(|(seq, event)| {
            Entry::Event(Envelope {
                seq: Seq::new(seq).expect("from 1"),
                epoch: 1,
                received_at: Timestamp::from_seconds(1),
                event: event.clone(),
            })
        })
        .collect();
    let mut group = criterion.benchmark_group("synthetic events");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            events
                .iter()
                .map(|event| encode(event).expect("small").len())
                .sum::<usize>()
        });
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            for payload in &payloads {
                black_box(decode(CODEC_ID, payload).expect("own payload"));
            }
        });
    });
    group.bench_function("dedup key", |bencher| {
        bencher.iter(|| {
            events
                .iter()
                .filter_map(dedup_key)
                .map(|key| key.len())
                .sum::<usize>()
        });
    });
    group.bench_function("rows of a batch", |bencher| {
        bencher.iter(|| black_box(Rows::of(&entries)));
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
