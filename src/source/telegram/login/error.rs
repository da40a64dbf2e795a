//! Why a login or logout did not come about, and what to do.

use std::io;
use std::time::Duration;

use grammers_mtsender::{InvocationError, RpcError};

use super::super::refusal::Refusal;
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
        let refusal = Refusal::of(&error);
        match (error, refusal) {
            (InvocationError::Rpc(error), refusal) => LoginError::of_rpc(error, refusal),
            (_, Some(Refusal::Ended(_))) => LoginError::NotLoggedIn,
            (InvocationError::Session(error), _) => match error.downcast::<SessionError>() {
                Ok(error) => LoginError::Session(*error),
                Err(error) => LoginError::Line(error.to_string()),
            },
            (InvocationError::Deserialize(_), _) => LoginError::Nonsense("it cannot be read"),
            (error, _) => LoginError::Line(error.to_string()),
        }
    }

    /// Some errors mean more to whoever logs in than to anybody else.
    fn of_rpc(error: RpcError, refusal: Option<Refusal>) -> LoginError {
        match (error.name.as_str(), refusal) {
            ("SESSION_PASSWORD_NEEDED", _) => LoginError::Beyond("a password again"),
            ("ACCESS_TOKEN_INVALID" | "ACCESS_TOKEN_EXPIRED", _) => LoginError::Wrong("bot token"),
            ("PHONE_NUMBER_INVALID", _) => LoginError::Wrong("phone number"),
            ("PHONE_NUMBER_UNOCCUPIED", _) => LoginError::NoAccount,
            (_, Some(Refusal::Wait(wait))) => LoginError::Wait(wait),
            (_, Some(Refusal::Ended(_))) => LoginError::NotLoggedIn,
            _ => LoginError::Refused {
                code: error.code,
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
