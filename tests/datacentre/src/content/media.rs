//! Photos, documents and link previews. Their bytes are served by `upload.getFile`.

use grammers_tl_types as tl;

use super::blank::blank_bytes;

/// A photo whose bytes the data centre holds.
#[derive(Clone, Debug)]
pub struct Photo(pub tl::types::Photo);

/// A document: file, voice note, video, sticker, GIF. Its attributes say which.
#[derive(Clone, Debug)]
pub struct Document(pub tl::types::Document);

/// The preview of a link.
#[derive(Clone, Debug)]
pub struct Preview(pub tl::types::WebPage);

impl Photo {
    pub(crate) fn new(id: i64, size: usize, dc_id: i32, date: i32) -> Self {
        let size = tl::types::PhotoSize {
            r#type: "x".to_owned(),
            w: 800,
            h: 600,
            size: i32::try_from(size).unwrap_or(i32::MAX),
        };
        Self(tl::types::Photo {
            has_stickers: false,
            id,
            access_hash: super::super::world::file_hash(id),
            file_reference: Vec::new(),
            date,
            sizes: vec![size.into()],
            video_sizes: None,
            dc_id,
        })
    }

    /// As it stands in a message.
    pub fn as_media(&self) -> tl::enums::MessageMedia {
        let mut media: tl::types::MessageMediaPhoto = blank_bytes(1).read();
        media.photo = Some(self.0.clone().into());
        media.into()
    }
}

impl Document {
    pub(crate) fn new(
        id: i64,
        name: &str,
        mime_type: &str,
        size: usize,
        dc_id: i32,
        date: i32,
    ) -> Self {
        let name = tl::types::DocumentAttributeFilename {
            file_name: name.to_owned(),
        };
        Self(tl::types::Document {
            id,
            access_hash: super::super::world::file_hash(id),
            file_reference: Vec::new(),
            date,
            mime_type: mime_type.to_owned(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            thumbs: None,
            video_thumbs: None,
            dc_id,
            attributes: vec![name.into()],
        })
    }

    /// Says more about the document: that it is a voice note, a video, a sticker.
    pub fn attribute(mut self, attribute: impl Into<tl::enums::DocumentAttribute>) -> Self {
        self.0.attributes.push(attribute.into());
        self
    }

    /// A voice note of so many seconds.
    pub fn voice(self, duration: i32) -> Self {
        self.attribute(tl::types::DocumentAttributeAudio {
            voice: true,
            duration,
            title: None,
            performer: None,
            waveform: None,
        })
    }

    /// A video of so many seconds and this size.
    pub fn video(self, duration: f64, w: i32, h: i32) -> Self {
        let mut video: tl::types::DocumentAttributeVideo = blank_bytes(5).read();
        (video.duration, video.w, video.h) = (duration, w, h);
        self.attribute(video)
    }

    /// A sticker that stands for an emoji.
    pub fn sticker(self, emoji: &str) -> Self {
        self.attribute(tl::types::DocumentAttributeSticker {
            mask: false,
            alt: emoji.to_owned(),
            stickerset: tl::enums::InputStickerSet::Empty,
            mask_coords: None,
        })
    }

    /// As it stands in a message.
    pub fn as_media(&self) -> tl::enums::MessageMedia {
        let mut media: tl::types::MessageMediaDocument = blank_bytes(1).read();
        media.document = Some(self.0.clone().into());
        media.into()
    }
}

impl Preview {
    /// The preview of a page with this title.
    pub fn new(id: i64, url: &str, title: &str) -> Self {
        // Flags, id, two addresses and a hash.
        let mut page: tl::types::WebPage = blank_bytes(6).read();
        page.id = id;
        page.url = url.to_owned();
        page.display_url = url.trim_start_matches("https://").to_owned();
        page.title = Some(title.to_owned());
        Self(page)
    }

    /// As it stands in a message.
    pub fn as_media(&self) -> tl::enums::MessageMedia {
        let page = tl::enums::WebPage::from(self.0.clone());
        tl::types::MessageMediaWebPage {
            force_large_media: false,
            force_small_media: false,
            manual: false,
            safe: false,
            webpage: page,
        }
        .into()
    }
}
