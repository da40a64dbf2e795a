//! The log cannot be written: what is done until it can.
//!
//! A failed handle is never used again: it is dropped and the log opened anew, which finds out what is durable. From
//! then on the log can be read and trimmed. On a full disk it is appended to only once the ballast is whole again;
//! after any other error the next append is tried with a back-off.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, error::TryRecvError};
use wal::{AppendError, DiskError, Log, OpenError, Seq};

use super::JournalError;
use super::ballast::Ballast;
use super::error;
use super::request::Request;
use super::writer::{Owner, Refused};
use crate::failure::{Class, Classify as _, chain};
use crate::status::{BallastState, Status};

/// Wait before the log is tried again; doubles up to the limit.
const WAIT_MIN: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How often requests are looked for meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// What keeps the log from being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The disk is full.
    pub(super) full: bool,
    /// The error with its causes.
    pub(super) text: String,
}

impl Trouble {
    pub(super) fn of(error: &AppendError) -> Trouble {
        Trouble {
            full: error.is_disk_full(),
            text: told(error, error::append_class(error)),
        }
    }

    /// The ballast could not be filled.
    pub(super) fn no_ballast(error: &std::io::Error) -> Trouble {
        Trouble {
            full: is_no_room(error),
            text: format!("cannot fill the ballast: {error}"),
        }
    }
}

/// The error with its causes, and what helps if it is damage: opening anew does not mend that.
fn told(error: &dyn std::error::Error, class: Class) -> String {
    match class {
        Class::Corrupt => format!("{}; {}", chain(error), error::SALVAGE_WITHOUT_DAEMON),
        _ => chain(error),
    }
}

/// Puts the number of holes on the board. That they cannot be read is told by whoever reads.
pub(super) fn note_holes(status: &Status, log: &Log) {
    if let Ok(holes) = log.reader().holes() {
        status.log(|board| board.holes = holes.len() as u64);
    }
}

/// Whether opening failed for want of room.
pub(super) fn is_full(error: &OpenError) -> bool {
    matches!(
        error,
        OpenError::Disk {
            source: DiskError::Full(_),
            ..
        }
    )
}

/// Whether an error says that the disk is full.
pub(super) fn is_no_room(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
    )
}

impl Owner {
    /// The handle has failed: what is on disk is known again only after the log is opened anew. That is tried at once,
    /// so that reading goes on.
    pub(super) fn failed(&mut self, error: &AppendError) {
        let trouble = Trouble::of(error);
        self.set_reader(None);
        self.log = None;
        self.status.log(|board| {
            board.fault = Some(trouble.text.clone());
            board.full |= trouble.full;
        });
        if trouble.full && self.ballast.is_on() {
            self.give_back(Ballast::release_half);
        }
        if let Err(still) = self.reopen() {
            tracing::error!(error = still.text, "the log cannot be opened again yet");
        }
        self.trouble = Some(trouble);
    }

    /// Returns once the log is open and may be appended to. Jobs are done meanwhile, appends are put aside.
    pub(super) fn mend(&mut self, requests: &mut mpsc::Receiver<Request>) -> Result<(), Refused> {
        let mut wait = WAIT_MIN;
        while let Some(trouble) = &self.trouble {
            tracing::error!(
                error = trouble.text,
                retry_in = ?wait,
                "the log cannot be written; ingest waits"
            );
            self.serve_for(wait, requests)?;
            wait = (wait * 2).min(WAIT_MAX);
            match self.reopen().and_then(|()| self.fill()) {
                Ok(()) => self.trouble = None,
                Err(still) => self.trouble = Some(still),
            }
        }
        Ok(())
    }

    /// Opens the log unless it is open.
    fn reopen(&mut self) -> Result<(), Trouble> {
        if self.log.is_some() {
            return Ok(());
        }
        let mut opened = Log::open(&self.dir, self.options.clone());
        if self.ballast.is_on() && opened.as_ref().is_err_and(is_full) {
            self.give_back(Ballast::release);
            opened = Log::open(&self.dir, self.options.clone());
        }
        let log = opened.map_err(|error| {
            let full = is_full(&error);
            let error = JournalError::Open(error);
            let text = told(&error, error.class());
            Trouble { full, text }
        })?;
        self.set_reader(Some(log.reader()));
        let tail = log.recovery().tail.map_or(0, Seq::get);
        self.status.durable(tail);
        self.status.log(|board| {
            board.reopenings += 1;
            board.opened(log.recovery());
        });
        note_holes(&self.status, &log);
        self.tail.send_replace(tail);
        self.log = Some(log);
        Ok(())
    }

    /// Makes the ballast whole if it was given back: that this works is the proof that there is room.
    fn fill(&mut self) -> Result<(), Trouble> {
        if !self.given_back {
            return Ok(());
        }
        self.ballast
            .fill()
            .map_err(|error| Trouble::no_ballast(&error))?;
        self.given_back = false;
        self.status.log(|board| {
            board.ballast = BallastState::Whole;
            board.full = false;
            board.fault = None;
        });
        tracing::info!("there is room on the disk again; ingest goes on");
        Ok(())
    }

    fn give_back(&mut self, how: impl FnOnce(&Ballast) -> std::io::Result<()>) {
        self.given_back = true;
        self.status
            .log(|board| board.ballast = BallastState::Released);
        match how(&self.ballast) {
            Ok(()) => {
                tracing::warn!("the disk is full: the ballast makes room for an orderly stop")
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "the ballast cannot be given back")
            }
        }
    }

    /// Does the jobs that come until the time is over; appends wait.
    fn serve_for(
        &mut self,
        wait: Duration,
        requests: &mut mpsc::Receiver<Request>,
    ) -> Result<(), Refused> {
        let until = Instant::now() + wait;
        self.perform_held();
        loop {
            match next_until(requests, until) {
                Next::Request(Request::Append(queued)) => self.backlog.push_back(queued),
                Next::Request(Request::Job(job, reply)) => {
                    let _ = reply.send(self.perform(job));
                }
                Next::Late => return Ok(()),
                Next::Ended => return Err(Refused::Stopped),
            }
        }
    }
}

enum Next {
    Request(Request),
    Late,
    Ended,
}

/// The next request that comes before the time is over.
fn next_until(requests: &mut mpsc::Receiver<Request>, until: Instant) -> Next {
    loop {
        match requests.try_recv() {
            Ok(request) => return Next::Request(request),
            Err(TryRecvError::Disconnected) => return Next::Ended,
            Err(TryRecvError::Empty) if Instant::now() >= until => return Next::Late,
            // Looking this often costs nothing, and needs no timer of another runtime in this thread.
            Err(TryRecvError::Empty) => std::thread::sleep(LOOK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::{Done, Job};
    use super::*;

    /// Events and a trim that came together meet a full disk: only the trim can give room.
    #[test]
    fn a_job_behind_appends_that_fail_does_not_wait_for_room() {
        let dir = tempfile::tempdir().expect("a folder");
        let (tail, _) = tokio::sync::watch::channel(0);
        let log = Log::open(&dir.path().join("log"), wal::Options::default()).expect("new");
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        let mut owner = Owner {
            dir: dir.path().join("log"),
            options: wal::Options::default(),
            commit_events_max: 1,
            current: std::sync::Arc::default(),
            tail,
            status: Status::default(),
            ballast: Ballast::new(dir.path(), 0),
            given_back: true,
            log: Some(log),
            trouble: Some(Trouble {
                full: true,
                text: String::new(),
            }),
            backlog: std::collections::VecDeque::new(),
            held: Some((Job::Seal, reply)),
        };
        let (_sender, mut requests) = mpsc::channel(1);
        assert!(owner.mend(&mut requests).is_ok());
        assert!(matches!(answer.try_recv(), Ok(Ok(Done::Sealed))));
    }

    #[test]
    fn damage_names_what_mends_it_and_a_failing_disk_does_not() {
        let failed = |source| {
            let file = "segment".to_owned();
            Trouble::of(&AppendError::Disk { file, source }).text
        };
        let message = "the engine's own words".to_owned();
        let damaged = failed(DiskError::Panicked { message });
        assert!(
            damaged.ends_with("telegram-gateway wal salvage"),
            "{damaged}"
        );
        assert!(damaged.contains("the engine's own words"), "{damaged}");
        let failing = failed(DiskError::Io(std::io::Error::other("input/output error")));
        assert!(!failing.contains("salvage"), "{failing}");
    }
}
