//! The cache of a running daemon: what it loses comes again from the log, and readers never miss what they had.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::aio::MultiplexedConnection;

use crate::support::gateway::{Gateway, repository, wait_until};
use crate::support::replica;
use crate::support::services::redis_connection;

async fn raw(gateway: &Gateway) -> MultiplexedConnection {
    let config = gateway.config().redis.expect("configured");
    redis_connection(config.url.expose()).await
}

/// All keys of the program.
async fn keys(gateway: &Gateway, connection: &mut MultiplexedConnection) -> Vec<String> {
    let prefix = gateway.config().redis.expect("configured").prefix;
    let (mut found, mut cursor) = (Vec::new(), 0_u64);
    loop {
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(format!("{prefix}:*"));
        let (next, keys): (u64, Vec<String>) = command.query_async(connection).await.expect("keys");
        found.extend(keys);
        if next == 0 {
            return found;
        }
        cursor = next;
    }
}

async fn wipe(gateway: &Gateway, connection: &mut MultiplexedConnection) {
    let keys = keys(gateway, connection).await;
    let mut command = redis::cmd("UNLINK");
    let gone: u64 = command
        .arg(&keys)
        .query_async(connection)
        .await
        .expect("gone");
    assert!(gone > 3, "there was something");
}

/// Adds events, until there are so many.
fn fill(gateway: &Gateway, events: &str) {
    let source = ["run", "--source", "synthetic", "--rate", "0", "--drain"];
    gateway.ok(&[&source[..], &["--events", events]].concat());
}

/// How far the cache is, as it says itself.
fn at(gateway: &Gateway) -> u64 {
    let status = gateway.json(&["status", "--json"]);
    let stores = status["stores"].as_array().expect("stores");
    let found = stores.iter().find(|it| it["name"] == "redis");
    found.expect("configured")["seq"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_cache_that_was_wiped_or_fell_back_is_filled_again() {
    let Some(mut gateway) = Gateway::with_redis() else {
        return;
    };
    gateway.set("TGW_REDIS__CHECK_INTERVAL", "200ms");
    let mut connection = raw(&gateway).await;
    fill(&gateway, "300");
    let mut copy = Vec::new();
    for key in keys(&gateway, &mut connection).await {
        let mut command = redis::cmd("DUMP");
        let dump = command.arg(&key).query_async(&mut connection).await;
        let dump: Vec<u8> = dump.expect("a dump");
        copy.push((key, dump));
    }
    fill(&gateway, "600");
    let tail = gateway.tail();
    assert_eq!(at(&gateway), tail);
    let mut daemon = gateway.start(&["run"]);
    wait_until("the daemon has the log", || {
        gateway.json(&["status", "--json"])["running"] == true
    });

    wipe(&gateway, &mut connection).await;
    wait_until("what was wiped is there again", || at(&gateway) == tail);
    gateway.ok(&["verify", "redis"]);

    // As a replica that takes over, and lacks the last writes.
    let mut block = redis::pipe();
    block.atomic();
    block
        .cmd("UNLINK")
        .arg(keys(&gateway, &mut connection).await);
    for (key, dump) in &copy {
        let restore = block.cmd("RESTORE");
        restore.arg(key).arg(0).arg(dump).arg("REPLACE");
    }
    let done = block.query_async(&mut connection).await;
    let _: Vec<redis::Value> = done.expect("an older state");
    wait_until("what was lost is there again", || at(&gateway) == tail);
    gateway.ok(&["verify", "redis"]);
    let words = daemon.words();
    assert!(words.contains("the store is at"), "{words}");
    assert_eq!(daemon.terminate().code(), Some(0), "{words}");
}

/// Reads the windows all the time; fails when one is ever empty, or ends before what it had.
async fn watch(
    mut connection: MultiplexedConnection,
    checkpoint: String,
    windows: Vec<String>,
    stop: Arc<AtomicBool>,
) -> u64 {
    let mut newest: BTreeMap<String, i64> = windows.into_iter().map(|key| (key, 0)).collect();
    assert!(newest.len() > 2, "{newest:?}");
    let (mut upto, mut reads) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let mut block = redis::pipe();
        block.atomic();
        block.cmd("HGET").arg(&checkpoint).arg("seq");
        for key in newest.keys() {
            block.cmd("ZRANGE").arg(key).arg(-1).arg(-1);
        }
        let answers = block.query_async(&mut connection).await;
        let mut answers: Vec<redis::Value> = answers.expect("answers");
        let seq: u64 = redis::from_redis_value(answers.remove(0)).expect("a checkpoint");
        assert!(seq >= upto, "{seq} after {upto}");
        upto = seq;
        for ((key, last), answer) in newest.iter_mut().zip(answers) {
            let ids: Vec<i64> = redis::from_redis_value(answer).expect("ids");
            assert!(
                ids.len() == 1 && ids[0] >= *last,
                "{key}: {ids:?} after {last}"
            );
            *last = ids[0];
        }
        reads += 1;
    }
    reads
}

/// Leaves a field that is no message, and a peer that is not in the log; what all keys begin with.
async fn meddle(gateway: &Gateway, connection: &mut MultiplexedConnection) -> String {
    let config = gateway.config().redis.expect("configured");
    let base = format!("{}:{{1}}:", config.prefix);
    let all = keys(gateway, connection).await;
    let window = format!("{base}msg:");
    let window = all.iter().find(|key| key.starts_with(&window));
    let mut block = redis::pipe();
    let alien = ["7", "no message"];
    block.cmd("HSET").arg(window).arg(&alien);
    block
        .cmd("ZADD")
        .arg(format!("{base}recent:1"))
        .arg(7)
        .arg(7);
    block.cmd("HSET").arg(format!("{base}msg:1")).arg(&alien);
    let done: Vec<u64> = block.query_async(connection).await.expect("meddled");
    assert_eq!(done, [1, 1, 1]);
    base
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_beside_a_daemon_takes_nothing_from_a_reader_and_mends_all() {
    let Some(mut gateway) = Gateway::with_redis() else {
        return;
    };
    gateway.set("TGW_REDIS__WINDOW", "30");
    let mut connection = raw(&gateway).await;
    fill(&gateway, "6000");
    gateway.ok(&["verify", "redis"]);

    let base = meddle(&gateway, &mut connection).await;
    let checked = gateway.run(&["verify", "redis"]);
    assert_eq!(checked.status.code(), Some(1));

    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "300"]);
    wait_until("events flow", || {
        gateway.tail() > 6_020 || !daemon.is_running()
    });
    let stop = Arc::new(AtomicBool::new(false));
    let all = keys(&gateway, &mut connection).await;
    let windows = all
        .iter()
        .filter(|key| key.starts_with(&format!("{base}recent:")) && !key.ends_with(":1"));
    let reader = tokio::spawn(watch(
        raw(&gateway).await,
        format!("{base}checkpoint"),
        windows.cloned().collect(),
        Arc::clone(&stop),
    ));
    for _ in 0..3 {
        let done = tokio::task::block_in_place(|| gateway.json(&["rebuild", "redis", "--json"]));
        assert!(done["applied"].as_u64() > Some(6_000), "{done}");
    }
    stop.store(true, Ordering::Relaxed);
    let reads = reader.await.expect("nothing that was seen is gone");
    assert!(reads > 20, "{reads}");
    let tail = gateway.tail();
    wait_until("the daemon goes on feeding", || at(&gateway) > tail + 30);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
    let left = keys(&gateway, &mut connection).await;
    let odd = left
        .iter()
        .filter(|key| key.contains(":next:") || key.ends_with(":1"));
    assert_eq!(odd.count(), 0, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_cache_is_filled_from_the_newest_back_and_is_the_same() {
    let Some(mut gateway) = Gateway::with_redis() else {
        return;
    };
    gateway.set("TGW_REDIS__WINDOW", "30");
    gateway.set("TGW_REDIS__CHECK_INTERVAL", "200ms");
    let mut connection = raw(&gateway).await;
    fill(&gateway, "12000");
    let tail = gateway.tail();
    let mut daemon = gateway.start(&["--log", "telegram_gateway=info", "run"]);
    wait_until("the daemon has the log", || {
        gateway.json(&["status", "--json"])["running"] == true
    });
    wipe(&gateway, &mut connection).await;
    wait_until("all is there again", || at(&gateway) == tail);
    let words = daemon.words();
    assert!(
        words.contains("filled from the newest events back"),
        "{words}"
    );
    gateway.ok(&["verify", "redis"]);
    let left = keys(&gateway, &mut connection).await;
    assert!(
        !left.iter().any(|key| key.contains(":filling:")),
        "{left:?}"
    );
    assert_eq!(daemon.terminate().code(), Some(0), "{words}");
}

/// What the keys of all channels take, and how many messages that is for.
async fn memory(gateway: &Gateway, connection: &mut MultiplexedConnection) -> (f64, f64) {
    let (mut bytes, mut messages) = (0.0, 0.0);
    for key in keys(gateway, connection).await {
        let mut command = redis::cmd("MEMORY");
        command.arg("USAGE").arg(&key).arg("SAMPLES").arg(0);
        let taken = command.query_async(connection).await;
        bytes += taken.unwrap_or(0.0);
        if key.contains(":recent:") {
            let mut command = redis::cmd("ZCARD");
            let count = command.arg(&key).query_async(connection).await;
            messages += count.unwrap_or(0.0);
        }
    }
    (bytes, messages)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_takes_the_memory_that_the_document_says() {
    let Some(gateway) = Gateway::with_redis() else {
        return;
    };
    let mut connection = raw(&gateway).await;
    fill(&gateway, "20000");
    let (bytes, messages) = memory(&gateway, &mut connection).await;
    let text = std::fs::read_to_string(repository("docs/redis.md")).expect("the document");
    let (_, rest) = text.split_once("\nAbout ").expect("its sentence");
    let (said, _) = rest.split_once(" kB for each message").expect("its number");
    let (said, found) = (said.parse().unwrap_or(0.0), bytes / messages / 1000.0);
    println!("{found} kB for each of {messages} messages");
    assert!(
        (found / said - 1.0_f64).abs() < 0.1,
        "{found} kB, not {said}"
    );
}

/// The rights that the document gives to a user of its, for keys of this prefix.
fn documented_rights(user: &str, prefix: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository("docs/redis.md")).expect("the document");
    let user = format!("user {user} ");
    let line = text.lines().find(|line| line.starts_with(&user));
    let rights = line
        .expect("the line")
        .split(' ')
        .skip(2)
        .map(|word| match word {
            ">PASSWORD" => ">word".to_owned(),
            word => word.replace("~tgw:*", &format!("~{prefix}:*")),
        });
    rights.collect()
}

/// What none of them may do.
const HARMS: [&str; 17] = [
    "FLUSHALL",
    "FLUSHDB",
    "KEYS *",
    "CONFIG GET *",
    "DEBUG SLEEP 0",
    "SHUTDOWN NOSAVE",
    "MONITOR",
    "REPLICAOF NO ONE",
    "ACL LIST",
    "SCRIPT FLUSH",
    "SAVE",
    "CLIENT LIST",
    "MIGRATE h 1 k 0 1",
    "SWAPDB 0 1",
    "SET other 1",
    "HSET other f 1",
    "GET other",
];

async fn make_user(admin: &mut MultiplexedConnection, name: &str, rights: Vec<String>) {
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg(name).arg(rights);
    let () = command.query_async(admin).await.expect("a user");
}

async fn refuses(admin: &mut MultiplexedConnection, user: &str, harm: &str) {
    let mut command = redis::cmd("ACL");
    command
        .arg("DRYRUN")
        .arg(user)
        .arg(harm.split(' ').collect::<Vec<_>>());
    let said: String = command.query_async(admin).await.expect("an answer");
    assert!(said.contains("no permissions"), "{user}: {harm}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_of_the_document_have_enough_and_can_do_no_harm() {
    let Some(mut gateway) = Gateway::with_redis() else {
        return;
    };
    let mut admin = raw(&gateway).await;
    let config = gateway.config().redis.expect("configured");
    let user = config.prefix.clone();
    make_user(&mut admin, &user, documented_rights("tgw", &config.prefix)).await;
    let (_, place) = config.url.expose().rsplit_once('@').expect("a user");
    gateway.set("TGW_REDIS__URL", &format!("redis://{user}:word@{place}"));
    gateway.set("TGW_REDIS__WINDOW", "50");

    fill(&gateway, "500");
    let reader = format!("{user}-reader");
    let rights = documented_rights("reader", &config.prefix);
    make_user(&mut admin, &reader, rights).await;
    let mut reads = redis_connection(&format!("redis://{reader}:word@{place}")).await;
    let all = keys(&gateway, &mut admin).await;
    let mut recent = all.iter().filter_map(|key| key.split_once(":recent:"));
    let (_, peer) = recent.next().expect("a channel");
    let peer = peer.parse().expect("a channel");
    let found = replica::read(&mut reads, &config.prefix, peer).await;
    let found = found.expect("may read");
    assert_eq!(found.seq, 500);
    assert!(found.age.is_some() && !found.ids.is_empty());

    gateway.ok(&["replay", "--to", "redis", "--from", "1", "--until", "100"]);
    gateway.ok(&["rebuild", "redis"]);
    gateway.ok(&["quarantine", "list", "redis"]);
    for key in all.iter().filter(|key| key.contains(":channel:")) {
        let mut command = redis::cmd("DEL");
        let () = command
            .arg(key)
            .query_async(&mut admin)
            .await
            .expect("gone");
    }
    gateway.ok(&["verify", "redis", "--repair"]);
    gateway.verify();
    assert_eq!(at(&gateway), 500);

    for harm in HARMS {
        refuses(&mut admin, &user, harm).await;
        refuses(&mut admin, &reader, harm).await;
    }
    refuses(
        &mut admin,
        &reader,
        &format!("HSET {}:x f 1", config.prefix),
    )
    .await;
    let mut own = raw(&gateway).await;
    let keys = redis::cmd("KEYS")
        .arg("*")
        .query_async::<Vec<String>>(&mut own)
        .await;
    assert_eq!(keys.expect_err("refused").code(), Some("NOPERM"));
    let mut command = redis::cmd("ACL");
    command.arg("DELUSER").arg(&user).arg(&reader);
    let () = command.query_async(&mut admin).await.expect("gone");
}
