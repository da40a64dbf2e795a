//! Answers by script: what a server says to each method, how often it was asked, and what it pushes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::BoxFuture;
use grammers_mtsender::{InvocationError, RpcError};
use grammers_session::storages::MemorySession;
use grammers_session::types::{PeerAuth, PeerInfo};
use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{self as tl, Deserializable, Identifiable, Serializable};
use tokio::task::JoinHandle;

use super::super::*;
use super::{DEADLINE, NAME, Plain, inputs, until};
use crate::source::telegram::driver::{Common, Position};
use crate::source::telegram::link::Wire;
use crate::status::AccountReport;

type Reply = Result<Vec<u8>, InvocationError>;
type Handler = Box<dyn FnMut(&[u8]) -> Reply + Send>;

/// A server by script. What has no script is never answered.
#[derive(Default)]
pub(super) struct Script {
    handlers: Mutex<HashMap<u32, Handler>>,
    calls: Mutex<HashMap<u32, u32>>,
    disconnects: AtomicU32,
}

impl Script {
    /// What is said to a method from now on.
    pub(super) fn on<R: Identifiable>(&self, handler: impl FnMut(&[u8]) -> Reply + Send + 'static) {
        let mut handlers = self.handlers.lock().expect("not poisoned");
        handlers.insert(R::CONSTRUCTOR_ID, Box::new(handler));
    }

    pub(super) fn calls<R: Identifiable>(&self) -> u32 {
        let calls = self.calls.lock().expect("not poisoned");
        calls.get(&R::CONSTRUCTOR_ID).copied().unwrap_or(0)
    }

    pub(super) fn disconnects(&self) -> u32 {
        self.disconnects.load(Ordering::Relaxed)
    }
}

impl Wire for Script {
    fn invoke(&self, request: Vec<u8>) -> BoxFuture<'_, Reply> {
        let id = request[..4].try_into().map(u32::from_le_bytes);
        let id = id.expect("four bytes");
        let mut calls = self.calls.lock().expect("not poisoned");
        *calls.entry(id).or_default() += 1;
        let mut handlers = self.handlers.lock().expect("not poisoned");
        match handlers.get_mut(&id).map(|handler| handler(&request)) {
            Some(reply) => Box::pin(async move { reply }),
            None => Box::pin(std::future::pending()),
        }
    }

    fn disconnect(&self) {
        self.disconnects.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn refusal(error_code: i32, message: &str) -> Reply {
    let error = tl::types::RpcError {
        error_code,
        error_message: message.to_owned(),
    };
    Err(InvocationError::Rpc(RpcError::from(error)))
}

pub(super) fn said(answer: impl Serializable) -> Reply {
    Ok(answer.to_bytes())
}

/// Nothing was missed.
pub(super) fn nothing_missed(_: &[u8]) -> Reply {
    let empty = tl::types::updates::DifferenceEmpty { date: 1, seq: 0 };
    said(tl::enums::updates::Difference::Empty(empty))
}

/// Nothing was missed in a channel.
pub(super) fn nothing_missed_there(_: &[u8]) -> Reply {
    let empty = tl::types::updates::ChannelDifferenceEmpty {
        r#final: true,
        pts: 100,
        timeout: None,
    };
    said(tl::enums::updates::ChannelDifference::Empty(empty))
}

/// A channel as the list of dialogs shows it: the least that Telegram can say of one.
pub(super) fn channel(id: i64, access_hash: i64) -> tl::enums::Chat {
    const HAS_ACCESS_HASH: u32 = 1 << 13;
    let mut bytes = Vec::new();
    bytes.extend(HAS_ACCESS_HASH.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(id.to_le_bytes());
    bytes.extend(access_hash.to_le_bytes());
    String::new().serialize(&mut bytes);
    tl::enums::ChatPhoto::Empty.serialize(&mut bytes);
    1_i32.serialize(&mut bytes);
    let channel = tl::types::Channel::from_bytes(&bytes);
    tl::enums::Chat::Channel(channel.expect("a channel"))
}

/// A message of a channel is gone: the smallest update that has a place.
pub(super) fn gone(channel_id: i64, message: i32, pts: i32) -> tl::enums::Update {
    tl::types::UpdateDeleteChannelMessages {
        channel_id,
        messages: vec![message],
        pts,
        pts_count: 1,
    }
    .into()
}

pub(super) fn packet(updates: Vec<tl::enums::Update>) -> UpdatesLike {
    UpdatesLike::Updates(
        tl::types::Updates {
            updates,
            users: Vec::new(),
            chats: Vec::new(),
            date: 1,
            seq: 0,
        }
        .into(),
    )
}

/// One life that runs beside the test.
pub(super) struct Life {
    pub(super) server: Arc<Script>,
    pub(super) socket: mpsc::Sender<UpdatesLike>,
    status: Status,
    batches: mpsc::Receiver<SourceBatch>,
    stop: CancellationToken,
    task: JoinHandle<(End, Vec<Position>)>,
}

impl Life {
    /// Begins at pts 10 of the account and 100 of these channels.
    pub(super) async fn begin(server: Script, channels: &[i64], check: Duration) -> Life {
        Life::with_peers(server, channels, channels, check).await
    }

    /// The same, with a session that knows the access hashes of only some of them.
    pub(super) async fn with_peers(
        server: Script,
        channels: &[i64],
        known: &[i64],
        check: Duration,
    ) -> Life {
        let session = Arc::new(MemorySession::default());
        for id in known {
            let peer = PeerInfo::Channel {
                id: *id,
                auth: Some(PeerAuth::from_hash(*id)),
                kind: None,
            };
            session.cache_peer(peer).await.expect("kept in memory");
        }
        let common = Common {
            pts: 10,
            qts: 0,
            date: 1,
            seq: 0,
        };
        let channels = channels.iter().map(|id| Position::Channel {
            id: *id,
            pts: 100,
            behind: false,
        });
        let positions: Vec<_> = channels.chain([Position::Common(common)]).collect();
        let (out, batches) = mpsc::channel(4);
        let (socket, updates) = mpsc::channel(64);
        let (status, stop) = (Status::new(), CancellationToken::new());
        let server = Arc::new(server);
        let (wire, board, token) = (Arc::clone(&server), status.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let budget = Arc::new(Mutex::new(Budget::new(60, Instant::now())));
            let connection = Connection {
                wire,
                updates,
                runner: Box::pin(std::future::pending()),
            };
            let (link, parts) = Link::open(connection, budget, NAME, &board);
            let inputs = inputs(positions, Box::new(Plain));
            let mut outlet = Outlet::new(inputs, out, board, token.clone());
            let asker = Asker::new(link, session);
            let pace = Pace {
                ping: DEADLINE,
                ping_limit: DEADLINE,
                check,
            };
            let unit = Unit::new(&mut outlet, asker, parts, pace);
            let end = contained(unit.live(&token)).await;
            (end, outlet.positions())
        });
        Life {
            server,
            socket,
            status,
            batches,
            stop,
            task,
        }
    }

    pub(super) async fn push(&self, updates: Vec<tl::enums::Update>) {
        let pushed = self.socket.send(packet(updates)).await;
        pushed.expect("the account takes it");
    }

    /// The next batch with messages.
    pub(super) async fn batch(&mut self) -> SourceBatch {
        let next = async {
            loop {
                let batch = self.batches.recv().await.expect("goes on");
                if batch.events.iter().any(|it| it.body.message_id().is_some()) {
                    return batch;
                }
            }
        };
        let next = tokio::time::timeout(DEADLINE, next).await;
        next.expect("in time")
    }

    /// The ids of the messages in it.
    pub(super) async fn next(&mut self) -> Vec<i64> {
        let batch = self.batch().await;
        let ids = batch.events.iter().filter_map(|it| it.body.message_id());
        ids.collect()
    }

    /// Waits until the board shows it; what comes meanwhile is taken.
    pub(super) async fn until(&mut self, what: &str, is_so: impl Fn(&AccountReport) -> bool) {
        let batches = &mut self.batches;
        let take = || while batches.try_recv().is_ok() {};
        until(&self.status, what, is_so, take).await;
    }

    /// Waits for the end that comes by itself, and where the next life would begin.
    pub(super) async fn ended(self) -> (End, Vec<Position>) {
        let ended = tokio::time::timeout(DEADLINE, self.task).await;
        ended.expect("in time").expect("no panic")
    }

    /// Stops it.
    pub(super) async fn end(self) {
        self.stop.cancel();
        assert!(matches!(self.ended().await.0, End::Stopped));
    }
}
