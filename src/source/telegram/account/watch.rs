//! What an account is to do about the past, in figures.

use std::time::Duration;

/// How far back, how often, and which channels are in a hurry.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Messages that are fetched of a channel that is seen for the first time; 0 for none.
    pub first_sight: u32,
    /// How often the log is compared with what Telegram has.
    pub reconcile_interval: Duration,
    /// The newest messages of a channel that are looked through for deletions that nobody told; 0 for none. Telegram
    /// gives 100 at most.
    pub reconcile_depth: u32,
    /// The channels to short-poll: names, or ids in the marked form (-100...). The first ten are.
    pub hot: Vec<String>,
    /// The public names that are followed, without `@`. One that no channel is known by is asked for once.
    pub names: Vec<String>,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            first_sight: 1000,
            reconcile_interval: Duration::from_secs(15 * 60),
            reconcile_depth: 100,
            hot: Vec::new(),
            names: Vec::new(),
        }
    }
}
