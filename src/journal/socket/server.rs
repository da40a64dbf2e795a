//! The side that holds the log.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::codec::{self, Asked};
use super::{failed, path, receive, send};
use crate::failure::chain;
use crate::journal::control::{Answer, Command};
use crate::journal::{JournalError, JournalWriter};

/// Whoever answers commands.
pub trait Control: Clone + Send + Sync + 'static {
    /// Does what was asked.
    fn run(&self, command: Command) -> impl Future<Output = Result<Answer, JournalError>> + Send;
}

/// Takes the place of a socket that a killed daemon left behind. Call only while holding the log.
pub fn bind(data_dir: &Path) -> Result<UnixListener, JournalError> {
    let path = path(data_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&path, error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(|error| failed(&path, error))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| failed(&path, error))?;
    Ok(listener)
}

/// Serves appends and commands until stopped, then removes the socket.
pub async fn serve(
    listener: UnixListener,
    data_dir: PathBuf,
    writer: JournalWriter,
    control: impl Control,
    stop: CancellationToken,
) {
    let clients = tokio_util::task::TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (writer, control, stop) = (writer.clone(), control.clone(), stop.clone());
                clients.spawn(async move {
                    let served = tokio::select! {
                        () = stop.cancelled() => Ok(()),
                        served = serve_one(stream, &writer, &control) => served,
                    };
                    if let Err(error) = served {
                        let error = chain(&error);
                        tracing::warn!(error, "a client of the control socket failed");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "the control socket cannot accept");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
    clients.close();
    clients.wait().await;
    let _ = std::fs::remove_file(path(&data_dir));
}

async fn serve_one(
    mut stream: UnixStream,
    writer: &JournalWriter,
    control: &impl Control,
) -> io::Result<()> {
    while let Some(message) = receive(&mut stream).await? {
        let asked = codec::decode_request(&message)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a request"))?;
        let reply = match asked {
            Asked::Append(append) => match writer.append(append).await {
                Ok(outcomes) => codec::encode_outcomes(&outcomes),
                Err(error) => codec::encode_error(&chain(&error)),
            },
            Asked::Command(command) => match control.run(command).await {
                Ok(answer) => codec::encode_answer(&answer),
                Err(error) => codec::encode_error(&chain(&error)),
            },
        };
        send(&mut stream, &reply).await?;
    }
    Ok(())
}
