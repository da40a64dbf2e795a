//! The thread that owns the log's only writer.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use wal::{AppendError, Batch, Log, Options, Outcome, Seq};

use super::{JournalError, Request};
use crate::failure::chain;
use crate::status::Status;

/// Wait before the log is opened again after an I/O error; doubles up to the limit.
const REOPEN_WAIT_MIN: Duration = Duration::from_millis(200);
const REOPEN_WAIT_MAX: Duration = Duration::from_secs(10);

/// All that the writer thread holds besides the log.
pub(super) struct Owner {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) commit_events_max: usize,
    pub(super) current: Arc<RwLock<Option<wal::Reader>>>,
    pub(super) tail: watch::Sender<u64>,
    pub(super) status: Status,
}

impl Owner {
    /// Commits until every sender is gone, then closes the log.
    pub(super) fn run(self, log: Log, mut requests: mpsc::Receiver<Request>) {
        let mut log = Some(log);
        while let Some(first) = requests.blocking_recv() {
            let group = self.gather(first, &mut requests);
            match self.commit(&mut log, &merge(&group)) {
                Ok(outcomes) => answer(group, outcomes),
                // One request breaks a limit: it alone is refused, the others go in without it.
                Err(_) => {
                    for request in group {
                        match self.commit(&mut log, &merge(std::slice::from_ref(&request))) {
                            Ok(outcomes) => answer(vec![request], outcomes),
                            Err(error) => {
                                let _ = request.reply.send(Err(JournalError::Append(error)));
                            }
                        }
                    }
                }
            }
        }
        self.set_reader(None);
        if let Some(log) = log
            && let Err(error) = log.close()
        {
            tracing::error!(error = chain(&error), "the log was not closed cleanly");
        }
    }

    /// Group commit: whatever queued while the last commit ran, up to the limit.
    fn gather(&self, first: Request, requests: &mut mpsc::Receiver<Request>) -> Vec<Request> {
        let mut events = first.append.records.len();
        let mut group = vec![first];
        while events < self.commit_events_max {
            let Ok(request) = requests.try_recv() else {
                break;
            };
            events += request.append.records.len();
            group.push(request);
        }
        group
    }

    /// Makes the batch durable, however long that takes. A failed handle is never used again: the log is opened
    /// anew, its tail scanned, and the batch appended again; dedup keys recognise what was durable after all.
    /// While this waits nothing is acknowledged, so the sources wait too (I9). An error is returned only for a batch
    /// that breaks a limit, which leaves the log as it was.
    fn commit(&self, log: &mut Option<Log>, batch: &Batch) -> Result<Vec<Outcome>, AppendError> {
        let mut wait = REOPEN_WAIT_MIN;
        loop {
            let error = match log.as_mut().map(|log| log.append(batch)) {
                Some(Ok(appended)) => {
                    let tail = appended.tail.map_or(0, Seq::get);
                    self.status.durable(tail);
                    self.status.journal_fault(None);
                    self.tail.send_replace(tail);
                    return Ok(appended.outcomes);
                }
                Some(Err(
                    error @ (AppendError::Poisoned
                    | AppendError::Disk { .. }
                    | AppendError::Structure(_)),
                )) => chain(&JournalError::Append(error)),
                Some(Err(error)) => return Err(error),
                None => match self.reopen() {
                    Ok(again) => {
                        *log = Some(again);
                        continue;
                    }
                    Err(error) => chain(&error),
                },
            };
            tracing::error!(error, retry_in = ?wait, "the log cannot be written; ingest waits");
            self.status.journal_fault(Some(error));
            self.set_reader(None);
            *log = None;
            std::thread::sleep(wait);
            wait = (wait * 2).min(REOPEN_WAIT_MAX);
        }
    }

    fn reopen(&self) -> Result<Log, JournalError> {
        let log = Log::open(&self.dir, self.options.clone()).map_err(JournalError::Open)?;
        self.set_reader(Some(log.reader()));
        self.tail
            .send_replace(log.recovery().tail.map_or(0, Seq::get));
        Ok(log)
    }

    fn set_reader(&self, reader: Option<wal::Reader>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = reader;
    }
}

fn answer(group: Vec<Request>, outcomes: Vec<Outcome>) {
    let mut outcomes = outcomes.into_iter();
    for request in group {
        let own = outcomes
            .by_ref()
            .take(request.append.records.len())
            .collect();
        // The asker may have gone; the events are durable all the same.
        let _ = request.reply.send(Ok(own));
    }
}

fn merge(group: &[Request]) -> Batch {
    let mut batch = Batch::default();
    for request in group {
        batch.records.extend(request.append.records.iter().cloned());
        batch
            .bookmarks
            .extend(request.append.bookmarks.iter().cloned());
        batch.cursors.extend(request.append.cursors.iter().cloned());
    }
    batch
}
