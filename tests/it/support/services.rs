//! The real services, when they are up: `eval "$(tests/services env)"`.
//!
//! A test that needs one and finds none says so and passes; with TGW_REQUIRE_SERVICES=1 it fails instead, so that a
//! pipeline cannot become green by skipping.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

/// The TimescaleDB server, without a pooler.
pub(crate) fn timescale_url() -> Option<String> {
    service("TGW_TIMESCALE__URL", "TimescaleDB")
}

/// PgBouncer in transaction mode before the same server.
pub(crate) fn pgbouncer_url() -> Option<String> {
    service("TGW_TEST_PGBOUNCER_URL", "PgBouncer")
}

/// The broker.
pub(crate) fn rabbitmq_url() -> Option<String> {
    service("TGW_RABBITMQ__URL", "RabbitMQ")
}

/// The cache.
pub(crate) fn redis_url() -> Option<String> {
    service("TGW_REDIS__URL", "Redis")
}

/// A plain connection to Redis, for looking and meddling behind the back of the program. Waits long for an answer: a busy
/// machine is no failure.
pub(crate) async fn redis_connection(url: &str) -> MultiplexedConnection {
    const ANSWER_LIMIT: Duration = Duration::from_secs(60);
    let client = redis::Client::open(url).expect("an address");
    let limits = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_LIMIT))
        .set_response_timeout(Some(ANSWER_LIMIT));
    let connection = client.get_multiplexed_async_connection_with_config(&limits);
    connection.await.expect("Redis")
}

fn service(variable: &str, name: &str) -> Option<String> {
    let url = std::env::var(variable).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        let text = format!("no {name}: {variable} is not set; eval \"$(tests/services env)\"");
        assert!(
            std::env::var("TGW_REQUIRE_SERVICES").is_err(),
            "{text} (TGW_REQUIRE_SERVICES is set)"
        );
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        // Straight to the terminal: the harness hides what a passing test prints.
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {text}");
    }
    url
}

static NEXT: AtomicU32 = AtomicU32::new(1);

/// Makes an empty database on the server of `base_url` and returns its address. Databases of processes that are gone
/// are dropped on the way, so nothing piles up and nothing has to be undone by a test that fails.
pub(crate) async fn fresh_database(base_url: &str) -> String {
    let mut connection = connect(base_url).await;
    let left: Vec<String> = sqlx::query_scalar(
        "select datname::text from pg_catalog.pg_database where datname ~ '^tgw_test_[0-9]+_[0-9]+$'",
    )
    .fetch_all(&mut connection)
    .await
    .expect("list databases");
    for name in left {
        let process = name.split('_').nth(2).unwrap_or_default();
        if !std::path::Path::new("/proc").join(process).exists() {
            let sql = format!("drop database if exists \"{name}\" with (force)");
            // Another process may be dropping it too.
            let _ = connection.execute(AssertSqlSafe(sql)).await;
        }
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tgw_test_{}_{number}", std::process::id());
    connection
        .execute(AssertSqlSafe(format!("create database \"{name}\"")))
        .await
        .expect("create a database");
    in_database(base_url, &name)
}

/// The same server, another database.
pub(crate) fn in_database(url: &str, name: &str) -> String {
    let mut url = url::Url::parse(url).expect("a database address");
    url.set_path(name);
    url.to_string()
}

/// A plain connection, for looking behind the back of the code under test.
pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnectOptions::from_str(url)
        .expect("a database address")
        .connect()
        .await
        .expect("connect to the test database")
}

/// Makes a role that owns nothing, lets it into the schema of this address, and returns the address to come with.
pub(crate) async fn let_in(url: &str, writes: bool) -> String {
    let mut owner = connect(url).await;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tgw_test_{}_{number}", std::process::id());
    let made = format!("create role {name} login password 'for-a-test'");
    owner.execute(AssertSqlSafe(made)).await.expect("a role");
    sqlx::query("select telegram.let($1::name, $2)")
        .bind(&name)
        .bind(writes)
        .execute(&mut owner)
        .await
        .expect("let");
    let mut url = url::Url::parse(url).expect("an address");
    url.set_username(&name).expect("a user");
    url.set_password(Some("for-a-test")).expect("a password");
    url.to_string()
}
