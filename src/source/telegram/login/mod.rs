//! Logging in and out. Only a person's command does this; the daemon never asks anybody.
//!
//! | file | what |
//! |---|---|
//! | `phone` | by the code that Telegram sends |
//! | `password` | the password beside it |
//! | `qr` | by a code on the screen |
//! | `line` | a connection for a few questions |
//! | `error` | why not |

mod error;
mod line;
mod password;
mod phone;
mod qr;

use std::future::Future;
use std::io;
use std::sync::Arc;

use grammers_session::Session;
use grammers_session::types::{PeerAuth, PeerInfo};
use grammers_tl_types as tl;
use tl::enums::auth::Authorization;
use zeroize::Zeroizing;

pub use error::LoginError;

use super::session::{FileSession, Own};
use crate::config::Secret;
use line::Line;

/// How often a code or a password may be mistyped.
const ATTEMPTS: usize = 3;

/// What is asked of whoever logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The phone number.
    Phone,
    /// The code that was sent.
    Code {
        /// Where it is to be found.
        way: &'static str,
    },
    /// The password of the account.
    Password {
        /// What helps to remember it.
        hint: Option<String>,
    },
    /// The token of a bot.
    BotToken,
}

impl Question {
    /// What is asked for, in a word.
    pub fn what(&self) -> &'static str {
        match self {
            Question::Phone => "phone number",
            Question::Code { .. } => "code",
            Question::Password { .. } => "password",
            Question::BotToken => "bot token",
        }
    }
}

/// Whoever logs in.
pub trait Person: Send {
    /// Asks something.
    fn ask(
        &mut self,
        question: &Question,
    ) -> impl Future<Output = io::Result<Zeroizing<String>>> + Send;
    /// Shows a link as a code to scan.
    fn show(&mut self, link: &str);
    /// Says something.
    fn tell(&mut self, text: &str);
}

/// How somebody logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By phone number and code.
    Phone,
    /// By the token of a bot.
    Bot,
    /// By a code on the screen.
    Qr,
}

/// As which program.
#[derive(Debug, Clone, Copy)]
pub struct Application<'a> {
    /// Its number.
    pub id: i32,
    /// Its secret.
    pub hash: &'a Secret,
}

/// Logs somebody in to a session that has nobody yet, and keeps who it is.
pub async fn log_in<P: Person>(
    session: &Arc<FileSession>,
    application: Application<'_>,
    way: Way,
    person: &mut P,
) -> Result<Own, LoginError> {
    let line = Line::open(session, application.id);
    let authorization = match way {
        Way::Phone => phone::log_in(&line, &application, person).await?,
        Way::Bot => bot(&line, &application, person).await?,
        Way::Qr => qr::log_in(&line, &application, person).await?,
    };
    match authorization {
        Authorization::Authorization(it) => {
            let kept = keep(session, &it.user).await;
            if kept.is_err() {
                // Nobody could use or end a login that is not kept. What failed is told, not this.
                let _ = line.ask(&tl::functions::auth::LogOut {}).await;
            }
            kept
        }
        Authorization::SignUpRequired(_) => Err(LoginError::NoAccount),
    }
}

/// Asks Telegram who is logged in with this session, and keeps it.
pub async fn recognise(session: &Arc<FileSession>, api_id: i32) -> Result<Own, LoginError> {
    let line = Line::open(session, api_id);
    let own = tl::functions::users::GetUsers {
        id: vec![tl::enums::InputUser::UserSelf],
    };
    let users = line.ask(&own).await.map_err(LoginError::of)?;
    let own = users
        .first()
        .ok_or(LoginError::Nonsense("it knows no own account"))?;
    keep(session, own).await
}

/// Ends the session at Telegram. One that Telegram has ended already is no failure. The file stays.
pub async fn revoke(session: &Arc<FileSession>, api_id: i32) -> Result<(), LoginError> {
    let line = Line::open(session, api_id);
    let out = line.ask(&tl::functions::auth::LogOut {}).await;
    match out.map(drop).map_err(LoginError::of) {
        Err(LoginError::NotLoggedIn) => Ok(()),
        out => out,
    }
}

async fn bot<P: Person>(
    line: &Line,
    application: &Application<'_>,
    person: &mut P,
) -> Result<Authorization, LoginError> {
    let token = answer(person, Question::BotToken).await?;
    let import = tl::functions::auth::ImportBotAuthorization {
        flags: 0,
        api_id: application.id,
        api_hash: application.hash.expose().to_owned(),
        bot_auth_token: token.to_string(),
    };
    line.ask(&import).await.map_err(LoginError::of)
}

async fn answer<P: Person>(
    person: &mut P,
    question: Question,
) -> Result<Zeroizing<String>, LoginError> {
    let what = question.what();
    let given = person.ask(&question).await;
    let given = given.map_err(|source| LoginError::Unanswered { what, source })?;
    // A password may begin or end with spaces.
    Ok(match question {
        Question::Password { .. } => given,
        _ => Zeroizing::new(given.trim().to_owned()),
    })
}

async fn keep(session: &FileSession, user: &tl::enums::User) -> Result<Own, LoginError> {
    let tl::enums::User::User(user) = user else {
        return Err(LoginError::Nonsense("the own account is empty"));
    };
    let own = Own {
        id: user.id,
        is_bot: user.bot,
    };
    let peer = PeerInfo::User {
        id: user.id,
        auth: user.access_hash.map(PeerAuth::from_hash),
        bot: Some(user.bot),
        is_self: Some(true),
    };
    session.cache_peer(peer).await?;
    session.logged_in(own).await?;
    Ok(own)
}
