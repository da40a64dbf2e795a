//! One account for ever: opens its session, connects, hands pages over, and begins again after whatever ended that.
//!
//! | file | what |
//! |---|---|
//! | `unit` | one connection's life |
//! | `outlet` | what outlives it: positions, and the way out |
//! | `asking` | what the driver wants asked, asked |
//! | `watch` | what it is to do about the past, in figures |
//! | `orders` | what an operator wants of it |
//! | `chats` | who is behind a name or an id, and which chats there are |
//! | `names` | the configured names that no channel is known by |
//! | `history` | the past, asked for |
//! | `files` | files, asked for |
//! | `heard` | when which channel spoke, and with which delay |
//! | `peers` | who came along with an answer |
//! | `losses` | how soon after a lost connection another is made |
//! | `moving` | from one data centre to another |
//! | `standing` | where the account is, in one word |

mod asking;
mod chats;
mod files;
mod heard;
mod history;
mod losses;
mod moving;
mod names;
mod orders;
mod outlet;
mod peers;
mod standing;
mod unit;
mod watch;

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use grammers_session::Session;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::backfill::{Job, JobError};
use super::budget::Budget;
use super::clock::{AHEAD_MAX_SECONDS, Told};
use super::driver::{Failure, Page, Position, PositionError};
use super::link::{Connection, Link, Parts, panic_text, server_time};
use super::media::Seat;
use crate::backoff::Backoff;
use crate::source::SourceBatch;
use crate::status::{AccountState, Status, now_us};
use asking::Asker;
use outlet::Outlet;
use unit::{End, Pace, Unit};

pub use chats::{Met, Question, Visitor, visit};
pub use orders::{NoOrder, Order, Orders, Wish};
pub use watch::Watch;

/// How soon to look for a session again where there is none, or none that works.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Waits before a broken client is made anew.
const REBUILD_MIN: Duration = Duration::from_millis(500);
const REBUILD_MAX: Duration = Duration::from_secs(60);
/// How long a server may take to tell its time.
const TIME_TIMEOUT: Duration = Duration::from_secs(3);
/// A client that lived this long was a good one: the next break starts with the shortest wait.
const STEADY: Duration = Duration::from_secs(120);
/// Moves from one data centre to another in a row: a server that sends the account on and on is not followed.
const MOVES_MAX: u32 = 2;

/// What an account needs.
pub struct Inputs {
    /// Its name in the configuration.
    pub name: String,
    /// The number of the application.
    pub api_id: i32,
    /// Most requests a minute for what is past.
    pub requests_per_minute: u32,
    /// How often the line is looked after: a ping this long after the last pong, which may take half of it; and when
    /// nothing was pushed for twice this, the question whether something was missed.
    pub ping_interval: Duration,
    /// Where it goes on.
    pub positions: Vec<Position>,
    /// What of the past it still has to fetch.
    pub jobs: Vec<Job>,
    /// What it does about the past.
    pub watch: Watch,
    /// What an operator wants of it.
    pub orders: mpsc::Receiver<Wish>,
    /// Makes events of pages.
    pub meaning: Box<dyn Meaning>,
    /// Its place at the depot of files; none when none are downloaded.
    pub files: Option<Seat>,
}

/// Makes events of pages.
pub trait Meaning: Send {
    /// The events of a page, in order, and its positions as bookmarks.
    fn page(&mut self, page: Page) -> SourceBatch;

    /// The user that the account is, by its id.
    fn own(&mut self, _user: i64) {}

    /// Whether what happens in a channel is mirrored, by what is known of it. By its bare id, as below.
    fn follows(&self, channel: i64) -> bool;

    /// The newest messages of a channel that the log has and that are not deleted: so many at most, newest first. It
    /// may lag behind the log.
    fn newest(&self, channel: i64, count: usize) -> Vec<i64>;

    /// The channel with this public name (without `@`), if it is known.
    fn named(&self, name: &str) -> Option<i64>;
}

/// Why a session cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// There is none.
    NeedsLogin,
    /// Another command has it, so told: a login is under way.
    Busy(String),
    /// There is one, and something is in the way.
    Stuck(String),
}

impl From<Closed> for AccountState {
    fn from(closed: Closed) -> AccountState {
        match closed {
            Closed::NeedsLogin => AccountState::NeedsLogin,
            Closed::Busy(whose) => AccountState::LoggingIn(whose),
            Closed::Stuck(why) => AccountState::Stuck(why),
        }
    }
}

/// Which session file it is, whatever is in it: another login makes another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The file's number in its file system.
    pub number: u64,
    /// When it was made; none where the system does not tell. Numbers are given again.
    pub made: Option<SystemTime>,
}

/// Where an account's session is.
pub trait Door: Send + Sync {
    /// What is behind it.
    type Session: Session<Error: std::error::Error + Send + Sync + 'static>;

    /// Opens the session. Nobody else can while it is held.
    fn open(&self) -> impl Future<Output = Result<Arc<Self::Session>, Closed>> + Send;

    /// What tells the session file that is there now from one that another login makes. It holds nothing, and says
    /// nothing where there is no file.
    fn mark(&self) -> Option<Mark> {
        None
    }

    /// A way to the session's data centre.
    fn connect(&self, session: &Arc<Self::Session>, api_id: i32) -> Connection {
        Connection::pool(Arc::clone(session), api_id)
    }
}

/// Where an account goes on, by the bookmarks of the log.
pub fn positions(
    account: &str,
    bookmarks: &[(String, Vec<u8>)],
) -> Result<Vec<Position>, PositionError> {
    let found = bookmarks
        .iter()
        .map(|(name, bytes)| Position::from_bookmark(account, name, bytes));
    found.filter_map(Result::transpose).collect()
}

/// What of the past is still to be fetched, by the bookmarks of the log.
pub fn jobs(account: &str, bookmarks: &[(String, Vec<u8>)]) -> Result<Vec<Job>, JobError> {
    let found = bookmarks
        .iter()
        .map(|(name, bytes)| Job::from_bookmark(account, name, bytes));
    found.filter_map(Result::transpose).collect()
}

/// A session that only a person can mend, known again so that nobody asks for it twice.
#[derive(Debug, Clone)]
struct Dead {
    mark: Option<Mark>,
    key: Option<[u8; 256]>,
    state: AccountState,
}

/// Runs an account until stopped. It sends its batches in order, and waits whenever they are not taken.
pub async fn run<D: Door>(
    inputs: Inputs,
    door: D,
    out: mpsc::Sender<SourceBatch>,
    status: Status,
    stop: CancellationToken,
) {
    let account = Account {
        api_id: inputs.api_id,
        pace: Pace {
            ping: inputs.ping_interval,
            ping_limit: inputs.ping_interval / 2,
            check: inputs.ping_interval * 2,
        },
        budget: Arc::new(Mutex::new(Budget::new(
            inputs.requests_per_minute,
            Instant::now(),
        ))),
        files: inputs.files.clone(),
        status: status.clone(),
        stop: stop.clone(),
    };
    let mut outlet = Outlet::new(inputs, out, status, stop.clone());
    let mut dead = None;
    loop {
        let state = match laid_to_rest(&door, dead.as_ref()) {
            // Not even opened: whoever logs in needs the file.
            Some(state) => state,
            None => match open(&door).await {
                Ok(session) => match account.lives(&door, session, &mut dead, &mut outlet).await {
                    Some(state) => state,
                    None => return,
                },
                Err(closed) => closed.into(),
            },
        };
        if outlet.show(state).await.is_break() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// The state of a session that is known to be dead, if it is the one that is there.
fn laid_to_rest<D: Door>(door: &D, dead: Option<&Dead>) -> Option<AccountState> {
    let dead = dead.filter(|dead| dead.mark.is_some() && dead.mark == door.mark())?;
    Some(dead.state.clone())
}

/// Opens the session; a file that is damaged may make its library panic.
async fn open<D: Door>(door: &D) -> Result<Arc<D::Session>, Closed> {
    let opened = AssertUnwindSafe(door.open()).catch_unwind().await;
    opened.unwrap_or_else(|panic| {
        let text = panic_text(panic);
        Err(Closed::Stuck(format!("the session file: {text}")))
    })
}

/// What all lives of an account share.
struct Account {
    api_id: i32,
    pace: Pace,
    budget: Arc<Mutex<Budget>>,
    files: Option<Seat>,
    status: Status,
    stop: CancellationToken,
}

impl Account {
    /// One life after the other, until a person has to do something; none when stopped.
    async fn lives<D: Door>(
        &self,
        door: &D,
        session: Arc<D::Session>,
        dead: &mut Option<Dead>,
        outlet: &mut Outlet,
    ) -> Option<AccountState> {
        let (mark, known) = (door.mark(), key(&*session));
        let before = dead.as_ref();
        if let Some(dead) = before.filter(|dead| dead.mark == mark && dead.key == known) {
            return Some(dead.state.clone());
        }
        let mut backoff = Backoff::new(REBUILD_MIN, REBUILD_MAX);
        let mut moves = 0;
        loop {
            let born = Instant::now();
            let end = self.life(door, &session, outlet).await;
            if born.elapsed() > STEADY {
                backoff.reset();
                moves = 0;
            }
            let ended = match end {
                End::Stopped => return None,
                End::Broken(why) => Ok(why),
                End::Unanswered => match self.unanswered(&*session, outlet).await {
                    ControlFlow::Continue(()) => Ok("nobody answers".to_owned()),
                    ControlFlow::Break(_) => return None,
                },
                End::Ended(why) => Err(AccountState::LoggedOut(why)),
                End::Moved(dc) => {
                    moves += 1;
                    let opened = self.open(door, &session, outlet);
                    moved(opened, &*session, dc, moves).await
                }
            };
            let why = match ended {
                Ok(why) => why,
                Err(state) => {
                    let (key, state) = (key(&*session), state);
                    let told = state.clone();
                    *dead = Some(Dead { mark, key, state });
                    return Some(told);
                }
            };
            let wait = backoff.wait(fastrand::f64());
            tracing::warn!(
                account = outlet.account(),
                why,
                ?wait,
                "the client is made anew"
            );
            outlet.board(|board| board.rebuilds += 1);
            if let ControlFlow::Break(_) = outlet.show(AccountState::Degraded(why)).await {
                return None;
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Nobody answers: perhaps because of the clock. The library would send its messages again and again then, as fast
    /// as they are refused, so nothing is sent until the clock is right.
    async fn unanswered<S: Session>(&self, session: &S, outlet: &mut Outlet) -> ControlFlow<End> {
        loop {
            let skew = skew(session).await;
            skew.into_iter().for_each(|skew| outlet.clock(skew));
            let Some(ahead) = skew.map(|skew| -skew).filter(|it| *it > AHEAD_MAX_SECONDS) else {
                return ControlFlow::Continue(());
            };
            let why = format!(
                "the clock of this machine is {ahead} s ahead of Telegram's, which takes nothing from the future: \
                 set the clock"
            );
            outlet.show(AccountState::Degraded(why)).await?;
            tokio::select! {
                () = self.stop.cancelled() => return ControlFlow::Break(End::Stopped),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    fn open<D: Door>(&self, door: &D, session: &Arc<D::Session>, outlet: &Outlet) -> (Link, Parts) {
        Link::open(
            door.connect(session, self.api_id),
            Arc::clone(&self.budget),
            outlet.account(),
            &self.status,
        )
    }

    /// One connection.
    async fn life<D: Door>(&self, door: &D, session: &Arc<D::Session>, outlet: &mut Outlet) -> End {
        let (link, parts) = self.open(door, session, outlet);
        let asker = Asker::new(link, Arc::clone(session));
        // They end with the connection.
        let mut downloads = JoinSet::new();
        if let Some(seat) = &self.files {
            downloads.spawn(files::fetch(seat.clone(), asker.clone()));
        }
        let unit = Unit::new(outlet, asker, parts, self.pace);
        contained(unit.live(&self.stop)).await
    }
}

/// A life, with what it panics with as its end. The outlet is sound after that: a page counts only once it is gone.
async fn contained(life: impl Future<Output = End>) -> End {
    let life = AssertUnwindSafe(life).catch_unwind().await;
    life.unwrap_or_else(|panic| End::Broken(format!("panicked: {}", panic_text(panic))))
}

/// By how many seconds the clock at a session's home is ahead of ours, as far as it tells.
async fn skew<S: Session>(session: &S) -> Option<i64> {
    let home = session.dc_option(session.home_dc_id().ok()?).ok()??;
    let asked = now_us();
    let told = server_time(home.ipv4.into(), TIME_TIMEOUT).await.ok()?;
    Told::Now(told).skew(asked, now_us())
}

/// Takes the session to where Telegram says that the account lives: how that is told, or the state that only a person
/// can mend.
async fn moved<S: Session>(
    (link, _parts): (Link, Parts),
    session: &S,
    dc: i32,
    moves: u32,
) -> Result<String, AccountState>
where
    S::Error: std::error::Error,
{
    let to = format!("Telegram has moved the account to data centre {dc}");
    let stuck = |why: &str| {
        let text = format!("{to}, {why}: log in again with telegram-gateway login");
        Err(AccountState::Stuck(text))
    };
    if moves > MOVES_MAX {
        return stuck("and sends it from one to the other without an end");
    }
    let moving = AssertUnwindSafe(moving::carry_over(&link, session, dc)).catch_unwind();
    let fault = match moving.await {
        Ok(Ok(())) => return Ok(to),
        Ok(Err(fault)) => fault,
        Err(panic) => return Ok(format!("{to}: panicked: {}", panic_text(panic))),
    };
    match fault.failure {
        Failure::Temporary | Failure::Wait(_) => Ok(format!("{to}, out of reach: {fault}")),
        _ => stuck(&format!("and the login cannot be taken along ({fault})")),
    }
}

/// The key of a session's home.
fn key<S: Session>(session: &S) -> Option<[u8; 256]> {
    let home = session.home_dc_id().ok()?;
    session.dc_option(home).ok()??.auth_key
}

#[cfg(test)]
mod tests;
