//! How wide the chunks of a new generation should be: decided from the dates of what it will hold.

use std::collections::BTreeMap;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// The widths there are, in days: steps that a person would choose. The last one is for all that is sparse; what is quiet
/// today may be busy tomorrow.
const WIDTHS: [u64; 7] = [1, 2, 7, 14, 30, 60, 90];
/// A chunk should hold about so many messages: its indexes fit into memory, and making it (3 ms) costs nothing.
const MESSAGES: u64 = 500_000;
/// No more chunks than this: each one is a table to plan, lock and vacuum.
const CHUNKS_MAX: u64 = 100;

/// The width for a history with so many messages on each day (days since the Unix epoch): the narrowest that fills the
/// chunks of an ordinary stretch and does not make too many of them.
pub fn chunk_interval(days: &BTreeMap<i64, u64>) -> Duration {
    let fits = |width: &u64| {
        let mut chunks = BTreeMap::<i64, u64>::new();
        for (day, messages) in days {
            let width = i64::try_from(*width).unwrap_or(i64::MAX);
            *chunks.entry(day.div_euclid(width)).or_default() += messages;
        }
        let messages: u64 = days.values().sum();
        let count = chunks.len() as u64;
        count > 0 && count <= CHUNKS_MAX && messages >= count * MESSAGES
    };
    let width = WIDTHS.iter().find(|width| fits(width));
    let widest = WIDTHS.last().copied().unwrap_or(1);
    DAY * u32::try_from(width.copied().unwrap_or(widest)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many messages a day, over so many days up to now.
    fn width(messages: u64, days: i64) -> u64 {
        let days: BTreeMap<i64, u64> = (0..days).map(|day| (20_000 - day, messages)).collect();
        chunk_interval(&days).as_secs() / 86_400
    }

    #[test]
    fn a_dense_stream_gets_narrow_chunks_and_a_sparse_history_wide_ones() {
        assert_eq!(width(4_320_000, 30), 1, "50 a second");
        assert_eq!(width(300_000, 90), 2);
        assert_eq!(width(10_000, 365), 60);
        assert_eq!(width(70, 1372), 90, "a few channels over years");
        assert_eq!(
            width(4_320_000, 3650),
            60,
            "ten years of it: not 3650 chunks"
        );
        assert_eq!(width(0, 0), 90, "nothing yet");
    }
}
