//! The chats of a Desktop export: which of them are imported, and as which peer.

use super::report::clean;
use crate::event::{PeerId, PeerKind};

/// A chat of a Desktop export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chat {
    pub(super) peer: PeerId,
    pub(super) kind: &'static str,
    pub(super) title: Option<String>,
}

/// What an export says of a chat before its messages.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) name: Option<String>,
    pub(super) chat_type: Option<String>,
    pub(super) id: Option<i64>,
}

impl Header {
    /// The chat, or the type to count it under when it is not imported.
    pub(super) fn wanted(&self, include_private: bool) -> Result<Chat, String> {
        let chat_type = self.chat_type.as_deref().unwrap_or("untyped");
        let (kind, peer_kind) = match chat_type {
            "public_channel" | "private_channel" => ("channel", PeerKind::Channel),
            "public_supergroup" | "private_supergroup" => ("supergroup", PeerKind::Channel),
            "private_group" => ("group", PeerKind::Chat),
            "personal_chat" | "saved_messages" | "replies" | "verification_codes" => {
                ("user", PeerKind::User)
            }
            "bot_chat" => ("bot", PeerKind::User),
            other => return Err(clean(other)),
        };
        if !chat_type.starts_with("public_") && !include_private {
            return Err(chat_type.to_owned());
        }
        let id = self.id.unwrap_or(0);
        // Desktop writes bare ids; other hands have been seen to mark them.
        let peer = if id < 0 {
            PeerId::from_marked(id)
        } else {
            PeerId::new(peer_kind, id)
        };
        match peer {
            Ok(peer) => Ok(Chat {
                peer,
                kind,
                title: self.name.clone().filter(|name| !name.is_empty()),
            }),
            Err(_) => Err(format!("{chat_type} without a usable id")),
        }
    }
}
