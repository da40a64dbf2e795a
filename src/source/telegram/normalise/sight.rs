//! Chats as an operator sees them: what is known of each, whether it is mirrored, and why.

use grammers_tl_types as tl;

use super::super::index::Index;
use super::super::policy::{Policy, Standing};
use super::chats;
use crate::event::{ChannelInfo, PeerId};
use crate::status::ChatReport;

/// Looks at chats as an account with this policy does.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// Whose updates it mirrors.
    pub policy: &'a Policy,
    /// What the log knows.
    pub index: &'a Index,
}

impl Sight<'_> {
    /// A chat that came along with an answer; none for what is no chat that could be mirrored.
    pub fn chat(&self, chat: &tl::enums::Chat) -> Option<(PeerId, ChatReport)> {
        let told = chats::chat(chat)?;
        let known = self.index.facts(told.peer).map(|facts| facts.info);
        let mut names = told.names.iter().filter(|name| self.policy.has_name(name));
        let is_free = |name: &String| self.index.named(name).is_none_or(|it| it == told.peer);
        let logged = self.standing(told.peer, known.as_ref());
        let standing = Standing {
            is_named: logged.is_named || names.any(is_free),
            has_left: told.has_left.unwrap_or(false),
            is_direct: told.is_direct,
            ..logged
        };
        let mut report = self.report(told.peer, standing, told.info.or(known));
        report.member = told.has_left.map(|left| !left);
        Some((told.peer, report))
    }

    /// A chat as the log knows it.
    pub fn peer(&self, peer: PeerId) -> ChatReport {
        let known = self.index.facts(peer).map(|facts| facts.info);
        let standing = self.standing(peer, known.as_ref());
        self.report(peer, standing, known)
    }

    /// What the log knows of a channel. A name that was resolved once stays resolved, whoever takes it later.
    pub(super) fn standing(&self, peer: PeerId, known: Option<&ChannelInfo>) -> Standing {
        let mut names = self.policy.names();
        Standing {
            is_named: names.any(|name| self.index.named(name) == Some(peer)),
            has_left: false,
            is_direct: known.is_some_and(|info| info.kind == chats::DIRECT),
            migrated_from: known.and_then(|info| info.migrated_from),
        }
    }

    fn report(&self, peer: PeerId, standing: Standing, info: Option<ChannelInfo>) -> ChatReport {
        let verdict = self.policy.judge(peer, standing);
        let newest = self.index.newest(peer, 1).unwrap_or_default();
        let (kind, title, username) = match info {
            Some(info) => (Some(info.kind), info.title, info.username),
            None => (None, None, None),
        };
        ChatReport {
            id: peer.marked(),
            kind,
            title,
            username: username.filter(|name| !name.is_empty()),
            followed: verdict.follows(),
            why: verdict.as_str().to_owned(),
            last_message_id: newest.first().copied(),
            ..ChatReport::default()
        }
    }
}
