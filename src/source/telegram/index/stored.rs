//! The index in its file.

use grammers_tl_types as tl;
use grammers_tl_types::{Deserializable, Serializable};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;

use super::live::GapKey;
use super::print::{PRINT_BYTES, Print};
use super::shelf::{At, Facts, OpenGap, SeenPoll, Shelf};
use crate::event::{Gap, GapBounds, PeerId};

/// Peer and number to fingerprint.
pub(super) const PRINTS: TableDefinition<'_, (i64, i64), [u8; PRINT_BYTES]> =
    TableDefinition::new("prints");
/// Numbers of private chats and basic groups to their peer.
pub(super) const PLACES: TableDefinition<'_, i64, i64> = TableDefinition::new("places");
/// Poll to its message (16 bytes) and its TL bytes.
pub(super) const POLLS: TableDefinition<'_, i64, &[u8]> = TableDefinition::new("polls");
/// Peer to what is known of it.
pub(super) const FACTS: TableDefinition<'_, i64, &[u8]> = TableDefinition::new("facts");
/// Public name, in lower case, to the peer that had it first.
pub(super) const NAMES: TableDefinition<'_, &str, i64> = TableDefinition::new("names");
/// Peer (0: none) and stamp to the gap.
pub(super) const GAPS: TableDefinition<'_, (i64, i64), &[u8]> = TableDefinition::new("gaps");

/// The tables, open for writing.
pub(super) struct Stored<'txn> {
    prints: Table<'txn, (i64, i64), [u8; PRINT_BYTES]>,
    places: Table<'txn, i64, i64>,
    polls: Table<'txn, i64, &'static [u8]>,
    facts: Table<'txn, i64, &'static [u8]>,
    names: Table<'txn, &'static str, i64>,
    gaps: Table<'txn, (i64, i64), &'static [u8]>,
}

impl<'txn> Stored<'txn> {
    pub(super) fn open(txn: &'txn WriteTransaction) -> Result<Stored<'txn>, redb::Error> {
        Ok(Stored {
            prints: txn.open_table(PRINTS)?,
            places: txn.open_table(PLACES)?,
            polls: txn.open_table(POLLS)?,
            facts: txn.open_table(FACTS)?,
            names: txn.open_table(NAMES)?,
            gaps: txn.open_table(GAPS)?,
        })
    }
}

impl Stored<'_> {
    pub(super) fn gap(&self, (peer, bounds): GapKey) -> Result<Option<Gap>, redb::Error> {
        let found = self
            .gaps
            .get((peer.map_or(0, PeerId::marked), bounds.stamp()))?;
        let open: Option<OpenGap> = found.and_then(|bytes| decode(bytes.value()));
        Ok(open.map(|open| open.gap))
    }
}

impl Shelf for Stored<'_> {
    type Error = redb::Error;

    fn print(&self, at: At) -> Result<Option<Print>, redb::Error> {
        let found = self.prints.get(key(at))?;
        Ok(found.map(|bytes| Print::from_bytes(bytes.value())))
    }

    fn set_print(&mut self, at: At, print: Option<Print>) -> Result<(), redb::Error> {
        match print {
            Some(print) => self.prints.insert(key(at), print.to_bytes())?,
            None => self.prints.remove(key(at))?,
        };
        Ok(())
    }

    fn set_place(&mut self, id: i64, peer: PeerId) -> Result<(), redb::Error> {
        self.places.insert(id, peer.marked())?;
        Ok(())
    }

    fn set_poll(&mut self, id: i64, poll: SeenPoll) -> Result<(), redb::Error> {
        let (peer, message) = key(poll.at);
        let mut bytes = [peer.to_le_bytes(), message.to_le_bytes()].concat();
        poll.poll.serialize(&mut bytes);
        self.polls.insert(id, bytes.as_slice())?;
        Ok(())
    }

    fn facts(&self, peer: PeerId) -> Result<Option<Facts>, redb::Error> {
        let found = self.facts.get(peer.marked())?;
        Ok(found.and_then(|bytes| decode(bytes.value())))
    }

    fn set_facts(&mut self, peer: PeerId, facts: Facts) -> Result<(), redb::Error> {
        self.facts
            .insert(peer.marked(), encode(&facts).as_slice())?;
        Ok(())
    }

    fn name(&self, name: &str) -> Result<Option<PeerId>, redb::Error> {
        let found = self.names.get(name)?;
        Ok(found.and_then(|peer| PeerId::from_marked(peer.value()).ok()))
    }

    fn set_name(&mut self, name: &str, peer: PeerId) -> Result<(), redb::Error> {
        self.names.insert(name, peer.marked())?;
        Ok(())
    }

    fn set_gap(
        &mut self,
        peer: Option<PeerId>,
        bounds: GapBounds,
        gap: Option<&Gap>,
    ) -> Result<(), redb::Error> {
        let key = (peer.map_or(0, PeerId::marked), bounds.stamp());
        match gap {
            Some(gap) => {
                let gap = gap.clone();
                let bytes = encode(&OpenGap { peer, gap });
                self.gaps.insert(key, bytes.as_slice())?
            }
            None => self.gaps.remove(key)?,
        };
        Ok(())
    }
}

pub(super) fn key((peer, id): At) -> (i64, i64) {
    (peer.marked(), id)
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    // Writing to memory cannot fail, and no key in these values is anything but text.
    serde_json::to_vec(value).unwrap_or_default()
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// The fingerprint in the file.
pub(super) fn print(txn: &ReadTransaction, at: At) -> Result<Option<Print>, redb::Error> {
    let found = txn.open_table(PRINTS)?.get(key(at))?;
    Ok(found.map(|bytes| Print::from_bytes(bytes.value())))
}

/// The peer of a message that is in no channel.
pub(super) fn place(txn: &ReadTransaction, id: i64) -> Result<Option<PeerId>, redb::Error> {
    let found = txn.open_table(PLACES)?.get(id)?;
    Ok(found.and_then(|peer| PeerId::from_marked(peer.value()).ok()))
}

/// What is known of a chat.
pub(super) fn facts(txn: &ReadTransaction, peer: PeerId) -> Result<Option<Facts>, redb::Error> {
    let found = txn.open_table(FACTS)?.get(peer.marked())?;
    Ok(found.and_then(|bytes| decode(bytes.value())))
}

/// Who had a name first.
pub(super) fn name(txn: &ReadTransaction, name: &str) -> Result<Option<PeerId>, redb::Error> {
    let found = txn.open_table(NAMES)?.get(name)?;
    Ok(found.and_then(|peer| PeerId::from_marked(peer.value()).ok()))
}

/// A poll.
pub(super) fn poll(txn: &ReadTransaction, id: i64) -> Result<Option<SeenPoll>, redb::Error> {
    let found = txn.open_table(POLLS)?.get(id)?;
    Ok(found.and_then(|bytes| read_poll(bytes.value())))
}

fn read_poll(bytes: &[u8]) -> Option<SeenPoll> {
    let (peer, rest) = bytes.split_first_chunk()?;
    let (message, poll) = rest.split_first_chunk()?;
    let peer = PeerId::from_marked(i64::from_le_bytes(*peer)).ok()?;
    Some(SeenPoll {
        at: (peer, i64::from_le_bytes(*message)),
        poll: tl::enums::Poll::from_bytes(poll).ok()?,
    })
}
