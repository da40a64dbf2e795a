//! Fingerprints: as much of a message as it takes to say what an edit changed.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::event::{Changed, Message, Poll, Reaction};

/// Numbers in a fingerprint.
const PARTS: usize = 9;
/// Bytes of a fingerprint.
pub(super) const PRINT_BYTES: usize = PARTS * 8;
/// Stands for a counter that was not told.
const UNTOLD: i64 = -1;

/// The fingerprint of a message: hashes of its parts, its counters as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print {
    /// Microseconds; 0: never edited.
    edited_at: i64,
    text: i64,
    media: i64,
    poll: i64,
    buttons: i64,
    reactions: i64,
    views: i64,
    forwards: i64,
    votes: i64,
}

impl Print {
    /// Of a message.
    pub fn of(message: &Message) -> Print {
        let poll = message.poll.as_ref();
        Print {
            edited_at: message.edit_stamp(),
            text: hash(&(&message.text, &message.entities, &message.service)),
            media: message.media.as_ref().map_or(0, hash),
            poll: poll.map_or(0, shape),
            buttons: list(&message.buttons),
            reactions: message.reactions.as_deref().map_or(0, list),
            views: message.views.unwrap_or(UNTOLD),
            forwards: message.forwards.unwrap_or(UNTOLD),
            votes: poll.map_or(0, votes),
        }
    }

    /// What differs in a later state of the same message. A counter that is not told is no difference.
    pub fn changed(&self, later: &Print) -> Changed {
        let moved = |before: i64, after: i64| after != UNTOLD && before != after;
        Changed {
            text: self.text != later.text,
            media: self.media != later.media || self.poll != later.poll,
            buttons: self.buttons != later.buttons,
            reactions: self.reactions != later.reactions,
            counters: moved(self.views, later.views)
                || moved(self.forwards, later.forwards)
                || self.votes != later.votes,
        }
    }

    /// Whether a reader sees the same in both: the same version of the message.
    pub fn is_same_version(&self, other: &Print) -> bool {
        self.edited_at == other.edited_at && !self.changed(other).is_visible()
    }

    /// Whether the other one is from an older state.
    pub(super) fn is_newer_than(&self, other: &Print) -> bool {
        self.edited_at > other.edited_at
    }

    /// The same with what `earlier` knew and this one was not told.
    pub(super) fn completed(mut self, earlier: &Print) -> Print {
        for (mine, theirs) in [
            (&mut self.views, earlier.views),
            (&mut self.forwards, earlier.forwards),
        ] {
            if *mine == UNTOLD {
                *mine = theirs;
            }
        }
        self
    }

    /// With new counters; an absent one is unchanged.
    pub(super) fn count(
        &mut self,
        views: Option<i64>,
        forwards: Option<i64>,
        reactions: Option<&[Reaction]>,
    ) {
        self.views = views.unwrap_or(self.views);
        self.forwards = forwards.unwrap_or(self.forwards);
        self.reactions = reactions.map_or(self.reactions, list);
    }

    /// With a new state of its poll.
    pub(super) fn vote(&mut self, poll: &Poll) {
        self.poll = shape(poll);
        self.votes = votes(poll);
    }

    pub(super) fn to_bytes(self) -> [u8; PRINT_BYTES] {
        let mut bytes = [0; PRINT_BYTES];
        let parts = [
            self.edited_at,
            self.text,
            self.media,
            self.poll,
            self.buttons,
            self.reactions,
            self.views,
            self.forwards,
            self.votes,
        ];
        for (at, part) in bytes.chunks_exact_mut(8).zip(parts) {
            at.copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; PRINT_BYTES]) -> Print {
        let mut parts = [0; PARTS];
        for (part, at) in parts.iter_mut().zip(bytes.as_chunks().0) {
            *part = i64::from_le_bytes(*at);
        }
        let [
            edited_at,
            text,
            media,
            poll,
            buttons,
            reactions,
            views,
            forwards,
            votes,
        ] = parts;
        Print {
            edited_at,
            text,
            media,
            poll,
            buttons,
            reactions,
            views,
            forwards,
            votes,
        }
    }
}

/// What to say of an edit of a message that was not seen before: a reader may see a new version, unless Telegram says
/// that nothing a reader calls an edit has changed.
pub(super) fn changed_from_unknown(message: &Message) -> Changed {
    match message.edit_hidden {
        true => Changed {
            reactions: true,
            counters: true,
            ..Changed::default()
        },
        false => Changed {
            text: true,
            media: message.media.is_some(),
            buttons: !message.buttons.is_empty(),
            ..Changed::default()
        },
    }
}

/// The poll without its votes.
fn shape(poll: &Poll) -> i64 {
    let answers: Vec<&str> = poll.answers.iter().map(|it| it.text.as_str()).collect();
    hash(&(&poll.question, poll.closed, answers))
}

fn votes(poll: &Poll) -> i64 {
    let voters: Vec<Option<i64>> = poll.answers.iter().map(|it| it.voters).collect();
    hash(&(poll.total_voters, voters))
}

/// 0 for nothing, whether that is told as an empty list or as none.
fn list<T: Serialize>(list: &[T]) -> i64 {
    match list {
        [] => 0,
        list => hash(&list),
    }
}

fn hash(value: &impl Serialize) -> i64 {
    let mut hash = Sha256::new();
    // Writing to memory cannot fail, and none of the event model's values has a key that is no text.
    hash.update(serde_json::to_vec(value).unwrap_or_default());
    let mut short = [0; 8];
    short.copy_from_slice(&hash.finalize()[..8]);
    i64::from_le_bytes(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Button, Media, MediaKind, PollAnswer, ReactionKind};

    #[test]
    fn an_edit_tells_what_it_changed() {
        let before = Message {
            views: Some(5),
            poll: Some(Poll::default()),
            ..Message::default()
        };
        let said = |change: &dyn Fn(&mut Message)| {
            let mut after = before.clone();
            change(&mut after);
            Print::of(&before).changed(&Print::of(&after)).names()
        };
        let reaction = Reaction {
            kind: ReactionKind::Paid,
            emoji: None,
            document_id: None,
            count: 1,
        };
        let button = Button {
            kind: "url".to_owned(),
            text: None,
            data: None,
        };
        assert!(said(&|_| {}).is_empty());
        assert_eq!(said(&|it| it.text = "new".to_owned()), ["text"]);
        assert_eq!(
            said(&|it| it.media = Some(Media::of(MediaKind::Dice))),
            ["media"]
        );
        assert_eq!(
            said(&|it| it.buttons = vec![vec![button.clone()]]),
            ["buttons"]
        );
        assert_eq!(
            said(&|it| it.reactions = Some(vec![reaction.clone()])),
            ["reactions"]
        );
        assert!(said(&|it| it.reactions = Some(Vec::new())).is_empty());
        assert_eq!(said(&|it| it.views = Some(6)), ["counters"]);
        assert!(said(&|it| it.views = None).is_empty());
        let poll =
            |change: &dyn Fn(&mut Poll)| said(&|it| change(it.poll.as_mut().expect("is there")));
        assert_eq!(poll(&|it| it.closed = true), ["media"]);
        assert_eq!(poll(&|it| it.total_voters = Some(1)), ["counters"]);
        let answer = PollAnswer::default();
        assert_eq!(
            poll(&|it| it.answers.push(answer.clone())),
            ["media", "counters"]
        );
    }

    #[test]
    fn bytes_bring_it_back() {
        let message = Message {
            text: "text".to_owned(),
            views: Some(7),
            edited_at: Some(crate::event::Timestamp::from_seconds(9)),
            ..Message::default()
        };
        let print = Print::of(&message);
        assert_eq!(Print::from_bytes(print.to_bytes()), print);
    }
}
