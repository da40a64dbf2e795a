//! What an operator wants in a connection's life, and who the configured names are.

use std::ops::ControlFlow;
use std::time::Instant;

use grammers_session::Session;
use grammers_tl_types as tl;
use tokio::sync::oneshot;

use super::super::super::backfill::{Reason, Stretch};
use super::super::super::driver::{Failure, Page};
use super::super::super::link::Fault;
use super::super::chats::{Met, Question};
use super::super::orders::{NoOrder, Order, Wish};
use super::{End, Step, Unit};
use crate::event::Origin;

/// Messages that one order fetches at most.
const ORDER_MAX: u32 = 1_000_000;

/// What is said of a name that is no channel's.
const NO_CHANNEL: &str = "it is not the name of a channel or group";

/// Whose question it is.
pub(super) enum Whose {
    /// The configuration's, about this name.
    Name(String),
    /// A person's.
    Person {
        /// Whether session and log are to know of the answer.
        keep: bool,
        answer: oneshot::Sender<Result<Vec<Met>, NoOrder>>,
    },
}

impl<S: Session> Unit<'_, S>
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    /// Asks for the next configured name that no channel is known by, once all that is new is here.
    pub(super) fn ask_names(&mut self, now: Instant) {
        if !self.standing.is_caught_up() {
            return;
        }
        if let Some(name) = self.outlet.names.next(now) {
            let question = Question::Name {
                name: name.clone(),
                known: None,
            };
            self.ask_about(Whose::Name(name), question);
        }
    }

    pub(super) fn names_deadline(&self) -> Option<Instant> {
        let due = self.outlet.names.deadline();
        due.filter(|_| self.standing.is_caught_up())
    }

    fn ask_about(&mut self, whose: Whose, question: Question) {
        let asker = self.asker.clone();
        self.meetings.spawn(async move {
            let met = asker.meet(&question).await;
            (whose, met)
        });
    }

    pub(super) async fn wished(&mut self, wish: Wish) -> Step {
        match wish {
            // Whoever waited was told that it was not taken.
            Wish::Order(_, Some(answer)) if answer.is_closed() => {}
            Wish::Order(order, answer) => {
                let taken = self.ordered(order).await?;
                if let Some(answer) = answer {
                    // The person may have gone.
                    let _ = answer.send(taken);
                }
            }
            Wish::Meet {
                question,
                keep,
                answer,
            } => self.ask_about(Whose::Person { keep, answer }, question),
        }
        Step::Continue(())
    }

    pub(super) async fn met(&mut self, whose: Whose, met: Result<Vec<Met>, Fault>) -> Step {
        let ended = match &met {
            Err(fault) if fault.failure == Failure::SessionEnded => Some(fault.text.clone()),
            _ => None,
        };
        match whose {
            Whose::Name(name) => self.named(&name, met).await?,
            Whose::Person { keep, answer } => {
                if let (true, Ok(pages)) = (keep, &met) {
                    self.keep(pages).await?;
                }
                // The person may have gone.
                let _ = answer.send(met.map_err(NoOrder::Failed));
            }
        }
        match ended {
            Some(why) => Step::Break(End::Ended(why)),
            None => Step::Continue(()),
        }
    }

    async fn keep(&mut self, pages: &[Met]) -> Step {
        for met in pages {
            self.hand_over_page(met.page(), None).await?;
        }
        // Of many at once, each is asked when it says something.
        if let [met] = pages
            && let [tl::enums::Peer::Channel(it)] = &met.peers[..]
        {
            self.begin(it.channel_id);
        }
        Step::Continue(())
    }

    /// A channel that is mirrored from now on is asked where it is, which brings its past.
    fn begin(&mut self, channel: i64) {
        if self.outlet.follows(channel) && self.outlet.position(channel).is_none() {
            self.driver.ask(channel, Instant::now());
        }
    }

    /// The answer for a configured name. A channel that it leads to is mirrored from now on.
    async fn named(&mut self, name: &str, met: Result<Vec<Met>, Fault>) -> Step {
        let account = self.outlet.account().to_owned();
        match met {
            Ok(pages) => {
                self.keep(&pages).await?;
                match self.outlet.named(name) {
                    Some(channel) => {
                        tracing::info!(account, name, channel, "a followed name is a channel's");
                    }
                    None => {
                        tracing::warn!(account, name, "a followed name is no channel's");
                        self.outlet.names.leads_nowhere(name, NO_CHANNEL);
                    }
                }
            }
            Err(fault) => {
                let (failure, why) = (&fault.failure, &fault.text);
                let now = Instant::now();
                if self.outlet.names.failed(name, failure, why, now) {
                    tracing::warn!(account, name, %fault, "a followed name leads nowhere");
                }
            }
        }
        self.outlet.show_names();
        Step::Continue(())
    }

    async fn ordered(&mut self, order: Order) -> ControlFlow<End, Result<usize, NoOrder>> {
        let channel = order.channel();
        let job = match order {
            Order::Backfill { .. } if !self.outlet.follows(channel) => Err(NoOrder::NotFollowed),
            Order::Backfill { since, limit, .. } => {
                let stretch = Stretch::newest(Reason::ByHand, limit.clamp(1, ORDER_MAX), since);
                let job = self.outlet.backfill.with(channel, [stretch]);
                job.ok_or(NoOrder::Full)
            }
            Order::Cancel { .. } => {
                let job = self.outlet.backfill.without(channel);
                job.ok_or(NoOrder::Nothing)
            }
        };
        let job = match job {
            Ok(job) => job,
            Err(refused) => return ControlFlow::Continue(Err(refused)),
        };
        let stretches = job.report();
        let waiting = stretches.len();
        let outcome = (waiting == 0).then_some("cancelled");
        let page = Page::empty(Origin::Backfill);
        self.hand_over_page(page, Some(job)).await?;
        self.outlet
            .board(|board| board.filled(channel, stretches, 0, outcome));
        ControlFlow::Continue(Ok(waiting))
    }
}
