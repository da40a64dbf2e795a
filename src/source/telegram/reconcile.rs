//! Does the log have what Telegram has? Now and then that is compared, without waiting for any news.
//!
//! Pure. Every round compares the heads of all channels: one that is ahead of our position, and still is a moment
//! later, was not told to us. And it looks through the newest messages of a few channels, in turn: a message that the
//! log has and the history has not was perhaps deleted without a word.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use grammers_tl_types as tl;

use super::driver::Position;

/// Channels whose heads are asked for in one request.
const HEADS_AT_ONCE: usize = 100;

/// Channels whose newest messages are looked through in one round.
const SWEPT_PER_ROUND: usize = 5;

/// How long updates may be on their way when a head is already ahead.
const GRACE: Duration = Duration::from_secs(1);

/// How far a channel is, as the list of dialogs says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The channel's bare id.
    pub channel: i64,
    /// Where its sequence stands.
    pub pts: Option<i32>,
}

impl Head {
    /// The head that a dialog tells; none for what is no channel.
    pub fn of(dialog: &tl::enums::Dialog) -> Option<Head> {
        match dialog {
            tl::enums::Dialog::Dialog(dialog) => match &dialog.peer {
                tl::enums::Peer::Channel(peer) => Some(Head {
                    channel: peer.channel_id,
                    pts: dialog.pts,
                }),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether more happened than was read. Not so for a channel that is known to be behind: it is being asked.
    fn is_ahead(&self, position: Option<Position>) -> bool {
        match (position, self.pts) {
            (Some(Position::Channel { pts, behind, .. }), Some(head)) => !behind && head > pts,
            _ => false,
        }
    }
}

/// The messages that the log had before the history was asked for, and that are not in the answer although it reaches
/// that far down. An answer without messages says nothing: access may be lost, or the past hidden.
pub fn missing(logged: &[i64], history: &[i32]) -> Vec<i32> {
    let Some(lowest) = history.iter().min() else {
        return Vec::new();
    };
    let there: BTreeSet<i32> = history.iter().copied().collect();
    let logged: BTreeSet<i32> = logged
        .iter()
        .filter_map(|id| i32::try_from(*id).ok())
        .collect();
    logged
        .into_iter()
        .filter(|id| id > lowest && !there.contains(id))
        .collect()
}

/// What to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// How far these channels are.
    Heads(Vec<i64>),
    /// The newest messages of this one.
    Newest(i64),
}

/// When what is compared.
#[derive(Debug)]
pub struct Rounds {
    interval: Duration,
    due: Instant,
    looks: VecDeque<Look>,
    suspects: Vec<(Instant, Head)>,
    /// The channel that was looked through last.
    last: i64,
}

impl Rounds {
    /// One round each `interval`.
    pub fn new(interval: Duration, now: Instant) -> Rounds {
        Rounds {
            interval,
            due: now + interval,
            looks: VecDeque::new(),
            suspects: Vec::new(),
            last: 0,
        }
    }

    /// Whether a round begins now. None does while the last one is not over.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due <= now && self.looks.is_empty()
    }

    /// Begins a round over these channels, in ascending order.
    pub fn begin(&mut self, channels: &[i64], now: Instant) {
        self.due = now + self.interval;
        let heads = channels.chunks(HEADS_AT_ONCE);
        self.looks
            .extend(heads.map(|some| Look::Heads(some.to_vec())));
        let split = channels.partition_point(|channel| *channel <= self.last);
        let in_turn = channels[split..].iter().chain(&channels[..split]);
        for channel in in_turn.take(SWEPT_PER_ROUND) {
            self.looks.push_back(Look::Newest(*channel));
            self.last = *channel;
        }
    }

    /// Heads were refused because of some of these channels: the others are asked without them.
    pub fn halve(&mut self, channels: &[i64]) {
        if channels.len() > 1 {
            for half in channels.chunks(channels.len().div_ceil(2)) {
                self.looks.push_front(Look::Heads(half.to_vec()));
            }
        }
    }

    /// What to ask now.
    pub fn next_look(&mut self) -> Option<Look> {
        self.looks.pop_front()
    }

    /// When a round begins, or a suspicion is looked at again.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let suspects = self.suspects.iter().map(|(due, _)| *due);
        let due = self.looks.is_empty().then_some(self.due);
        suspects.chain(due).min().map(|due| due.max(now))
    }

    /// Takes heads; those that are ahead are looked at again when what is on its way has come.
    pub fn compare(
        &mut self,
        heads: impl IntoIterator<Item = Head>,
        position: impl Fn(i64) -> Option<Position>,
        now: Instant,
    ) {
        let ahead = heads
            .into_iter()
            .filter(|head| head.is_ahead(position(head.channel)));
        self.suspects.extend(ahead.map(|head| (now + GRACE, head)));
    }

    /// The channels that are still ahead: nobody told us.
    pub fn untold(
        &mut self,
        position: impl Fn(i64) -> Option<Position>,
        now: Instant,
    ) -> BTreeSet<i64> {
        let due = self.suspects.extract_if(.., |(due, _)| *due <= now);
        due.map(|(_, head)| head)
            .filter(|head| head.is_ahead(position(head.channel)))
            .map(|head| head.channel)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: i64, pts: i32) -> Position {
        let behind = false;
        Position::Channel { id, pts, behind }
    }

    fn head(channel: i64, pts: i32) -> Head {
        let pts = Some(pts);
        Head { channel, pts }
    }

    #[test]
    fn a_message_is_missing_where_the_history_reaches_and_has_it_not() {
        for (logged, history, expected) in [
            (&[9, 8, 7][..], &[9, 7][..], &[8][..]),
            (&[9, 8, 7], &[9, 8, 7, 6], &[]),
            // The newest one is gone; it was in the log before the question.
            (&[9, 8, 7], &[8, 7], &[9]),
            // The history does not reach that far, or is hidden.
            (&[9, 3, 2], &[9, 8], &[]),
            (&[9, 8, 7], &[], &[]),
            (&[], &[9, 8, 7], &[]),
            (&[i64::MAX, 5, 4, 4], &[4, 6], &[5]),
        ] {
            assert_eq!(missing(logged, history), expected, "{logged:?} {history:?}");
        }
    }

    #[test]
    fn a_head_that_stays_ahead_was_not_told() {
        let now = Instant::now();
        let mut rounds = Rounds::new(Duration::from_secs(60), now);
        let before = |id| (id < 4).then(|| at(id, 10));
        let heads = [head(1, 10), head(2, 11), head(3, 12), head(4, 9)];
        rounds.compare(heads, before, now);
        assert!(
            rounds.untold(before, now).is_empty(),
            "it may be on its way"
        );
        let later = now + GRACE;
        assert_eq!(rounds.deadline(now), Some(later));
        let after = |id| Some(at(id, if id == 2 { 11 } else { 10 }));
        assert_eq!(rounds.untold(after, later), BTreeSet::from([3]));
        assert!(rounds.untold(after, later).is_empty(), "told once");
    }

    #[test]
    fn a_refused_channel_costs_the_others_nothing() {
        let mut rounds = Rounds::new(Duration::ZERO, Instant::now());
        rounds.halve(&(1..=9).collect::<Vec<i64>>());
        let mut answered = Vec::new();
        while let Some(Look::Heads(some)) = rounds.next_look() {
            match some.contains(&7) {
                true => rounds.halve(&some),
                false => answered.extend(some),
            }
        }
        answered.sort_unstable();
        assert_eq!(answered, [1, 2, 3, 4, 5, 6, 8, 9]);
    }

    #[test]
    fn a_channel_that_is_being_asked_is_not_suspected() {
        let behind = |id| {
            let (pts, behind) = (1, true);
            Some(Position::Channel { id, pts, behind })
        };
        assert!(!head(1, 5).is_ahead(behind(1)));
    }

    #[test]
    fn rounds_ask_for_all_heads_and_look_through_channels_in_turn() {
        let now = Instant::now();
        let interval = Duration::from_secs(60);
        let mut rounds = Rounds::new(interval, now);
        assert!(!rounds.is_due(now) && rounds.is_due(now + interval));
        let channels: Vec<i64> = (1..=250).collect();
        let mut swept = Vec::new();
        for round in 1..=50 {
            let now = now + interval * round;
            rounds.begin(&channels, now);
            assert!(!rounds.is_due(now + interval), "the last one is not over");
            let mut heads = Vec::new();
            while let Some(look) = rounds.next_look() {
                match look {
                    Look::Heads(some) => heads.extend(some),
                    Look::Newest(channel) => swept.push(channel),
                }
            }
            assert_eq!(heads, channels);
        }
        assert_eq!(swept, channels, "each once");
        rounds.begin(&[], now);
        assert_eq!(rounds.next_look(), None);
    }
}
