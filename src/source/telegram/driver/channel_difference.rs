//! Answers about a channel.

use std::time::Instant;

use grammers_tl_types as tl;

use super::page::Draft;
use super::position::BoxName;
use super::sequence::{self, Place, Sequence};
use super::{Driver, gap};
use crate::event::{Gap, GapCause};

/// One answer, whatever its form.
struct Part {
    is_final: bool,
    pts: Option<i32>,
    timeout: Option<i32>,
    messages: Vec<tl::enums::Message>,
    updates: Vec<tl::enums::Update>,
    chats: Vec<tl::enums::Chat>,
    users: Vec<tl::enums::User>,
    leaves_out: bool,
}

impl Driver {
    /// What a channel missed since `from`.
    pub(super) fn channel_difference(
        &mut self,
        id: i64,
        from: i32,
        difference: tl::enums::updates::ChannelDifference,
        now: Instant,
        draft: &mut Draft,
    ) {
        let part = Part::from(difference);
        let first_message = part.messages.iter().map(|m| i64::from(m.id())).min();
        let (is_final, pts, leaves_out) = (part.is_final, part.pts, part.leaves_out);
        let timeout = part.timeout;
        self.channel_content(id, part, now, draft);
        draft.touched.insert(BoxName::Channel(id));
        let chance = self.random.f64();
        let channel = self.channel(id);
        channel.no_access = false;
        channel.unknown = false;
        channel.plan_poll(timeout, now);
        let Some(pts) = pts.filter(|pts| *pts > 0) else {
            // No position at all: the channel itself must say.
            channel.lost_place = Some(match leaves_out {
                true => GapCause::TooLong,
                false => GapCause::InvalidPosition,
            });
            channel.ask(now);
            channel.pace.fail(chance, now);
            return;
        };
        let cause = match (leaves_out, pts < from) {
            (_, true) => Some(GapCause::InvalidPosition),
            (true, false) if pts > from => Some(GapCause::TooLong),
            _ => None,
        };
        match cause {
            None => channel.track.set(pts),
            Some(cause) => {
                let missing = Gap {
                    until_message_id: first_message,
                    ..gap(cause, from, Some(pts))
                };
                draft.page.gaps.push((BoxName::Channel(id), missing));
                channel.track.jump(pts);
            }
        }
        if is_final {
            self.channel_is_read(id, now, draft);
            return;
        }
        channel.ask(now);
        // As in the account's difference: only what leads on is followed without a pause.
        match pts > from {
            true => channel.pace.good(),
            false => channel.pace.fail(chance, now),
        }
    }

    /// Takes what an answer holds, whatever position is behind it.
    fn channel_content(&mut self, id: i64, part: Part, now: Instant, draft: &mut Draft) {
        self.meet(part.users, part.chats, now, draft);
        for message in part.messages {
            let new = tl::types::UpdateNewChannelMessage {
                message,
                pts: 0,
                pts_count: 0,
            };
            draft.see(new.into(), None);
        }
        for update in part.updates {
            match sequence::place(&update) {
                // Part of the answer, and covered by its position: they count whatever their numbers say.
                Place::At(Sequence::Channel(of), span) if of == id => {
                    draft.see(update, Some(span.end));
                }
                Place::Nonsense(Sequence::Channel(of)) if of == id => draft.see(update, None),
                _ => self.take(update, now, draft),
            }
        }
    }

    /// Where a channel is: its first position, or the one in place of what the server refused.
    pub(super) fn channel_state(&mut self, id: i64, pts: i32, now: Instant, draft: &mut Draft) {
        draft.touched.insert(BoxName::Channel(id));
        let chance = self.random.f64();
        let channel = self.channel(id);
        if pts <= 0 {
            channel.ask(now);
            channel.pace.fail(chance, now);
            return;
        }
        channel.no_access = false;
        channel.unknown = false;
        channel.plan_poll(None, now);
        match (channel.track.at(), channel.lost_place.take()) {
            (None, _) => self.first_position(id, pts, draft),
            // Something else gave it a position meanwhile.
            (Some(_), None) => channel.ask(now),
            (Some(before), Some(cause)) => {
                if before != pts {
                    let missing = Gap {
                        ..gap(cause, before, Some(pts))
                    };
                    draft.page.gaps.push((BoxName::Channel(id), missing));
                }
                channel.track.jump(pts);
            }
        }
        self.channel_is_read(id, now, draft);
    }

    /// Everything is fetched: what was pushed meanwhile finds its place.
    fn channel_is_read(&mut self, id: i64, now: Instant, draft: &mut Draft) {
        let chance = self.random.f64();
        let channel = self.channel(id);
        let seen = &mut draft.page.updates;
        channel.track.settle(now, seen);
        if !channel.track.has_gap() {
            channel.pace.good();
            return;
        }
        // The answer is older than a push, or the server does not know what it pushed.
        channel.pace.fail(chance, now);
        if channel.pace.failures() > 1 {
            channel.track.release(seen);
            channel.ask(now);
        }
    }
}

impl From<tl::enums::updates::ChannelDifference> for Part {
    fn from(difference: tl::enums::updates::ChannelDifference) -> Part {
        use tl::enums::updates::ChannelDifference as D;
        match difference {
            D::Empty(empty) => Part {
                is_final: empty.r#final,
                pts: Some(empty.pts),
                timeout: empty.timeout,
                messages: Vec::new(),
                updates: Vec::new(),
                chats: Vec::new(),
                users: Vec::new(),
                leaves_out: false,
            },
            D::TooLong(news) => Part {
                is_final: news.r#final,
                pts: match news.dialog {
                    tl::enums::Dialog::Dialog(dialog) => dialog.pts,
                    _ => None,
                },
                timeout: news.timeout,
                messages: news.messages,
                updates: Vec::new(),
                chats: news.chats,
                users: news.users,
                leaves_out: true,
            },
            D::Difference(part) => Part {
                is_final: part.r#final,
                pts: Some(part.pts),
                timeout: part.timeout,
                messages: part.new_messages,
                updates: part.other_updates,
                chats: part.chats,
                users: part.users,
                leaves_out: false,
            },
        }
    }
}
