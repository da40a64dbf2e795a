//! The live view of a running pipeline, drawn from the status board.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::status::{Snapshot, Status};

/// How often the view is drawn on a terminal, and printed elsewhere.
const DRAW_EVERY: Duration = Duration::from_millis(500);
const PRINT_EVERY: Duration = Duration::from_secs(5);

/// Shows the board on stderr until stopped: drawn in place on a terminal, a plain line every five seconds elsewhere.
pub(super) async fn follow(title: String, status: Status, stop: CancellationToken) {
    let terminal = std::io::stderr().is_terminal();
    let bar = ProgressBar::with_draw_target(
        None,
        if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        },
    );
    bar.set_style(
        ProgressStyle::with_template("{msg}").unwrap_or(ProgressStyle::default_spinner()),
    );
    let every = if terminal { DRAW_EVERY } else { PRINT_EVERY };
    let started = Instant::now();
    let mut rate = Rate::default();
    loop {
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(every) => false,
        };
        let board = status.snapshot();
        let elapsed = started.elapsed();
        let per_second = rate.update(elapsed, board.received);
        if terminal {
            bar.set_message(block(&title, elapsed, per_second, &board));
        } else if !stopped {
            eprintln!("{}", line(elapsed, per_second, &board));
        }
        if stopped {
            bar.abandon();
            return;
        }
    }
}

/// Events a second over the time since the last look.
#[derive(Debug, Default)]
struct Rate {
    at: Duration,
    events: u64,
}

impl Rate {
    fn update(&mut self, now: Duration, events: u64) -> f64 {
        let seconds = (now - self.at).as_secs_f64();
        let per_second = if seconds > 0.0 {
            (events - self.events) as f64 / seconds
        } else {
            0.0
        };
        *self = Rate { at: now, events };
        per_second
    }
}

fn block(title: &str, elapsed: Duration, per_second: f64, board: &Snapshot) -> String {
    let seconds = elapsed.as_secs();
    let mut text = format!("{title}   {:02}:{:02}", seconds / 60, seconds % 60);
    let _ = write!(
        text,
        "\n  {:<10} {:>10} events   {:>9.1}/s   {} duplicates",
        "received", board.received, per_second, board.duplicates
    );
    for (stage, progress) in &board.stages {
        let lag = board.durable.saturating_sub(progress.seq);
        let _ = write!(
            text,
            "\n  {:<10} {:>10} seq      lag {:>6}   p50 {:>9}   p99 {:>9}",
            stage.as_str(),
            progress.seq,
            lag,
            millis(progress.latency_us.value_at_quantile(0.5)),
            millis(progress.latency_us.value_at_quantile(0.99)),
        );
        if let Some(fault) = &progress.fault {
            let _ = write!(text, "\n             waits: {fault}");
        }
    }
    if let Some(fault) = &board.journal_fault {
        let _ = write!(text, "\n  the log cannot be written: {fault}");
    }
    text
}

fn line(elapsed: Duration, per_second: f64, board: &Snapshot) -> String {
    let mut text = format!(
        "{:>5}s received {} ({per_second:.1}/s) durable seq {}",
        elapsed.as_secs(),
        board.received,
        board.durable
    );
    for (stage, progress) in &board.stages {
        let _ = write!(
            text,
            " | {} lag {} p50 {} p99 {}",
            stage.as_str(),
            board.durable.saturating_sub(progress.seq),
            millis(progress.latency_us.value_at_quantile(0.5)),
            millis(progress.latency_us.value_at_quantile(0.99)),
        );
        if let Some(fault) = &progress.fault {
            let _ = write!(text, " waits: {fault}");
        }
    }
    text
}

/// Microseconds as milliseconds with two digits behind the point.
pub(super) fn millis(us: u64) -> String {
    format!("{:.2} ms", us as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Stage;

    #[test]
    fn shows_rate_lag_and_faults() {
        let status = Status::new();
        status.received(100);
        status.durable(90);
        status.passed(Stage::Sqlite, 80, std::iter::empty());
        status.fault(Stage::Sqlite, Some("disk full".to_owned()));
        let mut rate = Rate::default();
        let per_second = rate.update(Duration::from_secs(2), 100);
        let text = block(
            "demo",
            Duration::from_secs(62),
            per_second,
            &status.snapshot(),
        );
        assert!(text.contains("01:02") && text.contains("50.0/s"), "{text}");
        assert!(
            text.contains("lag     10") && text.contains("disk full"),
            "{text}"
        );
        assert!(
            line(Duration::from_secs(1), per_second, &status.snapshot()).contains("durable seq 90")
        );
    }
}
