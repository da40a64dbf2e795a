//! One connection for a few questions: what logging in and out needs, and nothing of what a mirror needs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grammers_mtsender::InvocationError;
use grammers_session::Session;
use grammers_session::updates::UpdatesLike;
use grammers_tl_types as tl;
use tl::{Deserializable, RemoteCall};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::link::{Connection, REQUEST_TIMEOUT, Wire};
use super::super::refusal::Refusal;
use super::super::session::FileSession;
use super::error::LoginError;

/// A connection to the data centre of a session. Dropping it ends the connection.
pub(super) struct Line {
    wire: Arc<dyn Wire>,
    pub(super) session: Arc<FileSession>,
    updates: Mutex<mpsc::Receiver<UpdatesLike>>,
    runner: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.runner.abort();
    }
}

impl Line {
    pub(super) fn open(session: &Arc<FileSession>, api_id: i32) -> Line {
        let connection = Connection::pool(Arc::clone(session), api_id);
        Line {
            wire: connection.wire,
            session: Arc::clone(session),
            updates: Mutex::new(connection.updates),
            runner: tokio::spawn(connection.runner),
        }
    }

    /// Asks once. Told to ask another data centre, it goes there, and the session stays there.
    pub(super) async fn ask<R: RemoteCall>(
        &self,
        request: &R,
    ) -> Result<R::Return, InvocationError> {
        let answer = self.ask_here(request).await;
        let refusal = answer.as_ref().err().and_then(Refusal::of);
        let Some(Refusal::Moved(dc)) = refusal else {
            return answer;
        };
        self.go_to(dc).await?;
        self.ask_here(request).await
    }

    /// Asks the data centre where the session is now.
    pub(super) async fn ask_here<R: RemoteCall>(
        &self,
        request: &R,
    ) -> Result<R::Return, InvocationError> {
        let answer = self.wire.invoke(request.to_bytes());
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, answer).await;
        let bytes =
            answer.map_err(|_| InvocationError::Io(std::io::ErrorKind::TimedOut.into()))??;
        R::Return::from_bytes(&bytes).map_err(InvocationError::from)
    }

    /// Moves the session to another data centre.
    pub(super) async fn go_to(&self, dc: i32) -> Result<(), InvocationError> {
        self.wire.disconnect();
        let moved = self.session.set_home_dc_id(dc).await;
        moved.map_err(|error| InvocationError::Session(error.into()))
    }

    /// Waits at most so long for the news that a code was scanned. Other news is of no use before a login.
    pub(super) async fn scanned(&self, limit: Duration) -> Result<(), LoginError> {
        let news = async {
            loop {
                let next = std::future::poll_fn(|context| {
                    let mut updates = self.updates.lock().unwrap_or_else(PoisonError::into_inner);
                    updates.poll_recv(context)
                });
                match next.await {
                    Some(UpdatesLike::Updates(updates)) if tells_of_a_scan(&updates) => {
                        return Ok(());
                    }
                    Some(_) => {}
                    None => return Err(LoginError::Line("the connection ended".to_owned())),
                }
            }
        };
        // Silence is no error: the code is shown anew.
        tokio::time::timeout(limit, news).await.unwrap_or(Ok(()))
    }
}

fn tells_of_a_scan(updates: &tl::enums::Updates) -> bool {
    let is_it = |update: &tl::enums::Update| matches!(update, tl::enums::Update::LoginToken);
    match updates {
        tl::enums::Updates::UpdateShort(short) => is_it(&short.update),
        tl::enums::Updates::Updates(many) => many.updates.iter().any(is_it),
        tl::enums::Updates::Combined(many) => many.updates.iter().any(is_it),
        _ => false,
    }
}
