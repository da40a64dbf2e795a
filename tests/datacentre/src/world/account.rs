//! Accounts and what only they see: private chats, basic groups, the secondary box.

use std::collections::BTreeMap;

use grammers_tl_types as tl;

use super::{Flavour, Mailbox};

pub(crate) struct Account {
    pub(crate) user_id: i64,
    pub(crate) mailbox: Mailbox,
    /// Updates that are counted by qts, each with its own.
    pub(crate) secondary: Vec<(i32, tl::enums::Update)>,
    pub(crate) seq: i32,
    /// Users it has a private chat with.
    pub(crate) correspondents: Vec<i64>,
}

impl Account {
    pub(crate) fn new(user_id: i64) -> Self {
        Self {
            user_id,
            mailbox: Mailbox::new(Flavour::Common),
            secondary: Vec::new(),
            seq: 1,
            correspondents: Vec::new(),
        }
    }

    pub(crate) fn qts(&self) -> i32 {
        self.secondary.last().map_or(1, |(qts, _)| *qts)
    }

    pub(crate) fn state(&self, date: i32) -> tl::types::updates::State {
        tl::types::updates::State {
            pts: self.mailbox.pts,
            qts: self.qts(),
            date,
            seq: self.seq,
            unread_count: 0,
        }
    }
}

/// A basic group. Its messages are in the boxes of its members, under an id of their own in each.
pub(crate) struct Group {
    pub(crate) inner: tl::types::Chat,
    pub(crate) members: Vec<usize>,
    /// The id for the first member, to the ids for all.
    pub(crate) twins: BTreeMap<i32, Vec<(usize, i32)>>,
    /// The supergroup that it has become.
    pub(crate) moved_to: Option<i64>,
}
