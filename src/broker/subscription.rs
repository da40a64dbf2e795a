//! A queue of frames, acknowledged by hand.

use futures_util::{FutureExt, StreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};

use super::{BrokerError, Topology, link, topology};
use crate::config::BackendUrl;

/// A message from the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its number on this subscription; void on any other.
    pub tag: u64,
    /// What it carries.
    pub body: Vec<u8>,
}

/// A consumer of one projection's queue. It does not mend itself: after an error it is dropped, which gives
/// everything unacknowledged back to the queue in its old order. Nothing is ever put back by hand: on a quorum queue
/// that would put it behind others.
pub struct Subscription {
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
    queue: String,
}

impl Subscription {
    /// Connects, checks the topology, and returns what was missing of it.
    pub async fn open(
        url: &BackendUrl,
        name: &str,
        projection: &str,
        prefetch: u16,
    ) -> Result<(Subscription, Vec<String>), BrokerError> {
        let connection = link::connect(url, name).await?;
        let missing = Topology::log([projection]).ensure(&connection).await?;
        let channel = link::channel(&connection).await?;
        link::answer(
            "setting the prefetch",
            channel.basic_qos(prefetch, BasicQosOptions::default()),
        )
        .await?;
        let queue = topology::log_queue(projection);
        let consumer = link::answer(
            "consuming",
            channel.basic_consume(
                queue.as_str().into(),
                name.into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            ),
        )
        .await;
        let consumer = match consumer {
            Err(error) if link::is_no_answer(&error) => {
                return Err(BrokerError::Unanswered { queue });
            }
            consumer => consumer?,
        };
        let subscription = Subscription {
            connection,
            channel,
            consumer,
            queue,
        };
        Ok((subscription, missing))
    }

    /// Deletes the queue, with all that is in it: the log has it. For one that nobody answers for, which RabbitMQ leaves
    /// behind when it is killed while it makes a quorum queue. Neither time nor a restart of the server mends that, and
    /// meanwhile nothing is confirmed that is published to any of the queues.
    pub async fn delete_queue(
        url: &BackendUrl,
        name: &str,
        projection: &str,
    ) -> Result<(), BrokerError> {
        let connection = link::connect(url, name).await?;
        let channel = link::channel(&connection).await?;
        let queue = topology::log_queue(projection);
        let options = QueueDeleteOptions::default();
        let deleted = channel.queue_delete(queue.as_str().into(), options);
        link::answer(format!("deleting the queue {queue}"), deleted).await?;
        let _ = link::answer("closing", connection.close(200, "bye".into())).await;
        Ok(())
    }

    /// The next message. Cancel safe.
    pub async fn next(&mut self) -> Result<Delivery, BrokerError> {
        match self.consumer.next().await {
            Some(Ok(delivery)) => Ok(Delivery {
                tag: delivery.delivery_tag,
                body: delivery.data,
            }),
            Some(Err(error)) => Err(link::classed("consuming", error)),
            None => Err(BrokerError::Cancelled {
                queue: self.queue.clone(),
            }),
        }
    }

    /// The next message, if it is here already.
    pub fn next_now(&mut self) -> Option<Result<Delivery, BrokerError>> {
        self.next().now_or_never()
    }

    /// Acknowledges this message and all before it.
    pub async fn ack_upto(&mut self, tag: u64) -> Result<(), BrokerError> {
        let options = BasicAckOptions { multiple: true };
        link::answer("acknowledging", self.channel.basic_ack(tag, options)).await
    }

    /// Sends this message to the dead letters.
    pub async fn reject(&mut self, tag: u64) -> Result<(), BrokerError> {
        let options = BasicRejectOptions { requeue: false };
        link::answer("rejecting", self.channel.basic_reject(tag, options)).await
    }

    /// Says goodbye.
    pub async fn close(self) {
        // A connection that is gone cannot be told; nothing is lost by that.
        let _ = link::answer("closing", self.connection.close(200, "bye".into())).await;
    }
}
