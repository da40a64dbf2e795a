//! Compressing and dropping what is old. One chunk a transaction, which gives way to whoever reads it.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::generations::{Generations, LOCK_NOT_AVAILABLE, LOCK_TIMEOUT, code};
use super::value::Time;
use super::{APPLY_SECONDS, NAME, setup, too_slow};
use crate::event::Timestamp;
use crate::store::ProjectionError;
use crate::store::sql::backend;

const DROPPING: &str = "dropping old messages";
const COMPRESSING: &str = "compressing old messages";

/// What became of old messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Those before this date are gone; none where nothing was dropped.
    pub before: Option<Timestamp>,
    /// The consumer that has not seen the next ones yet.
    pub held_by: Option<String>,
}

impl Generations {
    /// Drops the messages of the generation that is shown that are older than that, as far as whole chunks go and every
    /// consumer has seen them. The counts by hour stay.
    pub async fn drop_older(&mut self, age: Duration) -> Result<Dropped, ProjectionError> {
        const SQL: &str = "select d.upto, d.held_by from telegram.generations g, \
             telegram.drop_oldest(g.generation, now() - $1::text::interval) d where g.shown";
        let fail = |error| backend(NAME, DROPPING, error);
        let mut dropped = Dropped::default();
        while let Some(row) = self.step(SQL, age, DROPPING).await? {
            let Some(upto) = row.try_get::<Option<Time>, _>(0).map_err(fail)? else {
                break;
            };
            dropped.held_by = row.try_get(1).map_err(fail)?;
            if dropped.held_by.is_some() {
                break;
            }
            dropped.before = Some(upto.into());
        }
        Ok(dropped)
    }

    /// Compresses the chunks of messages that are older than that, in the generation that is shown; returns how many. None
    /// where the edition cannot.
    pub async fn compress_older(&mut self, age: Duration) -> Result<u64, ProjectionError> {
        const SQL: &str = "select telegram.compress_oldest(g.generation, now() - $1::text::interval) \
             from telegram.generations g where g.shown";
        let mut compressed = 0;
        while let Some(row) = self.step(SQL, age, COMPRESSING).await? {
            let chunk: Option<String> = row
                .try_get(0)
                .map_err(|error| backend(NAME, COMPRESSING, error))?;
            if chunk.is_none() {
                break;
            }
            compressed += 1;
        }
        Ok(compressed)
    }

    /// Has a generation that is being made keep messages from the same date on as the one that is shown.
    pub async fn keep_as_shown(&mut self, number: i32) -> Result<(), ProjectionError> {
        let kept = sqlx::query(
            "update telegram.generations set since = s.since \
             from (select since from telegram.generations where shown) s where generation = $1",
        );
        let kept = kept.bind(number).execute(&mut self.connection).await;
        let fail = |error| backend(NAME, "making a generation", error);
        kept.map(drop).map_err(fail)
    }

    /// One call about what is older than that. None where somebody else holds what it needs: the next time will do.
    async fn step(
        &mut self,
        sql: &'static str,
        age: Duration,
        doing: &'static str,
    ) -> Result<Option<sqlx::postgres::PgRow>, ProjectionError> {
        let called = async {
            // A reader that waits behind us waits no longer than this.
            let begin = format!("begin; set local lock_timeout = '{LOCK_TIMEOUT}'");
            let mut transaction = self.connection.begin_with(AssertSqlSafe(begin)).await?;
            let call = sqlx::query(sql).bind(setup::interval(age));
            let row = call.fetch_optional(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(row)
        };
        match tokio::time::timeout(Duration::from_secs(APPLY_SECONDS), called).await {
            Ok(Ok(row)) => Ok(row),
            Ok(Err(error)) if code(&error) == Some(LOCK_NOT_AVAILABLE) => Ok(None),
            Ok(Err(error)) => Err(backend(NAME, doing, error)),
            Err(_) => Err(too_slow(doing)),
        }
    }
}
