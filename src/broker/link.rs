//! One connection to the broker, and the meaning of the library's errors.

use std::future::Future;
use std::time::Duration;

use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};

use super::BrokerError;
use crate::config::BackendUrl;
use crate::failure::{Class, io_class};

/// Longest wait for any answer of the broker but a confirm.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Seconds between heartbeats, unless the address says otherwise: a dead peer is noticed after two of them.
const HEARTBEAT_S: u16 = 10;

/// Opens a connection. Recovery is ours, not the library's: its own buffers nothing and would hide that everything
/// unconfirmed has to be sent again and that old delivery tags are void.
pub(super) async fn connect(url: &BackendUrl, name: &str) -> Result<Connection, BrokerError> {
    // The library's parse error repeats the text, password included.
    let mut uri: AMQPUri = url.expose().parse().map_err(|_| BrokerError::Address)?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
    uri.query
        .connection_timeout
        .get_or_insert(u64::try_from(ANSWER_LIMIT.as_millis()).unwrap_or(u64::MAX));
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    answer("connecting", Connection::connect_uri(uri, properties)).await
}

/// Opens a channel.
pub(super) async fn channel(connection: &Connection) -> Result<Channel, BrokerError> {
    answer("opening a channel", connection.create_channel()).await
}

/// Waits for an answer within the limit.
pub(super) async fn answer<T>(
    doing: impl Into<String>,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, BrokerError> {
    match tokio::time::timeout(ANSWER_LIMIT, call).await {
        Ok(result) => result.map_err(|error| classed(doing, error)),
        Err(_) => Err(BrokerError::TimedOut {
            doing: doing.into(),
            limit: ANSWER_LIMIT,
        }),
    }
}

/// The one place where an error of the library gets its class.
pub(super) fn classed(doing: impl Into<String>, source: lapin::Error) -> BrokerError {
    let (class, hint) = match source.kind() {
        ErrorKind::IOError(error) => (io_class(error), None),
        ErrorKind::ProtocolError(error) => protocol(error.kind()),
        ErrorKind::InvalidConnectionState(_)
        | ErrorKind::InvalidChannelState(..)
        | ErrorKind::InvalidChannel(_)
        | ErrorKind::MissingHeartbeatError
        | ErrorKind::RuntimeShutdownError(_)
        | ErrorKind::ChannelsLimitReached
        | ErrorKind::ParsingError(_) => (Class::Transient, None),
        ErrorKind::InvalidProtocolVersion(_) => (
            Class::Operator,
            Some("rabbitmq.url: the server there does not speak AMQP 0-9-1"),
        ),
        ErrorKind::AuthProviderError(_) => (Class::Operator, Some(ACCESS)),
        // The library's list may grow.
        _ => (Class::Bug, None),
    };
    BrokerError::Amqp {
        doing: doing.into(),
        class,
        hint: hint.map(str::to_owned),
        source: Box::new(source),
    }
}

const ACCESS: &str = "rabbitmq.url: user, password and virtual host, and the user's permissions there (rabbitmqctl \
                      list_permissions -p VHOST)";

fn protocol(kind: &AMQPErrorKind) -> (Class, Option<&'static str>) {
    match kind {
        AMQPErrorKind::Soft(soft) => match soft {
            AMQPSoftError::ACCESSREFUSED => (Class::Operator, Some(ACCESS)),
            AMQPSoftError::PRECONDITIONFAILED => (
                Class::Operator,
                Some(
                    "an exchange or queue of that name exists with other arguments: delete it (the log has \
                     everything that was in it), or use another virtual host",
                ),
            ),
            AMQPSoftError::NOTFOUND
            | AMQPSoftError::NOROUTE
            | AMQPSoftError::NOCONSUMERS
            | AMQPSoftError::RESOURCELOCKED => (Class::Transient, None),
            AMQPSoftError::CONTENTTOOLARGE => (
                Class::Operator,
                Some("lower relay.frame_bytes_max, or raise max_message_size of the server"),
            ),
        },
        AMQPErrorKind::Hard(hard) => match hard {
            AMQPHardError::NOTALLOWED | AMQPHardError::INVALIDPATH => {
                (Class::Operator, Some(ACCESS))
            }
            AMQPHardError::CONNECTIONFORCED
            | AMQPHardError::RESOURCEERROR
            | AMQPHardError::INTERNALERROR => (Class::Transient, None),
            AMQPHardError::FRAMEERROR
            | AMQPHardError::SYNTAXERROR
            | AMQPHardError::COMMANDINVALID
            | AMQPHardError::CHANNELERROR
            | AMQPHardError::UNEXPECTEDFRAME
            | AMQPHardError::NOTIMPLEMENTED => (Class::Bug, None),
        },
    }
}

/// Whether the server did not answer, or waited in vain for a part of itself.
pub(super) fn is_no_answer(error: &BrokerError) -> bool {
    match error {
        BrokerError::TimedOut { .. } => true,
        BrokerError::Amqp { source, .. } => matches!(
            source.kind(),
            ErrorKind::ProtocolError(error)
                if *error.kind() == AMQPErrorKind::Hard(AMQPHardError::INTERNALERROR)
        ),
        _ => false,
    }
}

/// The soft error the server closed a channel with, if that is what happened.
pub(super) fn soft(error: &lapin::Error) -> Option<AMQPSoftError> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(soft) => Some(soft.clone()),
            AMQPErrorKind::Hard(_) => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_has_its_class_and_what_a_person_mends_has_a_hint() {
        let soft = |it| AMQPErrorKind::Soft(it);
        let hard = |it| AMQPErrorKind::Hard(it);
        for (kind, class) in [
            (soft(AMQPSoftError::ACCESSREFUSED), Class::Operator),
            (soft(AMQPSoftError::PRECONDITIONFAILED), Class::Operator),
            (soft(AMQPSoftError::CONTENTTOOLARGE), Class::Operator),
            (soft(AMQPSoftError::NOTFOUND), Class::Transient),
            (hard(AMQPHardError::NOTALLOWED), Class::Operator),
            (hard(AMQPHardError::CONNECTIONFORCED), Class::Transient),
            (hard(AMQPHardError::RESOURCEERROR), Class::Transient),
            (hard(AMQPHardError::SYNTAXERROR), Class::Bug),
        ] {
            let (found, hint) = protocol(&kind);
            assert_eq!(found, class, "{kind:?}");
            assert_eq!(hint.is_some(), class == Class::Operator, "{kind:?}");
        }
    }
}
