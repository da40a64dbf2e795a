//! Without a wire: updates as the client library hands them over.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use datacentre::{ChannelSpec, DataCentre, Options};
use futures_util::future::BoxFuture;
use grammers_mtsender::InvocationError;
use grammers_session::storages::MemorySession;
use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{self as tl, Identifiable, Serializable};
use telegram_gateway::daemon::Daemon;
use telegram_gateway::source::telegram::Telegram;
use telegram_gateway::source::telegram::account::{Closed, Door, Inputs, Orders, Watch};
use telegram_gateway::source::telegram::link::{Connection, Wire};
use telegram_gateway::source::telegram::normalise::Normaliser;
use telegram_gateway::source::telegram::policy::Policy;
use telegram_gateway::status::Status;
use tl::functions::updates::{GetDifference, GetState};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::house::House;
use crate::wire::text;

/// The name of the account.
const NAME: &str = "main";
const UPDATES: usize = 200_000;
const CHANNELS: usize = 50;
/// On their way at a time: below what the account's queue holds.
const WINDOW: u64 = 8_000;

/// Answers as a server in whose account nothing happens.
struct Quiet;

impl Wire for Quiet {
    fn invoke(&self, request: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, InvocationError>> {
        Box::pin(async move {
            let (id, rest) = request.split_at(4);
            Ok(
                match u32::from_le_bytes(id.try_into().expect("four bytes")) {
                    GetState::CONSTRUCTOR_ID => state().to_bytes(),
                    GetDifference::CONSTRUCTOR_ID => nothing_new().to_bytes(),
                    tl::functions::Ping::CONSTRUCTOR_ID => {
                        let ping_id = i64::from_le_bytes(rest.try_into().expect("eight bytes"));
                        tl::enums::Pong::from(tl::types::Pong { msg_id: 0, ping_id }).to_bytes()
                    }
                    other => panic!("nobody asks {}", tl::name_for_id(other)),
                },
            )
        })
    }

    fn disconnect(&self) {}
}

fn state() -> tl::enums::updates::State {
    tl::types::updates::State {
        pts: 1,
        qts: 0,
        date: 1,
        seq: 0,
        unread_count: 0,
    }
    .into()
}

fn nothing_new() -> tl::enums::updates::Difference {
    tl::types::updates::DifferenceEmpty { date: 1, seq: 0 }.into()
}

/// Leads to the receiver of a connection, once.
struct Socket(Mutex<Option<mpsc::Receiver<UpdatesLike>>>);

impl Door for Socket {
    type Session = MemorySession;

    async fn open(&self) -> Result<Arc<MemorySession>, Closed> {
        Ok(Arc::new(MemorySession::default()))
    }

    fn connect(&self, _: &Arc<MemorySession>, _: i32) -> Connection {
        let updates = self.0.lock().expect("not poisoned").take();
        Connection {
            wire: Arc::new(Quiet),
            updates: updates.expect("one connection"),
            runner: Box::pin(std::future::pending()),
        }
    }
}

/// An account behind this door that mirrors everything and leaves the past alone.
async fn account(
    door: Socket,
    daemon: &Daemon,
    status: &Status,
    stop: &CancellationToken,
) -> Telegram {
    let index = daemon.message_index(stop).await.expect("an index");
    let policy = Policy::nothing(true).and_everything();
    let inputs = Inputs {
        name: NAME.to_owned(),
        api_id: 1,
        requests_per_minute: 60,
        ping_interval: Duration::from_secs(30),
        positions: Vec::new(),
        jobs: Vec::new(),
        watch: Watch {
            first_sight: 0,
            ..Watch::default()
        },
        orders: Orders::new().1,
        meaning: Box::new(Normaliser::new(NAME, policy, index)),
        files: None,
    };
    Telegram::start(vec![(inputs, door)], status, stop)
}

/// Posts of all channels in turn, each in a container of its own.
async fn posts() -> Vec<UpdatesLike> {
    let dc = DataCentre::start(Options::default()).await;
    let dc = dc.expect("a data centre");
    let mut channels = Vec::new();
    for c in 0..CHANNELS {
        let channel = dc.add_channel(ChannelSpec::broadcast("Channel"));
        for n in 0..UPDATES / CHANNELS {
            dc.post(channel, text(n * CHANNELS + c));
        }
        let messages = dc.messages(channel).into_iter();
        channels.push((2..).zip(messages));
    }
    let mut posts = Vec::with_capacity(UPDATES);
    'all: loop {
        for channel in &mut channels {
            let Some((pts, message)) = channel.next() else {
                break 'all posts;
            };
            posts.push(pushed(message, pts));
        }
    }
}

fn pushed(message: tl::enums::Message, pts: i32) -> UpdatesLike {
    let update = tl::types::UpdateNewChannelMessage {
        message,
        pts,
        pts_count: 1,
    };
    let container = tl::types::Updates {
        updates: vec![update.into()],
        users: Vec::new(),
        chats: Vec::new(),
        date: 1,
        seq: 0,
    };
    UpdatesLike::Updates(container.into())
}

/// Updates a second.
pub(crate) async fn rate() -> f64 {
    let posts = posts().await;
    let (socket, updates) = mpsc::channel(1024);
    let door = Socket(Some(updates).into());
    let start = async |daemon: &Daemon, status: &Status, stop: &CancellationToken| {
        account(door, daemon, status, stop).await
    };
    let mut house = House::open(&[], start).await;
    let before = house.tail();
    let start = Instant::now();
    for (n, post) in (before..).zip(posts) {
        socket.send(post).await.expect("the account is there");
        if n % 100 == 0 {
            house.reaches(n.saturating_sub(WINDOW)).await;
        }
    }
    house.reaches(before + UPDATES as u64).await;
    let rate = UPDATES as f64 / start.elapsed().as_secs_f64();
    house.stop().await;
    rate
}
