//! One TCP connection: a task that reads and answers, and one that packs and writes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use grammers_tl_types::Serializable;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::incoming;
use crate::shared::Shared;
use crate::wire::frame::{FrameReader, FrameWriter, transport_error};
use crate::wire::message::{Outgoing, Packer};
use crate::wire::seal::{Key, KeyId};
use crate::world::World;

/// Messages and bytes that go into one container at most. Telegram closes the line at about a megabyte.
const CONTAINER_MESSAGES: usize = 100;
const CONTAINER_BYTES: usize = 256 << 10;

/// What the writer is told to do.
pub(crate) enum Command {
    Send(Outgoing),
    /// Sealed for a session that is not the client's.
    SendToWrongSession(Outgoing),
    TransportError(u16),
    /// Before there is a key.
    Unsealed(Vec<u8>),
}

/// An answer that is kept until it is released.
pub(crate) struct Held {
    pub(crate) link: u64,
    pub(crate) answer: Outgoing,
}

/// A connection as the world knows it.
pub(crate) struct Link {
    pub(crate) dc_id: i32,
    pub(crate) key: Option<KeyId>,
    pub(crate) session: i64,
    /// It has said who it is (`initConnection`), so it may be sent updates.
    pub(crate) is_ready: bool,
    /// A black hole: nothing that arrives is read, and nothing is sent.
    pub(crate) is_mute: bool,
    /// Set by `ping_delay_disconnect`.
    pub(crate) closes_at: Option<Instant>,
    commands: mpsc::UnboundedSender<Command>,
    closing: Arc<Notify>,
}

impl Link {
    pub(crate) fn send(&self, message: Outgoing) {
        self.command(Command::Send(message));
    }

    pub(crate) fn command(&self, command: Command) {
        // The writer is gone when the connection is just being closed.
        let _ = self.commands.send(command);
    }

    pub(crate) fn close(&self) {
        self.closing.notify_one();
    }
}

/// Serves a connection until either side closes it.
pub(crate) async fn serve(shared: Arc<Shared>, dc_id: i32, stream: TcpStream) {
    // Small packets should not wait for one another.
    let _ = stream.set_nodelay(true);
    let (from, to) = stream.into_split();
    let (commands, queue) = mpsc::unbounded_channel();
    let closing = Arc::new(Notify::new());
    let link = Link {
        dc_id,
        key: None,
        session: 0,
        is_ready: false,
        is_mute: false,
        closes_at: None,
        commands,
        closing: Arc::clone(&closing),
    };
    let id = shared.change(|world| {
        world.links_made += 1;
        world.links.insert(world.links_made, link);
        world.links_made
    });
    let mut writer = tokio::spawn(write(Arc::clone(&shared), id, queue, to));
    tokio::select! {
        () = read(&shared, id, from) => {}
        () = closing.notified() => {}
        _ = &mut writer => {}
    }
    writer.abort();
    shared.change(|world| world.links.remove(&id));
}

async fn read(shared: &Arc<Shared>, id: u64, mut from: OwnedReadHalf) {
    let mut frames = FrameReader::default();
    loop {
        let closes_at = shared.look(|world| world.links.get(&id).and_then(|link| link.closes_at));
        let frame = tokio::select! {
            frame = frames.read(&mut from) => frame,
            () = sleep_until(closes_at) => return,
        };
        let Ok(packet) = frame else {
            return;
        };
        shared.change(|world| incoming::receive(world, shared, id, &packet));
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Who a connection's packets are sealed for.
struct Seal {
    key: Key,
    session: i64,
    salt: i64,
    now: Duration,
}

/// None when nothing may be sent.
fn seal_of(world: &World, id: u64) -> Option<Seal> {
    let link = world.links.get(&id)?;
    if link.is_mute || world.faults.is_mute {
        return None;
    }
    Some(Seal {
        key: world.keys.get(&link.key?)?.key.clone(),
        session: link.session,
        salt: world.salts.current(),
        now: world.clock.since_epoch(),
    })
}

async fn write(
    shared: Arc<Shared>,
    id: u64,
    mut queue: mpsc::UnboundedReceiver<Command>,
    mut to: OwnedWriteHalf,
) -> io::Result<()> {
    let (mut frames, mut packer) = (FrameWriter::default(), Packer::default());
    let mut next = queue.recv().await;
    while let Some(command) = next.take() {
        let mut session = None;
        let mut messages = Vec::new();
        match command {
            Command::TransportError(code) => to.write_all(&transport_error(code)).await?,
            Command::Unsealed(packet) => to.write_all(&frames.frame(&packet)).await?,
            Command::SendToWrongSession(message) => {
                session = Some(0x0062_6164);
                messages.push(message);
            }
            Command::Send(message) => {
                let mut bytes = message.body.len();
                messages.push(message);
                while messages.len() < CONTAINER_MESSAGES && bytes < CONTAINER_BYTES {
                    match queue.try_recv() {
                        Ok(Command::Send(message)) => {
                            bytes += message.body.len();
                            messages.push(message);
                        }
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
            }
        }
        let seal = shared.look(|world| seal_of(world, id));
        if let Some(seal) = seal.filter(|_| !messages.is_empty()) {
            let packed = packer.pack(&messages, seal.now);
            let session = session.unwrap_or(seal.session);
            let packet = seal.key.seal(seal.salt, session, &packed);
            to.write_all(&frames.frame(&packet)).await?;
        }
        if next.is_none() {
            next = queue.recv().await;
        }
    }
    Ok(())
}

/// A message that answers something, or tells of it.
pub(crate) fn service(body: &impl Serializable, is_answer: bool, needs_ack: bool) -> Outgoing {
    Outgoing {
        body: body.to_bytes(),
        is_answer,
        needs_ack,
    }
}
