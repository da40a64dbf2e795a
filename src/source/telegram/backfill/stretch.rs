//! One stretch of a channel's history, fetched from its newest message down.

use grammers_tl_types as tl;

use crate::event::{GapBounds, GapOutcome, Since};
use crate::status::StretchReport;

/// Messages that are fetched for one gap at most: behind that it is closed as partly filled.
const GAP_MESSAGES_MAX: u32 = 100_000;

/// Messages in one page of a history; Telegram gives no more.
const PAGE_MESSAGES_MAX: u32 = 100;

/// Why history is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The channel was seen for the first time.
    FirstSight,
    /// Telegram left this out of a difference.
    Gap(GapBounds),
    /// An operator wants it.
    ByHand,
}

/// How much of it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// So many messages more.
    Messages(u32),
    /// Whatever was posted since this position. Every message is at least one step of the sequence, so none of them is
    /// older than the newest (position of the answer - this) messages.
    SincePts(i32),
}

/// What is still to be fetched, and what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// What it is for.
    pub reason: Reason,
    /// How much is missing.
    pub wanted: Wanted,
    /// How far back.
    pub since: Since,
    /// Messages below this id come next; 0 for the newest.
    pub below: i32,
    /// Messages that were fetched.
    pub found: u32,
    /// It is longer than what is fetched of one.
    pub is_cut: bool,
}

/// An answer about a channel's history.
#[derive(Debug, Default)]
pub struct History {
    /// Its messages.
    pub messages: Vec<tl::enums::Message>,
    /// The users that came along.
    pub users: Vec<tl::enums::User>,
    /// The chats that came along.
    pub chats: Vec<tl::enums::Chat>,
    /// Where the channel's sequence stood.
    pub pts: Option<i32>,
}

/// What an answer brought.
#[derive(Debug)]
pub(super) struct Taken {
    /// The messages that were wanted, oldest first.
    pub(super) messages: Vec<tl::enums::Message>,
    /// What is left, or how it ended.
    pub(super) rest: Result<Stretch, GapOutcome>,
    /// Messages that were found so far.
    pub(super) found: u32,
}

impl Stretch {
    /// The newest messages, so many and not older than `since`.
    pub fn newest(reason: Reason, count: u32, since: Since) -> Stretch {
        Stretch {
            reason,
            wanted: Wanted::Messages(count),
            since,
            below: 0,
            found: 0,
            is_cut: false,
        }
    }

    /// What a gap hides.
    pub fn gap(bounds: GapBounds, after_pts: i32) -> Stretch {
        Stretch {
            wanted: Wanted::SincePts(after_pts),
            ..Stretch::newest(Reason::Gap(bounds), 0, Since::Beginning)
        }
    }

    /// How many messages to ask for.
    pub fn limit(&self) -> i32 {
        let limit = match self.wanted {
            Wanted::Messages(left) => left.clamp(1, PAGE_MESSAGES_MAX),
            Wanted::SincePts(_) => PAGE_MESSAGES_MAX,
        };
        limit as i32
    }

    /// Takes an answer. Only an answer without anything below what is here says that the history is at its end: Telegram
    /// may give fewer messages than were asked for.
    pub(super) fn take(mut self, history: Vec<tl::enums::Message>, pts: Option<i32>) -> Taken {
        let wanted = self.count(pts);
        let mut older = history;
        older.retain(|message| message.id() > 0 && (self.below == 0 || message.id() < self.below));
        older.sort_by_key(|message| std::cmp::Reverse(message.id()));
        let lowest = older.last().map(tl::enums::Message::id);
        let since = self.since;
        let is_too_old = |message: &tl::enums::Message| since.excludes(message.id(), date(message));
        let reaches_since = older.iter().any(is_too_old);
        older.retain(|message| !is_too_old(message));
        older.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        older.reverse();
        let count = u32::try_from(older.len()).unwrap_or(u32::MAX);
        let left = wanted.saturating_sub(count);
        self.found = self.found.saturating_add(count);
        self.wanted = Wanted::Messages(left);
        let rest = match lowest {
            Some(lowest) if left > 0 && !reaches_since => {
                self.below = lowest;
                Ok(self)
            }
            // Short of the history's end, it may have been cut.
            Some(_) if left == 0 && self.is_cut => Err(GapOutcome::Partial),
            _ => Err(GapOutcome::Filled),
        };
        Taken {
            messages: older,
            rest,
            found: self.found,
        }
    }

    /// As `status` shows it.
    pub fn report(&self) -> StretchReport {
        let reason = match self.reason {
            Reason::FirstSight => "first-sight",
            Reason::Gap(_) => "gap",
            Reason::ByHand => "by-hand",
        };
        StretchReport {
            reason: reason.to_owned(),
            found: self.found,
            left: match self.wanted {
                Wanted::Messages(left) => Some(left),
                Wanted::SincePts(_) => None,
            },
            reached: (self.below != 0).then_some(self.below),
        }
    }

    /// How it ends when nothing more can be had.
    pub(super) fn given_up(&self) -> GapOutcome {
        match self.found {
            0 => GapOutcome::Unfillable,
            _ => GapOutcome::Partial,
        }
    }

    fn count(&mut self, pts: Option<i32>) -> u32 {
        match (self.wanted, pts) {
            (Wanted::Messages(left), _) => left,
            (Wanted::SincePts(after), Some(pts)) => {
                let steps = u32::try_from(pts.saturating_sub(after)).unwrap_or(0);
                self.is_cut = steps > GAP_MESSAGES_MAX;
                steps.min(GAP_MESSAGES_MAX)
            }
            (Wanted::SincePts(_), None) => {
                self.is_cut = true;
                GAP_MESSAGES_MAX
            }
        }
    }
}

/// When a message was posted; one that is empty has no date, and bounds nothing.
fn date(message: &tl::enums::Message) -> i32 {
    match message {
        tl::enums::Message::Message(it) => it.date,
        tl::enums::Message::Service(it) => it.date,
        tl::enums::Message::Empty(_) => i32::MAX,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::source::telegram) fn message(id: i32) -> tl::enums::Message {
        // An action is the shortest message that has a date: that of its number.
        tl::types::MessageService {
            out: false,
            mentioned: false,
            media_unread: false,
            reactions_are_possible: false,
            silent: false,
            post: true,
            legacy: false,
            id,
            from_id: None,
            peer_id: tl::types::PeerChannel { channel_id: 7 }.into(),
            saved_peer_id: None,
            reply_to: None,
            date: id,
            action: tl::enums::MessageAction::PinMessage,
            reactions: None,
            ttl_period: None,
        }
        .into()
    }

    fn messages(ids: impl IntoIterator<Item = i32>) -> Vec<tl::enums::Message> {
        ids.into_iter().map(message).collect()
    }

    fn ids(taken: &Taken) -> Vec<i32> {
        taken.messages.iter().map(tl::enums::Message::id).collect()
    }

    #[test]
    fn the_newest_come_first_and_in_order_until_there_are_enough() {
        let stretch = Stretch::newest(Reason::FirstSight, 5, Since::Beginning);
        assert_eq!(stretch.limit(), 5);
        let taken = stretch.take(messages([9, 8, 7]), None);
        assert_eq!(ids(&taken), [7, 8, 9]);
        let rest = taken.rest.expect("two are missing");
        assert_eq!((rest.below, rest.limit()), (7, 2));
        let taken = rest.take(messages([6, 5, 4]), None);
        assert_eq!(ids(&taken), [5, 6], "no more than was wanted");
        assert_eq!((taken.rest, taken.found), (Err(GapOutcome::Filled), 5));
    }

    #[test]
    fn only_an_empty_answer_is_the_end_of_a_history() {
        let stretch = Stretch::newest(Reason::ByHand, 500, Since::Beginning);
        let rest = stretch.take(messages([2]), None).rest.expect("one of many");
        let end = rest.take(Vec::new(), None);
        assert_eq!((end.rest, end.found), (Err(GapOutcome::Filled), 1));
        // A server that repeats itself ends it too, and adds nothing.
        let end = rest.take(messages([9, 2]), None);
        assert!(end.messages.is_empty() && end.rest.is_err());
    }

    #[test]
    fn nothing_is_older_than_it_may_be() {
        for since in [Since::Date(6), Since::Message(6)] {
            let stretch = Stretch::newest(Reason::ByHand, 500, since);
            let taken = stretch.take(messages([8, 7, 6, 5, 4]), None);
            assert_eq!(ids(&taken), [6, 7, 8]);
            assert_eq!(taken.rest, Err(GapOutcome::Filled));
        }
    }

    #[test]
    fn a_gap_is_as_long_as_the_steps_since_then() {
        let bounds = GapBounds::default();
        let taken = Stretch::gap(bounds, 90).take(messages([60, 59, 58, 57]), Some(93));
        assert_eq!(
            ids(&taken),
            [58, 59, 60],
            "three steps, three messages at most"
        );
        assert_eq!(taken.rest, Err(GapOutcome::Filled));
        let endless = Stretch::gap(bounds, 1).take(messages([60]), Some(i32::MAX));
        let rest = endless.rest.expect("there is more");
        assert!(rest.is_cut);
        let last = Stretch {
            wanted: Wanted::Messages(1),
            ..rest
        };
        let taken = last.take(messages([59]), None);
        assert_eq!(taken.rest, Err(GapOutcome::Partial));
        assert_eq!(
            rest.take(Vec::new(), None).rest,
            Err(GapOutcome::Filled),
            "the history was shorter"
        );
    }

    #[test]
    fn what_is_given_up_says_whether_anything_was_found() {
        let stretch = Stretch::gap(GapBounds::default(), 1);
        assert_eq!(stretch.given_up(), GapOutcome::Unfillable);
        let begun = Stretch {
            found: 1,
            ..stretch
        };
        assert_eq!(begun.given_up(), GapOutcome::Partial);
    }
}
