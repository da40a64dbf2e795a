//! Connecting, migrations, and the generation to feed.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use super::statements::Statements;
use super::{APPLY_SECONDS, CONNECT_SECONDS, NAME, Timescale, limited, too_slow};
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
];

/// Beside our own objects, not among those of the database's owner.
const MIGRATIONS_TABLE: &str = "telegram.schema_migrations";

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
    limited(CONNECT_SECONDS, doing, options.connect()).await
}

/// Brings the schema up to date and returns the generation to feed: the wanted one, or the one shown.
pub(super) async fn prepare(
    config: &config::Timescale,
    wanted: Option<i32>,
) -> Result<i32, ProjectionError> {
    let url = config.direct_url.as_ref().unwrap_or(&config.url);
    let mut connection = connect(url, DOING).await?;
    let migrated =
        tokio::time::timeout(Duration::from_secs(APPLY_SECONDS), migrate(&mut connection));
    migrated.await.map_err(|_| too_slow(DOING))??;
    let settled = settle(config, wanted, &mut connection);
    let generation = limited(APPLY_SECONDS, DOING, settled).await?;
    // Everything is committed; a server that does not say goodbye changes nothing.
    let _ = connection.close().await;
    Ok(generation)
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

/// Finds or makes the generation, and gives it the configured chunk width.
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
    let generation = known.or(wanted).unwrap_or(1);
    let width = format!("{} microseconds", config.chunk_interval.as_micros());
    if known.is_none() {
        sqlx::query("select telegram.create_generation($1, $2::text::interval)")
            .bind(generation)
            .bind(&width)
            .execute(&mut *transaction)
            .await?;
        if wanted.is_none() {
            sqlx::query("select telegram.show_generation($1)")
                .bind(generation)
                .execute(&mut *transaction)
                .await?;
        }
    } else {
        set_chunk_width(&mut transaction, generation, &width).await?;
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
    let statements = Statements::new(generation, false, config);
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

/// New chunks get the configured width; those that exist keep theirs.
async fn set_chunk_width(
    connection: &mut PgConnection,
    generation: i32,
    width: &str,
) -> Result<(), sqlx::Error> {
    let schema: Option<String> = sqlx::query_scalar(
        "select n.nspname::text from timescaledb_information.dimensions d, pg_catalog.pg_extension e \
         join pg_catalog.pg_namespace n on n.oid = e.extnamespace \
         where e.extname = 'timescaledb' and d.hypertable_schema = 'telegram_g' || $1::integer \
         and d.hypertable_name = 'message_content' and d.time_interval <> $2::text::interval",
    )
    .bind(generation)
    .bind(width)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(schema) = schema {
        // The schema comes from the catalogue; doubled quotes keep any name a name.
        let schema = schema.replace('"', "\"\"");
        let sql = format!(
            "select \"{schema}\".set_chunk_time_interval('telegram_g{generation}.message_content', $1::text::interval)"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(width)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
