//! Speed and memory on large files. Run by hand:
//! `cargo test --release --test it measure -- --ignored --nocapture --test-threads 1`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use telegram_gateway::source::import::{self, ImportSource, Options};
use telegram_gateway::source::{Source, synthetic};

const BYTES: u64 = 600 * 1024 * 1024;

/// Peak memory of this process in MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Seconds of processor time this process has used: what a busy machine does not change.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks = fields
        .skip(11)
        .take(2)
        .filter_map(|n| n.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// The messages of a fixture over and over, with ids and dates of their own.
fn repeat(messages: &[Value], path: &Path, head: &str, tail: &str, descending: bool) -> u64 {
    let mut out = BufWriter::new(File::create(path).expect("created"));
    let mut written = 0;
    let mut n = 0_i64;
    out.write_all(head.as_bytes()).expect("written");
    while written < BYTES {
        for message in messages {
            let mut message = message.clone();
            n += 1;
            let order = if descending { 100_000_000 - n } else { n };
            message["id"] = order.into();
            let seconds = 1_500_000_000 + order;
            if message.get("date_unixtime").is_some() {
                message["date_unixtime"] = seconds.to_string().into();
            } else {
                message["date"] = seconds.into();
            }
            let text = format!("{}{message}", if n > 1 { ",\n" } else { "" });
            written += text.len() as u64;
            out.write_all(text.as_bytes()).expect("written");
        }
    }
    out.write_all(tail.as_bytes()).expect("written");
    out.flush().expect("written");
    written
}

fn measure(name: &str, messages: &[Value], head: &str, tail: &str, descending: bool) {
    let folder = tempfile::tempdir().expect("made");
    let path = folder.path().join(name);
    let bytes = repeat(messages, &path, head, tail, descending);
    let start = cpu_seconds();
    let survey = import::survey(&path, &Options::default(), &mut |_, _| {}).expect("whole");
    let surveyed = cpu_seconds() - start;
    let (indexed, read) = (survey.is_indexed(), survey.report().read);
    let start = cpu_seconds();
    let mut source = ImportSource::open(survey).expect("opens");
    let mut events = 0;
    while let Some(batch) = source.next_batch().expect("reads") {
        events += batch.events.len();
    }
    let mib = bytes as f64 / 1024.0 / 1024.0;
    println!(
        "{name}: {mib:.0} MiB, {read} messages, {events} events, indexed {indexed}; survey {:.0}, read {:.0} MiB per processor second, \
         peak memory {} MiB",
        mib / surveyed,
        mib / (cpu_seconds() - start),
        peak_memory()
    );
}

fn fixture(name: &str) -> Value {
    let text = std::fs::read_to_string(super::fixture(name)).expect("fixture");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
#[ignore = "a measurement, run by hand"]
fn measure_desktop() {
    let mut chat = fixture("desktop-channel.json");
    let messages = chat["messages"].take();
    let messages = messages.as_array().expect("a list");
    let head = r#"{"name":"x","type":"public_channel","id":1,"messages":["#;
    let dated = messages.iter().filter(|m| m.get("date").is_some()).cloned();
    measure("desktop", &dated.collect::<Vec<_>>(), head, "]}", false);
}

#[test]
#[ignore = "a measurement, run by hand"]
fn measure_telethon() {
    let messages = fixture("telethon-array.json");
    let messages = messages.as_array().expect("a list");
    measure("telethon", messages, "[", "]", true);
}

#[tokio::test]
#[ignore = "a measurement, run by hand"]
async fn measure_synthetic() {
    let mut source = synthetic::Synthetic::new(&synthetic::Options {
        events: Some(2_000_000),
        ..synthetic::Options::default()
    });
    let start = Instant::now();
    let mut events = 0;
    while let Some(batch) = source.next().await.expect("makes") {
        events += batch.events.len();
    }
    println!(
        "synthetic: {:.0} events/s, peak memory {} MiB",
        events as f64 / start.elapsed().as_secs_f64(),
        peak_memory()
    );
}
