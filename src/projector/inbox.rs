//! What came from the queue, put in order. Pure: no clock, no connection.
//!
//! The inbox answers three questions of the feed that owns it:
//!
//! - what can be handed out: the records behind the last one handed out, none missing ([`Inbox::take`]);
//! - what has to be read from the log: a range that did not come although it must have ([`Inbox::need`]);
//! - what can be acknowledged: everything whose records the projection has committed ([`Inbox::applied`]).
//!
//! A projection that is far behind the log ([`Inbox::behind`]) is filled from the log alone, and the broker's copies of
//! what it gets that way are dropped: reading the log is faster, and costs the broker nothing.
//!
//! A queue keeps order, so a hole means that the broker lost something: a frame that begins behind the next number,
//! or a frame or marker that says the broker had confirmed more than came. A short grace is given all the same,
//! because a relay that lost its connection publishes again what it had published before.
//!
//! Numbers that the log itself has no record of (recorded holes) are learnt when the log is asked, and count as there.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use wal::{Identity, Record};

use crate::broker::frame::FrameHeader;

/// A numbered thing of some size.
pub trait Item {
    /// Its number.
    fn seq(&self) -> u64;
    /// Bytes it holds in memory.
    fn size(&self) -> usize;
}

impl Item for Record {
    fn seq(&self) -> u64 {
        self.header().seq.get()
    }

    fn size(&self) -> usize {
        self.as_bytes().len()
    }
}

/// Limits of an inbox.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of records that are kept while they wait for a hole in front of them; the rest is read from the log.
    pub bytes_max: usize,
    /// Bytes after which a batch is full.
    pub batch_bytes_max: usize,
    /// How long a hole may stay before it is read from the log.
    pub grace: Duration,
    /// A projection that is further behind the log than this many numbers reads it.
    pub behind_max: u64,
}

/// What a delivery was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Ours; it will be acknowledged.
    Accepted,
    /// It was sent from another log, or from another epoch of this one: not ours to apply.
    Foreign(Identity),
}

/// What the log has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// Nothing before this moment.
    Until(Instant),
    /// This range, both ends included.
    Read(u64, u64),
}

/// What the broker lost, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Ranges that never came.
    pub ranges: u64,
    /// Events in them.
    pub events: u64,
}

/// The inbox.
#[derive(Debug)]
pub struct Inbox<T> {
    identity: Identity,
    limits: Limits,
    /// The last number handed out; the next one is waited for.
    handed: u64,
    /// Records behind `handed`, by number.
    waiting: BTreeMap<u64, T>,
    /// Ranges behind `handed` that have no record, first to last.
    absent: BTreeMap<u64, u64>,
    bytes: usize,
    /// Unacknowledged deliveries in the order of their tags, each with the last number it carried.
    deliveries: VecDeque<(u64, u64)>,
    /// Everything up to here exists: it was delivered, or confirmed, or is in the log.
    horizon: u64,
    /// Up to here a hole is not the broker's fault, or was counted already.
    excused: u64,
    /// Up to here the log gives everything.
    catch_up: u64,
    /// The number that is missing, and since when.
    hole: Option<(u64, Instant)>,
    losses: Losses,
    lost_upto: Option<u64>,
}

impl<T: Item> Inbox<T> {
    /// An inbox of a projection that has committed everything up to `after`.
    pub fn new(identity: Identity, after: u64, limits: Limits) -> Inbox<T> {
        Inbox {
            identity,
            limits,
            handed: after,
            waiting: BTreeMap::new(),
            absent: BTreeMap::new(),
            bytes: 0,
            deliveries: VecDeque::new(),
            horizon: after,
            excused: after,
            catch_up: after,
            hole: None,
            losses: Losses::default(),
            lost_upto: None,
        }
    }

    /// The last number handed out.
    pub fn handed(&self) -> u64 {
        self.handed
    }

    /// What the broker lost so far.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// The projection is at `after`: where it should be (nothing changes), or somewhere else after trouble.
    pub fn seek(&mut self, after: u64) {
        if after < self.handed {
            // What was handed out and not applied is gone from here, not from the log. What waits behind it goes too,
            // or failing batches would pile it up.
            let last = self.waiting.keys().next_back().copied();
            self.excused = self.excused.max(self.handed).max(last.unwrap_or(0));
            self.waiting.clear();
            self.bytes = 0;
        }
        if after != self.handed {
            self.handed = after;
            self.horizon = self.horizon.max(after);
            self.drop_before();
            self.hole = None;
        }
    }

    /// A delivery came.
    pub fn deliver(&mut self, tag: u64, header: &FrameHeader, records: Vec<T>) -> Verdict {
        let last = records.iter().map(Item::seq).max().unwrap_or(0);
        let verdict = self.deliver_copy(tag, header, last);
        if verdict == Verdict::Accepted {
            for record in records {
                self.keep(record);
            }
        }
        verdict
    }

    /// A delivery came whose records, up to `last`, are not wanted: none is behind [`known`](Self::known).
    pub fn deliver_copy(&mut self, tag: u64, header: &FrameHeader, last: u64) -> Verdict {
        if header.identity != self.identity {
            if header.identity.log_id == self.identity.log_id {
                // Of an epoch that is over. What of it is in this log too the log gives, and the broker lost nothing.
                self.excused = self.excused.max(last).max(header.confirmed);
            }
            return Verdict::Foreign(header.identity);
        }
        self.deliveries.push_back((tag, last));
        self.horizon = self.horizon.max(last).max(header.confirmed);
        Verdict::Accepted
    }

    /// The log holds everything up to `tail`, and it is not certain that the queue does: the topology was missing,
    /// or nothing has come for too long. `excused`: nobody may call it a loss.
    pub fn suspect(&mut self, tail: u64, excused: bool) {
        self.horizon = self.horizon.max(tail);
        if excused {
            self.excused = self.excused.max(tail);
        }
    }

    /// The log holds everything up to `tail`: whoever is far behind reads it there, up to what is its tail now. What
    /// comes meanwhile is waited for as usual.
    pub fn behind(&mut self, tail: u64) {
        if tail.saturating_sub(self.handed) > self.limits.behind_max {
            self.suspect(tail, true);
            self.catch_up = self.catch_up.max(tail);
        }
    }

    /// Whether the log is read because the projection is far behind it.
    pub fn is_catching_up(&self) -> bool {
        self.next() <= self.catch_up
    }

    /// No record up to here is wanted from the queue.
    pub fn known(&self) -> u64 {
        self.handed.max(self.catch_up)
    }

    /// The connection is gone: its tags are void, and what is unacknowledged will be delivered again.
    pub fn disconnected(&mut self) {
        self.deliveries.clear();
    }

    /// Hands out what is next: at most so many, and no more of them once their bytes are enough for a batch.
    pub fn take(&mut self, events_max: usize) -> Vec<T> {
        let (mut out, mut bytes) = (Vec::new(), 0);
        while out.len() < events_max
            && bytes < self.limits.batch_bytes_max
            && let Some(record) = self.waiting.remove(&self.next())
        {
            bytes += record.size();
            self.bytes -= record.size();
            self.handed = record.seq();
            out.push(record);
        }
        let handed = self.handed;
        self.absent.retain(|_, last| *last > handed);
        out
    }

    /// What has to be read from the log now.
    pub fn need(&mut self, now: Instant) -> Need {
        let next = self.next();
        if next > self.horizon || self.waiting.contains_key(&next) {
            self.hole = None;
            return Need::Nothing;
        }
        let since = match self.hole {
            Some((seq, since)) if seq == next => since,
            _ => {
                self.hole = Some((next, now));
                now
            }
        };
        // What was excused was never expected from the queue.
        if next > self.excused && now < since + self.limits.grace {
            return Need::Until(since + self.limits.grace);
        }
        let first = self.waiting.keys().next();
        Need::Read(next, first.map_or(self.horizon, |first| first - 1))
    }

    /// What the log has from `from` up to `upto`, which was needed: numbers without a record have none for ever.
    /// Counts what of it the broker lost, once.
    pub fn filled(&mut self, from: u64, upto: u64, records: Vec<T>) {
        let mut next = from;
        for seq in records.iter().map(Item::seq).chain([upto + 1]) {
            if next < seq && seq > self.handed {
                self.absent.insert(next, seq - 1);
            }
            next = next.max(seq + 1);
        }
        for record in records {
            if record.seq() > self.excused {
                // A long range is read in pieces; they touch.
                self.losses.ranges += u64::from(Some(record.seq() - 1) != self.lost_upto);
                self.losses.events += 1;
                self.lost_upto = Some(record.seq());
                self.excused = record.seq();
            }
            if record.seq() > self.handed && !self.waiting.contains_key(&record.seq()) {
                self.bytes += record.size();
                self.waiting.insert(record.seq(), record);
            }
        }
    }

    /// The projection has committed everything up to here; returns the tag up to which all deliveries can be
    /// acknowledged.
    pub fn applied(&mut self, upto: u64) -> Option<u64> {
        let mut tag = None;
        while let Some((done, _)) = self.deliveries.pop_front_if(|(_, last)| *last <= upto) {
            tag = Some(done);
        }
        tag
    }

    /// Deliveries that are not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.deliveries.len()
    }

    fn keep(&mut self, record: T) {
        let (seq, size) = (record.seq(), record.size());
        if seq <= self.known() || self.waiting.contains_key(&seq) {
            return;
        }
        // The next one is always kept, so a record larger than the limit cannot stop the feed.
        if seq != self.next() && self.bytes + size > self.limits.bytes_max {
            self.excused = self.excused.max(seq);
            return;
        }
        self.bytes += size;
        self.waiting.insert(seq, record);
    }

    /// The number that is waited for.
    fn next(&self) -> u64 {
        let mut next = self.handed + 1;
        while let Some((_, last)) = self.absent.range(..=next).next_back()
            && *last >= next
        {
            next = last + 1;
        }
        next
    }

    fn drop_before(&mut self) {
        let handed = self.handed;
        self.absent.retain(|_, last| *last > handed);
        let rest = self.waiting.split_off(&(self.handed + 1));
        for gone in std::mem::replace(&mut self.waiting, rest).into_values() {
            self.bytes -= gone.size();
        }
    }
}

#[cfg(test)]
mod tests;
