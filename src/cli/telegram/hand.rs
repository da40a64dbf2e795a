//! Whoever can answer: the running daemon, or this process where none runs.

use super::super::CommandError;
use crate::config::{Chat, Config};
use crate::daemon::{Daemon, DaemonError};
use crate::failure::{Class, Classify, Exit};
use crate::journal::JournalError;
use crate::journal::control::{Answer, Ask, Chats, Command};
use crate::journal::socket::Remote;
use crate::status::Status;

/// Answers about chats, wherever.
pub(super) enum Hand {
    /// This process holds the log.
    Here(Box<Daemon>),
    /// A daemon does.
    There(Remote),
}

impl Hand {
    /// Takes the log, or finds who has it.
    pub(super) async fn take(config: &Config) -> Result<Hand, CommandError> {
        match Daemon::open(config.clone(), Status::new()) {
            Ok(daemon) => Ok(Hand::Here(Box::new(daemon))),
            Err(DaemonError::Journal(
                locked @ JournalError::Open(wal::OpenError::Locked { .. }),
            )) => {
                // Who holds the log without answering is not a daemon.
                let remote = Remote::connect(&config.data_dir).await;
                Ok(Hand::There(remote.map_err(|_| locked)?))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn chats(self) -> Result<Chats, CommandError> {
        match self {
            Hand::There(mut remote) => chats(answer(&mut remote, Ask::Chats).await?),
            Hand::Here(daemon) => {
                let chats = daemon.chats().await;
                daemon.close().await;
                Ok(chats?)
            }
        }
    }

    pub(super) async fn meet(
        self,
        account: &str,
        chat: Option<&Chat>,
        keep: bool,
    ) -> Result<Chats, CommandError> {
        match self {
            Hand::There(mut remote) => {
                let ask = Ask::Meet {
                    account: account.to_owned(),
                    chat: chat.map(Chat::to_string),
                    keep,
                };
                chats(answer(&mut remote, ask).await?)
            }
            Hand::Here(mut daemon) => {
                let met = daemon.meet(account, chat, keep).await;
                daemon.close().await;
                Ok(met?)
            }
        }
    }
}

/// Has the daemon do something that only it can.
pub(super) async fn order(config: &Config, ask: Ask) -> Result<Answer, CommandError> {
    let remote = Remote::connect(&config.data_dir).await;
    let mut remote = remote.map_err(|error| match error.is_absent() {
        true => CommandError::from(NoDaemon),
        false => error.into(),
    })?;
    answer(&mut remote, ask).await
}

/// What the daemon answers; a refusal is an error here, too.
async fn answer(remote: &mut Remote, ask: Ask) -> Result<Answer, CommandError> {
    match remote.ask(&Command::Telegram(ask)).await? {
        Answer::Refused(refusal) => Err(refusal.into()),
        answer => Ok(answer),
    }
}

fn chats(answer: Answer) -> Result<Chats, CommandError> {
    match answer {
        Answer::Chats(chats) => Ok(chats),
        _ => Err(Nonsense.into()),
    }
}

/// Nobody is there to do it.
#[derive(Debug, thiserror::Error)]
#[error("no daemon is running")]
struct NoDaemon;

impl Classify for NoDaemon {
    fn class(&self) -> Class {
        Class::Transient
    }

    fn hint(&self) -> Option<String> {
        Some("start it: telegram-gateway run".to_owned())
    }

    fn exit(&self) -> Exit {
        Exit::Backend
    }
}

/// The daemon answered something else than it was asked.
#[derive(Debug, thiserror::Error)]
#[error("the daemon answered something else than it was asked")]
pub(super) struct Nonsense;

impl Classify for Nonsense {
    fn class(&self) -> Class {
        Class::Corrupt
    }

    fn hint(&self) -> Option<String> {
        Some("the daemon is of another version: restart it".to_owned())
    }
}
