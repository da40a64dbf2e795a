//! The account's own box: pts, qts, date and seq, and what is to be asked about them.

use std::time::{Duration, Instant};

use grammers_tl_types as tl;

use super::pace::{Pace, after};
use super::position::{Common, Position};
use super::request::Request;
use super::track::Track;

/// The account is asked at least so often. What a lost push told of a channel that is quiet since comes out here.
const CHECK_EVERY: Duration = Duration::from_secs(15 * 60);

/// The longest wait after a failure. The call is also what makes a new connection, so it must not be long.
const BACKOFF_MAX: Duration = Duration::from_secs(15);

/// The driver's knowledge of the account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) pts: Track,
    pub(super) qts: Track,
    /// The date of the last difference. What is pushed does not move it: Telegram tells by it which channels changed,
    /// and a push of one channel says nothing of the others.
    pub(super) date: i32,
    seq: i32,
    pub(super) pace: Pace,
    /// There is news to fetch, since then.
    pub(super) asked: Option<Instant>,
    check: Instant,
    /// The server refused our position, and says its own.
    pub(super) lost_place: bool,
    /// The position as the last page told it.
    pub(super) told: Option<Position>,
}

/// What the number of a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is the next one, or has no number.
    Next,
    /// It came before.
    Repeated,
    /// Others are missing before it.
    Ahead,
}

impl Account {
    pub(super) fn new(known: Option<Common>, now: Instant) -> Account {
        Account {
            pts: Track::new(known.map(|common| common.pts)),
            qts: Track::new(known.map(|common| common.qts)),
            date: known.map_or(0, |common| common.date),
            seq: known.map_or(0, |common| common.seq),
            pace: Pace::new(BACKOFF_MAX),
            asked: Some(now),
            check: now,
            lost_place: false,
            told: known.map(Position::Common),
        }
    }

    /// When it is to be asked about.
    pub(super) fn due(&self) -> Option<Instant> {
        let gaps = [self.asked, self.pts.gap_until(), self.qts.gap_until()];
        let wanted = gaps.into_iter().flatten().fold(self.check, Instant::min);
        self.pace.due(Some(wanted))
    }

    pub(super) fn ask(&mut self, now: Instant) {
        self.asked.get_or_insert(now);
    }

    /// The call that is due.
    pub(super) fn depart(&mut self, now: Instant) -> Request {
        self.pace.depart(false, now);
        self.asked = None;
        self.check = after(now, CHECK_EVERY);
        self.pts.stop_waiting();
        self.qts.stop_waiting();
        let (Some(pts), false) = (self.pts.at(), self.lost_place) else {
            return Request::State;
        };
        let limit = self.pace.is_cautious().then(|| self.pace.limit());
        Request::Difference(tl::functions::updates::GetDifference {
            pts,
            pts_limit: limit,
            pts_total_limit: None,
            // 0 would be refused.
            date: self.date.max(1),
            qts: self.qts.at().unwrap_or(0),
            qts_limit: limit,
        })
    }

    /// Takes the number of a packet (none: 0).
    pub(super) fn turn(&mut self, seq_start: i32, seq: i32) -> Turn {
        if seq_start <= 0 || self.pts.at().is_none() {
            return Turn::Next;
        }
        if self.seq > 0 && seq_start > self.seq.saturating_add(1) {
            return Turn::Ahead;
        }
        if seq_start <= self.seq {
            return Turn::Repeated;
        }
        self.seq = seq.max(seq_start);
        Turn::Next
    }

    /// Takes date and seq of a difference.
    pub(super) fn stamp(&mut self, date: i32, seq: i32) {
        self.date = date;
        self.seq = seq.max(0);
    }

    /// Whether updates have to wait for the account's first position.
    pub(super) fn is_unknown(&self) -> bool {
        self.pts.at().is_none()
    }

    /// The position to tell, once there is one.
    pub(super) fn position(&self) -> Option<Position> {
        self.pts.at().map(|pts| {
            Position::Common(Common {
                pts: pts.max(1),
                qts: self.qts.at().unwrap_or(0),
                date: self.date,
                seq: self.seq,
            })
        })
    }
}
