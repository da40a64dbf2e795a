//! `login`: a person becomes the account of a session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::args::Globals;
use super::super::{CommandResult, output};
use super::Setting;
use super::args::LoginArgs;
use super::person::Asked;
use crate::config::Telegram;
use crate::failure::Exit;
use crate::source::telegram::login::{self, Application, LoginError, Way};
use crate::source::telegram::session::{Claim, FileSession, Own, Place, SessionError};

/// A daemon whose session Telegram has ended looks at the file now and then, for an instant.
const PATIENCE: Duration = Duration::from_secs(3);
const BETWEEN: Duration = Duration::from_millis(50);

pub(in crate::cli) async fn run(globals: &Globals, args: &LoginArgs) -> CommandResult {
    let setting = Setting::load(globals)?;
    let place = setting.place(args.account.as_deref())?;
    let mut person = Asked::new(args.stdin)?;
    let way = match (args.bot, args.qr) {
        (true, _) => Way::Bot,
        (_, true) => Way::Qr,
        _ => Way::Phone,
    };
    let claim = claim(&place).await?;
    let (own, how) = match known(&claim, &setting.telegram).await? {
        Some(own) => (own, "is logged in already"),
        None => {
            let own = enter(&claim, &setting.telegram, way, &mut person).await?;
            (own, "is logged in")
        }
    };
    let kind = if own.is_bot { "bot" } else { "user" };
    let (account, id) = (place.account(), own.id);
    output::print(&format!("account {account} {how} as {kind} {id}\n"))?;
    if let Some(warning) = setting.telegram.nothing_followed() {
        output::say(warning);
    }
    Ok(Exit::Ok)
}

async fn claim(place: &Place) -> Result<Claim, SessionError> {
    let started = Instant::now();
    loop {
        match place.claim() {
            Err(SessionError::Held { .. }) if started.elapsed() < PATIENCE => {
                tokio::time::sleep(BETWEEN).await;
            }
            claimed => return claimed,
        }
    }
}

/// Who is logged in with the session there; none when it is none, or not finished, or Telegram has ended it.
async fn known(claim: &Claim, config: &Telegram) -> Result<Option<Own>, LoginError> {
    let Some(session) = FileSession::open(claim, &config.session_key, config.dc.as_ref())? else {
        return Ok(None);
    };
    if session.own().is_none() && !session.is_given() {
        return Ok(None);
    }
    match login::recognise(&Arc::new(session), config.api_id).await {
        Ok(own) => Ok(Some(own)),
        Err(LoginError::NotLoggedIn) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Logs in to a new session. What comes of no login is not left behind.
async fn enter(
    claim: &Claim,
    config: &Telegram,
    way: Way,
    person: &mut Asked,
) -> Result<Own, LoginError> {
    let session = FileSession::create(claim, &config.session_key, config.dc.as_ref())?;
    let entered = identify(Arc::new(session), config, way, person).await;
    if entered.is_err() {
        claim.wipe()?;
    }
    entered
}

/// A given key may be logged in already; for any other, somebody is asked.
async fn identify(
    session: Arc<FileSession>,
    config: &Telegram,
    way: Way,
    person: &mut Asked,
) -> Result<Own, LoginError> {
    if session.is_given() {
        match login::recognise(&session, config.api_id).await {
            Err(LoginError::NotLoggedIn) => {}
            told => return told,
        }
    }
    let application = Application {
        id: config.api_id,
        hash: &config.api_hash,
    };
    login::log_in(&session, application, way, person).await
}
