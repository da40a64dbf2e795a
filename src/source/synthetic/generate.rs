//! The generator: an event is a pure function of the plan and its ordinal.
//!
//! Ordinals are cut into blocks. A block starts with nothing remembered, with a random generator of its own and message
//! ids of its own (gaps between ids are normal at Telegram), so resuming anywhere costs at most one block, however
//! long the run was; and memory is bounded by the short list of recent messages kept for each channel.

use std::collections::VecDeque;

use fastrand::Rng;

use super::message::{Album, Recent, button, channel_of, media, pick, poll, reactions, vote};
use super::text::Vocabulary;
use super::words::SCRIPTS;
use crate::event::{
    Body, Changed, ChannelInfo, Event, Forward, Message, Origin, PeerId, ReplyTo, Timestamp,
};

/// Events of a block.
pub(super) const BLOCK: u64 = 10_000;
/// Messages of a channel that may still be edited, deleted, answered.
const RECENT_MAX: usize = 24;

/// What makes the stream: two runs with equal plans give equal events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) channels: u32,
    /// Date of the first event.
    pub(super) base: Timestamp,
    /// Microseconds from one event to the next.
    pub(super) step: i64,
}

impl Plan {
    /// When the event of an ordinal happens: whole seconds, as Telegram's dates are.
    fn at(&self, ordinal: u64) -> Timestamp {
        let passed = i64::try_from(ordinal - 1)
            .unwrap_or(i64::MAX)
            .saturating_mul(self.step);
        let at = Timestamp::from_micros(self.base.micros().saturating_add(passed));
        Timestamp::from_seconds(at.seconds())
    }
}

pub(super) struct Generator {
    plan: Plan,
    vocabularies: Vec<Vocabulary>,
    /// The ordinal of the event to come, from 1.
    next: u64,
    rng: Rng,
    channels: Vec<Channel>,
    album: Option<Album>,
}

struct Channel {
    peer: PeerId,
    posted: i64,
    recent: VecDeque<Recent>,
}

impl Generator {
    /// A generator whose next event has the given ordinal.
    pub(super) fn at(plan: Plan, ordinal: u64) -> Generator {
        let mut generator = Generator {
            plan,
            vocabularies: SCRIPTS.iter().map(Vocabulary::of).collect(),
            next: (ordinal - 1) / BLOCK * BLOCK + 1,
            rng: Rng::with_seed(0),
            channels: Vec::new(),
            album: None,
        };
        while generator.next < ordinal {
            generator.event();
        }
        generator
    }

    /// The ordinal of the next event.
    pub(super) fn ordinal(&self) -> u64 {
        self.next
    }

    /// The next event.
    pub(super) fn event(&mut self) -> Event {
        let ordinal = self.next;
        if (ordinal - 1).is_multiple_of(BLOCK) {
            self.start_block((ordinal - 1) / BLOCK);
        }
        self.next += 1;
        let (channel, body) = match ordinal.checked_sub(1) {
            Some(n) if n < u64::from(self.plan.channels) => {
                (n as usize, self.introduce(n as usize, 0))
            }
            _ => self.happening(ordinal),
        };
        Event {
            peer: Some(self.channels[channel].peer),
            origin: Origin::Synthetic,
            stamp: i64::try_from(ordinal).unwrap_or(i64::MAX),
            body,
            raw: None,
        }
    }

    fn start_block(&mut self, block: u64) {
        // Neighbouring seeds of the generator give unlike streams only after mixing.
        let mut mixer = Rng::with_seed(self.plan.seed);
        self.rng = Rng::with_seed(mixer.u64(..) ^ block.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        self.album = None;
        let first = i64::try_from(block * BLOCK).unwrap_or(i64::MAX / 2);
        self.channels = (0..self.plan.channels)
            .map(|n| Channel {
                peer: channel_of(n),
                posted: first,
                recent: VecDeque::with_capacity(RECENT_MAX),
            })
            .collect();
    }

    fn vocabulary(&self, channel: usize) -> &Vocabulary {
        &self.vocabularies[channel % self.vocabularies.len()]
    }

    fn introduce(&self, channel: usize, version: u64) -> Body {
        let mut title = SCRIPTS[channel % SCRIPTS.len()].title.to_owned();
        if version > 0 {
            title.push_str(&format!(" {version}"));
        }
        let kind = if channel % 5 == 4 {
            "supergroup"
        } else {
            "channel"
        };
        Body::Channel(ChannelInfo {
            kind: kind.to_owned(),
            title: Some(title),
            username: Some(format!("synthetic{channel}")),
            migrated_from: None,
            at: Some(self.plan.at(version.max(1))),
        })
    }

    /// Which channel, and what happens in it.
    fn happening(&mut self, ordinal: u64) -> (usize, Body) {
        if let Some(album) = self.album
            && self.rng.u8(..) < 200
        {
            return (album.channel, self.post(album.channel, ordinal));
        }
        let channel = self.rng.usize(..self.channels.len());
        let draw = self.rng.u16(..1000);
        let body = match draw {
            0..760 => None,
            760..858 => self.edit(channel, ordinal),
            858..900 => self.delete(channel),
            900..960 => self.counters(channel),
            960..976 => self.pin(channel),
            976..994 => self.vote(channel),
            _ => Some(self.introduce(channel, ordinal)),
        };
        // Where there is nothing yet to edit or delete, something is posted.
        let body = body.unwrap_or_else(|| self.post(channel, ordinal));
        (channel, body)
    }

    fn post(&mut self, channel: usize, ordinal: u64) -> Body {
        let grouped_id = self.next_of_album(channel, ordinal);
        let posted_at = self.plan.at(ordinal);
        let mut rng = self.rng.fork();
        let (text, entities) = match grouped_id {
            // Only the first of an album has a text.
            Some((_, false)) => (String::new(), Vec::new()),
            _ => self.vocabulary(channel).text(&mut rng, ordinal),
        };
        let draw = rng.u8(..100);
        let answered = (draw < 6)
            .then(|| rng.choice(&self.channels[channel].recent))
            .flatten();
        let reply_to = answered.map(|recent| ReplyTo {
            message_id: recent.message.id,
            peer: None,
        });
        let others = self.plan.channels.max(2);
        let forward = (6..14).contains(&draw).then(|| Forward {
            from: Some(channel_of(rng.u32(..others))),
            date: Some(posted_at),
            message_id: Some(rng.i64(1..100_000)),
            ..Forward::default()
        });
        let poll = (draw == 14 && grouped_id.is_none()).then(|| {
            let vocabulary = self.vocabulary(channel);
            poll(&mut rng, vocabulary, ordinal)
        });
        let media = media(&mut rng, grouped_id.is_some(), poll.is_some());
        let target = &mut self.channels[channel];
        target.posted += 1;
        let message = Message {
            id: target.posted,
            posted_at,
            text,
            entities,
            reply_to,
            forward,
            grouped_id: grouped_id.map(|(id, _)| id),
            media,
            poll,
            views: Some(rng.i64(1..500)),
            forwards: Some(0),
            buttons: if draw == 15 {
                button(ordinal)
            } else {
                Vec::new()
            },
            post_author: (draw == 16).then(|| "Desk".to_owned()),
            ..Message::default()
        };
        if target.recent.len() == RECENT_MAX {
            target.recent.pop_front();
        }
        target.recent.push_back(Recent {
            message: message.clone(),
            pinned: false,
        });
        Body::Posted(Box::new(message))
    }

    /// The album the post belongs to, and whether it is its first.
    fn next_of_album(&mut self, channel: usize, ordinal: u64) -> Option<(i64, bool)> {
        if let Some(album) = &mut self.album
            && album.channel == channel
        {
            let id = album.id;
            album.left -= 1;
            if album.left == 0 {
                self.album = None;
            }
            return Some((id, false));
        }
        if self.album.is_some() || self.rng.u8(..100) >= 4 {
            return None;
        }
        let id = 13_000_000_000_000_000 + i64::try_from(ordinal).unwrap_or(0);
        self.album = Some(Album {
            channel,
            id,
            left: self.rng.u8(1..10),
        });
        Some((id, true))
    }

    fn edit(&mut self, channel: usize, ordinal: u64) -> Option<Body> {
        let at = self.plan.at(ordinal);
        let mut rng = self.rng.fork();
        let vocabulary = &self.vocabularies[channel % self.vocabularies.len()];
        let recent = &mut self.channels[channel].recent;
        let place = pick(&mut rng, recent.len())?;
        let message = &mut recent[place].message;
        // Two edits that a reader cannot tell apart in one second would be one event.
        if message.edited_at == Some(at) {
            return None;
        }
        let mut changed = Changed::default();
        match rng.u8(..100) {
            0..50 if message.grouped_id.is_none() => {
                (message.text, message.entities) = vocabulary.text(&mut rng, ordinal);
                changed.text = true;
            }
            0..82 => {
                message.reactions = Some(reactions(&mut rng));
                changed.reactions = true;
            }
            82..92 => {
                message.views = message.views.map(|views| views + rng.i64(1..900));
                changed.counters = true;
            }
            _ => {
                message.buttons = button(ordinal);
                changed.buttons = true;
            }
        }
        message.edited_at = Some(at);
        message.edit_hidden = !changed.is_visible();
        Some(Body::Edited {
            message: Box::new(message.clone()),
            changed,
        })
    }

    fn delete(&mut self, channel: usize) -> Option<Body> {
        let recent = &mut self.channels[channel].recent;
        let place = pick(&mut self.rng, recent.len())?;
        let gone = recent.remove(place)?;
        Some(Body::Deleted {
            message_id: gone.message.id,
        })
    }

    fn counters(&mut self, channel: usize) -> Option<Body> {
        let recent = &mut self.channels[channel].recent;
        let place = pick(&mut self.rng, recent.len())?;
        let message = &mut recent[place].message;
        message.views = message.views.map(|views| views + self.rng.i64(1..900));
        message.forwards = message
            .forwards
            .map(|forwards| forwards + self.rng.i64(0..3));
        if self.rng.bool() {
            message.reactions = Some(reactions(&mut self.rng));
        }
        Some(Body::Counters {
            message_id: message.id,
            views: message.views,
            forwards: message.forwards,
            reactions: message.reactions.clone(),
        })
    }

    fn pin(&mut self, channel: usize) -> Option<Body> {
        let recent = &mut self.channels[channel].recent;
        let place = pick(&mut self.rng, recent.len())?;
        let target = &mut recent[place];
        target.pinned = !target.pinned;
        target.message.pinned = target.pinned;
        Some(Body::Pinned {
            message_id: target.message.id,
            pinned: target.pinned,
        })
    }

    fn vote(&mut self, channel: usize) -> Option<Body> {
        let rng = &mut self.rng;
        let mut polls = self.channels[channel].recent.iter_mut();
        let message = polls.find_map(|recent| {
            let message = &mut recent.message;
            message.poll.is_some().then_some(message)
        });
        // Polls are rare: where none is at hand, counters move.
        let Some(message) = message else {
            return self.counters(channel);
        };
        let poll = message.poll.as_mut()?;
        vote(rng, poll);
        Some(Body::Poll {
            message_id: message.id,
            poll: Box::new(poll.clone()),
        })
    }
}
