//! The log from a second process: the daemon holds it, so `import` hands its batches to the daemon, and `wal` its
//! commands.
//!
//! One Unix socket in the data directory, for the owner only. The client sends a request and waits for its answer;
//! both are length-prefixed and start with a byte that says what they are:
//!
//! ```text
//! request = len u32, 1 u8, append | len u32, 2 u8, command as JSON
//! answer  = len u32, 0 u8, outcomes u32, { 0|1 u8, seq u64 }      (0 = appended, 1 = duplicate)
//!         | len u32, 1 u8, error text
//!         | len u32, 2 u8, answer to the command as JSON
//! append  = bookmarks u32, { name, value }, records u32, { record }
//! record  = codec u8, kind u8, peer_kind u8, has_key u8, flags u16, peer_id i64, message_id i64,
//!           received_at i64, source_at i64, payload, [key]
//! text, name, value, payload, key = len u32, bytes                 (integers little endian)
//! ```

mod client;
mod codec;
mod server;

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub use client::Remote;
pub use server::{Control, bind, serve};

use super::JournalError;

/// Name of the socket inside the data directory.
const SOCKET: &str = "control.sock";

/// Largest message either side accepts.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest path that a Unix socket may have on Linux, in bytes.
const PATH_BYTES_MAX: usize = 107;

/// The socket of a data directory.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

/// Refuses a data directory whose socket could not be made, before anything else is made in it.
pub fn check_path(data_dir: &Path) -> Result<(), JournalError> {
    let path = path(data_dir);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok(());
    }
    Err(JournalError::PathTooLong {
        path: path.display().to_string(),
        max: PATH_BYTES_MAX,
    })
}

fn failed(path: &Path, source: io::Error) -> JournalError {
    JournalError::Socket {
        path: path.display().to_string(),
        source,
    }
}

async fn send(stream: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    if message.len() > MESSAGE_BYTES_MAX {
        let what = "message too large";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    stream.write_all(&len.to_le_bytes()).await?;
    stream.write_all(message).await
}

async fn receive(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    match stream.read_exact(&mut len).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let len = u32::from_le_bytes(len) as usize;
    if len > MESSAGE_BYTES_MAX {
        let what = "message too large";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}
