//! The live source: Telegram itself.
//!
//! | file | what |
//! |---|---|
//! | `driver` | decides what is asked, in which order updates count, and what is missing |
//! | `account` | one account for ever: connects, hands pages over, begins again |
//! | `backfill` | what of the past is to be fetched |
//! | `reconcile` | whether the log is as far as Telegram, and what was deleted unseen |
//! | `freshness` | how long a channel has been quiet, against its rhythm |
//! | `normalise` | what updates mean: pages to events |
//! | `index` | what was seen of each message |
//! | `policy` | whose updates are mirrored |
//! | `session` | the keys and peers of an account, in a file that is ours alone |
//! | `login` | logging in and out |
//! | `link` | the client library as one piece, with time limits; the socket is always emptied |
//! | `refusal` | what Telegram's errors mean |
//! | `clock` | does this machine's agree with Telegram's? |
//! | `watchdog` | is anyone there? |
//! | `hearing` | does the server still push? |
//! | `media` | files, fetched behind the text |
//! | `raw` | messages out of the raw bytes of the log |
//! | `budget` | which request may be sent when: waits that Telegram asked for, places, tokens |

pub mod account;
pub mod backfill;
pub mod budget;
pub mod clock;
pub mod driver;
pub mod freshness;
pub mod hearing;
pub mod index;
pub mod link;
pub mod login;
pub mod media;
pub mod normalise;
pub mod policy;
mod raw;
pub mod reconcile;
pub mod refusal;
pub mod session;
pub mod watchdog;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Source, SourceBatch, SourceError};
use crate::status::Status;
use account::{Door, Inputs};
use link::panic_text;

/// Batches on their way from the accounts to the log. Few: what waits, waits in the accounts' own queues, where it is
/// counted.
const BATCHES_MAX: usize = 64;

/// All accounts as one source. Each keeps its own order; dropping it ends them.
pub struct Telegram {
    batches: mpsc::Receiver<SourceBatch>,
    accounts: JoinSet<()>,
}

impl Telegram {
    /// Starts the accounts. They run until stopped, whatever happens to their connections.
    pub fn start<D: Door + 'static>(
        accounts: Vec<(Inputs, D)>,
        status: &Status,
        stop: &CancellationToken,
    ) -> Telegram {
        let (out, batches) = mpsc::channel(BATCHES_MAX);
        let mut tasks = JoinSet::new();
        for (inputs, door) in accounts {
            let (out, status, stop) = (out.clone(), status.clone(), stop.clone());
            tasks.spawn(account::run(inputs, door, out, status, stop));
        }
        Telegram {
            batches,
            accounts: tasks,
        }
    }
}

fn died(error: JoinError) -> SourceError {
    let why = match error.try_into_panic() {
        Ok(panic) => format!("an account panicked: {}", panic_text(panic)),
        Err(error) => format!("an account: {error}"),
    };
    SourceError::Ended { why }
}

impl Source for Telegram {
    async fn next(&mut self) -> Result<Option<SourceBatch>, SourceError> {
        loop {
            tokio::select! {
                biased;
                batch = self.batches.recv() => match batch {
                    Some(batch) => return Ok(Some(batch)),
                    None => break,
                },
                // An account ends when it is stopped, and whatever goes wrong in its lives is contained. One that is
                // gone all the same must not look alive.
                Some(ended) = self.accounts.join_next() => ended.map_err(died)?,
            }
        }
        while let Some(ended) = self.accounts.join_next().await {
            ended.map_err(died)?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_account_that_is_gone_is_an_error_and_not_a_quiet_evening() {
        let (out, batches) = mpsc::channel(1);
        let mut accounts = JoinSet::new();
        accounts.spawn(async { panic!("poison") });
        // The other account lives on.
        let mut source = Telegram { batches, accounts };
        let error = source.next().await.expect_err("one is gone");
        assert_eq!(
            error.to_string(),
            "a part of the source ended: an account panicked: poison"
        );
        drop(out);
        assert!(source.next().await.expect("all are gone").is_none());
    }
}
