//! What a refused or lost call means for the updates.

use std::time::Duration;

/// The longest wait that is believed; Telegram's own end at a day.
const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why a [`Request`](super::Request) has no answer, as far as it decides what happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Telegram, or the caller's own budget, wants this call not made before so long.
    Wait(Duration),
    /// The server's own trouble, a lost connection or a missed deadline: the same call works later.
    Temporary,
    /// The server does not know our position.
    InvalidPosition,
    /// The account may not read this channel now.
    LostAccess,
    /// There is no access hash of the channel, or the one there is was refused.
    UnknownChannel,
    /// The answer came, and could not be read.
    Undecodable {
        /// Its bytes, where the caller still has them.
        raw: Vec<u8>,
    },
    /// The call itself is refused, and would be again.
    Refused,
    /// No call of this session will do better.
    SessionEnded,
}

impl Failure {
    /// Reads an RPC error: its code, its name without the number, and the number.
    pub fn from_rpc(code: i32, name: &str, value: Option<u32>) -> Failure {
        let wait = || {
            let seconds = u64::from(value.unwrap_or(60));
            Failure::Wait(Duration::from_secs(seconds).min(WAIT_MAX))
        };
        match (code, name) {
            (420, _) | (_, "SLOWMODE_WAIT") => wait(),
            (_, "PERSISTENT_TIMESTAMP_INVALID" | "PERSISTENT_TIMESTAMP_EMPTY" | "DATE_EMPTY") => {
                Failure::InvalidPosition
            }
            // The server's copies disagree: the position is right, the moment is not.
            (_, "PERSISTENT_TIMESTAMP_OUTDATED" | "TIMEOUT" | "CONNECTION_NOT_INITED") => {
                Failure::Temporary
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
            ) => Failure::LostAccess,
            (_, "CHANNEL_INVALID" | "PEER_ID_INVALID") => Failure::UnknownChannel,
            (401, _) | (_, "AUTH_KEY_DUPLICATED" | "USER_DEACTIVATED" | "USER_DEACTIVATED_BAN") => {
                Failure::SessionEnded
            }
            // Codes below zero are the transport's (-429, -503); 500 and above the server's own.
            (..0 | 500.., _) => Failure::Temporary,
            _ => Failure::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_wait_is_read_alike() {
        let wait = |seconds| Failure::Wait(Duration::from_secs(seconds));
        for name in ["FLOOD_WAIT", "FLOOD_PREMIUM_WAIT", "FLOOD_TEST_PHONE_WAIT"] {
            assert_eq!(Failure::from_rpc(420, name, Some(31)), wait(31), "{name}");
        }
        assert_eq!(Failure::from_rpc(400, "SLOWMODE_WAIT", Some(5)), wait(5));
        assert_eq!(Failure::from_rpc(420, "FLOOD_WAIT", None), wait(60));
        let longest = Failure::from_rpc(420, "FLOOD_WAIT", Some(u32::MAX));
        assert_eq!(longest, Failure::Wait(WAIT_MAX));
    }

    #[test]
    fn each_error_decides_what_happens_next() {
        for (code, name, expected) in [
            (
                400,
                "PERSISTENT_TIMESTAMP_INVALID",
                Failure::InvalidPosition,
            ),
            (500, "PERSISTENT_TIMESTAMP_OUTDATED", Failure::Temporary),
            (400, "CHANNEL_INVALID", Failure::UnknownChannel),
            (400, "CHANNEL_PRIVATE", Failure::LostAccess),
            (406, "CHANNEL_PRIVATE", Failure::LostAccess),
            (400, "LIMIT_INVALID", Failure::Refused),
            (500, "SOMETHING_NEW", Failure::Temporary),
            (-503, "Timedout", Failure::Temporary),
            (-429, "", Failure::Temporary),
            (400, "TIMEOUT", Failure::Temporary),
            (401, "AUTH_KEY_UNREGISTERED", Failure::SessionEnded),
            (401, "SOMETHING_NEW", Failure::SessionEnded),
            (406, "AUTH_KEY_DUPLICATED", Failure::SessionEnded),
        ] {
            assert_eq!(
                Failure::from_rpc(code, name, None),
                expected,
                "{code} {name}"
            );
        }
    }
}
