//! Who is behind a name or an id, and which chats the account has: asked for when a person or the configuration wants it.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use grammers_session::Session;
use grammers_tl_types as tl;

use super::super::budget::{Budget, Priority};
use super::super::driver::{Failure, Page};
use super::super::link::{Connection, Fault, Link};
use super::asking::Asker;
use super::peers;
use crate::event::{Origin, PeerId, PeerKind};
use crate::status::Status;

/// What is asked about chats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Who has this public name (without `@`).
    Name {
        /// The name.
        name: String,
        /// The channel that is known by it: where the session can name that one, nobody is asked for the name again.
        known: Option<i64>,
    },
    /// A channel, by its bare id.
    Channel(i64),
    /// A basic group, by its bare id.
    Group(i64),
    /// All dialogs.
    Dialogs,
}

/// What came along with an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Met {
    /// Those that were asked for; the others only came along.
    pub peers: Vec<tl::enums::Peer>,
    /// Users.
    pub users: Vec<tl::enums::User>,
    /// Chats.
    pub chats: Vec<tl::enums::Chat>,
}

impl Met {
    /// Those that were asked for.
    pub fn asked(&self) -> impl Iterator<Item = PeerId> {
        let peers = self.peers.iter().map(|peer| match peer {
            tl::enums::Peer::User(it) => PeerId::new(PeerKind::User, it.user_id),
            tl::enums::Peer::Chat(it) => PeerId::new(PeerKind::Chat, it.chat_id),
            tl::enums::Peer::Channel(it) => PeerId::new(PeerKind::Channel, it.channel_id),
        });
        peers.filter_map(Result::ok)
    }

    /// As a page in which nothing happens.
    pub fn page(&self) -> Page {
        Page {
            users: self.users.clone(),
            chats: self.chats.clone(),
            ..Page::empty(Origin::Backfill)
        }
    }
}

/// How to ask with a session that no account of the daemon has.
#[derive(Debug, Clone)]
pub struct Visitor<'a> {
    /// The account's name in the configuration.
    pub account: &'a str,
    /// The number of the application.
    pub api_id: i32,
    /// Most requests a minute.
    pub requests_per_minute: u32,
    /// Keep in the session who came along.
    pub keep: bool,
}

/// Asks one question over a connection of its own.
pub async fn visit<S>(
    session: &Arc<S>,
    visitor: &Visitor<'_>,
    question: &Question,
) -> Result<Vec<Met>, Fault>
where
    S: Session + Sized,
    S::Error: std::error::Error + Send + Sync + 'static,
{
    let budget = Budget::new(visitor.requests_per_minute, Instant::now());
    let (link, mut parts) = Link::open(
        Connection::pool(Arc::clone(session), visitor.api_id),
        Arc::new(Mutex::new(budget)),
        visitor.account,
        &Status::new(),
    );
    let asker = Asker::new(link, Arc::clone(session));
    let met = tokio::select! {
        met = asker.meet(question) => met?,
        why = parts.tasks.broken() => return Err(Fault::here(Failure::Temporary, why)),
    };
    if visitor.keep {
        for page in &met {
            peers::remember(&**session, &page.users, &page.chats).await?;
        }
    }
    Ok(met)
}

impl<S: Session> Asker<S>
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    /// Asks about chats. Nothing of the answer is kept here.
    pub(super) async fn meet(&self, question: &Question) -> Result<Vec<Met>, Fault> {
        match question {
            Question::Dialogs => self.dialogs().await,
            Question::Channel(id) => Ok(vec![self.channel(*id).await?]),
            Question::Group(id) => Ok(vec![self.group(*id).await?]),
            Question::Name { name, known } => {
                if let Some(id) = *known
                    && self.known(id).await?.is_some()
                {
                    return Ok(vec![self.channel(id).await?]);
                }
                Ok(vec![self.holder(name).await?])
            }
        }
    }

    async fn holder(&self, name: &str) -> Result<Met, Fault> {
        let call = tl::functions::contacts::ResolveUsername {
            username: name.to_owned(),
            referer: None,
        };
        let tl::enums::contacts::ResolvedPeer::Peer(answer) =
            self.link.call_once(Priority::Resolve, &call).await?;
        Ok(Met {
            peers: vec![answer.peer],
            users: answer.users,
            chats: answer.chats,
        })
    }

    async fn channel(&self, channel_id: i64) -> Result<Met, Fault> {
        let call = tl::functions::channels::GetChannels {
            id: vec![self.input(channel_id).await?],
        };
        let answer = self.link.call_once(Priority::Resolve, &call).await?;
        let peer = tl::types::PeerChannel { channel_id };
        Ok(listed(peer.into(), answer))
    }

    async fn group(&self, chat_id: i64) -> Result<Met, Fault> {
        let call = tl::functions::messages::GetChats { id: vec![chat_id] };
        let answer = self.link.call_once(Priority::Resolve, &call).await?;
        let peer = tl::types::PeerChat { chat_id };
        Ok(listed(peer.into(), answer))
    }
}

fn listed(peer: tl::enums::Peer, answer: tl::enums::messages::Chats) -> Met {
    let chats = match answer {
        tl::enums::messages::Chats::Chats(it) => it.chats,
        tl::enums::messages::Chats::Slice(it) => it.chats,
    };
    Met {
        peers: vec![peer],
        users: Vec::new(),
        chats,
    }
}
