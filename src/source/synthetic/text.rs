//! Texts of realistic lengths, with formatting.

use fastrand::Rng;

use super::words::Script;
use crate::event::{Entity, EntityKind};

/// Longest text of a message, in UTF-16 code units.
const TEXT_MAX: i64 = 4096;

/// A script with the lengths of its words, which are needed for every word of every text.
pub(super) struct Vocabulary {
    words: Vec<(&'static str, i64)>,
}

impl Vocabulary {
    pub(super) fn of(script: &Script) -> Vocabulary {
        let words = script.words.iter();
        Vocabulary {
            words: words
                .map(|word| (*word, word.encode_utf16().count() as i64))
                .collect(),
        }
    }

    /// A text and its entities. `number` goes into the text, so that no two are the same.
    pub(super) fn text(&self, rng: &mut Rng, number: u64) -> (String, Vec<Entity>) {
        let bytes = length(rng);
        let mut text = String::with_capacity(bytes + 64);
        let mut entities = Vec::new();
        let mut at = 0;
        let formatted = rng.u8(..) < 110;
        while text.len() < bytes {
            let (word, units) = self.words[rng.usize(..self.words.len())];
            if at + units + 32 > TEXT_MAX {
                break;
            }
            let random = rng.u8(..);
            if formatted && random < 14 {
                entities.push(entity(random, at, units));
            }
            text.push_str(word);
            text.push(match random {
                240.. => '\n',
                _ => ' ',
            });
            at += units + 1;
        }
        // A hashtag that is its own proof of where offsets count from.
        let tag = format!("#{number}");
        let kind = EntityKind::Hashtag;
        entities.push(plain(kind, at, tag.len() as i64));
        text.push_str(&tag);
        (text, entities)
    }

    /// One word.
    pub(super) fn word(&self, rng: &mut Rng) -> &'static str {
        self.words[rng.usize(..self.words.len())].0
    }
}

/// Bytes of a text: about 300 on the average, most shorter, a few as long as Telegram lets them be.
fn length(rng: &mut Rng) -> usize {
    match rng.u8(..100) {
        0..10 => rng.usize(8..60),
        10..75 => rng.usize(60..330),
        75..98 => rng.usize(330..760),
        _ => rng.usize(2800..4000),
    }
}

fn entity(random: u8, offset: i64, length: i64) -> Entity {
    match random {
        0..5 => plain(EntityKind::Bold, offset, length),
        5..7 => plain(EntityKind::Italic, offset, length),
        7..9 => plain(EntityKind::Spoiler, offset, length),
        9..11 => plain(EntityKind::Code, offset, length),
        _ => Entity {
            url: Some("https://news.example.org/item".to_owned()),
            ..plain(EntityKind::TextLink, offset, length)
        },
    }
}

fn plain(kind: EntityKind, offset: i64, length: i64) -> Entity {
    Entity {
        kind,
        offset,
        length,
        url: None,
        language: None,
        user_id: None,
        document_id: None,
        collapsed: false,
    }
}
