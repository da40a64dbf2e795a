//! Publishing in order, with confirms.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;

use futures_util::FutureExt;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection};

use super::{BrokerError, Topology, link};
use crate::config::BackendUrl;

/// Stored on disk by the broker.
const PERSISTENT: u8 = 2;

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Where to.
    pub exchange: &'static str,
    /// By what key.
    pub routing_key: String,
    /// `application/json` or our own.
    pub content_type: &'static str,
    /// The schema of the body.
    pub schema: &'static str,
    /// Our name of the message; a receiver that got it twice knows it by that.
    pub message_id: String,
    /// What.
    pub body: Vec<u8>,
    /// Whether a message that reaches no queue is a failure.
    pub mandatory: bool,
    /// It is published once more, to one queue: the key by which it was published first.
    pub replay_of: Option<String>,
}

/// Header of a message that is published once more; true.
pub const REPLAYED: &str = "replayed";
/// Header of such a message: the key by which it was published first.
pub const ROUTING_KEY: &str = "routing_key";

impl Publication {
    fn properties(&self, common: &BasicProperties) -> BasicProperties {
        let properties = common
            .clone()
            .with_content_type(self.content_type.into())
            .with_type(self.schema.into())
            .with_message_id(self.message_id.as_str().into());
        let Some(key) = &self.replay_of else {
            return properties;
        };
        let mut headers = FieldTable::default();
        headers.insert(REPLAYED.into(), AMQPValue::Boolean(true));
        headers.insert(
            ROUTING_KEY.into(),
            AMQPValue::LongString(key.as_str().into()),
        );
        properties.with_headers(headers)
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it, in every queue it belongs to.
    Confirmed,
    /// The broker could not take it.
    Refused,
    /// Some message of these last ones, known by its message id, reached no queue. Which one is in the name only: the
    /// library hands a returned message out with the next confirm, whichever that is.
    Returned(String),
}

type InFlight = Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send>>;

/// A connection with one channel in confirm mode. It does not mend itself: after an error it is dropped, and
/// whatever was not confirmed is published again by a new one.
pub struct Publisher {
    connection: Connection,
    channel: Channel,
    properties: BasicProperties,
    /// Unconfirmed messages in the order they were published. Only the oldest is waited for: a cursor cannot move
    /// past it anyway.
    in_flight: VecDeque<(u64, InFlight)>,
}

impl Publisher {
    /// Connects, checks the topology, and returns what was missing of it.
    pub async fn open(
        url: &BackendUrl,
        name: &str,
        topology: &Topology,
    ) -> Result<(Publisher, Vec<String>), BrokerError> {
        let connection = link::connect(url, name).await?;
        let missing = topology.ensure(&connection).await?;
        let channel = link::channel(&connection).await?;
        link::answer(
            "switching confirms on",
            channel.confirm_select(ConfirmSelectOptions::default()),
        )
        .await?;
        let publisher = Publisher {
            connection,
            channel,
            properties: BasicProperties::default()
                .with_delivery_mode(PERSISTENT)
                .with_app_id("telegram-gateway".into()),
            in_flight: VecDeque::new(),
        };
        Ok((publisher, missing))
    }

    /// Sends a message; its outcome comes later, under this number. Messages leave in the order of the calls.
    pub fn publish(&mut self, number: u64, publication: Publication) {
        let channel = self.channel.clone();
        let properties = publication.properties(&self.properties);
        let mut sending: InFlight = Box::pin(async move {
            let options = BasicPublishOptions {
                mandatory: publication.mandatory,
                ..BasicPublishOptions::default()
            };
            let confirm = channel.basic_publish(
                publication.exchange.into(),
                publication.routing_key.into(),
                options,
                &publication.body,
                properties,
            );
            confirm.await?.await
        });
        // The first poll queues the message in the library, which is what fixes the order; without it a message
        // would leave only when it is the oldest.
        let sending = match (&mut sending).now_or_never() {
            Some(done) => Box::pin(std::future::ready(done)),
            None => sending,
        };
        self.in_flight.push_back((number, sending));
    }

    /// How many messages wait for their confirm.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The outcome of the oldest message; waits for ever while there is none. Cancel safe.
    pub async fn outcome(&mut self) -> Result<(u64, Outcome), BrokerError> {
        let Some((number, sending)) = self.in_flight.front_mut() else {
            return std::future::pending().await;
        };
        let number = *number;
        let confirmation = sending.await;
        self.in_flight.pop_front();
        match confirmation.map_err(|error| link::classed("publishing", error))? {
            Confirmation::Ack(None) => Ok((number, Outcome::Confirmed)),
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                let name = returned.delivery.properties.message_id().as_ref();
                let name = name.map(ToString::to_string).unwrap_or_default();
                Ok((number, Outcome::Returned(name)))
            }
            Confirmation::Nack(None) | Confirmation::NotRequested => Ok((number, Outcome::Refused)),
        }
    }

    /// The outcome of the oldest message, if it is known already.
    pub fn outcome_now(&mut self) -> Option<Result<(u64, Outcome), BrokerError>> {
        self.outcome().now_or_never()
    }

    /// The broker asked us to stop publishing: it is short of memory or disk.
    pub fn blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Says goodbye. Whatever is in flight may or may not have arrived.
    pub async fn close(self) {
        // A connection that is gone cannot be told; nothing is lost by that.
        let _ = link::answer("closing", self.connection.close(200, "bye".into())).await;
    }
}
