//! The index as it is now: what the file has, and what is on its way to the log.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

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

impl<K: Clone + Eq + std::hash::Hash, V> Recent<K, V> {
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

    fn drop_if(&mut self, key: &K, is_known: impl FnOnce(&V) -> bool) {
        if self.get(key).is_some_and(is_known) {
            self.values.remove(key);
        }
    }

    fn insert(&mut self, key: K, value: V) {
        self.next += 1;
        self.values.insert(key.clone(), (self.next, value));
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
    facts: Recent<PeerId, Facts>,
    names: Recent<String, PeerId>,
    gaps: Recent<GapKey, Option<Gap>>,
}

impl Live {
    pub(super) fn new() -> Live {
        Live {
            messages: Recent::new(),
            places: Recent::new(),
            polls: Recent::new(),
            facts: Recent::new(),
            names: Recent::new(),
            gaps: Recent::new(),
        }
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

    /// The file has this now: what is on its way is not needed any more where it is the same.
    pub(super) fn arrived(&mut self, arrived: Arrived) {
        match arrived {
            Arrived::Message(at, print) => self.messages.drop_if(&at, |it| it.print == print),
            Arrived::Facts(peer, facts) => {
                self.facts.drop_if(&peer, |it| Some(it) == facts.as_ref())
            }
            Arrived::Gap(key, gap) => self.gaps.drop_if(&key, |it| *it == gap),
        }
    }
}

/// A gap's peer and ends.
pub(super) type GapKey = (Option<PeerId>, GapBounds);

/// What the file has now.
#[derive(Debug)]
pub(super) enum Arrived {
    Message(At, Option<Print>),
    Facts(PeerId, Option<Facts>),
    Gap(GapKey, Option<Gap>),
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

    /// The gaps that nobody has closed.
    pub(super) fn open_gaps(&self) -> Result<Vec<OpenGap>, redb::Error> {
        let mut open = BTreeMap::new();
        for row in self.db.begin_read()?.open_table(stored::GAPS)?.iter()? {
            let (_, gap) = row?;
            if let Some(OpenGap { peer, gap }) = stored::decode(gap.value()) {
                open.insert((peer, gap.bounds()), gap);
            }
        }
        for (key, (_, gap)) in &self.live.gaps.values {
            match gap {
                Some(gap) => open.insert(*key, gap.clone()),
                None => open.remove(key),
            };
        }
        let open = open.into_iter();
        Ok(open.map(|((peer, _), gap)| OpenGap { peer, gap }).collect())
    }

    /// The chats that something is known of.
    pub(super) fn chats(&self) -> Result<Vec<PeerId>, redb::Error> {
        let mut marked: BTreeSet<i64> = self
            .live
            .facts
            .values
            .keys()
            .map(|peer| peer.marked())
            .collect();
        for row in self.db.begin_read()?.open_table(stored::FACTS)?.iter()? {
            marked.insert(row?.0.value());
        }
        let peers = marked.into_iter().map(PeerId::from_marked);
        Ok(peers.filter_map(Result::ok).collect())
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
        match self.live.facts.get(&peer) {
            Some(facts) => Ok(Some(facts.clone())),
            None => stored::facts(&self.db.begin_read()?, peer),
        }
    }

    fn set_facts(&mut self, peer: PeerId, facts: Facts) -> Result<(), redb::Error> {
        self.live.facts.insert(peer, facts);
        Ok(())
    }

    fn name(&self, name: &str) -> Result<Option<PeerId>, redb::Error> {
        match self.live.names.values.get(name) {
            Some((_, peer)) => Ok(Some(*peer)),
            None => stored::name(&self.db.begin_read()?, name),
        }
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
        self.live.gaps.insert((peer, bounds), gap.cloned());
        Ok(())
    }
}
