//! A world of channels that a test scripts, with a line to it that loses, doubles, reorders and cuts. It speaks TL
//! without MTProto around it, so that thousands of updates and many restarts take no time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::future::BoxFuture;
use grammers_mtsender::InvocationError;
use grammers_session::Session;
use grammers_session::storages::MemorySession;
use grammers_session::types::{PeerAuth, PeerInfo};
use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{self as tl, Identifiable, Serializable};
use telegram_gateway::source::telegram::account::{Closed, Door};
use telegram_gateway::source::telegram::link::{Connection, Wire};
use tl::functions::updates::{GetChannelDifference, GetDifference, GetState};
use tokio::sync::mpsc;

/// Entries in one answer.
const PAGE: usize = 40;
/// Where the account's own sequence stands; nothing happens in it.
const COMMON: i32 = 10;

#[derive(Default)]
struct State {
    /// Deleted messages of each channel; each is one step of its sequence, which starts at 1.
    channels: BTreeMap<i64, Vec<i32>>,
    /// The lines to the accounts that are here.
    sockets: Vec<mpsc::Sender<UpdatesLike>>,
}

/// The world, and the way to it.
#[derive(Clone, Default)]
pub(super) struct World(Arc<Mutex<State>>);

/// What becomes of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives,
    Withheld,
    Twice,
    /// It is lost, and the connection with it.
    Cut,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    /// Deletes the next message of a channel, and pushes that. The fate is that of the first line.
    pub(super) async fn delete(&self, channel_id: i64, fate: Fate) {
        let (update, sockets) = {
            let mut state = self.lock();
            let log = state.channels.entry(channel_id).or_default();
            let next = i32::try_from(log.len()).expect("few") + 1;
            log.push(next);
            let update = tl::types::UpdateDeleteChannelMessages {
                channel_id,
                messages: vec![next],
                pts: next + 1,
                pts_count: 1,
            };
            state.sockets.retain(|socket| !socket.is_closed());
            (tl::enums::Update::from(update), state.sockets.clone())
        };
        for (at, socket) in sockets.into_iter().enumerate() {
            // What one line loses, the others may carry.
            let fate = if at == 0 { fate } else { Fate::Arrives };
            let pushed = |updates| UpdatesLike::Updates(packet(updates).into());
            let what = match fate {
                Fate::Withheld => continue,
                Fate::Arrives => pushed(vec![update.clone()]),
                Fate::Twice => pushed(vec![update.clone(), update.clone()]),
                Fate::Cut => UpdatesLike::ConnectionClosed,
            };
            // An account may just have gone.
            let _ = socket.send(what).await;
        }
    }

    /// How many accounts are here.
    pub(super) fn guests(&self) -> usize {
        let state = self.lock();
        let here = state.sockets.iter().filter(|socket| !socket.is_closed());
        here.count()
    }

    /// All that happened: channel and message.
    pub(super) fn all(&self) -> Vec<(i64, i64)> {
        let state = self.lock();
        let all = state.channels.iter();
        all.flat_map(|(id, log)| log.iter().map(|message| (*id, i64::from(*message))))
            .collect()
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        let number = |at: usize| {
            let bytes = request[at..at + 4].try_into();
            i32::from_le_bytes(bytes.expect("four bytes"))
        };
        match number(0) as u32 {
            tl::functions::Ping::CONSTRUCTOR_ID => pong(number(4), number(8)),
            GetState::CONSTRUCTOR_ID => common().to_bytes(),
            GetDifference::CONSTRUCTOR_ID => self.difference().to_bytes(),
            GetChannelDifference::CONSTRUCTOR_ID => {
                // Flags, the channel's constructor, id and hash, the filter; then the position.
                let id = request[12..20].try_into().map(i64::from_le_bytes);
                let difference = self.channel_difference(id.expect("eight bytes"), number(32));
                difference.to_bytes()
            }
            other => panic!("nobody asks {}", tl::name_for_id(other)),
        }
    }

    /// Nothing of the account's own; news of every channel.
    fn difference(&self) -> tl::enums::updates::Difference {
        let state = self.lock();
        let news = state.channels.keys().map(|id| {
            let (channel_id, pts) = (*id, None);
            tl::types::UpdateChannelTooLong { channel_id, pts }.into()
        });
        tl::types::updates::Difference {
            new_messages: Vec::new(),
            new_encrypted_messages: Vec::new(),
            other_updates: news.collect(),
            chats: Vec::new(),
            users: Vec::new(),
            state: common(),
        }
        .into()
    }

    fn channel_difference(&self, id: i64, pts: i32) -> tl::enums::updates::ChannelDifference {
        let state = self.lock();
        let log = state.channels.get(&id).map_or(&[][..], Vec::as_slice);
        let seen = usize::try_from(pts - 1).unwrap_or(0).min(log.len());
        let missed = &log[seen..log.len().min(seen + PAGE)];
        let position = |message: i32| message + 1;
        let Some(last) = missed.last() else {
            return tl::types::updates::ChannelDifferenceEmpty {
                r#final: true,
                pts,
                timeout: None,
            }
            .into();
        };
        let updates = missed.iter().map(|message| {
            tl::types::UpdateDeleteChannelMessages {
                channel_id: id,
                messages: vec![*message],
                pts: position(*message),
                pts_count: 1,
            }
            .into()
        });
        tl::types::updates::ChannelDifference {
            r#final: seen + missed.len() == log.len(),
            pts: position(*last),
            timeout: None,
            new_messages: Vec::new(),
            other_updates: updates.collect(),
            chats: Vec::new(),
            users: Vec::new(),
        }
        .into()
    }
}

/// To a ping with a number of these halves.
fn pong(low: i32, high: i32) -> Vec<u8> {
    let ping_id = (i64::from(high) << 32) | i64::from(low as u32);
    tl::enums::Pong::from(tl::types::Pong { msg_id: 0, ping_id }).to_bytes()
}

fn common() -> tl::enums::updates::State {
    tl::types::updates::State {
        pts: COMMON,
        qts: 0,
        date: 1,
        seq: 0,
        unread_count: 0,
    }
    .into()
}

fn packet(updates: Vec<tl::enums::Update>) -> tl::types::Updates {
    tl::types::Updates {
        updates,
        users: Vec::new(),
        chats: Vec::new(),
        date: 1,
        seq: 0,
    }
}

impl Wire for World {
    fn invoke(&self, request: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, InvocationError>> {
        Box::pin(async move { Ok(self.answer(&request)) })
    }

    fn disconnect(&self) {}
}

/// The way in, for an account that knows these channels.
pub(super) struct Open {
    pub(super) world: World,
    pub(super) channels: Vec<i64>,
}

impl Door for Open {
    type Session = MemorySession;

    async fn open(&self) -> Result<Arc<MemorySession>, Closed> {
        let session = MemorySession::default();
        for id in &self.channels {
            let peer = PeerInfo::Channel {
                id: *id,
                auth: Some(PeerAuth::from_hash(*id)),
                kind: None,
            };
            session.cache_peer(peer).await.expect("kept in memory");
        }
        Ok(Arc::new(session))
    }

    fn connect(&self, _: &Arc<MemorySession>, _: i32) -> Connection {
        let (socket, updates) = mpsc::channel(64);
        self.world.lock().sockets.push(socket);
        Connection {
            wire: Arc::new(self.world.clone()),
            updates,
            runner: Box::pin(std::future::pending()),
        }
    }
}
