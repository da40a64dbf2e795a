//! Pages to events: what Telegram's updates mean.
//!
//! | file | what |
//! |---|---|
//! | `update` | one update |
//! | `message` | a message |
//! | `rich` | the text of rich messages |
//! | `parts` | formatting, reactions, buttons, polls |
//! | `media` | what a message carries |
//! | `service` | service messages |
//! | `chats` | titles, names, kinds of chats |
//! | `gaps` | what is missing, and how that ended |
//! | `sight` | chats as an operator sees them |

mod chats;
mod gaps;
mod media;
mod message;
mod parts;
mod rich;
mod service;
mod sight;
#[cfg(test)]
mod tests;
mod update;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use grammers_tl_types as tl;

use super::account::Meaning;
use super::driver::{BoxName, Page, Undecodable};
use super::index::{Index, news};
use super::policy::{Policy, Standing};
use crate::event::{Body, ChannelInfo, Event, Origin, PeerId, PeerKind, Raw, encode};
use crate::source::SourceBatch;
use message::Names;
pub use sight::Sight;

/// Raw bytes up to here fit a record beside everything that is read from them.
const RAW_BYTES_SMALL: usize = 512 * 1024;

/// Makes events of the pages of one account.
pub struct Normaliser {
    account: String,
    /// The user that the account is, once a session told it.
    own: Option<PeerId>,
    policy: Policy,
    index: Arc<Index>,
    /// What was told of channels in this run, and what was looked up.
    standings: RefCell<HashMap<PeerId, Standing>>,
}

/// The events of a page that is being read.
struct Draft<'a> {
    origin: Origin,
    names: Names,
    index: &'a Index,
    events: Vec<Event>,
}

impl Draft<'_> {
    /// Adds an event. The index knows it at once: a page may hold a message and its edit.
    fn push(&mut self, event: Event) {
        let event = bounded(event);
        self.index.record(&event);
        self.events.push(event);
    }

    fn tell(&mut self, peer: Option<PeerId>, stamp: i64, body: Body, raw: Option<Raw>) {
        self.push(Event {
            peer,
            origin: self.origin,
            stamp,
            body,
            raw,
        });
    }
}

impl Normaliser {
    /// For an account of this name. All accounts share the index.
    pub fn new(account: &str, policy: Policy, index: Arc<Index>) -> Normaliser {
        Normaliser {
            account: account.to_owned(),
            own: None,
            policy,
            index,
            standings: RefCell::default(),
        }
    }

    /// Whether what happens there is mirrored, by what is known of it.
    pub fn follows(&self, peer: PeerId) -> bool {
        self.policy.follows(peer, self.standing(peer))
    }

    /// What is known of a channel: told in this run, or in the log.
    fn standing(&self, peer: PeerId) -> Standing {
        if peer.kind() != PeerKind::Channel {
            return Standing::default();
        }
        let told = self.standings.borrow().get(&peer).copied();
        told.unwrap_or_else(|| {
            let logged = self.logged_standing(peer);
            self.standings.borrow_mut().insert(peer, logged);
            logged
        })
    }

    fn logged_standing(&self, peer: PeerId) -> Standing {
        let (policy, index) = (&self.policy, &*self.index);
        let known = index.facts(peer).map(|facts| facts.info);
        Sight { policy, index }.standing(peer, known.as_ref())
    }

    fn meet(&mut self, chat: &tl::enums::Chat, draft: &mut Draft<'_>) {
        let Some(told) = chats::chat(chat) else {
            return;
        };
        if let Some(to) = told.became {
            self.migrated(told.peer, to, draft);
        }
        let name = self.followed_name(told.peer, &told.names);
        if told.peer.kind() == PeerKind::Channel {
            let known = self.standing(told.peer);
            let standing = Standing {
                is_named: known.is_named || name.is_some(),
                has_left: told.has_left.unwrap_or(known.has_left),
                is_direct: told.is_direct,
                migrated_from: known.migrated_from,
            };
            self.standings.borrow_mut().insert(told.peer, standing);
        }
        if let Some(mut info) = told.info {
            // Of several names the one that is followed is the one that the log has to know.
            info.username = name.or(info.username);
            self.describe(told.peer, info, draft);
        }
    }

    /// The followed one of these names, unless another channel had it before.
    fn followed_name(&self, peer: PeerId, names: &[String]) -> Option<String> {
        let followed = names.iter().filter(|name| self.policy.has_name(name));
        let mut free = followed.filter(|name| {
            let holder = self.index.named(name);
            holder.is_none_or(|holder| holder == peer)
        });
        free.next().cloned()
    }

    /// A basic group became a supergroup.
    fn migrated(&mut self, group: PeerId, channel: PeerId, draft: &mut Draft<'_>) {
        let mut standing = self.standing(channel);
        standing.migrated_from = Some(group);
        self.standings.borrow_mut().insert(channel, standing);
        let known = self.index.facts(channel).map(|facts| facts.info);
        let info = ChannelInfo {
            kind: known.map_or_else(|| "supergroup".to_owned(), |info| info.kind),
            title: None,
            username: None,
            migrated_from: Some(group),
            at: None,
        };
        self.describe(channel, info, draft);
    }

    /// Tells what is new about a chat that is followed.
    fn describe(&self, peer: PeerId, info: ChannelInfo, draft: &mut Draft<'_>) {
        if !self.follows(peer) {
            return;
        }
        let known = self.index.facts(peer);
        if let Some((info, change)) = news(known.as_ref(), info) {
            draft.tell(Some(peer), change, Body::Channel(info), None);
        }
    }

    /// The other sides of the private chats that something happened in.
    fn describe_people(&self, users: &[tl::enums::User], draft: &mut Draft<'_>) {
        let people: BTreeSet<PeerId> = draft
            .events
            .iter()
            .filter_map(|event| event.peer)
            .filter(|peer| peer.kind() == PeerKind::User)
            .collect();
        for (peer, info) in users.iter().filter_map(chats::user) {
            if people.contains(&peer) {
                self.describe(peer, info, draft);
            }
        }
    }

    /// What could not be read. Bytes of the account's own box may be of any chat, so they are kept only where all
    /// chats may be.
    fn undecodable(&self, lost: Undecodable, draft: &mut Draft<'_>) {
        let peer = peer_of(lost.place);
        if peer.is_some_and(|peer| !self.follows(peer)) {
            return;
        }
        let what = match lost.method {
            Some(method) => format!("answer to {method}"),
            None => format!("update {}", service::name_of(&lost.raw)),
        };
        let may_keep = peer.is_some() || self.policy.has_private_chats();
        let raw = (may_keep && !lost.raw.is_empty()).then(|| layered(lost.raw));
        let stamp = lost.pts.map_or(0, |(_, until)| i64::from(until));
        let body = Body::Unknown {
            message_id: None,
            what,
        };
        draft.tell(peer, stamp, body, raw);
    }
}

impl Meaning for Normaliser {
    fn own(&mut self, user: i64) {
        self.own = PeerId::new(PeerKind::User, user).ok();
    }

    fn follows(&self, channel: i64) -> bool {
        peer_of(BoxName::Channel(channel)).is_some_and(|peer| Normaliser::follows(self, peer))
    }

    fn newest(&self, channel: i64, count: usize) -> Vec<i64> {
        let Some(peer) = peer_of(BoxName::Channel(channel)) else {
            return Vec::new();
        };
        let found = self.index.newest(peer, count);
        found.unwrap_or_else(|error| {
            tracing::error!(%error, "the newest messages of a channel are not known");
            Vec::new()
        })
    }

    fn named(&self, name: &str) -> Option<i64> {
        let peer = self.index.named(name)?;
        (peer.kind() == PeerKind::Channel).then(|| peer.bare())
    }

    fn page(&mut self, mut page: Page) -> SourceBatch {
        let index = Arc::clone(&self.index);
        let mut draft = Draft {
            origin: page.origin,
            names: Names::of(&page.users, &page.chats),
            index: &index,
            events: Vec::new(),
        };
        for chat in &page.chats {
            self.meet(chat, &mut draft);
        }
        self.gaps(&page, &mut draft);
        for seen in std::mem::take(&mut page.updates) {
            self.update(&seen, &mut draft);
        }
        self.describe_people(&page.users, &mut draft);
        for lost in std::mem::take(&mut page.undecodable) {
            self.undecodable(lost, &mut draft);
        }
        self.closed(&page, &mut draft);
        self.regained(&page.positions, &mut draft);
        SourceBatch {
            events: draft.events,
            due_at: None,
            bookmarks: page
                .positions
                .iter()
                .map(|position| position.bookmark(&self.account))
                .collect(),
        }
    }
}

fn peer_of(place: BoxName) -> Option<PeerId> {
    match place {
        BoxName::Common => None,
        BoxName::Channel(id) => PeerId::new(PeerKind::Channel, id).ok(),
    }
}

/// Bytes of the schema that this program was made for.
fn layered(bytes: Vec<u8>) -> Raw {
    Raw {
        layer: u32::try_from(tl::LAYER).unwrap_or_default(),
        bytes,
    }
}

/// An event that a record can hold: without the raw bytes where they are too many, and without anything else where even
/// that is too much. Telegram's own limits are far below.
fn bounded(mut event: Event) -> Event {
    let raw_bytes = event.raw.as_ref().map_or(0, |raw| raw.bytes.len());
    if raw_bytes <= RAW_BYTES_SMALL || encode(&event).is_ok() {
        return event;
    }
    event.raw = None;
    if encode(&event).is_err() {
        event.body = Body::Unknown {
            message_id: event.body.message_id(),
            what: format!("{} that is too large", event.body.kind().as_str()),
        };
    }
    event
}
