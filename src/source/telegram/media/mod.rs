//! Files that messages carry, fetched behind the text.
//!
//! What is to be fetched is read from the log, like everything that is made of it: the list of files says itself how
//! far it has read. Listing needs no network, so the list is never far behind, and the log never waits for a download.
//! The downloads go on from the list, one at a time for each account, and only while the account hears everything.
//!
//! | file | what |
//! |---|---|
//! | `find` | which file a message carries, and where its bytes are |
//! | `catalog` | the list of files |
//! | `report` | the list for the commands |
//! | `content` | the folder of the files |
//! | `fetch` | one download after the other |

mod catalog;
mod content;
mod error;
mod fetch;
mod find;
mod report;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wal::LogId;

use super::budget::Budget;
use crate::event::Envelope;
use catalog::{Job, Outcome, Turn};

pub use catalog::{Catalog, Limits};
pub use content::{Folder, Kept, Soundness};
pub use error::MediaError;
pub use fetch::{Ask, PART_BYTES, Refusal, Supply, run};
pub use find::{At, Class, FileId, Found, Location, found};
pub use report::{FileRow, Filter, StateRow};

/// The list of files, in the data directory.
pub const CATALOG: &str = "telegram/media.sqlite";

/// Records without a file after which the list notes how far it has read.
const NOTE_EVERY: u64 = 10_000;

/// How often to look whether a file may be tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The files of all accounts: the list, and the folder.
#[derive(Debug)]
pub struct Depot {
    catalog: Catalog,
    folder: Folder,
    limits: Limits,
    accounts: usize,
    /// The number that the list has as read.
    noted: Mutex<u64>,
    /// What the folder takes.
    bytes: Mutex<u64>,
    /// Files that are on their way.
    busy: Mutex<HashSet<FileId>>,
    /// There is something new.
    news: Notify,
}

/// An account at the depot.
#[derive(Debug, Clone)]
pub struct Seat {
    depot: Arc<Depot>,
    account: usize,
    /// Of its own, so that downloads wait for each other alone, and for longer than a connection lives.
    budget: Arc<Mutex<Budget>>,
}

impl Seat {
    /// When it may ask.
    pub fn budget(&self) -> Arc<Mutex<Budget>> {
        Arc::clone(&self.budget)
    }

    /// Whether it is that of the first account.
    pub fn is_first(&self) -> bool {
        self.account == 0
    }
}

/// A file that is on its way, and nobody else's until this is dropped.
struct Claim {
    depot: Arc<Depot>,
    job: Job,
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.depot.busy).remove(&self.job.file);
    }
}

impl Depot {
    /// Opens list and folder. The list is of this log, which reaches to `tail`.
    pub async fn open(
        data_dir: &Path,
        folder: &Path,
        (log, tail): (LogId, u64),
        limits: Limits,
        accounts: usize,
    ) -> Result<Depot, MediaError> {
        let path = data_dir.join(CATALOG);
        let folder = Folder::open(folder)?;
        let catalog = Catalog::open(&path, log, tail, &limits).await?;
        let bytes = catalog.stored_bytes().await?;
        let noted = catalog.covered().await?;
        Ok(Depot {
            noted: Mutex::new(noted),
            catalog,
            folder,
            limits,
            accounts: accounts.max(1),
            bytes: Mutex::new(bytes),
            busy: Mutex::default(),
            news: Notify::new(),
        })
    }

    /// A place for an account, by its position among the configured ones.
    pub fn seat(self: &Arc<Depot>, account: usize, requests_per_minute: u32) -> Seat {
        let budget = Budget::new(requests_per_minute, Instant::now());
        Seat {
            depot: Arc::clone(self),
            account,
            budget: Arc::new(Mutex::new(budget)),
        }
    }

    /// The last number of the log that is known to be read; 0 for none.
    pub async fn covered(&self) -> Result<u64, MediaError> {
        self.catalog.covered().await
    }

    /// Lists the files of these events, with how far the log was read. Where there are none, that is noted now and then
    /// only, for the sake of the disk: what is read twice is listed once.
    pub async fn absorb(&self, envelopes: &[Envelope], covered: u64) -> Result<(), MediaError> {
        let found: Vec<Found> = envelopes.iter().filter_map(found).collect();
        let is_due = covered.saturating_sub(*lock(&self.noted)) >= NOTE_EVERY;
        if found.is_empty() && !is_due {
            return Ok(());
        }
        self.catalog.absorb(&found, covered, &self.limits).await?;
        *lock(&self.noted) = covered;
        if !found.is_empty() {
            self.news.notify_waiters();
        }
        Ok(())
    }

    /// Something to fetch, that nobody fetches.
    async fn claim(self: &Arc<Depot>, account: usize) -> Result<Option<Claim>, MediaError> {
        let accounts = self.accounts;
        let turn = Turn { account, accounts };
        for job in self.catalog.next(turn, accounts).await? {
            if lock(&self.busy).insert(job.file) {
                let depot = Arc::clone(self);
                return Ok(Some(Claim { depot, job }));
            }
        }
        Ok(None)
    }

    /// Waits until there may be something to fetch.
    async fn wait(&self) {
        tokio::select! {
            () = self.news.notified() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }

    /// How large a file of this size may become; why it may not be fetched where its size tells already.
    fn room(&self, size: Option<i64>) -> Result<u64, Outcome> {
        let told = size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        let left = self
            .limits
            .store_bytes_max
            .saturating_sub(*lock(&self.bytes));
        match (told > self.limits.bytes_max, told > left) {
            (true, _) => Err(Outcome::TooLarge),
            (false, true) => Err(Outcome::NoRoom),
            (false, false) => Ok(self.limits.bytes_max.min(left)),
        }
    }

    /// Notes what became of a file.
    async fn settle(&self, file: FileId, outcome: &Outcome) -> Result<(), MediaError> {
        if let Outcome::Stored(kept) = outcome
            && kept.is_new
        {
            *lock(&self.bytes) += kept.bytes;
        }
        self.catalog.settle(file, outcome).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
