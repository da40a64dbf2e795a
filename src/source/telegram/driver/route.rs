//! Pushed updates find their box.

use std::time::Instant;

use grammers_tl_types as tl;
use tl::enums::Update as U;

use super::Driver;
use super::account::Turn;
use super::intake::Packet;
use super::page::Draft;
use super::position::BoxName;
use super::sequence::{self, Place, Sequence, Span};
use super::track::{Early, Offered};

impl Driver {
    /// Takes the updates of one packet. Whatever its number says, updates with numbers of their own go by those.
    pub(super) fn packet(&mut self, packet: Packet, now: Instant, draft: &mut Draft) {
        let Packet {
            mut updates,
            users,
            chats,
            seq,
        } = packet;
        draft.touched.insert(BoxName::Common);
        let turn = self.account.turn(seq.0, seq.1);
        if turn == Turn::Ahead {
            self.account.ask(now);
        }
        self.meet(users, chats, now, draft);
        sequence::sort(&mut updates);
        for update in updates {
            // An old packet's counters are old.
            let is_stale = turn == Turn::Repeated && sequence::place(&update) == Place::Free;
            if !is_stale {
                self.take(update, now, draft);
            }
        }
    }

    /// Takes the peers that came with updates. A channel that could not be named can be named now.
    pub(super) fn meet(
        &mut self,
        users: Vec<tl::enums::User>,
        chats: Vec<tl::enums::Chat>,
        now: Instant,
        draft: &mut Draft,
    ) {
        for chat in &chats {
            if let tl::enums::Chat::Channel(seen) = chat
                && !seen.min
                && seen.access_hash.is_some()
                && let Some(channel) = self.channels.get_mut(&seen.id)
                && channel.unknown
            {
                channel.unknown = false;
                channel.pace.retry();
                channel.ask(now);
                draft.touched.insert(BoxName::Channel(seen.id));
            }
        }
        draft.page.users.extend(users);
        draft.page.chats.extend(chats);
    }

    /// Takes one update that has to find its place.
    pub(super) fn take(&mut self, update: U, now: Instant, draft: &mut Draft) {
        match &update {
            U::ChannelTooLong(news) => {
                return self.too_long(news.channel_id, news.pts, now, draft);
            }
            U::PtsChanged => self.account.ask(now),
            // Nothing but a hint that something about the channel is new: perhaps it may be read again.
            U::Channel(hint) => {
                if let Some(channel) = self.channels.get_mut(&hint.channel_id)
                    && channel.no_access
                {
                    channel.ask(now);
                    self.list(hint.channel_id);
                }
            }
            _ => {}
        }
        match sequence::place(&update) {
            Place::Free => draft.see(update, None),
            Place::Nonsense(sequence) => {
                draft.see(update, None);
                match sequence {
                    Sequence::Channel(id) => self.ask(id, now),
                    Sequence::Common | Sequence::Secondary => self.account.ask(now),
                }
            }
            Place::At(Sequence::Channel(id), span) => {
                self.channel_update(id, span, update, now, draft);
            }
            Place::At(sequence, span) => self.account_update(sequence, span, update, now, draft),
        }
    }

    fn account_update(
        &mut self,
        sequence: Sequence,
        span: Span,
        update: U,
        now: Instant,
        draft: &mut Draft,
    ) {
        draft.touched.insert(BoxName::Common);
        let account = &mut self.account;
        let early = match account.pace.early(now) {
            // The first position is the server's to tell.
            Early::Wait if account.is_unknown() => Early::Answer,
            early => early,
        };
        let track = match sequence {
            Sequence::Secondary => &mut account.qts,
            _ => &mut account.pts,
        };
        let offered = track.offer(span, update, early, now, &mut draft.page.updates);
        if offered == Offered::FarBehind {
            account.pace.suspect(now, &mut account.asked);
        }
    }

    fn channel_update(&mut self, id: i64, span: Span, update: U, now: Instant, draft: &mut Draft) {
        draft.touched.insert(BoxName::Channel(id));
        let channel = self.channel(id);
        if channel.no_access {
            channel.ask(now);
        }
        let was_known = channel.track.at().is_some();
        let early = channel.pace.early(now);
        let offered = channel
            .track
            .offer(span, update, early, now, &mut draft.page.updates);
        if offered == Offered::FarBehind {
            channel.pace.suspect(now, &mut channel.asked);
        }
        if !was_known && channel.track.at().is_some() {
            draft.page.first.push(id);
        }
    }

    /// `updateChannelTooLong`: there is more than is pushed. Its pts is where the channel is now, and a position only
    /// for a channel that has none.
    fn too_long(&mut self, id: i64, pts: Option<i32>, now: Instant, draft: &mut Draft) {
        draft.touched.insert(BoxName::Channel(id));
        let channel = self.channel(id);
        match (channel.track.at(), pts.filter(|pts| *pts > 0)) {
            (Some(at), Some(pts)) if pts <= at && !channel.no_access => {
                if Offered::of_old(pts, at) == Offered::FarBehind {
                    channel.pace.suspect(now, &mut channel.asked);
                }
            }
            (None, Some(pts)) => self.first_position(id, pts, draft),
            _ => channel.ask(now),
        }
    }
}
