//! What the numbers were measured on, and what the process used. Linux only: read from /proc.

use std::fs;

use serde::Serialize;

/// The machine and its state.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    /// Processor, as it names itself.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// Load average over the last minute: other work on the machine shows here.
    pub load_1m: f64,
    /// How durable a commit is when it is acknowledged.
    pub fsync: &'static str,
}

impl Machine {
    /// This machine, now.
    pub(super) fn now() -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned());
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Machine {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            load_1m: load
                .split(' ')
                .next()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0.0),
            fsync: "every commit, through the redo file",
        }
    }
}

/// Seconds of processor time this process has used so far, user and system.
pub(super) fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; fields are counted behind it: utime is 14, stime 15.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    // Linux reports these in USER_HZ, which is 100 on every architecture it runs on.
    (ticks(11) + ticks(12)) / 100.0
}

/// Resident memory of this process in bytes.
pub(super) fn rss_bytes() -> u64 {
    of_status("VmRSS:")
}

/// The most it ever was.
pub(super) fn rss_peak_bytes() -> u64 {
    of_status("VmHWM:")
}

fn of_status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|text| {
            text.trim()
                .trim_end_matches(" kB")
                .trim()
                .parse::<u64>()
                .ok()
        })
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_tells() {
        assert!(rss_bytes() > 100_000);
        let before = cpu_seconds();
        let mut x = 0u64;
        while cpu_seconds() <= before {
            x = std::hint::black_box(x.wrapping_add(1));
        }
        assert!(Machine::now().cores >= 1);
    }
}
