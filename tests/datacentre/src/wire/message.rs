//! Messages inside a packet: ids, containers, compression.

use std::io::{Read, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use grammers_tl_types::{Cursor, Deserializable, Serializable};

const CONTAINER: u32 = 0x73f1_f8dc;
const GZIP_PACKED: u32 = 0x3072_cfa1;
const RPC_RESULT: u32 = 0xf35c_6d01;
/// More than this in one request is an attack or a bug.
const UNPACKED_MAX: u64 = 8 << 20;

/// One message of a client, out of its container and unpacked.
pub(crate) struct Inbound {
    pub(crate) msg_id: i64,
    pub(crate) body: Vec<u8>,
}

/// Adds to `found` the messages inside a message; none when it cannot be read.
pub(crate) fn flatten(msg_id: i64, body: Vec<u8>, found: &mut Vec<Inbound>) -> Option<()> {
    match constructor(&body) {
        Some(CONTAINER) => {
            let mut at = 8;
            let count = u32::from_le_bytes(*body.get(4..)?.first_chunk()?);
            for _ in 0..count {
                let header = body.get(at..at + 16)?;
                let inner_id = i64::from_le_bytes(*header.first_chunk()?);
                let length = u32::from_le_bytes(*header.last_chunk()?);
                at += 16;
                let end = at.checked_add(usize::try_from(length).ok()?)?;
                flatten(inner_id, body.get(at..end)?.to_vec(), found)?;
                at = end;
            }
        }
        Some(GZIP_PACKED) => flatten(msg_id, unpack(&body[4..])?, found)?,
        _ => found.push(Inbound { msg_id, body }),
    }
    Some(())
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let packed = Vec::<u8>::deserialize(&mut Cursor::from_slice(packed)).ok()?;
    let mut body = Vec::new();
    let mut unpacked = GzDecoder::new(packed.as_slice()).take(UNPACKED_MAX);
    unpacked.read_to_end(&mut body).ok()?;
    Some(body)
}

/// The constructor that a body begins with.
pub(crate) fn constructor(body: &[u8]) -> Option<u32> {
    body.first_chunk().map(|id| u32::from_le_bytes(*id))
}

/// The answer to a request, compressed when it is longer than `pack_over`.
pub(crate) fn rpc_result(request: i64, result: &[u8], pack_over: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(result.len() + 12);
    RPC_RESULT.serialize(&mut body);
    request.serialize(&mut body);
    let packed = (result.len() > pack_over).then(|| packed(result)).flatten();
    match packed {
        Some(packed) => {
            GZIP_PACKED.serialize(&mut body);
            packed.serialize(&mut body);
        }
        None => body.extend(result),
    }
    body
}

fn packed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// A message for the client, without its id yet.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) body: Vec<u8>,
    /// An answer to something that the client sent; its id says so in its last bits.
    pub(crate) is_answer: bool,
    /// Whether the client has to acknowledge it.
    pub(crate) needs_ack: bool,
}

impl Outgoing {
    /// Something that the client did not ask for.
    pub(crate) fn news(body: Vec<u8>) -> Self {
        Self {
            body,
            is_answer: false,
            needs_ack: true,
        }
    }
}

/// Gives messages their ids and sequence numbers, and puts several into a container. One per connection.
#[derive(Default)]
pub(crate) struct Packer {
    last_id: i64,
    content_sent: i32,
}

impl Packer {
    /// One message (id, sequence, length, body) of all that is given, which is not nothing.
    pub(crate) fn pack(&mut self, messages: &[Outgoing], since_epoch: Duration) -> Vec<u8> {
        if let [message] = messages {
            return self.message(message, since_epoch);
        }
        let mut body = Vec::new();
        CONTAINER.serialize(&mut body);
        i32::try_from(messages.len())
            .unwrap_or(i32::MAX)
            .serialize(&mut body);
        for message in messages {
            body.extend(self.message(message, since_epoch));
        }
        let container = Outgoing {
            body,
            is_answer: false,
            needs_ack: false,
        };
        self.message(&container, since_epoch)
    }

    fn message(&mut self, message: &Outgoing, since_epoch: Duration) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(message.body.len() + 16);
        self.next_id(message.is_answer, since_epoch)
            .serialize(&mut bytes);
        self.next_sequence(message.needs_ack).serialize(&mut bytes);
        i32::try_from(message.body.len())
            .unwrap_or(i32::MAX)
            .serialize(&mut bytes);
        bytes.extend(&message.body);
        bytes
    }

    /// Seconds in the upper half, as the client reads them to learn the time, and 1 or 3 in the last two bits.
    fn next_id(&mut self, is_answer: bool, since_epoch: Duration) -> i64 {
        let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX >> 32);
        let now = (seconds << 32) | (i64::from(since_epoch.subsec_nanos()) << 2);
        self.last_id = now.max((self.last_id & !3) + 4);
        self.last_id | if is_answer { 1 } else { 3 }
    }

    fn next_sequence(&mut self, needs_ack: bool) -> i32 {
        let sequence = self.content_sent * 2 + i32::from(needs_ack);
        self.content_sent += i32::from(needs_ack);
        sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(byte: u8) -> Outgoing {
        Outgoing {
            body: vec![byte; 8],
            is_answer: byte == 1,
            needs_ack: true,
        }
    }

    #[test]
    fn a_container_is_taken_apart_again() {
        let packed = Packer::default().pack(&[outgoing(1), outgoing(2)], Duration::from_secs(5));
        let mut found = Vec::new();
        flatten(9, packed[16..].to_vec(), &mut found).expect("readable");
        let bodies: Vec<_> = found.iter().map(|message| message.body[0]).collect();
        assert_eq!(bodies, [1, 2]);
        assert_eq!([found[0].msg_id & 3, found[1].msg_id & 3], [1, 3]);
        assert!(found[0].msg_id < found[1].msg_id);
    }

    #[test]
    fn long_results_are_compressed_and_read_back() {
        let result = [7; 4096];
        let body = rpc_result(3, &result, 1000);
        assert!(body.len() < 1000);
        let mut found = Vec::new();
        flatten(3, body[12..].to_vec(), &mut found).expect("readable");
        assert_eq!(found[0].body, result);
        assert_eq!(rpc_result(3, &result, 5000).len(), 4096 + 12);
    }

    #[test]
    fn a_torn_container_is_refused() {
        let whole = Packer::default().pack(&[outgoing(1), outgoing(2)], Duration::ZERO);
        for end in 20..whole.len() - 1 {
            assert!(flatten(1, whole[16..end].to_vec(), &mut Vec::new()).is_none());
        }
    }
}
