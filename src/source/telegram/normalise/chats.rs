//! What is told of chats and people: titles, names, kinds, and which group became which supergroup.

use grammers_tl_types as tl;

use super::message::{peer, user_name};
use crate::event::{ChannelInfo, PeerId, PeerKind};

/// The kind of a channel that holds what people write to another one in private.
pub(super) const DIRECT: &str = "direct_messages";

/// What came along of a chat.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) peer: PeerId,
    /// What it is called. None where that is not told in full.
    pub(super) info: Option<ChannelInfo>,
    /// All its public names that work.
    pub(super) names: Vec<String>,
    /// Whether the account is out of it; none where that is not told.
    pub(super) has_left: Option<bool>,
    pub(super) is_direct: bool,
    /// The supergroup that it became.
    pub(super) became: Option<PeerId>,
}

/// A chat, where something can be said of it.
pub(super) fn chat(chat: &tl::enums::Chat) -> Option<Told> {
    let told = |peer, info, has_left| Told {
        peer,
        info,
        names: Vec::new(),
        has_left,
        is_direct: false,
        became: None,
    };
    match chat {
        tl::enums::Chat::Channel(it) => {
            let peer = peer(PeerKind::Channel, it.id)?;
            let names = names(it.username.as_deref(), it.usernames.as_deref());
            // What came along for its name's sake tells nothing about us, and may leave the public name out.
            let info = (!it.min).then(|| info(channel_kind(it), &it.title, names.first()));
            Some(Told {
                names,
                is_direct: it.monoforum,
                ..told(peer, info, (!it.min).then_some(it.left))
            })
        }
        tl::enums::Chat::ChannelForbidden(it) => Some(Told {
            is_direct: it.monoforum,
            ..told(peer(PeerKind::Channel, it.id)?, None, Some(true))
        }),
        tl::enums::Chat::Chat(it) => {
            let became = it.migrated_to.as_ref().and_then(|to| match to {
                tl::enums::InputChannel::Channel(to) => peer(PeerKind::Channel, to.channel_id),
                _ => None,
            });
            let info = info("group", &it.title, None);
            Some(Told {
                became,
                ..told(peer(PeerKind::Chat, it.id)?, Some(info), Some(it.left))
            })
        }
        tl::enums::Chat::Empty(_)
        | tl::enums::Chat::Forbidden(_)
        | tl::enums::Chat::CommunityForbidden(_)
        | tl::enums::Chat::Community(_) => None,
    }
}

/// A person or bot, as the other side of a private chat.
pub(super) fn user(user: &tl::enums::User) -> Option<(PeerId, ChannelInfo)> {
    let tl::enums::User::User(user) = user else {
        return None;
    };
    if user.min {
        return None;
    }
    let names = names(user.username.as_deref(), user.usernames.as_deref());
    let kind = if user.bot { "bot" } else { "user" };
    let name = user_name(user).unwrap_or_default();
    Some((
        peer(PeerKind::User, user.id)?,
        info(kind, &name, names.first()),
    ))
}

fn channel_kind(channel: &tl::types::Channel) -> &'static str {
    match (channel.monoforum, channel.broadcast) {
        (true, _) => DIRECT,
        (false, true) => "channel",
        (false, false) => "supergroup",
    }
}

/// A public name that is gone is told as an empty one; none would mean that nothing is known.
fn info(kind: &str, title: &str, username: Option<&String>) -> ChannelInfo {
    ChannelInfo {
        kind: kind.to_owned(),
        title: Some(title.to_owned()),
        username: Some(username.cloned().unwrap_or_default()),
        migrated_from: None,
        at: None,
    }
}

/// The names that work, the main one first.
fn names(main: Option<&str>, more: Option<&[tl::enums::Username]>) -> Vec<String> {
    let more = more.unwrap_or_default().iter();
    let more = more.filter_map(|tl::enums::Username::Username(name)| {
        name.active.then_some(name.username.as_str())
    });
    main.into_iter().chain(more).map(str::to_owned).collect()
}
