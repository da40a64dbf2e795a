//! Canonical peer ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Offset of a channel's marked id: marked = -(10^12 + bare id), as the Bot API documents it.
const CHANNEL_MARK: i64 = 1_000_000_000_000;
/// Largest bare id Telegram gives out (about 2^40 for users; channels end where the mark would overflow its range).
const BARE_MAX: i64 = 999_999_999_999;

/// What a peer is. The numbers are part of the log format: frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PeerKind {
    /// A user or bot.
    User = 1,
    /// A basic group.
    Chat = 2,
    /// A channel or supergroup.
    Channel = 3,
}

impl PeerKind {
    fn from_number(n: u8) -> Option<PeerKind> {
        match n {
            1 => Some(PeerKind::User),
            2 => Some(PeerKind::Chat),
            3 => Some(PeerKind::Channel),
            _ => None,
        }
    }
}

/// A peer: kind and bare id (1..10^12). The marked form exists only at the edge (SQL, JSON, command line):
/// user `id`, basic group `-id`, channel `-(10^12 + id)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    kind: PeerKind,
    bare: i64,
}

/// A number that is no peer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a Telegram peer id (users are positive, groups negative, channels -100...)")]
pub struct PeerIdError(pub i64);

impl PeerId {
    /// From kind and bare id; refuses ids outside 1..10^12.
    pub fn new(kind: PeerKind, bare: i64) -> Result<PeerId, PeerIdError> {
        if (1..=BARE_MAX).contains(&bare) {
            Ok(PeerId { kind, bare })
        } else {
            Err(PeerIdError(bare))
        }
    }

    /// From the numbers in a record header.
    pub fn from_numbers(kind: u8, bare: i64) -> Result<PeerId, PeerIdError> {
        PeerId::new(PeerKind::from_number(kind).ok_or(PeerIdError(bare))?, bare)
    }

    /// From the marked form.
    pub fn from_marked(marked: i64) -> Result<PeerId, PeerIdError> {
        let (kind, bare) = if marked > 0 {
            (PeerKind::User, marked)
        } else if marked > -CHANNEL_MARK {
            (PeerKind::Chat, -marked)
        } else {
            let bare = marked.checked_add(CHANNEL_MARK).and_then(i64::checked_neg);
            (PeerKind::Channel, bare.ok_or(PeerIdError(marked))?)
        };
        PeerId::new(kind, bare).map_err(|_| PeerIdError(marked))
    }

    /// What the peer is.
    pub fn kind(self) -> PeerKind {
        self.kind
    }

    /// The bare id, unique only together with the kind.
    pub fn bare(self) -> i64 {
        self.bare
    }

    /// The marked form, unique by itself.
    pub fn marked(self) -> i64 {
        match self.kind {
            PeerKind::User => self.bare,
            PeerKind::Chat => -self.bare,
            PeerKind::Channel => -(CHANNEL_MARK + self.bare),
        }
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.marked().fmt(f)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.marked())
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(text: &str) -> Result<PeerId, PeerIdError> {
        PeerId::from_marked(text.trim().parse().map_err(|_| PeerIdError(0))?)
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.marked().serialize(serializer)
        } else {
            (self.kind as u8, self.bare).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PeerId, D::Error> {
        if deserializer.is_human_readable() {
            PeerId::from_marked(i64::deserialize(deserializer)?).map_err(de::Error::custom)
        } else {
            let (kind, bare) = <(u8, i64)>::deserialize(deserializer)?;
            PeerId::from_numbers(kind, bare).map_err(de::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marked_form_is_telegrams() {
        let channel = PeerId::new(PeerKind::Channel, 1_234_567_890).expect("valid");
        assert_eq!(channel.marked(), -1_001_234_567_890);
        assert_eq!(
            PeerId::new(PeerKind::Chat, 77).expect("valid").marked(),
            -77
        );
        assert_eq!(PeerId::new(PeerKind::User, 77).expect("valid").marked(), 77);
        for wrong in [0, i64::MIN, i64::MAX, -CHANNEL_MARK] {
            assert!(PeerId::from_marked(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn marked_form_round_trips(kind in 1u8..=3, bare in 1i64..=BARE_MAX) {
            let peer = PeerId::from_numbers(kind, bare).expect("in range");
            prop_assert_eq!(PeerId::from_marked(peer.marked()), Ok(peer));
            prop_assert_eq!(peer.to_string().parse(), Ok(peer));
        }
    }
}
