//! Reading the public rows back.

use std::ops::ControlFlow;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::{NAME, Sqlite, readable, setup, value};
use crate::config;
use crate::store::contract::Table;
use crate::store::public::PublicRow;
use crate::store::samples::Sampling;
use crate::store::sql::backend;
use crate::store::{Checkpoint, Filter, ProjectionError, Snapshot};

const DOING: &str = "reading rows back";

/// The file at one moment: a read transaction on a connection of its own. While it is open the WAL file can only grow.
#[derive(Debug)]
pub struct SqliteSnapshot {
    connection: SqliteConnection,
    checkpoint: Option<Checkpoint>,
    sampling: Option<Sampling>,
}

impl SqliteSnapshot {
    pub(super) async fn open(config: &config::Sqlite) -> Result<SqliteSnapshot, ProjectionError> {
        let mut connection = setup::open_read_only(config, DOING).await?;
        let begun = async {
            // The first read fixes the moment; the transaction ends with the connection.
            connection.execute("begin").await?;
            let stored = Sqlite::read_checkpoint(&mut connection).await?;
            let sampling = Sqlite::read_sampling(&mut connection).await?;
            Ok::<_, sqlx::Error>((stored, sampling))
        };
        let (stored, sampling) = begun.await.map_err(|error| backend(NAME, DOING, error))?;
        Ok(SqliteSnapshot {
            checkpoint: stored.map(|stored| readable(&stored)).transpose()?,
            connection,
            sampling,
        })
    }
}

impl Snapshot for SqliteSnapshot {
    fn checkpoint(&self) -> Option<Checkpoint> {
        self.checkpoint
    }

    fn sampling(&self) -> Option<Sampling> {
        self.sampling
    }

    async fn scan(
        &mut self,
        table: &Table,
        filter: &Filter,
        each: &mut (dyn FnMut(PublicRow) -> ControlFlow<()> + Send),
    ) -> Result<(), ProjectionError> {
        let fail = |error| backend(NAME, DOING, error);
        let mut query = sqlx::query(AssertSqlSafe(filter.select("", table)));
        if let Some(peer_id) = filter.peer_id {
            query = query.bind(peer_id);
        }
        if let Some((from, to)) = filter.posted_in(table) {
            query = query.bind(from.to_string()).bind(to.to_string());
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
        let mut query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(filter.count("", table)));
        if let Some(peer_id) = filter.peer_id {
            query = query.bind(peer_id);
        }
        if let Some((from, to)) = filter.posted_in(table) {
            query = query.bind(from.to_string()).bind(to.to_string());
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
