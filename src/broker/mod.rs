//! The broker: what we put into RabbitMQ, how, and what comes out of it.
//!
//! The log is the authority; the broker is the fan-out and the doorbell. Nothing here may be needed to find an event
//! again: what a broker loses, a projector reads from the log.
//!
//! | file | what |
//! |---|---|
//! | `topology` | names, arguments, and the check that all of it is there |
//! | `frame` | whole records, many to a message, for our own projectors |
//! | `message`, `content` | one JSON message an event, schema `telegram.event/1`, for operators' programs |
//! | `link` | one connection; the only place that knows lapin's errors |
//! | `publisher` | publishing in order, with confirms |
//! | `subscription` | a queue, acknowledged by hand |

mod content;
pub mod frame;
mod link;
pub mod message;
mod publisher;
mod subscription;
pub mod topology;

pub use publisher::{Outcome, Publication, Publisher, REPLAYED, ROUTING_KEY};
pub use subscription::{Delivery, Subscription};
pub use topology::Topology;

use std::time::Duration;

use crate::failure::{Class, Classify, Exit};

/// Why the broker could not answer.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The broker refused, or could not be reached.
    #[error("RabbitMQ: {doing}")]
    Amqp {
        /// What was being done.
        doing: String,
        /// Its class, decided where the library's error was seen.
        class: Class,
        /// What mends it, where that is known.
        hint: Option<String>,
        /// What the library said.
        #[source]
        source: Box<lapin::Error>,
    },
    /// The address is no address of a broker. The text itself is not repeated: it holds a password.
    #[error("the address of RabbitMQ cannot be used")]
    Address,
    /// The broker did not answer in time.
    #[error("RabbitMQ: {doing}: no answer within {limit:?}")]
    TimedOut {
        /// What was being done.
        doing: String,
        /// How long it may take.
        limit: Duration,
    },
    /// A frame reached no queue: the queues of the projectors are gone, or are not bound any more.
    #[error("RabbitMQ returned {what}: no queue is bound to its exchange")]
    Returned {
        /// Our name of the message.
        what: String,
    },
    /// The queue is declared, and nobody answers for it.
    #[error("RabbitMQ: nobody answers for {queue}")]
    Unanswered {
        /// The queue.
        queue: String,
    },
    /// Not even markers came.
    #[error(
        "RabbitMQ: nothing comes from {queue}: it may not be bound any more, or its relay is held up"
    )]
    Silent {
        /// The queue.
        queue: String,
    },
    /// The server ended the consumer, as it does when the queue is deleted.
    #[error("RabbitMQ ended the consumer of {queue}")]
    Cancelled {
        /// The queue.
        queue: String,
    },
}

impl Classify for BrokerError {
    fn class(&self) -> Class {
        match self {
            BrokerError::Amqp { class, .. } => *class,
            BrokerError::Address => Class::Operator,
            // A queue that is gone is declared again at the next connect, a binding made again.
            BrokerError::TimedOut { .. }
            | BrokerError::Returned { .. }
            | BrokerError::Unanswered { .. }
            | BrokerError::Silent { .. }
            | BrokerError::Cancelled { .. } => Class::Transient,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            BrokerError::Amqp { hint, .. } => hint.clone(),
            BrokerError::Address => {
                Some("rabbitmq.url: amqp://user:password@host:5672/vhost".to_owned())
            }
            BrokerError::Unanswered { queue } => Some(format!(
                "if this goes on, delete {queue}: the log has everything that was in it"
            )),
            BrokerError::TimedOut { .. }
            | BrokerError::Returned { .. }
            | BrokerError::Silent { .. }
            | BrokerError::Cancelled { .. } => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            BrokerError::Amqp {
                class: Class::Operator,
                ..
            } => Exit::Auth,
            BrokerError::Address => Exit::Config,
            _ => Exit::Backend,
        }
    }
}
