//! A rebuild of TimescaleDB beside the live one: readers notice nothing, whenever it is cut off, and there is a way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _};
use telegram_gateway::projector::full_batch;
use telegram_gateway::store::Projection as _;
use telegram_gateway::store::timescale::{Generations, Loader};
use tokio::task::JoinHandle;
use wal::Seq;

use crate::support::gateway::{Gateway, wait_until};
use crate::support::proxy::{Moment, Proxy};
use crate::support::services::{connect, in_database, pgbouncer_url};

fn fill(gateway: &Gateway, events: &str) {
    let run = [
        "run",
        "--source",
        "synthetic",
        "--rate",
        "0",
        "--events",
        events,
    ];
    gateway.ok(&[&run[..], &["--drain"]].concat());
}

fn stages(gateway: &Gateway) -> Vec<(i64, String)> {
    let list = gateway.json(&["generation", "list", "--json"]);
    let list = list.as_array().expect("a list");
    let stage = |it: &Value| it["stage"].as_str().unwrap_or_default().to_owned();
    list.iter()
        .map(|it| (it["generation"].as_i64().unwrap_or(0), stage(it)))
        .collect()
}

/// Generations and their stages, as a test writes them.
fn named(list: &[(i64, &str)]) -> Vec<(i64, String)> {
    list.iter()
        .map(|(number, stage)| (*number, (*stage).to_owned()))
        .collect()
}

/// Reads all the time; fails when anything that it saw is gone.
struct Reader {
    stop: Arc<AtomicBool>,
    task: JoinHandle<u64>,
}

impl Reader {
    fn start(gateway: &Gateway) -> Reader {
        let url = gateway.config().timescale.expect("configured").url;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut connection = connect(url.expose()).await;
            let (mut last, mut reads) = ((0, 0, 0), 0);
            while !stopped.load(Ordering::Relaxed) {
                let sql = "select (select count(*) from telegram.messages), \
                           (select coalesce(max(seq), 0) from telegram.messages), \
                           (select count(*) from telegram.message_versions)";
                let now: (i64, i64, i64) = sqlx::query_as(sql)
                    .fetch_one(&mut connection)
                    .await
                    .expect("an answer");
                assert!(
                    now.0 >= last.0 && now.1 >= last.1 && now.2 >= last.2,
                    "{last:?} {now:?}"
                );
                last = now;
                reads += 1;
                // Leaves the server to the others.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            reads
        });
        Reader { stop, task }
    }

    /// Whether it saw all it should, and how often it looked.
    async fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("nothing that was seen is gone")
    }
}

/// The indexes on the messages of a generation, and on all their chunks.
async fn indexes(gateway: &Gateway, generation: i32) -> Vec<String> {
    let mut connection =
        connect(gateway.config().timescale.expect("configured").url.expose()).await;
    let sql = "select replace(indexdef, schemaname, '') from pg_indexes \
               where schemaname = 'telegram_g' || $1 and tablename = 'message_content' order by 1";
    let list: Vec<String> = sqlx::query_scalar(sql)
        .bind(generation)
        .fetch_all(&mut connection)
        .await
        .expect("indexes");
    let sql = "select count(*) from pg_indexes i join timescaledb_information.chunks k \
               on k.chunk_schema = i.schemaname and k.chunk_name = i.tablename \
               where k.hypertable_schema = 'telegram_g' || $1 and k.hypertable_name = 'message_content' \
               group by i.tablename";
    let of_chunks: Vec<i64> = sqlx::query_scalar(sql)
        .bind(generation)
        .fetch_all(&mut connection)
        .await
        .expect("counts");
    assert!(!of_chunks.is_empty());
    assert!(of_chunks.iter().all(|count| *count == list.len() as i64));
    list
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_notice_nothing_of_rebuilds_and_of_the_way_back() {
    let Some(gateway) = Gateway::with_services().await else {
        return;
    };
    fill(&gateway, "2000");
    let reader = Reader::start(&gateway);
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "60"]);
    wait_until("events flow", || {
        gateway.tail() > 2_020 || !daemon.is_running()
    });
    for (number, replaced) in [(2, 1), (3, 2)] {
        let done = gateway.json(&["rebuild", "timescale", "--json"]);
        assert_eq!(
            (&done["generation"], &done["replaced"]),
            (&number.into(), &replaced.into())
        );
        assert_eq!(done["comparison"]["mended"], 0, "{done}");
        assert_eq!(done["comparison"]["only_older"], 0, "{done}");
        assert!(done["applied"].as_u64() > Some(2_000), "{done}");
    }
    let back = gateway.json(&["generation", "rollback", "--json"]);
    assert_eq!(
        (&back["generation"], &back["replaced"]),
        (&2.into(), &3.into()),
        "{back}"
    );
    assert_eq!(
        stages(&gateway),
        named(&[(1, "kept"), (2, "shown"), (3, "kept")])
    );
    let first = indexes(&gateway, 1).await;
    assert_eq!(first.len(), 5, "{first:?}");
    assert_eq!(indexes(&gateway, 2).await, first, "as it was made");
    let tail = gateway.tail();
    wait_until("the daemon goes on feeding", || gateway.tail() > tail + 20);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
    let refused = gateway.run(&["generation", "drop", "2", "--yes"]);
    assert_eq!(refused.status.code(), Some(1), "the one shown");
    gateway.ok(&["generation", "drop", "1", "--yes"]);
    gateway.ok(&["generation", "drop", "3", "--yes"]);
    assert_eq!(stages(&gateway), named(&[(2, "shown")]));
    gateway.verify();
    assert!(reader.finish().await > 10);
}

/// Kills a rebuild wherever it is by then, and then lets one come through.
fn kill_at_any_moment(gateway: &Gateway) {
    for wait_ms in [0, 40, 150, 400] {
        let mut rebuild = gateway.start(&["rebuild", "timescale"]);
        let begun = std::time::Instant::now();
        wait_until("some of it is done", || {
            begun.elapsed() >= Duration::from_millis(wait_ms) || !rebuild.is_running()
        });
        rebuild.kill();
        let shown = stages(gateway)
            .iter()
            .filter(|(_, stage)| stage == "shown")
            .count();
        assert_eq!(shown, 1);
    }
    gateway.ok(&["rebuild", "timescale"]);
    let left = stages(gateway);
    assert!(
        left.iter().all(|(_, stage)| stage != "building"),
        "{left:?}"
    );
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_was_cut_off_is_gone_on_with() {
    let Some(gateway) = Gateway::with_timescale().await else {
        return;
    };
    fill(&gateway, "6000");
    let config = gateway.config().timescale.expect("configured");
    let reader = Reader::start(&gateway);

    // Cut off in the middle: as much as a kill leaves, without its luck.
    let journal = gateway.journal().expect("a log");
    let number = Generations::open(&config)
        .await
        .expect("open")
        .make(Duration::from_secs(86_400))
        .await;
    let mut loader = Loader::new(config.clone(), number.expect("made"), 6_000);
    let records = journal
        .range(Seq::FIRST, 2_500, 2_500, 64 << 20)
        .await
        .expect("records");
    let batch = full_batch(journal.identity(), 0, &records).expect("a batch");
    loader.apply(&batch).await.expect("a part of it");
    drop(loader);
    assert_eq!(stages(&gateway), named(&[(1, "shown"), (2, "building")]));

    // Cut off before the switch, which a reader holds back.
    let mut holding = connect(config.url.expose()).await;
    holding
        .execute("begin; select count(*) from telegram.messages")
        .await
        .expect("a long reader");
    let rebuild = gateway.start(&["rebuild", "timescale"]);
    wait_until("it waits for the reader", || {
        rebuild.words().contains("the switch waits")
    });
    rebuild.kill();
    assert_eq!(stages(&gateway), named(&[(1, "shown"), (2, "building")]));
    holding.execute("commit").await.expect("gone");

    let done = gateway.json(&["rebuild", "timescale", "--json"]);
    assert_eq!(
        (&done["resumed"], &done["generation"]),
        (&true.into(), &2.into()),
        "{done}"
    );
    assert_eq!(done["comparison"]["differing"], 0, "{done}");
    assert_eq!(stages(&gateway), named(&[(1, "kept"), (2, "shown")]));

    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "100"]);
    kill_at_any_moment(&gateway);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
    assert!(reader.finish().await > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_is_not_what_the_log_says_is_never_shown() {
    let Some(gateway) = Gateway::with_timescale().await else {
        return;
    };
    fill(&gateway, "600");
    let config = gateway.config().timescale.expect("configured");
    let mut holding = connect(config.url.expose()).await;
    let begin = "begin; select count(*) from telegram.messages";
    holding.execute(begin).await.expect("a long reader");
    let rebuild = gateway.start(&["rebuild", "timescale"]);
    wait_until("it is loaded, and waits for the reader", || {
        rebuild.words().contains("the switch waits")
    });
    rebuild.kill();
    let damage =
        "commit; update telegram_g2.message_content set text = 'other' where message_id % 7 = 0";
    holding.execute(damage).await.expect("a change");
    let refused = gateway.run(&["rebuild", "timescale"]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(65), "{words}");
    assert!(words.contains("are not what the log says"), "{words}");
    assert_eq!(stages(&gateway), named(&[(1, "shown")]));
    gateway.verify();
    gateway.ok(&["rebuild", "timescale"]);
    gateway.verify();
}

/// Interval, the number behind which it samples, and how many samples a generation has.
async fn history(gateway: &Gateway, generation: i32) -> (i64, i64, i64) {
    let url = gateway.config().timescale.expect("configured").url;
    let g = format!("telegram_g{generation}");
    let sql = format!(
        "select interval_us, after_seq, (select count(*) from {g}.counter_samples) from {g}.counter_sampling"
    );
    let read = sqlx::query_as(AssertSqlSafe(sql));
    let mut connection = connect(url.expose()).await;
    read.fetch_one(&mut connection).await.expect("a history")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_has_the_same_history_of_counters() {
    const MINUTE_US: i64 = 60_000_000;
    let Some(mut gateway) = Gateway::with_timescale().await else {
        return;
    };
    gateway.set("TGW_TIMESCALE__COUNTER_HISTORY", "1m");
    fill(&gateway, "2000");
    let done = gateway.json(&["rebuild", "timescale", "--json"]);
    assert_eq!(done["comparison"]["differing"], 0, "{done}");
    let (live, rebuilt) = (history(&gateway, 1).await, history(&gateway, 2).await);
    assert!(live.2 > 50, "{live:?}");
    assert_eq!((live, (live.0, live.1)), (rebuilt, (MINUTE_US, 0)));
    let url = gateway.config().timescale.expect("configured").url;
    let differing: i64 = sqlx::query_scalar(
        "select count(*) from telegram_g1.counter_samples a full join telegram_g2.counter_samples b \
         using (peer_id, message_id, interval_at) where a is distinct from b",
    )
    .fetch_one(&mut connect(url.expose()).await)
    .await
    .expect("both");
    assert_eq!(differing, 0, "row by row");
    gateway.verify();

    // Another interval begins another history at the checkpoint; a rebuild begins it at the start of the log. The two are
    // not held against each other, and each is right by itself.
    gateway.set("TGW_TIMESCALE__COUNTER_HISTORY", "2m");
    let tail = i64::try_from(gateway.tail()).expect("a number");
    fill(&gateway, "2500");
    let short = history(&gateway, 2).await;
    assert_eq!((short.0, short.1), (2 * MINUTE_US, tail));
    gateway.verify();
    let done = gateway.json(&["rebuild", "timescale", "--json"]);
    assert_eq!(done["comparison"]["differing"], 0, "{done}");
    let whole = history(&gateway, 3).await;
    assert_eq!((whole.0, whole.1), (2 * MINUTE_US, 0));
    assert!(whole.2 > short.2 && short.2 > 0, "{whole:?} {short:?}");
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_through_pgbouncer_whose_line_is_cut_in_a_commit_is_gone_on_with() {
    let (Some(mut gateway), Some(pooled)) = (Gateway::with_timescale().await, pgbouncer_url())
    else {
        return;
    };
    // Rows go through the pooler, generations past it.
    let direct = gateway.config().timescale.expect("configured").url;
    let database = url::Url::parse(direct.expose()).expect("an address");
    let proxy = Proxy::before(&in_database(&pooled, database.path()));
    gateway.set("TGW_TIMESCALE__URL", &proxy.url);
    gateway.set("TGW_TIMESCALE__DIRECT_URL", direct.expose());
    fill(&gateway, "6000");

    proxy.cut_at("COMMIT", Moment::After);
    let cut = gateway.run(&["rebuild", "timescale"]);
    assert_eq!(proxy.words(), 1);
    let stages_then = stages(&gateway);
    if !cut.status.success() {
        assert_eq!(stages_then, named(&[(1, "shown"), (2, "building")]));
        let done = gateway.json(&["rebuild", "timescale", "--json"]);
        assert_eq!(
            (&done["resumed"], &done["comparison"]["differing"]),
            (&true.into(), &0.into()),
            "{done}"
        );
    }
    assert_eq!(stages(&gateway), named(&[(1, "kept"), (2, "shown")]));
    gateway.verify();
    gateway.ok(&["generation", "rollback"]);
    gateway.verify();
}

/// Killed when the server has not heard of the switch yet, and when it has made it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_killed_in_the_switch_leaves_one_generation_shown() {
    let Some(mut gateway) = Gateway::with_timescale().await else {
        return;
    };
    fill(&gateway, "600");
    let direct = gateway.config().timescale.expect("configured").url;
    let proxy = Proxy::before(direct.expose());
    for (nth, moment) in (1..).zip([Moment::Before, Moment::After]) {
        gateway.set("TGW_TIMESCALE__DIRECT_URL", &proxy.url);
        proxy.stick_at("show_generation", moment);
        let rebuild = gateway.start(&["rebuild", "timescale"]);
        wait_until("it is stuck in the switch", || proxy.words() == nth);
        rebuild.kill();
        gateway.set("TGW_TIMESCALE__DIRECT_URL", direct.expose());
        let shown = stages(&gateway).into_iter().filter(|it| it.1 == "shown");
        assert_eq!(shown.count(), 1);
        gateway.verify();
        gateway.ok(&["rebuild", "timescale"]);
        let left = stages(&gateway);
        assert!(left.iter().all(|it| it.1 != "building"), "{left:?}");
        gateway.verify();
    }
}

/// Drops all messages of a generation, as if they were old; returns how many are left.
async fn drop_all(gateway: &Gateway, generation: i32) -> i64 {
    let url = gateway.config().timescale.expect("configured").url;
    let mut connection = connect(url.expose()).await;
    let sql = "select upto is null from telegram.drop_oldest($1, 'infinity')";
    let mut is_over = false;
    while !is_over {
        let step = sqlx::query_scalar(sql).bind(generation);
        is_over = step.fetch_one(&mut connection).await.expect("dropped");
    }
    messages(gateway).await
}

async fn messages(gateway: &Gateway) -> i64 {
    let url = gateway.config().timescale.expect("configured").url;
    sqlx::query_scalar("select count(*) from telegram.messages")
        .fetch_one(&mut connect(url.expose()).await)
        .await
        .expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dropped_is_missed_by_nobody_and_a_rebuild_brings_it_back_or_not() {
    let Some(mut gateway) = Gateway::with_timescale().await else {
        return;
    };
    gateway.set("TGW_TIMESCALE__CHUNK_INTERVAL", "1h");
    fill(&gateway, "1000");
    assert_eq!(drop_all(&gateway, 1).await, 0);
    gateway.verify();
    fill(&gateway, "1500");
    gateway.verify();

    // Nothing is to be dropped any more: all of it is in the log.
    let done = gateway.json(&["rebuild", "timescale", "--json"]);
    let found = &done["comparison"];
    assert_eq!(
        (&found["mended"], &found["wrong"], &found["only_older"]),
        (&0.into(), &0.into(), &0.into()),
        "{done}"
    );
    assert!(found["differing"].as_u64() > Some(0), "{done}");
    assert!(messages(&gateway).await > 500);
    gateway.verify();

    gateway.set("TGW_TIMESCALE__KEEP_AGE", "30d");
    assert_eq!(drop_all(&gateway, 2).await, 0);
    let done = gateway.json(&["rebuild", "timescale", "--json"]);
    assert_eq!(done["comparison"]["differing"], 0, "{done}");
    assert_eq!(messages(&gateway).await, 0);
    gateway.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_explained_and_what_would_be_lost_needs_a_yes() {
    let Some(gateway) = Gateway::with_timescale().await else {
        return;
    };
    fill(&gateway, "1500");
    let url = gateway.config().timescale.expect("configured").url;
    let mut connection = connect(url.expose()).await;
    let changed = connection
        .execute(
            "update telegram_g1.message_content set text = text || '!' where seq = \
             (select max(seq) from telegram_g1.message_content); \
             delete from telegram_g1.message_content where seq = (select min(seq) from telegram_g1.message_content)",
        )
        .await
        .expect("changes by hand");
    assert_eq!(changed.rows_affected(), 2);
    let done = gateway.json(&["rebuild", "timescale", "--json"]);
    assert!(done["comparison"]["mended"].as_u64() >= Some(2), "{done}");
    assert_eq!(done["comparison"]["wrong"], 0, "{done}");
    gateway.verify();

    // Another log: nothing that readers see now can be made from it.
    std::fs::remove_dir_all(gateway.data_dir()).expect("the log is gone");
    let mut daemon = gateway.start(&[
        "run",
        "--source",
        "synthetic",
        "--rate",
        "0",
        "--events",
        "300",
    ]);
    wait_until("there is another log", || {
        gateway.tail() == 300 || !daemon.is_running()
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    let count = "select count(*) from telegram.messages";
    let before: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut connection)
        .await
        .expect("rows");
    let refused = gateway.run(&["rebuild", "timescale"]);
    assert_eq!(refused.status.code(), Some(2), "nobody agreed");
    let still: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut connection)
        .await
        .expect("rows");
    assert_eq!(still, before);
    let done = gateway.json(&["rebuild", "timescale", "--yes", "--json"]);
    assert_eq!(
        (&done["resumed"], &done["comparison"]),
        (&true.into(), &Value::Null),
        "{done}"
    );
    gateway.verify();
    let refused = gateway.run(&["generation", "rollback"]);
    assert_eq!(
        refused.status.code(),
        Some(1),
        "the one kept is of the other log"
    );
}
