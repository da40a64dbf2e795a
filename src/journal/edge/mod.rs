//! The log from another machine: read-only, for projectors that run elsewhere.
//!
//! The daemon that holds the log listens on one address; a projector elsewhere asks it for the ranges that the broker lost,
//! and says how far its store has come, so that the log keeps what is still needed. Nothing can be appended this way.
//!
//! Both sides prove that they hold the same token, which never travels. The line is not encrypted and its frames are not
//! signed: across a network it belongs into a tunnel.
//!
//! ```text
//! greeting (edge)    = "TGWEDGE" 1 u8, log id 16 bytes, epoch u32, nonce 32 bytes
//! proof (projector)  = nonce 32 bytes, HMAC-SHA256 of the token over "projector", greeting and nonce
//! verdict (edge)     = 0 u8 and 32 bytes, or 1 u8, HMAC-SHA256 over "edge", greeting and nonce
//! then requests and answers in turn, each length u32 and that many bytes; integers are little endian:
//! request = 1 u8, nothing or a report                             (where the log is)
//!         | 2 u8                                                   (the holes)
//!         | 3 u8, from u64, until u64, events u32, bytes u32       (a range, with the most of it that may be sent)
//! report  = length u8, name of a store, seq u64, 0 u8              (how far it has come)
//!         | the same, 1 u8 or 2 u8 (it takes a person), text       (and why it does not get on)
//! answer  = 0 u8, class u8, is trimmed u8, text                    (why not)
//!         | 1 u8, first u64, tail u64, confirmed u64               (of the log; 0: none)
//!         | 2 u8, { first u64, last u64, noted at i64, is fence u8 }
//!         | 3 u8, { length u32, record with its checksum }
//! ```
//!
//! | file | what |
//! |---|---|
//! | `greet` | who is there: the handshake, both sides |
//! | `wire` | requests and answers as bytes: pure |
//! | `server` | the side that holds the log |
//! | `client` | the side that asks |

mod client;
mod greet;
mod server;
mod wire;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub use client::Remote;
pub use server::{Edge, bind, serve};
pub use wire::Report;

use crate::failure::{Class, Classify, io_class};

/// How long a request may take, with its answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection and its handshake may take.
const GREET_LIMIT: Duration = Duration::from_secs(5);
/// Most events in one answer.
const RANGE_EVENTS_MAX: usize = 5_000;
/// Most bytes of records in one answer, unless the first record alone is larger.
const RANGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a log on another machine did not answer.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The line is not there, or broke.
    #[error("the edge at {address} cannot be reached")]
    Away {
        /// Its address.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The two sides have different tokens.
    #[error("the edge at {address} has another token")]
    Token {
        /// Its address.
        address: String,
    },
    /// What answers there is no edge that this version knows.
    #[error("what answers at {address} is no edge of this version")]
    Stranger {
        /// Its address.
        address: String,
    },
    /// The log there is another one by now, or in another epoch.
    #[error("the edge at {address} has another log by now, or another epoch of it")]
    Changed {
        /// Its address.
        address: String,
    },
    /// The edge could not do what it was asked.
    #[error("the edge answers: {text}")]
    Answer {
        /// What kind of trouble it has.
        class: Class,
        /// Whether what was asked for was removed by retention.
        trimmed: bool,
        /// Its words.
        text: String,
    },
}

impl Classify for EdgeError {
    fn class(&self) -> Class {
        match self {
            // What is not understood on this line is a line that broke: records have their own checksums.
            EdgeError::Away { source, .. } => match io_class(source) {
                Class::Corrupt => Class::Transient,
                class => class,
            },
            EdgeError::Changed { .. } => Class::Transient,
            EdgeError::Token { .. } | EdgeError::Stranger { .. } => Class::Operator,
            EdgeError::Answer { class, .. } => *class,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            EdgeError::Away { address, .. } => Some(format!(
                "see that the daemon there runs with [serve], and that {address} can be reached from here"
            )),
            EdgeError::Token { .. } => Some(
                "give edge.token_file here and serve.token_file there the same content".to_owned(),
            ),
            EdgeError::Stranger { .. } => {
                Some("see edge.address, and run the same version on both machines".to_owned())
            }
            EdgeError::Changed { .. } | EdgeError::Answer { .. } => None,
        }
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let len = u32::try_from(message.len()).map_err(|_| too_large())?;
    stream.write_all(&len.to_le_bytes()).await?;
    stream.write_all(message).await?;
    stream.flush().await
}

/// The next message; none where the other side has ended.
async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    match stream.read_exact(&mut len).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let len = u32::from_le_bytes(len) as usize;
    if len > bytes_max {
        return Err(too_large());
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message over the limit")
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}
