//! Whoever can change the log: the running daemon, or this process when none runs.

use crate::cli::CommandError;
use crate::config::Config;
use crate::daemon::{Desk, Holder, say_opening};
use crate::journal::control::{Answer, Command};
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
    /// Takes the log, or finds who has it.
    pub(super) async fn take(config: &Config) -> Result<Hand, CommandError> {
        // A log is not made in order to be changed.
        drop(JournalReader::of(config)?);
        let status = Status::new();
        match Journal::open(&config.data_dir, &config.wal, status.clone(), say_opening) {
            Ok(journal) => {
                let desk = Desk::new(&journal, config, &status, Holder::Command);
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
