//! Why a request has no answer: what it means, and how it reads.

use std::time::Duration;

use grammers_mtproto::transport;
use grammers_mtsender::InvocationError;

use super::super::driver::Failure;
use super::super::session::SessionError;

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

/// Why a session is at its end, told to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Ended {
    /// The server does not know the session, or a person ended it on another device.
    #[error("Telegram has ended the session: log in again with telegram-gateway login")]
    LoggedOut,
    /// The account is gone or banned.
    #[error("Telegram has deactivated the account: log in with another one")]
    Deactivated,
    /// Two programs used one session; Telegram ends it for both.
    #[error(
        "the session was used in two places at once and Telegram has ended it: end the other program, then log in \
         again with telegram-gateway login"
    )]
    Duplicated,
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

    fn ended(why: Ended) -> Fault {
        Fault {
            failure: Failure::SessionEnded,
            place: Place::Server,
            error: None,
            text: why.to_string(),
        }
    }
}

impl From<InvocationError> for Fault {
    fn from(error: InvocationError) -> Fault {
        let (failure, place, text) = match error {
            InvocationError::Rpc(error) => {
                let failure = Failure::from_rpc(error.code, &error.name, error.value);
                if failure == Failure::SessionEnded {
                    return Fault::ended(Ended::of(&error.name));
                }
                return Fault {
                    failure,
                    place: Place::Server,
                    text: format!("Telegram says {} {}", error.code, error.name),
                    error: Some(RpcName {
                        name: error.name,
                        number: error.value,
                    }),
                };
            }
            // Said before anything is encrypted: the server does not know the key. The library then asks for another
            // one, which is not made, or which the session refuses to keep.
            InvocationError::Transport(transport::Error::BadStatus { status: 404 })
            | InvocationError::Authentication(_) => return Fault::ended(Ended::LoggedOut),
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
                if let Some(SessionError::KeyKept(_)) = error.downcast_ref() {
                    return Fault::ended(Ended::LoggedOut);
                }
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

impl Ended {
    fn of(name: &str) -> Ended {
        match name {
            "AUTH_KEY_DUPLICATED" => Ended::Duplicated,
            "USER_DEACTIVATED" | "USER_DEACTIVATED_BAN" => Ended::Deactivated,
            _ => Ended::LoggedOut,
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
    fn every_kind_of_wait_is_one() {
        for (code, message, seconds) in [
            (420, "FLOOD_WAIT_31", 31),
            (420, "FLOOD_PREMIUM_WAIT_7", 7),
            (400, "SLOWMODE_WAIT_90", 90),
            (420, "FLOOD_TEST_PHONE_WAIT_3600", 3600),
        ] {
            let wait = Failure::Wait(Duration::from_secs(seconds));
            assert_eq!(rpc(code, message).failure, wait, "{message}");
        }
    }

    #[test]
    fn a_key_that_the_session_keeps_although_the_server_wants_another_is_its_end() {
        let kept = Fault::from(InvocationError::Session(SessionError::KeyKept(2).into()));
        assert_eq!(kept, Fault::ended(Ended::LoggedOut));
        let other = Fault::from(InvocationError::Session(SessionError::Unfinished.into()));
        assert_eq!(other.failure, Failure::Temporary);
    }

    #[test]
    fn the_end_of_a_session_says_what_to_do() {
        for (code, message, ended) in [
            (401, "AUTH_KEY_UNREGISTERED", Ended::LoggedOut),
            (401, "SESSION_REVOKED", Ended::LoggedOut),
            (401, "USER_DEACTIVATED_BAN", Ended::Deactivated),
            (406, "AUTH_KEY_DUPLICATED", Ended::Duplicated),
        ] {
            assert_eq!(rpc(code, message), Fault::ended(ended), "{message}");
        }
        let unknown = transport::Error::BadStatus { status: 404 };
        let unknown = Fault::from(InvocationError::Transport(unknown));
        assert_eq!(unknown, Fault::ended(Ended::LoggedOut));
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
