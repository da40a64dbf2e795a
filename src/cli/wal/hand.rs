//! Whoever can change the log: the running daemon, or this process when none runs.

use crate::cli::{CommandError, stores};
use crate::config::Config;
use crate::daemon::{Desk, Stores, configured, say_opening};
use crate::journal::control::{Answer, Command};
use crate::journal::retention::Floor;
use crate::journal::socket::{Control as _, Remote};
use crate::journal::{Journal, JournalError, JournalReader};
use crate::status::Status;

/// Does commands, wherever.
pub(super) enum Hand {
    /// This process holds the log.
    Here(Box<Journal>, Desk),
    /// A daemon does.
    There(Remote),
}

impl Hand {
    /// Takes the log, or finds who has it. The stores are asked how far they are only where no daemon knows.
    pub(super) async fn take(config: &Config) -> Result<Hand, CommandError> {
        // A log is not made in order to be changed.
        drop(JournalReader::of(config)?);
        let status = Status::new();
        match Journal::open(&config.data_dir, &config.wal, status.clone(), say_opening) {
            Ok(journal) => {
                let stores = Stores::Asked(asked(config, &journal).await);
                let desk = Desk::new(&journal, config, &status, stores);
                Ok(Hand::Here(Box::new(journal), desk))
            }
            Err(locked @ JournalError::Open(wal::OpenError::Locked { .. })) => {
                // Who holds the log without answering is not a daemon.
                let remote = Remote::connect(&config.data_dir).await;
                Ok(Hand::There(remote.map_err(|_| locked)?))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Has it done.
    pub(super) async fn ask(&mut self, command: Command) -> Result<Answer, JournalError> {
        match self {
            Hand::Here(_, desk) => desk.run(command).await,
            Hand::There(remote) => remote.ask(&command).await,
        }
    }

    /// Gives the log back.
    pub(super) async fn release(self) {
        if let Hand::Here(journal, desk) = self {
            drop(desk);
            journal.close().await;
        }
    }
}

/// How far each configured store is. One that cannot be asked, or that was fed from another log, keeps everything.
async fn asked(config: &Config, journal: &Journal) -> Vec<Floor> {
    let mut floors = Vec::new();
    for name in configured(config) {
        let (seq, unknown) = match stores::checkpoint(config, name).await {
            Ok(None) => (0, None),
            Ok(Some(it)) if it.identity.log_id == journal.reader.identity().log_id => {
                (it.seq.get(), None)
            }
            Ok(Some(it)) => {
                let other = it.identity.log_id;
                (0, Some(format!("it was fed from another log, {other}")))
            }
            Err(error) => (0, Some(error)),
        };
        floors.push(Floor {
            name: format!("store {name}"),
            seq,
            unknown,
        });
    }
    floors
}
