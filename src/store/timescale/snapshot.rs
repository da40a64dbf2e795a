//! Reading the public rows back.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::statements::Statements;
use super::{CONNECT_SECONDS, NAME, Timescale, limited, readable, setup, value};
use crate::config;
use crate::event::Timestamp;
use crate::store::contract::{MESSAGES, Table};
use crate::store::public::PublicRow;
use crate::store::samples::Sampling;
use crate::store::sql::backend;
use crate::store::{Checkpoint, Filter, ProjectionError, Snapshot};

const DOING: &str = "reading rows back";

/// One generation at one moment: a repeatable-read transaction on a connection of its own.
#[derive(Debug)]
pub struct TimescaleSnapshot {
    connection: PgConnection,
    schema: String,
    checkpoint: Option<Checkpoint>,
    sampling: Option<Sampling>,
    since: Option<Timestamp>,
}

impl TimescaleSnapshot {
    pub(super) async fn open(
        config: &config::Timescale,
        statements: Arc<Statements>,
    ) -> Result<TimescaleSnapshot, ProjectionError> {
        let mut connection = setup::connect(&config.url, DOING).await?;
        let begun = async {
            // Ends with the connection. A whole table may take longer than a server allows to ordinary statements.
            connection
                .execute(
                    "begin transaction isolation level repeatable read, read only; \
                     set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0",
                )
                .await?;
            let stored = Timescale::read_checkpoint(&statements, &mut connection).await?;
            let sql = &statements.read_sampling;
            Ok((
                stored,
                Timescale::read_sampling(sql, &mut connection).await?,
            ))
        };
        let (stored, sampling) = limited(CONNECT_SECONDS, DOING, begun).await?;
        Ok(TimescaleSnapshot {
            checkpoint: stored
                .checkpoint
                .map(|stored| readable(&stored))
                .transpose()?,
            since: stored.since,
            schema: statements.schema.clone(),
            connection,
            sampling,
        })
    }
}

/// The digest of the rows of a table that are of one peer and, for messages, of one day (UTC). Made by the server, and
/// comparable with others of the same server only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerDigest {
    /// The peer, in the marked form; 0 for rows of none.
    pub peer_id: i64,
    /// The day as `2026-01-31`; empty for tables without a date.
    pub day: String,
    /// How many rows.
    pub rows: i64,
    /// The sum of their hashes.
    pub sum: String,
}

impl TimescaleSnapshot {
    /// Digests of all rows of a public table: so that two generations can be compared without reading them back.
    pub async fn digests(&mut self, table: &Table) -> Result<Vec<ServerDigest>, ProjectionError> {
        let has_date = table.name == MESSAGES.name;
        let day = if has_date {
            "to_char(t.posted_at at time zone 'UTC', 'YYYY-MM-DD')"
        } else {
            "''"
        };
        let sql = format!(
            "select coalesce(t.peer_id, 0), {day}, count(*), sum(hashtextextended(t::text, 0))::text \
             from {}{} t group by 1, 2 order by 1, 2",
            self.schema, table.name
        );
        let read = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut self.connection);
        let rows: Vec<(i64, String, i64, String)> =
            read.await.map_err(|error| backend(NAME, DOING, error))?;
        let digest = |(peer_id, day, rows, sum)| ServerDigest {
            peer_id,
            day,
            rows,
            sum,
        };
        Ok(rows.into_iter().map(digest).collect())
    }
}

impl Snapshot for TimescaleSnapshot {
    fn checkpoint(&self) -> Option<Checkpoint> {
        self.checkpoint
    }

    fn sampling(&self) -> Option<Sampling> {
        self.sampling
    }

    fn since(&self) -> Option<Timestamp> {
        self.since
    }

    async fn scan(
        &mut self,
        table: &Table,
        filter: &Filter,
        each: &mut (dyn FnMut(PublicRow) -> ControlFlow<()> + Send),
    ) -> Result<(), ProjectionError> {
        let fail = |error| backend(NAME, DOING, error);
        let sql = filter.select(&self.schema, table);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        if let Some(peer_id) = filter.peer_id {
            query = query.bind(peer_id);
        }
        if let Some((from, to)) = filter.posted_in(table) {
            query = query
                .bind(value::Time::from(from))
                .bind(value::Time::from(to));
        }
        if let Some((from, to)) = filter.numbered_in(table) {
            query = query.bind(from).bind(to);
        }
        let mut rows = query.fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await.map_err(fail)? {
            let row = value::public(&row, table.columns).map_err(fail)?;
            if each(row).is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn count(&mut self, table: &Table, filter: &Filter) -> Result<u64, ProjectionError> {
        let sql = filter.count(&self.schema, table);
        let mut query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql));
        if let Some(peer_id) = filter.peer_id {
            query = query.bind(peer_id);
        }
        if let Some((from, to)) = filter.posted_in(table) {
            query = query
                .bind(value::Time::from(from))
                .bind(value::Time::from(to));
        }
        if let Some((from, to)) = filter.numbered_in(table) {
            query = query.bind(from).bind(to);
        }
        let count = query
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| backend(NAME, DOING, error))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
