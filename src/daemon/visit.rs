//! The live source where no daemon runs: a command looks at what the log knows, and asks Telegram itself.
//!
//! Whoever does this holds the log, so no daemon can start beside it, and the session, so there is one connection with
//! it at most.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::mirror::policy;
use super::office::Office;
use super::refusal::{failed, refused};
use super::{Daemon, DaemonError, MirrorError};
use crate::config::{self, Chat};
use crate::failure::{Class, Classify, Exit};
use crate::ingest::{self, IngestError};
use crate::journal::control::{Chats, Refusal};
use crate::source::telegram::account::{Meaning as _, Met, Visitor, visit};
use crate::source::telegram::login::LoginError;
use crate::source::telegram::normalise::Normaliser;
use crate::source::telegram::session::Gate;
use crate::source::{Source, SourceBatch, SourceError};

/// Why a command could not ask.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// The log, or what is made of it.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The session.
    #[error(transparent)]
    Session(#[from] LoginError),
    /// Telegram was asked, and this came of it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<MirrorError> for VisitError {
    fn from(error: MirrorError) -> VisitError {
        VisitError::Daemon(error.into())
    }
}

impl From<IngestError> for VisitError {
    fn from(error: IngestError) -> VisitError {
        VisitError::Daemon(error.into())
    }
}

impl Classify for VisitError {
    fn class(&self) -> Class {
        match self {
            VisitError::Daemon(error) => error.class(),
            VisitError::Session(error) => error.class(),
            VisitError::Refused(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            VisitError::Daemon(error) => error.hint(),
            VisitError::Session(error) => error.hint(),
            VisitError::Refused(error) => error.hint(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            VisitError::Daemon(error) => error.exit(),
            VisitError::Session(error) => error.exit(),
            VisitError::Refused(error) => error.exit(),
        }
    }
}

impl Daemon {
    /// All chats that the log knows, or the configuration names.
    pub async fn chats(&self) -> Result<Chats, VisitError> {
        let index = self.caught_up_index().await?;
        let (config, reader) = (self.telegram_config()?, &self.journal.reader);
        let office = Office::new(config, &index, reader, &self.status, BTreeMap::new());
        Ok(office.chats().await.map_err(MirrorError::Journal)?)
    }

    /// Asks Telegram about a chat, or about all dialogs of an account, with its session. With `keep`, session and log
    /// know of the answer afterwards.
    pub async fn meet(
        &mut self,
        account: &str,
        chat: Option<&Chat>,
        keep: bool,
    ) -> Result<Chats, VisitError> {
        let config = self.telegram_config()?.clone();
        let index = self.caught_up_index().await?;
        let reader = &self.journal.reader;
        let office = Office::new(&config, &index, reader, &self.status, BTreeMap::new());
        let session = Gate::new(&self.config.data_dir, &config, account)
            .enter()
            .await?;
        let visitor = Visitor {
            account,
            api_id: config.api_id,
            requests_per_minute: config.requests_per_minute,
            keep,
        };
        let question = office.question(chat);
        let met = visit(&session, &visitor, &question).await;
        let met = met.map_err(|fault| failed(&fault))?;
        let seen = office.seen(account, &met);
        if let (Some(chat), true) = (chat, seen.chats.is_empty()) {
            return Err(refused::no_chat(chat).into());
        }
        if keep {
            let is_first = config.accounts.first().is_some_and(|it| it == account);
            let meaning = Normaliser::new(account, policy(&config, is_first), index);
            self.keep(meaning, &met).await?;
        }
        Ok(seen)
    }

    /// Appends what there is to tell of those who came along.
    async fn keep(&mut self, mut meaning: Normaliser, met: &[Met]) -> Result<(), VisitError> {
        let pages = met.iter().map(|page| meaning.page(page.page()));
        let mut batches: Vec<SourceBatch> = pages.collect();
        batches.retain(|batch| !batch.events.is_empty());
        if batches.is_empty() {
            return Ok(());
        }
        let config = self.config.clone();
        self.fence(&config).await?;
        let (writer, stop) = (&self.journal.writer, CancellationToken::new());
        let mut told = Told(batches.into_iter());
        ingest::run(&mut told, writer, None, &self.status, &stop).await?;
        Ok(())
    }

    fn telegram_config(&self) -> Result<&config::Telegram, MirrorError> {
        let config = self.config.telegram.as_ref();
        config.ok_or(MirrorError::NotConfigured)
    }
}

/// What was told, as a source.
struct Told(std::vec::IntoIter<SourceBatch>);

impl Source for Told {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        Ok(self.0.next())
    }
}
