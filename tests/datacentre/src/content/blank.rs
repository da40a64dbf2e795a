//! The big structs with nothing in them, read from their shortest encoding: no flag set and the mandatory fields.
//! A new layer that adds optional fields changes nothing here.

use grammers_tl_types as tl;
use tl::{Deserializable, Serializable};

/// Mandatory fields one after the other.
#[derive(Default)]
pub(crate) struct Blank(Vec<u8>);

/// Starts the encoding of a struct, with as many zero words (flags, numbers, empty strings) as are asked for.
pub(crate) fn blank_bytes(words: usize) -> Blank {
    Blank::default().words(words)
}

impl Blank {
    pub(crate) fn words(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + 4 * count, 0);
        self
    }

    pub(crate) fn put(mut self, field: &impl Serializable) -> Self {
        field.serialize(&mut self.0);
        self
    }

    /// The struct; its mandatory fields are those of the pinned layer, or the unit tests of this module fail.
    pub(crate) fn read<T: Deserializable>(self) -> T {
        T::from_bytes(&self.0).expect("the mandatory fields of this struct")
    }
}

pub(crate) fn blank_message(peer: &tl::enums::Peer) -> tl::types::Message {
    blank_bytes(3).put(peer).words(2).read()
}

pub(crate) fn blank_service(peer: &tl::enums::Peer) -> tl::types::MessageService {
    let action = tl::enums::MessageAction::Empty;
    blank_bytes(2).put(peer).words(1).put(&action).read()
}

pub(crate) fn blank_channel() -> tl::types::Channel {
    let photo = tl::enums::ChatPhoto::Empty;
    blank_bytes(5).put(&photo).words(1).read()
}

pub(crate) fn blank_user() -> tl::types::User {
    blank_bytes(4).read()
}

pub(crate) fn blank_chat() -> tl::types::Chat {
    let photo = tl::enums::ChatPhoto::Empty;
    blank_bytes(4).put(&photo).words(3).read()
}

pub(crate) fn blank_notify_settings() -> tl::enums::PeerNotifySettings {
    blank_bytes(1)
        .read::<tl::types::PeerNotifySettings>()
        .into()
}

pub(crate) fn blank_dialog(peer: &tl::enums::Peer) -> tl::types::Dialog {
    let settings = blank_notify_settings();
    blank_bytes(1).put(peer).words(7).put(&settings).read()
}

pub(crate) fn blank_full_user(id: i64) -> tl::types::UserFull {
    let settings: tl::types::PeerSettings = blank_bytes(1).read();
    let settings = tl::enums::PeerSettings::from(settings);
    let notify = blank_notify_settings();
    blank_bytes(2)
        .put(&id)
        .put(&settings)
        .put(&notify)
        .words(1)
        .read()
}

pub(crate) fn blank_full_channel(id: i64) -> tl::types::ChannelFull {
    let (photo, notify) = (empty_photo(), blank_notify_settings());
    let fields = blank_bytes(2).put(&id).words(4).put(&photo).put(&notify);
    let no_bots = Vec::<tl::enums::BotInfo>::new();
    fields.put(&no_bots).words(1).read()
}

pub(crate) fn blank_full_chat(id: i64) -> tl::types::ChatFull {
    let participants = tl::types::ChatParticipants {
        chat_id: id,
        participants: Vec::new(),
        version: 1,
    };
    let participants = tl::enums::ChatParticipants::from(participants);
    let notify = blank_notify_settings();
    blank_bytes(1)
        .put(&id)
        .words(1)
        .put(&participants)
        .put(&notify)
        .read()
}

fn empty_photo() -> tl::enums::Photo {
    tl::types::PhotoEmpty { id: 0 }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every blank struct takes its whole encoding and no more.
    #[test]
    fn blanks_are_whole() {
        let peer: tl::enums::Peer = tl::types::PeerUser { user_id: 7 }.into();
        assert_eq!(blank_message(&peer).peer_id, peer);
        assert_eq!(blank_message(&peer).message, "");
        assert_eq!(blank_service(&peer).peer_id, peer);
        assert_eq!(blank_channel().id, 0);
        assert_eq!(blank_user().id, 0);
        assert_eq!(blank_chat().title, "");
        assert_eq!(blank_dialog(&peer).peer, peer);
        assert_eq!(blank_full_user(9).id, 9);
        assert_eq!(blank_full_channel(9).id, 9);
        assert_eq!(blank_full_chat(9).id, 9);
    }
}
