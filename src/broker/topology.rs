//! What must exist in the broker, and the check that it does.
//!
//! | exchange | type | queues |
//! |---|---|---|
//! | `telegram.events` | topic | the operators' own; routing key `<kind>.<peer id>`, JSON bodies |
//! | `telegram.log` | fanout | `telegram.log.<projection>` for each configured projection: quorum, single active consumer |
//! | `telegram.dead` | fanout | `telegram.dead`: what a projector rejected, bounded in bytes and time |
//!
//! Names are fixed; two gateways on one broker use two virtual hosts. Each connect looks first and makes what is
//! missing: a queue that is missing took its frames with it, so its projector compares with the log at once.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};

use super::{BrokerError, link};
use crate::event::{Kind, PeerId};

/// Where events go for operators' programs.
pub const EVENTS_EXCHANGE: &str = "telegram.events";
/// Where frames go for our own projectors.
pub const LOG_EXCHANGE: &str = "telegram.log";
/// Exchange and queue of what a projector rejected.
pub const DEAD: &str = "telegram.dead";

/// Deliveries of one frame before the broker gives it up: a fuse for a projector that dies of a frame. The projector
/// then reads the frame's records from the log.
const DELIVERIES_MAX: i32 = 100;
/// A projector that is further behind than this catches up from the log; the oldest frames make room.
const LOG_QUEUE_BYTES_MAX: i64 = 512 * 1024 * 1024;
const DEAD_QUEUE_BYTES_MAX: i64 = 64 * 1024 * 1024;
const DEAD_QUEUE_MESSAGES_MAX: i64 = 10_000;
const DEAD_QUEUE_TTL_MS: i64 = 14 * 24 * 3600 * 1000;

/// Exchange that every queue is bound to by its name.
pub const DEFAULT_EXCHANGE: &str = "";

/// Whether a queue is one of ours: frames for a projector, or dead letters.
pub fn is_ours(queue: &str) -> bool {
    queue == DEAD
        || queue
            .strip_prefix(LOG_EXCHANGE)
            .is_some_and(|rest| rest.starts_with('.'))
}

/// The queue of a projection.
pub fn log_queue(projection: &str) -> String {
    format!("{LOG_EXCHANGE}.{projection}")
}

/// The routing key of an event: `<kind>.<peer id>`, 0 for events of no peer.
pub fn routing_key(kind: Kind, peer: Option<PeerId>) -> String {
    format!("{}.{}", kind.as_str(), peer.map_or(0, PeerId::marked))
}

/// An exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    name: &'static str,
    kind: ExchangeKind,
}

/// A queue, bound to one exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    name: String,
    exchange: &'static str,
    arguments: Vec<(&'static str, AMQPValue)>,
}

/// What one connection needs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Topology {
    exchanges: Vec<Exchange>,
    queues: Vec<Queue>,
}

impl Topology {
    /// For operators' events.
    pub fn events() -> Topology {
        Topology {
            exchanges: vec![exchange(EVENTS_EXCHANGE, ExchangeKind::Topic)],
            queues: Vec::new(),
        }
    }

    /// For frames to the given projections.
    pub fn log<'a>(projections: impl IntoIterator<Item = &'a str>) -> Topology {
        let mut queues = vec![dead_queue()];
        queues.extend(projections.into_iter().map(projection_queue));
        Topology {
            exchanges: vec![
                exchange(DEAD, ExchangeKind::Fanout),
                exchange(LOG_EXCHANGE, ExchangeKind::Fanout),
            ],
            queues,
        }
    }

    /// The names of all of it.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let exchanges = self
            .exchanges
            .iter()
            .map(|it| format!("exchange {}", it.name));
        let queues = self.queues.iter().map(|it| format!("queue {}", it.name));
        exchanges.chain(queues)
    }

    /// Looks for all of it and makes what is missing; returns what was missing.
    pub(super) async fn ensure(&self, connection: &Connection) -> Result<Vec<String>, BrokerError> {
        let mut scratch = Scratch {
            connection,
            channel: None,
        };
        let mut missing = Vec::new();
        for exchange in &self.exchanges {
            if scratch.exchange(exchange).await? {
                missing.push(format!("exchange {}", exchange.name));
            }
        }
        for queue in &self.queues {
            if scratch.queue(queue).await? {
                missing.push(format!("queue {}", queue.name));
            }
        }
        Ok(missing)
    }
}

fn exchange(name: &'static str, kind: ExchangeKind) -> Exchange {
    Exchange { name, kind }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn projection_queue(projection: &str) -> Queue {
    Queue {
        name: log_queue(projection),
        exchange: LOG_EXCHANGE,
        arguments: vec![
            ("x-queue-type", text("quorum")),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ("x-delivery-limit", AMQPValue::LongInt(DELIVERIES_MAX)),
            (
                "x-max-length-bytes",
                AMQPValue::LongLongInt(LOG_QUEUE_BYTES_MAX),
            ),
            ("x-dead-letter-exchange", text(DEAD)),
        ],
    }
}

fn dead_queue() -> Queue {
    Queue {
        name: DEAD.to_owned(),
        exchange: DEAD,
        arguments: vec![
            ("x-queue-type", text("quorum")),
            (
                "x-max-length",
                AMQPValue::LongLongInt(DEAD_QUEUE_MESSAGES_MAX),
            ),
            (
                "x-max-length-bytes",
                AMQPValue::LongLongInt(DEAD_QUEUE_BYTES_MAX),
            ),
            ("x-message-ttl", AMQPValue::LongLongInt(DEAD_QUEUE_TTL_MS)),
        ],
    }
}

/// A channel for questions whose "no" closes it.
struct Scratch<'a> {
    connection: &'a Connection,
    channel: Option<Channel>,
}

/// What the server said to a declaration.
enum Said {
    Yes,
    Missing,
    /// The user may not configure: somebody else made the topology.
    Forbidden,
}

impl Scratch<'_> {
    async fn channel(&mut self) -> Result<Channel, BrokerError> {
        match &self.channel {
            Some(channel) if channel.status().connected() => Ok(channel.clone()),
            _ => {
                let channel = link::channel(self.connection).await?;
                self.channel = Some(channel.clone());
                Ok(channel)
            }
        }
    }

    /// Whether it was missing.
    async fn exchange(&mut self, exchange: &Exchange) -> Result<bool, BrokerError> {
        let mut missing = false;
        for passive in [true, false] {
            let channel = self.channel().await?;
            let options = ExchangeDeclareOptions {
                passive,
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            let declared = link::answer(
                format!("declaring the exchange {}", exchange.name),
                channel.exchange_declare(
                    exchange.name.into(),
                    exchange.kind.clone(),
                    options,
                    FieldTable::default(),
                ),
            );
            missing |= self.said(declared.await, passive, missing)?;
        }
        Ok(missing)
    }

    /// Whether it was missing.
    async fn queue(&mut self, queue: &Queue) -> Result<bool, BrokerError> {
        let mut missing = false;
        for passive in [true, false] {
            let channel = self.channel().await?;
            let options = QueueDeclareOptions {
                passive,
                durable: true,
                ..QueueDeclareOptions::default()
            };
            let mut arguments = FieldTable::default();
            for (name, value) in &queue.arguments {
                arguments.insert((*name).into(), value.clone());
            }
            let declared = link::answer(
                format!("declaring the queue {}", queue.name),
                channel.queue_declare(queue.name.as_str().into(), options, arguments),
            );
            let declared = declared.await.map(drop);
            missing |= self.said(declared, passive, missing)?;
        }
        // Bindings cannot be looked at; making one again changes nothing.
        let channel = self.channel().await?;
        let bound = link::answer(
            format!("binding the queue {}", queue.name),
            channel.queue_bind(
                queue.name.as_str().into(),
                queue.exchange.into(),
                "".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            ),
        );
        self.said(bound.await, false, missing)?;
        Ok(missing)
    }

    /// Whether the answer to a look (`passive`) is that it is missing; errors of anything else.
    fn said(
        &mut self,
        result: Result<(), BrokerError>,
        passive: bool,
        missing: bool,
    ) -> Result<bool, BrokerError> {
        let said = match &result {
            Ok(()) => Said::Yes,
            Err(BrokerError::Amqp { source, .. }) => match link::soft(source) {
                Some(AMQPSoftError::NOTFOUND) if passive => Said::Missing,
                Some(AMQPSoftError::ACCESSREFUSED) if !passive && !missing => Said::Forbidden,
                _ => return result.map(|()| false),
            },
            Err(_) => return result.map(|()| false),
        };
        if !matches!(said, Said::Yes) {
            // The server closed the channel with its answer.
            self.channel = None;
        }
        Ok(matches!(said, Said::Missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::PeerKind;

    #[test]
    fn names_are_what_the_documents_say() {
        let names: Vec<_> = Topology::log(["timescale", "redis"]).names().collect();
        assert_eq!(
            names,
            [
                "exchange telegram.dead",
                "exchange telegram.log",
                "queue telegram.dead",
                "queue telegram.log.timescale",
                "queue telegram.log.redis",
            ]
        );
        let peer = PeerId::new(PeerKind::Channel, 1_234).ok();
        assert_eq!(
            routing_key(Kind::SourceState, peer),
            "source_state.-1000000001234"
        );
        assert_eq!(routing_key(Kind::Gap, None), "gap.0");
        assert!(is_ours(&log_queue("redis")) && is_ours(DEAD));
        assert!(!is_ours("telegram.logs") && !is_ours("app"));
    }

    #[test]
    fn every_queue_is_bounded_and_rejects_have_somewhere_to_go() {
        let topology = Topology::log(["redis"]);
        for queue in &topology.queues {
            let has = |name| queue.arguments.iter().any(|(found, _)| *found == name);
            assert!(has("x-max-length-bytes"), "{}", queue.name);
            assert!(
                has("x-dead-letter-exchange") || queue.name == DEAD,
                "{}",
                queue.name
            );
        }
    }
}
