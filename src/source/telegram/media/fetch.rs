//! One download after the other, for one account.

use std::future::Future;
use std::time::Duration;

use grammers_tl_types as tl;

use super::catalog::{Job, Outcome};
use super::content::Draft;
use super::error::MediaError;
use super::find::{self, At, Class, Location};
use super::{Claim, Seat};
use crate::failure::chain;

/// Bytes of one request: small, because answers and pushes share the line, and a push waits for one part at most.
pub const PART_BYTES: i32 = 128 * 1024;

/// Tries of a file for each account. With the waits between them they take the better part of an hour.
const ATTEMPTS_MAX: i64 = 8;
/// After the first failed try; each further wait is four times as long, up to the longest.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(1024);
/// After a try that failed for no reason of the file's.
const PAUSE: Duration = Duration::from_secs(10);
/// References that are asked for in one try, and data centres that it is sent to.
const TURNS_MAX: u32 = 2;

/// A part of a file, as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Of which data centre.
    pub dc: i32,
    /// The file.
    pub location: tl::enums::InputFileLocation,
    /// From where on.
    pub offset: i64,
}

/// Why something was not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The message has to be seen again first.
    Stale,
    /// It is in another data centre.
    Elsewhere(i32),
    /// Nobody answers, or the session ended: nothing that the file could do about.
    Away(String),
    /// For any other reason.
    Refused(String),
}

/// An account, as downloads need it. Each answer may take long: it is asked for when the budget has room.
pub trait Supply: Send + Sync {
    /// A part of a file: [`PART_BYTES`], less at its end.
    fn part(&self, ask: &Ask) -> impl Future<Output = Result<Vec<u8>, Refusal>> + Send;

    /// A message as it is now; none when it is gone.
    fn message(
        &self,
        at: At,
    ) -> impl Future<Output = Result<Option<tl::enums::Message>, Refusal>> + Send;
}

/// Fetches what is to be fetched, for ever.
pub async fn run<S: Supply>(seat: &Seat, supply: &S) {
    loop {
        let step = step(seat, supply).await;
        if let Err(error) = step {
            tracing::warn!(error = chain(&error), "downloads pause");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

pub(super) async fn step<S: Supply>(seat: &Seat, supply: &S) -> Result<(), MediaError> {
    let depot = &seat.depot;
    let Some(claim) = depot.claim(seat.account).await? else {
        depot.wait().await;
        return Ok(());
    };
    let outcome = match outcome(&claim, supply).await {
        Ok(outcome) => outcome,
        Err(error) => {
            // The disk is full, or worse: the file can wait.
            let later = Outcome::Later(PAUSE, false, chain(&error));
            depot.settle(claim.job.file, &later).await?;
            return Err(error);
        }
    };
    tracing::debug!(file = ?claim.job.file, ?outcome, "a download ended");
    depot.settle(claim.job.file, &outcome).await
}

/// What one try makes of a file.
async fn outcome<S: Supply>(claim: &Claim, supply: &S) -> Result<Outcome, MediaError> {
    let room = match claim.depot.room(claim.job.size) {
        Ok(room) => room,
        Err(outcome) => return Ok(outcome),
    };
    let draft = claim.depot.folder.begin(claim.job.file)?;
    let job = &claim.job;
    let download = Download {
        supply,
        job,
        room,
        draft,
        turns: 0,
    };
    let ended = download.run().await;
    Ok(match ended {
        Ok(End::Whole(draft)) => {
            let kept = blocking(move || draft.finish()).await?;
            Outcome::Stored(kept)
        }
        Ok(End::TooLarge) if room < claim.depot.limits.bytes_max => Outcome::NoRoom,
        Ok(End::TooLarge) => Outcome::TooLarge,
        Err(Stop::Disk(error)) => return Err(error),
        Err(Stop::Gone) => {
            Outcome::Failed("its message is gone, or carries something else now".to_owned())
        }
        Err(Stop::Refused(refusal)) => judged(claim.depot.accounts, job.attempts, refusal),
    })
}

/// What becomes of a file that was refused after so many tries by all accounts.
pub(super) fn judged(accounts: usize, attempts: i64, refusal: Refusal) -> Outcome {
    let why = match refusal {
        Refusal::Away(why) => return Outcome::Later(PAUSE, false, why),
        Refusal::Stale => "its reference is refused, however fresh".to_owned(),
        Refusal::Elsewhere(dc) => format!("one data centre names the other, last {dc}"),
        Refusal::Refused(why) => why,
    };
    let accounts = i64::try_from(accounts).unwrap_or(1);
    if attempts + 1 >= ATTEMPTS_MAX * accounts {
        return Outcome::Failed(why);
    }
    let factor = u32::try_from(attempts)
        .ok()
        .and_then(|attempts| 4_u32.checked_pow(attempts));
    let wait = factor.and_then(|factor| RETRY.checked_mul(factor));
    Outcome::Later(wait.unwrap_or(RETRY_MAX).min(RETRY_MAX), true, why)
}

/// A try of a file.
struct Download<'a, S> {
    supply: &'a S,
    job: &'a Job,
    /// Bytes that it may have.
    room: u64,
    draft: Draft,
    turns: u32,
}

enum End {
    Whole(Draft),
    TooLarge,
}

enum Stop {
    Disk(MediaError),
    Refused(Refusal),
    /// No message carries it any more.
    Gone,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl<S: Supply> Download<'_, S> {
    async fn run(mut self) -> Result<End, Stop> {
        let mut location = match self.job.location.clone() {
            Some(location) => location,
            None => self.looked_up().await?,
        };
        loop {
            if self.draft.bytes() > self.room {
                return Ok(End::TooLarge);
            }
            let ask = Ask {
                dc: location.dc,
                location: location.input(self.job.file),
                offset: i64::try_from(self.draft.bytes()).unwrap_or(i64::MAX),
            };
            match self.supply.part(&ask).await {
                Ok(bytes) => {
                    let is_last = bytes.len() < usize::try_from(PART_BYTES).unwrap_or(usize::MAX);
                    let mut draft = self.draft;
                    let written = blocking(move || {
                        draft.write(&bytes)?;
                        Ok(draft)
                    });
                    self.draft = written.await.map_err(Stop::Disk)?;
                    if is_last {
                        return self.end(&location);
                    }
                }
                Err(Refusal::Stale) if self.turns < TURNS_MAX => {
                    self.turns += 1;
                    location = self.looked_up().await?;
                }
                Err(Refusal::Elsewhere(dc)) if self.turns < TURNS_MAX => {
                    self.turns += 1;
                    location.dc = dc;
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    /// The file as it came, unless that cannot be all of it. What is told of photos is not exact.
    fn end(self, location: &Location) -> Result<End, Stop> {
        let bytes = self.draft.bytes();
        let told = location.size.and_then(|size| u64::try_from(size).ok());
        let is_whole = match self.job.file.class {
            Class::Photo => bytes > 0,
            Class::Document => told.is_none_or(|told| told == bytes),
        };
        if bytes > self.room {
            return Ok(End::TooLarge);
        }
        if !is_whole {
            let told = told.unwrap_or(0);
            let why = format!("{bytes} bytes came, and {told} were told of");
            return Err(Refusal::Refused(why).into());
        }
        Ok(End::Whole(self.draft))
    }

    /// Where the file is by its messages as they are now, the newest first.
    async fn looked_up(&self) -> Result<Location, Stop> {
        let mut refused = None;
        for at in &self.job.places {
            match self.supply.message(*at).await {
                Ok(message) => {
                    let file = self.job.file;
                    let found = message.and_then(|message| find::location(&message, file));
                    if let Some(location) = found {
                        return Ok(location);
                    }
                }
                Err(Refusal::Away(why)) => return Err(Refusal::Away(why).into()),
                Err(refusal) => refused = Some(refusal),
            }
        }
        Err(refused.map_or(Stop::Gone, Stop::from))
    }
}

/// Work with the disk, which may take its time.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MediaError> + Send + 'static,
) -> Result<T, MediaError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The program ends.
            Err(_) => std::future::pending().await,
        },
    }
}
