//! What Telegram's errors mean. The one table of them: the link, the driver, the login all go by it.

use std::time::Duration;

use grammers_mtproto::transport;
use grammers_mtsender::{InvocationError, RpcError};

use super::session::SessionError;

/// The longest wait that is believed; Telegram's own end at a day.
const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The shortest: a wait of nothing would be a call without a pause, for ever.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// A wait that is asked for without saying how long.
const WAIT_UNTOLD: u32 = 60;

/// What the server refused a call for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The call must not be made before so long.
    Wait(Duration),
    /// Trouble of the server: the same call works later.
    Temporary,
    /// The server does not know our position.
    InvalidPosition,
    /// The account may not read this channel now.
    LostAccess,
    /// The channel is not known by this access hash.
    UnknownChannel,
    /// The account lives in this data centre now.
    Moved(i32),
    /// No call of this session will do better.
    Ended(Ended),
    /// The call itself is refused, and would be again.
    Other,
}

/// Why a session is at its end, told to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
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

impl Refusal {
    /// What an error of the library means, where it is the word of a server; none for what got none.
    pub fn of(error: &InvocationError) -> Option<Refusal> {
        match error {
            InvocationError::Rpc(error) => Some(Refusal::of_rpc(error)),
            // Said before anything is encrypted: the server does not know the key.
            InvocationError::Transport(transport::Error::BadStatus { status: 404 }) => {
                Some(Refusal::Ended(Ended::LoggedOut))
            }
            // The same, after the library had asked for another key.
            InvocationError::Session(error) => match error.downcast_ref() {
                Some(SessionError::KeyKept(_)) => Some(Refusal::Ended(Ended::LoggedOut)),
                _ => None,
            },
            _ => None,
        }
    }

    fn of_rpc(error: &RpcError) -> Refusal {
        Refusal::named(error.code, &error.name, error.value)
    }

    /// What an RPC error means: its code, its name without the number, and the number.
    pub fn named(code: i32, name: &str, value: Option<u32>) -> Refusal {
        match (code, name) {
            (420, _) | (_, "SLOWMODE_WAIT") => {
                let wait = Duration::from_secs(u64::from(value.unwrap_or(WAIT_UNTOLD)));
                Refusal::Wait(wait.clamp(WAIT_MIN, WAIT_MAX))
            }
            (303, "USER_MIGRATE" | "PHONE_MIGRATE" | "NETWORK_MIGRATE") => {
                let dc = value.and_then(|dc| i32::try_from(dc).ok());
                dc.map_or(Refusal::Other, Refusal::Moved)
            }
            (_, "PERSISTENT_TIMESTAMP_INVALID" | "PERSISTENT_TIMESTAMP_EMPTY" | "DATE_EMPTY") => {
                Refusal::InvalidPosition
            }
            // The server's copies disagree: the position is right, the moment is not.
            (_, "PERSISTENT_TIMESTAMP_OUTDATED" | "TIMEOUT" | "CONNECTION_NOT_INITED") => {
                Refusal::Temporary
            }
            (
                _,
                "CHANNEL_PRIVATE"
                | "CHANNEL_PUBLIC_GROUP_NA"
                | "CHANNEL_MONOFORUM_UNSUPPORTED"
                | "CHAT_FORBIDDEN"
                | "CHAT_ADMIN_REQUIRED"
                | "USER_BANNED_IN_CHANNEL"
                | "USER_NOT_PARTICIPANT",
            ) => Refusal::LostAccess,
            (_, "CHANNEL_INVALID" | "PEER_ID_INVALID") => Refusal::UnknownChannel,
            (_, "AUTH_KEY_DUPLICATED") => Refusal::Ended(Ended::Duplicated),
            (_, "USER_DEACTIVATED" | "USER_DEACTIVATED_BAN") => Refusal::Ended(Ended::Deactivated),
            (401, _) => Refusal::Ended(Ended::LoggedOut),
            // Codes below zero are the transport's (-429, -503); 500 and above the server's own.
            (..0 | 500.., _) => Refusal::Temporary,
            _ => Refusal::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grammers_tl_types as tl;

    /// As the wire has it.
    fn of(error_code: i32, message: &str) -> Refusal {
        let error = tl::types::RpcError {
            error_code,
            error_message: message.to_owned(),
        };
        let refusal = Refusal::of(&InvocationError::Rpc(RpcError::from(error)));
        refusal.expect("the server's word")
    }

    #[test]
    fn every_error_decides_what_happens_next() {
        let wait = |seconds| Refusal::Wait(Duration::from_secs(seconds));
        for (code, message, expected) in [
            (420, "FLOOD_WAIT_31", wait(31)),
            (420, "FLOOD_PREMIUM_WAIT_7", wait(7)),
            (400, "SLOWMODE_WAIT_90", wait(90)),
            (420, "FLOOD_TEST_PHONE_WAIT_3600", wait(3600)),
            (420, "FLOOD_WAIT", wait(60)),
            (420, "FLOOD_WAIT_0", wait(1)),
            (420, "FLOOD_WAIT_4294967295", Refusal::Wait(WAIT_MAX)),
            (303, "USER_MIGRATE_4", Refusal::Moved(4)),
            (303, "PHONE_MIGRATE_5", Refusal::Moved(5)),
            (303, "NETWORK_MIGRATE_1", Refusal::Moved(1)),
            (303, "USER_MIGRATE_4294967295", Refusal::Other),
            (303, "USER_MIGRATE", Refusal::Other),
            // Where a file is says nothing about the account.
            (303, "FILE_MIGRATE_4", Refusal::Other),
            (
                400,
                "PERSISTENT_TIMESTAMP_INVALID",
                Refusal::InvalidPosition,
            ),
            (500, "PERSISTENT_TIMESTAMP_OUTDATED", Refusal::Temporary),
            (400, "CHANNEL_INVALID", Refusal::UnknownChannel),
            (400, "CHANNEL_PRIVATE", Refusal::LostAccess),
            (406, "CHANNEL_PRIVATE", Refusal::LostAccess),
            (400, "LIMIT_INVALID", Refusal::Other),
            (500, "SOMETHING_NEW", Refusal::Temporary),
            (-503, "Timedout", Refusal::Temporary),
            (-429, "", Refusal::Temporary),
            (400, "TIMEOUT", Refusal::Temporary),
            (
                401,
                "AUTH_KEY_UNREGISTERED",
                Refusal::Ended(Ended::LoggedOut),
            ),
            (401, "SESSION_REVOKED", Refusal::Ended(Ended::LoggedOut)),
            (401, "SOMETHING_NEW", Refusal::Ended(Ended::LoggedOut)),
            (401, "USER_DEACTIVATED", Refusal::Ended(Ended::Deactivated)),
            (
                400,
                "USER_DEACTIVATED_BAN",
                Refusal::Ended(Ended::Deactivated),
            ),
            (
                406,
                "AUTH_KEY_DUPLICATED",
                Refusal::Ended(Ended::Duplicated),
            ),
        ] {
            assert_eq!(of(code, message), expected, "{code} {message}");
        }
    }

    #[test]
    fn a_key_that_the_server_does_not_know_is_the_end_and_a_lost_line_is_no_word_of_a_server() {
        let ended = Some(Refusal::Ended(Ended::LoggedOut));
        let unknown = transport::Error::BadStatus { status: 404 };
        assert_eq!(Refusal::of(&InvocationError::Transport(unknown)), ended);
        let kept = InvocationError::Session(SessionError::KeyKept(2).into());
        assert_eq!(Refusal::of(&kept), ended);
        let other = InvocationError::Session(SessionError::Unfinished.into());
        assert_eq!(Refusal::of(&other), None);
        let busy = transport::Error::BadStatus { status: 429 };
        assert_eq!(Refusal::of(&InvocationError::Transport(busy)), None);
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(Refusal::of(&InvocationError::Io(lost)), None);
    }
}
