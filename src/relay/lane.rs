//! Records to messages.

use std::fmt;

use wal::{Identity, Record};

use crate::broker::frame::{self, FrameBuilder};
use crate::broker::topology::{DEFAULT_EXCHANGE, EVENTS_EXCHANGE, LOG_EXCHANGE, routing_key};
use crate::broker::{Publication, Topology, message};
use crate::event::Envelope;
use crate::failure::chain;

/// The schema name of frames, for whoever looks into the queue.
const FRAME_SCHEMA: &str = "telegram.frame/1";
/// Events that may be in flight where the setting allows one frame.
const EVENTS_PER_FRAME: usize = 8;
/// Message id of a tail marker.
const MARKER: &str = "marker";

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lane {
    /// Frames for the queues of these projections.
    Log(Vec<String>),
    /// JSON messages for operators' programs.
    Events,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cursor())
    }
}

impl Lane {
    /// The name of its cursor in the log.
    pub fn cursor(&self) -> &'static str {
        match self {
            Lane::Log(_) => "relay.log",
            Lane::Events => "relay.events",
        }
    }

    /// What it needs in the broker.
    pub fn topology(&self) -> Topology {
        match self {
            Lane::Log(projections) => Topology::log(projections.iter().map(String::as_str)),
            Lane::Events => Topology::events(),
        }
    }

    /// How many messages may wait for their confirm. The setting counts frames; single events need more of them to
    /// keep the broker busy.
    pub(super) fn window(&self, frames: usize) -> usize {
        match self {
            Lane::Log(_) => frames,
            Lane::Events => frames.saturating_mul(EVENTS_PER_FRAME),
        }
    }

    /// How many records one message carries at most.
    pub(super) fn records_per_message(&self, frame_events_max: usize) -> usize {
        match self {
            Lane::Log(_) => frame_events_max,
            Lane::Events => 1,
        }
    }
}

/// A tail marker.
pub(super) fn marker(identity: Identity, tail: u64, confirmed: u64) -> Publication {
    frame_publication(MARKER.to_owned(), frame::marker(identity, tail, confirmed))
}

/// One frame of as many of the records as fit; returns how many that were.
pub(super) fn frame(
    identity: Identity,
    records: &[Record],
    bytes_max: usize,
    tail: u64,
    confirmed: u64,
) -> (Publication, usize) {
    let bytes = records.iter().map(|it| it.as_bytes().len()).sum::<usize>();
    let overhead = records.len() * frame::RECORD_OVERHEAD;
    let mut builder = FrameBuilder::with_capacity(bytes.min(bytes_max) + overhead);
    let (mut count, mut held) = (0_usize, 0_usize);
    for record in records {
        held = held.saturating_add(record.as_bytes().len());
        // A record larger than a frame travels alone.
        if (held > bytes_max && !builder.is_empty()) || !builder.push(record.as_bytes()) {
            break;
        }
        count += 1;
    }
    let seq = |at: usize| records.get(at).map_or(0, |it| it.header().seq.get());
    let name = format!("{}-{}", seq(0), seq(count.saturating_sub(1)));
    let body = builder.finish(identity, tail, confirmed);
    (frame_publication(name, body), count)
}

fn frame_publication(message_id: String, body: Vec<u8>) -> Publication {
    Publication {
        exchange: LOG_EXCHANGE,
        routing_key: String::new(),
        content_type: "application/octet-stream",
        schema: FRAME_SCHEMA,
        message_id,
        body,
        mandatory: true,
        replay_of: None,
    }
}

/// The first number of a frame that came back, by its message id.
pub(super) fn first_of(message_id: &str) -> Option<u64> {
    message_id.split('-').next()?.parse().ok()
}

/// The JSON message of a record. Not mandatory: an event that no program has asked for is nobody's loss.
pub(super) fn event(identity: Identity, record: &Record) -> Publication {
    let seq = record.header().seq.get();
    let (routing_key, body) = match Envelope::from_record(record) {
        Ok(envelope) => (
            routing_key(envelope.event.body.kind(), envelope.event.peer),
            message::body(identity, &envelope),
        ),
        Err(error) => (
            format!("{}.0", message::UNREADABLE),
            message::unreadable(identity, record.header(), &chain(&error)),
        ),
    };
    Publication {
        exchange: EVENTS_EXCHANGE,
        routing_key,
        content_type: "application/json",
        schema: message::SCHEMA,
        message_id: message::message_id(identity, seq),
        body,
        mandatory: false,
        replay_of: None,
    }
}

/// The JSON message of a record, once more, to one queue.
pub(super) fn replayed(identity: Identity, record: &Record, queue: &str) -> Publication {
    let first = event(identity, record);
    Publication {
        exchange: DEFAULT_EXCHANGE,
        routing_key: queue.to_owned(),
        mandatory: true,
        replay_of: Some(first.routing_key),
        ..first
    }
}

/// The number of an event that came back, by its message id.
pub(super) fn seq_of(message_id: &str) -> Option<u64> {
    message_id.rsplit('/').next()?.parse().ok()
}
