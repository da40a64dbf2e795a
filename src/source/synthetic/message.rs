//! Parts of made-up messages.

use fastrand::Rng;

use super::text::Vocabulary;
use crate::event::{
    Button, Media, MediaKind, Message, PeerId, PeerKind, Poll, PollAnswer, Reaction, ReactionKind,
};

/// Bare id of the first channel.
const FIRST_CHANNEL: i64 = 900_000_000;

/// A message that may still change.
pub(super) struct Recent {
    pub(super) message: Message,
    pub(super) pinned: bool,
}

/// An album that is being posted.
#[derive(Clone, Copy)]
pub(super) struct Album {
    pub(super) channel: usize,
    pub(super) id: i64,
    /// Members to come, 1 to 9.
    pub(super) left: u8,
}

pub(super) fn channel_of(n: u32) -> PeerId {
    PeerId::new(PeerKind::Channel, FIRST_CHANNEL + i64::from(n))
        .expect("4 * 10^9 channels from the first on are below the limit of 10^12")
}

/// Media as often as real channels have it, and always in albums.
pub(super) fn media(rng: &mut Rng, album: bool, poll: bool) -> Option<Media> {
    if poll {
        return Some(Media::of(MediaKind::Poll));
    }
    let draw = rng.u8(..100);
    let kind = match draw {
        0..38 => MediaKind::Photo,
        38..46 => MediaKind::Video,
        _ if album => MediaKind::Photo,
        46..49 => MediaKind::Document,
        49..51 => MediaKind::Sticker,
        51..53 => MediaKind::VoiceMessage,
        53..60 => {
            return Some(Media {
                title: Some("A page".to_owned()),
                url: Some("https://news.example.org/page".to_owned()),
                ..Media::of(MediaKind::WebPage)
            });
        }
        _ => return None,
    };
    let file = kind != MediaKind::Photo;
    Some(Media {
        id: Some(rng.i64(1 << 60..1 << 62)),
        mime_type: file.then(|| "application/octet-stream".to_owned()),
        size: Some(rng.i64(4_000..9_000_000)),
        width: (!file).then_some(1280),
        height: (!file).then_some(720),
        ..Media::of(kind)
    })
}

const EMOJI: &[&str] = &[
    "\u{1F44D}",
    "\u{1F525}",
    "\u{2764}\u{FE0F}",
    "\u{1F44F}\u{1F3FD}",
];

pub(super) fn reactions(rng: &mut Rng) -> Vec<Reaction> {
    let kinds = rng.usize(1..=EMOJI.len());
    let reactions = EMOJI[..kinds].iter().map(|emoji| Reaction {
        kind: ReactionKind::Emoji,
        emoji: Some((*emoji).to_owned()),
        document_id: None,
        count: rng.i64(1..900),
    });
    reactions.collect()
}

pub(super) fn poll(rng: &mut Rng, words: &Vocabulary, ordinal: u64) -> Poll {
    let answers = (0..rng.u8(2..6)).map(|_| PollAnswer {
        text: words.word(rng).to_owned(),
        voters: Some(0),
        correct: None,
    });
    let answers = answers.collect();
    Poll {
        id: i64::try_from(ordinal).ok(),
        question: format!("{} {}?", words.word(rng), words.word(rng)),
        total_voters: Some(0),
        answers,
        ..Poll::default()
    }
}

pub(super) fn pick(rng: &mut Rng, len: usize) -> Option<usize> {
    (len > 0).then(|| rng.usize(..len))
}

pub(super) fn vote(rng: &mut Rng, poll: &mut Poll) {
    let votes = rng.i64(1..40);
    if let Some(place) = pick(rng, poll.answers.len()) {
        let answer = &mut poll.answers[place];
        answer.voters = Some(answer.voters.unwrap_or(0) + votes);
    }
    poll.total_voters = Some(poll.total_voters.unwrap_or(0) + votes);
    poll.closed = rng.u8(..20) == 0;
}

pub(super) fn button(ordinal: u64) -> Vec<Vec<Button>> {
    vec![vec![Button {
        kind: "url".to_owned(),
        text: Some("Open".to_owned()),
        data: Some(format!("https://news.example.org/{ordinal}")),
    }]]
}
