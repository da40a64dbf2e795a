//! Channels, groups and users: which one is meant, and what is known of it.

use grammers_tl_types as tl;
use tl::Identifiable;
use tl::functions as f;

use super::{Answer, Call, run};
use crate::content::{
    blank_full_channel, blank_full_chat, blank_full_user, channel_peer, group_peer, peer_of,
    user_peer,
};
use crate::faults::RpcError;
use crate::world::{Attach, Peers, user_hash};

pub(super) fn answer(call: &mut Call<'_>, id: u32, body: &[u8]) -> Option<Answer<Vec<u8>>> {
    Some(match id {
        f::users::GetUsers::CONSTRUCTOR_ID => run(call, body, get_users),
        f::users::GetFullUser::CONSTRUCTOR_ID => run(call, body, get_full_user),
        f::channels::GetChannels::CONSTRUCTOR_ID => run(call, body, get_channels),
        f::channels::GetFullChannel::CONSTRUCTOR_ID => run(call, body, get_full_channel),
        f::messages::GetChats::CONSTRUCTOR_ID => run(call, body, get_chats),
        f::messages::GetFullChat::CONSTRUCTOR_ID => run(call, body, get_full_chat),
        f::contacts::ResolveUsername::CONSTRUCTOR_ID => run(call, body, resolve_username),
        _ => return None,
    })
}

impl Call<'_> {
    /// The channel that is meant, if the account may see it and shows the right hash.
    pub(super) fn channel(&self, input: &tl::enums::InputChannel) -> Answer<i64> {
        let account = self.account()?;
        let tl::enums::InputChannel::Channel(input) = input else {
            return Err(RpcError::bad_request("CHANNEL_INVALID"));
        };
        self.channel_by_hash(account, input.channel_id, input.access_hash)
    }

    fn channel_by_hash(&self, account: usize, id: i64, hash: i64) -> Answer<i64> {
        match self.world.channels.get(&id) {
            Some(channel) if channel.hash_for(account) == hash => {
                match channel.forbidden.contains(&account) {
                    true => Err(RpcError::bad_request("CHANNEL_PRIVATE")),
                    false => Ok(id),
                }
            }
            _ => Err(RpcError::bad_request("CHANNEL_INVALID")),
        }
    }

    /// The peer that is meant, with the same care.
    pub(super) fn peer(&self, input: &tl::enums::InputPeer) -> Answer<tl::enums::Peer> {
        let account = self.account()?;
        match input {
            tl::enums::InputPeer::PeerSelf => Ok(user_peer(self.world.accounts[account].user_id)),
            tl::enums::InputPeer::Channel(input) => self
                .channel_by_hash(account, input.channel_id, input.access_hash)
                .map(channel_peer),
            tl::enums::InputPeer::User(input) if user_hash(input.user_id) == input.access_hash => {
                Ok(user_peer(input.user_id))
            }
            tl::enums::InputPeer::Chat(input) if self.world.groups.contains_key(&input.chat_id) => {
                Ok(group_peer(input.chat_id))
            }
            _ => Err(RpcError::bad_request("PEER_ID_INVALID")),
        }
    }

    /// All messages of a peer, newest first.
    pub(super) fn history(
        &self,
        account: usize,
        peer: &tl::enums::Peer,
    ) -> Vec<&tl::enums::Message> {
        match peer {
            tl::enums::Peer::Channel(peer) => {
                let mailbox = &self.world.channels[&peer.channel_id].mailbox;
                mailbox.messages.values().rev().collect()
            }
            peer => {
                let messages = self.world.accounts[account].mailbox.messages.values().rev();
                messages
                    .filter(|message| peer_of(message) == Some(peer))
                    .collect()
            }
        }
    }

    fn user(&self, account: usize, input: &tl::enums::InputUser) -> Option<i64> {
        match input {
            tl::enums::InputUser::UserSelf => Some(self.world.accounts[account].user_id),
            tl::enums::InputUser::User(input) if user_hash(input.user_id) == input.access_hash => {
                Some(input.user_id)
            }
            _ => None,
        }
    }
}

fn get_users(call: &mut Call<'_>, request: f::users::GetUsers) -> Answer<Vec<tl::enums::User>> {
    let account = call.account()?;
    let ids = request
        .id
        .iter()
        .filter_map(|input| call.user(account, input));
    Ok(ids
        .filter_map(|id| call.world.user_for(account, id))
        .collect())
}

fn get_full_user(
    call: &mut Call<'_>,
    request: f::users::GetFullUser,
) -> Answer<tl::enums::users::UserFull> {
    let account = call.account()?;
    let id = call.user(account, &request.id);
    let user = id.and_then(|id| call.world.user_for(account, id));
    let user = user.ok_or_else(|| RpcError::bad_request("USER_ID_INVALID"))?;
    Ok(tl::types::users::UserFull {
        full_user: blank_full_user(user.id()).into(),
        chats: Vec::new(),
        users: vec![user],
    }
    .into())
}

fn get_channels(
    call: &mut Call<'_>,
    request: f::channels::GetChannels,
) -> Answer<tl::enums::messages::Chats> {
    let account = call.account()?;
    let ids = request.id.iter().map(|input| call.channel(input));
    let ids = ids.collect::<Answer<Vec<_>>>()?;
    let chats = ids
        .iter()
        .map(|id| call.world.channels[id].as_chat(account, Attach::Full));
    Ok(tl::types::messages::Chats {
        chats: chats.collect(),
    }
    .into())
}

fn get_full_channel(
    call: &mut Call<'_>,
    request: f::channels::GetFullChannel,
) -> Answer<tl::enums::messages::ChatFull> {
    let account = call.account()?;
    let id = call.channel(&request.channel)?;
    let channel = &call.world.channels[&id];
    let mut full = blank_full_channel(id);
    full.about = channel.about.clone();
    full.pts = channel.mailbox.pts;
    full.linked_chat_id = channel.linked_chat;
    full.pinned_msg_id = channel.pinned;
    full.participants_count = channel.inner.participants_count;
    let mut peers = Peers::default();
    peers.peer(&channel_peer(id));
    channel
        .linked_chat
        .iter()
        .for_each(|id| peers.peer(&channel_peer(*id)));
    let (users, chats) = call.world.in_full(account, &peers);
    Ok(tl::types::messages::ChatFull {
        full_chat: full.into(),
        chats,
        users,
    }
    .into())
}

fn get_chats(
    call: &mut Call<'_>,
    request: f::messages::GetChats,
) -> Answer<tl::enums::messages::Chats> {
    let account = call.account()?;
    let groups = request.id.iter();
    let chats = groups.filter_map(|id| call.world.group_for(account, *id));
    Ok(tl::types::messages::Chats {
        chats: chats.collect(),
    }
    .into())
}

fn get_full_chat(
    call: &mut Call<'_>,
    request: f::messages::GetFullChat,
) -> Answer<tl::enums::messages::ChatFull> {
    let account = call.account()?;
    let group = call.world.group_for(account, request.chat_id);
    let group = group.ok_or_else(|| RpcError::bad_request("CHAT_ID_INVALID"))?;
    Ok(tl::types::messages::ChatFull {
        full_chat: blank_full_chat(request.chat_id).into(),
        chats: vec![group],
        users: Vec::new(),
    }
    .into())
}

fn resolve_username(
    call: &mut Call<'_>,
    request: f::contacts::ResolveUsername,
) -> Answer<tl::enums::contacts::ResolvedPeer> {
    let account = call.account()?;
    let is_it = |name: &Option<String>| {
        name.as_ref()
            .is_some_and(|name| name.eq_ignore_ascii_case(&request.username))
    };
    let channels = call.world.channels.values();
    let channel = channels.filter(|channel| is_it(&channel.inner.username));
    let channel = channel.map(|channel| channel_peer(channel.inner.id)).next();
    let users = call.world.users.values();
    let user = users
        .filter(|user| is_it(&user.username))
        .map(|user| user_peer(user.id))
        .next();
    let peer = channel.or(user);
    let peer = peer.ok_or_else(|| RpcError::bad_request("USERNAME_NOT_OCCUPIED"))?;
    let mut peers = Peers::default();
    peers.peer(&peer);
    let (users, chats) = call.world.in_full(account, &peers);
    Ok(tl::types::contacts::ResolvedPeer { peer, chats, users }.into())
}
