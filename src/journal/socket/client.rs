//! The side that asks.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;
use wal::Outcome;

use super::codec::{self, Reply};
use super::{failed, path, receive, send};
use crate::journal::control::{Answer, Command};
use crate::journal::{Append, JournalError};

/// The daemon's log, seen from another process.
#[derive(Debug)]
pub struct Remote {
    stream: UnixStream,
    path: PathBuf,
}

impl Remote {
    /// Connects to the daemon that holds the log of a data directory.
    pub async fn connect(data_dir: &Path) -> Result<Remote, JournalError> {
        let path = path(data_dir);
        match UnixStream::connect(&path).await {
            Ok(stream) => Ok(Remote { stream, path }),
            Err(source) => Err(failed(&path, source)),
        }
    }

    /// Appends and waits until it is durable.
    pub async fn append(&mut self, append: &Append) -> Result<Vec<Outcome>, JournalError> {
        match self.exchange(&codec::encode_append(append)).await? {
            Reply::Outcomes(outcomes) => Ok(outcomes),
            Reply::Answer(_) => Err(failed(&self.path, not_an_answer())),
            Reply::Error(text) => Err(JournalError::Remote(text)),
        }
    }

    /// Has the daemon do something and waits for its answer.
    pub async fn ask(&mut self, command: &Command) -> Result<Answer, JournalError> {
        match self.exchange(&codec::encode_command(command)).await? {
            Reply::Answer(answer) => Ok(*answer),
            Reply::Outcomes(_) => Err(failed(&self.path, not_an_answer())),
            Reply::Error(text) => Err(JournalError::Remote(text)),
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Reply, JournalError> {
        let exchanged = async {
            send(&mut self.stream, request).await?;
            let reply = receive(&mut self.stream)
                .await?
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            codec::decode_reply(&reply).ok_or_else(not_an_answer)
        };
        exchanged.await.map_err(|error| failed(&self.path, error))
    }
}

fn not_an_answer() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not an answer")
}
