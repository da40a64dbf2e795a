//! When which channel spoke, and how long its words took to get here.

use std::collections::BTreeMap;

use grammers_tl_types as tl;

use super::super::driver::Page;
use super::super::freshness::Rhythm;
use crate::event::Origin;
use crate::status::{AccountBoard, now_us};

/// Channels whose rhythm is kept; more than an account can be in.
const CHANNELS_MAX: usize = 4096;

/// A message as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) channel: i64,
    /// Telegram's date, in seconds since the epoch.
    date: i64,
    /// From then until now, where it came by itself: Telegram's dates are whole seconds.
    delay_ms: Option<u64>,
}

/// The new messages of channels in a page; none of a history, which is no news.
pub(super) fn words(page: &Page) -> Vec<Word> {
    if page.origin == Origin::Backfill {
        return Vec::new();
    }
    let is_prompt = matches!(page.origin, Origin::Live | Origin::Poll);
    let now_ms = now_us() / 1000;
    let words = page.updates.iter().filter_map(|seen| {
        let tl::enums::Update::NewChannelMessage(update) = &seen.update else {
            return None;
        };
        let (peer, date) = match &update.message {
            tl::enums::Message::Message(it) => (&it.peer_id, it.date),
            tl::enums::Message::Service(it) => (&it.peer_id, it.date),
            tl::enums::Message::Empty(_) => return None,
        };
        let tl::enums::Peer::Channel(peer) = peer else {
            return None;
        };
        let date = i64::from(date);
        let delay = u64::try_from(now_ms.saturating_sub(date * 1000)).unwrap_or(0);
        Some(Word {
            channel: peer.channel_id,
            date,
            delay_ms: is_prompt.then_some(delay),
        })
    });
    words.collect()
}

/// The rhythms of an account's channels.
#[derive(Debug, Default)]
pub(super) struct Heard(BTreeMap<i64, Rhythm>);

impl Heard {
    /// Notes words, and shows what they say of their channels.
    pub(super) fn note(&mut self, words: &[Word], board: &mut AccountBoard) {
        for word in words {
            if self.0.len() >= CHANNELS_MAX && !self.0.contains_key(&word.channel) {
                continue;
            }
            let rhythm = self.0.entry(word.channel).or_default();
            rhythm.heard(word.date);
            let shown = board.channels.entry(word.channel).or_default();
            shown.last_at = rhythm.last();
            shown.usual_seconds = rhythm.usual();
            shown.late_at = rhythm.late_at();
            if let Some(delay) = word.delay_ms {
                shown.delayed(delay);
            }
        }
    }
}
