//! A client of the library that visits a data centre.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use datacentre::{DataCentre, Options};
use grammers_client::Client;
use grammers_client::client::UpdateStream;
use grammers_client::tl;
use grammers_mtsender::{
    ConnectionParams, InvocationError, NoRetries, SenderPool, UpdatesConfiguration,
};
use grammers_session::Session;
use grammers_session::storages::MemorySession;
use grammers_session::types::{DcOption, PeerAuth, PeerInfo};
use grammers_session::updates::UpdatesLike;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long anything may take before the test has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(done) => done,
        Err(_) => panic!("not in time: {what}"),
    }
}

pub(crate) async fn start() -> DataCentre {
    start_with(|_| {}).await
}

pub(crate) async fn start_with(change: impl FnOnce(&mut Options)) -> DataCentre {
    let mut options = Options::default();
    change(&mut options);
    DataCentre::start(options).await.expect("a free port")
}

/// A session for a data centre, with a key of it and nothing else.
pub(crate) async fn session_with(dc: &DataCentre, key: [u8; 256]) -> Arc<MemorySession> {
    let session = MemorySession::default();
    let home = DcOption {
        id: dc.dc_id(),
        ipv4: dc.address(),
        ipv6: SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0),
        auth_key: Some(key),
    };
    session.set_dc_option(&home).await.expect("kept in memory");
    let home = session.set_home_dc_id(dc.dc_id()).await;
    home.expect("kept in memory");
    Arc::new(session)
}

/// Puts the channels of a data centre into a session, as one that has met them before.
pub(crate) async fn meet(session: &MemorySession, dc: &DataCentre, channels: &[i64]) {
    for id in channels {
        let peer = PeerInfo::Channel {
            id: *id,
            auth: Some(PeerAuth::from_hash(dc.access_hash(*id, 0))),
            kind: None,
        };
        session.cache_peer(peer).await.expect("kept in memory");
    }
    let own = PeerInfo::User {
        id: dc.user_of(0),
        auth: None,
        bot: Some(false),
        is_self: Some(true),
    };
    session.cache_peer(own).await.expect("kept in memory");
}

/// A client that runs until it is dropped.
pub(crate) struct Visitor {
    pub(crate) client: Client,
    updates: Option<mpsc::Receiver<UpdatesLike>>,
    runner: JoinHandle<()>,
}

impl Visitor {
    /// With the key of account 0.
    pub(crate) async fn new(dc: &DataCentre) -> Self {
        Self::with_session(session_with(dc, dc.auth_key()).await)
    }

    pub(crate) async fn with_key(dc: &DataCentre, key: [u8; 256]) -> Self {
        Self::with_session(session_with(dc, key).await)
    }

    pub(crate) fn with_session(session: Arc<MemorySession>) -> Self {
        let parameters = ConnectionParams {
            retry_policy: Box::new(NoRetries),
            updates_channel_capacity: NonZeroUsize::new(10_000).expect("not nought"),
            ..ConnectionParams::default()
        };
        let pool = SenderPool::with_configuration(session, 1, parameters);
        let runner = tokio::spawn(pool.runner.run());
        Self {
            client: Client::new(pool.handle),
            updates: Some(pool.updates),
            runner,
        }
    }

    pub(crate) async fn ask<R: tl::RemoteCall>(
        &self,
        request: &R,
    ) -> Result<R::Return, InvocationError> {
        in_time("an answer", self.client.invoke(request)).await
    }

    /// Asks something, so that the data centre knows the client and pushes to it.
    pub(crate) async fn arrive(&self) {
        let state = self.ask(&tl::functions::updates::GetState {}).await;
        state.expect("a state");
    }

    /// The next container of updates as it came.
    pub(crate) async fn pushed(&mut self) -> tl::enums::Updates {
        match self.next_update().await {
            UpdatesLike::Updates(updates) => updates,
            other => panic!("no container of updates: {other:?}"),
        }
    }

    pub(crate) async fn next_update(&mut self) -> UpdatesLike {
        let updates = self.updates.as_mut().expect("not streamed");
        let next = in_time("an update", updates.recv()).await;
        next.expect("the runner runs")
    }

    /// The library's own update loop.
    pub(crate) async fn stream(&mut self, catch_up: bool) -> UpdateStream {
        let updates = self.updates.take().expect("not streamed before");
        let configuration = UpdatesConfiguration { catch_up };
        let stream = self.client.stream_updates(updates, configuration).await;
        stream.expect("a stream")
    }

    /// Whether the runner of the client has ended, and with a panic.
    pub(crate) async fn runner_panics(&mut self) -> bool {
        let ended = in_time("the end of the runner", &mut self.runner).await;
        ended.is_err_and(|error| error.is_panic())
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.runner.abort();
    }
}

/// The name of the error that a call failed with.
pub(crate) fn error_name<T>(answer: Result<T, InvocationError>) -> String {
    match answer {
        Ok(_) => panic!("the call should fail"),
        Err(InvocationError::Rpc(error)) => error.name,
        Err(other) => panic!("no error of a method: {other}"),
    }
}
