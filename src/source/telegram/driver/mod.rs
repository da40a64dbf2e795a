//! The update driver: decides which updates count, in which order, what to ask Telegram for, and what is missing.
//!
//! It does no I/O and reads no clock: pushed updates, answers and the time go in; pages and requests come out. One
//! page is one append to the log, with the positions behind it (I2), so whatever page was the last durable one, a
//! driver loaded from those positions goes on without a hole.
//!
//! | file | what |
//! |---|---|
//! | `page` | [`Page`]: what is appended together |
//! | `position` | [`Position`], and its bytes in the log's bookmarks |
//! | `request` | [`Request`] and [`Answer`] |
//! | `failure` | [`Failure`]: what a refused or lost call means |

mod failure;
mod page;
mod position;
mod request;

pub use failure::Failure;
pub use page::{Page, Seen, Undecodable};
pub use position::{BoxName, Common, Position, PositionError};
pub use request::{Answer, Request};

use std::time::Instant;

use grammers_session::updates::UpdatesLike;

/// The driver of one account.
#[derive(Debug)]
pub struct Driver {}

impl Driver {
    /// A driver that goes on from these positions; without one of [`BoxName::Common`] it asks for the account's state
    /// first. `seed` spreads its waits.
    pub fn load(positions: impl IntoIterator<Item = Position>, seed: u64, now: Instant) -> Driver {
        let _ = (positions.into_iter().count(), seed, now);
        Driver {}
    }

    /// Takes what Telegram pushed. A new session or a new connection is told by [`UpdatesLike::ConnectionClosed`].
    pub fn push(&mut self, updates: UpdatesLike, now: Instant) -> Vec<Page> {
        let _ = (updates, now);
        Vec::new()
    }

    /// The next call to make, if one may be made now. Call it until it says none.
    pub fn next_request(&mut self, now: Instant) -> Option<Request> {
        let _ = now;
        None
    }

    /// Takes the answer to a request.
    pub fn answer(&mut self, request: &Request, answer: Answer, now: Instant) -> Vec<Page> {
        let _ = (request, answer, now);
        Vec::new()
    }

    /// Takes the news that a request got no answer, or could not be sent. It comes again in its time; nothing else
    /// waits for it.
    pub fn failed(&mut self, request: &Request, failure: Failure, now: Instant) -> Vec<Page> {
        let _ = (request, failure, now);
        Vec::new()
    }

    /// When to call [`Driver::next_request`] again, even if nothing comes in before; none: only when something does.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Asks for a channel's difference once, as for a check; for its position, when none is known.
    pub fn ask(&mut self, channel: i64, now: Instant) {
        let _ = (channel, now);
    }

    /// Takes a position that a list of dialogs told. A position that is known already stays.
    pub fn learn(&mut self, channel: i64, pts: i32) -> Vec<Page> {
        let _ = (channel, pts);
        Vec::new()
    }

    /// The channels to short-poll from now on; the first ten are.
    pub fn set_hot(&mut self, channels: &[i64], now: Instant) {
        let _ = (channels, now);
    }
}
