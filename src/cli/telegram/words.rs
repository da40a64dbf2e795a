//! Words and tables that several commands of the live source print.

use crate::cli::output;
use crate::event::{PeerId, PeerKind};
use crate::status::StretchReport;

/// Rows under each other, each column as wide as its widest cell; the last one is as long as it is.
pub(in crate::cli) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line: Vec<String> = cells.collect();
        line.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A span of time as people say it.
pub(in crate::cli) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A channel by its bare id, as an operator names it, with what it is called.
pub(in crate::cli) fn channel(bare: i64, name: Option<&str>) -> String {
    let id = marked(bare);
    match name {
        Some(name) => format!("{id} {}", output::escape(name)),
        None => id.to_string(),
    }
}

/// The marked form of a channel's bare id.
pub(in crate::cli) fn marked(bare: i64) -> i64 {
    PeerId::new(PeerKind::Channel, bare).map_or(bare, PeerId::marked)
}

/// What is fetched of a channel's past, or how that ended.
pub(in crate::cli) fn backfill(
    stretches: &[StretchReport],
    outcome: Option<&str>,
    found: u32,
) -> String {
    let stretches: Vec<String> = stretches.iter().map(stretch).collect();
    match (stretches.is_empty(), outcome) {
        (false, _) => stretches.join("; "),
        (true, Some(outcome)) => format!("{outcome}, {found} messages"),
        (true, None) => "nothing waits".to_owned(),
    }
}

fn stretch(stretch: &StretchReport) -> String {
    let mut text = format!("{}: {} messages", stretch.reason, stretch.found);
    if let Some(reached) = stretch.reached {
        text.push_str(&format!(" down to {reached}"));
    }
    if let Some(left) = stretch.left {
        text.push_str(&format!(", at most {left} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [["id", "title"], ["-100", "a"], ["7", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "id    title\n-100  a\n7");
    }

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn what_is_fetched_says_how_far_it_is() {
        let stretch = StretchReport {
            reason: "by-hand".to_owned(),
            found: 200,
            left: Some(800),
            reached: Some(41),
        };
        let going = "by-hand: 200 messages down to 41, at most 800 more";
        assert_eq!(backfill(&[stretch], None, 200), going);
        assert_eq!(backfill(&[], None, 0), "nothing waits");
        let over = backfill(&[], Some("filled"), 200);
        assert_eq!(over, "filled, 200 messages");
        assert_eq!(channel(7, Some("a\nb")), "-1000000000007 a\\nb");
    }
}
