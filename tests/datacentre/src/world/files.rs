//! Files that `upload.getFile` serves. A file reference is valid until it is told to expire.

use std::collections::BTreeMap;

use grammers_tl_types as tl;

use super::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Photo,
    Document,
}

pub(crate) struct StoredFile {
    pub(crate) kind: FileKind,
    pub(crate) bytes: Vec<u8>,
    pub(crate) dc_id: i32,
}

#[derive(Default)]
pub(crate) struct Files {
    stored: BTreeMap<i64, StoredFile>,
    /// How often all references have expired so far.
    generation: u64,
}

impl Files {
    pub(crate) fn store(&mut self, id: i64, file: StoredFile) {
        self.stored.insert(id, file);
    }

    pub(crate) fn get(&self, id: i64) -> Option<&StoredFile> {
        self.stored.get(&id)
    }

    /// The reference that is valid now, for a file of this id.
    pub(crate) fn reference(&self, id: i64) -> Vec<u8> {
        [id.to_le_bytes(), self.generation.to_le_bytes()].concat()
    }

    pub(crate) fn expire_references(&mut self) {
        self.generation += 1;
    }
}

impl World {
    /// Messages as they are handed out: with the file references that are valid now.
    pub(crate) fn refreshed(
        &self,
        mut messages: Vec<tl::enums::Message>,
    ) -> Vec<tl::enums::Message> {
        messages
            .iter_mut()
            .for_each(|message| self.files.refresh(message));
        messages
    }
}

impl Files {
    /// The messages in updates, likewise.
    pub(crate) fn refresh_updates(&self, updates: &mut [tl::enums::Update]) {
        use tl::enums::Update as U;
        for update in updates {
            match update {
                U::NewMessage(update) => self.refresh(&mut update.message),
                U::EditMessage(update) => self.refresh(&mut update.message),
                U::NewChannelMessage(update) => self.refresh(&mut update.message),
                U::EditChannelMessage(update) => self.refresh(&mut update.message),
                _ => {}
            }
        }
    }

    /// Files that nobody stored keep the reference that they were made with.
    pub(crate) fn refresh(&self, message: &mut tl::enums::Message) {
        let tl::enums::Message::Message(message) = message else {
            return;
        };
        let (id, reference) = match &mut message.media {
            Some(tl::enums::MessageMedia::Photo(tl::types::MessageMediaPhoto {
                photo: Some(tl::enums::Photo::Photo(photo)),
                ..
            })) => (photo.id, &mut photo.file_reference),
            Some(tl::enums::MessageMedia::Document(tl::types::MessageMediaDocument {
                document: Some(tl::enums::Document::Document(document)),
                ..
            })) => (document.id, &mut document.file_reference),
            _ => return,
        };
        if self.stored.contains_key(&id) {
            *reference = self.reference(id);
        }
    }
}
