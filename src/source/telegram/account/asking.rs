//! What the driver wants asked, asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use grammers_session::Session;
use grammers_tl_types as tl;
use tokio::sync::Mutex;

use super::super::budget::Priority;
use super::super::driver::{Answer, Failure, Request};
use super::super::link::{Fault, Link, REQUEST_TIMEOUT};
use super::super::session::channel_peer;
use super::chats::Met;
use super::peers;

/// Pages of the dialogs that are looked through for a channel: of 100 each, more than an account can have.
const DIALOG_PAGES_MAX: usize = 20;
/// How long the dialogs that were looked through are good for: a channel that is not in them is not asked for again.
const DIALOGS_FRESH: Duration = Duration::from_secs(600);

/// Asks for one account. Cheap to clone.
pub(super) struct Asker<S> {
    pub(super) link: Link,
    pub(super) session: Arc<S>,
    /// When the dialogs were last looked through; held while that is done.
    pub(super) dialogs: Arc<Mutex<Option<Instant>>>,
}

impl<S> Asker<S> {
    pub(super) fn new(link: Link, session: Arc<S>) -> Asker<S> {
        Asker {
            link,
            session,
            dialogs: Arc::default(),
        }
    }
}

impl<S> Clone for Asker<S> {
    fn clone(&self) -> Asker<S> {
        Asker {
            link: self.link.clone(),
            session: Arc::clone(&self.session),
            dialogs: Arc::clone(&self.dialogs),
        }
    }
}

impl<S: Session> Asker<S>
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    /// The answer to a request of the driver.
    pub(super) async fn ask(&self, request: &Request) -> Result<Answer, Fault> {
        let link = &self.link;
        match request {
            Request::State => {
                let state = tl::functions::updates::GetState {};
                link.send(&state, REQUEST_TIMEOUT).await.map(Answer::State)
            }
            Request::Difference(call) => {
                let answer = link.send(call, REQUEST_TIMEOUT).await;
                answer.map(Answer::Difference)
            }
            Request::ChannelDifference { channel, call } => {
                let mut call = call.clone();
                call.channel = self.input(*channel).await?;
                let answer = link.send(&call, REQUEST_TIMEOUT).await;
                answer.map(Answer::ChannelDifference)
            }
            Request::ChannelState { channel } => self.channel_state(*channel).await,
        }
    }

    async fn channel_state(&self, channel: i64) -> Result<Answer, Fault> {
        let call = tl::functions::channels::GetFullChannel {
            channel: self.input(channel).await?,
        };
        let tl::enums::messages::ChatFull::Full(answer) =
            self.link.send(&call, REQUEST_TIMEOUT).await?;
        match answer.full_chat {
            tl::enums::ChatFull::ChannelFull(full) => Ok(Answer::ChannelState { pts: full.pts }),
            _ => {
                let text = "a channel turned out to be something else".to_owned();
                Err(Fault::here(Failure::UnknownChannel, text))
            }
        }
    }

    /// How a channel is named in a request.
    pub(super) async fn input(&self, channel_id: i64) -> Result<tl::enums::InputChannel, Fault> {
        match self.resolve(channel_id).await? {
            Some(access_hash) => Ok(tl::types::InputChannel {
                channel_id,
                access_hash,
            }
            .into()),
            None => {
                let text = format!("channel {channel_id} is not among the account's dialogs");
                Err(Fault::here(Failure::UnknownChannel, text))
            }
        }
    }

    /// The access hash of a channel: what the session has, else what the dialogs have.
    async fn resolve(&self, channel: i64) -> Result<Option<i64>, Fault> {
        if let Some(hash) = self.known(channel).await? {
            return Ok(Some(hash));
        }
        let mut looked = self.dialogs.lock().await;
        let fresh = looked.is_some_and(|at| at.elapsed() < DIALOGS_FRESH);
        if !fresh {
            self.look_through_dialogs().await?;
            *looked = Some(Instant::now());
        }
        drop(looked);
        self.known(channel).await
    }

    pub(super) async fn known(&self, channel: i64) -> Result<Option<i64>, Fault> {
        let Some(id) = channel_peer(channel) else {
            return Ok(None);
        };
        let peer = self.session.peer(id).await.map_err(peers::unreadable)?;
        Ok(peer.and_then(|it| it.auth()).map(|auth| auth.hash()))
    }

    /// Remembers all peers of the account's dialogs. A wait is for the channel alone that wants them, and not for the
    /// places that channels are asked on.
    async fn look_through_dialogs(&self) -> Result<(), Fault> {
        for page in self.dialogs().await? {
            peers::remember(&*self.session, &page.users, &page.chats).await?;
        }
        Ok(())
    }

    /// The account's dialogs, page by page.
    pub(super) async fn dialogs(&self) -> Result<Vec<Met>, Fault> {
        let mut call = tl::functions::messages::GetDialogs {
            exclude_pinned: false,
            folder_id: None,
            offset_date: 0,
            offset_id: 0,
            offset_peer: tl::enums::InputPeer::Empty,
            limit: 100,
            hash: 0,
        };
        let mut pages = Vec::new();
        while pages.len() < DIALOG_PAGES_MAX {
            use tl::enums::messages::Dialogs;
            let answer = self.link.call_once(Priority::Resolve, &call).await?;
            let (dialogs, messages, chats, users, is_last) = match answer {
                Dialogs::Dialogs(it) => (it.dialogs, it.messages, it.chats, it.users, true),
                Dialogs::Slice(it) => {
                    let is_last = it.dialogs.is_empty();
                    (it.dialogs, it.messages, it.chats, it.users, is_last)
                }
                Dialogs::NotModified(_) => break,
            };
            let next = peers::offset(&dialogs, &messages, &chats, &users);
            pages.push(Met {
                peers: dialogs.iter().filter_map(peers::of_dialog).collect(),
                users,
                chats,
            });
            match next {
                Some((date, id, peer)) if !is_last && id != call.offset_id => {
                    (call.offset_date, call.offset_id, call.offset_peer) = (date, id, peer);
                }
                _ => break,
            }
        }
        Ok(pages)
    }
}
