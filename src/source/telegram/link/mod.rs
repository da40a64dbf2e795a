//! The client library as one piece: runner, receiver and requests of one session, made together and dropped together.
//!
//! What the library leaves to its user is here: every request has a time limit, nothing is tried again behind our
//! back, an answer that cannot be read keeps its bytes, and the socket is emptied by a task of its own ([`drain`])
//! that never waits for anyone.

mod drain;
mod fault;
mod hello;
mod nesting;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use grammers_mtsender::{
    ConnectionParams, InvocationError, NoRetries, SenderPool, SenderPoolFatHandle,
};
use grammers_session::Session;
use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{self as tl, Deserializable, Identifiable, RemoteCall};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub use drain::{Incoming, Overflow, QUEUE_MAX};
pub use fault::{Fault, Place, RpcName};
pub use hello::server_time;
pub use nesting::STACK_BYTES;

use super::budget::{Budget, Priority};
use super::driver::Failure;
use crate::status::{AccountState, Status};

/// How long an answer may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Asks Telegram, for whoever has something to ask. Cheap to clone; of no use once its [`Parts`] are gone.
#[derive(Clone)]
pub struct Link {
    wire: Arc<dyn Wire>,
    budget: Arc<Mutex<Budget>>,
    status: Status,
    account: Arc<str>,
}

/// What carries requests to the account's data centre.
pub trait Wire: Send + Sync {
    /// Sends a request's bytes, and gives the answer's.
    fn invoke(&self, request: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, InvocationError>>;
    /// The same with another data centre, where there are others.
    fn invoke_in(
        &self,
        _dc: i32,
        _request: Vec<u8>,
    ) -> BoxFuture<'_, Result<Vec<u8>, InvocationError>> {
        Box::pin(async { Err(InvocationError::InvalidDc) })
    }
    /// Drops the connection; the next request makes another.
    fn disconnect(&self);
}

impl Wire for SenderPoolFatHandle {
    fn invoke(&self, request: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, InvocationError>> {
        Box::pin(async move {
            let home = self
                .session
                .home_dc_id()
                .map_err(InvocationError::Session)?;
            self.thin.raw_invoke_in_dc(home, request).await
        })
    }

    fn invoke_in(
        &self,
        dc: i32,
        request: Vec<u8>,
    ) -> BoxFuture<'_, Result<Vec<u8>, InvocationError>> {
        Box::pin(self.thin.raw_invoke_in_dc(dc, request))
    }

    fn disconnect(&self) {
        if let Ok(home) = self.session.home_dc_id() {
            self.disconnect_from_dc(home);
        }
    }
}

/// A way to the account's data centre, before anything runs on it.
pub struct Connection {
    /// Carries requests.
    pub wire: Arc<dyn Wire>,
    /// What the server pushes.
    pub updates: mpsc::Receiver<UpdatesLike>,
    /// What drives both; its end is the connection's.
    pub runner: BoxFuture<'static, ()>,
}

impl Connection {
    /// The library's pool of a session. Nothing is connected before the first request.
    pub fn pool<S>(session: Arc<S>, api_id: i32) -> Connection
    where
        S: Session + Sized,
        S::Error: std::error::Error + Send + Sync + 'static,
    {
        let pool = SenderPool::with_configuration(session, api_id, parameters());
        Connection {
            wire: Arc::new(pool.handle),
            updates: pool.updates,
            runner: Box::pin(pool.runner.run()),
        }
    }
}

/// What lives as long as a link: dropping it ends the connection.
pub struct Parts {
    /// Updates as they come.
    pub incoming: Incoming,
    /// Whether updates had to be dropped.
    pub overflow: Overflow,
    /// What runs.
    pub tasks: Tasks,
}

/// The running parts of a link.
pub struct Tasks(JoinSet<&'static str>);

impl Tasks {
    /// Waits for a part that should not have ended, and says which and why. Cancel safe.
    pub async fn broken(&mut self) -> String {
        match self.0.join_next().await {
            Some(Ok(which)) => format!("the {which} of the client ended"),
            Some(Err(error)) if error.is_panic() => {
                let text = panic_text(error.into_panic());
                format!("the client library panicked: {text}")
            }
            Some(Err(_)) | None => "the client was ended".to_owned(),
        }
    }
}

/// The message of a panic.
pub fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic
            .downcast_ref::<&str>()
            .map_or_else(|| "no message".to_owned(), |text| (*text).to_owned()),
    }
}

/// A place of the budget, given back however the request ends.
struct Ticket(Arc<Mutex<Budget>>);

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.0).done();
    }
}

fn lock(budget: &Mutex<Budget>) -> std::sync::MutexGuard<'_, Budget> {
    budget.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Runs a connection, and empties what comes in.
    pub fn open(
        connection: Connection,
        budget: Arc<Mutex<Budget>>,
        account: &str,
        status: &Status,
    ) -> (Link, Parts) {
        let Connection {
            wire,
            updates,
            runner,
        } = connection;
        let (outlet, incoming, overflow) = drain::queue(account, status);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            runner.await;
            "connection"
        });
        tasks.spawn(async move {
            drain::run(updates, outlet).await;
            "receiver"
        });
        let link = Link {
            wire,
            budget,
            status: status.clone(),
            account: account.into(),
        };
        let parts = Parts {
            incoming,
            overflow,
            tasks: Tasks(tasks),
        };
        (link, parts)
    }

    /// The same line with another budget.
    pub fn with_budget(&self, budget: Arc<Mutex<Budget>>) -> Link {
        Link {
            budget,
            ..self.clone()
        }
    }

    /// Whether the account is here and has missed nothing.
    pub fn is_live(&self) -> bool {
        let state = &AccountState::Live;
        self.status
            .account(&self.account, |board| board.state == *state)
    }

    /// Sends a request when the budget has room for it, and again whenever Telegram asked for a wait and it is over.
    /// May take hours.
    pub async fn call<R>(&self, priority: Priority, request: &R) -> Result<R::Return, Fault>
    where
        R: RemoteCall + Identifiable,
    {
        self.call_at(None, priority, request).await
    }

    /// The same in another data centre.
    pub async fn call_in<R>(
        &self,
        dc: i32,
        priority: Priority,
        request: &R,
    ) -> Result<R::Return, Fault>
    where
        R: RemoteCall + Identifiable,
    {
        self.call_at(Some(dc), priority, request).await
    }

    async fn call_at<R>(
        &self,
        dc: Option<i32>,
        priority: Priority,
        request: &R,
    ) -> Result<R::Return, Fault>
    where
        R: RemoteCall + Identifiable,
    {
        loop {
            let ticket = self.ticket(method_of::<R>(), priority).await;
            let answer = self.send_at(dc, request, REQUEST_TIMEOUT).await;
            drop(ticket);
            match answer {
                Err(fault) if matches!(fault.failure, Failure::Wait(_)) => {}
                answer => return answer,
            }
        }
    }

    /// Sends a request once when the budget has room for it. A wait that Telegram asks for, now or before, is a fault:
    /// for those who have something better to do.
    pub async fn call_once<R>(&self, priority: Priority, request: &R) -> Result<R::Return, Fault>
    where
        R: RemoteCall + Identifiable,
    {
        let (method, now) = (method_of::<R>(), Instant::now());
        if let Some(due) = lock(&self.budget).waits_until(method, now) {
            return Err(Fault::waits(method, due.saturating_duration_since(now)));
        }
        let _ticket = self.ticket(method, priority).await;
        self.send(request, REQUEST_TIMEOUT).await
    }

    async fn ticket(&self, method: &'static str, priority: Priority) -> Ticket {
        loop {
            let taken = lock(&self.budget).take(method, priority, Instant::now());
            match taken {
                Ok(()) => return Ticket(Arc::clone(&self.budget)),
                Err(due) => tokio::time::sleep_until(due.into()).await,
            }
        }
    }

    /// Sends a request at once, past the budget, and waits for the answer so long. A wait that Telegram asks for is
    /// noted and shown.
    pub async fn send<R>(&self, request: &R, limit: Duration) -> Result<R::Return, Fault>
    where
        R: RemoteCall + Identifiable,
    {
        self.send_at(None, request, limit).await
    }

    /// The same in another data centre.
    pub async fn send_in<R>(
        &self,
        dc: i32,
        request: &R,
        limit: Duration,
    ) -> Result<R::Return, Fault>
    where
        R: RemoteCall + Identifiable,
    {
        self.send_at(Some(dc), request, limit).await
    }

    async fn send_at<R>(
        &self,
        dc: Option<i32>,
        request: &R,
        limit: Duration,
    ) -> Result<R::Return, Fault>
    where
        R: RemoteCall + Identifiable,
    {
        let method = method_of::<R>();
        self.board(|board| board.requested(method));
        let answer = match dc {
            None => self.wire.invoke(request.to_bytes()),
            Some(dc) => self.wire.invoke_in(dc, request.to_bytes()),
        };
        let fault = match tokio::time::timeout(limit, answer).await {
            Ok(Ok(bytes)) if !nesting::is_shallow(&bytes) => Fault::garbled(method, bytes),
            Ok(Ok(bytes)) => match R::Return::from_bytes(&bytes) {
                Ok(answer) => return Ok(answer),
                Err(_) => Fault::garbled(method, bytes),
            },
            Ok(Err(error)) => Fault::from(error),
            Err(_) => Fault::timed_out(limit),
        };
        if let Failure::Wait(wait) = fault.failure {
            self.flooded(method, wait, &fault.text);
        }
        Err(fault)
    }

    fn flooded(&self, method: &'static str, wait: Duration, why: &str) {
        let seconds = wait.as_secs();
        tracing::warn!(
            account = &*self.account,
            method,
            seconds,
            why,
            "a wait was asked for; the live stream goes on"
        );
        lock(&self.budget).flooded(method, wait, Instant::now());
        self.board(|board| board.waits(method, seconds));
    }

    /// Drops the connection to the account's data centre; the next request makes another. The library does not
    /// announce this by itself.
    pub fn disconnect(&self) {
        self.wire.disconnect();
    }

    fn board(&self, change: impl FnOnce(&mut crate::status::AccountBoard)) {
        self.status.account(&self.account, change);
    }
}

/// The name of a method in Telegram's schema.
fn method_of<R: Identifiable>() -> &'static str {
    tl::name_for_id(R::CONSTRUCTOR_ID)
}

/// What the program tells Telegram of itself. Fixed: a session that changes its mind about its device looks stolen.
fn parameters() -> ConnectionParams {
    ConnectionParams {
        device_model: "telegram-gateway".to_owned(),
        system_version: "Linux".to_owned(),
        app_version: "1".to_owned(),
        system_lang_code: "en".to_owned(),
        lang_code: "en".to_owned(),
        retry_policy: Box::new(NoRetries),
        updates_channel_capacity: NonZeroUsize::new(QUEUE_MAX).unwrap_or(NonZeroUsize::MIN),
        use_ipv6: false,
        __non_exhaustive: (),
    }
}
