//! What an event changes in the index: the same for the events of the log and for those on their way there.

use grammers_tl_types as tl;
use serde::{Deserialize, Serialize};

use super::super::raw::message_of;
use super::print::Print;
use crate::event::{Body, ChannelInfo, Event, Gap, GapBounds, Message, Origin, PeerId, PeerKind};

/// A message: its peer, and its number there.
pub type At = (PeerId, i64);

/// What is known of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What it is called, in all that was told of it.
    pub info: ChannelInfo,
    /// How often that changed: the number of the next change.
    pub changes: i64,
}

/// A gap that nobody has closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenGap {
    /// The channel; none for what is not of one channel.
    pub peer: Option<PeerId>,
    /// What is missing, and why.
    pub gap: Gap,
}

/// A poll that was seen: results come without the message, and without the poll.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenPoll {
    /// The message that carries it.
    pub at: At,
    /// The poll.
    pub poll: tl::enums::Poll,
}

/// Where the index is kept.
pub(super) trait Shelf {
    type Error;

    fn print(&self, at: At) -> Result<Option<Print>, Self::Error>;
    fn set_print(&mut self, at: At, print: Option<Print>) -> Result<(), Self::Error>;
    fn set_place(&mut self, id: i64, peer: PeerId) -> Result<(), Self::Error>;
    fn set_poll(&mut self, id: i64, poll: SeenPoll) -> Result<(), Self::Error>;
    fn facts(&self, peer: PeerId) -> Result<Option<Facts>, Self::Error>;
    fn set_facts(&mut self, peer: PeerId, facts: Facts) -> Result<(), Self::Error>;
    fn name(&self, name: &str) -> Result<Option<PeerId>, Self::Error>;
    fn set_name(&mut self, name: &str, peer: PeerId) -> Result<(), Self::Error>;
    fn set_gap(
        &mut self,
        peer: Option<PeerId>,
        bounds: GapBounds,
        gap: Option<&Gap>,
    ) -> Result<(), Self::Error>;
}

/// Brings an event into the index.
pub(super) fn apply<S: Shelf>(shelf: &mut S, event: &Event) -> Result<(), S::Error> {
    // An export drops fields, and its numbers may be another account's.
    if event.origin == Origin::Import {
        return Ok(());
    }
    match (&event.body, event.peer) {
        (Body::Gap(gap), peer) => shelf.set_gap(peer, gap.bounds(), Some(gap)),
        (Body::GapClosed(closed), peer) => shelf.set_gap(peer, closed.gap, None),
        (Body::Posted(message) | Body::Edited { message, .. }, Some(peer)) => {
            content(shelf, peer, message)?;
            match message.poll.as_ref().and_then(|poll| poll.id) {
                Some(id) => poll(shelf, (peer, message.id), id, event),
                None => Ok(()),
            }
        }
        (Body::Deleted { message_id }, Some(peer)) => shelf.set_print((peer, *message_id), None),
        (Body::Channel(info), Some(peer)) => channel(shelf, peer, info),
        (
            Body::Counters {
                message_id,
                views,
                forwards,
                reactions,
            },
            Some(peer),
        ) => reprint(shelf, (peer, *message_id), |print| {
            print.count(*views, *forwards, reactions.as_deref());
        }),
        (Body::Poll { message_id, poll }, Some(peer)) => {
            reprint(shelf, (peer, *message_id), |print| print.vote(poll))
        }
        _ => Ok(()),
    }
}

/// An older state that is told again does not make a newer one forgotten.
fn content<S: Shelf>(shelf: &mut S, peer: PeerId, message: &Message) -> Result<(), S::Error> {
    let at = (peer, message.id);
    if peer.kind() != PeerKind::Channel {
        shelf.set_place(message.id, peer)?;
    }
    let print = Print::of(message);
    match shelf.print(at)? {
        Some(known) if known.is_newer_than(&print) => Ok(()),
        Some(known) => shelf.set_print(at, Some(print.completed(&known))),
        None => shelf.set_print(at, Some(print)),
    }
}

fn reprint<S: Shelf>(
    shelf: &mut S,
    at: At,
    change: impl FnOnce(&mut Print),
) -> Result<(), S::Error> {
    let Some(mut print) = shelf.print(at)? else {
        return Ok(());
    };
    change(&mut print);
    shelf.set_print(at, Some(print))
}

/// The poll as Telegram told it is in the raw bytes: the event model leaves out what links results to answers.
fn poll<S: Shelf>(shelf: &mut S, at: At, id: i64, event: &Event) -> Result<(), S::Error> {
    let Some(message) = message_of(event) else {
        return Ok(());
    };
    match message {
        tl::enums::Message::Message(tl::types::Message {
            media: Some(tl::enums::MessageMedia::Poll(media)),
            ..
        }) => shelf.set_poll(
            id,
            SeenPoll {
                at,
                poll: media.poll,
            },
        ),
        _ => Ok(()),
    }
}

fn channel<S: Shelf>(shelf: &mut S, peer: PeerId, info: &ChannelInfo) -> Result<(), S::Error> {
    let known = shelf.facts(peer)?;
    let facts = match known {
        Some(known) => Facts {
            info: merged(&known.info, info),
            changes: known.changes.saturating_add(1),
        },
        None => Facts {
            info: info.clone(),
            changes: 1,
        },
    };
    let name = info.username.as_ref().map(|name| name.to_lowercase());
    shelf.set_facts(peer, facts)?;
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(());
    };
    // A name stays with the one who had it first: whoever takes it later is somebody else.
    match shelf.name(&name)? {
        Some(_) => Ok(()),
        None => shelf.set_name(&name, peer),
    }
}

/// What is not told stays as it was.
fn merged(known: &ChannelInfo, told: &ChannelInfo) -> ChannelInfo {
    ChannelInfo {
        kind: told.kind.clone(),
        title: told.title.clone().or_else(|| known.title.clone()),
        username: told.username.clone().or_else(|| known.username.clone()),
        migrated_from: told.migrated_from.or(known.migrated_from),
        at: None,
    }
}

/// What is news in what was told of a chat, and the number of the change; none when nothing is.
pub fn news(known: Option<&Facts>, mut told: ChannelInfo) -> Option<(ChannelInfo, i64)> {
    let had_name = known
        .and_then(|facts| facts.info.username.as_ref())
        .is_some_and(|name| !name.is_empty());
    if told.username.as_deref() == Some("") && !had_name {
        told.username = None;
    }
    match known {
        None => Some((told, 0)),
        Some(known) => {
            let mut before = known.info.clone();
            before.at = None;
            (merged(&known.info, &told) != before).then_some((told, known.changes))
        }
    }
}
