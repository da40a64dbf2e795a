//! Drift of the cache, whose windows are compared as a whole and made right message by message.

use redis::aio::MultiplexedConnection;

use super::{finds_drift, repair};
use crate::pipeline::play;
use crate::support::gateway::Gateway;
use crate::support::services::redis_connection;

/// The keys of one kind, in order, and a connection to look and meddle behind the program's back.
async fn keys(gateway: &Gateway, kind: &str) -> (MultiplexedConnection, Vec<String>) {
    let config = gateway.config().redis.expect("configured");
    let mut connection = redis_connection(config.url.expose()).await;
    let mut command = redis::cmd("KEYS");
    command.arg(format!("{}:?1?:{kind}:*", config.prefix));
    let found = command.query_async(&mut connection).await;
    let mut found: Vec<String> = found.expect("keys");
    found.sort_unstable();
    (connection, found)
}

async fn run<T: redis::FromRedisValue>(
    connection: &mut MultiplexedConnection,
    words: &[&str],
) -> T {
    let mut command = redis::cmd(words[0]);
    let said = command.arg(&words[1..]).query_async(connection).await;
    said.unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// Changes the content of the newest message of a window, and gives its id.
async fn change_newest(connection: &mut MultiplexedConnection, messages: &str) -> String {
    let window = messages.replace(":msg:", ":recent:");
    let newest: Vec<String> = run(connection, &["ZRANGE", &window, "-1", "-1"]).await;
    let before: String = run(connection, &["HGET", messages, &newest[0]]).await;
    let changed = before.replacen("\"text\":\"", "\"text\":\"drifted ", 1);
    assert_ne!(changed, before);
    let _: u64 = run(connection, &["HSET", messages, &newest[0], &changed]).await;
    newest[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_cache_is_found_named_and_repaired() {
    let Some(gateway) = Gateway::with_services().await else {
        return;
    };
    play(&gateway, "300");
    gateway.verify();
    for kind in ["msg", "channel", "recent"] {
        let (mut connection, found) = keys(&gateway, kind).await;
        let gone: u64 = run(&mut connection, &["DEL", &found[0]]).await;
        assert_eq!(gone, 1);
        repair(&gateway, "redis");
    }
    let (mut connection, found) = keys(&gateway, "msg").await;
    change_newest(&mut connection, &found[0]).await;
    assert_eq!(repair(&gateway, "redis")["repair"]["things"], 1);
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_no_longer_has_is_left_in_the_cache() {
    let Some(gateway) = Gateway::with_redis() else {
        return;
    };
    play(&gateway, "300");
    gateway.ok(&["wal", "seal"]);
    let kept = gateway.tail();
    play(&gateway, "400");
    let keep_from = (kept + 1).to_string();
    gateway.ok(&["wal", "trim", "--keep-from", &keep_from, "--yes"]);
    let trimmed = gateway.json(&["verify", "redis", "--json"]);
    assert_eq!(trimmed["clean"], true, "{trimmed}");
    assert!(trimmed["kept"].as_u64() > Some(100), "{trimmed}");
    assert!(trimmed["rows"].as_u64() > Some(50), "{trimmed}");

    let (mut connection, found) = keys(&gateway, "msg").await;
    let mut sizes = Vec::new();
    for key in &found {
        sizes.push(run::<u64>(&mut connection, &["HLEN", key]).await);
    }
    let mut changed = 0;
    for key in &found {
        change_newest(&mut connection, key).await;
        changed += 1;
    }
    // Of some channels the log has nothing new.
    let report = repair(&gateway, "redis");
    let things = report["repair"]["things"].as_u64();
    assert!(things > Some(0) && things <= Some(changed), "{report}");
    for (key, size) in found.iter().zip(sizes) {
        assert_eq!(run::<u64>(&mut connection, &["HLEN", key]).await, size);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_finds_drift_of_the_cache_too() {
    let Some(gateway) = Gateway::with_redis() else {
        return;
    };
    let damage = async |gateway: &Gateway| {
        let (mut connection, found) = keys(gateway, "msg").await;
        change_newest(&mut connection, &found[0]).await;
    };
    finds_drift(gateway, ("redis", "key "), damage).await;
}
