//! The list of dialogs, and single ones of it.

use grammers_tl_types as tl;
use tl::Identifiable;
use tl::functions as f;

use super::history::date_of;
use super::{Answer, Call, run};
use crate::content::{blank_dialog, channel_peer, group_peer, user_peer};
use crate::world::Peers;

pub(super) fn answer(call: &mut Call<'_>, id: u32, body: &[u8]) -> Option<Answer<Vec<u8>>> {
    Some(match id {
        f::messages::GetDialogs::CONSTRUCTOR_ID => run(call, body, get_dialogs),
        f::messages::GetPeerDialogs::CONSTRUCTOR_ID => run(call, body, get_peer_dialogs),
        f::messages::GetPinnedDialogs::CONSTRUCTOR_ID => run(call, body, get_pinned_dialogs),
        _ => return None,
    })
}

struct Listed {
    peer: tl::enums::Peer,
    top: Option<tl::enums::Message>,
}

impl Listed {
    /// Newest first, and never two at the same place.
    fn place(&self) -> (i32, i32, i64) {
        let top = self.top.as_ref();
        (
            top.map_or(0, date_of),
            top.map_or(0, tl::enums::Message::id),
            bare_id(&self.peer),
        )
    }
}

fn bare_id(peer: &tl::enums::Peer) -> i64 {
    match peer {
        tl::enums::Peer::User(peer) => peer.user_id,
        tl::enums::Peer::Chat(peer) => peer.chat_id,
        tl::enums::Peer::Channel(peer) => peer.channel_id,
    }
}

fn listed(call: &Call<'_>, account: usize, peer: tl::enums::Peer) -> Listed {
    let top = match &peer {
        tl::enums::Peer::Channel(peer) => {
            let messages = &call.world.channels[&peer.channel_id].mailbox.messages;
            messages.values().next_back().cloned()
        }
        peer => call.history(account, peer).into_iter().next().cloned(),
    };
    Listed { peer, top }
}

fn everything(call: &Call<'_>, account: usize) -> Vec<Listed> {
    let world = &*call.world;
    let channels = world
        .channels
        .iter()
        .filter(|(_, channel)| channel.is_member(account));
    let channels = channels.map(|(id, _)| channel_peer(*id));
    let groups = world
        .groups
        .iter()
        .filter(|(_, group)| group.members.contains(&account));
    let groups = groups.map(|(id, _)| group_peer(*id));
    let users = world.accounts[account]
        .correspondents
        .iter()
        .map(|id| user_peer(*id));
    let peers = channels.chain(groups).chain(users);
    let mut all: Vec<_> = peers.map(|peer| listed(call, account, peer)).collect();
    all.sort_by_key(|listed| std::cmp::Reverse(listed.place()));
    all
}

fn get_dialogs(
    call: &mut Call<'_>,
    request: f::messages::GetDialogs,
) -> Answer<tl::enums::messages::Dialogs> {
    let account = call.account()?;
    let all = everything(call, account);
    let count = all.len();
    let offset_peer = match &request.offset_peer {
        tl::enums::InputPeer::Empty => 0,
        peer => call.peer(peer).map(|peer| bare_id(&peer))?,
    };
    let after = (request.offset_date, request.offset_id, offset_peer);
    let limit = usize::try_from(request.limit).unwrap_or(0);
    let limit = limit.min(call.world.options.limits.page);
    let rest = all
        .into_iter()
        .filter(|listed| after == (0, 0, 0) || listed.place() < after);
    let page: Vec<_> = rest.take(limit).collect();
    let is_whole = page.len() == count;
    let (dialogs, messages, users, chats) = as_dialogs(call, account, page);
    Ok(if is_whole {
        tl::types::messages::Dialogs {
            dialogs,
            messages,
            chats,
            users,
        }
        .into()
    } else {
        tl::types::messages::DialogsSlice {
            count: i32::try_from(count).unwrap_or(i32::MAX),
            dialogs,
            messages,
            chats,
            users,
        }
        .into()
    })
}

type Dialogs = (
    Vec<tl::enums::Dialog>,
    Vec<tl::enums::Message>,
    Vec<tl::enums::User>,
    Vec<tl::enums::Chat>,
);

fn as_dialogs(call: &Call<'_>, account: usize, page: Vec<Listed>) -> Dialogs {
    let mut peers = Peers::default();
    let mut dialogs = Vec::new();
    let mut messages = Vec::new();
    for Listed { peer, top } in page {
        let mut dialog = blank_dialog(&peer);
        dialog.top_message = top.as_ref().map_or(0, tl::enums::Message::id);
        if let tl::enums::Peer::Channel(peer) = &peer {
            dialog.pts = Some(call.world.channels[&peer.channel_id].mailbox.pts);
        }
        peers.peer(&peer);
        top.iter().for_each(|message| peers.message(message));
        dialogs.push(dialog.into());
        messages.extend(top);
    }
    let (users, chats) = call.world.in_full(account, &peers);
    (dialogs, call.world.refreshed(messages), users, chats)
}

fn get_peer_dialogs(
    call: &mut Call<'_>,
    request: f::messages::GetPeerDialogs,
) -> Answer<tl::enums::messages::PeerDialogs> {
    let account = call.account()?;
    let inputs = request.peers.iter().filter_map(|peer| match peer {
        tl::enums::InputDialogPeer::Peer(peer) => Some(&peer.peer),
        _ => None,
    });
    let peers = inputs
        .map(|input| call.peer(input))
        .collect::<Answer<Vec<_>>>()?;
    let page = peers
        .into_iter()
        .map(|peer| listed(call, account, peer))
        .collect();
    Ok(peer_dialogs(call, account, page))
}

fn get_pinned_dialogs(
    call: &mut Call<'_>,
    _: f::messages::GetPinnedDialogs,
) -> Answer<tl::enums::messages::PeerDialogs> {
    let account = call.account()?;
    Ok(peer_dialogs(call, account, Vec::new()))
}

fn peer_dialogs(
    call: &Call<'_>,
    account: usize,
    page: Vec<Listed>,
) -> tl::enums::messages::PeerDialogs {
    let (dialogs, messages, users, chats) = as_dialogs(call, account, page);
    let state = call.world.accounts[account].state(call.world.date());
    tl::types::messages::PeerDialogs {
        dialogs,
        messages,
        chats,
        users,
        state: state.into(),
    }
    .into()
}
