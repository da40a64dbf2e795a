//! How updates leave the data centre: at once, together, late, twice, or not at all.

use grammers_tl_types as tl;
use tl::{Identifiable, Serializable};

use super::{Attach, Peers, World};
use crate::wire::message::Outgoing;

/// What happens to updates that are pushed from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Sent at once.
    #[default]
    Live,
    /// Never sent; only a difference tells of them.
    Withheld,
    /// Sent, and sent again.
    Twice,
    /// Kept until they are released.
    Held,
}

/// The order in which held updates are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    AsMade,
    /// Newest first.
    Reversed,
}

/// The constructor that updates are wrapped in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// `updates` with seq 0: not ordered against others.
    #[default]
    Updates,
    /// `updateShort`, or `updateShortMessage` and `updateShortChatMessage` for plain text, where there is one update.
    /// Nothing is attached.
    Short,
    /// `updates` with the next seq of the account.
    Sequenced,
    /// `updatesCombined` that takes two seqs of the account.
    Combined,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) delivery: Delivery,
    pub(crate) style: Style,
    pub(crate) attach: Attach,
    /// Updates of one moment, gathered to be sent in one container; none when each goes alone.
    together: Option<Vec<(usize, tl::enums::Update)>>,
    held: Vec<(usize, Vec<tl::enums::Update>)>,
}

/// Has no fields, so its constructor alone stands for it and can be exchanged for one that nobody knows.
pub(crate) const GARBLED: u32 = 0x0bad_c0de;

impl World {
    pub(crate) fn publish(&mut self, account: usize, update: tl::enums::Update) {
        match &mut self.outbox.together {
            Some(together) => together.push((account, update)),
            None => self.deliver(account, vec![update]),
        }
    }

    /// Gathers what is published from here to [`World::end_together`].
    pub(crate) fn begin_together(&mut self) {
        self.outbox.together.get_or_insert_default();
    }

    pub(crate) fn end_together(&mut self) {
        let gathered = self.outbox.together.take().unwrap_or_default();
        for account in 0..self.accounts.len() {
            let own = gathered.iter().filter(|(to, _)| *to == account);
            let own: Vec<_> = own.map(|(_, update)| update.clone()).collect();
            if !own.is_empty() {
                self.deliver(account, own);
            }
        }
    }

    pub(crate) fn release(&mut self, order: Order) {
        let mut held = std::mem::take(&mut self.outbox.held);
        if order == Order::Reversed {
            held.reverse();
        }
        for (account, updates) in held {
            self.send_updates(account, updates);
        }
    }

    fn deliver(&mut self, account: usize, updates: Vec<tl::enums::Update>) {
        match self.outbox.delivery {
            Delivery::Live => self.send_updates(account, updates),
            Delivery::Withheld => self.wrapped(account, updates).map_or((), drop),
            Delivery::Held => self.outbox.held.push((account, updates)),
            Delivery::Twice => {
                if let Some(container) = self.wrapped(account, updates) {
                    let bytes = container.to_bytes();
                    self.send_to_account(account, bytes.clone());
                    self.send_to_account(account, bytes);
                }
            }
        }
    }

    fn send_updates(&mut self, account: usize, updates: Vec<tl::enums::Update>) {
        if let Some(container) = self.wrapped(account, updates) {
            self.send_to_account(account, container.to_bytes());
        }
    }

    /// Sends updates in a container among which is one that no client can read.
    pub(crate) fn send_garbled(&mut self, account: usize, mut updates: Vec<tl::enums::Update>) {
        updates.push(tl::enums::Update::PtsChanged);
        if let Some(container) = self.wrapped(account, updates) {
            self.send_to_account(account, garbled(container.to_bytes()));
        }
    }

    /// To every session of an account that has introduced itself.
    pub(crate) fn send_to_account(&self, account: usize, body: Vec<u8>) {
        let keys = &self.keys;
        let of_account = |key| keys.get(&key).and_then(|state| state.account) == Some(account);
        let home = self.options.dc_id;
        for link in self.links.values() {
            if link.is_ready && link.dc_id == home && link.key.is_some_and(of_account) {
                link.send(Outgoing::news(body.clone()));
            }
        }
    }

    /// None when there is nothing to say. A seq is used up even by a container that is withheld.
    fn wrapped(
        &mut self,
        account: usize,
        mut updates: Vec<tl::enums::Update>,
    ) -> Option<tl::enums::Updates> {
        let date = self.date();
        self.files.refresh_updates(&mut updates);
        if self.outbox.style == Style::Short && updates.len() == 1 {
            return Some(short(updates.pop()?, date));
        }
        let mut peers = Peers::default();
        updates.iter().for_each(|update| peers.update(update));
        let (users, chats) = self.attached(account, &peers);
        let seq = &mut self.accounts.get_mut(account)?.seq;
        let wrap = |seq| tl::types::Updates {
            updates,
            users,
            chats,
            date,
            seq,
        };
        Some(match self.outbox.style {
            Style::Updates | Style::Short => wrap(0).into(),
            Style::Sequenced => {
                *seq += 1;
                wrap(*seq).into()
            }
            Style::Combined => {
                *seq += 2;
                let inner = wrap(*seq);
                tl::types::UpdatesCombined {
                    updates: inner.updates,
                    users: inner.users,
                    chats: inner.chats,
                    date,
                    seq_start: *seq - 1,
                    seq: *seq,
                }
                .into()
            }
        })
    }
}

/// Puts a constructor that nobody knows in place of the marker.
pub(crate) fn garbled(mut bytes: Vec<u8>) -> Vec<u8> {
    let marker = tl::types::UpdatePtsChanged::CONSTRUCTOR_ID.to_le_bytes();
    let at = bytes.chunks_exact(4).rposition(|word| word == marker);
    if let Some(at) = at {
        bytes[at * 4..at * 4 + 4].copy_from_slice(&GARBLED.to_le_bytes());
    }
    bytes
}

fn short(update: tl::enums::Update, date: i32) -> tl::enums::Updates {
    match &update {
        tl::enums::Update::NewMessage(new) => short_message(new),
        _ => None,
    }
    .unwrap_or_else(|| tl::types::UpdateShort { update, date }.into())
}

/// The short form of a message that is nothing but text.
fn short_message(new: &tl::types::UpdateNewMessage) -> Option<tl::enums::Updates> {
    let tl::enums::Message::Message(message) = &new.message else {
        return None;
    };
    if message.media.is_some() || message.reply_markup.is_some() || message.grouped_id.is_some() {
        return None;
    }
    let message = message.clone();
    Some(match message.peer_id {
        tl::enums::Peer::User(peer) => tl::types::UpdateShortMessage {
            out: message.out,
            mentioned: message.mentioned,
            media_unread: message.media_unread,
            silent: message.silent,
            id: message.id,
            user_id: peer.user_id,
            message: message.message,
            pts: new.pts,
            pts_count: new.pts_count,
            date: message.date,
            fwd_from: message.fwd_from,
            via_bot_id: message.via_bot_id,
            reply_to: message.reply_to,
            entities: message.entities,
            ttl_period: message.ttl_period,
        }
        .into(),
        tl::enums::Peer::Chat(peer) => {
            let Some(tl::enums::Peer::User(from)) = message.from_id else {
                return None;
            };
            tl::types::UpdateShortChatMessage {
                out: message.out,
                mentioned: message.mentioned,
                media_unread: message.media_unread,
                silent: message.silent,
                id: message.id,
                from_id: from.user_id,
                chat_id: peer.chat_id,
                message: message.message,
                pts: new.pts,
                pts_count: new.pts_count,
                date: message.date,
                fwd_from: message.fwd_from,
                via_bot_id: message.via_bot_id,
                reply_to: message.reply_to,
                entities: message.entities,
                ttl_period: message.ttl_period,
            }
            .into()
        }
        tl::enums::Peer::Channel(_) => return None,
    })
}
