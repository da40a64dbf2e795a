//! Who came along with an answer: kept in the session, so that later requests can name them.

use grammers_session::Session;
use grammers_session::types::PeerInfo;
use grammers_tl_types as tl;

use super::super::driver::Failure;
use super::super::link::Fault;

/// A session file that cannot be read or written is trouble that passes, or that the operator sees.
pub(super) fn unreadable(error: impl std::error::Error) -> Fault {
    Fault::here(Failure::Temporary, format!("the session file: {error}"))
}

/// Keeps peers with their access hashes.
pub(super) async fn remember<S: Session>(
    session: &S,
    users: &[tl::enums::User],
    chats: &[tl::enums::Chat],
) -> Result<(), Fault>
where
    S::Error: std::error::Error,
{
    let users = users.iter().filter_map(user);
    let peers: Vec<PeerInfo> = users.chain(chats.iter().filter_map(chat)).collect();
    if peers.is_empty() {
        return Ok(());
    }
    session.cache_peers(peers).await.map_err(unreadable)
}

/// None for what has no access hash of its own: a `min` user's is good for nothing but its photo.
fn user(user: &tl::enums::User) -> Option<PeerInfo> {
    match user {
        tl::enums::User::User(user) => (!user.min).then(|| PeerInfo::from(user)),
        tl::enums::User::Empty(_) => None,
    }
}

fn chat(chat: &tl::enums::Chat) -> Option<PeerInfo> {
    match chat {
        tl::enums::Chat::Channel(channel) => (!channel.min).then(|| PeerInfo::from(channel)),
        _ => None,
    }
}

/// Whose dialog it is; none for what holds several.
pub(super) fn of_dialog(dialog: &tl::enums::Dialog) -> Option<tl::enums::Peer> {
    match dialog {
        tl::enums::Dialog::Dialog(it) => Some(it.peer.clone()),
        tl::enums::Dialog::Folder(_) | tl::enums::Dialog::Community(_) => None,
    }
}

/// Where the next page of the dialogs begins: behind the last one that has a message.
pub(super) fn offset(
    dialogs: &[tl::enums::Dialog],
    messages: &[tl::enums::Message],
    chats: &[tl::enums::Chat],
    users: &[tl::enums::User],
) -> Option<(i32, i32, tl::enums::InputPeer)> {
    dialogs.iter().rev().find_map(|dialog| {
        let tl::enums::Dialog::Dialog(dialog) = dialog else {
            return None;
        };
        let (peer, id) = (&dialog.peer, dialog.top_message);
        let date = messages.iter().find_map(|message| match message {
            tl::enums::Message::Message(it) if it.id == id && it.peer_id == *peer => Some(it.date),
            tl::enums::Message::Service(it) if it.id == id && it.peer_id == *peer => Some(it.date),
            _ => None,
        })?;
        Some((date, id, input(peer, chats, users)?))
    })
}

/// How a peer is named in a request; none when its access hash did not come along.
fn input(
    peer: &tl::enums::Peer,
    chats: &[tl::enums::Chat],
    users: &[tl::enums::User],
) -> Option<tl::enums::InputPeer> {
    match peer {
        tl::enums::Peer::Chat(it) => Some(
            tl::types::InputPeerChat {
                chat_id: it.chat_id,
            }
            .into(),
        ),
        tl::enums::Peer::Channel(it) => chats.iter().find_map(|chat| match chat {
            tl::enums::Chat::Channel(channel) if channel.id == it.channel_id => {
                let access_hash = channel.access_hash?;
                let channel_id = it.channel_id;
                Some(
                    tl::types::InputPeerChannel {
                        channel_id,
                        access_hash,
                    }
                    .into(),
                )
            }
            _ => None,
        }),
        tl::enums::Peer::User(it) => users.iter().find_map(|user| match user {
            tl::enums::User::User(user) if user.id == it.user_id => {
                let access_hash = user.access_hash?;
                let user_id = it.user_id;
                Some(
                    tl::types::InputPeerUser {
                        user_id,
                        access_hash,
                    }
                    .into(),
                )
            }
            _ => None,
        }),
    }
}
