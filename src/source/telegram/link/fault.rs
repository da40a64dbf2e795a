//! Why a request has no answer: what it means, and how it reads.

use std::time::Duration;

use grammers_mtsender::InvocationError;

use super::super::driver::Failure;
use super::super::refusal::{Ended, Refusal};

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    /// What it means for the updates.
    pub failure: Failure,
    /// Where it arose.
    pub place: Place,
    /// The error of Telegram, for those who know what to make of it.
    pub error: Option<RpcName>,
    /// How it is told.
    pub text: String,
}

/// An error of Telegram: its name without the number in it, and the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcName {
    /// As in `FILE_MIGRATE`.
    pub name: String,
    /// As in `FILE_MIGRATE_4`.
    pub number: Option<u32>,
}

/// Where a fault arose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The server answered.
    Server,
    /// The connection was lost, or none could be made.
    Line,
    /// Nothing came in time.
    Silence,
    /// On our side, before anything was sent.
    Here,
}

impl Fault {
    /// Something of ours is missing.
    pub fn here(failure: Failure, text: String) -> Fault {
        let place = Place::Here;
        Fault {
            failure,
            place,
            error: None,
            text,
        }
    }

    /// Telegram wants a method left alone for so long.
    pub(super) fn waits(method: &str, wait: Duration) -> Fault {
        let seconds = wait.as_secs_f64().ceil();
        let text = format!("Telegram wants {method} left alone for {seconds} s");
        Fault::here(Failure::Wait(wait), text)
    }

    /// Nothing came in time.
    pub(super) fn timed_out(limit: Duration) -> Fault {
        Fault {
            failure: Failure::Temporary,
            place: Place::Silence,
            error: None,
            text: format!("no answer within {} s", limit.as_secs_f32()),
        }
    }

    /// An answer came, and cannot be read.
    pub(super) fn garbled(method: &str, raw: Vec<u8>) -> Fault {
        Fault {
            failure: Failure::Undecodable { raw },
            place: Place::Server,
            error: None,
            text: format!("the answer to {method} cannot be read"),
        }
    }

    /// A server said it.
    fn refused(refusal: Refusal, error: &InvocationError) -> Fault {
        let text = match (refusal, error) {
            (Refusal::Ended(why), _) => why.to_string(),
            (_, InvocationError::Rpc(error)) => {
                let number = error.value.map_or_else(String::new, |n| format!(" ({n})"));
                format!("Telegram says {} {}{number}", error.code, error.name)
            }
            (_, error) => error.to_string(),
        };
        Fault {
            failure: refusal.into(),
            place: Place::Server,
            error: match error {
                InvocationError::Rpc(error) => Some(RpcName {
                    name: error.name.clone(),
                    number: error.value,
                }),
                _ => None,
            },
            text,
        }
    }
}

impl From<InvocationError> for Fault {
    fn from(error: InvocationError) -> Fault {
        if let Some(refusal) = Refusal::of(&error) {
            return Fault::refused(refusal, &error);
        }
        let (failure, place, text) = match error {
            // The server did not know the key, and the library could not make another.
            InvocationError::Authentication(_) => {
                return Fault::refused(Refusal::Ended(Ended::LoggedOut), &error);
            }
            // Told above.
            InvocationError::Rpc(error) => (Failure::Refused, Place::Server, error.to_string()),
            InvocationError::Deserialize(error) => {
                let raw = Vec::new();
                let failure = Failure::Undecodable { raw };
                (failure, Place::Server, error.to_string())
            }
            InvocationError::Io(error) => {
                let text = format!("no connection: {error}");
                (Failure::Temporary, Place::Line, text)
            }
            InvocationError::Transport(error) => {
                let text = format!("the connection failed: {error}");
                (Failure::Temporary, Place::Line, text)
            }
            InvocationError::Dropped(_) => {
                let text = "the connection was lost".to_owned();
                (Failure::Temporary, Place::Line, text)
            }
            InvocationError::Session(error) => {
                let text = format!("the session file: {error}");
                (Failure::Temporary, Place::Here, text)
            }
            InvocationError::InvalidDc => {
                let text = "the session does not know its data centre".to_owned();
                (Failure::Temporary, Place::Here, text)
            }
        };
        Fault {
            failure,
            place,
            error: None,
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grammers_mtsender::RpcError;
    use grammers_tl_types as tl;

    fn rpc(error_code: i32, message: &str) -> Fault {
        let error = tl::types::RpcError {
            error_code,
            error_message: message.to_owned(),
        };
        Fault::from(InvocationError::Rpc(RpcError::from(error)))
    }

    #[test]
    fn the_end_of_a_session_says_what_to_do() {
        for (code, message, ended) in [
            (401, "AUTH_KEY_UNREGISTERED", Ended::LoggedOut),
            (401, "SESSION_REVOKED", Ended::LoggedOut),
            (401, "USER_DEACTIVATED_BAN", Ended::Deactivated),
            (406, "AUTH_KEY_DUPLICATED", Ended::Duplicated),
        ] {
            let fault = rpc(code, message);
            assert_eq!(fault.failure, Failure::SessionEnded, "{message}");
            assert_eq!(fault.text, ended.to_string(), "{message}");
        }
        assert_eq!(
            rpc(303, "USER_MIGRATE_4").text,
            "Telegram says 303 USER_MIGRATE (4)"
        );
    }

    #[test]
    fn a_lost_line_is_told_from_a_server_that_refuses() {
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let lost = Fault::from(InvocationError::Io(lost));
        assert_eq!(
            (lost.failure, lost.place),
            (Failure::Temporary, Place::Line)
        );
        assert_eq!(rpc(500, "INTERNAL").place, Place::Server);
    }
}
