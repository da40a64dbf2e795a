//! SQLite at its best for this: a write-ahead log synced at every commit, one prepared statement a batch.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use tokio::runtime::Handle;

use super::engine::{Engine, RECORD, key};
use super::{BenchError, failed};

/// Memory for pages, as much as the log has, in SQLite's unit: negative means KiB.
const CACHE_KIB: &str = "-65536";

/// A table of numbered blobs; with a unique index on the keys where the log has keys too.
pub(super) struct Lite {
    connection: SqliteConnection,
    runtime: Handle,
    keyed: bool,
    next: i64,
}

impl Lite {
    pub(super) fn new(path: &Path, keyed: bool, runtime: &Handle) -> Result<Lite, BenchError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", CACHE_KIB)
            .disable_statement_logging();
        let table = if keyed {
            "CREATE TABLE records (seq INTEGER PRIMARY KEY, record BLOB NOT NULL, key BLOB NOT NULL UNIQUE)"
        } else {
            "CREATE TABLE records (seq INTEGER PRIMARY KEY, record BLOB NOT NULL)"
        };
        let connection = runtime.block_on(async {
            let mut connection = options.connect().await?;
            connection.execute(table).await?;
            Ok(connection)
        });
        Ok(Lite {
            connection: connection.map_err(failed::<sqlx::Error>("opening SQLite"))?,
            runtime: runtime.clone(),
            keyed,
            next: 1,
        })
    }

    /// A statement without `BEGIN` is a transaction of its own, so a batch is one call.
    fn statement(&self, count: usize) -> String {
        let (columns, row) = if self.keyed {
            ("seq, record, key", "(?,?,?),")
        } else {
            ("seq, record", "(?,?),")
        };
        let rows = row.repeat(count);
        let unless_known = if self.keyed { "OR IGNORE " } else { "" };
        let rows = rows.trim_end_matches(',');
        format!("INSERT {unless_known}INTO records ({columns}) VALUES {rows}")
    }
}

impl Engine for Lite {
    fn append(&mut self, count: usize) -> Result<Duration, BenchError> {
        let mut query = sqlx::query(AssertSqlSafe(self.statement(count)));
        for seq in self.next..self.next + count as i64 {
            query = query.bind(seq).bind(vec![seq as u8; RECORD]);
            if self.keyed {
                query = query.bind(key(seq.unsigned_abs()));
            }
        }
        let start = Instant::now();
        let done = self.runtime.block_on(query.execute(&mut self.connection));
        let took = start.elapsed();
        done.map_err(failed("appending to SQLite"))?;
        self.next += count as i64;
        Ok(took)
    }
}
