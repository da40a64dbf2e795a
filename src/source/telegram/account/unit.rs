//! One connection's life: updates, answers and pings come in; pages go out.
//!
//! All state of a life is here and ends with it; the next life begins from the positions of the last page that was
//! handed over.

mod answers;
mod past;
mod wishes;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use grammers_session::Session;
use grammers_session::types::{PeerId, PeerInfo};
use grammers_session::updates::UpdatesLike;
use grammers_tl_types as tl;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::backfill::{Ask, History, Job};
use super::super::driver::{Answer, Driver, Failure, Page, Request};
use super::super::hearing::Hearing;
use super::super::link::{Fault, Parts};
use super::super::reconcile::Rounds;
use super::super::watchdog::Watchdog;
use super::asking::Asker;
use super::chats::Met;
use super::losses::Losses;
use super::orders::Wish;
use super::outlet::Outlet;
use super::peers::Kept;
use super::standing::Standing;
use crate::status::now_us;
use past::Looked;
use wishes::Whose;

/// Containers of updates that are taken before anything else gets its turn.
const TAKEN_AT_ONCE: usize = 256;

/// Questions about chats that are on their way at once; further ones wait.
const MEETINGS_MAX: usize = 4;

/// How a life ended.
#[derive(Debug)]
pub(super) enum End {
    /// The daemon stops.
    Stopped,
    /// Something of it broke.
    Broken(String),
    /// Nobody answered, on several connections.
    Unanswered,
    /// The account lives in this data centre now.
    Moved(i32),
    /// Telegram ended the session.
    Ended(String),
}

impl End {
    /// The end that a fault is, if no other request of this life can do better.
    pub(super) fn of(fault: &Fault) -> Option<End> {
        match fault.failure {
            Failure::SessionEnded => Some(End::Ended(fault.text.clone())),
            Failure::Moved(dc) => Some(End::Moved(dc)),
            _ => None,
        }
    }
}

/// How often to look after the line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between a pong and the next ping.
    pub(super) ping: Duration,
    /// How long a pong may take.
    pub(super) ping_limit: Duration,
    /// How long the line may be quiet before it is asked whether something was missed.
    pub(super) check: Duration,
}

/// A connection with what is known of it.
pub(super) struct Unit<'a, S> {
    driver: Driver,
    outlet: &'a mut Outlet,
    asker: Asker<S>,
    parts: Parts,
    pace: Pace,
    requests: JoinSet<Answered>,
    pings: JoinSet<Result<(), Fault>>,
    watchdog: Watchdog,
    hearing: Hearing,
    losses: Losses,
    standing: Standing,
    /// A page of a history on its way; one at a time.
    fills: JoinSet<(Ask, Result<History, Fault>)>,
    rounds: Rounds,
    /// A look at what Telegram has; one at a time.
    looks: JoinSet<Looked>,
    /// Questions about chats on their way.
    meetings: JoinSet<(Whose, Result<Vec<Met>, Fault>)>,
    /// All hot channels are known.
    is_heated: bool,
    kept: Kept,
}

/// What became of a request.
struct Answered {
    request: Request,
    answer: Result<Answer, Fault>,
    /// When it was asked and answered, in microseconds of this machine's clock.
    between: (i64, i64),
}

/// What happened.
enum Event {
    Stop,
    Broken(String),
    Overflow,
    Answered(Box<Answered>),
    Pong(Result<(), Fault>),
    Pushed(Vec<UpdatesLike>),
    Filled(Box<(Ask, Result<History, Fault>)>),
    Looked(Box<Looked>),
    Met(Box<(Whose, Result<Vec<Met>, Fault>)>),
    Wished(Box<Wish>),
    Due,
}

type Step = ControlFlow<End>;

impl<'a, S: Session> Unit<'a, S>
where
    S::Error: std::error::Error + Send + Sync + 'static,
{
    pub(super) fn new(
        outlet: &'a mut Outlet,
        asker: Asker<S>,
        parts: Parts,
        pace: Pace,
    ) -> Unit<'a, S> {
        let now = Instant::now();
        let interval = outlet.watch.reconcile_interval;
        Unit {
            driver: Driver::load(outlet.positions(), fastrand::u64(..), now),
            outlet,
            asker,
            parts,
            pace,
            requests: JoinSet::new(),
            pings: JoinSet::new(),
            watchdog: Watchdog::new(pace.ping, now),
            hearing: Hearing::new(pace.check, now),
            losses: Losses::default(),
            standing: Standing::default(),
            fills: JoinSet::new(),
            rounds: Rounds::new(interval, now),
            looks: JoinSet::new(),
            meetings: JoinSet::new(),
            is_heated: false,
            kept: Kept::default(),
        }
    }

    /// Lives until something ends it.
    pub(super) async fn live(mut self, stop: &CancellationToken) -> End {
        self.introduce().await;
        // Whoever looks at the board sees where the account is before anything else of it.
        if let ControlFlow::Break(end) = self.show().await {
            return end;
        }
        let now = Instant::now();
        self.heat(now);
        self.outlet.names.interrupted(now);
        self.outlet.show_names();
        self.outlet.show_past();
        loop {
            self.ask();
            if let ControlFlow::Break(end) = self.show().await {
                return end;
            }
            let event = self.event(stop).await;
            if let ControlFlow::Break(end) = self.handle(event).await {
                return end;
            }
        }
    }

    /// Tells who the account is, where the session knows it.
    async fn introduce(&mut self) {
        let own = self.asker.session.peer(PeerId::self_user()).await;
        if let Ok(Some(PeerInfo::User { id, .. })) = own {
            self.outlet.own(id);
        }
    }

    /// Sends what is due, and sees whether nothing is left to ask.
    fn ask(&mut self) {
        let now = Instant::now();
        while let Some(request) = self.driver.next_request(now) {
            let asker = self.asker.clone();
            self.requests.spawn(async move {
                let asked = now_us();
                let answer = asker.ask(&request).await;
                Answered {
                    request,
                    answer,
                    between: (asked, now_us()),
                }
            });
        }
        if self.watchdog.due().is_some_and(|due| due <= now) {
            self.watchdog.pinged();
            let (link, limit) = (self.asker.link.clone(), self.pace.ping_limit);
            self.pings.spawn(async move {
                let ping = tl::functions::Ping {
                    ping_id: fastrand::i64(..),
                };
                link.send(&ping, limit).await.map(|_| ())
            });
        }
        if !self.driver.is_asking() {
            self.standing.settled();
        }
        self.ask_past(now);
        self.ask_names(now);
    }

    async fn show(&mut self) -> Step {
        self.standing.deaf(self.hearing.is_deaf());
        let state = self.standing.state(Instant::now());
        self.outlet.show(state).await
    }

    /// Waits for what comes first.
    async fn event(&mut self, stop: &CancellationToken) -> Event {
        let mut taken = Vec::new();
        let due = [
            self.driver.deadline(),
            self.watchdog.due(),
            self.hearing.due(),
            self.losses.due(),
            self.past_deadline(),
            self.names_deadline(),
        ];
        let due = due.into_iter().flatten().min();
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let Parts {
            incoming,
            overflow,
            tasks,
        } = &mut self.parts;
        tokio::select! {
            biased;
            () = stop.cancelled() => Event::Stop,
            why = tasks.broken() => Event::Broken(why),
            () = overflow.happened() => Event::Overflow,
            Some(done) = self.requests.join_next() => match done {
                Ok(answered) => Event::Answered(Box::new(answered)),
                Err(error) => Event::Broken(format!("a request failed badly: {error}")),
            },
            Some(done) = self.pings.join_next() => match done {
                Ok(pong) => Event::Pong(pong),
                Err(error) => Event::Broken(format!("a ping failed badly: {error}")),
            },
            count = incoming.take(&mut taken, TAKEN_AT_ONCE) => match count {
                0 => Event::Broken("the receiver of the client ended".to_owned()),
                _ => Event::Pushed(taken),
            },
            Some(done) = self.fills.join_next() => match done {
                Ok(filled) => Event::Filled(Box::new(filled)),
                Err(error) => Event::Broken(format!("a request failed badly: {error}")),
            },
            Some(done) = self.looks.join_next() => match done {
                Ok(looked) => Event::Looked(Box::new(looked)),
                Err(error) => Event::Broken(format!("a request failed badly: {error}")),
            },
            Some(done) = self.meetings.join_next() => match done {
                Ok(met) => Event::Met(Box::new(met)),
                Err(error) => Event::Broken(format!("a request failed badly: {error}")),
            },
            Some(wish) = self.outlet.orders.recv(), if self.meetings.len() < MEETINGS_MAX => {
                Event::Wished(Box::new(wish))
            }
            () = sleep => Event::Due,
        }
    }

    async fn handle(&mut self, event: Event) -> Step {
        match event {
            Event::Stop => Step::Break(End::Stopped),
            Event::Broken(why) => Step::Break(End::Broken(why)),
            Event::Overflow => self.everything_again().await,
            Event::Answered(answered) => self.answered(*answered).await,
            Event::Pong(pong) => self.pong(pong).await,
            Event::Pushed(taken) => {
                for updates in taken {
                    self.pushed(updates).await?;
                }
                Step::Continue(())
            }
            Event::Filled(filled) => {
                let (ask, answer) = *filled;
                self.filled(ask, answer).await
            }
            Event::Looked(looked) => self.looked(*looked).await,
            Event::Met(met) => {
                let (whose, met) = *met;
                self.met(whose, met).await
            }
            Event::Wished(wish) => self.wished(*wish).await,
            Event::Due => self.check().await,
        }
    }

    async fn pushed(&mut self, updates: UpdatesLike) -> Step {
        if matches!(updates, UpdatesLike::ConnectionClosed) {
            return self.lost().await;
        }
        self.standing.heard();
        let now = Instant::now();
        let pages = self.driver.push(updates, now);
        if pages.iter().any(|page| !page.updates.is_empty()) {
            self.hearing.pushed(now);
        }
        self.hand_over(pages).await
    }

    /// The connection is gone, by itself or by our hand.
    async fn lost(&mut self) -> Step {
        let now = Instant::now();
        self.standing.lost();
        self.hearing.lost(now);
        self.outlet.board(|board| board.reconnects += 1);
        self.losses.lost(fastrand::f64(), now);
        self.ask_after_loss(now).await
    }

    /// Asks what was missed, which makes a new connection: when it is time for one.
    async fn ask_after_loss(&mut self, now: Instant) -> Step {
        match self.losses.take(now) {
            true => self.feed(UpdatesLike::ConnectionClosed, now).await,
            false => Step::Continue(()),
        }
    }

    async fn feed(&mut self, updates: UpdatesLike, now: Instant) -> Step {
        let pages = self.driver.push(updates, now);
        self.hand_over(pages).await
    }

    /// Updates were dropped for want of room, nobody knows which.
    async fn everything_again(&mut self) -> Step {
        let now = Instant::now();
        for channel in self.outlet.channels() {
            self.driver.ask(channel, now);
        }
        self.feed(too_long(), now).await
    }

    async fn check(&mut self) -> Step {
        let now = Instant::now();
        self.ask_after_loss(now).await?;
        if self.hearing.due().is_none_or(|due| due > now) {
            return Step::Continue(());
        }
        if !self.standing.is_caught_up() {
            // What was missed is being asked for anyway.
            self.hearing.lost(now);
            return Step::Continue(());
        }
        self.hearing.begin();
        self.feed(too_long(), now).await
    }

    /// One page, one batch, one append.
    async fn hand_over(&mut self, pages: Vec<Page>) -> Step {
        for page in pages {
            self.hand_over_page(page, None).await?;
        }
        Step::Continue(())
    }

    async fn hand_over_page(&mut self, page: Page, job: Option<Job>) -> Step {
        let session = &*self.asker.session;
        let kept = self.kept.remember(session, &page.users, &page.chats).await;
        if let Err(fault) = kept {
            // Without its access hash a channel is looked up in the dialogs: slower, and nothing is lost.
            tracing::warn!(account = self.outlet.account(), %fault, "peers could not be kept");
        }
        let may_name = !page.chats.is_empty();
        self.outlet.hand_over(page, job).await?;
        if may_name && !self.is_heated {
            self.heat(Instant::now());
        }
        if may_name && !self.outlet.names.is_empty() {
            self.outlet.show_names();
        }
        Step::Continue(())
    }
}

/// As when Telegram says itself that there is too much to push.
fn too_long() -> UpdatesLike {
    UpdatesLike::Updates(tl::enums::Updates::TooLong)
}
