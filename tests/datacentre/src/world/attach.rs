//! The users and chats that go with an update.

use std::collections::BTreeSet;

use grammers_tl_types as tl;

use super::World;
use crate::content::peer_of;

/// How channels are attached to updates and differences. Lists and resolved names are always full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// With the access hash.
    #[default]
    Full,
    /// `min`, with a hash that is valid in its context only.
    Min,
    /// `min`, and no hash at all.
    NoHash,
    /// Not attached.
    Nothing,
}

/// Ids that something refers to.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    users: BTreeSet<i64>,
    groups: BTreeSet<i64>,
    channels: BTreeSet<i64>,
}

impl Peers {
    pub(crate) fn peer(&mut self, peer: &tl::enums::Peer) {
        match peer {
            tl::enums::Peer::User(peer) => self.users.insert(peer.user_id),
            tl::enums::Peer::Chat(peer) => self.groups.insert(peer.chat_id),
            tl::enums::Peer::Channel(peer) => self.channels.insert(peer.channel_id),
        };
    }

    pub(crate) fn user(&mut self, id: i64) {
        self.users.insert(id);
    }

    pub(crate) fn message(&mut self, message: &tl::enums::Message) {
        peer_of(message)
            .into_iter()
            .for_each(|peer| self.peer(peer));
        let (from, reply) = match message {
            tl::enums::Message::Message(message) => {
                self.users.extend(message.via_bot_id);
                if let Some(tl::enums::MessageFwdHeader::Header(header)) = &message.fwd_from {
                    header.from_id.iter().for_each(|peer| self.peer(peer));
                }
                (&message.from_id, &message.reply_to)
            }
            tl::enums::Message::Service(message) => {
                self.action(&message.action);
                (&message.from_id, &message.reply_to)
            }
            tl::enums::Message::Empty(_) => return,
        };
        from.iter().for_each(|peer| self.peer(peer));
        if let Some(tl::enums::MessageReplyHeader::Header(header)) = reply {
            header
                .reply_to_peer_id
                .iter()
                .for_each(|peer| self.peer(peer));
        }
    }

    fn action(&mut self, action: &tl::enums::MessageAction) {
        match action {
            tl::enums::MessageAction::ChatMigrateTo(it) => self.channels.insert(it.channel_id),
            tl::enums::MessageAction::ChannelMigrateFrom(it) => self.groups.insert(it.chat_id),
            _ => false,
        };
    }

    pub(crate) fn update(&mut self, update: &tl::enums::Update) {
        use tl::enums::Update as U;
        match update {
            U::NewMessage(update) => self.message(&update.message),
            U::EditMessage(update) => self.message(&update.message),
            U::NewChannelMessage(update) => self.message(&update.message),
            U::EditChannelMessage(update) => self.message(&update.message),
            U::PinnedMessages(update) => self.peer(&update.peer),
            U::MessageReactions(update) => self.peer(&update.peer),
            U::MessagePoll(update) => update.peer.iter().for_each(|peer| self.peer(peer)),
            U::ReadHistoryInbox(update) => self.peer(&update.peer),
            U::ReadHistoryOutbox(update) => self.peer(&update.peer),
            U::UserName(update) => self.user(update.user_id),
            U::Channel(tl::types::UpdateChannel { channel_id })
            | U::ChannelTooLong(tl::types::UpdateChannelTooLong { channel_id, .. })
            | U::DeleteChannelMessages(tl::types::UpdateDeleteChannelMessages {
                channel_id, ..
            })
            | U::PinnedChannelMessages(tl::types::UpdatePinnedChannelMessages {
                channel_id, ..
            })
            | U::ChannelWebPage(tl::types::UpdateChannelWebPage { channel_id, .. })
            | U::ChannelMessageViews(tl::types::UpdateChannelMessageViews { channel_id, .. })
            | U::ChannelMessageForwards(tl::types::UpdateChannelMessageForwards {
                channel_id,
                ..
            })
            | U::ReadChannelInbox(tl::types::UpdateReadChannelInbox { channel_id, .. }) => {
                self.channels.insert(*channel_id);
            }
            _ => {}
        }
    }
}

impl World {
    /// Users and chats as they are attached to updates for an account.
    pub(crate) fn attached(
        &self,
        account: usize,
        peers: &Peers,
    ) -> (Vec<tl::enums::User>, Vec<tl::enums::Chat>) {
        self.dressed(account, peers, |own| own.unwrap_or(self.outbox.attach))
    }

    /// Users and chats in full, as in lists and where a name is resolved.
    pub(crate) fn in_full(
        &self,
        account: usize,
        peers: &Peers,
    ) -> (Vec<tl::enums::User>, Vec<tl::enums::Chat>) {
        self.dressed(account, peers, |_| Attach::Full)
    }

    fn dressed(
        &self,
        account: usize,
        peers: &Peers,
        how: impl Fn(Option<Attach>) -> Attach,
    ) -> (Vec<tl::enums::User>, Vec<tl::enums::Chat>) {
        let users = peers
            .users
            .iter()
            .filter_map(|id| self.user_for(account, *id));
        let groups = peers.groups.iter();
        let groups = groups.filter_map(|id| self.group_for(account, *id));
        let channels = peers.channels.iter().filter_map(|id| self.channels.get(id));
        let channels = channels.filter_map(|channel| match how(channel.attach) {
            Attach::Nothing => None,
            attach => Some(channel.as_chat(account, attach)),
        });
        (users.collect(), groups.chain(channels).collect())
    }

    /// A basic group as an account sees it.
    pub(crate) fn group_for(&self, account: usize, id: i64) -> Option<tl::enums::Chat> {
        let group = self.groups.get(&id)?;
        let mut chat = group.inner.clone();
        if let Some(channel) = group.moved_to.and_then(|id| self.channels.get(&id)) {
            let supergroup = tl::types::InputChannel {
                channel_id: channel.inner.id,
                access_hash: channel.hash_for(account),
            };
            (chat.deactivated, chat.migrated_to) = (true, Some(supergroup.into()));
        }
        Some(chat.into())
    }

    /// A user as an account sees it.
    pub(crate) fn user_for(&self, account: usize, id: i64) -> Option<tl::enums::User> {
        let mut user = self.users.get(&id)?.clone();
        user.is_self = self
            .accounts
            .get(account)
            .is_some_and(|account| account.user_id == id);
        Some(user.into())
    }
}
