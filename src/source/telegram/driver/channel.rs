//! One channel: its sequence, and what is to be asked about it.

use std::time::{Duration, Instant};

use grammers_tl_types as tl;

use super::pace::{Pace, after};
use super::position::Position;
use super::request::Request;
use super::track::Track;
use crate::event::GapCause;

/// How often a hot channel is polled where Telegram does not say.
const POLL_DEFAULT: Duration = Duration::from_secs(1);

/// The longest pause between polls that is believed.
const POLL_MAX: Duration = Duration::from_secs(3600);

/// The longest wait after a failure.
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// The driver's knowledge of one channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: i64,
    pub(super) track: Track,
    pub(super) pace: Pace,
    /// There is news to fetch, since then.
    pub(super) asked: Option<Instant>,
    /// Short-polled, the next time then.
    pub(super) poll: Option<Instant>,
    /// The position is to be taken from the server; what it leaves out has this cause.
    pub(super) lost_place: Option<GapCause>,
    /// The account could not read it the last time.
    pub(super) no_access: bool,
    /// Its access hash was missing or wrong the last time.
    pub(super) unknown: bool,
    /// The position as the last page told it.
    pub(super) told: Option<Position>,
    /// Where it stands in the agenda.
    pub(super) listed: Option<Instant>,
}

impl Channel {
    pub(super) fn new(id: i64, pts: Option<i32>) -> Channel {
        Channel {
            id,
            track: Track::new(pts),
            pace: Pace::new(BACKOFF_MAX),
            asked: None,
            poll: None,
            lost_place: None,
            no_access: false,
            unknown: false,
            told: None,
            listed: None,
        }
    }

    /// When it is to be asked about.
    pub(super) fn due(&self) -> Option<Instant> {
        let wanted = match self.no_access {
            true => None,
            false => [self.asked, self.poll, self.track.gap_until()]
                .into_iter()
                .flatten()
                .min(),
        };
        self.pace.due(wanted)
    }

    /// There is news, or an operator wants to know.
    pub(super) fn ask(&mut self, now: Instant) {
        self.no_access = false;
        self.asked.get_or_insert(now);
    }

    /// The call that is due.
    pub(super) fn depart(&mut self, now: Instant) -> Request {
        let is_poll = self.asked.is_none() && !self.track.has_gap();
        self.pace.depart(is_poll, now);
        self.asked = None;
        self.track.stop_waiting();
        let channel = self.id;
        let (Some(pts), None) = (self.track.at(), self.lost_place) else {
            return Request::ChannelState { channel };
        };
        let input = tl::types::InputChannel {
            channel_id: channel,
            access_hash: 0,
        };
        let call = tl::functions::updates::GetChannelDifference {
            force: false,
            channel: input.into(),
            filter: tl::enums::ChannelMessagesFilter::Empty,
            pts,
            limit: self.pace.limit(),
        };
        Request::ChannelDifference { channel, call }
    }

    /// Plans the next poll, as the server wishes.
    pub(super) fn plan_poll(&mut self, timeout: Option<i32>, now: Instant) {
        let wish = timeout.and_then(|seconds| u64::try_from(seconds).ok());
        let pause = wish.map_or(POLL_DEFAULT, Duration::from_secs);
        if self.poll.is_some() {
            self.poll = Some(after(now, pause.clamp(POLL_DEFAULT, POLL_MAX)));
        }
    }

    /// The position to tell, once there is one.
    pub(super) fn position(&self) -> Option<Position> {
        let behind = self.asked.is_some()
            || self.pace.is_away_for_news()
            || self.track.has_gap()
            || self.no_access
            || self.lost_place.is_some();
        self.track.at().map(|pts| Position::Channel {
            id: self.id,
            pts,
            behind,
        })
    }
}
