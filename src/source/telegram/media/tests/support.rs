//! Messages with files, a depot, and a shop that files are fetched from.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use grammers_tl_types as tl;
use tempfile::TempDir;
use tl::{Deserializable, Serializable};
use wal::{LogId, Seq};

use super::super::*;
use crate::event::{
    Body, Event, Media, MediaKind, Message, Origin, PeerId, PeerKind, Raw, Timestamp,
};

pub(super) const DOCUMENT: FileId = FileId {
    class: Class::Document,
    id: 77,
};
pub(super) const LOG: LogId = LogId([1; 16]);
pub(super) const HOME: i32 = 2;

pub(super) fn channel() -> PeerId {
    PeerId::new(PeerKind::Channel, 1234).expect("valid")
}

/// A document of the channel's message, with this reference.
pub(super) fn with_document(size: i64, reference: &[u8]) -> tl::types::Message {
    let document = tl::types::Document {
        id: DOCUMENT.id,
        access_hash: 5,
        file_reference: reference.to_vec(),
        date: 1,
        mime_type: "text/plain".to_owned(),
        size,
        thumbs: None,
        video_thumbs: None,
        dc_id: HOME,
        attributes: Vec::new(),
    };
    let mut media = tl::types::MessageMediaDocument::from_bytes(&[0; 4]).expect("flags");
    media.document = Some(document.into());
    message(media)
}

/// A photo in these sizes.
pub(super) fn with_photo(id: i64, sizes: Vec<tl::enums::PhotoSize>) -> tl::types::Message {
    let photo = tl::types::Photo {
        has_stickers: false,
        id,
        access_hash: 6,
        file_reference: b"photo".to_vec(),
        date: 1,
        sizes,
        video_sizes: None,
        dc_id: HOME,
    };
    let mut media = tl::types::MessageMediaPhoto::from_bytes(&[0; 4]).expect("flags");
    media.photo = Some(photo.into());
    message(media)
}

fn message(media: impl Into<tl::enums::MessageMedia>) -> tl::types::Message {
    let peer: tl::enums::Peer = tl::types::PeerChannel { channel_id: 1234 }.into();
    let mut bytes = vec![0; 12];
    peer.serialize(&mut bytes);
    bytes.extend([0; 8]);
    let mut message = tl::types::Message::from_bytes(&bytes).expect("mandatory fields");
    (message.id, message.media) = (9, Some(media.into()));
    message
}

/// The event of a message with this media.
pub(super) fn event(seq: u64, media: Media, told: tl::types::Message) -> Envelope {
    let update = tl::types::UpdateNewChannelMessage {
        message: told.into(),
        pts: 1,
        pts_count: 1,
    };
    let message = Message {
        id: 9,
        media: Some(media),
        ..Message::default()
    };
    Envelope {
        seq: Seq::new(seq).expect("from 1"),
        epoch: 1,
        received_at: Timestamp::from_seconds(1),
        event: Event {
            peer: Some(channel()),
            origin: Origin::Live,
            stamp: 1,
            body: Body::Posted(Box::new(message)),
            raw: Some(Raw {
                layer: u32::try_from(tl::LAYER).expect("positive"),
                bytes: tl::enums::Update::from(update).to_bytes(),
            }),
        },
    }
}

pub(super) fn a_document(seq: u64, size: i64, reference: &[u8]) -> Envelope {
    let media = Media {
        id: Some(DOCUMENT.id),
        size: Some(size),
        ..Media::of(MediaKind::Document)
    };
    event(seq, media, with_document(size, reference))
}

pub(super) fn limits() -> Limits {
    Limits {
        kinds: vec!["document".to_owned(), "photo".to_owned()],
        bytes_max: 1 << 20,
        store_bytes_max: 4 << 20,
    }
}

/// A depot in a folder of its own.
pub(super) struct House {
    dir: TempDir,
    pub(super) seat: Seat,
}

impl House {
    pub(super) async fn new(limits: Limits) -> House {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("telegram")).expect("made");
        let seat = open(&dir, LOG, limits).await;
        House { dir, seat }
    }

    /// Closed, and opened again for this log.
    pub(super) async fn again(self, log: LogId, limits: Limits) -> House {
        let House { dir, seat } = self;
        drop(seat);
        let seat = open(&dir, log, limits).await;
        House { dir, seat }
    }

    pub(super) async fn absorb(&self, envelopes: &[Envelope]) {
        let covered = envelopes.last().map_or(0, |last| last.seq.get());
        let absorbed = self.seat.depot.absorb(envelopes, covered).await;
        absorbed.expect("listed");
    }

    pub(super) async fn files(&self) -> Vec<FileRow> {
        let filter = Filter {
            limit: 100,
            ..Filter::default()
        };
        self.seat.depot.catalog.files(&filter).await.expect("read")
    }

    pub(super) async fn only(&self) -> FileRow {
        let mut files = self.files().await;
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    pub(super) async fn step(&self, shop: &Shop) {
        let step = fetch::step(&self.seat, shop).await;
        step.expect("the disk is well");
    }

    pub(super) fn bytes(&self, file: &FileRow) -> Vec<u8> {
        let digest = file.sha256.as_deref().expect("stored");
        std::fs::read(self.seat.depot.folder.place(digest)).expect("there")
    }
}

async fn open(dir: &TempDir, log: LogId, limits: Limits) -> Seat {
    let folder = dir.path().join("media");
    let depot = Depot::open(dir.path(), &folder, (log, 1_000), limits, 1).await;
    Arc::new(depot.expect("a depot")).seat(0, 60)
}

/// Has one document, and says what it is told to say first.
#[derive(Default)]
pub(super) struct Shop {
    pub(super) bytes: Vec<u8>,
    /// The data centre where it is.
    pub(super) dc: i32,
    /// The only reference that counts.
    pub(super) reference: Mutex<Vec<u8>>,
    /// What its message is now.
    pub(super) message: Option<tl::types::Message>,
    pub(super) refusals: Mutex<VecDeque<Refusal>>,
    /// Offsets that were asked for.
    pub(super) asked: Mutex<Vec<i64>>,
    /// The reference changes behind this offset.
    pub(super) expires_at: Option<i64>,
}

impl Shop {
    pub(super) fn of(bytes: Vec<u8>) -> Shop {
        Shop {
            message: Some(with_document(length(&bytes), b"fresh")),
            bytes,
            dc: HOME,
            reference: Mutex::new(b"first".to_vec()),
            ..Shop::default()
        }
    }

    pub(super) fn asked(&self) -> Vec<i64> {
        lock(&self.asked).clone()
    }
}

pub(super) fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).expect("small")
}

impl Supply for Shop {
    async fn part(&self, ask: &Ask) -> Result<Vec<u8>, Refusal> {
        lock(&self.asked).push(ask.offset);
        if let Some(refusal) = lock(&self.refusals).pop_front() {
            return Err(refusal);
        }
        if ask.dc != self.dc {
            return Err(Refusal::Elsewhere(self.dc));
        }
        let tl::enums::InputFileLocation::InputDocumentFileLocation(asked) = &ask.location else {
            panic!("{:?}", ask.location);
        };
        if self.expires_at == Some(ask.offset) {
            *lock(&self.reference) = b"fresh".to_vec();
        }
        if asked.file_reference != *lock(&self.reference) {
            return Err(Refusal::Stale);
        }
        let from = usize::try_from(ask.offset).expect("not negative");
        let until = (from + PART_BYTES as usize).min(self.bytes.len());
        Ok(self.bytes.get(from..until).unwrap_or_default().to_vec())
    }

    async fn message(&self, at: At) -> Result<Option<tl::enums::Message>, Refusal> {
        assert_eq!(at, (channel(), 9));
        Ok(self.message.clone().map(Into::into))
    }
}
