//! Calls without an answer.

use std::time::Instant;

use super::page::{Draft, Undecodable};
use super::position::BoxName;
use super::{Driver, Failure, Request, gap};
use crate::event::GapCause;

impl Driver {
    /// Plans a call again, in its time. What was pushed and waited for the answer counts now: only positions wait.
    pub(super) fn trouble(
        &mut self,
        request: &Request,
        is_poll: bool,
        failure: Failure,
        now: Instant,
        draft: &mut Draft,
    ) {
        if failure == Failure::SessionEnded {
            self.has_ended = true;
        }
        match request.channel() {
            Some(id) => self.channel_trouble(id, request, is_poll, failure, now, draft),
            None => self.account_trouble(request, failure, now, draft),
        }
    }

    /// The account is answered again: what failed with it is tried at once.
    pub(super) fn recover(&mut self) {
        let ids: Vec<i64> = self.channels.keys().copied().collect();
        for id in ids {
            self.channel(id).pace.retry();
            self.list(id);
        }
    }

    fn account_trouble(
        &mut self,
        request: &Request,
        failure: Failure,
        now: Instant,
        draft: &mut Draft,
    ) {
        draft.touched.insert(BoxName::Common);
        let chance = self.random.f64();
        let account = &mut self.account;
        account.ask(now);
        match failure {
            Failure::Wait(wait) => account.pace.wait(wait, now),
            Failure::Undecodable { raw } if matches!(request, Request::Difference(_)) => {
                if account.pace.is_hopeless()
                    && let Some(at) = account.pts.at()
                {
                    account.pts.set(at.saturating_add(1));
                    account.pace.fail(chance, now);
                    draft.page.undecodable.push(Undecodable {
                        place: BoxName::Common,
                        method: Some(request.method()),
                        pts: Some((at, at.saturating_add(1))),
                        raw,
                    });
                }
            }
            failure => {
                let is_refused = failure == Failure::Refused && account.pace.is_cautious();
                account.lost_place |= is_refused || failure == Failure::InvalidPosition;
                account.pace.fail(chance, now);
            }
        }
        let seen = &mut draft.page.updates;
        account.pts.release(seen);
        account.qts.release(seen);
    }

    fn channel_trouble(
        &mut self,
        id: i64,
        request: &Request,
        is_poll: bool,
        failure: Failure,
        now: Instant,
        draft: &mut Draft,
    ) {
        draft.touched.insert(BoxName::Channel(id));
        let chance = self.random.f64();
        let channel = self.channel(id);
        // A poll that failed is planned again, and a difference only where something was missing.
        if !is_poll || channel.track.has_gap() {
            channel.asked.get_or_insert(now);
        }
        let is_difference = matches!(request, Request::ChannelDifference { .. });
        match failure {
            Failure::Wait(wait) => channel.pace.wait(wait, now),
            Failure::LostAccess => {
                if let (Some(at), false) = (channel.track.at(), channel.no_access) {
                    let missing = gap(GapCause::LostAccess, at, None);
                    draft.page.gaps.push((BoxName::Channel(id), missing));
                }
                channel.no_access = true;
                channel.pace.fail(chance, now);
            }
            Failure::Undecodable { raw } if is_difference => {
                if channel.pace.is_hopeless()
                    && let Some(at) = channel.track.at()
                {
                    channel.track.set(at.saturating_add(1));
                    channel.asked.get_or_insert(now);
                    channel.pace.fail(chance, now);
                    draft.page.undecodable.push(Undecodable {
                        place: BoxName::Channel(id),
                        method: Some(request.method()),
                        pts: Some((at, at.saturating_add(1))),
                        raw,
                    });
                }
            }
            failure => {
                channel.unknown = failure == Failure::UnknownChannel;
                let is_refused = failure == Failure::Refused && channel.pace.is_cautious();
                if is_difference && (is_refused || failure == Failure::InvalidPosition) {
                    channel.lost_place = Some(GapCause::InvalidPosition);
                    channel.asked.get_or_insert(now);
                }
                channel.pace.fail(chance, now);
            }
        }
        channel.track.release(&mut draft.page.updates);
    }
}
