//! Why a login or logout did not come about, and what to do.

use std::io;
use std::time::Duration;

use grammers_mtproto::transport;
use grammers_mtsender::{InvocationError, RpcError};

use super::super::session::SessionError;
use crate::failure::{Class, Classify, Exit};

/// Why a login or logout did not come about. Holds nothing that was typed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The session file.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Telegram could not be reached.
    #[error("cannot reach Telegram: {0}")]
    Line(String),
    /// Nothing came in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silence(Duration),
    /// The key has no account.
    #[error("nobody is logged in with this session")]
    NotLoggedIn,
    /// Telegram wants to be left alone for a while.
    #[error("Telegram wants to be left alone for {} s", .0.as_secs())]
    Wait(Duration),
    /// What was typed was wrong, as often as it may be.
    #[error("the {0} is wrong")]
    Wrong(&'static str),
    /// The number has no account.
    #[error("there is no account with this number")]
    NoAccount,
    /// Telegram refused.
    #[error("Telegram says {code} {name}")]
    Refused {
        /// The number of the error.
        code: i32,
        /// Its name.
        name: String,
    },
    /// Telegram wants something that this program cannot do.
    #[error("Telegram asks for {0}, which this program cannot give")]
    Beyond(&'static str),
    /// An answer could not be read, or was not what a server may say.
    #[error("the answer of the server is not what it should be: {0}")]
    Nonsense(&'static str),
    /// The code on the screen was not scanned.
    #[error("nobody scanned the code")]
    NotScanned,
    /// Whoever should answer did not.
    #[error("the {what} was not given")]
    Unanswered {
        /// What was asked for.
        what: &'static str,
        /// Why there is none.
        source: io::Error,
    },
}

impl LoginError {
    /// What an error of the library means.
    pub(super) fn of(error: InvocationError) -> LoginError {
        match error {
            InvocationError::Rpc(error) => LoginError::of_rpc(error),
            // Said before anything is encrypted: the server does not know the key.
            InvocationError::Transport(transport::Error::BadStatus { status: 404 }) => {
                LoginError::NotLoggedIn
            }
            InvocationError::Session(error) => match error.downcast::<SessionError>() {
                Ok(error) => match *error {
                    // The same, after the library had asked for another key.
                    SessionError::KeyKept(_) => LoginError::NotLoggedIn,
                    error => LoginError::Session(error),
                },
                Err(error) => LoginError::Line(error.to_string()),
            },
            InvocationError::Deserialize(_) => LoginError::Nonsense("it cannot be read"),
            error => LoginError::Line(error.to_string()),
        }
    }

    fn of_rpc(error: RpcError) -> LoginError {
        let seconds = u64::from(error.value.unwrap_or(0));
        match (error.code, error.name.as_str()) {
            (420, _) => LoginError::Wait(Duration::from_secs(seconds)),
            (401, "SESSION_PASSWORD_NEEDED") => LoginError::Beyond("a password again"),
            (401 | 406, _) => LoginError::NotLoggedIn,
            (_, "ACCESS_TOKEN_INVALID" | "ACCESS_TOKEN_EXPIRED") => LoginError::Wrong("bot token"),
            (_, "PHONE_NUMBER_INVALID") => LoginError::Wrong("phone number"),
            (_, "PHONE_NUMBER_UNOCCUPIED") => LoginError::NoAccount,
            (code, _) => LoginError::Refused {
                code,
                name: error.name,
            },
        }
    }
}

impl Classify for LoginError {
    fn class(&self) -> Class {
        match self {
            LoginError::Session(error) => error.class(),
            LoginError::Line(_) | LoginError::Silence(_) | LoginError::Wait(_) => Class::Transient,
            LoginError::Nonsense(_) => Class::Corrupt,
            LoginError::NotLoggedIn
            | LoginError::Wrong(_)
            | LoginError::NoAccount
            | LoginError::Refused { .. }
            | LoginError::Beyond(_)
            | LoginError::NotScanned
            | LoginError::Unanswered { .. } => Class::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            LoginError::Session(error) => return error.hint(),
            LoginError::Wait(wait) => format!("try again in {} s, not before", wait.as_secs()),
            LoginError::NotLoggedIn => "telegram-gateway login".to_owned(),
            LoginError::NoAccount => "register the number with an app of Telegram first".to_owned(),
            LoginError::Refused { name, .. } => refusal_hint(name)?.to_owned(),
            LoginError::Beyond(_) => "log in by QR code: telegram-gateway login --qr".to_owned(),
            LoginError::Line(_) | LoginError::Silence(_) => {
                "check the network; Telegram may be blocked there".to_owned()
            }
            LoginError::Unanswered { .. } => {
                "run it at a terminal, or give the answers line by line with --stdin".to_owned()
            }
            LoginError::Wrong(_) | LoginError::Nonsense(_) | LoginError::NotScanned => return None,
        })
    }

    fn exit(&self) -> Exit {
        match self {
            LoginError::Session(error) => error.exit(),
            LoginError::Wrong(_)
            | LoginError::NoAccount
            | LoginError::NotLoggedIn
            | LoginError::Refused { .. } => Exit::Auth,
            LoginError::Unanswered { .. } => Exit::Usage,
            LoginError::Beyond(_) | LoginError::NotScanned => Exit::Failure,
            LoginError::Line(_) | LoginError::Silence(_) | LoginError::Wait(_) => Exit::Backend,
            LoginError::Nonsense(_) => Exit::Data,
        }
    }
}

fn refusal_hint(name: &str) -> Option<&'static str> {
    match name {
        "API_ID_INVALID" | "API_ID_PUBLISHED_FLOOD" => {
            Some("mend telegram.api_id and telegram.api_hash: https://my.telegram.org")
        }
        "PHONE_NUMBER_BANNED" | "USER_DEACTIVATED" | "USER_DEACTIVATED_BAN" => {
            Some("Telegram has closed the account: use another one")
        }
        "PHONE_CODE_EXPIRED" => Some("run login again for a new code"),
        _ => None,
    }
}
