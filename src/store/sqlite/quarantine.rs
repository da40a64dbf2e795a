//! Looking at the quarantine, and trying again what is in it.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use wal::Seq;

use super::statements::{self, Statements};
use super::{NAME, Sqlite, write};
use crate::event::{Envelope, Timestamp};
use crate::failure::Class;
use crate::store::sql::{backend, cause, reason};
use crate::store::{Batch, Entry, Poison, ProjectionError, Quarantine, Retried};

const READING: &str = "reading the quarantine";
const RETRYING: &str = "trying an event of the quarantine again";
const FORGETTING: &str = "taking an event out of the quarantine";

impl Quarantine for Sqlite {
    async fn quarantine_size(&mut self) -> Result<u64, ProjectionError> {
        let mut connection = self.connected(READING).await?;
        let size: i64 = sqlx::query_scalar(statements::QUARANTINE_SIZE)
            .fetch_one(&mut connection)
            .await
            .map_err(|error| backend(NAME, READING, error))?;
        self.connection = Some(connection);
        Ok(u64::try_from(size).unwrap_or(0))
    }

    async fn quarantined(
        &mut self,
        after: u64,
        max: usize,
    ) -> Result<Vec<Poison>, ProjectionError> {
        let mut connection = self.connected(READING).await?;
        let list = read(&mut connection, after, max)
            .await
            .map_err(|error| backend(NAME, READING, error))?;
        self.connection = Some(connection);
        Ok(list)
    }

    async fn retry(&mut self, envelope: &Envelope) -> Result<Retried, ProjectionError> {
        let mut connection = self.connected(RETRYING).await?;
        let retried = retry(&self.statements, &mut connection, envelope).await?;
        self.connection = Some(connection);
        Ok(retried)
    }

    async fn forget(&mut self, seq: Seq) -> Result<bool, ProjectionError> {
        let mut connection = self.connected(FORGETTING).await?;
        let gone = forget(&mut connection, seq)
            .await
            .map_err(|error| backend(NAME, FORGETTING, error))?;
        self.connection = Some(connection);
        Ok(gone)
    }
}

async fn read(
    connection: &mut SqliteConnection,
    after: u64,
    max: usize,
) -> Result<Vec<Poison>, sqlx::Error> {
    let rows = sqlx::query(statements::READ_QUARANTINE)
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(i64::try_from(max).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    let bad = |text: &str| sqlx::Error::Decode(text.to_owned().into());
    rows.iter()
        .map(|row| {
            let seq = u64::try_from(row.try_get::<i64, _>(0)?)
                .ok()
                .and_then(Seq::new);
            let at = row.try_get::<String, _>(2)?.parse::<Timestamp>();
            Ok(Poison {
                seq: seq.ok_or_else(|| bad("a number below 1"))?,
                kind: u8::try_from(row.try_get::<i64, _>(1)?).unwrap_or(0),
                received_at: at.map_err(|error| bad(&error.to_string()))?,
                reason: row.try_get(3)?,
                raw: row.try_get(4)?,
            })
        })
        .collect()
}

async fn retry(
    statements: &Statements,
    connection: &mut SqliteConnection,
    envelope: &Envelope,
) -> Result<Retried, ProjectionError> {
    let fail = |error| backend(NAME, RETRYING, error);
    let batch = Batch::partial(vec![Entry::Event(envelope.clone())]);
    let mut transaction = write::begin(connection, &batch).await?;
    match write::write(statements, &mut transaction, &batch.entries).await {
        Ok(()) => {
            forget(&mut transaction, envelope.seq).await.map_err(fail)?;
            transaction.commit().await.map_err(fail)?;
            Ok(Retried::Applied)
        }
        Err(error) if cause(NAME, &error).class == Class::Corrupt => {
            transaction.rollback().await.map_err(fail)?;
            let reason = reason(&error);
            sqlx::query(statements::EXPLAIN_QUARANTINE)
                .bind(stored(envelope.seq))
                .bind(reason.clone())
                .execute(connection)
                .await
                .map_err(fail)?;
            Ok(Retried::Refused(reason))
        }
        Err(error) => Err(fail(error)),
    }
}

async fn forget(connection: &mut SqliteConnection, seq: Seq) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(statements::FORGET_QUARANTINE)
        .bind(stored(seq))
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}

fn stored(seq: Seq) -> i64 {
    i64::try_from(seq.get()).unwrap_or(i64::MAX)
}
