//! What is in messages, channels and users: the big structs with few lines each.

mod blank;
mod media;
mod message;
mod peers;
mod poll;

pub(crate) use blank::{
    blank_bytes, blank_dialog, blank_full_channel, blank_full_chat, blank_full_user,
};
pub use media::{Document, Photo, Preview};
pub use message::Draft;
pub(crate) use message::{message_mut, peer_of};
pub use peers::{ChannelSpec, UserSpec};
pub(crate) use peers::{group_as_chat, person};
pub use poll::PollSpec;

use grammers_tl_types as tl;

/// The peer of a channel, for headers of forwards and replies.
pub fn channel_peer(channel_id: i64) -> tl::enums::Peer {
    tl::types::PeerChannel { channel_id }.into()
}

/// The peer of a user.
pub fn user_peer(user_id: i64) -> tl::enums::Peer {
    tl::types::PeerUser { user_id }.into()
}

/// The peer of a basic group.
pub fn group_peer(chat_id: i64) -> tl::enums::Peer {
    tl::types::PeerChat { chat_id }.into()
}
