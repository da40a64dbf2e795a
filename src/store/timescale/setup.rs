//! Connecting, migrations, and the generation to feed.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use super::statements::Statements;
use super::{APPLY_SECONDS, CONNECT_SECONDS, NAME, Timescale, limited, nodelay, too_slow};
use crate::config::{self, BackendUrl};
use crate::store::ProjectionError;
use crate::store::samples::interval_us;
use crate::store::sql::{backend, migration, migrator, ours};

/// The steps of the schema, oldest first. Released steps never change: their checksums are in the databases.
const STEPS: &[(i64, &str, &str)] = &[
    (
        1,
        "schema",
        include_str!("../../../migrations/timescale/0001_schema.sql"),
    ),
    (
        2,
        "gap closings and albums",
        include_str!("../../../migrations/timescale/0002_gap_closings_albums.sql"),
    ),
    (
        3,
        "counter samples",
        include_str!("../../../migrations/timescale/0003_counter_samples.sql"),
    ),
    (
        4,
        "switching",
        include_str!("../../../migrations/timescale/0004_switching.sql"),
    ),
    (
        5,
        "statistics",
        include_str!("../../../migrations/timescale/0005_statistics.sql"),
    ),
    (
        6,
        "retention and columnstore",
        include_str!("../../../migrations/timescale/0006_retention_columnstore.sql"),
    ),
    (
        7,
        "loading",
        include_str!("../../../migrations/timescale/0007_loading.sql"),
    ),
];

/// Beside our own objects, not among those of the database's owner.
const MIGRATIONS_TABLE: &str = "telegram.schema_migrations";

/// Chunks of the first generation, of whose dates nothing is known yet.
const FIRST_CHUNK_INTERVAL: Duration = Duration::from_secs(90 * 86_400);

const DOING: &str = "bringing the schema up to date";

/// Opens a connection.
pub(super) async fn connect(
    url: &BackendUrl,
    doing: &'static str,
) -> Result<PgConnection, ProjectionError> {
    let options = PgConnectOptions::from_str(url.expose())
        .map_err(|error| backend(NAME, doing, error))?
        .application_name("telegram-gateway")
        // A start-up parameter that PgBouncer refuses unless told otherwise; we read no floats.
        .extra_float_digits(None)
        // Our own telemetry tells what is slow; statements stay out of the logs.
        .disable_statement_logging();
    let connection = limited(CONNECT_SECONDS, doing, options.connect()).await?;
    nodelay::send_at_once(options.get_port());
    Ok(connection)
}

/// What a store is fed with.
pub(super) struct Prepared {
    /// The wanted one, or the one shown.
    pub(super) generation: i32,
    /// The server can pack long values by lz4, which costs it much less than pglz.
    pub(super) has_lz4: bool,
}

/// Brings the schema up to date, and finds out what to feed.
pub(super) async fn prepare(
    config: &config::Timescale,
    wanted: Option<i32>,
) -> Result<Prepared, ProjectionError> {
    let url = config.direct_url.as_ref().unwrap_or(&config.url);
    let mut connection = connect(url, DOING).await?;
    let migrated =
        tokio::time::timeout(Duration::from_secs(APPLY_SECONDS), migrate(&mut connection));
    migrated.await.map_err(|_| too_slow(DOING))??;
    let settled = settle(config, wanted, &mut connection);
    let generation = limited(APPLY_SECONDS, DOING, settled).await?;
    let has_lz4 = sqlx::query_scalar(
        "select exists (select from pg_catalog.pg_settings \
         where name = 'default_toast_compression' and 'lz4' = any (enumvals))",
    );
    let has_lz4 = has_lz4.fetch_one(&mut connection);
    let has_lz4 = limited(CONNECT_SECONDS, DOING, has_lz4).await?;
    // Everything is committed; a server that does not say goodbye changes nothing.
    let _ = connection.close().await;
    Ok(Prepared {
        generation,
        has_lz4,
    })
}

async fn migrate(connection: &mut PgConnection) -> Result<(), ProjectionError> {
    let installed: bool = sqlx::query_scalar(
        "select exists (select from pg_catalog.pg_extension where extname = 'timescaledb')",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(|error| backend(NAME, DOING, error))?;
    if !installed {
        // On its own, before anything else: the extension asks for that.
        connection
            .execute("create extension if not exists timescaledb")
            .await
            .map_err(|error| backend(NAME, "creating the extension timescaledb", error))?;
    }
    let mut migrator = migrator(STEPS, MIGRATIONS_TABLE);
    migrator.create_schema("telegram");
    let newest = STEPS.last().map_or(0, |step| step.0);
    // Holds an advisory lock of the session while it works, which is why this connection must be a direct one.
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(|error| migration(NAME, newest, error))
}

/// Finds the generation; makes the first one where none is shown.
async fn settle(
    config: &config::Timescale,
    wanted: Option<i32>,
    connection: &mut PgConnection,
) -> Result<i32, sqlx::Error> {
    let begin = AssertSqlSafe(super::statements::begin_exclusive());
    let mut transaction = connection.begin_with(begin).await?;
    let known: Option<i32> = sqlx::query_scalar(
        "select generation from telegram.generations where case when $1 is null then shown else generation = $1 end",
    )
    .bind(wanted)
    .fetch_optional(&mut *transaction)
    .await?;
    let generation = match (known, wanted) {
        (Some(generation), _) => generation,
        // One that was dropped meanwhile has no checkpoint and takes no batch.
        (None, Some(wanted)) => wanted,
        (None, None) => {
            let width = config.chunk_interval.unwrap_or(FIRST_CHUNK_INTERVAL);
            create(&mut transaction, 1, width).await?;
            sqlx::query("select telegram.show_generation(1)")
                .execute(&mut *transaction)
                .await?;
            1
        }
    };
    if wanted.is_none()
        && let Some(configured) = config.chunk_interval
    {
        warn_of_width(&mut transaction, generation, configured).await?;
    }
    settle_sampling(config, generation, &mut transaction).await?;
    transaction.commit().await?;
    Ok(generation)
}

/// Has a generation sample as the configuration says, from its checkpoint on.
async fn settle_sampling(
    config: &config::Timescale,
    generation: i32,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let statements = Statements::new(generation, false, false, config);
    let wanted = config.counter_history.map(interval_us);
    let stored = Timescale::read_sampling(&statements.read_sampling, connection).await?;
    if stored.map(|stored| stored.interval_us) == wanted {
        return Ok(());
    }
    connection.execute(ours(&statements.forget_samples)).await?;
    if let Some(interval) = wanted {
        sqlx::query(ours(&statements.begin_samples))
            .bind(interval)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Makes the tables and views of a generation.
pub(super) async fn create(
    connection: &mut PgConnection,
    number: i32,
    chunk_interval: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query("select telegram.create_generation($1, $2::text::interval)")
        .bind(number)
        .bind(interval(chunk_interval))
        .execute(connection)
        .await?;
    Ok(())
}

/// A duration as PostgreSQL reads one.
pub(super) fn interval(duration: Duration) -> String {
    format!("{} microseconds", duration.as_micros())
}

/// Chunks of another width begin with a rebuild: never in silence, and not in the middle of a table.
async fn warn_of_width(
    connection: &mut PgConnection,
    generation: i32,
    configured: Duration,
) -> Result<(), sqlx::Error> {
    let differs: bool = sqlx::query_scalar(
        "select exists (select from timescaledb_information.dimensions \
         where hypertable_schema = 'telegram_g' || $1::integer and hypertable_name = 'message_content' \
         and time_interval <> $2::text::interval)",
    )
    .bind(generation)
    .bind(interval(configured))
    .fetch_one(connection)
    .await?;
    if differs {
        tracing::warn!(
            generation,
            "the chunks of TimescaleDB are not as wide as timescale.chunk_interval says; it takes effect with: \
             telegram-gateway rebuild timescale"
        );
    }
    Ok(())
}
