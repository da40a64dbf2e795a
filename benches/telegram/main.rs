//! What the live source costs, in a running daemon without stores: `cargo bench --bench telegram`.
//!
//! - From the push of an update to its being durable, at 50 a second over loopback, beside the time that the same disk
//!   takes for writing and syncing as many bytes, each time right after.
//! - Updates a second through driver, normaliser, message index and log: made by hand, and over the wire.
//!
//! The files are in Cargo's folder for the target, so the disk is that of the project.

mod hand_made;
mod house;
mod wire;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use house::House;

/// One update each.
const PERIOD: Duration = Duration::from_millis(20);
const UPDATES: usize = 1_000;
/// Bytes of a record with a short post, rounded up to the pages that a commit of one writes.
const RAW_BYTES: usize = 16 * 1024;
const RAW_FILE_BYTES: usize = 16 << 20;

const TARGET_P99: Duration = Duration::from_millis(5);
const TARGET_RATE: f64 = 20_000.0;

fn main() {
    // `cargo test --benches` only wants to see that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    println!("{}", machine());
    runtime.block_on(async {
        latency().await;
        let made = hand_made::rate().await;
        say_rate("made by hand", made);
        let wire = wire::rate().await;
        say_rate("over the wire", wire);
    });
}

fn say_rate(how: &str, rate: f64) {
    let met = met(rate >= TARGET_RATE);
    println!("updates made durable, {how}: {rate:.0}/s (target {TARGET_RATE:.0}/s: {met})");
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

/// Pushes at a steady rate; after each, the disk alone.
async fn latency() {
    let mut it = wire::Wired::start(1).await;
    let mut raw = Raw::new(&it.house);
    let (mut pushed, mut synced) = (Vec::new(), Vec::new());
    let mut ticks = tokio::time::interval(PERIOD);
    for n in 0..UPDATES {
        ticks.tick().await;
        let before = it.house.tail();
        let start = Instant::now();
        it.post(n);
        it.house.reaches(before + 1).await;
        pushed.push(start.elapsed());
        synced.push(raw.write());
    }
    it.house.stop().await;
    let [p50, p99] = percentiles(&mut pushed);
    let [raw_p50, raw_p99] = percentiles(&mut synced);
    println!(
        "push to durable at {}/s, {UPDATES} updates: p50 {p50:.2?}, p99 {p99:.2?} (target p99 {TARGET_P99:?}: {})",
        1000 / PERIOD.as_millis(),
        met(p99 <= TARGET_P99)
    );
    println!(
        "write and fdatasync of {RAW_BYTES} bytes in between: p50 {raw_p50:.2?}, p99 {raw_p99:.2?}"
    );
}

fn percentiles(times: &mut [Duration]) -> [Duration; 2] {
    times.sort_unstable();
    [50, 99].map(|percent| times[(times.len() - 1) * percent / 100])
}

/// The disk without a log: blocks that are written already are written again.
struct Raw {
    file: File,
    at: usize,
}

impl Raw {
    fn new(house: &House) -> Raw {
        let file = File::create(house.path("raw")).expect("a file");
        let blocks = vec![0x5a; RAW_FILE_BYTES];
        file.write_all_at(&blocks, 0).expect("written");
        file.sync_all().expect("synced");
        Raw { file, at: 0 }
    }

    fn write(&mut self) -> Duration {
        let bytes = [7; RAW_BYTES];
        let start = Instant::now();
        let written = self.file.write_all_at(&bytes, self.at as u64);
        written
            .and_then(|()| self.file.sync_data())
            .expect("synced");
        self.at = (self.at + RAW_BYTES) % RAW_FILE_BYTES;
        start.elapsed()
    }
}

/// What it was measured on, and what else ran.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let mut models = cpuinfo.lines().filter_map(|line| {
        let (field, value) = line.split_once(": ")?;
        (field.trim() == "model name").then_some(value)
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}, {cores} cores, Linux {}, load {}; fsync: every commit, through the redo file",
        models.next().unwrap_or("unknown processor"),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    )
}
