//! The calls that clients have made.

use std::collections::BTreeMap;
use std::time::Instant;

/// A call that a client has made.
#[derive(Clone, Copy, Debug)]
pub struct CallMade {
    /// As in `updates.getDifference`; wrappers such as `initConnection` are calls of their own.
    pub method: &'static str,
    /// When it arrived.
    pub at: Instant,
}

/// All calls, and how many there are of each method: tests that wait for a number ask at every change of the world.
#[derive(Default)]
pub(crate) struct Calls {
    made: Vec<CallMade>,
    counts: BTreeMap<&'static str, usize>,
}

impl Calls {
    pub(crate) fn note(&mut self, methods: &[&'static str]) {
        let at = Instant::now();
        for &method in methods {
            self.made.push(CallMade { method, at });
            *self.counts.entry(method).or_default() += 1;
        }
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.counts.get(method).copied().unwrap_or(0)
    }

    /// Oldest first.
    pub(crate) fn made(&self) -> &[CallMade] {
        &self.made
    }
}
