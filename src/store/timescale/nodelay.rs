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
    if let Err(error) = try_to_send_at_once(port) {
        tracing::debug!(%error, "small packets may be held back on the way to the database");
    }
}

fn try_to_send_at_once(port: u16) -> std::io::Result<()> {
    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
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
        if let Some(socket) = socket(pidfd_getfd(&process, number, PidfdGetfdFlags::empty()))
            && peer_port(&socket) == Some(port)
        {
            set_tcp_nodelay(&socket, true)?;
        }
    }
    Ok(())
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
    use std::net::{TcpListener, TcpStream};

    use super::*;

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
