//! What stands on the rows of TimescaleDB: counts by hour and day, cursors of consumers, what a person looks at, who may
//! do what, and how the listed questions are answered.

use std::fmt::Write as _;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use telegram_gateway::config::BackendUrl;
use telegram_gateway::failure::{Class, Classify as _};
use telegram_gateway::store::timescale::{Generations, Loader, Switched, Timescale};
use telegram_gateway::store::{Entry, Projection as _};

use super::{batch, checkpoint, everything, folded, mixed_log, posts, timescale_config, wait};
use crate::support::blessed::is_blessed;
use crate::support::events::peer;
use crate::support::gateway::repository;
use crate::support::services::{connect, fresh_database, let_in, timescale_url};

/// What the views say, and what the messages say; equal when all is well.
async fn counts(connection: &mut PgConnection, view: &str, unit: &str) -> (String, String) {
    let shown = format!(
        "select coalesce(string_agg(t::text, ';' order by t::text), '') from (\
         select peer_id, {unit}, messages, edits, deleted, media, live, \
         extract(epoch from latency_mean)::numeric(20, 3), latency_max from telegram.{view}) t"
    );
    let right = format!(
        "select coalesce(string_agg(t::text, ';' order by t::text), '') from (\
         select peer_id, date_trunc('{unit}', posted_at, 'UTC'), count(*), sum(greatest(version - 1, 0))::bigint, \
         count(deleted_at), count(media_kind), count(*) filter (where origin = 'live'), \
         (avg(extract(epoch from received_at - posted_at)) filter (where origin = 'live'))::numeric(20, 3), \
         max(received_at - posted_at) filter (where origin = 'live') \
         from telegram.messages group by 1, 2) t"
    );
    let mut both = [String::new(), String::new()];
    for (text, sql) in both.iter_mut().zip([shown, right]) {
        *text = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *connection)
            .await
            .expect("counts");
    }
    let [shown, right] = both;
    (shown, right)
}

async fn check_counts(connection: &mut PgConnection) {
    for (view, unit) in [("messages_hourly", "hour"), ("messages_daily", "day")] {
        let (shown, right) = counts(connection, view, unit).await;
        assert_eq!(shown, right, "{view}");
        assert!(!right.is_empty());
    }
}

#[test]
fn hours_and_days_are_counted_right_at_any_moment() {
    let Some(url) = timescale_url() else { return };
    let log = mixed_log();
    wait(async {
        let url = fresh_database(&url).await;
        let config = timescale_config(&url);
        let mut store = Timescale::new(config.clone());
        let mut generations = Generations::open(&config).await.expect("open");
        let mut connection = connect(&url).await;
        for part in log.chunks(log.len().div_ceil(4)).rev() {
            store.apply(&batch(part, None)).await.expect("apply");
            check_counts(&mut connection).await;
            assert!(generations.recount_hours().await.expect("counted") > 0);
            check_counts(&mut connection).await;
        }
        let stale = "select count(*) from telegram_g1.message_hour_stale";
        let left: i64 = sqlx::query_scalar(stale)
            .fetch_one(&mut connection)
            .await
            .expect("a count");
        assert_eq!(left, 0, "all of these hours are over");

        // A generation that is loaded: counted once, and noted from then on.
        let end = Some(checkpoint(1, log.len() as u64));
        store.apply(&batch(&log, end)).await.expect("apply");
        let number = generations
            .make(Duration::from_secs(86_400))
            .await
            .expect("made");
        let mut loader = Loader::new(config, number, 1_000);
        let half = log.len() / 2;
        let middle = Some(checkpoint(1, half as u64));
        loader
            .apply(&batch(&log[..half], middle))
            .await
            .expect("load");
        loader.count_hours(&mut generations).await.expect("counted");
        loader.apply(&batch(&log[half..], end)).await.expect("load");
        let switch = generations.begin_switch().await.expect("begun");
        assert_eq!(
            switch.finish(number, false).await.expect("as far"),
            Switched::Done
        );
        check_counts(&mut connection).await;
    });
}

#[test]
fn consumers_read_on_from_their_own_cursor() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        let mut store = Timescale::new(timescale_config(&url));
        let log = posts(&["one", "two", "three", "four"]);
        store
            .apply(&batch(&log, Some(checkpoint(1, 4))))
            .await
            .expect("apply");
        let mut connection = connect(&url).await;
        let next = async |connection: &mut PgConnection, name: &str| -> Vec<(i64, String)> {
            let sql = "select changed_seq, (message).text from telegram.unprocessed($1, 2)";
            sqlx::query_as(sql)
                .bind(name)
                .fetch_all(connection)
                .await
                .expect("messages")
        };
        let named = |list: &[(i64, &str)]| -> Vec<(i64, String)> {
            list.iter()
                .map(|(seq, text)| (*seq, (*text).to_owned()))
                .collect()
        };
        assert_eq!(
            next(&mut connection, "a").await,
            named(&[(1, "one"), (2, "two")])
        );
        for (upto, at) in [(2_i64, 2_i64), (1, 2)] {
            let moved: i64 = sqlx::query_scalar("select telegram.processed('a', $1)")
                .bind(upto)
                .fetch_one(&mut connection)
                .await
                .expect("moved");
            assert_eq!(moved, at, "never back");
        }
        assert_eq!(
            next(&mut connection, "a").await,
            named(&[(3, "three"), (4, "four")])
        );
        assert_eq!(
            next(&mut connection, "b").await,
            named(&[(1, "one"), (2, "two")])
        );
        for (peer_id, expected) in [(peer(1).marked(), 2), (peer(2).marked(), 0)] {
            let sql = "select count(*) from telegram.unprocessed('a', 10, $1)";
            let found = sqlx::query_scalar(sql).bind(peer_id);
            let found: i64 = found.fetch_one(&mut connection).await.expect(sql);
            assert_eq!(found, expected, "of {peer_id} alone");
        }
        let lag: (i64, i64) = sqlx::query_as("select seq, lag_events from telegram.consumer_lag")
            .fetch_one(&mut connection)
            .await
            .expect("a lag");
        assert_eq!(lag, (2, 2));

        for sql in [
            "select 1 from telegram.ingest where projection = 'timescale' and shown and seq = 4 \
             and latency is not null and idle_for >= interval '0'",
            "select 1 from telegram.storage where shown and bytes > 0 and range_end > range_start limit 1",
        ] {
            let row = connection.fetch_optional(sql).await.expect("a view");
            assert!(row.is_some(), "{sql}");
        }
    });
}

#[test]
fn channel_health_tells_of_silence_and_gaps() {
    let Some(url) = timescale_url() else { return };
    let log = mixed_log();
    wait(async {
        let url = fresh_database(&url).await;
        let mut store = Timescale::new(timescale_config(&url));
        store.apply(&batch(&log, None)).await.expect("apply");
        let sql = "select count(*) filter (where h.last_posted_at is not distinct from m.newest \
                   and h.gaps_open = g.open), count(*) from telegram.channel_health h \
                   cross join lateral (select max(posted_at) as newest from telegram.messages m \
                   where m.peer_id = h.peer_id) m \
                   cross join lateral (select count(*) as open from telegram.gaps g \
                   where g.peer_id = h.peer_id and g.closed_at is null) g";
        let row = connect(&url).await.fetch_one(sql).await.expect("health");
        let (right, all): (i64, i64) = (row.get(0), row.get(1));
        assert!(all > 0);
        assert_eq!(right, all);
    });
}

/// The server says that this role may not do any of it.
async fn refuses(connection: &mut PgConnection, statements: &[&'static str]) {
    for sql in statements {
        let error = connection.execute(*sql).await.expect_err(sql);
        let code = error.as_database_error();
        let code = code.and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
    }
}

/// Batches by the writer, generations by the owner; also in one that was made after the role was let in.
async fn write_as(writer: &str, owner: &str, log: &[Entry]) {
    let mut config = timescale_config(writer);
    config.direct_url = Some(BackendUrl::parse(owner).expect("an address"));
    let end = Some(checkpoint(1, log.len() as u64));
    let mut store = Timescale::new(config.clone());
    store.apply(&batch(log, end)).await.expect("it writes");
    let mut generations = Generations::open(&config).await.expect("open");
    let day = Duration::from_secs(86_400);
    let number = generations.make(day).await.expect("made");
    let mut loader = Loader::new(config, number, 1_000);
    loader.apply(&batch(log, end)).await.expect("it loads");
    let switch = generations.begin_switch().await.expect("begun");
    let switched = switch.finish(number, false).await.expect("as far");
    assert_eq!(switched, Switched::Done);
    assert_eq!(everything(&mut loader).await, folded(log));
}

#[test]
fn reader_and_writer_may_do_their_work_and_no_more() {
    let Some(url) = timescale_url() else { return };
    let log = mixed_log();
    wait(async {
        let url = fresh_database(&url).await;
        Timescale::new(timescale_config(&url))
            .checkpoint()
            .await
            .expect("made");
        let reader = let_in(&url, false).await;
        let writer = let_in(&url, true).await;

        write_as(&writer, &url, &log).await;

        let mut reading = connect(&reader).await;
        for view in [
            "messages",
            "messages_daily",
            "channel_health",
            "albums",
            "ingest",
            "storage",
        ] {
            let sql = format!("select count(*) from telegram.{view}");
            reading.execute(AssertSqlSafe(sql)).await.expect(view);
        }
        let own =
            "select telegram.processed('c', 1); select count(*) from telegram.unprocessed('c')";
        reading.execute(own).await.expect("a cursor of its own");
        refuses(
            &mut reading,
            &[
                "insert into telegram.checkpoints select * from telegram.checkpoints",
                "select * from telegram_g2.message_content",
                "select raw from telegram.quarantine",
                "select telegram.drop_generation(1)",
                "create table telegram.mine (x int)",
            ],
        )
        .await;
        refuses(
            &mut connect(&writer).await,
            &[
                "delete from telegram_g2.message_content",
                "truncate telegram_g2.message_state",
                "select telegram.show_generation(1, true)",
                "drop view telegram.messages",
                "create table telegram_g2.mine (x int)",
            ],
        )
        .await;
        // A writer alone cannot bring a schema up to date, and says so.
        let error = Timescale::new(timescale_config(&writer)).checkpoint().await;
        assert_eq!(error.expect_err("not the owner").class(), Class::Operator);
    });
}

/// Enough rows that the server has a choice: ten channels, 2,000 messages of each over 20 days, in four chunks.
const MANY: &str = "\
    insert into telegram_g1.message_content (peer_id, message_id, posted_at, rank, seq, first_seq, received_at, versioned, \
    pinned, kind, origin, text, grouped_id) \
    select -p, i, timestamptz '2026-01-01 00:00Z' + i * interval '864 seconds', n, n, n, \
    timestamptz '2026-01-01 00:00Z' + i * interval '865 seconds', true, false, 'message', 'live', repeat('x', 200), \
    case when i % 10 = 0 then i / 10 end \
    from generate_series(1, 2000) i, generate_series(1, 10) p, lateral (select i * 10 + p as n) n; \
    insert into telegram_g1.message_state (peer_id, message_id, views, views_seq) \
    select -p, i, 1, 1 from generate_series(1, 2000, 3) i, generate_series(1, 10) p; \
    insert into telegram_g1.message_version (peer_id, message_id, posted_at, seq, text) \
    select peer_id, message_id, posted_at, 0, 'y' from telegram_g1.message_content where message_id % 5 = 0; \
    analyze";

/// The questions that readers and the program itself ask all the time.
const QUESTIONS: [(&str, &str); 7] = [
    (
        "the newest messages of a channel",
        "select * from telegram.messages where peer_id = -7 order by posted_at desc, message_id desc limit 50",
    ),
    (
        "one message",
        "select * from telegram.messages where peer_id = -7 and message_id = 77",
    ),
    (
        "a channel's messages of a period",
        "select * from telegram.messages where peer_id = -7 \
         and posted_at >= '2026-01-07 00:00Z' and posted_at < '2026-01-08 00:00Z' order by posted_at",
    ),
    (
        "the newest messages of all",
        "select * from telegram.messages order by posted_at desc limit 50",
    ),
    (
        "what came after a number",
        "select * from telegram.message_order where seq > 10000 order by seq limit 50",
    ),
    (
        "the versions of a message",
        "select * from telegram.message_versions where peer_id = -7 and message_id = 77",
    ),
    (
        "an album",
        "select * from telegram.albums where peer_id = -7 and grouped_id = 5",
    ),
];

/// The shape of the plans, without costs and with chunks unnamed: each of them goes by an index.
#[test]
fn the_listed_questions_are_answered_by_indexes() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        let mut config = timescale_config(&url);
        config.chunk_interval = Some(Duration::from_secs(5 * 86_400));
        Timescale::new(config).checkpoint().await.expect("made");
        let mut connection = connect(&url).await;
        connection.execute(MANY).await.expect("rows");
        let mut text = String::new();
        for (question, sql) in QUESTIONS {
            let explain = format!("explain (costs off) {sql}");
            let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain))
                .fetch_all(&mut connection)
                .await
                .expect("a plan");
            let plan: Vec<String> = plan.iter().map(|line| unnamed(line)).collect();
            let scans = plan.iter().filter(|line| line.contains("Seq Scan")).count();
            assert_eq!(scans, 0, "{question}: {plan:#?}");
            let _ = writeln!(text, "# {question}");
            for line in plan {
                let _ = writeln!(text, "{line}");
            }
        }
        is_blessed(&repository("fixtures/timescale/plans.txt"), &text);
    });
}

/// A line of a plan, with the names of chunks and of their indexes as one.
fn unnamed(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("_hyper_") {
        out.push_str(&rest[..at]);
        let name = &rest[at..];
        let end = name
            .find("chunk")
            .map_or(name.len(), |at| at + "chunk".len());
        out.push_str("CHUNK");
        rest = &name[end..];
    }
    out.push_str(rest);
    // Chunks of one name are numbered where a query names several: c_1, c_2.
    let words: Vec<&str> = out.split(' ').collect();
    let plain = |word: &&str| -> String {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let known = digits.strip_suffix('_').filter(|stem| stem.len() == 1);
        known.map_or_else(|| (*word).to_owned(), str::to_owned)
    };
    words.iter().map(plain).collect::<Vec<_>>().join(" ")
}
