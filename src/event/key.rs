//! Dedup keys: what makes an append idempotent.
//!
//! Layout, big endian with the sign bit flipped so that byte order is number order:
//! `tag(1) peer_kind(1) peer_id(8) message_id(8) stamp(8) content_hash(8)`.
//! The order keeps the keys of one channel together and newer messages at the end, so the log's key index is
//! written where it was written last.

use sha2::{Digest, Sha256};

use super::{Body, Event, Message};

/// First byte of a key; frozen.
const TAG_CONTENT: u8 = 1;
const TAG_STATE: u8 = 2;
const TAG_CHANNEL: u8 = 3;
const TAG_UNKNOWN: u8 = 4;

/// The key of an event, or none when a repeat of it cannot be told from a new occurrence (the same counters twice,
/// a second pin): such events need a `stamp` from their source to be recognised.
///
/// Content is known by its edit date and a hash of what a reader sees, because Telegram's edit dates have whole
/// seconds and two edits may share one. Counters are left out of the hash: the same message fetched later with more
/// views is the same content.
pub fn dedup_key(event: &Event) -> Option<Vec<u8>> {
    let (tag, stamp, hash) = match &event.body {
        Body::Posted(message) => (TAG_CONTENT, message.edit_stamp(), content_hash(message, 0)),
        Body::Edited { message, .. } => (
            TAG_CONTENT,
            message.edit_stamp(),
            content_hash(message, event.stamp),
        ),
        Body::Channel(info) => {
            let mut hash = Sha256::new();
            for part in [
                Some(&info.kind),
                info.title.as_ref(),
                info.username.as_ref(),
            ] {
                update_text(&mut hash, part.map(String::as_str));
            }
            hash.update(
                info.migrated_from
                    .map_or(0, |peer| peer.marked())
                    .to_le_bytes(),
            );
            (TAG_CHANNEL, event.stamp, finish(hash))
        }
        Body::Unknown { what, .. } => {
            let mut hash = Sha256::new();
            update_text(&mut hash, Some(what));
            hash.update(event.raw.as_ref().map_or(&[][..], |raw| &raw.bytes));
            (TAG_UNKNOWN, event.stamp, finish(hash))
        }
        body if event.stamp != 0 => (
            TAG_STATE,
            event.stamp,
            u64::from(body.kind() as u8).to_be_bytes(),
        ),
        _ => return None,
    };
    let mut key = Vec::with_capacity(34);
    key.push(tag);
    key.push(event.peer.map_or(0, |peer| peer.kind() as u8));
    key.extend(sortable(event.peer.map_or(0, |peer| peer.bare())));
    key.extend(sortable(event.body.message_id().unwrap_or(0)));
    key.extend(sortable(stamp));
    key.extend(hash);
    Some(key)
}

fn sortable(n: i64) -> [u8; 8] {
    ((n as u64) ^ (1 << 63)).to_be_bytes()
}

fn update_text(hash: &mut Sha256, text: Option<&str>) {
    let text = text.unwrap_or("\u{0}");
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

fn finish(hash: Sha256) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&hash.finalize()[..8]);
    short
}

/// Where the source has a position for an edit, it tells apart two edits in one second that lead back to the same text.
fn content_hash(message: &Message, stamp: i64) -> [u8; 8] {
    let mut hash = Sha256::new();
    if stamp != 0 {
        hash.update(stamp.to_le_bytes());
    }
    update_text(&mut hash, Some(&message.text));
    // JSON of the visible parts: stable, since field order is that of the structs.
    let visible = (
        &message.entities,
        &message.media,
        &message.buttons,
        &message.service,
    );
    let visible = serde_json::to_vec(&visible).unwrap_or_default();
    hash.update(&visible);
    finish(hash)
}
