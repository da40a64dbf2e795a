//! Answers about the account.

use std::time::Instant;

use grammers_tl_types as tl;

use super::page::Draft;
use super::position::BoxName;
use super::sequence::{self, Place, Sequence};
use super::{Driver, gap};
use crate::event::GapCause;

impl Driver {
    /// Where the account is: its first position, or the one in place of what the server refused.
    pub(super) fn state(
        &mut self,
        tl::enums::updates::State::State(state): tl::enums::updates::State,
        now: Instant,
        draft: &mut Draft,
    ) {
        let account = &mut self.account;
        let pts = state.pts.max(1);
        match account.pts.at() {
            None => account.stamp(state.date, state.seq),
            Some(before) => {
                if before != pts {
                    let missing = gap(GapCause::InvalidPosition, before, Some(pts));
                    draft.page.gaps.push((BoxName::Common, missing));
                }
                // The old date stays, so that the next difference names the channels that changed since.
                account.stamp(account.date, state.seq);
                account.ask(now);
            }
        }
        account.pts.jump(pts);
        account.qts.jump(state.qts.max(0));
        account.lost_place = false;
        self.account_is_read(now, draft);
    }

    /// What the account missed.
    pub(super) fn difference(
        &mut self,
        call: &tl::functions::updates::GetDifference,
        difference: tl::enums::updates::Difference,
        now: Instant,
        draft: &mut Draft,
    ) {
        use tl::enums::updates::Difference as D;
        match difference {
            D::Empty(empty) => {
                self.account.stamp(empty.date, empty.seq);
                self.account_is_read(now, draft);
            }
            D::Difference(whole) => {
                self.slice(call, whole, now, draft);
                self.account_is_read(now, draft);
            }
            D::Slice(slice) => {
                let whole = tl::types::updates::Difference {
                    new_messages: slice.new_messages,
                    new_encrypted_messages: slice.new_encrypted_messages,
                    other_updates: slice.other_updates,
                    chats: slice.chats,
                    users: slice.users,
                    state: slice.intermediate_state,
                };
                let moved = self.slice(call, whole, now, draft);
                self.account_goes_on(moved, now);
            }
            D::TooLong(news) => {
                self.account_jumps(call.pts, news.pts, GapCause::TooLong, draft);
                self.account_goes_on(news.pts > call.pts, now);
            }
        }
        draft.touched.insert(BoxName::Common);
    }

    /// Takes one slice; whether it led on.
    fn slice(
        &mut self,
        call: &tl::functions::updates::GetDifference,
        slice: tl::types::updates::Difference,
        now: Instant,
        draft: &mut Draft,
    ) -> bool {
        self.meet(slice.users, slice.chats, now, draft);
        for message in slice.new_messages {
            let new = tl::types::UpdateNewMessage {
                message,
                pts: 0,
                pts_count: 0,
            };
            draft.see(new.into(), None);
        }
        for message in slice.new_encrypted_messages {
            draft.see(
                tl::types::UpdateNewEncryptedMessage { message, qts: 0 }.into(),
                None,
            );
        }
        for update in slice.other_updates {
            match sequence::place(&update) {
                // Part of the answer, and covered by its state: they count whatever their numbers say.
                Place::At(Sequence::Common | Sequence::Secondary, span) => {
                    draft.see(update, Some(span.end));
                }
                Place::Nonsense(Sequence::Common | Sequence::Secondary) => draft.see(update, None),
                _ => self.take(update, now, draft),
            }
        }
        let tl::enums::updates::State::State(state) = slice.state;
        if state.pts <= 0 {
            // No position at all: what came is kept, and nothing moves.
            return false;
        }
        let moved = state.pts > call.pts || (state.pts == call.pts && state.qts > call.qts);
        if state.pts < call.pts {
            self.account_jumps(call.pts, state.pts, GapCause::InvalidPosition, draft);
        } else {
            self.account.pts.set(state.pts);
        }
        self.account.qts.set(state.qts.max(0));
        self.account.stamp(state.date, state.seq);
        moved
    }

    /// The server leaves out a range.
    fn account_jumps(&mut self, from: i32, to: i32, cause: GapCause, draft: &mut Draft) {
        if to > 0 && to != from {
            let missing = gap(cause, from, Some(to));
            draft.page.gaps.push((BoxName::Common, missing));
            self.account.pts.jump(to);
        }
    }

    /// There is more to fetch. An answer that does not lead on is not asked for again at once: a server that sends its
    /// clients back and forth would be asked for ever, without a pause.
    fn account_goes_on(&mut self, moved: bool, now: Instant) {
        self.account.ask(now);
        match moved {
            true => self.account.pace.good(),
            false => self.account.pace.fail(self.random.f64(), now),
        }
    }

    /// Everything is fetched: what was pushed meanwhile finds its place.
    fn account_is_read(&mut self, now: Instant, draft: &mut Draft) {
        draft.touched.insert(BoxName::Common);
        let chance = self.random.f64();
        let account = &mut self.account;
        let seen = &mut draft.page.updates;
        account.pts.settle(now, seen);
        account.qts.settle(now, seen);
        if !(account.pts.has_gap() || account.qts.has_gap()) {
            account.pace.good();
            return;
        }
        // The answer is older than a push, or the server does not know what it pushed.
        account.pace.fail(chance, now);
        if account.pace.failures() > 1 {
            account.pts.release(seen);
            account.qts.release(seen);
            account.ask(now);
        }
    }
}
