//! A channel or supergroup, and who sees it how.

use std::collections::BTreeSet;

use grammers_tl_types as tl;

use super::{Attach, Flavour, Mailbox, channel_hash};
use crate::content::ChannelSpec;

pub(crate) struct Channel {
    pub(crate) inner: tl::types::Channel,
    access_hash: i64,
    pub(crate) mailbox: Mailbox,
    /// How it is attached to updates, when not as the whole data centre has it.
    pub(crate) attach: Option<Attach>,
    /// Accounts that left, or were never in.
    pub(crate) outside: BTreeSet<usize>,
    /// Accounts that may not see it: banned, or it turned private.
    pub(crate) forbidden: BTreeSet<usize>,
    pub(crate) about: String,
    pub(crate) linked_chat: Option<i64>,
    pub(crate) pinned: Option<i32>,
}

impl Channel {
    pub(crate) fn new(spec: ChannelSpec, id: i64, date: i32) -> Self {
        let mut inner = spec.channel;
        inner.id = id;
        inner.date = date;
        Self {
            inner,
            access_hash: spec.access_hash.unwrap_or_else(|| channel_hash(id)),
            mailbox: Mailbox::new(Flavour::Channel(id)),
            attach: None,
            outside: BTreeSet::new(),
            forbidden: BTreeSet::new(),
            about: String::new(),
            linked_chat: None,
            pinned: None,
        }
    }

    /// Every account has a hash of its own for the same channel.
    pub(crate) fn hash_for(&self, account: usize) -> i64 {
        let account = i64::try_from(account).unwrap_or(i64::MAX);
        self.access_hash
            .wrapping_add(account.wrapping_mul(0x0001_0001_0001))
    }

    pub(crate) fn is_member(&self, account: usize) -> bool {
        !self.outside.contains(&account) && !self.forbidden.contains(&account)
    }

    /// As an account sees it.
    pub(crate) fn as_chat(&self, account: usize, attach: Attach) -> tl::enums::Chat {
        if self.forbidden.contains(&account) {
            return tl::types::ChannelForbidden {
                broadcast: self.inner.broadcast,
                megagroup: self.inner.megagroup,
                monoforum: false,
                id: self.inner.id,
                access_hash: self.hash_for(account),
                title: self.inner.title.clone(),
                until_date: None,
            }
            .into();
        }
        let mut channel = self.inner.clone();
        channel.left = self.outside.contains(&account);
        channel.access_hash = match attach {
            Attach::Full => Some(self.hash_for(account)),
            // Valid inside of its context only: useless for anything that asks for the channel itself.
            Attach::Min => Some(self.hash_for(account) ^ 0x006d_696e),
            Attach::NoHash | Attach::Nothing => None,
        };
        channel.min = attach != Attach::Full;
        channel.into()
    }
}
