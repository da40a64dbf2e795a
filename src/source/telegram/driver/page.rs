//! Pages: what is appended together.

use grammers_tl_types as tl;
use grammers_tl_types::Serializable;

use super::position::{BoxName, Position};
use crate::event::{Gap, Origin};

/// Updates with the positions behind them: one page is one batch of events and one append to the log, so that all of
/// it is durable or none (I2).
///
/// Within a page, new messages come before edits, edits before deletions, and pins, counters, read marks and the
/// rest behind; what is alike keeps Telegram's order. A later page may hold an update again that an earlier one had:
/// what Telegram tells twice, the events' keys make one.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// How it came: pushed, as a difference, or as the difference of a short poll.
    pub origin: Origin,
    /// The updates.
    pub updates: Vec<Seen>,
    /// The users that came with them.
    pub users: Vec<tl::enums::User>,
    /// The chats and channels that came with them.
    pub chats: Vec<tl::enums::Chat>,
    /// Ranges that Telegram will not tell, and where.
    ///
    /// A gap without `until_pts` is of lost access: nothing is missing for good, and it ends with the first page that
    /// has a position of that channel again. `after_message_id` is absent where the driver has seen no message since
    /// the program started.
    pub gaps: Vec<(BoxName, Gap)>,
    /// The channels that get their first position here: what was posted before is for a backfill.
    pub first: Vec<i64>,
    /// The positions of the boxes that this page moved: behind all of the page, never ahead of it.
    pub positions: Vec<Position>,
    /// What could not be read, and was left out.
    pub undecodable: Vec<Undecodable>,
}

/// An update that counts: no earlier position covers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The update. A message from a difference stands in a new-message update with pts 0.
    pub update: tl::enums::Update,
    /// Its place in the sequence of its box, where it has one (the account's pts or qts, a channel's pts).
    pub pts: Option<i32>,
}

/// Bytes from Telegram that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// Of which box.
    pub place: BoxName,
    /// The call that they answered; none when they were pushed, and then a difference brings what they held.
    pub method: Option<&'static str>,
    /// The one step of the sequence that is left out for it, (exclusive) start and end.
    pub pts: Option<(i32, i32)>,
    /// The bytes, where anybody still had them.
    pub raw: Vec<u8>,
}

impl Seen {
    /// The update's TL bytes.
    pub fn raw(&self) -> Vec<u8> {
        self.update.to_bytes()
    }
}

impl Page {
    pub(super) fn new(origin: Origin) -> Page {
        Page {
            origin,
            updates: Vec::new(),
            users: Vec::new(),
            chats: Vec::new(),
            gaps: Vec::new(),
            first: Vec::new(),
            positions: Vec::new(),
            undecodable: Vec::new(),
        }
    }

    pub(super) fn see(&mut self, update: tl::enums::Update, pts: Option<i32>) {
        self.updates.push(Seen { update, pts });
    }

    /// The page as it goes out, or none when it says nothing.
    pub(super) fn finish(mut self) -> Option<Page> {
        self.updates.sort_by_key(|seen| rank(&seen.update));
        let says_something = !(self.updates.is_empty()
            && self.users.is_empty()
            && self.chats.is_empty()
            && self.gaps.is_empty()
            && self.first.is_empty()
            && self.positions.is_empty()
            && self.undecodable.is_empty());
        says_something.then_some(self)
    }
}

/// Creations, then edits, then deletions, then all that only speaks of messages.
fn rank(update: &tl::enums::Update) -> u8 {
    use tl::enums::Update as U;
    match update {
        U::NewMessage(_)
        | U::NewChannelMessage(_)
        | U::NewEncryptedMessage(_)
        | U::BotNewBusinessMessage(_) => 0,
        U::EditMessage(_) | U::EditChannelMessage(_) | U::BotEditBusinessMessage(_) => 1,
        U::DeleteMessages(_) | U::DeleteChannelMessages(_) | U::BotDeleteBusinessMessage(_) => 2,
        _ => 3,
    }
}
