//! Messages out of the raw bytes of the log.

use grammers_tl_types as tl;
use grammers_tl_types::Deserializable;

use crate::event::Event;

/// The message as Telegram told it; none where the bytes are of another layer, or of no message.
pub(super) fn message_of(event: &Event) -> Option<tl::enums::Message> {
    let raw = event.raw.as_ref()?;
    if i64::from(raw.layer) != i64::from(tl::LAYER) {
        return None;
    }
    match tl::enums::Update::from_bytes(&raw.bytes).ok()? {
        tl::enums::Update::NewMessage(it) => Some(it.message),
        tl::enums::Update::NewChannelMessage(it) => Some(it.message),
        tl::enums::Update::EditMessage(it) => Some(it.message),
        tl::enums::Update::EditChannelMessage(it) => Some(it.message),
        _ => None,
    }
}
