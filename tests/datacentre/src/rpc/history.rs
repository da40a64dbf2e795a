//! Messages by page and by id.

use grammers_tl_types as tl;
use tl::Identifiable;
use tl::functions as f;

use super::{Answer, Call, run};
use crate::world::{Mailbox, Peers};

pub(super) fn answer(call: &mut Call<'_>, id: u32, body: &[u8]) -> Option<Answer<Vec<u8>>> {
    Some(match id {
        f::messages::GetHistory::CONSTRUCTOR_ID => run(call, body, get_history),
        f::messages::GetMessages::CONSTRUCTOR_ID => run(call, body, get_messages),
        f::channels::GetMessages::CONSTRUCTOR_ID => run(call, body, get_channel_messages),
        f::messages::GetMessagesViews::CONSTRUCTOR_ID => run(call, body, get_views),
        _ => return None,
    })
}

/// Which part of a history is asked for, in Telegram's terms: newest first, and offsets that count from a message.
pub(super) struct Window {
    pub(super) offset_id: i32,
    pub(super) offset_date: i32,
    pub(super) add_offset: i32,
    pub(super) limit: usize,
    pub(super) max_id: i32,
    pub(super) min_id: i32,
}

impl Window {
    /// The messages in the window, of those that are given newest first.
    pub(super) fn cut(&self, newest_first: &[&tl::enums::Message]) -> Vec<tl::enums::Message> {
        let is_before = |message: &tl::enums::Message| {
            (self.offset_id <= 0 || message.id() < self.offset_id)
                && (self.offset_date <= 0 || date_of(message) < self.offset_date)
        };
        let start = newest_first
            .iter()
            .position(|message| is_before(message))
            .unwrap_or(newest_first.len());
        let start = i64::try_from(start).unwrap_or(i64::MAX) + i64::from(self.add_offset);
        // A window that begins before the newest message loses what is not there.
        let missing = usize::try_from(-start).unwrap_or(0);
        let start = usize::try_from(start).unwrap_or(0);
        let window = newest_first
            .iter()
            .skip(start)
            .take(self.limit.saturating_sub(missing));
        window
            .filter(|message| self.max_id <= 0 || message.id() < self.max_id)
            .filter(|message| self.min_id <= 0 || message.id() > self.min_id)
            .map(|message| (*message).clone())
            .collect()
    }
}

pub(super) fn date_of(message: &tl::enums::Message) -> i32 {
    match message {
        tl::enums::Message::Message(message) => message.date,
        tl::enums::Message::Service(message) => message.date,
        tl::enums::Message::Empty(_) => 0,
    }
}

fn get_history(
    call: &mut Call<'_>,
    request: f::messages::GetHistory,
) -> Answer<tl::enums::messages::Messages> {
    let account = call.account()?;
    let peer = call.peer(&request.peer)?;
    let all = call.history(account, &peer);
    let (count, page) = (
        i32::try_from(all.len()).unwrap_or(i32::MAX),
        call.world.options.limits.page,
    );
    let window = Window {
        offset_id: request.offset_id,
        offset_date: request.offset_date,
        add_offset: request.add_offset,
        limit: usize::try_from(request.limit).unwrap_or(0).min(page),
        max_id: request.max_id,
        min_id: request.min_id,
    };
    let messages = window.cut(&all);
    Ok(match peer {
        tl::enums::Peer::Channel(peer) => {
            in_channel(call, account, peer.channel_id, messages, count)
        }
        _ => out_of_channels(call, account, messages, count),
    })
}

fn in_channel(
    call: &Call<'_>,
    account: usize,
    id: i64,
    messages: Vec<tl::enums::Message>,
    count: i32,
) -> tl::enums::messages::Messages {
    let messages = call.world.refreshed(messages);
    let mut peers = Peers::default();
    peers.peer(&crate::content::channel_peer(id));
    messages.iter().for_each(|message| peers.message(message));
    let (users, chats) = call.world.in_full(account, &peers);
    tl::types::messages::ChannelMessages {
        inexact: false,
        pts: call.world.channels[&id].mailbox.pts,
        count,
        offset_id_offset: None,
        messages,
        topics: Vec::new(),
        chats,
        users,
    }
    .into()
}

fn out_of_channels(
    call: &Call<'_>,
    account: usize,
    messages: Vec<tl::enums::Message>,
    count: i32,
) -> tl::enums::messages::Messages {
    let messages = call.world.refreshed(messages);
    let mut peers = Peers::default();
    messages.iter().for_each(|message| peers.message(message));
    let (users, chats) = call.world.in_full(account, &peers);
    if messages.len() == usize::try_from(count).unwrap_or(0) {
        return tl::types::messages::Messages {
            messages,
            topics: Vec::new(),
            chats,
            users,
        }
        .into();
    }
    tl::types::messages::MessagesSlice {
        inexact: false,
        count,
        next_rate: None,
        offset_id_offset: None,
        search_flood: None,
        messages,
        topics: Vec::new(),
        chats,
        users,
    }
    .into()
}

/// A message for every id that is asked for; those that are gone are empty.
fn by_ids(
    mailbox: &Mailbox,
    ids: &[tl::enums::InputMessage],
    peer: Option<&tl::enums::Peer>,
) -> Vec<tl::enums::Message> {
    let ids = ids.iter().filter_map(|id| match id {
        tl::enums::InputMessage::Id(id) => Some(id.id),
        tl::enums::InputMessage::ReplyTo(id) => Some(id.id),
        _ => None,
    });
    let found = ids.map(|id| {
        let gone = || {
            tl::types::MessageEmpty {
                id,
                peer_id: peer.cloned(),
            }
            .into()
        };
        mailbox.messages.get(&id).cloned().unwrap_or_else(gone)
    });
    found.collect()
}

fn get_messages(
    call: &mut Call<'_>,
    request: f::messages::GetMessages,
) -> Answer<tl::enums::messages::Messages> {
    let account = call.account()?;
    let messages = by_ids(&call.world.accounts[account].mailbox, &request.id, None);
    let count = i32::try_from(messages.len()).unwrap_or(i32::MAX);
    Ok(out_of_channels(call, account, messages, count))
}

fn get_channel_messages(
    call: &mut Call<'_>,
    request: f::channels::GetMessages,
) -> Answer<tl::enums::messages::Messages> {
    let account = call.account()?;
    let id = call.channel(&request.channel)?;
    let peer = crate::content::channel_peer(id);
    let channel = &call.world.channels[&id];
    let mut messages = by_ids(&channel.mailbox, &request.id, Some(&peer));
    if request.id.contains(&tl::enums::InputMessage::Pinned) {
        let pinned = channel
            .pinned
            .and_then(|id| channel.mailbox.messages.get(&id));
        messages.extend(pinned.cloned());
    }
    let count = i32::try_from(messages.len()).unwrap_or(i32::MAX);
    Ok(in_channel(call, account, id, messages, count))
}

fn get_views(
    call: &mut Call<'_>,
    request: f::messages::GetMessagesViews,
) -> Answer<tl::enums::messages::MessageViews> {
    let account = call.account()?;
    let peer = call.peer(&request.peer)?;
    let history = call.history(account, &peer);
    let views = request.id.iter().map(|id| {
        let message = history.iter().find(|message| message.id() == *id);
        let counters = match message {
            Some(tl::enums::Message::Message(message)) => (message.views, message.forwards),
            _ => (None, None),
        };
        tl::types::MessageViews {
            views: counters.0,
            forwards: counters.1,
            replies: None,
        }
        .into()
    });
    Ok(tl::types::messages::MessageViews {
        views: views.collect(),
        chats: Vec::new(),
        users: Vec::new(),
    }
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Draft, channel_peer};

    const NEWEST: i32 = 10;

    fn cut(window: Window) -> Vec<i32> {
        let messages = (1..=NEWEST).rev();
        let messages = messages.map(|id| Draft::from("text").placed(id, channel_peer(1), 100 + id));
        let messages: Vec<_> = messages.collect();
        window
            .cut(&messages.iter().collect::<Vec<_>>())
            .iter()
            .map(tl::enums::Message::id)
            .collect()
    }

    fn window(offset_id: i32, add_offset: i32, limit: usize) -> Window {
        Window {
            offset_id,
            offset_date: 0,
            add_offset,
            limit,
            max_id: 0,
            min_id: 0,
        }
    }

    #[test]
    fn windows_count_from_the_offset_as_telegram_does() {
        assert_eq!(cut(window(0, 0, 3)), [10, 9, 8]);
        assert_eq!(cut(window(8, 0, 3)), [7, 6, 5]);
        // Backwards through history, as iterating from the oldest asks for it.
        assert_eq!(cut(window(1, -3, 3)), [3, 2, 1]);
        assert_eq!(cut(window(4, -3, 3)), [6, 5, 4]);
        // Past the newest message: the part that is there.
        assert_eq!(cut(window(10, -3, 3)), [10]);
        assert_eq!(cut(window(11, -3, 3)), [0; 0]);
        let bounded = Window {
            min_id: 3,
            max_id: 6,
            ..window(0, 0, 9)
        };
        assert_eq!(cut(bounded), [5, 4]);
        let dated = Window {
            offset_date: 105,
            ..window(0, 0, 2)
        };
        assert_eq!(cut(dated), [4, 3]);
    }
}
