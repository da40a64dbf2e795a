//! Making, showing and dropping generations. Nothing here is done to rows.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgDatabaseError};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Postgres, Row as _, Transaction};

use super::statements::{self, LOCK};
use super::{APPLY_SECONDS, NAME, limited, readable, setup, value};
use crate::config;
use crate::event::Timestamp;
use crate::failure::Class;
use crate::store::sql::{StoredCheckpoint, backend, refusal};
use crate::store::{Checkpoint, ProjectionError};

/// Second number of the lock that a session holds while it changes generations; generations themselves count from 1.
const CHANGING: i32 = -1;
/// How long the switch waits for readers that hold a view. Below PostgreSQL's `deadlock_timeout` of a second, so that
/// it is the switch that gives way and never a reader, and short enough for those that queue up behind it.
pub(super) const LOCK_TIMEOUT: &str = "800ms";
/// The server's own word for that.
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What a generation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It is being loaded, and was never shown.
    Building,
    /// The views show it.
    Shown,
    /// It was shown before, and is kept for a way back.
    Kept,
}

impl Stage {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Building => "building",
            Stage::Shown => "shown",
            Stage::Kept => "kept",
        }
    }
}

/// A generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Its number.
    pub number: i32,
    /// What it is for.
    pub stage: Stage,
    /// When it was made.
    pub made_at: Timestamp,
    /// Since when another one is shown in its place.
    pub hidden_at: Option<Timestamp>,
    /// How far it has come.
    pub checkpoint: Option<Checkpoint>,
    /// What its tables and indexes take on the disk.
    pub bytes: u64,
    /// The width of its next chunk.
    pub chunk_interval: Duration,
}

/// The generations of a store, over a direct connection of their own.
#[derive(Debug)]
pub struct Generations {
    pub(super) connection: PgConnection,
}

impl Generations {
    /// Brings the schema up to date, and makes the first generation where there is none.
    pub async fn open(config: &config::Timescale) -> Result<Generations, ProjectionError> {
        setup::prepare(config, None).await?;
        // A lock of the session and DDL must not be mixed with what others do on a pooled connection.
        let url = config.direct_url.as_ref().unwrap_or(&config.url);
        Ok(Generations {
            connection: setup::connect(url, "opening the generations").await?,
        })
    }

    /// Keeps every other process from changing generations until this is dropped.
    pub async fn hold(&mut self) -> Result<(), ProjectionError> {
        if self.try_hold().await? {
            return Ok(());
        }
        Err(refusal(
            NAME,
            "beginning to change generations",
            Class::Operator,
            Some("wait for it, or stop it: what it did is gone on with".to_owned()),
            "another process is rebuilding this store, or changes its generations",
        ))
    }

    async fn try_hold(&mut self) -> Result<bool, ProjectionError> {
        const DOING: &str = "beginning to change generations";
        let held = sqlx::query_scalar("select pg_catalog.pg_try_advisory_lock($1, $2)")
            .bind(LOCK)
            .bind(CHANGING)
            .fetch_one(&mut self.connection);
        limited(APPLY_SECONDS, DOING, held).await
    }

    /// All there are, oldest first.
    pub async fn list(&mut self) -> Result<Vec<Generation>, ProjectionError> {
        const DOING: &str = "listing generations";
        // What of a hypertable is in chunks is not below its own schema.
        const SQL: &str = "select g.generation, g.shown, g.shown_at is not null, g.made_at, g.hidden_at, \
             c.log_id, c.epoch, c.seq, c.updated_at, \
             ((select coalesce(sum(pg_total_relation_size(t.oid)), 0) from pg_class t \
               where t.relkind = 'r' and t.relnamespace = to_regnamespace('telegram_g' || g.generation)) \
              + (select coalesce(sum(s.bytes), 0) from telegram.storage s where s.generation = g.generation))::bigint, \
             (select (extract(epoch from d.time_interval) * 1000000)::bigint \
              from timescaledb_information.dimensions d where d.hypertable_schema = 'telegram_g' || g.generation \
              and d.hypertable_name = 'message_content') \
             from telegram.generations g \
             left join telegram.checkpoints c on c.generation = g.generation and c.projection = 'timescale' \
             order by g.generation";
        let read = sqlx::query(SQL).fetch_all(&mut self.connection);
        let rows = limited(APPLY_SECONDS, DOING, read).await?;
        rows.iter().map(generation).collect()
    }

    /// Makes an empty one.
    pub async fn make(&mut self, chunk_interval: Duration) -> Result<i32, ProjectionError> {
        const DOING: &str = "making a generation";
        let made = async {
            let begin = AssertSqlSafe(statements::begin_exclusive());
            let mut transaction = self.connection.begin_with(begin).await?;
            let number: i32 = sqlx::query_scalar(
                "select coalesce(max(generation), 0) + 1 from telegram.generations",
            )
            .fetch_one(&mut *transaction)
            .await?;
            setup::create(&mut transaction, number, chunk_interval).await?;
            transaction.commit().await?;
            Ok(number)
        };
        limited(APPLY_SECONDS, DOING, made).await
    }

    /// Takes the indexes off one that is empty, so that it is loaded faster.
    pub async fn strip_indexes(&mut self, number: i32) -> Result<(), ProjectionError> {
        let stripped = sqlx::query("select telegram.strip_indexes($1)").bind(number);
        let stripped = stripped.execute(&mut self.connection);
        limited(APPLY_SECONDS, "removing indexes", stripped).await?;
        Ok(())
    }

    /// Makes the indexes that one has not got. Takes as long as there are rows.
    pub async fn make_indexes(&mut self, number: i32) -> Result<(), ProjectionError> {
        let made = sqlx::query("select telegram.make_indexes($1)").bind(number);
        let made = made.execute(&mut self.connection).await;
        let fail = |error| backend(NAME, "making indexes", error);
        made.map(drop).map_err(fail)
    }

    /// Has the server look at the rows of one, so that it plans for what is there. Its own autovacuum looks at the columns
    /// that are left out here, in its time.
    pub async fn analyze(&mut self, number: i32) -> Result<(), ProjectionError> {
        let schema = format!("telegram_g{number}");
        let tables = statements::TABLES.map(|table| {
            let searched = statements::SEARCHED.iter().find(|(of, _)| *of == table);
            let columns = searched.map_or(String::new(), |(_, columns)| format!(" ({columns})"));
            format!("{schema}.{table}{columns}")
        });
        let sql = format!("analyze {}", tables.join(", "));
        let analyzed = self.connection.execute(AssertSqlSafe(sql)).await;
        let fail = |error| backend(NAME, "analyzing a generation", error);
        analyzed.map(drop).map_err(fail)
    }

    /// Counts all hours of one that nobody writes to.
    pub(super) async fn count_hours(&mut self, number: i32) -> Result<(), ProjectionError> {
        let counted = sqlx::query("select telegram.count_hours($1)").bind(number);
        let counted = counted.execute(&mut self.connection).await;
        let fail = |error| backend(NAME, "counting messages by the hour", error);
        counted.map(drop).map_err(fail)
    }

    /// Counts the hours again that changed and are over, in the generation that is shown. The live projection waits for a
    /// few of them at a time.
    pub async fn recount_hours(&mut self) -> Result<u64, ProjectionError> {
        const DOING: &str = "counting messages by the hour";
        const AT_ONCE: i32 = 10;
        let mut counted = 0;
        loop {
            let sql = "select telegram.recount_hours(generation, $1) from telegram.generations where shown";
            let some = sqlx::query_scalar(sql).bind(AT_ONCE);
            let some: i32 =
                limited(APPLY_SECONDS, DOING, some.fetch_one(&mut self.connection)).await?;
            counted += u64::from(some.unsigned_abs());
            if some < AT_ONCE {
                return Ok(counted);
            }
        }
    }

    /// Drops one that is not shown, with all its rows and its checkpoint.
    pub async fn remove(&mut self, number: i32) -> Result<(), ProjectionError> {
        let removed = async {
            let begin = AssertSqlSafe(statements::begin_exclusive());
            let mut transaction = self.connection.begin_with(begin).await?;
            sqlx::query("select telegram.drop_generation($1)")
                .bind(number)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        };
        limited(APPLY_SECONDS, "dropping a generation", removed).await
    }

    /// Drops those that were hidden longer ago than that, unless another process changes generations. Returns them.
    pub async fn sweep(&mut self, keep: Duration) -> Result<Vec<i32>, ProjectionError> {
        if !self.try_hold().await? {
            return Ok(Vec::new());
        }
        let keep = setup::interval(keep);
        let due = sqlx::query_scalar(
            "select generation from telegram.generations \
             where not shown and hidden_at < now() - $1::text::interval order by generation",
        );
        let due = due.bind(keep).fetch_all(&mut self.connection);
        let due: Vec<i32> = limited(APPLY_SECONDS, "looking for old generations", due).await?;
        for number in &due {
            self.remove(*number).await?;
        }
        Ok(due)
    }

    /// Begins the switch: from here until it is finished or dropped, no batch reaches the generation that is shown.
    pub async fn begin_switch(&mut self) -> Result<Switch<'_>, ProjectionError> {
        let begun = async {
            let begin = AssertSqlSafe(statements::begin_exclusive());
            let mut transaction = self.connection.begin_with(begin).await?;
            // The rows behind the switch must be as durable as the switch itself.
            transaction
                .execute(
                    "set local synchronous_commit = on; set local idle_in_transaction_session_timeout = '60s'",
                )
                .await?;
            sqlx::query(
                "select pg_catalog.pg_advisory_xact_lock($1, generation) from telegram.generations where shown",
            )
            .bind(LOCK)
            .execute(&mut *transaction)
            .await?;
            let row = sqlx::query(
                "select c.log_id, c.epoch, c.seq, c.updated_at from telegram.generations g \
                 join telegram.checkpoints c on c.generation = g.generation and c.projection = 'timescale' \
                 where g.shown",
            )
            .fetch_optional(&mut *transaction)
            .await?;
            Ok((transaction, row))
        };
        let (transaction, row) = limited(APPLY_SECONDS, SWITCHING, begun).await?;
        let before = match row {
            Some(row) => Some(checkpoint(&row, 0)?),
            None => None,
        };
        Ok(Switch {
            transaction,
            before,
        })
    }
}

const SWITCHING: &str = "showing a generation";

/// A switch under way.
#[derive(Debug)]
pub struct Switch<'c> {
    transaction: Transaction<'c, Postgres>,
    before: Option<Checkpoint>,
}

/// How a switch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// The views show the new generation.
    Done,
    /// A reader held one of the views for too long; nothing was changed.
    ReaderInTheWay,
}

impl Switch<'_> {
    /// How far the generation that is shown has come; it comes no further.
    pub fn before(&self) -> Option<Checkpoint> {
        self.before
    }

    /// Points the views at a generation. Refused when it has not come as far as the one shown, unless the two
    /// `incomparable`.
    pub async fn finish(
        self,
        number: i32,
        incomparable: bool,
    ) -> Result<Switched, ProjectionError> {
        let mut transaction = self.transaction;
        let shown = async {
            transaction
                .execute(AssertSqlSafe(format!(
                    "set local lock_timeout = '{LOCK_TIMEOUT}'"
                )))
                .await?;
            sqlx::query("select telegram.show_generation($1, $2)")
                .bind(number)
                .bind(incomparable)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        };
        let limit = Duration::from_secs(APPLY_SECONDS);
        match tokio::time::timeout(limit, shown).await {
            Ok(Ok(())) => Ok(Switched::Done),
            Ok(Err(error)) if code(&error) == Some(LOCK_NOT_AVAILABLE) => {
                Ok(Switched::ReaderInTheWay)
            }
            Ok(Err(error)) => Err(backend(NAME, SWITCHING, error)),
            Err(_) => Err(super::too_slow(SWITCHING)),
        }
    }
}

pub(super) fn code(error: &sqlx::Error) -> Option<&str> {
    let error = error.as_database_error()?;
    Some(error.try_downcast_ref::<PgDatabaseError>()?.code())
}

fn generation(row: &sqlx::postgres::PgRow) -> Result<Generation, ProjectionError> {
    let fail = |error| backend(NAME, "listing generations", error);
    let (shown, was_shown): (bool, bool) =
        (row.try_get(1).map_err(fail)?, row.try_get(2).map_err(fail)?);
    let has_checkpoint = row.try_get::<Option<&str>, _>(5).map_err(fail)?.is_some();
    let bytes: i64 = row.try_get(9).map_err(fail)?;
    let width: Option<i64> = row.try_get(10).map_err(fail)?;
    let hidden_at: Option<value::Time> = row.try_get(4).map_err(fail)?;
    Ok(Generation {
        number: row.try_get(0).map_err(fail)?,
        stage: match (shown, was_shown) {
            (true, _) => Stage::Shown,
            (false, true) => Stage::Kept,
            (false, false) => Stage::Building,
        },
        made_at: row.try_get::<value::Time, _>(3).map_err(fail)?.into(),
        hidden_at: hidden_at.map(Timestamp::from),
        checkpoint: has_checkpoint.then(|| checkpoint(row, 5)).transpose()?,
        bytes: u64::try_from(bytes).unwrap_or(0),
        chunk_interval: Duration::from_micros(u64::try_from(width.unwrap_or(0)).unwrap_or(0)),
    })
}

/// The checkpoint in four columns from there on.
fn checkpoint(row: &sqlx::postgres::PgRow, at: usize) -> Result<Checkpoint, ProjectionError> {
    let fail = |error| backend(NAME, "reading the checkpoint", error);
    readable(&StoredCheckpoint {
        log_id: row.try_get(at).map_err(fail)?,
        epoch: row.try_get(at + 1).map_err(fail)?,
        seq: row.try_get(at + 2).map_err(fail)?,
        updated_at: row.try_get::<value::Time, _>(at + 3).map_err(fail)?.into(),
    })
}
