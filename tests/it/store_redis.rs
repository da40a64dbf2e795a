//! The cache projection beyond what every projection must do (`contract`): keys are bounded and expire, and nothing is
//! said to be complete that is not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use telegram_gateway::config::{self, BackendUrl, Secret};
use telegram_gateway::event::{Body, Origin, Timestamp};
use telegram_gateway::failure::{Class, Classify as _};
use telegram_gateway::store::redis::{Cache, Model, Redis, Switch};
use telegram_gateway::store::{
    Batch, Checkpoint, Entry, Filling, OnRefusal, Poison, Projection, ProjectionError, Quarantine,
    Retried,
};
use wal::Seq;

use crate::support::events::{entries, event, message, peer};
use crate::support::services::{redis_connection, redis_url};
use crate::support::stores::checkpoint;

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A projection under a prefix of its own, with characters that a pattern must not take as its own.
fn fresh(url: &str, window: usize) -> (Redis, config::Redis) {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let config = config::Redis {
        url: BackendUrl::parse(url).expect("an address"),
        feed: config::Feed::Here,
        prefix: format!("tgw-test[{}]{number}*", std::process::id()),
        window,
        ttl: Duration::from_secs(300),
        check_interval: Duration::from_secs(1),
        sentinels: Vec::new(),
        sentinel_user: "default".to_owned(),
        sentinel_password: None,
        master: String::new(),
    };
    (Redis::new(config.clone()), config)
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn batch(after: u64, entries: &[Entry], checkpoint: Option<Checkpoint>) -> Batch {
    Batch {
        after,
        entries: entries.to_vec(),
        checkpoint,
        on_refusal: OnRefusal::Quarantine,
    }
}

fn post(n: i64, id: i64, text: &str) -> telegram_gateway::event::Event {
    event(
        peer(n),
        Origin::Live,
        Body::Posted(Box::new(message(id, text))),
    )
}

fn delete(n: i64, id: i64) -> telegram_gateway::event::Event {
    event(peer(n), Origin::Live, Body::Deleted { message_id: id })
}

async fn cache(store: &mut Redis) -> Cache {
    store.read().await.expect("read").1
}

fn modelled(window: usize, entries: &[Entry]) -> Cache {
    let mut model = Model::new(window);
    model.merge(entries);
    model.cache().clone()
}

#[test]
fn only_the_newest_messages_stay_and_a_deletion_before_its_post_is_a_tombstone() {
    let Some(url) = redis_url() else { return };
    wait(async {
        let (mut store, _) = fresh(&url, 3);
        let log = entries(vec![
            delete(1, 4),
            post(1, 1, "one"),
            post(1, 2, "two"),
            post(1, 3, "three"),
            post(1, 4, "four"),
            post(1, 5, "five"),
            delete(1, 1),
        ]);
        for entry in &log {
            let one = batch(0, std::slice::from_ref(entry), None);
            store.apply(&one).await.expect("apply");
        }
        let found = cache(&mut store).await;
        let kept = &found.peers[&peer(1).marked()];
        assert_eq!(kept.messages.keys().copied().collect::<Vec<_>>(), [3, 4, 5]);
        assert!(kept.messages[&4].contains_key("deleted_at"));
        assert!(kept.messages[&4].contains_key("content"));
        assert_eq!(kept.seen.len(), 3);
        store.clear().await.expect("clear");
    });
}

#[test]
fn a_cache_says_how_old_it_is_by_what_was_received_and_not_by_when_it_was_written() {
    let Some(url) = redis_url() else { return };
    wait(async {
        let (mut store, _) = fresh(&url, 10);
        let log = entries(vec![post(1, 1, "one"), post(1, 2, "two")]);
        let end = checkpoint(1, 2);
        let applied = store.apply(&batch(0, &log, Some(end))).await;
        applied.expect("applied");
        let mut connection = redis_connection(&url).await;
        let mut command = redis::cmd("HGET");
        command.arg(store.keys().checkpoint()).arg("checked_at");
        let told: i64 = command.query_async(&mut connection).await.expect("a time");
        assert_eq!(told, end.updated_at.micros() / 1000, "the receipt");
        // It lacks what the projector has applied: it fell back.
        assert_eq!(store.confirm(3).await.expect("asked"), Some(end));
        let same: i64 = command.query_async(&mut connection).await.expect("a time");
        assert_eq!(same, told);
        assert_eq!(store.confirm(2).await.expect("asked"), Some(end));
        let now: i64 = command.query_async(&mut connection).await.expect("a time");
        assert!(
            (now - Timestamp::now().micros() / 1000).abs() < 60_000,
            "{now}"
        );
        store.clear().await.expect("clear");
    });
}

/// All keys of a prefix, with the seconds they live, -1 for ever.
async fn ttls(url: &str, prefix: &str) -> BTreeMap<String, i64> {
    let mut connection = redis_connection(url).await;
    let (mut found, mut cursor) = (BTreeMap::new(), 0_u64);
    loop {
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("COUNT").arg(1000);
        let (next, keys): (u64, Vec<String>) =
            command.query_async(&mut connection).await.expect("scan");
        for key in keys.into_iter().filter(|key| key.starts_with(prefix)) {
            let mut command = redis::cmd("TTL");
            let ttl = command.arg(&key).query_async(&mut connection).await;
            found.insert(key, ttl.expect("ttl"));
        }
        if next == 0 {
            return found;
        }
        cursor = next;
    }
}

#[test]
fn every_key_but_the_checkpoint_expires_and_clear_removes_its_own_only() {
    let Some(url) = redis_url() else { return };
    wait(async {
        let (mut store, config) = fresh(&url, 10);
        let (mut other, _) = fresh(&url, 10);
        let mut log = entries(vec![
            post(1, 1, "a"),
            delete(2, 7),
            event(
                peer(3),
                Origin::Live,
                Body::Channel(telegram_gateway::event::ChannelInfo {
                    kind: "channel".to_owned(),
                    title: Some("News".to_owned()),
                    username: None,
                    migrated_from: None,
                    at: None,
                }),
            ),
        ]);
        log.push(Entry::Poison(Poison {
            seq: Seq::new(4).expect("not zero"),
            kind: 99,
            received_at: Timestamp::from_seconds(1_900_000_000),
            reason: "it is of no kind".to_owned(),
            raw: vec![],
        }));
        let whole = batch(0, &log, Some(checkpoint(1, 4)));
        store.apply(&whole).await.expect("apply");
        other.apply(&whole).await.expect("apply");

        // One that was given up, and is never gone on with.
        let mut beside = store.beside();
        let readable = &log[..3];
        let part = batch(0, readable, Some(checkpoint(1, 3)));
        beside.apply(&part).await.expect("apply");
        let found = ttls(&url, &config.prefix).await;
        let checkpoint = store.keys().checkpoint();
        assert_eq!(found[&checkpoint], -1);
        assert!(found.len() >= 15, "{found:?}");
        let rest = found.iter().filter(|(key, _)| **key != checkpoint);
        for (key, ttl) in rest {
            assert!((1..=300).contains(ttl), "{key}: {ttl}");
        }
        // What is shown lasts.
        assert_eq!(cache(&mut store).await, modelled(10, &log));
        assert_eq!(beside.switch(true).await.expect("switch"), Switch::Done);
        let found = ttls(&url, &config.prefix).await;
        assert_eq!(found[&checkpoint], -1);
        assert_eq!(cache(&mut store).await, modelled(10, readable));

        store.clear().await.expect("clear");
        assert_eq!(store.checkpoint().await.expect("read"), None);
        assert_eq!(cache(&mut store).await, Cache::default());
        assert_eq!(cache(&mut other).await, modelled(10, &log));
        other.clear().await.expect("clear");
    });
}

/// A newer version of the program may read what this one could not.
#[test]
fn an_event_of_the_quarantine_is_applied_later_without_moving_the_checkpoint() {
    let Some(url) = redis_url() else { return };
    wait(async {
        let (mut store, _) = fresh(&url, 10);
        let readable = entries(vec![post(1, 1, "a"), post(2, 8, "b"), post(3, 9, "c")]);
        let mut log = readable.clone();
        for (at, entry) in log.iter_mut().enumerate().skip(1) {
            *entry = Entry::Poison(Poison {
                seq: entry.seq(),
                kind: 99,
                received_at: entry.received_at(),
                reason: format!("reason {at}"),
                raw: vec![],
            });
        }
        let whole = batch(0, &log, Some(checkpoint(1, 3)));
        store.apply(&whole).await.expect("apply");

        assert_eq!(store.quarantine_size().await.expect("a size"), 2);
        let list = store.quarantined(0, 9).await.expect("a list");
        let told = |at: usize| (list[at].seq.get(), &list[at].reason[..]);
        assert_eq!([told(0), told(1)], [(2, "reason 1"), (3, "reason 2")]);
        assert_eq!(store.quarantined(2, 9).await.expect("a page"), list[1..]);
        let Entry::Event(envelope) = &readable[1] else {
            panic!("an event")
        };
        let retried = store.retry(envelope).await.expect("an answer");
        assert_eq!(retried, Retried::Applied);
        log[1] = readable[1].clone();
        assert_eq!(cache(&mut store).await, modelled(10, &log));
        for is_in in [true, false] {
            let gone = store.forget(list[1].seq).await.expect("an answer");
            assert_eq!(gone, is_in);
        }
        assert_eq!(store.quarantine_size().await.expect("a size"), 0);
        let at = store.checkpoint().await.expect("as it was");
        assert_eq!(at, Some(checkpoint(1, 3)));
        store.clear().await.expect("clear");
    });
}

/// As when a wipe or a failover comes between two parts.
#[test]
fn a_filling_that_loses_something_on_the_way_gets_no_checkpoint() {
    let Some(url) = redis_url() else { return };
    wait(async {
        let (mut store, _) = fresh(&url, 10);
        let log = entries((1..=6).map(|id| post(1, id, "text")).collect());
        let part = |from: u64, upto: u64| Filling {
            end: checkpoint(1, 6),
            until: 6,
            from,
            upto,
            entries: log[from as usize - 1..upto as usize].to_vec(),
        };
        let moved = |result| matches!(result, Err(ProjectionError::CheckpointMoved { .. }));
        store.fill(&part(5, 6)).await.expect("the newest");
        assert!(moved(store.fill(&part(1, 2)).await), "3 and 4 are missing");
        assert!(moved(store.filled(&part(1, 4)).await), "1 to 4 are missing");
        store.clear().await.expect("clear");
        assert!(moved(store.fill(&part(1, 4)).await), "5 and 6 are lost");
        assert_eq!(store.checkpoint().await.expect("read"), None);
        for part in [part(3, 6), part(1, 2)] {
            store.fill(&part).await.expect("a part");
        }
        store.filled(&part(1, 2)).await.expect("whole");
        let at = store.checkpoint().await.expect("read");
        assert_eq!(at, Some(checkpoint(1, 6)));
        assert_eq!(cache(&mut store).await, modelled(10, &log));
        store.clear().await.expect("clear");
    });
}

#[test]
fn long_batches_go_in_parts_and_a_server_that_forgot_the_script_is_told_again() {
    let Some(url) = redis_url() else { return };
    wait(async {
        let (mut store, _) = fresh(&url, 100_000);
        let posts = (1..=1234).map(|id| post(id % 3, id, "text")).collect();
        let log = entries(posts);
        let () = redis::cmd("SCRIPT")
            .arg("FLUSH")
            .query_async(&mut redis_connection(&url).await)
            .await
            .expect("flush scripts");
        let whole = batch(0, &log, Some(checkpoint(1, 1234)));
        store.apply(&whole).await.expect("apply");
        assert_eq!(
            store.checkpoint().await.expect("read"),
            Some(checkpoint(1, 1234))
        );
        let (at, found) = store.read().await.expect("read");
        assert_eq!(at, Some(checkpoint(1, 1234)));
        let expected = modelled(100_000, &log);
        assert_eq!(found, expected);
        store.clear().await.expect("clear");
    });
}

#[test]
fn a_server_that_is_away_is_waited_for_and_no_password_is_shown() {
    wait(async {
        let (mut store, _) = fresh("redis://user:geheim@127.0.0.1:1/0", 10);
        let error = store.checkpoint().await.expect_err("nobody is there");
        assert_eq!(error.class(), Class::Transient);
        let text = format!("{error:?} {}", telegram_gateway::failure::chain(&error));
        assert!(!text.contains("geheim"), "{text}");
    });
}

#[test]
fn sentinels_that_want_a_password_get_it_and_a_wrong_one_is_the_operators() {
    let Some(url) = redis_url() else {
        return;
    };
    let variable = |name: &str| std::env::var(name).expect("set by tests/services env");
    let sentinel = variable("TGW_TEST_SENTINEL");
    let (host, port) = sentinel.rsplit_once(':').expect("host and port");
    let user = format!("tgw-test-{}", std::process::id());
    wait(async {
        let mut raw = redis_connection(&format!("redis://{sentinel}")).await;
        let mut command = redis::cmd("ACL");
        let rights = [
            "on",
            ">geheim, mit %",
            "allchannels",
            "+sentinel|master",
            "+subscribe",
        ];
        command.arg("SETUSER").arg(&user).arg(&rights);
        command.exec_async(&mut raw).await.expect("a user");

        let (_, mut config) = fresh(&url, 10);
        config.sentinels = vec![(host.to_owned(), port.parse().expect("a port"))];
        config.master = variable("TGW_TEST_SENTINEL_MASTER");
        config.sentinel_user = user.clone();
        config.sentinel_password = Some(Secret::new("geheim, mit %".to_owned()));
        let asked = Redis::new(config.clone()).checkpoint().await;
        assert_eq!(asked.expect("the master is found"), None);

        config.sentinel_password = Some(Secret::new("falsch".to_owned()));
        let error = Redis::new(config).checkpoint().await.expect_err("refused");
        assert_eq!(error.class(), Class::Operator, "{error:?}");
        let hint = error.hint().expect("a hint");
        assert!(hint.contains("redis.sentinel_password"), "{hint}");
        let text = format!("{error:?} {}", telegram_gateway::failure::chain(&error));
        assert!(!text.contains("falsch"), "{text}");

        let mut command = redis::cmd("ACL");
        command.arg("DELUSER").arg(&user);
        command.exec_async(&mut raw).await.expect("it is gone");
    });
}

/// Not a test: prints what the projection costs. `cargo test --release --test it -- --ignored --nocapture redis_load`
#[test]
#[ignore = "a measurement"]
fn redis_load() {
    let Some(url) = redis_url() else { return };
    wait(async {
        let text = "A message of a usual length, about three hundred bytes of it. ".repeat(5);
        for (window, peers) in [(1000, 20), (1_000_000, 20)] {
            let (mut store, _) = fresh(&url, window);
            let mut connection = redis_connection(&url).await;
            let total = 60_000_u64;
            let cpu = server_cpu(&mut connection).await;
            let (began, own) = (Instant::now(), own_cpu());
            let (mut slowest, mut after) = (Duration::ZERO, 0);
            while after < total {
                let log: Vec<Entry> = (after + 1..=after + 2000)
                    .map(|seq| {
                        let (n, id) = ((seq % peers) as i64, (seq / peers) as i64 + 1);
                        Entry::Event(crate::support::events::envelope(seq, post(n, id, &text)))
                    })
                    .collect();
                let one = Instant::now();
                let end = checkpoint(1, after + 2000);
                store
                    .apply(&batch(after, &log, Some(end)))
                    .await
                    .expect("apply");
                slowest = slowest.max(one.elapsed());
                after += 2000;
            }
            let took = began.elapsed();
            let cpu = server_cpu(&mut connection).await - cpu;
            println!(
                "window {window}: {:.0} ev/s, server {:.1} us/ev, this side {:.1} us/ev, slowest 2000 in {slowest:?}",
                total as f64 / took.as_secs_f64(),
                cpu * 1e6 / total as f64,
                (own_cpu() - own) * 1e6 / total as f64,
            );
            store.clear().await.expect("clear");
        }
    });
}

async fn server_cpu(connection: &mut redis::aio::MultiplexedConnection) -> f64 {
    let text: String = redis::cmd("INFO")
        .arg("cpu")
        .query_async(connection)
        .await
        .expect("info");
    let used = text.lines().filter_map(|line| {
        let value = line.strip_prefix("used_cpu_user:");
        value
            .or_else(|| line.strip_prefix("used_cpu_sys:"))?
            .trim()
            .parse::<f64>()
            .ok()
    });
    used.sum()
}

fn own_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| -> f64 {
        fields
            .get(at)
            .and_then(|field| field.parse().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}
