//! How an account of the daemon comes to its session. Nobody is asked for anything here.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::SessionError;
use super::{FileSession, Place};
use crate::config;
use crate::failure::{Classify, chain};
use crate::source::telegram::account::{Closed, Door, Mark};
use crate::source::telegram::login::{self, LoginError};

/// How soon Telegram is asked again whether somebody is logged in with a given key. Another login is noticed at once.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The way to the session of an account, by the configuration.
pub struct Gate {
    place: Place,
    config: config::Telegram,
    /// The session that nobody is logged in with, and when Telegram said so.
    refused: Mutex<Option<(Option<Mark>, Instant)>>,
}

impl Gate {
    /// To the session of an account of this configuration.
    pub fn new(data_dir: &Path, config: &config::Telegram, account: &str) -> Gate {
        Gate {
            place: Place::new(data_dir, account),
            config: config.clone(),
            refused: Mutex::new(None),
        }
    }

    /// The session as it is, or a new one for a given data centre; none when somebody has to log in first, and then
    /// nothing is held.
    fn session(
        place: &Place,
        config: &config::Telegram,
    ) -> Result<Option<FileSession>, SessionError> {
        let centre = config.dc.as_ref();
        if centre.is_none() && !place.is_taken()? {
            return Ok(None);
        }
        let claim = place.claim()?;
        match FileSession::open(&claim, &config.session_key, centre)? {
            Some(session) => Ok(Some(session)),
            None if centre.is_some() => {
                FileSession::create(&claim, &config.session_key, centre).map(Some)
            }
            None => Ok(None),
        }
    }
}

impl Gate {
    /// The session, of somebody who is logged in. Nobody else can open it while it is held.
    pub async fn enter(&self) -> Result<Arc<FileSession>, LoginError> {
        let (place, config) = (self.place.clone(), self.config.clone());
        let opened = tokio::task::spawn_blocking(move || Gate::session(&place, &config)).await;
        let opened = opened.unwrap_or(Err(SessionError::Unfinished))?;
        let session = Arc::new(opened.ok_or(LoginError::NotLoggedIn)?);
        if session.own().is_some() {
            return Ok(session);
        }
        let mark = self.place.mark();
        // A login was begun and not finished, or Telegram knows of none.
        if !session.is_given() || self.was_refused(mark) {
            return Err(LoginError::NotLoggedIn);
        }
        let known = login::recognise(&session, self.config.api_id).await;
        if let Err(LoginError::NotLoggedIn) = known {
            *self.refused() = Some((mark, Instant::now()));
        }
        known.map(|_| session)
    }

    fn refused(&self) -> MutexGuard<'_, Option<(Option<Mark>, Instant)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether Telegram said not long ago that nobody is logged in with this session.
    fn was_refused(&self, mark: Option<Mark>) -> bool {
        let refused = *self.refused();
        refused.is_some_and(|(which, at)| which == mark && at.elapsed() < ASK_AGAIN)
    }
}

impl Door for Gate {
    type Session = FileSession;

    fn mark(&self) -> Option<Mark> {
        self.place.mark()
    }

    async fn open(&self) -> Result<Arc<FileSession>, Closed> {
        self.enter().await.map_err(|error| match error {
            LoginError::NotLoggedIn => Closed::NeedsLogin,
            // The log is this daemon's alone, so it can only be a command beside it.
            LoginError::Session(SessionError::Held { holder, .. }) => Closed::Busy(format!(
                "a login is under way, or another command is at the session: {holder}"
            )),
            error => stuck(&error),
        })
    }
}

fn stuck(error: &dyn Classify) -> Closed {
    let mut text = chain(error);
    if let Some(hint) = error.hint() {
        text.push_str(": ");
        text.push_str(&hint);
    }
    Closed::Stuck(text)
}
