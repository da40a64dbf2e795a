//! What is kept, as bytes: small, fixed, little-endian. Bytes of any kind are read without a panic.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use grammers_session::types::{ChannelKind, DcOption, PeerAuth, PeerId, PeerInfo, PeerKind};
use zeroize::Zeroizing;

/// Whose session it is, and where it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    /// The data centre that requests go to.
    pub(super) home: i32,
    /// The account, once somebody has logged in.
    pub(super) own: Option<Own>,
    /// The data centre that was given with its key, and whose address is the configuration's.
    pub(super) given: Option<i32>,
}

/// An account that is logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// Its id.
    pub id: i64,
    /// Whether it is a bot.
    pub is_bot: bool,
}

const LOGGED_IN: u8 = 1;
const BOT: u8 = 2;
const GIVEN: u8 = 4;

impl Account {
    pub(super) fn to_bytes(self) -> [u8; 17] {
        let mut flags = 0;
        if let Some(own) = self.own {
            flags |= LOGGED_IN | if own.is_bot { BOT } else { 0 };
        }
        if self.given.is_some() {
            flags |= GIVEN;
        }
        let id = self.own.map_or(0, |own| own.id);
        let mut bytes = [0; 17];
        bytes[0] = flags;
        bytes[1..5].copy_from_slice(&self.home.to_le_bytes());
        bytes[5..9].copy_from_slice(&self.given.unwrap_or(0).to_le_bytes());
        bytes[9..].copy_from_slice(&id.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Account> {
        let bytes: &[u8; 17] = bytes.try_into().ok()?;
        let (flags, rest) = bytes.split_first()?;
        let (home, rest) = rest.split_first_chunk::<4>()?;
        let (given, id) = rest.split_first_chunk::<4>()?;
        let own = Own {
            id: i64::from_le_bytes(id.try_into().ok()?),
            is_bot: flags & BOT != 0,
        };
        let is_known = flags & !(LOGGED_IN | BOT | GIVEN) == 0;
        is_known.then_some(Account {
            home: i32::from_le_bytes(*home),
            own: (flags & LOGGED_IN != 0).then_some(own),
            given: (flags & GIVEN != 0).then_some(i32::from_le_bytes(*given)),
        })
    }
}

/// Addresses, and the key when there is one.
pub(super) fn dc_to_bytes(dc: &DcOption) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(24 + 256));
    bytes.extend_from_slice(&dc.ipv4.ip().octets());
    bytes.extend_from_slice(&dc.ipv4.port().to_le_bytes());
    bytes.extend_from_slice(&dc.ipv6.ip().octets());
    bytes.extend_from_slice(&dc.ipv6.port().to_le_bytes());
    bytes.extend_from_slice(dc.auth_key.as_ref().map_or(&[][..], |key| &key[..]));
    bytes
}

pub(super) fn dc_from_bytes(id: i32, bytes: &[u8]) -> Option<DcOption> {
    let (ipv4, rest) = bytes.split_first_chunk::<4>()?;
    let (port4, rest) = rest.split_first_chunk::<2>()?;
    let (ipv6, rest) = rest.split_first_chunk::<16>()?;
    let (port6, key) = rest.split_first_chunk::<2>()?;
    let auth_key = match key {
        [] => None,
        key => Some(key.try_into().ok()?),
    };
    Some(DcOption {
        id,
        ipv4: SocketAddrV4::new(Ipv4Addr::from(*ipv4), u16::from_le_bytes(*port4)),
        ipv6: SocketAddrV6::new(Ipv6Addr::from(*ipv6), u16::from_le_bytes(*port6), 0, 0),
        auth_key,
    })
}

/// Where a peer is kept: its kind, and its id.
pub(super) type PeerKey = (u8, i64);

const USER: u8 = 1;
const CHANNEL: u8 = 3;

/// A channel as the library names it; none for a number that no channel has. The library's own check overflows on
/// numbers far outside.
pub fn channel_peer(id: i64) -> Option<PeerId> {
    let near = (0..1 << 42).contains(&id);
    near.then(|| PeerId::channel(id)).flatten()
}

/// Where a peer is kept; none for one that needs no keeping (a basic group has no access hash), and for one whose id
/// is none, on which the library would panic.
pub(super) fn peer_key(peer: &PeerInfo) -> Option<PeerKey> {
    match peer {
        PeerInfo::User { id, .. } => PeerId::user(*id).map(|_| (USER, *id)),
        PeerInfo::Chat { .. } => None,
        PeerInfo::Channel { id, .. } => channel_peer(*id).map(|_| (CHANNEL, *id)),
    }
}

/// Where a peer would be kept; none as above, and for "oneself".
pub(super) fn key_of(id: PeerId) -> Option<PeerKey> {
    let bare = id.bare_id()?;
    match id.kind() {
        PeerKind::User => Some((USER, bare)),
        PeerKind::Chat => None,
        PeerKind::Channel => Some((CHANNEL, bare)),
    }
}

/// Where the own account is kept.
pub(super) fn own_key(own: Own) -> PeerKey {
    (USER, own.id)
}

/// What is known of a peer beside its id: whether there is a hash, one byte of more, and the hash.
pub(super) fn peer_to_bytes(peer: &PeerInfo) -> [u8; 10] {
    let more = match peer {
        PeerInfo::User { bot, is_self, .. } => three(*bot) | three(*is_self) << 2,
        PeerInfo::Chat { .. } => 0,
        PeerInfo::Channel { kind, .. } => kind.map_or(0, |kind| match kind {
            ChannelKind::Broadcast => 1,
            ChannelKind::Megagroup => 2,
            ChannelKind::Gigagroup => 3,
            ChannelKind::Community => 4,
        }),
    };
    let auth = match peer {
        PeerInfo::User { auth, .. } | PeerInfo::Channel { auth, .. } => *auth,
        PeerInfo::Chat { .. } => None,
    };
    let mut bytes = [0; 10];
    bytes[0] = u8::from(auth.is_some());
    bytes[1] = more;
    bytes[2..].copy_from_slice(&auth.map_or(0, PeerAuth::hash).to_le_bytes());
    bytes
}

pub(super) fn peer_from_bytes(key: PeerKey, bytes: &[u8]) -> Option<PeerInfo> {
    let bytes: &[u8; 10] = bytes.try_into().ok()?;
    let (head, hash) = bytes.split_first_chunk::<2>()?;
    let [has_auth, more] = *head;
    let auth = PeerAuth::from_hash(i64::from_le_bytes(hash.try_into().ok()?));
    let auth = match has_auth {
        0 => None,
        1 => Some(auth),
        _ => return None,
    };
    match key {
        (USER, id) if more < 16 => Some(PeerInfo::User {
            id,
            auth,
            bot: of_three(more & 3)?,
            is_self: of_three(more >> 2)?,
        }),
        (CHANNEL, id) => {
            let kind = match more {
                0 => None,
                1 => Some(ChannelKind::Broadcast),
                2 => Some(ChannelKind::Megagroup),
                3 => Some(ChannelKind::Gigagroup),
                4 => Some(ChannelKind::Community),
                _ => return None,
            };
            Some(PeerInfo::Channel { id, auth, kind })
        }
        _ => None,
    }
}

/// Yes, no, unknown.
fn three(value: Option<bool>) -> u8 {
    match value {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    }
}

fn of_three(value: u8) -> Option<Option<bool>> {
    match value {
        0 => Some(None),
        1 => Some(Some(false)),
        2 => Some(Some(true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_dc() -> impl Strategy<Value = DcOption> {
        let key = proptest::option::of(any::<u8>().prop_map(|byte| [byte; 256]));
        (any::<(i32, u32, u16, u128, u16)>(), key).prop_map(|((id, v4, p4, v6, p6), auth_key)| {
            DcOption {
                id,
                ipv4: SocketAddrV4::new(v4.into(), p4),
                ipv6: SocketAddrV6::new(v6.into(), p6, 0, 0),
                auth_key,
            }
        })
    }

    fn any_peer() -> impl Strategy<Value = PeerInfo> {
        let auth = || proptest::option::of(any::<i64>().prop_map(PeerAuth::from_hash));
        let user = (1..=0xff_ffff_ffff_i64, auth(), any::<[Option<bool>; 2]>());
        let kinds = [
            ChannelKind::Broadcast,
            ChannelKind::Megagroup,
            ChannelKind::Gigagroup,
            ChannelKind::Community,
        ];
        let kind = proptest::option::of(proptest::sample::select(kinds.to_vec()));
        prop_oneof![
            user.prop_map(|(id, auth, [bot, is_self])| PeerInfo::User {
                id,
                auth,
                bot,
                is_self
            }),
            (1..=997_852_516_352_i64, auth(), kind)
                .prop_map(|(id, auth, kind)| PeerInfo::Channel { id, auth, kind }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            dc in any_dc(),
            peer in any_peer(),
            home in any::<i32>(),
            own in proptest::option::of((any::<i64>(), any::<bool>())),
            given in any::<Option<i32>>(),
        ) {
            let read = dc_from_bytes(dc.id, &dc_to_bytes(&dc));
            prop_assert_eq!(read.as_ref(), Some(&dc));
            let key = peer_key(&peer).expect("a legal id");
            prop_assert_eq!(key_of(peer.id()), Some(key));
            prop_assert_eq!(peer_from_bytes(key, &peer_to_bytes(&peer)), Some(peer));
            let own = own.map(|(id, is_bot)| Own { id, is_bot });
            let account = Account { home, own, given };
            prop_assert_eq!(Account::from_bytes(&account.to_bytes()), Some(account));
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            key in any::<PeerKey>(),
        ) {
            if let Some(account) = Account::from_bytes(&bytes) {
                prop_assert_eq!(account.to_bytes().len(), bytes.len());
            }
            if let Some(dc) = dc_from_bytes(1, &bytes) {
                prop_assert_eq!(&dc_to_bytes(&dc)[..], &bytes[..]);
            }
            let _ = peer_from_bytes(key, &bytes);
        }
    }

    #[test]
    fn ids_that_are_none_are_not_kept() {
        for id in [0, -1, i64::MAX, i64::MIN] {
            let user = PeerInfo::User {
                id,
                auth: None,
                bot: None,
                is_self: None,
            };
            assert_eq!(peer_key(&user), None);
            let channel = PeerInfo::Channel {
                id,
                auth: None,
                kind: None,
            };
            assert_eq!(peer_key(&channel), None);
        }
    }
}
