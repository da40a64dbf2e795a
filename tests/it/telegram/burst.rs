//! What happens on the server: all kinds of updates in channels, a supergroup, a private chat and a basic group, and
//! what is there at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datacentre::{ChannelSpec, DataCentre, UserSpec};
use grammers_tl_types as tl;
use telegram_gateway::event::{PeerId, PeerKind};

/// A message: its peer in the marked form, and its number there.
pub(super) type Place = (i64, i64);

/// What is known of a message that is there: its text, and how many reactions it has.
pub(super) type Known = (String, i64);

/// Messages that are still spoken of: all others are too old to be edited.
const RECENT_MAX: usize = 200;

/// The server's side of a test.
pub(super) struct Burst {
    pub(super) dc: Arc<DataCentre>,
    pub(super) channels: Vec<i64>,
    user: i64,
    group: i64,
    random: fastrand::Rng,
    /// Channel and number of messages that may be spoken of.
    recent: Vec<(i64, i32)>,
    /// What private chats and groups have: they number their messages together.
    own: BTreeMap<i32, (PeerId, String)>,
    gone: BTreeSet<Place>,
    /// Updates that were made.
    pub(super) happened: usize,
}

impl Burst {
    pub(super) fn new(dc: Arc<DataCentre>) -> Burst {
        let broadcast = |n| dc.add_channel(ChannelSpec::broadcast(&format!("Signals {n}")));
        let mut channels: Vec<i64> = (0..4).map(broadcast).collect();
        channels.push(dc.add_channel(ChannelSpec::supergroup("Traders")));
        let user = dc.add_user(UserSpec::named("Friend"));
        let group = dc.add_group("Family", &[0]);
        Burst {
            dc,
            channels,
            user,
            group,
            random: fastrand::Rng::with_seed(20),
            recent: Vec::new(),
            own: BTreeMap::new(),
            gone: BTreeSet::new(),
            happened: 0,
        }
    }

    /// Every chat says something.
    pub(super) fn begin(&mut self) {
        for channel in self.channels.clone() {
            self.post(channel);
        }
        self.receive();
        self.post_in_group();
    }

    /// So many updates, and now and then the connection is cut.
    pub(super) fn go_on(&mut self, updates: usize) {
        let end = self.happened + updates;
        while self.happened < end {
            match self.random.u32(..200) {
                0..100 => {
                    let at = self.random.usize(..self.channels.len());
                    self.post(self.channels[at]);
                }
                100..130 => self.edit(),
                130..142 => self.delete(),
                142..154 => self.count(),
                154..162 => self.react(),
                162..172 => self.receive(),
                172..182 => self.post_in_group(),
                182..190 => self.edit_own(),
                190..194 => self.delete_own(),
                194 => self.dc.cut(),
                _ => self.post_together(),
            }
        }
    }

    fn words(&mut self, what: &str) -> String {
        self.happened += 1;
        format!("{what} {}", self.happened)
    }

    fn post(&mut self, channel: i64) {
        let text = self.words("post");
        let id = self.dc.post(channel, text);
        if self.recent.len() == RECENT_MAX {
            let at = self.random.usize(..RECENT_MAX);
            self.recent.swap_remove(at);
        }
        self.recent.push((channel, id));
    }

    /// Several in one container.
    fn post_together(&mut self) {
        let channel = self.channels[self.random.usize(..self.channels.len())];
        let dc = Arc::clone(&self.dc);
        dc.together(|_| (0..3).for_each(|_| self.post(channel)));
    }

    fn any(&mut self) -> Option<(i64, i32)> {
        let at = self.random.usize(..self.recent.len().max(1));
        self.recent.get(at).copied()
    }

    fn edit(&mut self) {
        if let Some((channel, id)) = self.any() {
            let text = self.words("edit");
            self.dc.edit(channel, id, text);
        }
    }

    /// Up to three messages of one channel.
    fn delete(&mut self) {
        let Some((channel, _)) = self.any() else {
            return;
        };
        let of_channel = self.recent.iter().filter(|(at, _)| *at == channel);
        let ids: Vec<i32> = of_channel.map(|(_, id)| *id).take(3).collect();
        self.happened += 1;
        self.dc.delete(channel, &ids);
        self.recent
            .retain(|(at, id)| *at != channel || !ids.contains(id));
        let ids = ids.into_iter();
        self.gone
            .extend(ids.map(|id| (marked(PeerKind::Channel, channel), i64::from(id))));
    }

    fn count(&mut self) {
        if let Some((channel, id)) = self.any() {
            self.happened += 1;
            let views = i32::try_from(self.happened).unwrap_or(i32::MAX);
            self.dc.views(channel, id, views);
        }
    }

    fn react(&mut self) {
        if let Some((channel, id)) = self.any() {
            self.happened += 1;
            let count = i32::try_from(self.happened).unwrap_or(i32::MAX);
            self.dc
                .reactions_as_edit(channel, id, &[("\u{1f44d}", count)]);
        }
    }

    fn receive(&mut self) {
        let text = self.words("said");
        let id = self.dc.receive(0, self.user, text.as_str());
        let peer = PeerId::new(PeerKind::User, self.user).expect("a user");
        self.own.insert(id, (peer, text));
    }

    fn post_in_group(&mut self) {
        let text = self.words("told");
        let id = self.dc.post_in_group(self.group, self.user, text.as_str());
        let peer = PeerId::new(PeerKind::Chat, self.group).expect("a group");
        self.own.insert(id, (peer, text));
    }

    fn any_own(&mut self) -> Option<i32> {
        let newest = self.own.keys().rev().take(20);
        let newest: Vec<i32> = newest.copied().collect();
        let at = self.random.usize(..newest.len().max(1));
        newest.get(at).copied()
    }

    fn edit_own(&mut self) {
        if let Some(id) = self.any_own() {
            let text = self.words("own edit");
            self.dc.edit_for(0, id, text.as_str());
            if let Some((_, known)) = self.own.get_mut(&id) {
                *known = text;
            }
        }
    }

    fn delete_own(&mut self) {
        if let Some(id) = self.any_own() {
            self.happened += 1;
            self.dc.delete_for(0, &[id]);
            let known = self.own.remove(&id);
            self.gone
                .extend(known.map(|(peer, _)| (peer.marked(), i64::from(id))));
        }
    }

    /// The messages that are there.
    pub(super) fn there(&self) -> BTreeMap<Place, Known> {
        let own = self.own.iter().map(|(id, (peer, text))| {
            let at = (peer.marked(), i64::from(*id));
            (at, (text.clone(), 0))
        });
        let in_channels = self.channels.iter().flat_map(|channel| {
            let messages = self.dc.messages(*channel).into_iter();
            let peer = marked(PeerKind::Channel, *channel);
            messages.filter_map(move |message| match message {
                tl::enums::Message::Message(it) => {
                    let count = reactions(&it);
                    Some(((peer, i64::from(it.id)), (it.message, count)))
                }
                _ => None,
            })
        });
        own.chain(in_channels).collect()
    }

    /// The messages that were deleted in channels.
    pub(super) fn gone_in_channels(&self) -> BTreeSet<Place> {
        let channels: BTreeSet<i64> = self
            .channels
            .iter()
            .map(|channel| marked(PeerKind::Channel, *channel))
            .collect();
        let gone = self.gone.iter().copied();
        gone.filter(|(peer, _)| channels.contains(peer)).collect()
    }
}

pub(super) fn marked(kind: PeerKind, bare: i64) -> i64 {
    PeerId::new(kind, bare).expect("a peer").marked()
}

fn reactions(message: &tl::types::Message) -> i64 {
    let Some(tl::enums::MessageReactions::Reactions(given)) = &message.reactions else {
        return 0;
    };
    let counts = given.results.iter().map(|it| {
        let tl::enums::ReactionCount::Count(it) = it;
        i64::from(it.count)
    });
    counts.sum()
}
