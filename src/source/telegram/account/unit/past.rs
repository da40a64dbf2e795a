//! The past in a connection's life: histories are fetched, and what Telegram has is compared with the log.

use std::time::Instant;

use grammers_session::Session;
use grammers_tl_types as tl;

use super::super::super::backfill::{Ask, History, as_update};
use super::super::super::driver::{Failure, Page, Seen};
use super::super::super::link::Fault;
use super::super::super::reconcile::Look;
use super::super::history::{Heads, Newest};
use super::{End, Step, Unit};
use crate::event::Origin;

/// Telegram gives no more of a history at once.
const DEPTH_MAX: u32 = 100;

/// An answer about what Telegram has.
pub(super) enum Looked {
    Heads(Vec<i64>, Result<Heads, Fault>),
    Newest(i64, Result<Newest, Fault>),
}

impl<S: Session> Unit<'_, S>
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    /// Asks for what is past, once all that is new is here.
    pub(super) fn ask_past(&mut self, now: Instant) {
        if !self.standing.is_caught_up() {
            return;
        }
        if self.fills.is_empty()
            && let Some(ask) = self.outlet.backfill.next(now)
        {
            let asker = self.asker.clone();
            self.fills.spawn(async move {
                let answer = asker.page(&ask).await;
                (ask, answer)
            });
        }
        let outlet = &*self.outlet;
        for channel in self.rounds.untold(|id| outlet.position(id), now) {
            tracing::warn!(
                account = outlet.account(),
                channel,
                "a channel is further than was pushed; it is asked"
            );
            outlet.board(|board| board.channel_untold(channel));
            self.driver.ask(channel, now);
        }
        if self.rounds.is_due(now) {
            let channels = self.outlet.watched();
            self.rounds.begin(&channels, now);
        }
        if self.looks.is_empty() {
            self.look();
        }
    }

    /// When there may be something to ask that is past.
    pub(super) fn past_deadline(&self) -> Option<Instant> {
        if !self.standing.is_caught_up() {
            return None;
        }
        let now = Instant::now();
        let fill = self.outlet.backfill.deadline(now);
        let round = self.rounds.deadline(now);
        fill.into_iter().chain(round).min()
    }

    fn look(&mut self) {
        while let Some(look) = self.rounds.next_look() {
            let asker = self.asker.clone();
            match look {
                Look::Heads(channels) => {
                    self.looks.spawn(async move {
                        let answer = asker.heads(&channels).await;
                        Looked::Heads(channels, answer)
                    });
                    return;
                }
                Look::Newest(channel) => {
                    let depth = self.outlet.watch.reconcile_depth.min(DEPTH_MAX);
                    // What the log has is looked up before Telegram is asked: what comes in between is not missing.
                    let logged = self.outlet.newest(channel, depth as usize);
                    if logged.is_empty() {
                        continue;
                    }
                    self.looks.spawn(async move {
                        let answer = asker.newest(channel, &logged, depth as i32).await;
                        Looked::Newest(channel, answer)
                    });
                    return;
                }
            }
        }
    }

    pub(super) async fn filled(&mut self, ask: Ask, answer: Result<History, Fault>) -> Step {
        let answer = match answer {
            Ok(history) => Ok(history),
            Err(fault) => Err(self.past_trouble("messages.getHistory", ask.channel, fault)?),
        };
        let Some(step) = self.outlet.backfill.answered(&ask, answer, Instant::now()) else {
            return Step::Continue(());
        };
        let waiting = step.job.report();
        let (ended, found) = (step.ended, step.found);
        self.hand_over_page(step.page, Some(step.job)).await?;
        if let Some(outcome) = ended {
            tracing::info!(
                account = self.outlet.account(),
                channel = ask.channel,
                found,
                outcome = outcome.as_str(),
                "history was fetched"
            );
        }
        let outcome = ended.map(|outcome| outcome.as_str());
        self.outlet
            .board(|board| board.filled(ask.channel, waiting, found, outcome));
        Step::Continue(())
    }

    pub(super) async fn looked(&mut self, looked: Looked) -> Step {
        match looked {
            Looked::Heads(_, Ok(heads)) => {
                let outlet = &*self.outlet;
                let position = |id| outlet.position(id);
                self.rounds.compare(heads.heads, position, Instant::now());
                let page = Page {
                    users: heads.users,
                    chats: heads.chats,
                    ..Page::empty(Origin::Backfill)
                };
                self.hand_over_page(page, None).await
            }
            Looked::Heads(channels, Err(fault)) => {
                let first = channels.first().copied().unwrap_or_default();
                let failure = self.past_trouble("messages.getPeerDialogs", first, fault)?;
                if !matches!(failure, Failure::Temporary | Failure::Wait(_)) {
                    // One channel that is refused costs the others nothing.
                    self.rounds.halve(&channels);
                }
                Step::Continue(())
            }
            Looked::Newest(channel, Ok(newest)) => self.compared(channel, newest).await,
            Looked::Newest(channel, Err(fault)) => {
                self.past_trouble("messages.getHistory", channel, fault)?;
                Step::Continue(())
            }
        }
    }

    /// The messages that are there bring edits that were missed; those that are gone are deletions.
    async fn compared(&mut self, channel_id: i64, newest: Newest) -> Step {
        let Newest { history, gone } = newest;
        let mut page = Page {
            users: history.users,
            chats: history.chats,
            ..Page::empty(Origin::Backfill)
        };
        page.updates = history.messages.into_iter().rev().map(as_update).collect();
        if !gone.is_empty() {
            self.outlet
                .board(|board| board.missed_deletions += gone.len() as u64);
            let update = tl::types::UpdateDeleteChannelMessages {
                channel_id,
                messages: gone,
                pts: 0,
                pts_count: 0,
            };
            page.updates.push(Seen {
                update: update.into(),
                pts: None,
            });
        }
        self.hand_over_page(page, None).await
    }

    /// What a failed request of the past means; the end of the session is the end of this life.
    fn past_trouble(
        &self,
        method: &'static str,
        channel: i64,
        fault: Fault,
    ) -> std::ops::ControlFlow<End, Failure> {
        tracing::debug!(
            account = self.outlet.account(),
            method,
            channel,
            %fault,
            "a request failed"
        );
        match End::of(&fault) {
            Some(end) => std::ops::ControlFlow::Break(end),
            None => std::ops::ControlFlow::Continue(fault.failure),
        }
    }

    /// Short-polls the hot channels whose ids are known by now.
    pub(super) fn heat(&mut self, now: Instant) {
        let (hot, is_complete) = self.outlet.hot();
        self.is_heated = is_complete;
        self.driver.set_hot(&hot, now);
        self.outlet.board(|board| board.set_hot(&hot));
    }
}
