//! Packets that leave at once.
//!
//! sqlx 0.9.0 leaves Nagle's algorithm on (its issue 4335; what comes after 0.9.0 does not). The end of a `COPY` is then
//! held back until the server has acknowledged the rows, and a server that is waiting for that end takes 40 ms to do so.
//! A connection of sqlx does not show its socket, so it is looked up among those of the process, by the port at its other
//! end. This goes when sqlx can be updated.

use std::fs;
use std::os::fd::{OwnedFd, RawFd};

use rustix::fs::{FileType, fstat};
use rustix::io;
use rustix::net::{SocketAddr, getpeername, sockopt::set_tcp_nodelay};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// Every connection of this process to a server at this port sends what it has at once. Best effort: without it, what
/// is copied in comes later.
pub(super) fn send_at_once(port: u16) {
    let set = connections(port).and_then(|connections| {
        // One that refuses, because its other end is gone, say, leaves the others as they are.
        let set = connections.iter().map(|it| set_tcp_nodelay(it, true));
        set.fold(Ok(()), io::Result::and).map_err(Into::into)
    });
    if let Err(error) = set {
        tracing::debug!(%error, "small packets may be held back on the way to the database");
    }
}

/// Copies of the sockets whose other end is at this port.
fn connections(port: u16) -> std::io::Result<Vec<OwnedFd>> {
    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    let mut connections = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let is_socket =
            |link: std::path::PathBuf| link.as_os_str().as_encoded_bytes().starts_with(b"socket:");
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<RawFd>().ok());
        let Some(number) = number.filter(|_| fs::read_link(entry.path()).is_ok_and(is_socket))
        else {
            continue;
        };
        let copy = pidfd_getfd(&process, number, PidfdGetfdFlags::empty());
        connections.extend(socket(copy).filter(|it| peer_port(it) == Some(port)));
    }
    Ok(connections)
}

/// The copy of a descriptor, if there is one and it is of a socket. By now its number may be that of a file, and to close
/// any descriptor of a database of SQLite is to lose its locks: such a copy is never closed.
fn socket(copy: io::Result<OwnedFd>) -> Option<OwnedFd> {
    let copy = copy.ok()?;
    let is_socket =
        fstat(&copy).is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Socket);
    if !is_socket {
        std::mem::forget(copy);
        return None;
    }
    Some(copy)
}

fn peer_port(socket: &OwnedFd) -> Option<u16> {
    let peer = getpeername(socket).ok()??;
    Some(SocketAddr::try_from(peer).ok()?.port())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use rustix::net::sockopt::tcp_nodelay;

    use super::super::setup;
    use super::*;
    use crate::config::BackendUrl;

    /// A server that lets everybody in, and says no more.
    fn welcome(database: &TcpListener) -> TcpStream {
        const AUTHENTICATION_OK: &[u8] = b"R\0\0\0\x08\0\0\0\0";
        const READY_FOR_QUERY: &[u8] = b"Z\0\0\0\x05I";
        let (mut client, _) = database.accept().expect("a client");
        assert!(client.read(&mut [0; 1024]).expect("a start-up message") > 8);
        client.write_all(AUTHENTICATION_OK).expect("sent");
        client.write_all(READY_FOR_QUERY).expect("sent");
        client
    }

    #[tokio::test]
    async fn connections_of_the_store_send_at_once() {
        let database = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = database.local_addr().expect("bound").port();
        let server = std::thread::spawn(move || welcome(&database));
        let url = format!("postgres://someone@127.0.0.1:{port}/telegram?sslmode=disable");
        let url = BackendUrl::parse(&url).expect("a URL");
        let _connection = setup::connect(&url, "connecting").await.expect("let in");
        let _server = server.join().expect("no panic");
        let connections = connections(port).expect("our own sockets");
        assert_eq!(connections.len(), 1);
        assert!(tcp_nodelay(&connections[0]).expect("a socket"));
    }

    #[test]
    fn connections_to_the_port_send_at_once_and_others_are_left_alone() {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (database, other) = (listen(), listen());
        let connect = |to: &TcpListener| {
            TcpStream::connect(to.local_addr().expect("bound")).expect("connected")
        };
        let (meant, not_meant) = (connect(&database), connect(&other));
        send_at_once(database.local_addr().expect("bound").port());
        assert!(meant.nodelay().expect("a socket"));
        assert!(!not_meant.nodelay().expect("a socket"));
    }
}
