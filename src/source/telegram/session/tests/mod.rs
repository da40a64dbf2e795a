//! The session file: what it keeps, from whom, and through what.

mod access;
mod gate;
mod keeping;

use std::net::{Ipv4Addr, SocketAddrV4};

use tempfile::TempDir;
use zeroize::Zeroizing;

use super::*;
use crate::config::{AuthKey, Secret};

fn raw(byte: u8) -> SessionKey {
    SessionKey::Raw(Zeroizing::new([byte; 32]))
}

fn passphrase(text: &str) -> SessionKey {
    SessionKey::Passphrase(Secret::new(text.to_owned()))
}

fn centre(key: u8, port: u16) -> DataCentre {
    DataCentre {
        id: 7,
        address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
        auth_key: AuthKey::new([key; 256]),
    }
}

fn channel(id: i64, hash: Option<i64>) -> PeerInfo {
    PeerInfo::Channel {
        id,
        auth: hash.map(grammers_session::types::PeerAuth::from_hash),
        kind: None,
    }
}

/// A data folder with a session of the account `main`.
struct Home {
    folder: TempDir,
    key: SessionKey,
}

impl Home {
    fn new() -> Home {
        Home {
            folder: tempfile::tempdir().expect("a folder"),
            key: raw(1),
        }
    }

    fn place(&self) -> Place {
        Place::new(self.folder.path(), "main")
    }

    fn claim(&self) -> Claim {
        self.place().claim().expect("nobody else has it")
    }

    fn create(&self) -> FileSession {
        FileSession::create(&self.claim(), &self.key, None).expect("a session")
    }

    fn reopen(&self) -> Result<Option<FileSession>, SessionError> {
        FileSession::open(&self.claim(), &self.key, None)
    }

    fn sound(&self) -> FileSession {
        self.reopen().expect("it opens").expect("it is there")
    }
}
