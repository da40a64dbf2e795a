//! The thread that owns the log's only writer.

use std::collections::VecDeque;
use std::iter;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use wal::{AppendError, Batch, Log, Options, Outcome, Seq};

use super::JournalError;
use super::ballast::Ballast;
use super::group::{Arrival, gather};
use super::request::{self, Done, Job, Queued, Request, answer, merge};
use super::sources::Sources;
use super::trouble::{self, Trouble};
use crate::failure::chain;
use crate::status::Status;

/// All that the writer thread holds.
pub(super) struct Owner {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) commit_events_max: usize,
    pub(super) current: Arc<RwLock<Option<wal::Reader>>>,
    pub(super) tail: watch::Sender<u64>,
    pub(super) status: Status,
    pub(super) ballast: Ballast,
    /// The ballast is not whole: the disk was full.
    pub(super) given_back: bool,
    /// None while it cannot be opened.
    pub(super) log: Option<Log>,
    /// Why nothing may be appended at the moment.
    pub(super) trouble: Option<Trouble>,
    /// Appends that came while nothing could be appended, in order.
    pub(super) backlog: VecDeque<Queued>,
    /// A job that came behind appends that are being made durable. It does not wait for room on the disk: a trim may be
    /// what gives room.
    pub(super) held: Option<Waiting>,
}

/// Why a batch is not durable.
pub(super) enum Refused {
    /// It breaks a limit; the log is as it was.
    Limit(AppendError),
    /// The program ends.
    Stopped,
}

impl Owner {
    /// Serves until every sender is gone, then closes the log.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while self.mend(&mut requests).is_ok()
            && let Some(request) = self.next(&mut requests)
        {
            match request {
                Request::Job(job, reply) => {
                    let done = self.perform(job);
                    let _ = reply.send(done);
                }
                Request::Append(first) => {
                    let (group, job) = self.gather(first, &mut requests);
                    self.held = job;
                    self.append(group, &mut requests);
                    self.perform_held();
                }
            }
        }
        self.close();
    }

    fn next(&mut self, requests: &mut mpsc::Receiver<Request>) -> Option<Request> {
        match self.backlog.pop_front() {
            Some(queued) => Some(Request::Append(queued)),
            None => requests.blocking_recv(),
        }
    }

    /// What queued while the last commit ran, as far as it goes into one.
    fn gather(
        &mut self,
        first: Queued,
        requests: &mut mpsc::Receiver<Request>,
    ) -> (Vec<Queued>, Option<Waiting>) {
        let backlog = &mut self.backlog;
        let waiting = iter::from_fn(|| match backlog.pop_front() {
            Some(queued) => Some(Arrival::Append(queued)),
            None => Some(match requests.try_recv().ok()? {
                Request::Append(queued) => Arrival::Append(queued),
                Request::Job(job, reply) => Arrival::Job((job, reply)),
            }),
        });
        let events_of = |queued: &Queued| queued.append.records.len();
        gather(first, waiting, events_of, self.commit_events_max)
    }

    fn append(&mut self, group: Vec<Queued>, requests: &mut mpsc::Receiver<Request>) {
        match self.commit(&merge(&group), requests) {
            Ok(outcomes) => answer(group, outcomes),
            // Whoever waits learns it when the senders go.
            Err(Refused::Stopped) => {}
            Err(Refused::Limit(_)) => {
                // One request breaks a limit: it alone is refused, the others go in without it.
                for request in group {
                    match self.commit(&merge(std::slice::from_ref(&request)), requests) {
                        Ok(outcomes) => answer(vec![request], outcomes),
                        Err(Refused::Limit(error)) => {
                            let _ = request.reply.send(Err(JournalError::Append(error)));
                        }
                        Err(Refused::Stopped) => {}
                    }
                }
            }
        }
    }

    /// Makes the batch durable, however long that takes. While this waits nothing is acknowledged, so the sources wait
    /// too (I9).
    fn commit(
        &mut self,
        batch: &Batch,
        requests: &mut mpsc::Receiver<Request>,
    ) -> Result<Vec<Outcome>, Refused> {
        let before = *self.tail.borrow();
        let mut tried = false;
        loop {
            self.mend(requests)?;
            // Nobody else appends: what the tail moved by was this batch, in an attempt that failed after its fsync.
            if tried && *self.tail.borrow() > before {
                let again = self.try_append(&request::with_keys_only(batch));
                if let Some(keyed) = self.sort(again)? {
                    return Ok(request::outcomes_of_durable(batch, &keyed, before));
                }
                continue;
            }
            tried = true;
            let appended = self.try_append(batch);
            if let Some(outcomes) = self.sort(appended)? {
                return Ok(outcomes);
            }
        }
    }

    /// One attempt; measured and told when it succeeds.
    fn try_append(&mut self, batch: &Batch) -> Result<Vec<Outcome>, AppendError> {
        let started = Instant::now();
        let Some(log) = self.log.as_mut() else {
            return Err(AppendError::Poisoned);
        };
        let appended = log.append(batch)?;
        let tail = appended.tail.map_or(0, Seq::get);
        let bytes = request::appended_bytes(batch, &appended.outcomes);
        self.status.log(|board| {
            board.committed(started.elapsed(), appended.outcomes.len() as u64, bytes);
            if let Some(took) = appended.rolled {
                board.sealed(took);
            }
        });
        self.status.durable(tail);
        self.tail.send_replace(tail);
        Ok(appended.outcomes)
    }

    /// Parts a broken limit from trouble, which is noted and mended before the next attempt.
    fn sort(
        &mut self,
        appended: Result<Vec<Outcome>, AppendError>,
    ) -> Result<Option<Vec<Outcome>>, Refused> {
        match appended {
            Ok(outcomes) => Ok(Some(outcomes)),
            Err(
                error @ (AppendError::Poisoned
                | AppendError::Disk { .. }
                | AppendError::Structure(_)),
            ) => {
                self.failed(&error);
                Ok(None)
            }
            Err(error) => Err(Refused::Limit(error)),
        }
    }

    pub(super) fn perform_held(&mut self) {
        if let Some((job, reply)) = self.held.take() {
            let _ = reply.send(self.perform(job));
        }
    }

    /// Does what is not an append. Works on a full disk too: a trim may be what gives room.
    pub(super) fn perform(&mut self, job: Job) -> Result<Done, JournalError> {
        let started = Instant::now();
        let Some(log) = self.log.as_mut() else {
            return Err(JournalError::Reopening);
        };
        let done = match job {
            Job::Seal => log.seal().map(|()| Done::Sealed),
            Job::Trim { keep_from } => log.trim(keep_from).map(Done::Trimmed),
            // Appends that wait for room are told apart by the tail, which a fence would move.
            Job::Fence { .. } if self.trouble.is_some() => return Err(JournalError::Reopening),
            Job::Fence { to } => log.fence(to).map(Done::Fenced),
            Job::Archiver => return Ok(Done::Archiver(log.archiver())),
            Job::Compact { .. } | Job::Salvage { .. } => return self.replace(job),
        };
        match &done {
            Ok(Done::Sealed) => self.status.log(|board| board.sealed(started.elapsed())),
            Ok(Done::Fenced(Some(hole))) => {
                let tail = hole.last.get();
                self.status.durable(tail);
                self.tail.send_replace(tail);
                let reader = log.reader();
                self.set_reader(Some(reader));
            }
            Ok(_) => {}
            Err(error) => self.failed(error),
        }
        done.map_err(JournalError::Append)
    }

    /// Writes a sealed segment anew. A failure leaves the handle as it was.
    fn replace(&mut self, job: Job) -> Result<Done, JournalError> {
        let Some(log) = self.log.as_mut() else {
            return Err(JournalError::Reopening);
        };
        let done = match job {
            Job::Salvage { first, from } => {
                let sources = Sources::new(&from, Some(log.identity().log_id));
                let saved = log.salvage(first, Some(&sources));
                saved.map(|saved| Done::Salvaged(saved, sources.given()))
            }
            Job::Compact { first } => log.compact(first).map(Done::Compacted),
            Job::Seal | Job::Trim { .. } | Job::Fence { .. } | Job::Archiver => {
                return Err(JournalError::Closed);
            }
        };
        self.status.log(|board| board.damaged_are(log.recovery()));
        trouble::note_holes(&self.status, log);
        // A reader of before would hold the old file, and with it the space.
        let reader = log.reader();
        self.set_reader(Some(reader));
        done.map_err(JournalError::Rewrite)
    }

    pub(super) fn set_reader(&self, reader: Option<wal::Reader>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = reader;
    }

    fn close(mut self) {
        self.set_reader(None);
        if self.given_back {
            // Closing writes a little; this is what the rest of the ballast is for.
            if let Err(error) = self.ballast.release() {
                tracing::warn!(error = chain(&error), "the ballast cannot be given back");
            }
        }
        if let Some(log) = self.log.take()
            && let Err(error) = log.close()
        {
            tracing::error!(error = chain(&error), "the log was not closed cleanly");
        }
    }
}

/// A job with the place where its answer is awaited.
pub(super) type Waiting = (
    Job,
    tokio::sync::oneshot::Sender<Result<Done, JournalError>>,
);
