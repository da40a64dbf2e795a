//! What a refused or lost call means for the updates.

use std::time::Duration;

use super::super::refusal::Refusal;

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
    /// The account lives in another data centre: no call of this connection will do better.
    Moved(i32),
    /// No call of this session will do better.
    SessionEnded,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Wait(wait) => Failure::Wait(wait),
            Refusal::Temporary => Failure::Temporary,
            Refusal::InvalidPosition => Failure::InvalidPosition,
            Refusal::LostAccess => Failure::LostAccess,
            Refusal::UnknownChannel => Failure::UnknownChannel,
            Refusal::Moved(dc) => Failure::Moved(dc),
            Refusal::Ended(_) => Failure::SessionEnded,
            Refusal::Other => Failure::Refused,
        }
    }
}
