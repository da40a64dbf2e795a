//! The SQLite projection: an ordinary file that any tool opens, with full-text search, and needs no server.
//!
//! WAL mode, so that others may read while the gateway writes. `synchronous = normal` is enough: a power cut may take
//! the last transactions, but rows and checkpoint go together, and what is missing is applied again from the log.
//!
//! | file | what |
//! |---|---|
//! | `setup` | opening the file, migrations |
//! | `statements` | the SQL |
//! | `write` | a batch in one transaction |
//! | `value` | binding rows, columns to public values |
//! | `quarantine` | looking at the quarantine, and trying again what is in it |
//! | `snapshot` | reading back for `verify` |
//! | `mend` | making things anew for `verify --repair` |

mod mend;
mod quarantine;
mod setup;
mod snapshot;
mod statements;
mod value;
mod write;

use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Executor as _};

use self::statements::Statements;
use super::samples::Sampling;
use super::sql::{StoredCheckpoint, backend, refusal};
use super::{Batch, Checkpoint, Inspect, Projection, ProjectionError, ProjectionName};
use crate::config;
use crate::event::Timestamp;
use crate::failure::Class;

pub use self::snapshot::SqliteSnapshot;

const NAME: ProjectionName = ProjectionName::Sqlite;

/// The SQLite projection. Opens its file when it is first used, and again after an error.
#[derive(Debug)]
pub struct Sqlite {
    config: config::Sqlite,
    statements: Arc<Statements>,
    connection: Option<SqliteConnection>,
}

impl Sqlite {
    /// The projection in the configured file, which is made when it does not exist.
    pub fn new(config: config::Sqlite) -> Sqlite {
        Sqlite {
            statements: Arc::new(Statements::new(config.counter_history.is_some())),
            config,
            connection: None,
        }
    }

    /// The connection, taken out: whoever uses it puts it back when it is still good.
    async fn connected(
        &mut self,
        doing: &'static str,
    ) -> Result<SqliteConnection, ProjectionError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => setup::open(&self.config, doing).await,
        }
    }

    async fn read_sampling(
        connection: &mut SqliteConnection,
    ) -> Result<Option<Sampling>, sqlx::Error> {
        let row: Option<(i64, i64)> = sqlx::query_as(statements::READ_SAMPLING)
            .fetch_optional(connection)
            .await?;
        Ok(row.map(|(interval_us, after)| Sampling { interval_us, after }))
    }

    async fn read_checkpoint(
        connection: &mut SqliteConnection,
    ) -> Result<Option<StoredCheckpoint>, sqlx::Error> {
        let row: Option<(String, i64, i64, String)> = sqlx::query_as(statements::READ_CHECKPOINT)
            .fetch_optional(connection)
            .await?;
        row.map(|(log_id, epoch, seq, updated_at)| {
            let updated_at: Timestamp = updated_at
                .parse()
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            Ok(StoredCheckpoint {
                log_id,
                epoch,
                seq,
                updated_at,
            })
        })
        .transpose()
    }
}

impl Projection for Sqlite {
    fn name(&self) -> ProjectionName {
        NAME
    }

    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>, ProjectionError> {
        const DOING: &str = "reading the checkpoint";
        let mut connection = self.connected(DOING).await?;
        let stored = Self::read_checkpoint(&mut connection)
            .await
            .map_err(|error| backend(NAME, DOING, error))?;
        self.connection = Some(connection);
        stored.map(|stored| readable(&stored)).transpose()
    }

    async fn apply(&mut self, batch: &Batch) -> Result<(), ProjectionError> {
        let mut connection = self.connected("applying a batch").await?;
        write::apply(&self.statements, &mut connection, batch).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn clear(&mut self) -> Result<(), ProjectionError> {
        const DOING: &str = "emptying the projection";
        let mut connection = self.connected(DOING).await?;
        let cleared = async {
            let mut transaction = connection.begin_with(statements::BEGIN).await?;
            for sql in statements::CLEAR {
                transaction.execute(*sql).await?;
            }
            transaction.commit().await
        };
        cleared.await.map_err(|error| backend(NAME, DOING, error))?;
        self.connection = Some(connection);
        Ok(())
    }
}

impl Inspect for Sqlite {
    type Snapshot = SqliteSnapshot;

    async fn snapshot(&mut self) -> Result<SqliteSnapshot, ProjectionError> {
        SqliteSnapshot::open(&self.config).await
    }
}

fn readable(stored: &StoredCheckpoint) -> Result<Checkpoint, ProjectionError> {
    stored.read().ok_or_else(|| {
        refusal(
            NAME,
            "reading the checkpoint",
            Class::Operator,
            Some(
                "the table checkpoints was changed by hand; run: telegram-gateway rebuild sqlite"
                    .to_owned(),
            ),
            "the row in checkpoints is no checkpoint",
        )
    })
}
