//! The past, asked for: pages of a history, heads of channels, and whether messages are gone.

use grammers_session::Session;
use grammers_tl_types as tl;

use super::super::backfill::{Ask, History};
use super::super::budget::Priority;
use super::super::driver::Failure;
use super::super::link::Fault;
use super::super::reconcile::{self, Head};
use super::asking::Asker;

/// Messages that are asked for by their ids in one request.
const IDS_AT_ONCE: usize = 100;

/// How far channels are.
#[derive(Debug)]
pub(super) struct Heads {
    pub(super) heads: Vec<Head>,
    pub(super) users: Vec<tl::enums::User>,
    pub(super) chats: Vec<tl::enums::Chat>,
}

/// The newest messages of a channel.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) history: History,
    /// Messages that the log has and Telegram has no more.
    pub(super) gone: Vec<i32>,
}

impl<S: Session> Asker<S>
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    /// A page of a history, newest first.
    pub(super) async fn page(&self, ask: &Ask) -> Result<History, Fault> {
        let stretch = &ask.stretch;
        self.history(ask.channel, stretch.below, stretch.limit())
            .await
    }

    /// The newest messages, and which of those that the log has are gone. A message counts as gone when Telegram says so
    /// of itself, too: a history may leave things out for other reasons.
    pub(super) async fn newest(
        &self,
        channel: i64,
        logged: &[i64],
        depth: i32,
    ) -> Result<Newest, Fault> {
        let history = self.history(channel, 0, depth).await?;
        let there: Vec<i32> = history
            .messages
            .iter()
            .map(tl::enums::Message::id)
            .collect();
        let mut gone = Vec::new();
        for ids in reconcile::missing(logged, &there).chunks(IDS_AT_ONCE) {
            gone.extend(self.gone(channel, ids).await?);
        }
        Ok(Newest { history, gone })
    }

    /// How far these channels are; those that cannot be named are left out.
    pub(super) async fn heads(&self, channels: &[i64]) -> Result<Heads, Fault> {
        let mut peers = Vec::new();
        for channel in channels {
            if let Ok(peer) = self.peer(*channel).await {
                peers.push(tl::types::InputDialogPeer { peer }.into());
            }
        }
        let call = tl::functions::messages::GetPeerDialogs { peers };
        let tl::enums::messages::PeerDialogs::Dialogs(answer) =
            self.link.call(Priority::History, &call).await?;
        Ok(Heads {
            heads: answer.dialogs.iter().filter_map(Head::of).collect(),
            users: answer.users,
            chats: answer.chats,
        })
    }

    async fn history(&self, channel: i64, below: i32, limit: i32) -> Result<History, Fault> {
        let call = tl::functions::messages::GetHistory {
            peer: self.peer(channel).await?,
            offset_id: below,
            offset_date: 0,
            add_offset: 0,
            limit,
            max_id: 0,
            min_id: 0,
            hash: 0,
        };
        let answer = self.link.call(Priority::History, &call).await?;
        read(answer)
    }

    /// Which of these messages Telegram has no more.
    async fn gone(&self, channel: i64, ids: &[i32]) -> Result<Vec<i32>, Fault> {
        let wanted = ids
            .iter()
            .map(|id| tl::types::InputMessageId { id: *id }.into());
        let call = tl::functions::channels::GetMessages {
            channel: self.input(channel).await?,
            id: wanted.collect(),
        };
        let answer = read(self.link.call(Priority::History, &call).await?)?;
        let empty = answer.messages.iter().filter_map(|message| match message {
            tl::enums::Message::Empty(it) => Some(it.id),
            _ => None,
        });
        Ok(empty.filter(|id| ids.contains(id)).collect())
    }

    async fn peer(&self, channel: i64) -> Result<tl::enums::InputPeer, Fault> {
        match self.input(channel).await? {
            tl::enums::InputChannel::Channel(it) => Ok(tl::types::InputPeerChannel {
                channel_id: it.channel_id,
                access_hash: it.access_hash,
            }
            .into()),
            _ => {
                let text = format!("channel {channel} has no name to ask by");
                Err(Fault::here(Failure::UnknownChannel, text))
            }
        }
    }
}

pub(super) fn read(answer: tl::enums::messages::Messages) -> Result<History, Fault> {
    use tl::enums::messages::Messages;
    let (messages, users, chats, pts) = match answer {
        Messages::Messages(it) => (it.messages, it.users, it.chats, None),
        Messages::Slice(it) => (it.messages, it.users, it.chats, None),
        Messages::ChannelMessages(it) => (it.messages, it.users, it.chats, Some(it.pts)),
        Messages::NotModified(_) => {
            let text = "a history was said to be unchanged that was not known".to_owned();
            return Err(Fault::here(Failure::Refused, text));
        }
    };
    Ok(History {
        messages,
        users,
        chats,
        pts,
    })
}
