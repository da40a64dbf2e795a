//! Server salts. A message with a salt that is not valid is sent back with one that is.

use std::collections::BTreeSet;

use grammers_tl_types as tl;

const LIFETIME: i32 = 1800;

#[derive(Debug)]
pub(crate) struct Salts {
    generation: i64,
    valid: BTreeSet<i64>,
}

impl Default for Salts {
    fn default() -> Self {
        let mut salts = Self {
            generation: 0,
            valid: BTreeSet::new(),
        };
        salts.rotate();
        salts
    }
}

impl Salts {
    pub(crate) fn current(&self) -> i64 {
        self.generation << 32 | 1
    }

    pub(crate) fn is_valid(&self, salt: i64) -> bool {
        self.valid.contains(&salt)
    }

    /// From now on no salt is valid that was given before.
    pub(crate) fn rotate(&mut self) {
        self.generation += 1;
        self.valid = BTreeSet::from([self.current()]);
    }

    pub(crate) fn future(&mut self, count: i32, now: i32) -> Vec<tl::types::FutureSalt> {
        let salts = (0..count.clamp(1, 64)).map(|number| tl::types::FutureSalt {
            valid_since: now.saturating_add(number.saturating_mul(LIFETIME)),
            valid_until: now.saturating_add((number + 1).saturating_mul(LIFETIME)),
            salt: self.current() + i64::from(number),
        });
        let salts: Vec<_> = salts.collect();
        self.valid.extend(salts.iter().map(|salt| salt.salt));
        salts
    }
}
