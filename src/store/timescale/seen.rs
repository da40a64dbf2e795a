//! Which messages a load has met: a filter that never forgets one, and sometimes thinks it knows one it does not.
//!
//! A message that was certainly never met has no row yet, and can be copied in without looking. The others are merged;
//! to take that way without need costs time and nothing else, so a filter of fixed size will do.

/// Bits of the filter for each event of the log: about one wrong guess in 250.
const BITS_AN_EVENT: u64 = 16;
/// 8 KiB to 128 MiB.
const WORDS_MIN: u64 = 1 << 10;
const WORDS_MAX: u64 = 1 << 24;

/// The messages met.
#[derive(Debug)]
pub(super) struct Seen {
    /// A power of two of them. All bits of a message are in one word: one miss of the cache for each question.
    words: Vec<u64>,
}

impl Seen {
    /// For so many events.
    pub(super) fn for_events(events: u64) -> Seen {
        let words = (events.saturating_mul(BITS_AN_EVENT) / 64).next_power_of_two();
        let words = words.clamp(WORDS_MIN, WORDS_MAX);
        Seen {
            words: vec![0; usize::try_from(words).unwrap_or(1 << 10)],
        }
    }

    /// Takes in a message; false when it was certainly not met before.
    pub(super) fn meet(&mut self, peer_id: i64, message_id: i64) -> bool {
        let hash = mix(mix(peer_id as u64) ^ message_id as u64);
        let bits = (0..4).fold(0_u64, |bits, part| bits | 1 << (hash >> (6 * part) & 63));
        let at = (hash >> 24) as usize & (self.words.len() - 1);
        let word = &mut self.words[at];
        let known = *word & bits == bits;
        *word |= bits;
        known
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.words.fill(0);
    }
}

/// Spreads every bit over all of them (the finaliser of SplitMix64).
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_forgets_and_seldom_errs() {
        const MESSAGES: i64 = 100_000;
        let mut seen = Seen::for_events(MESSAGES as u64);
        let key = |n: i64| (-1_000_000_000_000 - n % 7, n / 7);
        let mut wrong = 0;
        for n in 0..MESSAGES {
            let (peer, id) = key(n);
            wrong += u32::from(seen.meet(peer, id));
        }
        assert!(wrong < 1_000, "{wrong} of {MESSAGES}");
        for n in 0..MESSAGES {
            let (peer, id) = key(n);
            assert!(seen.meet(peer, id), "{n} is forgotten");
        }
        seen.clear();
        assert!(!seen.meet(1, 1));
    }

    #[test]
    fn its_size_has_limits() {
        assert_eq!(Seen::for_events(0).words.len(), 1 << 10);
        assert_eq!(Seen::for_events(u64::MAX).words.len(), 1 << 24);
    }
}
