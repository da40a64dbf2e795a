//! The index as it is now: what the file has, and what is on its way to the log.

use std::collections::{BTreeMap, HashMap, VecDeque};

use redb::{Database, ReadableDatabase, ReadableTable};

use super::print::Print;
use super::shelf::{At, Facts, OpenGap, SeenPoll, Shelf};
use super::stored;
use crate::event::{Changed, Gap, GapBounds, PeerId};

/// Messages on their way that are kept in mind. More than the ways to the log can hold; what the log had already is
/// in here too, and goes when it is old.
const ON_THE_WAY_MAX: usize = 300_000;

/// A message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OnTheWay {
    print: Option<Print>,
    /// The edit that made it so.
    edit: Option<(i64, Changed)>,
}

/// A map that forgets what it was told first.
#[derive(Debug)]
struct Recent<K, V> {
    /// Each with its number in `order`.
    values: HashMap<K, (u64, V)>,
    order: VecDeque<(u64, K)>,
    next: u64,
}

impl<K: Copy + Eq + std::hash::Hash, V> Recent<K, V> {
    fn new() -> Recent<K, V> {
        Recent {
            values: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
        }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key).map(|(_, value)| value)
    }

    fn insert(&mut self, key: K, value: V) {
        self.next += 1;
        self.values.insert(key, (self.next, value));
        self.order.push_back((self.next, key));
        while self.order.len() > ON_THE_WAY_MAX {
            // What was told again since is younger.
            if let Some((number, oldest)) = self.order.pop_front()
                && self
                    .values
                    .get(&oldest)
                    .is_some_and(|(its, _)| *its == number)
            {
                self.values.remove(&oldest);
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Live {
    messages: Recent<At, OnTheWay>,
    places: Recent<i64, PeerId>,
    polls: Recent<i64, SeenPoll>,
    facts: HashMap<PeerId, Facts>,
    names: HashMap<String, PeerId>,
    gaps: BTreeMap<(Option<PeerId>, GapBounds), Gap>,
}

impl Live {
    /// What the file has. Channels, names and gaps are few, so they are all in memory.
    pub(super) fn load(db: &Database) -> Result<Live, redb::Error> {
        let txn = db.begin_read()?;
        let mut live = Live {
            messages: Recent::new(),
            places: Recent::new(),
            polls: Recent::new(),
            facts: HashMap::new(),
            names: HashMap::new(),
            gaps: BTreeMap::new(),
        };
        for row in txn.open_table(stored::FACTS)?.iter()? {
            let (peer, facts) = row?;
            let peer = PeerId::from_marked(peer.value()).ok();
            if let (Some(peer), Some(facts)) = (peer, stored::decode(facts.value())) {
                live.facts.insert(peer, facts);
            }
        }
        for row in txn.open_table(stored::NAMES)?.iter()? {
            let (name, peer) = row?;
            if let Ok(peer) = PeerId::from_marked(peer.value()) {
                live.names.insert(name.value().to_owned(), peer);
            }
        }
        for row in txn.open_table(stored::GAPS)?.iter()? {
            let (_, gap) = row?;
            if let Some(OpenGap { peer, gap }) = stored::decode(gap.value()) {
                live.gaps.insert((peer, gap.bounds()), gap);
            }
        }
        Ok(live)
    }

    pub(super) fn gaps(&self) -> impl Iterator<Item = OpenGap> + '_ {
        self.gaps.iter().map(|((peer, _), gap)| OpenGap {
            peer: *peer,
            gap: gap.clone(),
        })
    }

    /// Remembers which edit made a message what it is.
    pub(super) fn note_edit(&mut self, at: At, stamp: i64, changed: Changed) {
        if let Some((_, message)) = self.messages.values.get_mut(&at) {
            message.edit = Some((stamp, changed));
        }
    }

    /// What this edit was found to change when it came before.
    pub(super) fn edit(&self, at: At, stamp: i64) -> Option<Changed> {
        let (known, changed) = self.messages.get(&at)?.edit?;
        (stamp != 0 && known == stamp).then_some(changed)
    }

    /// The file has this of a message now: what is on its way is not needed any more where it is the same.
    pub(super) fn arrived(&mut self, at: At, print: Option<Print>) {
        if self.messages.get(&at).is_some_and(|it| it.print == print) {
            self.messages.values.remove(&at);
        }
    }
}

/// The live index as a shelf: what is not in memory is in the file.
pub(super) struct Through<'a> {
    pub(super) live: &'a mut Live,
    pub(super) db: &'a Database,
}

impl Through<'_> {
    pub(super) fn place(&self, id: i64) -> Result<Option<PeerId>, redb::Error> {
        match self.live.places.get(&id) {
            Some(peer) => Ok(Some(*peer)),
            None => stored::place(&self.db.begin_read()?, id),
        }
    }

    pub(super) fn poll(&self, id: i64) -> Result<Option<SeenPoll>, redb::Error> {
        match self.live.polls.get(&id) {
            Some(poll) => Ok(Some(poll.clone())),
            None => stored::poll(&self.db.begin_read()?, id),
        }
    }
}

impl Shelf for Through<'_> {
    type Error = redb::Error;

    fn print(&self, at: At) -> Result<Option<Print>, redb::Error> {
        match self.live.messages.get(&at) {
            Some(message) => Ok(message.print),
            None => stored::print(&self.db.begin_read()?, at),
        }
    }

    fn set_print(&mut self, at: At, print: Option<Print>) -> Result<(), redb::Error> {
        self.live
            .messages
            .insert(at, OnTheWay { print, edit: None });
        Ok(())
    }

    fn set_place(&mut self, id: i64, peer: PeerId) -> Result<(), redb::Error> {
        self.live.places.insert(id, peer);
        Ok(())
    }

    fn set_poll(&mut self, id: i64, poll: SeenPoll) -> Result<(), redb::Error> {
        self.live.polls.insert(id, poll);
        Ok(())
    }

    fn facts(&self, peer: PeerId) -> Result<Option<Facts>, redb::Error> {
        Ok(self.live.facts.get(&peer).cloned())
    }

    fn set_facts(&mut self, peer: PeerId, facts: Facts) -> Result<(), redb::Error> {
        self.live.facts.insert(peer, facts);
        Ok(())
    }

    fn name(&self, name: &str) -> Result<Option<PeerId>, redb::Error> {
        Ok(self.live.names.get(name).copied())
    }

    fn set_name(&mut self, name: &str, peer: PeerId) -> Result<(), redb::Error> {
        self.live.names.insert(name.to_owned(), peer);
        Ok(())
    }

    fn set_gap(
        &mut self,
        peer: Option<PeerId>,
        bounds: GapBounds,
        gap: Option<&Gap>,
    ) -> Result<(), redb::Error> {
        match gap {
            Some(gap) => self.live.gaps.insert((peer, bounds), gap.clone()),
            None => self.live.gaps.remove(&(peer, bounds)),
        };
        Ok(())
    }
}
