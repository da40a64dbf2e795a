//! Who came along with an answer: kept in the session, so that later requests can name them.

use std::collections::HashMap;

use grammers_session::Session;
use grammers_session::types::{PeerId, PeerInfo};
use grammers_tl_types as tl;

use super::super::driver::Failure;
use super::super::link::Fault;

/// Peers whose last word is known; then it begins anew.
const KEPT_MAX: usize = 20_000;

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
    keep(session, of(users, chats).collect()).await
}

async fn keep<S: Session>(session: &S, peers: Vec<PeerInfo>) -> Result<(), Fault>
where
    S::Error: std::error::Error,
{
    if peers.is_empty() {
        return Ok(());
    }
    session.cache_peers(peers).await.map_err(unreadable)
}

fn of<'a>(
    users: &'a [tl::enums::User],
    chats: &'a [tl::enums::Chat],
) -> impl Iterator<Item = PeerInfo> + 'a {
    let users = users.iter().filter_map(user);
    users.chain(chats.iter().filter_map(chat))
}

/// What was kept in one life, as it was told last: nearly every update brings its channel along once more, and looking
/// that up in the session's file would cost each of them a transaction.
#[derive(Debug, Default)]
pub(super) struct Kept(HashMap<PeerId, PeerInfo>);

impl Kept {
    /// Keeps the peers that are told otherwise than the last time.
    pub(super) async fn remember<S: Session>(
        &mut self,
        session: &S,
        users: &[tl::enums::User],
        chats: &[tl::enums::Chat],
    ) -> Result<(), Fault>
    where
        S::Error: std::error::Error,
    {
        let told = of(users, chats);
        let news: Vec<PeerInfo> = told
            .filter(|peer| self.0.get(&peer.id()) != Some(peer))
            .collect();
        keep(session, news.clone()).await?;
        if self.0.len() + news.len() > KEPT_MAX {
            self.0.clear();
        }
        self.0
            .extend(news.into_iter().map(|peer| (peer.id(), peer)));
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use grammers_session::storages::MemorySession;
    use grammers_session::types::PeerAuth;
    use grammers_tl_types::{Deserializable, Identifiable, Serializable};

    use super::*;

    /// A channel of which nothing is told but its hash.
    fn told(access_hash: i64) -> tl::enums::Chat {
        const HAS_HASH: u32 = 1 << 13;
        let mut bytes = Vec::new();
        tl::types::Channel::CONSTRUCTOR_ID.serialize(&mut bytes);
        HAS_HASH.serialize(&mut bytes);
        0_u32.serialize(&mut bytes);
        7_i64.serialize(&mut bytes);
        access_hash.serialize(&mut bytes);
        "Signals".to_owned().serialize(&mut bytes);
        tl::enums::ChatPhoto::Empty.serialize(&mut bytes);
        0_i32.serialize(&mut bytes);
        tl::enums::Chat::from_bytes(&bytes).expect("a channel")
    }

    #[tokio::test]
    async fn the_session_hears_of_a_peer_when_it_is_told_otherwise() {
        let (session, mut kept) = (MemorySession::default(), Kept::default());
        let id = PeerId::channel(7).expect("a channel");
        let hash = async || {
            let peer = session.peer(id).await.expect("in memory")?;
            peer.auth().map(|auth| auth.hash())
        };
        let remember = async |kept: &mut Kept, hash| {
            let kept = kept.remember(&session, &[], &[told(hash)]).await;
            kept.expect("kept");
        };
        remember(&mut kept, 1).await;
        assert_eq!(hash().await, Some(1));
        let other = PeerInfo::Channel {
            id: 7,
            auth: Some(PeerAuth::from_hash(2)),
            kind: None,
        };
        session.cache_peer(other).await.expect("in memory");
        remember(&mut kept, 1).await;
        assert_eq!(hash().await, Some(2), "nothing was told that is new");
        remember(&mut kept, 3).await;
        assert_eq!(hash().await, Some(3));
    }
}
