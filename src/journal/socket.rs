//! Appending from a second process: the daemon holds the log, so `import` hands its batches to the daemon.
//!
//! One Unix socket in the data directory, for the owner only. The client sends appends, the daemon answers each with
//! the outcomes once they are durable; both are length-prefixed, little endian, packed by hand:
//!
//! ```text
//! append  = len u32, bookmarks u32, { name, value }, records u32, { record }
//! record  = codec u8, kind u8, peer_kind u8, has_key u8, flags u16, peer_id i64, message_id i64,
//!           received_at i64, source_at i64, payload, [key]
//! answer  = len u32, 0 u8, outcomes u32, { 0|1 u8, seq u64 }      (0 = appended, 1 = duplicate)
//!         | len u32, 1 u8, error text
//! text, name, value, payload, key = len u32, bytes
//! ```

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use wal::{NewRecord, Outcome, Seq};

use super::{Append, JournalError, JournalWriter};
use crate::failure::chain;

/// Name of the socket inside the data directory.
const SOCKET: &str = "control.sock";

/// Largest message either side accepts.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The socket of a data directory.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

/// Longest path that a Unix socket may have on Linux, in bytes.
const PATH_BYTES_MAX: usize = 107;

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

/// Takes the place of a socket that a killed daemon left behind. Call only while holding the log.
pub fn bind(data_dir: &Path) -> Result<UnixListener, JournalError> {
    let path = path(data_dir);
    let failed = |source| JournalError::Socket {
        path: path.display().to_string(),
        source,
    };
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Serves appends until stopped, then removes the socket.
pub async fn serve(
    listener: UnixListener,
    data_dir: PathBuf,
    writer: JournalWriter,
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
                let (writer, stop) = (writer.clone(), stop.clone());
                clients.spawn(async move {
                    let served = tokio::select! {
                        () = stop.cancelled() => Ok(()),
                        served = serve_one(stream, &writer) => served,
                    };
                    if let Err(error) = served {
                        tracing::warn!(
                            error = chain(&error),
                            "a client of the control socket failed"
                        );
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

async fn serve_one(mut stream: UnixStream, writer: &JournalWriter) -> io::Result<()> {
    while let Some(message) = receive(&mut stream).await? {
        let append = decode_append(&message)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an append"))?;
        let answer = match writer.append(append).await {
            Ok(outcomes) => encode_outcomes(&outcomes),
            Err(error) => encode_error(&chain(&error)),
        };
        send(&mut stream, &answer).await?;
    }
    Ok(())
}

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
            Err(source) => Err(JournalError::Socket {
                path: path.display().to_string(),
                source,
            }),
        }
    }

    /// Appends and waits until it is durable.
    pub async fn append(&mut self, append: &Append) -> Result<Vec<Outcome>, JournalError> {
        let answer = self
            .exchange(append)
            .await
            .map_err(|source| JournalError::Socket {
                path: self.path.display().to_string(),
                source,
            })?;
        answer.map_err(JournalError::Remote)
    }

    async fn exchange(&mut self, append: &Append) -> io::Result<Result<Vec<Outcome>, String>> {
        send(&mut self.stream, &encode_append(append)).await?;
        let answer = receive(&mut self.stream)
            .await?
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        decode_answer(&answer)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an answer"))
    }
}

async fn send(stream: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "batch too large",
        ));
    }
    stream.write_all(&len32(message).to_le_bytes()).await?;
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
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "message too large",
        ));
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

fn len32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(len32(bytes).to_le_bytes());
    out.extend(bytes);
}

fn count(out: &mut Vec<u8>, n: usize) {
    out.extend(u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
}

fn encode_append(append: &Append) -> Vec<u8> {
    let mut out = Vec::new();
    count(&mut out, append.bookmarks.len());
    for (name, value) in &append.bookmarks {
        put(&mut out, name.as_bytes());
        put(&mut out, value);
    }
    count(&mut out, append.records.len());
    for record in &append.records {
        out.extend([
            record.codec,
            record.kind,
            record.peer_kind,
            u8::from(record.key.is_some()),
        ]);
        out.extend(record.flags.to_le_bytes());
        for number in [
            record.peer_id,
            record.message_id,
            record.received_at,
            record.source_at,
        ] {
            out.extend(number.to_le_bytes());
        }
        put(&mut out, &record.payload);
        if let Some(key) = &record.key {
            put(&mut out, key);
        }
    }
    out
}

fn encode_outcomes(outcomes: &[Outcome]) -> Vec<u8> {
    let mut out = vec![0];
    count(&mut out, outcomes.len());
    for outcome in outcomes {
        let (tag, seq) = match outcome {
            Outcome::Appended(seq) => (0, seq),
            Outcome::Duplicate(seq) => (1, seq),
        };
        out.push(tag);
        out.extend(seq.get().to_le_bytes());
    }
    out
}

fn encode_error(text: &str) -> Vec<u8> {
    let mut out = vec![1];
    put(&mut out, text.as_bytes());
    out
}

/// Takes values off the front of a message; none when it is too short.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(len as usize)
    }
}

fn decode_append(message: &[u8]) -> Option<Append> {
    let mut cut = Cut(message);
    let mut append = Append::default();
    for _ in 0..cut.u32()? {
        let name = String::from_utf8(cut.bytes()?.to_vec()).ok()?;
        append.bookmarks.push((name, cut.bytes()?.to_vec()));
    }
    for _ in 0..cut.u32()? {
        let [codec, kind, peer_kind, has_key] = cut.array()?;
        append.records.push(NewRecord {
            codec,
            kind,
            peer_kind,
            flags: u16::from_le_bytes(cut.array()?),
            peer_id: cut.i64()?,
            message_id: cut.i64()?,
            received_at: cut.i64()?,
            source_at: cut.i64()?,
            payload: cut.bytes()?.to_vec(),
            key: if has_key == 1 {
                Some(cut.bytes()?.to_vec())
            } else {
                None
            },
        });
    }
    cut.0.is_empty().then_some(append)
}

fn decode_answer(message: &[u8]) -> Option<Result<Vec<Outcome>, String>> {
    let mut cut = Cut(message);
    match cut.array()? {
        [0] => {
            let mut outcomes = Vec::new();
            for _ in 0..cut.u32()? {
                let [tag] = cut.array()?;
                let seq = Seq::new(u64::from_le_bytes(cut.array()?))?;
                outcomes.push(match tag {
                    0 => Outcome::Appended(seq),
                    1 => Outcome::Duplicate(seq),
                    _ => return None,
                });
            }
            Some(Ok(outcomes))
        }
        [1] => Some(Err(String::from_utf8_lossy(cut.bytes()?).into_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn appends_round_trip_and_garbage_is_refused(
            payload in proptest::collection::vec(any::<u8>(), 0..50),
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50)),
            numbers in any::<(u8, u16, i64, i64)>(),
            cut in 0usize..200,
        ) {
            let (byte, flags, peer_id, received_at) = numbers;
            let record = NewRecord {
                codec: byte, flags, kind: byte, peer_kind: byte, peer_id, message_id: -peer_id.saturating_abs(),
                received_at, source_at: 7, payload, key,
            };
            let append = Append {
                records: vec![record; 2],
                bookmarks: vec![("box".to_owned(), vec![1, 2])],
                cursors: Vec::new(),
            };
            let bytes = encode_append(&append);
            prop_assert_eq!(decode_append(&bytes), Some(append));
            let shorter = cut.min(bytes.len().saturating_sub(1));
            prop_assert_eq!(decode_append(&bytes[..shorter]), None);
        }
    }

    #[test]
    fn answers_round_trip() {
        let outcomes = vec![
            Outcome::Appended(Seq::FIRST),
            Outcome::Duplicate(Seq::FIRST.next()),
        ];
        assert_eq!(
            decode_answer(&encode_outcomes(&outcomes)),
            Some(Ok(outcomes))
        );
        assert_eq!(
            decode_answer(&encode_error("full")),
            Some(Err("full".to_owned()))
        );
        assert_eq!(decode_answer(&[9]), None);
    }
}
