//! A running daemon whose account is at the data centre of the tests: the real client, the real wire.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use datacentre::{ChannelSpec, DataCentre, Options as Centre};
use grammers_session::Session;
use grammers_session::storages::MemorySession;
use grammers_session::types::{DcOption, PeerAuth, PeerInfo};
use grammers_tl_types as tl;
use telegram_gateway::daemon::{Daemon, DaemonError, Options};
use telegram_gateway::event::Body;
use telegram_gateway::ingest::Ingested;
use telegram_gateway::source::telegram::Telegram;
use telegram_gateway::source::telegram::account::{
    self, Closed, Door, Inputs, Order, Orders, Watch,
};
use telegram_gateway::status::{AccountReport, Status};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{meaning, until};
use crate::support::gateway::Gateway;

const NAME: &str = "main";

/// The daemon, its log, and the data centre.
pub(super) struct Mirror {
    pub(super) gateway: Gateway,
    pub(super) dc: Arc<DataCentre>,
    pub(super) channels: Vec<i64>,
    /// How the account goes on from the next start.
    pub(super) settings: Settings,
    running: Option<Running>,
}

/// What tests set.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) ping_interval: Duration,
    pub(super) watch: Watch,
}

impl Default for Settings {
    /// The line is looked after all the time; the past is left alone.
    fn default() -> Settings {
        let watch = Watch {
            first_sight: 0,
            ..Watch::default()
        };
        Settings {
            ping_interval: Duration::from_millis(500),
            watch,
        }
    }
}

struct Running {
    status: Status,
    orders: Orders,
    stop: CancellationToken,
    task: JoinHandle<Result<Ingested, DaemonError>>,
}

struct Key {
    dc: Arc<DataCentre>,
    channels: Vec<i64>,
}

impl Door for Key {
    type Session = MemorySession;

    async fn open(&self) -> Result<Arc<MemorySession>, Closed> {
        let session = MemorySession::default();
        let home = DcOption {
            id: self.dc.dc_id(),
            ipv4: self.dc.address(),
            ipv6: SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0),
            auth_key: Some(self.dc.auth_key()),
        };
        session.set_dc_option(&home).await.expect("in memory");
        session.set_home_dc_id(home.id).await.expect("in memory");
        for id in &self.channels {
            let hash = self.dc.access_hash(*id, 0);
            let peer = PeerInfo::Channel {
                id: *id,
                auth: Some(PeerAuth::from_hash(hash)),
                kind: None,
            };
            session.cache_peer(peer).await.expect("in memory");
        }
        Ok(Arc::new(session))
    }
}

impl Mirror {
    /// Starts with so many channels, and waits until each of them is known.
    pub(super) async fn start(channels: usize) -> Mirror {
        let mut mirror = Mirror::before(channels, Settings::default()).await;
        mirror.begin().await;
        mirror
    }

    /// Nothing runs yet.
    pub(super) async fn before(channels: usize, settings: Settings) -> Mirror {
        let dc = DataCentre::start(Centre::default()).await;
        let dc = Arc::new(dc.expect("a data centre"));
        let channels =
            (0..channels).map(|n| dc.add_channel(ChannelSpec::broadcast(&format!("Channel {n}"))));
        Mirror {
            gateway: Gateway::embedded(),
            channels: channels.collect(),
            dc,
            settings,
            running: None,
        }
    }

    /// Starts the daemon, and lets each channel say something.
    pub(super) async fn begin(&mut self) {
        self.resume().await;
        self.shows("live", |it| it.state == "live").await;
        for channel in self.channels.clone() {
            // What was before the first update of a channel is for a backfill.
            self.dc.post(channel, "first");
        }
        self.has_all().await;
    }

    pub(super) async fn resume(&mut self) {
        let (status, stop) = (Status::new(), CancellationToken::new());
        let daemon = Daemon::open(self.gateway.config(), status.clone()).expect("a daemon");
        let bookmarks = daemon.bookmarks().await.expect("bookmarks");
        let (orders, taken) = Orders::new();
        let inputs = Inputs {
            name: NAME.to_owned(),
            api_id: 1,
            requests_per_minute: 6000,
            ping_interval: self.settings.ping_interval,
            positions: account::positions(NAME, &bookmarks).expect("positions"),
            jobs: account::jobs(NAME, &bookmarks).expect("jobs"),
            watch: self.settings.watch.clone(),
            orders: taken,
            meaning: meaning(&daemon, NAME, &stop).await,
            files: None,
        };
        let (dc, channels) = (Arc::clone(&self.dc), self.channels.clone());
        let source = Telegram::start(vec![(inputs, Key { dc, channels })], &status, &stop);
        let task = tokio::spawn(daemon.run(Some(source), Options::default(), stop.clone()));
        self.running = Some(Running {
            status,
            orders,
            stop,
            task,
        });
    }

    pub(super) fn order(&self, order: Order) {
        let running = self.running.as_ref().expect("it runs");
        running.orders.give(order).expect("taken");
    }

    pub(super) async fn stop(&mut self) {
        let running = self.running.take().expect("it runs");
        running.stop.cancel();
        let ran = running.task.await.expect("no panic");
        ran.expect("stops in order");
    }

    /// What the board says of the account.
    pub(super) fn board(&self) -> Option<AccountReport> {
        let running = self.running.as_ref()?;
        running.status.accounts().pop()
    }

    pub(super) async fn shows(&self, what: &str, is_so: impl Fn(&AccountReport) -> bool) {
        until(what, async || self.board().as_ref().is_some_and(&is_so)).await;
    }

    /// Waits until every message that the channels hold is in the log.
    pub(super) async fn has_all(&self) {
        let there: BTreeSet<(i64, i64)> = self.there();
        until("everything in the log", async || {
            self.logged(is_post).await.is_superset(&there)
        })
        .await;
    }

    fn there(&self) -> BTreeSet<(i64, i64)> {
        let ids = |channel: &i64| {
            let messages = self.dc.messages(*channel).into_iter();
            let channel = *channel;
            messages.filter_map(move |message| match message {
                tl::enums::Message::Message(it) => Some((channel, i64::from(it.id))),
                _ => None,
            })
        };
        self.channels.iter().flat_map(ids).collect()
    }

    /// The messages of which the log says this: channel and id.
    pub(super) async fn logged(&self, says: impl Fn(&Body) -> bool) -> BTreeSet<(i64, i64)> {
        let events = self.gateway.events().await.into_iter().map(|it| it.event);
        let said = events.filter(|event| says(&event.body));
        said.filter_map(|event| Some((event.peer?.bare(), event.body.message_id()?)))
            .collect()
    }

    /// The end: exactly what happened is in the log, no post twice, and the log is sound. What the board said last.
    pub(super) async fn end(mut self) -> AccountReport {
        self.has_all().await;
        let board = self.board().expect("on the board");
        self.stop().await;
        let posts = self.logged(is_post).await;
        assert_eq!(posts, self.there(), "nothing else");
        let events = self.gateway.events().await;
        let all = events.iter().filter(|it| is_post(&it.event.body));
        assert_eq!(all.count(), posts.len(), "none of them twice");
        self.gateway.ok(&["verify", "log"]);
        board
    }
}

pub(super) fn is_post(body: &Body) -> bool {
    matches!(body, Body::Posted(_))
}

pub(super) fn is_deletion(body: &Body) -> bool {
    matches!(body, Body::Deleted { .. })
}
