//! The dedup keys of a segment in memory: no allocation per key, one look per miss. The keys of
//! a batch are hashed once, and their places looked at before any is searched for: what is not in
//! the processor's cache is then waited for together instead of one after another.

use std::hash::{BuildHasher, RandomState};

const SLOTS_MIN: usize = 64;

/// Maps keys to numbers; keys are never removed.
#[derive(Default)]
pub(crate) struct Index {
    hasher: RandomState,
    /// A power of two, at most half of them used.
    slots: Vec<Slot>,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

/// The hash lies beside the place, so that a miss hardly ever looks at an entry, and growing
/// hashes nothing again.
#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u32,
    /// Entry number plus one; 0 is a free slot.
    entry: u32,
}

struct Entry {
    start: usize,
    end: usize,
    seq: u64,
}

impl Index {
    /// An empty one in which keys have the same hashes.
    pub(crate) fn successor(&self) -> Index {
        Index {
            hasher: self.hasher.clone(),
            ..Index::default()
        }
    }

    pub(crate) fn hash(&self, key: &[u8]) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    /// Whether keys of these hashes may be here.
    pub(crate) fn glance(&self, hashes: &[u32]) -> Vec<bool> {
        let Some(mask) = self.slots.len().checked_sub(1) else {
            return vec![false; hashes.len()];
        };
        let places = hashes.iter().map(|hash| *hash as usize & mask);
        places.map(|at| self.slots[at].entry != 0).collect()
    }

    /// `hash` is that of the key.
    pub(crate) fn get(&self, key: &[u8], hash: u32) -> Option<u64> {
        if self.slots.is_empty() {
            return None;
        }
        let entry = self.find(key, hash).ok()?;
        Some(self.entries[entry].seq)
    }

    /// Gets ready for keys of these hashes to be inserted.
    pub(crate) fn make_ready(&mut self, hashes: &[u32]) {
        self.reserve(hashes.len());
        // Only that it looked is of use.
        std::hint::black_box(self.glance(hashes));
    }

    fn reserve(&mut self, more: usize) {
        while self.slots.len() <= (self.entries.len() + more) * 2 {
            self.grow();
        }
    }

    /// A key that is already there gets the new number. `hash` is that of the key.
    pub(crate) fn insert(&mut self, key: &[u8], hash: u32, seq: u64) {
        self.reserve(1);
        match self.find(key, hash) {
            Ok(entry) => self.entries[entry].seq = seq,
            Err(free) => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(key);
                let end = self.bytes.len();
                self.entries.push(Entry { start, end, seq });
                // A segment of 2^32 keys would need memory for the slots alone of 64 GiB.
                let entry = self.entries.len() as u32;
                self.slots[free] = Slot { hash, entry };
            }
        }
    }

    /// The entry of the key, or the free slot where it belongs.
    fn find(&self, key: &[u8], hash: u32) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.entry == 0 {
                return Err(at);
            }
            if slot.hash == hash {
                let place = slot.entry as usize - 1;
                let entry = &self.entries[place];
                if &self.bytes[entry.start..entry.end] == key {
                    return Ok(place);
                }
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let room = (self.slots.len() * 2).max(SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); room]);
        for slot in old.into_iter().filter(|slot| slot.entry != 0) {
            let mut at = slot.hash as usize & (room - 1);
            while self.slots[at].entry != 0 {
                at = (at + 1) & (room - 1);
            }
            self.slots[at] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn it_answers_as_a_map_does() {
        let (mut index, mut map) = (Index::default().successor(), HashMap::new());
        let absent = index.hash(b"absent");
        assert_eq!(index.get(b"absent", absent), None);
        assert_eq!(index.glance(&[absent]), [false]);
        for n in 0..5000u64 {
            let key = (n * 7 % 4001).to_string().into_bytes();
            let hash = index.hash(&key);
            assert_eq!(index.get(&key, hash), map.get(&key).copied());
            index.insert(&key, hash, n);
            map.insert(key, n);
        }
        let hashes: Vec<u32> = map.keys().map(|key| index.hash(key)).collect();
        assert_eq!(index.glance(&hashes), vec![true; map.len()]);
        for (key, n) in &map {
            assert_eq!(index.get(key, index.hash(key)), Some(*n));
        }
        let hash = index.hash(b"");
        index.insert(b"", hash, 9);
        assert_eq!(index.get(b"", hash), Some(9));
    }

    #[test]
    fn hashes_hold_in_the_successor() {
        let index = Index::default();
        let next = index.successor();
        assert_eq!(index.hash(b"key"), next.hash(b"key"));
    }
}
