//! Looking at the quarantine, and trying again what is in it.

use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use wal::Seq;

use super::statements::Statements;
use super::value::Time;
use super::{APPLY_SECONDS, CONNECT_SECONDS, NAME, Timescale, limited, write};
use crate::event::Envelope;
use crate::failure::Class;
use crate::store::sql::{backend, cause, ours, reason};
use crate::store::{Batch, Entry, Poison, ProjectionError, Quarantine, Retried};

const READING: &str = "reading the quarantine";
const RETRYING: &str = "trying an event of the quarantine again";
const FORGETTING: &str = "taking an event out of the quarantine";

impl Quarantine for Timescale {
    async fn quarantine_size(&mut self) -> Result<u64, ProjectionError> {
        let sql = format!(
            "select count(*) from telegram.quarantine where {}",
            self.prepared().await?.here
        );
        let mut connection = self.connected(READING).await?;
        let read = sqlx::query_scalar(ours(&sql)).fetch_one(&mut connection);
        let size: i64 = limited(CONNECT_SECONDS, READING, read).await?;
        self.connection = Some(connection);
        Ok(u64::try_from(size).unwrap_or(0))
    }

    async fn quarantined(
        &mut self,
        after: u64,
        max: usize,
    ) -> Result<Vec<Poison>, ProjectionError> {
        let statements = self.prepared().await?;
        let mut connection = self.connected(READING).await?;
        let read = read(&statements, &mut connection, after, max);
        let list = limited(APPLY_SECONDS, READING, read).await?;
        self.connection = Some(connection);
        Ok(list)
    }

    async fn retry(&mut self, envelope: &Envelope) -> Result<Retried, ProjectionError> {
        let statements = self.prepared().await?;
        let mut connection = self.connected(RETRYING).await?;
        let retried = retry(&statements, &mut connection, envelope).await?;
        self.connection = Some(connection);
        Ok(retried)
    }

    async fn forget(&mut self, seq: Seq) -> Result<bool, ProjectionError> {
        let statements = self.prepared().await?;
        let mut connection = self.connected(FORGETTING).await?;
        let forget = forget(&statements, &mut connection, seq);
        let gone = limited(APPLY_SECONDS, FORGETTING, forget).await?;
        self.connection = Some(connection);
        Ok(gone)
    }
}

async fn read(
    statements: &Statements,
    connection: &mut PgConnection,
    after: u64,
    max: usize,
) -> Result<Vec<Poison>, sqlx::Error> {
    let sql = format!(
        "select seq, kind, received_at, reason, raw from telegram.quarantine where {} and seq > $1 order by seq limit $2",
        statements.here
    );
    let rows = sqlx::query(ours(&sql))
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(i64::try_from(max).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let seq = u64::try_from(row.try_get::<i64, _>(0)?)
                .ok()
                .and_then(Seq::new);
            Ok(Poison {
                seq: seq.ok_or_else(|| sqlx::Error::Decode("a number below 1".into()))?,
                kind: u8::try_from(row.try_get::<i16, _>(1)?).unwrap_or(0),
                received_at: row.try_get::<Time, _>(2)?.into(),
                reason: row.try_get(3)?,
                raw: row.try_get(4)?,
            })
        })
        .collect()
}

async fn retry(
    statements: &Statements,
    connection: &mut PgConnection,
    envelope: &Envelope,
) -> Result<Retried, ProjectionError> {
    let fail = |error| backend(NAME, RETRYING, error);
    let batch = Batch::partial(vec![Entry::Event(envelope.clone())]);
    let (mut transaction, since) = write::begin(statements, connection, &batch).await?;
    match write::write(statements, &mut transaction, &batch.entries, since).await {
        Ok(()) => {
            let seq = envelope.seq;
            forget(statements, &mut transaction, seq)
                .await
                .map_err(fail)?;
            transaction.commit().await.map_err(fail)?;
            Ok(Retried::Applied)
        }
        Err(error) if cause(NAME, &error).class == Class::Corrupt => {
            transaction.rollback().await.map_err(fail)?;
            let reason = reason(&error);
            let sql = format!(
                "update telegram.quarantine set reason = $2 where {} and seq = $1",
                statements.here
            );
            sqlx::query(ours(&sql))
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

async fn forget(
    statements: &Statements,
    connection: &mut PgConnection,
    seq: Seq,
) -> Result<bool, sqlx::Error> {
    let sql = format!(
        "delete from telegram.quarantine where {} and seq = $1",
        statements.here
    );
    let done = sqlx::query(ours(&sql))
        .bind(stored(seq))
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}

fn stored(seq: Seq) -> i64 {
    i64::try_from(seq.get()).unwrap_or(i64::MAX)
}
