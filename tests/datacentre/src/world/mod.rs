//! Everything that the data centre knows: peers and their boxes, accounts and keys, connections and faults.

mod account;
mod attach;
mod calls;
mod channel;
mod clock;
mod files;
mod logins;
mod mailbox;
mod outbox;
mod salts;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddrV4;

use grammers_tl_types as tl;

pub(crate) use account::{Account, Group};
pub use attach::Attach;
pub(crate) use attach::Peers;
pub use calls::CallMade;
pub(crate) use calls::Calls;
pub(crate) use channel::Channel;
pub(crate) use clock::Clock;
pub(crate) use files::{FileKind, Files, StoredFile};
pub(crate) use logins::{Asked, Logins, Password, Phone, QrToken};
pub(crate) use mailbox::{Flavour, Mailbox};
pub use outbox::{Delivery, Order, Style};
pub(crate) use outbox::{Outbox, garbled};
pub(crate) use salts::Salts;

use crate::connection::Link;
use crate::faults::Faults;
use crate::options::Options;
use crate::wire::seal::{Key, KeyId};

/// A key and whose it is by now.
pub(crate) struct KeyState {
    pub(crate) key: Key,
    pub(crate) account: Option<usize>,
}

pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) addresses: BTreeMap<i32, SocketAddrV4>,
    /// What `help.getConfig` says instead of the true addresses.
    pub(crate) told_addresses: Option<Vec<(i32, SocketAddrV4)>>,
    pub(crate) channels: BTreeMap<i64, Channel>,
    pub(crate) groups: BTreeMap<i64, Group>,
    pub(crate) users: BTreeMap<i64, tl::types::User>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) keys: HashMap<KeyId, KeyState>,
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) links_made: u64,
    /// Sessions that were greeted with `new_session_created`.
    pub(crate) sessions: HashSet<(KeyId, i64)>,
    pub(crate) salts: Salts,
    pub(crate) outbox: Outbox,
    pub(crate) faults: Faults,
    pub(crate) logins: Logins,
    pub(crate) files: Files,
    pub(crate) calls: Calls,
    /// Packets that a black hole has taken.
    pub(crate) swallowed: u64,
    /// Messages that the clients have acknowledged.
    pub(crate) acknowledged: u64,
    peers_made: i64,
}

impl World {
    pub(crate) fn new(options: Options, addresses: BTreeMap<i32, SocketAddrV4>) -> Self {
        Self {
            options,
            clock: Clock::default(),
            addresses,
            told_addresses: None,
            channels: BTreeMap::new(),
            groups: BTreeMap::new(),
            users: BTreeMap::new(),
            accounts: Vec::new(),
            keys: HashMap::new(),
            links: BTreeMap::new(),
            links_made: 0,
            sessions: HashSet::new(),
            salts: Salts::default(),
            outbox: Outbox::default(),
            faults: Faults::default(),
            logins: Logins::default(),
            files: Files::default(),
            calls: Calls::default(),
            swallowed: 0,
            acknowledged: 0,
            peers_made: 0,
        }
    }

    /// A bare id that nothing else has: of channels, groups and users alike, so that no two are mistaken.
    pub(crate) fn next_peer_id(&mut self) -> i64 {
        self.peers_made += 1;
        1_000_000 + self.peers_made
    }

    pub(crate) fn date(&self) -> i32 {
        self.clock.date()
    }

    pub(crate) fn channel(&mut self, id: i64) -> &mut Channel {
        self.channels.get_mut(&id).expect("a channel of this world")
    }

    /// What a channel's update costs everybody who is in it.
    pub(crate) fn publish_in_channel(&mut self, id: i64, update: &tl::enums::Update) {
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        let members = (0..self.accounts.len()).filter(|account| channel.is_member(*account));
        for account in members.collect::<Vec<_>>() {
            self.publish(account, update.clone());
        }
    }

    /// Forgets all that ever happened: histories, logs and positions begin again. Peers, accounts and keys stay.
    pub(crate) fn wipe(&mut self) {
        for (id, channel) in &mut self.channels {
            channel.mailbox = Mailbox::new(Flavour::Channel(*id));
        }
        for account in &mut self.accounts {
            account.mailbox = Mailbox::new(Flavour::Common);
            account.secondary.clear();
            account.seq = 0;
        }
        for group in self.groups.values_mut() {
            group.twins.clear();
        }
    }
}

/// Hashes are numbers that a client cannot guess, and that a test can.
pub(crate) fn user_hash(id: i64) -> i64 {
    id.wrapping_mul(0x5bd1_e995_1234_567b) ^ 0x0075_7365_7273
}

pub(crate) fn file_hash(id: i64) -> i64 {
    id.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x0066_696c_6573
}

pub(crate) fn channel_hash(id: i64) -> i64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()) ^ 0x6368_616e
}
