//! The channels' part of an account's board: whether each is heard as usual, and what of its past is being fetched.

use serde::{Deserialize, Serialize};

use super::now_us;

/// Channels, and backfills, that a report shows: those that matter most.
pub(super) const SHOWN_MAX: usize = 50;

/// What is known of one channel since the start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChannelBoard {
    /// When it spoke last, by Telegram's date in seconds since the epoch.
    pub last_at: Option<i64>,
    /// Its usual pause in seconds.
    pub usual_seconds: Option<f64>,
    /// From when on its silence is remarkable.
    pub late_at: Option<i64>,
    /// It is short-polled.
    pub is_hot: bool,
    /// Times that it was further than anybody had pushed.
    pub untold: u64,
    /// Milliseconds from Telegram's date, which has whole seconds, until a message was here: the last one, and the sum,
    /// the longest and the count of all.
    delay_ms: Option<u64>,
    delay_sum_ms: u64,
    delay_max_ms: u64,
    delays: u64,
}

impl ChannelBoard {
    /// A message was so long on its way.
    pub fn delayed(&mut self, delay_ms: u64) {
        self.delay_ms = Some(delay_ms);
        self.delay_sum_ms = self.delay_sum_ms.saturating_add(delay_ms);
        self.delay_max_ms = self.delay_max_ms.max(delay_ms);
        self.delays += 1;
    }

    pub(super) fn report(&self, channel: i64) -> ChannelReport {
        let now = now_us() / 1_000_000;
        let age = self.last_at.map(|at| now.saturating_sub(at));
        ChannelReport {
            channel,
            name: None,
            hot: self.is_hot,
            age_seconds: age.map(|age| u64::try_from(age).unwrap_or(0)),
            usual_seconds: self.usual_seconds,
            late: self.late_at.is_some_and(|at| at < now),
            untold: self.untold,
            delay_ms: self.delay_ms,
            delay_mean_ms: self.delay_sum_ms.checked_div(self.delays),
            delay_max_ms: self.delay_ms.map(|_| self.delay_max_ms),
        }
    }
}

/// A channel as a running daemon shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelReport {
    /// Its bare id.
    pub channel: i64,
    /// What it is called, where the log knows.
    pub name: Option<String>,
    /// It is short-polled.
    pub hot: bool,
    /// Since it spoke last.
    pub age_seconds: Option<u64>,
    /// Its usual pause, once there is one.
    pub usual_seconds: Option<f64>,
    /// It has been silent for far longer than usual.
    pub late: bool,
    /// Times that it was further than anybody had pushed.
    pub untold: u64,
    /// From Telegram's date, which has whole seconds, until the last message was here.
    pub delay_ms: Option<u64>,
    /// The mean of all.
    pub delay_mean_ms: Option<u64>,
    /// The longest.
    pub delay_max_ms: Option<u64>,
}

/// The channels that matter most: the hot ones, those that were not told of, and the late ones first.
pub(super) fn reports<'a>(
    channels: impl IntoIterator<Item = (&'a i64, &'a ChannelBoard)>,
) -> Vec<ChannelReport> {
    let channels = channels.into_iter();
    let mut shown: Vec<_> = channels.map(|(id, board)| board.report(*id)).collect();
    shown.sort_by_key(|it| std::cmp::Reverse((it.hot, it.untold, it.late, it.age_seconds)));
    shown.truncate(SHOWN_MAX);
    shown
}

/// What of a channel's past is being fetched, or was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillReport {
    /// The channel's bare id.
    pub channel: i64,
    /// What it is called, where the log knows.
    pub name: Option<String>,
    /// Stretches that are not done.
    pub waiting: usize,
    /// Those stretches, in the order in which they come.
    pub stretches: Vec<StretchReport>,
    /// Messages of the last stretch.
    pub found: u32,
    /// How the last stretch ended: filled, partial, unfillable, cancelled.
    pub outcome: Option<String>,
}

/// A stretch of a channel's past that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StretchReport {
    /// What it is for: `first-sight`, `gap`, `by-hand`.
    pub reason: String,
    /// Messages that were fetched.
    pub found: u32,
    /// Messages that it may still fetch; none where only an answer tells.
    pub left: Option<u32>,
    /// All down to this message has been asked for; none before the first answer.
    pub reached: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_matters_most_is_shown_and_not_all() {
        let now = now_us() / 1_000_000;
        let mut channels: BTreeMap<i64, ChannelBoard> =
            (1..=200).map(|id| (id, ChannelBoard::default())).collect();
        let late = channels.entry(100).or_default();
        (late.last_at, late.late_at) = (Some(now - 600), Some(now - 60));
        channels.entry(150).or_default().untold = 1;
        let hot = channels.entry(200).or_default();
        hot.is_hot = true;
        hot.delayed(300);
        hot.delayed(100);
        let shown = reports(&channels);
        assert_eq!(shown.len(), SHOWN_MAX);
        let first: Vec<i64> = shown.iter().take(3).map(|it| it.channel).collect();
        assert_eq!(first, [200, 150, 100]);
        assert_eq!(
            (
                shown[0].delay_ms,
                shown[0].delay_mean_ms,
                shown[0].delay_max_ms
            ),
            (Some(100), Some(200), Some(300))
        );
        assert!(shown[2].late && shown[2].age_seconds >= Some(600));
    }
}
