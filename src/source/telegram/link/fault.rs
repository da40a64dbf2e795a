//! Why a request has no answer: what it means, and how it reads.

use std::time::Duration;

use grammers_mtproto::transport;
use grammers_mtsender::InvocationError;

use super::super::rpc_failure::Failure;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    /// What it means for what happens next.
    pub failure: Failure,
    /// How it is told.
    pub text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Answered,
    Lost,
    TimedOut,
}

impl Fault {
    /// Something of ours is wrong, not of the line.
    pub fn ours(failure: Failure, text: String) -> Fault {
        Fault {
            failure,
            text,
            kind: Kind::Answered,
        }
    }

    /// Whether nobody was there.
    pub fn is_lost(&self) -> bool {
        self.kind != Kind::Answered
    }

    /// Whether nothing came in time.
    pub fn is_timeout(&self) -> bool {
        self.kind == Kind::TimedOut
    }

    /// Nothing came in time.
    pub(super) fn timed_out(limit: Duration) -> Fault {
        Fault {
            failure: Failure::Temporary,
            text: format!("no answer within {} s", limit.as_secs_f32()),
            kind: Kind::TimedOut,
        }
    }

    /// An answer came, and cannot be read.
    pub(super) fn garbled(method: &str, raw: Vec<u8>) -> Fault {
        Fault {
            failure: Failure::Undecodable { raw },
            text: format!("the answer to {method} cannot be read"),
            kind: Kind::Answered,
        }
    }
}

impl From<InvocationError> for Fault {
    fn from(error: InvocationError) -> Fault {
        let failure = match &error {
            InvocationError::Rpc(error) => Failure::from_rpc(error.code, &error.name, error.value),
            // Said before anything is encrypted: the server does not know the key. The library then asks for another
            // one, which is not made, or which our session refuses to keep.
            InvocationError::Transport(transport::Error::BadStatus { status: 404 })
            | InvocationError::Authentication(_) => Failure::UnknownKey,
            InvocationError::Deserialize(_) => Failure::Undecodable { raw: Vec::new() },
            InvocationError::Session(_)
            | InvocationError::Io(_)
            | InvocationError::Transport(_)
            | InvocationError::Dropped(_)
            | InvocationError::InvalidDc => Failure::Temporary,
        };
        let kind = match &error {
            InvocationError::Io(_) | InvocationError::Transport(_) | InvocationError::Dropped(_) => {
                Kind::Lost
            }
            _ => Kind::Answered,
        };
        let text = match error {
            InvocationError::Rpc(error) => format!("Telegram says {} {}", error.code, error.name),
            InvocationError::Io(error) => format!("no connection: {error}"),
            InvocationError::Transport(error) => format!("the connection failed: {error}"),
            InvocationError::Dropped(_) => "the connection was lost".to_owned(),
            InvocationError::Session(error) => format!("the session file: {error}"),
            other => other.to_string(),
        };
        Fault {
            failure,
            text,
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grammers_mtsender::RpcError;
    use grammers_tl_types as tl;

    #[test]
    fn waits_ends_and_trouble_are_told_apart() {
        let rpc = |code, message: &str| {
            let error = tl::types::RpcError {
                error_code: code,
                error_message: message.to_owned(),
            };
            Fault::from(InvocationError::Rpc(RpcError::from(error)))
        };
        let seconds = |n| Failure::Wait(Duration::from_secs(n));
        assert_eq!(rpc(420, "FLOOD_WAIT_31").failure, seconds(31));
        assert_eq!(rpc(420, "FLOOD_PREMIUM_WAIT_7").failure, seconds(7));
        assert_eq!(rpc(420, "SLOWMODE_WAIT_90").failure, seconds(90));
        assert!(rpc(401, "SESSION_REVOKED").failure.ends_session());
        assert!(rpc(406, "AUTH_KEY_DUPLICATED").failure.ends_session());
        let unknown = transport::Error::BadStatus { status: 404 };
        let unknown = Fault::from(InvocationError::Transport(unknown));
        assert_eq!(unknown.failure, Failure::UnknownKey);
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let lost = Fault::from(InvocationError::Io(lost));
        assert_eq!(lost.failure, Failure::Temporary);
        assert_eq!(lost.to_string(), "no connection: connection refused");
    }
}
