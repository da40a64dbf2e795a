//! The update driver: decides which updates count, in which order, what to ask Telegram for, and what is missing.
//!
//! It does no I/O and reads no clock: pushed updates, answers and the time go in; pages and requests come out. One
//! page is one append to the log, with the positions behind it (I2), so whatever page was the last durable one, a
//! driver loaded from those positions goes on without a hole.
//!
//! The library has a state machine for this, which is not used: it drops edits and deletions of a final channel
//! difference, overwrites a known position with the one of `updateChannelTooLong`, asks one channel at a time and
//! lets a failing one stop all others, sweeps every saved channel at start, reads the clock itself, and panics on
//! input that a server can send.
//!
//! | file | what |
//! |---|---|
//! | `page` | [`Page`]: what is appended together |
//! | `position` | [`Position`], and its bytes in the log's bookmarks |
//! | `request` | [`Request`] and [`Answer`] |
//! | `failure` | [`Failure`]: what a refused or lost call means |
//! | `intake` | pushed updates, brought to one form |
//! | `sequence` | which stretch of which sequence an update covers |
//! | `track` | one sequence: how far it is read, and what came too early |
//! | `pace` | when a box may be asked, and for how much |
//! | `account`, `channel` | the two kinds of boxes |
//! | `route` | pushed updates find their box |
//! | `difference`, `channel_difference` | answers |
//! | `trouble` | calls without an answer |

mod account;
mod channel;
mod channel_difference;
mod difference;
mod failure;
mod intake;
mod pace;
mod page;
mod position;
mod request;
mod route;
mod sequence;
#[cfg(test)]
mod tests;
mod track;
mod trouble;

pub use failure::Failure;
pub use page::{Page, Seen, Undecodable};
pub use position::{BoxName, Common, Position, PositionError};
pub use request::{Answer, Request};

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use grammers_session::updates::UpdatesLike;

use crate::event::{Gap, GapCause, Origin};
use account::Account;
use channel::Channel;
use intake::Intake;
use page::Draft;

/// Calls about channels that are on their way at a time.
const CHANNELS_AWAY_MAX: usize = 4;

/// Telegram's documentation: so many channels may be short-polled.
const HOT_MAX: usize = 10;

/// The driver of one account.
#[derive(Debug)]
pub struct Driver {
    account: Account,
    channels: HashMap<i64, Channel>,
    /// The channels to ask about, by time.
    agenda: BTreeSet<(Instant, i64)>,
    /// Calls about channels on their way.
    away: usize,
    /// Those of them that only poll.
    polls: usize,
    has_ended: bool,
    random: fastrand::Rng,
}

impl Driver {
    /// A driver that goes on from these positions; without one of [`BoxName::Common`] it asks for the account's state
    /// first. Channels are asked about only where there is a reason. `seed` spreads the waits.
    pub fn load(positions: impl IntoIterator<Item = Position>, seed: u64, now: Instant) -> Driver {
        let mut common = None;
        let mut channels = HashMap::new();
        for position in positions {
            match position {
                Position::Common(known) => common = Some(known),
                Position::Channel { id, pts, behind } => {
                    let mut channel = Channel::new(id, Some(pts));
                    channel.told = Some(position);
                    channel.asked = behind.then_some(now);
                    channels.insert(id, channel);
                }
            }
        }
        let mut driver = Driver {
            account: Account::new(common, now),
            channels,
            agenda: BTreeSet::new(),
            away: 0,
            polls: 0,
            has_ended: false,
            random: fastrand::Rng::with_seed(seed),
        };
        let ids: Vec<i64> = driver.channels.keys().copied().collect();
        ids.into_iter().for_each(|id| driver.list(id));
        driver
    }

    /// Takes what Telegram pushed. A new connection or a new session is told by [`UpdatesLike::ConnectionClosed`].
    pub fn push(&mut self, updates: UpdatesLike, now: Instant) -> Vec<Page> {
        let mut draft = Draft::new(Origin::Live);
        match intake::read(updates) {
            Intake::Packet(packet) => self.packet(packet, now, &mut draft),
            Intake::Missing => self.account.ask(now),
            Intake::Unreadable => {
                self.account.ask(now);
                draft.page.undecodable.push(Undecodable {
                    place: BoxName::Common,
                    method: None,
                    pts: None,
                    raw: Vec::new(),
                });
            }
        }
        self.finish(draft)
    }

    /// The next call to make, if one may be made now. Call it until it says none.
    pub fn next_request(&mut self, now: Instant) -> Option<Request> {
        if self.has_ended {
            return None;
        }
        if self.account.due().is_some_and(|due| due <= now) {
            return Some(self.account.depart(now));
        }
        if self.away >= CHANNELS_AWAY_MAX {
            return None;
        }
        let (_, id) = *self.agenda.first().filter(|(due, _)| *due <= now)?;
        let channel = self.channels.get_mut(&id)?;
        let request = channel.depart(now);
        self.away += 1;
        self.polls += usize::from(!channel.pace.is_away_for_news());
        self.list(id);
        Some(request)
    }

    /// When to call [`Driver::next_request`] again, even if nothing comes in before; none: only when something does.
    pub fn deadline(&self) -> Option<Instant> {
        if self.has_ended {
            return None;
        }
        let channel = match self.away < CHANNELS_AWAY_MAX {
            true => self.agenda.first().map(|(due, _)| *due),
            false => None,
        };
        [self.account.due(), channel].into_iter().flatten().min()
    }

    /// Whether something that was missed is being asked. Polls do not count: with many of them, one is always on its way.
    pub fn is_asking(&self) -> bool {
        self.account.pace.is_away_for_news() || self.away > self.polls
    }

    /// Takes the answer to a request.
    pub fn answer(&mut self, request: &Request, answer: Answer, now: Instant) -> Vec<Page> {
        let Some(is_poll) = self.arrive(request) else {
            return Vec::new();
        };
        let mut draft = Draft::new(match is_poll {
            true => Origin::Poll,
            false => Origin::Difference,
        });
        if request.channel().is_none() && self.account.pace.failures() > 0 {
            self.recover();
        }
        match (request, answer) {
            (Request::State, Answer::State(state)) => self.state(state, now, &mut draft),
            (Request::Difference(call), Answer::Difference(difference)) => {
                self.difference(call, difference, now, &mut draft);
            }
            (
                Request::ChannelDifference { channel, call },
                Answer::ChannelDifference(difference),
            ) => self.channel_difference(*channel, call.pts, difference, now, &mut draft),
            (Request::ChannelState { channel }, Answer::ChannelState { pts }) => {
                self.channel_state(*channel, pts, now, &mut draft);
            }
            // An answer to something else is none.
            _ => self.trouble(request, is_poll, Failure::Temporary, now, &mut draft),
        }
        self.finish(draft)
    }

    /// Takes the news that a request got no answer, or could not be sent. It comes again in its time; nothing else
    /// waits for it.
    pub fn failed(&mut self, request: &Request, failure: Failure, now: Instant) -> Vec<Page> {
        let Some(is_poll) = self.arrive(request) else {
            return Vec::new();
        };
        let mut draft = Draft::new(Origin::Live);
        self.trouble(request, is_poll, failure, now, &mut draft);
        self.finish(draft)
    }

    /// Asks for a channel's difference once, as for a check; for its position, when none is known.
    pub fn ask(&mut self, channel: i64, now: Instant) {
        self.channel(channel).ask(now);
        self.list(channel);
    }

    /// Takes a position that a list of dialogs told. A position that is known already stays.
    pub fn learn(&mut self, channel: i64, pts: i32) -> Vec<Page> {
        let mut draft = Draft::new(Origin::Live);
        self.first_position(channel, pts, &mut draft);
        self.finish(draft)
    }

    /// The channels to short-poll from now on; the first ten are.
    pub fn set_hot(&mut self, channels: &[i64], now: Instant) {
        let hot: BTreeSet<i64> = channels.iter().copied().take(HOT_MAX).collect();
        for id in &hot {
            self.channel(*id);
        }
        let ids: Vec<i64> = self.channels.keys().copied().collect();
        for id in ids {
            let channel = self.channel(id);
            channel.poll = match hot.contains(&id) {
                true => Some(channel.poll.unwrap_or(now)),
                false => None,
            };
            self.list(id);
        }
    }

    fn channel(&mut self, id: i64) -> &mut Channel {
        self.channels
            .entry(id)
            .or_insert_with(|| Channel::new(id, None))
    }

    /// Notes that a call is over; none when it was not on its way. True for a poll.
    fn arrive(&mut self, request: &Request) -> Option<bool> {
        let Some(id) = request.channel() else {
            return self.account.pace.arrive();
        };
        let is_poll = self.channels.get_mut(&id)?.pace.arrive()?;
        self.away = self.away.saturating_sub(1);
        self.polls = self.polls.saturating_sub(usize::from(is_poll));
        self.list(id);
        Some(is_poll)
    }

    /// Puts a channel where it belongs in the agenda.
    fn list(&mut self, id: i64) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let due = channel.due();
        if due == channel.listed {
            return;
        }
        if let Some(before) = channel.listed {
            self.agenda.remove(&(before, id));
        }
        channel.listed = due;
        self.agenda.extend(due.map(|due| (due, id)));
    }

    /// Gives a channel without a position its first one.
    fn first_position(&mut self, id: i64, pts: i32, draft: &mut Draft) {
        let channel = self.channel(id);
        if pts > 0 && channel.track.at().is_none() {
            channel.track.jump(pts);
            draft.page.first.push(id);
            draft.touched.insert(BoxName::Channel(id));
        }
    }

    /// Closes a page: positions of what moved, and the agenda.
    fn finish(&mut self, mut draft: Draft) -> Vec<Page> {
        for name in std::mem::take(&mut draft.touched) {
            let (told, position) = match name {
                BoxName::Common => {
                    let position = self.account.position();
                    (&mut self.account.told, position)
                }
                BoxName::Channel(id) => {
                    self.list(id);
                    let channel = self.channel(id);
                    let position = channel.position();
                    (&mut channel.told, position)
                }
            };
            if position.is_some() && position != *told {
                *told = position;
                draft.page.positions.extend(position);
            }
        }
        draft.finish()
    }
}

/// A range between two positions.
fn gap(cause: GapCause, after: i32, until: Option<i32>) -> Gap {
    Gap {
        cause,
        after_pts: Some(i64::from(after)),
        until_pts: until.map(i64::from),
        after_message_id: None,
        until_message_id: None,
    }
}
