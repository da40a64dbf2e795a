//! A normaliser, its index, and a log that takes each key once.

use std::collections::HashSet;
use std::sync::Arc;

use grammers_tl_types as tl;
use tempfile::TempDir;
use tl::{Deserializable, Serializable};
use wal::{LogId, Seq};

use super::super::Normaliser;
use crate::event::{Envelope, Event, Message, Origin, PeerId, Timestamp, dedup_key};
use crate::source::telegram::account::Meaning;
use crate::source::telegram::driver::{Page, Seen};
use crate::source::telegram::index::Index;
use crate::source::telegram::policy::Policy;

pub(super) const CHANNEL: i64 = 1_234;

pub(super) fn peer(marked: i64) -> PeerId {
    PeerId::from_marked(marked).expect("valid")
}

pub(super) fn channel() -> PeerId {
    peer(-1_000_000_000_000 - CHANNEL)
}

pub(super) struct Bench {
    _dir: TempDir,
    pub(super) index: Arc<Index>,
    pub(super) normaliser: Normaliser,
    policy: Policy,
    keys: HashSet<Vec<u8>>,
    seq: u64,
}

impl Bench {
    pub(super) fn everything() -> Bench {
        Bench::of(Policy::nothing(true).and_everything().and_private_chats())
    }

    pub(super) fn of(policy: Policy) -> Bench {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("index.redb");
        let index = Arc::new(Index::open(&path, LogId([1; 16]), 0).expect("an index"));
        Bench {
            _dir: dir,
            normaliser: Normaliser::new("main", policy.clone(), Arc::clone(&index)),
            index,
            policy,
            keys: HashSet::new(),
            seq: 0,
        }
    }

    /// Another account that follows the same.
    pub(super) fn second(&self) -> Normaliser {
        Normaliser::new("second", self.policy.clone(), Arc::clone(&self.index))
    }

    /// A page's events, without the log.
    pub(super) fn events(&mut self, page: Page) -> Vec<Event> {
        self.normaliser.page(page).events
    }

    /// What of the events is new in the log, which the index reads at once.
    pub(super) fn log(&mut self, events: Vec<Event>) -> Vec<Event> {
        let news = events.into_iter().filter(|event| {
            let key = dedup_key(event);
            key.is_none_or(|key| self.keys.insert(key))
        });
        let news: Vec<Event> = news.collect();
        let envelopes: Vec<Envelope> = news
            .iter()
            .map(|event| {
                self.seq += 1;
                Envelope {
                    seq: Seq::new(self.seq).expect("not zero"),
                    epoch: 1,
                    received_at: Timestamp::from_seconds(1),
                    event: event.clone(),
                }
            })
            .collect();
        self.index.absorb(&envelopes).expect("absorbed");
        news
    }

    /// A page's events that are new in the log.
    pub(super) fn page(&mut self, page: Page) -> Vec<Event> {
        let events = self.events(page);
        self.log(events)
    }

    /// The only event of an update.
    pub(super) fn one(&mut self, update: impl Into<tl::enums::Update>, pts: i32) -> Event {
        let mut events = self.page(pushed(update, pts));
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// The message of an update that posts or edits one.
    pub(super) fn message(&mut self, message: impl Into<tl::enums::Message>) -> Message {
        match self.one(posted(message), 1).body {
            crate::event::Body::Posted(message) => *message,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn empty_page(origin: Origin) -> Page {
    Page {
        origin,
        updates: Vec::new(),
        users: Vec::new(),
        chats: Vec::new(),
        gaps: Vec::new(),
        first: Vec::new(),
        positions: Vec::new(),
        closed: Vec::new(),
        undecodable: Vec::new(),
    }
}

/// A page with this update; 0: without a place in a sequence.
pub(super) fn pushed(update: impl Into<tl::enums::Update>, pts: i32) -> Page {
    Page {
        updates: vec![Seen {
            update: update.into(),
            pts: (pts != 0).then_some(pts),
        }],
        ..empty_page(Origin::Live)
    }
}

/// A value read from its shortest encoding: zero words, then a field, then zero words.
fn blank<T: Deserializable>(before: usize, field: &impl Serializable, after: usize) -> T {
    let mut bytes = vec![0; 4 * before];
    field.serialize(&mut bytes);
    bytes.resize(bytes.len() + 4 * after, 0);
    T::from_bytes(&bytes).expect("the mandatory fields")
}

pub(super) fn in_channel() -> tl::enums::Peer {
    let channel_id = CHANNEL;
    tl::types::PeerChannel { channel_id }.into()
}

pub(super) fn in_group(chat_id: i64) -> tl::enums::Peer {
    tl::types::PeerChat { chat_id }.into()
}

pub(super) fn with_user(user_id: i64) -> tl::enums::Peer {
    tl::types::PeerUser { user_id }.into()
}

/// A message of the channel.
pub(super) fn text(id: i32, text: &str) -> tl::types::Message {
    let mut message: tl::types::Message = blank(3, &in_channel(), 2);
    (message.id, message.date, message.message) = (id, 1_700_000_000, text.to_owned());
    message
}

pub(super) fn with_media(id: i32, media: impl Into<tl::enums::MessageMedia>) -> tl::types::Message {
    let mut message = text(id, "");
    message.media = Some(media.into());
    message
}

/// A service message of the channel.
pub(super) fn service(id: i32, action: tl::enums::MessageAction) -> tl::types::MessageService {
    let mut bytes = vec![0; 8];
    in_channel().serialize(&mut bytes);
    bytes.extend([0; 4]);
    action.serialize(&mut bytes);
    let mut message = tl::types::MessageService::from_bytes(&bytes).expect("mandatory fields");
    (message.id, message.date) = (id, 1_700_000_000);
    message
}

pub(super) fn a_channel(title: &str, username: Option<&str>) -> tl::types::Channel {
    let mut channel: tl::types::Channel = blank(5, &tl::enums::ChatPhoto::Empty, 1);
    channel.id = CHANNEL;
    channel.broadcast = true;
    channel.title = title.to_owned();
    channel.username = username.map(str::to_owned);
    channel
}

pub(super) fn a_group(id: i64, title: &str) -> tl::types::Chat {
    let mut chat: tl::types::Chat = blank(4, &tl::enums::ChatPhoto::Empty, 3);
    (chat.id, chat.title) = (id, title.to_owned());
    chat
}

pub(super) fn a_user(id: i64, name: &str) -> tl::types::User {
    let mut user = tl::types::User::from_bytes(&[0; 16]).expect("mandatory fields");
    (user.id, user.first_name) = (id, Some(name.to_owned()));
    user
}

pub(super) fn posted(message: impl Into<tl::enums::Message>) -> tl::types::UpdateNewChannelMessage {
    tl::types::UpdateNewChannelMessage {
        message: message.into(),
        pts: 1,
        pts_count: 1,
    }
}

pub(super) fn edited(
    message: impl Into<tl::enums::Message>,
) -> tl::types::UpdateEditChannelMessage {
    tl::types::UpdateEditChannelMessage {
        message: message.into(),
        pts: 1,
        pts_count: 1,
    }
}

pub(super) fn deleted(ids: &[i32]) -> tl::types::UpdateDeleteChannelMessages {
    tl::types::UpdateDeleteChannelMessages {
        channel_id: CHANNEL,
        messages: ids.to_vec(),
        pts: 1,
        pts_count: 1,
    }
}

pub(super) fn said(text: &str) -> tl::enums::TextWithEntities {
    tl::types::TextWithEntities {
        text: text.to_owned(),
        entities: Vec::new(),
    }
    .into()
}

/// A poll with answers `a` and `b`.
pub(super) fn poll(id: i64) -> tl::enums::Poll {
    let mut bytes = vec![0; 12];
    said("question").serialize(&mut bytes);
    let answers: Vec<tl::enums::PollAnswer> = Vec::new();
    answers.serialize(&mut bytes);
    bytes.extend([0; 8]);
    let mut poll = tl::types::Poll::from_bytes(&bytes).expect("mandatory fields");
    poll.id = id;
    poll.answers = ["a", "b"]
        .map(|answer| {
            tl::types::PollAnswer {
                text: said(answer),
                option: answer.as_bytes().to_vec(),
                media: None,
                added_by: None,
                date: None,
            }
            .into()
        })
        .to_vec();
    poll.into()
}

/// Votes for `a` and `b`.
pub(super) fn results(votes: [i32; 2]) -> tl::enums::PollResults {
    let mut results = tl::types::PollResults::from_bytes(&[0; 4]).expect("mandatory fields");
    let voters = |(option, voters): (&str, i32)| {
        tl::types::PollAnswerVoters {
            chosen: false,
            correct: false,
            option: option.as_bytes().to_vec(),
            voters: Some(voters),
            // One flag says that there are both.
            recent_voters: Some(Vec::new()),
        }
        .into()
    };
    // Not in the order of the answers.
    let votes = [("b", votes[1]), ("a", votes[0])];
    results.results = Some(votes.into_iter().map(voters).collect());
    results.total_voters = Some(3);
    results.into()
}

pub(super) fn a_poll(id: i64, votes: [i32; 2]) -> tl::enums::MessageMedia {
    tl::types::MessageMediaPoll {
        poll: poll(id),
        results: results(votes),
        attached_media: None,
    }
    .into()
}
