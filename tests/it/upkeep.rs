//! What the daemon does for TimescaleDB now and then, without being asked.

use sqlx::postgres::PgConnection;

use crate::support::gateway::Gateway;
use crate::support::house::until;
use crate::support::services::connect;

async fn number(connection: &mut PgConnection, sql: &'static str) -> i64 {
    let read = sqlx::query_scalar(sql).fetch_one(connection);
    read.await.expect(sql)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_looks_after_timescaledb_by_itself() {
    const STALE: &str = "select count(*) from telegram_g2.message_hour_stale";
    const KEPT: &str = "select count(*) from telegram.generations where not shown";
    const OLD: &str =
        "select count(*) from telegram.messages where posted_at < now() - interval '1 day'";
    let Some(mut gateway) = Gateway::with_timescale().await else {
        return;
    };
    gateway.set("TGW_TIMESCALE__CHUNK_INTERVAL", "1d");
    crate::pipeline::play(&gateway, "300");
    gateway.ok(&["rebuild", "timescale"]);
    crate::pipeline::play(&gateway, "600");
    let url = gateway.config().timescale.expect("configured").url;
    let mut connection = connect(url.expose()).await;
    assert!(number(&mut connection, STALE).await > 0);
    assert_eq!(number(&mut connection, KEPT).await, 1);
    assert!(number(&mut connection, OLD).await > 0);

    gateway.set("TGW_TIMESCALE__UPKEEP_INTERVAL", "1s");
    gateway.set("TGW_TIMESCALE__KEEP_AGE", "1d");
    gateway.set("TGW_TIMESCALE__KEEP_GENERATION", "1h");
    let hidden =
        "update telegram.generations set hidden_at = now() - interval '2 hours' where not shown";
    sqlx::query(hidden)
        .execute(&mut connection)
        .await
        .expect(hidden);
    let mut daemon = gateway.start(&["run"]);
    for (what, sql) in [
        ("changed hours", STALE),
        ("a kept generation", KEPT),
        ("old messages", OLD),
    ] {
        until(what, async || number(&mut connection, sql).await == 0).await;
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.verify();
}
