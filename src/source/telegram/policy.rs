//! Whose updates are mirrored. Nothing is, unless it was asked for.

use std::collections::BTreeSet;

use crate::event::{PeerId, PeerKind};

/// What an account mirrors. What is not known to be wanted is not mirrored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    everything: bool,
    ids: BTreeSet<PeerId>,
    names: BTreeSet<String>,
    private_chats: bool,
    is_first: bool,
}

/// What is known of a channel besides its id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// One of the names that are followed is this channel's.
    pub is_named: bool,
    /// The account is not in it.
    pub has_left: bool,
    /// It holds the messages that people write to a channel in private.
    pub is_direct: bool,
    /// The basic group that it came from.
    pub migrated_from: Option<PeerId>,
}

/// Whether a chat is mirrored, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its id is followed.
    Id,
    /// A name of its is followed.
    Name,
    /// The basic group that it was is followed.
    Grown,
    /// Everything is.
    Everything,
    /// Private chats are.
    Private,
    /// Nobody named it.
    Unnamed,
    /// Everything is followed that the account is in, and it is not in this.
    Left,
    /// Only the first account mirrors it.
    OtherAccount,
    /// Private chats are not.
    NotPrivate,
}

impl Verdict {
    /// Whether it is mirrored.
    pub fn follows(self) -> bool {
        match self {
            Verdict::Id
            | Verdict::Name
            | Verdict::Grown
            | Verdict::Everything
            | Verdict::Private => true,
            Verdict::Unnamed | Verdict::Left | Verdict::OtherAccount | Verdict::NotPrivate => false,
        }
    }

    /// As an operator reads it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Id => "named by its id",
            Verdict::Name => "named",
            Verdict::Grown => "the group that it was is named",
            Verdict::Everything => "all are followed",
            Verdict::Private => "private chats are followed",
            Verdict::Unnamed => "not in telegram.follow",
            Verdict::Left => "the account is not in it",
            Verdict::OtherAccount => "only the first account mirrors groups and private chats",
            Verdict::NotPrivate => "private chats are not followed",
        }
    }
}

impl Policy {
    /// Nothing yet. Only the first account mirrors basic groups and private chats: their numbers differ from account
    /// to account.
    pub fn nothing(is_first: bool) -> Policy {
        Policy {
            is_first,
            ..Policy::default()
        }
    }

    /// With all channels and groups that the account is in.
    #[must_use]
    pub fn and_everything(mut self) -> Policy {
        self.everything = true;
        self
    }

    /// With this channel or group.
    #[must_use]
    pub fn and_peer(mut self, peer: PeerId) -> Policy {
        self.ids.insert(peer);
        self
    }

    /// With the channel of this public name. Telegram does not tell cases apart.
    #[must_use]
    pub fn and_name(mut self, name: &str) -> Policy {
        self.names
            .insert(name.trim_start_matches('@').to_lowercase());
        self
    }

    /// With private chats.
    #[must_use]
    pub fn and_private_chats(mut self) -> Policy {
        self.private_chats = true;
        self
    }

    /// The names that are followed, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether this name is followed.
    pub fn has_name(&self, name: &str) -> bool {
        !self.names.is_empty() && self.names.contains(&name.to_lowercase())
    }

    /// Whether anything of private chats and basic groups is mirrored.
    pub fn follows_common(&self) -> bool {
        let mut groups = self.ids.iter().filter(|peer| peer.kind() == PeerKind::Chat);
        self.is_first && (self.private_chats || self.everything || groups.next().is_some())
    }

    /// Whether what is said in private chats may be kept.
    pub fn has_private_chats(&self) -> bool {
        self.is_first && self.private_chats
    }

    /// Whether what happens there is mirrored. Of a channel that is wanted as one of all, nothing needs to be known:
    /// Telegram tells its updates to those who are in it.
    pub fn follows(&self, peer: PeerId, standing: Standing) -> bool {
        self.judge(peer, standing).follows()
    }

    /// The same, with the reason.
    pub fn judge(&self, peer: PeerId, standing: Standing) -> Verdict {
        match peer.kind() {
            PeerKind::User if self.has_private_chats() => Verdict::Private,
            PeerKind::User => Verdict::NotPrivate,
            PeerKind::Chat if self.ids.contains(&peer) || self.everything => match self.is_first {
                true if self.ids.contains(&peer) => Verdict::Id,
                true => Verdict::Everything,
                false => Verdict::OtherAccount,
            },
            PeerKind::Chat => Verdict::Unnamed,
            PeerKind::Channel => self.judge_channel(peer, standing),
        }
    }

    fn judge_channel(&self, peer: PeerId, standing: Standing) -> Verdict {
        let group = standing.migrated_from;
        if standing.is_direct && !self.private_chats {
            Verdict::NotPrivate
        } else if self.ids.contains(&peer) {
            Verdict::Id
        } else if standing.is_named {
            Verdict::Name
        } else if group.is_some_and(|group| self.ids.contains(&group)) {
            Verdict::Grown
        } else if self.everything && standing.has_left {
            Verdict::Left
        } else if self.everything {
            Verdict::Everything
        } else {
            Verdict::Unnamed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_is_followed() {
        let peer = |marked| PeerId::from_marked(marked).expect("valid");
        let (channel, other) = (peer(-1_000_000_000_007), peer(-1_000_000_000_008));
        let (group, user) = (peer(-7), peer(7));
        let unknown = Standing::default();
        let left = Standing {
            has_left: true,
            ..unknown
        };
        let direct = Standing {
            is_direct: true,
            ..unknown
        };
        let named = Standing {
            is_named: true,
            has_left: true,
            ..unknown
        };
        let grown = Standing {
            migrated_from: Some(group),
            ..unknown
        };
        let nothing = || Policy::nothing(true);
        let second = || Policy::nothing(false);
        let everything = || nothing().and_everything();
        for (number, policy, peer, standing, expected) in [
            (1, nothing(), channel, unknown, false),
            (2, nothing(), group, unknown, false),
            (3, nothing(), user, unknown, false),
            (4, everything(), channel, unknown, true),
            (5, everything(), channel, left, false),
            (6, everything(), channel, direct, false),
            (7, everything(), group, unknown, true),
            (8, everything(), user, unknown, false),
            (9, second().and_everything(), channel, unknown, true),
            (10, second().and_everything(), group, unknown, false),
            (11, nothing().and_peer(channel), channel, left, true),
            (12, nothing().and_peer(channel), other, unknown, false),
            (13, nothing().and_peer(channel), channel, direct, false),
            (14, nothing().and_peer(group), group, unknown, true),
            (15, nothing().and_peer(group), channel, grown, true),
            (16, nothing().and_peer(group), channel, unknown, false),
            (17, second().and_peer(group), group, unknown, false),
            (18, nothing().and_name("@News"), channel, named, true),
            (19, nothing().and_name("@News"), channel, unknown, false),
            (20, nothing().and_private_chats(), user, unknown, true),
            (21, nothing().and_private_chats(), channel, unknown, false),
            (22, nothing().and_private_chats(), group, unknown, false),
            (23, second().and_private_chats(), user, unknown, false),
            (24, nothing().and_peer(user), user, unknown, false),
            (25, everything().and_private_chats(), channel, direct, true),
        ] {
            assert_eq!(policy.follows(peer, standing), expected, "case {number}");
        }
    }

    #[test]
    fn private_chats_and_basic_groups_are_the_first_accounts() {
        let peer = |marked| PeerId::from_marked(marked).expect("valid");
        for (policy, expected) in [
            (Policy::nothing(true), false),
            (
                Policy::nothing(true).and_peer(peer(-1_000_000_000_007)),
                false,
            ),
            (Policy::nothing(true).and_peer(peer(-7)), true),
            (Policy::nothing(true).and_everything(), true),
            (Policy::nothing(true).and_private_chats(), true),
            (
                Policy::nothing(false).and_everything().and_private_chats(),
                false,
            ),
        ] {
            assert_eq!(policy.follows_common(), expected, "{policy:?}");
        }
    }

    #[test]
    fn names_have_no_case() {
        let policy = Policy::nothing(true).and_name("@Durov").and_name("news");
        assert!(policy.has_name("dUROV") && policy.has_name("News") && !policy.has_name("other"));
        assert!(policy.names().eq(["durov", "news"]));
    }
}
