//! Pages: what is appended together.

use std::collections::BTreeSet;

use grammers_tl_types as tl;
use grammers_tl_types::Serializable;

use super::position::{BoxName, Position};
use crate::event::{Gap, GapClosed, Origin};

/// Updates in one page at most.
const UPDATES_MAX: usize = 4_000;

/// Updates with the positions behind them: one page is one batch of events and one append to the log, so that all of
/// it is durable or none (I2). Pages are appended in the order in which they were given.
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
    /// A gap without `until_pts` is of lost access: nothing is missing for good, and it ends with the next page that
    /// has a position of that channel again. `after_message_id` is absent: what the log has is known elsewhere, and the
    /// bounds of a gap that is found again must be the same.
    pub gaps: Vec<(BoxName, Gap)>,
    /// Gaps whose search is over, and where.
    pub closed: Vec<(BoxName, GapClosed)>,
    /// The channels that get their first position here: what was posted before is for a backfill.
    pub first: Vec<i64>,
    /// The positions of the boxes that this page moved: behind all of the page, never ahead of it.
    pub positions: Vec<Position>,
    /// What could not be read, and was left out.
    pub undecodable: Vec<Undecodable>,
}

impl Page {
    /// A page of this origin with nothing in it.
    pub fn empty(origin: Origin) -> Page {
        Page {
            origin,
            updates: Vec::new(),
            users: Vec::new(),
            chats: Vec::new(),
            gaps: Vec::new(),
            closed: Vec::new(),
            first: Vec::new(),
            positions: Vec::new(),
            undecodable: Vec::new(),
        }
    }
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

/// A page that is being made.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) page: Page,
    /// The boxes that may have moved.
    pub(super) touched: BTreeSet<BoxName>,
}

impl Draft {
    pub(super) fn new(origin: Origin) -> Draft {
        Draft {
            page: Page::empty(origin),
            touched: BTreeSet::new(),
        }
    }

    pub(super) fn see(&mut self, update: tl::enums::Update, pts: Option<i32>) {
        self.page.updates.push(Seen { update, pts });
    }

    /// The pages that go out, none when there is nothing to say. Only the last one moves positions.
    pub(super) fn finish(self) -> Vec<Page> {
        let mut page = self.page;
        let is_empty = page.updates.is_empty()
            && page.users.is_empty()
            && page.chats.is_empty()
            && page.gaps.is_empty()
            && page.first.is_empty()
            && page.positions.is_empty()
            && page.undecodable.is_empty();
        if is_empty {
            return Vec::new();
        }
        page.updates.sort_by_key(|seen| rank(&seen.update));
        let mut pages = Vec::new();
        while page.updates.len() > UPDATES_MAX {
            let rest = page.updates.split_off(UPDATES_MAX);
            let mut front = Page::empty(page.origin);
            front.updates = std::mem::replace(&mut page.updates, rest);
            front.users = std::mem::take(&mut page.users);
            front.chats = std::mem::take(&mut page.chats);
            pages.push(front);
        }
        pages.push(page);
        pages
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
