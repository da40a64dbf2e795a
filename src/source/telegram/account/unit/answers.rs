//! What becomes of requests: their answers, their failures, and the pongs.

use std::time::Instant;

use grammers_session::Session;

use super::super::super::clock::Told;
use super::super::super::driver::{Failure, Request};
use super::super::super::hearing::Verdict;
use super::super::super::link::{Fault, Place};
use super::super::super::watchdog::Cure;
use super::{Answered, End, Step, Unit};

impl<S: Session> Unit<'_, S>
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    pub(super) async fn answered(&mut self, answered: Answered) -> Step {
        let Answered {
            request, answer, ..
        } = answered;
        let now = Instant::now();
        let pages = match answer {
            Ok(answer) => {
                let (asked, answered) = answered.between;
                let told = Told::by(&answer).and_then(|told| told.skew(asked, answered));
                told.into_iter().for_each(|skew| self.outlet.clock(skew));
                match request.channel() {
                    None => self.standing.answered(),
                    Some(_) => self.standing.heard(),
                }
                self.driver.answer(&request, answer, now)
            }
            Err(fault) => {
                if let Some(end) = End::of(&fault) {
                    return Step::Break(end);
                }
                self.trouble(&request, &fault, now);
                self.driver.failed(&request, fault.failure, now)
            }
        };
        for page in pages.iter().filter(|page| !page.updates.is_empty()) {
            self.hearing.fetched(page.origin);
        }
        self.hand_over(pages).await?;
        // What follows from an answer belongs to the same check.
        self.ask();
        if !self.driver.is_asking() && self.hearing.settled(now) == Some(Verdict::Reconnect) {
            tracing::warn!(
                account = self.outlet.account(),
                "updates were there that had not been pushed; connecting anew"
            );
            self.asker.link.disconnect();
            return self.lost().await;
        }
        Step::Continue(())
    }

    /// A failed request, as far as the operator is concerned.
    fn trouble(&mut self, request: &Request, fault: &Fault, now: Instant) {
        let is_accounts = request.channel().is_none();
        match (&fault.failure, fault.place) {
            // One channel's wait holds nothing else up.
            (Failure::Wait(wait), _) if is_accounts => {
                let why = format!("{} must wait {} s", request.method(), wait.as_secs());
                self.standing.heard();
                self.standing.waits(now + *wait, why);
            }
            (_, Place::Server) => {
                self.standing.heard();
                if is_accounts {
                    self.standing
                        .refused(format!("{}: {}", request.method(), fault.text));
                }
            }
            (Failure::Temporary, _) => self.standing.failed(fault.text.clone()),
            // What is missing on our side says nothing about the line.
            _ => {}
        }
        let (account, method) = (self.outlet.account(), request.method());
        let channel = request.channel();
        match fault.failure {
            // It comes again in its time, and is refused again: somebody should know.
            Failure::Refused | Failure::Undecodable { .. } => {
                tracing::warn!(account, method, channel, %fault, "a request is refused");
            }
            _ => tracing::debug!(account, method, channel, %fault, "a request failed"),
        }
    }

    pub(super) async fn pong(&mut self, pong: Result<(), Fault>) -> Step {
        let now = Instant::now();
        let fault = match pong {
            Ok(()) => {
                self.standing.heard();
                self.watchdog.answered(now);
                return Step::Continue(());
            }
            Err(fault) => fault,
        };
        if let Some(end) = End::of(&fault) {
            return Step::Break(end);
        }
        match fault.place {
            Place::Server => {
                self.watchdog.answered(now);
                return Step::Continue(());
            }
            Place::Line | Place::Here => {
                self.standing.failed(fault.text);
                self.watchdog.lost(now);
                return Step::Continue(());
            }
            Place::Silence => {}
        }
        match self.watchdog.silent(now) {
            Cure::Disconnect => {
                tracing::warn!(
                    account = self.outlet.account(),
                    "no pong in time; connecting anew"
                );
                self.asker.link.disconnect();
                self.lost().await
            }
            Cure::Rebuild => Step::Break(End::Unanswered),
        }
    }
}
