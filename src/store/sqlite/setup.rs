//! Opening the file, and its schema.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::{NAME, Sqlite, statements};
use crate::config;
use crate::store::ProjectionError;
use crate::store::samples::interval_us;
use crate::store::sql::{backend, migration, migrator};

/// The steps of the schema, oldest first. Released steps never change: their checksums are in the files.
const STEPS: &[(i64, &str, &str)] = &[
    (
        1,
        "schema",
        include_str!("../../../migrations/sqlite/0001_schema.sql"),
    ),
    (
        2,
        "gap closings and albums",
        include_str!("../../../migrations/sqlite/0002_gap_closings_albums.sql"),
    ),
    (
        3,
        "counter samples",
        include_str!("../../../migrations/sqlite/0003_counter_samples.sql"),
    ),
    (
        4,
        "albums of any SQLite",
        include_str!("../../../migrations/sqlite/0004_albums_of_any_sqlite.sql"),
    ),
];

const MIGRATIONS_TABLE: &str = "schema_migrations";

/// How long to wait for another writer of the file (a `replay` beside the daemon) before it counts as an error.
const BUSY: Duration = Duration::from_secs(30);

/// The WAL file is cut back to this after a checkpoint; a long reader can make it grow far beyond.
const WAL_BYTES_KEPT: &str = "67108864";

/// Pages kept in memory, in KiB and negative as SQLite wants it: enough for the top of every index.
const CACHE_KIB: &str = "-16384";

fn options(config: &config::Sqlite) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&config.path)
        .busy_timeout(BUSY)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("cache_size", CACHE_KIB)
        .disable_statement_logging()
}

/// Opens the file for writing, makes it when it does not exist, and brings its schema up to date.
pub(super) async fn open(
    config: &config::Sqlite,
    doing: &'static str,
) -> Result<SqliteConnection, ProjectionError> {
    make_private(&config.path).map_err(|error| backend(NAME, doing, error.into()))?;
    let mut connection = options(config)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("journal_size_limit", WAL_BYTES_KEPT)
        .connect()
        .await
        .map_err(|error| backend(NAME, doing, error))?;
    migrate(&mut connection).await?;
    settle_sampling(config.counter_history, &mut connection)
        .await
        .map_err(|error| backend(NAME, doing, error))?;
    Ok(connection)
}

/// Has the file sample as the configuration says, from its checkpoint on.
async fn settle_sampling(
    wanted: Option<Duration>,
    connection: &mut SqliteConnection,
) -> Result<(), sqlx::Error> {
    let wanted = wanted.map(interval_us);
    let stored = Sqlite::read_sampling(connection).await?;
    if stored.map(|stored| stored.interval_us) == wanted {
        return Ok(());
    }
    let mut transaction = connection.begin_with(statements::BEGIN).await?;
    for sql in statements::FORGET_SAMPLES {
        transaction.execute(*sql).await?;
    }
    if let Some(interval) = wanted {
        sqlx::query(statements::BEGIN_SAMPLES)
            .bind(interval)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

/// Opens the file for reading; it must exist.
pub(super) async fn open_read_only(
    config: &config::Sqlite,
    doing: &'static str,
) -> Result<SqliteConnection, ProjectionError> {
    options(config)
        .read_only(true)
        .connect()
        .await
        .map_err(|error| backend(NAME, doing, error))
}

/// Messages may be private, so only the owner reads them. SQLite gives its side files the mode of the main one.
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), ProjectionError> {
    const DOING: &str = "bringing the schema up to date";
    let migrator = migrator(STEPS, MIGRATIONS_TABLE);
    let newest = STEPS.last().map_or(0, |step| step.0);
    let fail = |error| backend(NAME, DOING, error);
    let steps: i64 = sqlx::query_scalar(
        "select count(*) from sqlite_schema where type = 'table' and name = 'schema_migrations'",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(fail)?;
    let applied: i64 = match steps {
        0 => 0,
        _ => sqlx::query_scalar("select coalesce(max(version), 0) from schema_migrations")
            .fetch_one(&mut *connection)
            .await
            .map_err(fail)?,
    };
    if applied >= newest {
        // Nothing to do but to compare checksums, which needs no lock.
        return migrator
            .run_direct(None, connection, false)
            .await
            .map_err(|error| migration(NAME, newest, error));
    }
    // sqlx takes no lock on SQLite: the write lock keeps two processes from doing the same step.
    let mut transaction = connection
        .begin_with(statements::BEGIN)
        .await
        .map_err(fail)?;
    migrator
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(|error| migration(NAME, newest, error))?;
    transaction.commit().await.map_err(fail)
}
