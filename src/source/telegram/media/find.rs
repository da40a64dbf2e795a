//! Which file a message carries, and where its bytes are. Pure.

use grammers_tl_types as tl;

use super::super::raw::message_of;
use crate::event::{Body, Envelope, Media, MediaKind, Origin, PeerId};

/// Telegram numbers photos and documents apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A photo.
    Photo,
    /// Every other file.
    Document,
}

impl Class {
    /// The word in the list of files.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Photo => "photo",
            Class::Document => "document",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Class> {
        [Class::Photo, Class::Document]
            .into_iter()
            .find(|class| class.as_str() == word)
    }
}

/// A file of Telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Photo or document.
    pub class: Class,
    /// Its number; the `media.id` of the message.
    pub id: i64,
}

/// A message: its peer, and its number there.
pub type At = (PeerId, i64);

/// Where the bytes of a file are. The hash is good for one account, the reference for some hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The data centre.
    pub dc: i32,
    /// What only those know who were told.
    pub access_hash: i64,
    /// What shows that the message was seen lately.
    pub reference: Vec<u8>,
    /// Which size of a photo; empty for documents.
    pub thumb: String,
    /// Bytes.
    pub size: Option<i64>,
}

/// A file that a message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub file: FileId,
    /// What it is.
    pub kind: MediaKind,
    /// Bytes.
    pub size: Option<i64>,
    /// MIME type.
    pub mime_type: Option<String>,
    /// Its name, as it was sent.
    pub name: Option<String>,
    /// The message.
    pub at: At,
    /// The number of the event that tells of it.
    pub seq: u64,
    /// None where the raw bytes cannot be read: then the message is asked for.
    pub location: Option<Location>,
}

/// The file that an event tells of. None for what was not told by Telegram, and for what is to vanish once it was seen:
/// its sender did not mean it to be kept.
pub fn found(envelope: &Envelope) -> Option<Found> {
    let event = &envelope.event;
    let (Body::Posted(message) | Body::Edited { message, .. }) = &event.body else {
        return None;
    };
    if matches!(event.origin, Origin::Import | Origin::Synthetic) {
        return None;
    }
    let media = message.media.as_ref().filter(|media| !vanishes(media))?;
    let file = FileId {
        class: class(media.kind)?,
        id: media.id?,
    };
    let location = message_of(event).and_then(|message| location(&message, file));
    let told = location.as_ref().and_then(|it| it.size);
    Some(Found {
        file,
        kind: media.kind,
        size: told.or(media.size),
        mime_type: media.mime_type.clone(),
        name: media.file_name.clone(),
        at: (event.peer?, message.id),
        seq: envelope.seq.get(),
        location,
    })
}

fn class(kind: MediaKind) -> Option<Class> {
    match kind {
        MediaKind::Photo => Some(Class::Photo),
        MediaKind::Document
        | MediaKind::Video
        | MediaKind::VideoMessage
        | MediaKind::Audio
        | MediaKind::VoiceMessage
        | MediaKind::Animation
        | MediaKind::Sticker => Some(Class::Document),
        _ => None,
    }
}

fn vanishes(media: &Media) -> bool {
    let details = media.details.as_ref().map(|details| details.value());
    details.is_some_and(|details| !details["ttl_seconds"].is_null())
}

/// Where a file is, by a message that carries it.
pub(super) fn location(message: &tl::enums::Message, file: FileId) -> Option<Location> {
    let tl::enums::Message::Message(message) = message else {
        return None;
    };
    let location = match (&message.media, file.class) {
        (
            Some(tl::enums::MessageMedia::Photo(tl::types::MessageMediaPhoto {
                photo: Some(tl::enums::Photo::Photo(it)),
                ..
            })),
            Class::Photo,
        ) if it.id == file.id => {
            let (thumb, size) = largest(&it.sizes)?;
            Location {
                dc: it.dc_id,
                access_hash: it.access_hash,
                reference: it.file_reference.clone(),
                thumb,
                size: Some(size.into()),
            }
        }
        (
            Some(tl::enums::MessageMedia::Document(tl::types::MessageMediaDocument {
                document: Some(tl::enums::Document::Document(it)),
                ..
            })),
            Class::Document,
        ) if it.id == file.id => Location {
            dc: it.dc_id,
            access_hash: it.access_hash,
            reference: it.file_reference.clone(),
            thumb: String::new(),
            size: Some(it.size),
        },
        _ => return None,
    };
    Some(location)
}

/// The type and the bytes of the largest size that can be asked for.
fn largest(sizes: &[tl::enums::PhotoSize]) -> Option<(String, i32)> {
    use tl::enums::PhotoSize as S;
    let sizes = sizes.iter().filter_map(|size| match size {
        S::Size(it) => Some((&it.r#type, it.w, it.h, it.size)),
        S::Progressive(it) => Some((&it.r#type, it.w, it.h, *it.sizes.last()?)),
        _ => None,
    });
    let largest = sizes.max_by_key(|(_, w, h, bytes)| (w.saturating_mul(*h), *bytes));
    largest.map(|(name, .., bytes)| (name.clone(), bytes))
}

impl Location {
    /// As it is asked for.
    pub(super) fn input(&self, file: FileId) -> tl::enums::InputFileLocation {
        let (id, access_hash) = (file.id, self.access_hash);
        let (file_reference, thumb_size) = (self.reference.clone(), self.thumb.clone());
        match file.class {
            Class::Photo => tl::types::InputPhotoFileLocation {
                id,
                access_hash,
                file_reference,
                thumb_size,
            }
            .into(),
            Class::Document => tl::types::InputDocumentFileLocation {
                id,
                access_hash,
                file_reference,
                thumb_size,
            }
            .into(),
        }
    }
}
