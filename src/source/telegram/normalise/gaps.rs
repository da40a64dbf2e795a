//! The ledger of gaps: what is missing, and how that ended.

use super::{Draft, Normaliser, peer_of};
use crate::event::{Body, Gap, GapCause, GapClosed, GapOutcome, PeerId, Timestamp};
use crate::source::telegram::driver::{BoxName, Page, Position};

impl Normaliser {
    pub(super) fn gaps(&self, page: &Page, draft: &mut Draft<'_>) {
        for (place, gap) in &page.gaps {
            match place {
                BoxName::Common => self.common_gap(gap, draft),
                BoxName::Channel(_) => {
                    if let Some(peer) = peer_of(*place).filter(|peer| self.follows(*peer)) {
                        self.channel_gap(peer, gap, draft);
                    }
                }
            }
        }
    }

    fn channel_gap(&self, peer: PeerId, gap: &Gap, draft: &mut Draft<'_>) {
        let stamp = match is_lost_access(gap) {
            false => gap.stamp(),
            // It is found again whenever the channel is asked.
            true if self.is_open(peer, gap) => return,
            true => moment(),
        };
        draft.tell(Some(peer), stamp, Body::Gap(gap.clone()), None);
    }

    fn is_open(&self, peer: PeerId, gap: &Gap) -> bool {
        let mut open = self.index.open_gaps().into_iter();
        open.any(|it| it.peer == Some(peer) && it.gap.bounds() == gap.bounds())
    }

    /// What is missing of private chats and basic groups, told of the user that the account is. It ends at once:
    /// Telegram gives what these boxes miss by position only, and has just said that it will not.
    fn common_gap(&self, gap: &Gap, draft: &mut Draft<'_>) {
        if !self.policy.follows_common() {
            return;
        }
        tracing::warn!(
            account = self.account,
            cause = gap.cause.as_str(),
            after_pts = gap.after_pts,
            until_pts = gap.until_pts,
            "messages of private chats and basic groups are missing, and Telegram does not tell them again"
        );
        let closed = GapClosed {
            gap: gap.bounds(),
            outcome: GapOutcome::Unfillable,
            found: 0,
        };
        draft.tell(self.own, gap.stamp(), Body::Gap(gap.clone()), None);
        draft.tell(self.own, closed.stamp(), Body::GapClosed(closed), None);
    }

    /// Access that was lost is back when the channel is read to its end again, and nothing is missing then.
    pub(super) fn regained(&self, positions: &[Position], draft: &mut Draft<'_>) {
        let read = positions.iter().filter_map(|position| match position {
            Position::Channel { behind: false, .. } => peer_of(position.name()),
            _ => None,
        });
        let read: Vec<PeerId> = read.collect();
        if read.is_empty() {
            return;
        }
        for open in self.index.open_gaps() {
            let peer = open.peer.filter(|peer| read.contains(peer));
            if peer.is_some() && is_lost_access(&open.gap) {
                let closed = GapClosed {
                    gap: open.gap.bounds(),
                    outcome: GapOutcome::Filled,
                    found: 0,
                };
                draft.tell(peer, moment(), Body::GapClosed(closed), None);
            }
        }
    }

    /// Searches that are over.
    pub(super) fn closed(&self, page: &Page, draft: &mut Draft<'_>) {
        for (place, closed) in &page.closed {
            let peer = peer_of(*place);
            draft.tell(peer, closed.stamp(), Body::GapClosed(*closed), None);
        }
    }
}

/// Nothing is missing for good, and where it ends is not known.
fn is_lost_access(gap: &Gap) -> bool {
    gap.cause == GapCause::LostAccess && gap.until_pts.is_none()
}

/// A stamp that no other event has. Access can be lost and be back again and again with nothing posted in between: the
/// bounds are the same each time, and each time is an event. The index says which of them are repeats.
fn moment() -> i64 {
    Timestamp::now().micros() | 1
}
