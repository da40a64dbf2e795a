//! A model of the server: boxes with numbered events, and the answers to the driver's calls.

use std::collections::BTreeMap;

use grammers_tl_types::{self as tl, enums::Update as U};

use super::super::*;
use super::support::*;

/// Where the positions of the account and of every channel begin.
pub(super) const START: i32 = 100;
pub(super) const CHANNELS: [i64; 3] = [1, 2, 3];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Posted,
    Edited,
    Deleted,
}

/// Something that happened; its number is also the number of its message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Happening {
    pub(super) number: i32,
    pub(super) place: BoxName,
    pub(super) what: What,
    pub(super) end: i32,
    count: i32,
    date: i32,
}

#[derive(Debug)]
pub(super) struct World {
    boxes: BTreeMap<BoxName, Vec<Happening>>,
    /// Grows with everything that happens, so that it is also the date.
    clock: i32,
    pub(super) seq: i32,
}

impl Happening {
    pub(super) fn update(&self) -> U {
        let (number, end, count) = (self.number, self.end, self.count);
        let mut update = match (self.place, self.what) {
            (BoxName::Common, What::Posted) => private(number, end),
            (BoxName::Common, What::Edited) => U::EditMessage(tl::types::UpdateEditMessage {
                message: message(None, number),
                pts: end,
                pts_count: count,
            }),
            (BoxName::Common, What::Deleted) => {
                U::DeleteMessages(tl::types::UpdateDeleteMessages {
                    messages: vec![number],
                    pts: end,
                    pts_count: count,
                })
            }
            (BoxName::Channel(id), What::Posted) => post(id, number, end),
            (BoxName::Channel(id), What::Edited) => edit(id, number, end),
            (BoxName::Channel(id), What::Deleted) => delete(id, number, end),
        };
        if let U::DeleteChannelMessages(deleted) = &mut update {
            deleted.pts_count = count;
        }
        update
    }
}

/// The number of the happening that an update tells.
pub(super) fn number_of(update: &U) -> Option<i32> {
    match update {
        U::NewMessage(u) => Some(u.message.id()),
        U::EditMessage(u) => Some(u.message.id()),
        U::DeleteMessages(u) => u.messages.first().copied(),
        U::NewChannelMessage(u) => Some(u.message.id()),
        U::EditChannelMessage(u) => Some(u.message.id()),
        U::DeleteChannelMessages(u) => u.messages.first().copied(),
        _ => None,
    }
}

impl World {
    pub(super) fn new() -> World {
        World {
            boxes: BTreeMap::new(),
            clock: START,
            seq: 0,
        }
    }

    pub(super) fn happen(&mut self, place: BoxName, what: What) -> Happening {
        self.clock += 1;
        // Some deletions take two numbers.
        let count = match (what, self.clock % 2) {
            (What::Deleted, 0) => 2,
            _ => 1,
        };
        let happening = Happening {
            number: self.clock,
            place,
            what,
            end: self.end(place) + count,
            count,
            date: self.clock,
        };
        self.boxes.entry(place).or_default().push(happening);
        happening
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Happening> {
        self.boxes.values().flatten()
    }

    /// Where a box is now.
    pub(super) fn end(&self, place: BoxName) -> i32 {
        let last = self.boxes.get(&place).and_then(|box_| box_.last());
        last.map_or(START, |happening| happening.end)
    }

    /// The answer to a call, with so many happenings at most.
    pub(super) fn answer(&self, request: &Request, max: usize) -> Answer {
        match request {
            Request::State => {
                Answer::State(state(self.end(BoxName::Common), 0, self.clock, self.seq))
            }
            Request::Difference(call) => self.difference(call, max),
            Request::ChannelDifference { channel, call } => {
                self.channel_difference(*channel, call.pts, max)
            }
            Request::ChannelState { channel } => Answer::ChannelState {
                pts: self.end(BoxName::Channel(*channel)),
            },
        }
    }

    /// The happenings of a box behind a position: some of them as messages, the others as updates, and the position
    /// behind them.
    fn since(&self, place: BoxName, pts: i32, max: usize) -> (Vec<i32>, Vec<U>, i32) {
        let missed = self.boxes.get(&place).into_iter().flatten();
        let missed = missed.filter(|happening| happening.end > pts).take(max);
        let (mut messages, mut updates, mut end) = (Vec::new(), Vec::new(), pts);
        for happening in missed {
            end = happening.end;
            match happening.what {
                What::Posted => messages.push(happening.number),
                What::Edited | What::Deleted => updates.push(happening.update()),
            }
        }
        (messages, updates, end)
    }

    fn difference(&self, call: &tl::functions::updates::GetDifference, max: usize) -> Answer {
        let (messages, mut updates, end) = self.since(BoxName::Common, call.pts, max);
        for channel in CHANNELS {
            let place = BoxName::Channel(channel);
            let changed = self.boxes.get(&place).into_iter().flatten();
            if changed.clone().any(|happening| happening.date > call.date) {
                let pts = (channel != 1).then(|| self.end(place));
                updates.push(too_long(channel, pts));
            }
        }
        let whole = tl::types::updates::Difference {
            new_messages: messages.iter().map(|id| message(None, *id)).collect(),
            new_encrypted_messages: vec![],
            other_updates: updates,
            chats: vec![],
            users: vec![],
            state: state(end, 0, self.clock, self.seq),
        };
        if end == self.end(BoxName::Common) {
            return Answer::Difference(whole.into());
        }
        let slice = tl::types::updates::DifferenceSlice {
            new_messages: whole.new_messages,
            new_encrypted_messages: vec![],
            other_updates: whole.other_updates,
            chats: vec![],
            users: vec![],
            intermediate_state: whole.state,
        };
        Answer::Difference(slice.into())
    }

    fn channel_difference(&self, channel: i64, pts: i32, max: usize) -> Answer {
        let place = BoxName::Channel(channel);
        let (messages, updates, end) = self.since(place, pts, max);
        let part = tl::types::updates::ChannelDifference {
            r#final: end == self.end(place),
            pts: end,
            timeout: None,
            new_messages: messages
                .iter()
                .map(|id| message(Some(channel), *id))
                .collect(),
            other_updates: updates,
            chats: vec![],
            users: vec![],
        };
        Answer::ChannelDifference(part.into())
    }
}
