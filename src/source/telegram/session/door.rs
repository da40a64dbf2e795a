//! How an account of the daemon comes to its session. Nobody is asked for anything here.

use std::path::Path;
use std::sync::Arc;

use super::error::SessionError;
use super::{FileSession, Place};
use crate::config;
use crate::failure::{Classify, chain};
use crate::source::telegram::account::{Closed, Door};
use crate::source::telegram::login::{self, LoginError};

/// The way to the session of an account, by the configuration.
pub struct Gate {
    place: Place,
    config: config::Telegram,
}

impl Gate {
    /// To the session of an account of this configuration.
    pub fn new(data_dir: &Path, config: &config::Telegram, account: &str) -> Gate {
        Gate {
            place: Place::new(data_dir, account),
            config: config.clone(),
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
        match (session.own(), session.is_given()) {
            (Some(_), _) => Ok(session),
            // A login was begun and not finished.
            (None, false) => Err(LoginError::NotLoggedIn),
            (None, true) => {
                login::recognise(&session, self.config.api_id).await?;
                Ok(session)
            }
        }
    }
}

impl Door for Gate {
    type Session = FileSession;

    async fn open(&self) -> Result<Arc<FileSession>, Closed> {
        self.enter().await.map_err(|error| match error {
            LoginError::NotLoggedIn => Closed::NeedsLogin,
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
