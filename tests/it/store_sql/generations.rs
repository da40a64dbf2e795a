//! Generations of TimescaleDB: loaded beside the live one, shown in one step, and an older installation carried over.

use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Executor as _, SqlSafeStr as _};
use telegram_gateway::config;
use telegram_gateway::failure::{Class, Classify as _};
use telegram_gateway::store::timescale::{Generations, Loader, Stage, Switched, Timescale};
use telegram_gateway::store::{Inspect as _, Projection as _, Snapshot as _};

use super::{
    batch, check_snapshots, checkpoint, everything, folded, folded_by, mixed_log, timescale_config,
    wait,
};
use crate::support::services::{
    connect, fresh_database, in_database, pgbouncer_url, timescale_url,
};

const DAY: Duration = Duration::from_secs(86_400);

/// A generation to load, beside a live one.
async fn loader(url: &str) -> Loader {
    let config = timescale_config(url);
    let mut generations = Generations::open(&config).await.expect("open");
    let number = generations.make(DAY).await.expect("made");
    Loader::new(config, number, 1_000)
}

#[test]
fn a_snapshot_of_a_load_is_one_moment() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        check_snapshots(loader(&url).await).await;
    });
}

#[test]
fn a_load_goes_on_where_it_was_cut_off() {
    let (Some(direct), Some(pooled)) = (timescale_url(), pgbouncer_url()) else {
        return;
    };
    let log = mixed_log();
    wait(async {
        let direct = fresh_database(&direct).await;
        let name = url::Url::parse(&direct).expect("an address");
        // Rows go through the pooler, generations past it.
        let mut config = timescale_config(&in_database(&pooled, name.path()));
        config.direct_url = Some(timescale_config(&direct).url);
        let number = Generations::open(&config)
            .await
            .expect("open")
            .make(DAY)
            .await;
        let number = number.expect("made");
        for cut in [
            1,
            log.len() / 3,
            log.len() / 3 + 1,
            log.len() / 2,
            log.len(),
        ] {
            let mut loader = Loader::new(config.clone(), number, 1_000);
            let has = loader.checkpoint().await.expect("a checkpoint");
            let from = has.map_or(0, |it| it.seq.get() as usize);
            // What was loaded before is not told: the fall-back of a copy that meets a row is the usual merge.
            let end = checkpoint(1, cut as u64);
            loader
                .apply(&batch(&log[from..cut], Some(end)))
                .await
                .expect("a part");
            assert_eq!(everything(&mut loader).await, folded(&log[..cut]), "{cut}");
        }
    });
}

#[test]
fn a_generation_is_shown_at_once_and_never_takes_readers_back() {
    let Some(url) = timescale_url() else { return };
    let log = mixed_log();
    wait(async {
        let url = fresh_database(&url).await;
        let config = timescale_config(&url);
        let mut live = Timescale::new(config.clone());
        let end = checkpoint(1, 10);
        live.apply(&batch(&log[..10], Some(end)))
            .await
            .expect("live");
        let mut generations = Generations::open(&config).await.expect("open");
        generations.hold().await.expect("alone");
        let other = Generations::open(&config).await.expect("open").hold().await;
        assert_eq!(other.expect_err("one at a time").class(), Class::Operator);
        let number = generations.make(DAY).await.expect("made");
        assert_eq!(number, 2);
        let mut loader = Loader::new(config.clone(), number, 1_000);
        loader
            .apply(&batch(&log, Some(checkpoint(1, 9))))
            .await
            .expect("load");
        assert_eq!(everything(&mut live).await, folded(&log[..10]));

        let switch = generations.begin_switch().await.expect("begun");
        assert_eq!(switch.before(), Some(end));
        let error = switch.finish(number, false).await.expect_err("behind");
        assert_eq!(error.class(), Class::Transient, "{error:?}");
        loader
            .apply(&batch(&log[9..10], Some(end)))
            .await
            .expect("as far");
        let switch = generations.begin_switch().await.expect("begun");
        let switched = switch.finish(number, false).await.expect("as far");
        assert_eq!(switched, Switched::Done);

        let list = generations.list().await.expect("list");
        let stages: Vec<_> = list.iter().map(|it| (it.number, it.stage)).collect();
        assert_eq!(stages, [(1, Stage::Kept), (2, Stage::Shown)]);
        assert_eq!(
            (list[1].checkpoint, list[1].chunk_interval),
            (Some(end), DAY)
        );
        assert!(list.iter().all(|it| it.bytes > 0), "{list:?}");

        let error = live.apply(&batch(&log[..1], Some(end))).await;
        assert_eq!(error.expect_err("moved away").class(), Class::Transient);
        assert_eq!(live.checkpoint().await.expect("of the new one"), Some(end));
        live.apply(&batch(&log[..1], Some(end)))
            .await
            .expect("goes on");
        assert_eq!(everything(&mut live).await, folded(&log));

        assert!(generations.remove(2).await.is_err(), "the one shown");
        assert_eq!(generations.sweep(DAY).await.expect("not due"), [0; 0]);
        assert_eq!(generations.sweep(Duration::ZERO).await.expect("due"), [1]);
        let shown: i64 = sqlx::query_scalar("select count(*) from telegram.messages")
            .fetch_one(&mut connect(&url).await)
            .await
            .expect("views are whole");
        assert_eq!(shown, folded(&log)[0].1.len() as i64);
    });
}

#[test]
fn a_reader_in_the_way_makes_the_switch_give_way() {
    let Some(url) = timescale_url() else { return };
    let log = mixed_log();
    wait(async {
        let url = fresh_database(&url).await;
        let config = timescale_config(&url);
        let mut live = Timescale::new(config.clone());
        live.apply(&batch(&log, Some(checkpoint(1, 9))))
            .await
            .expect("live");
        let mut generations = Generations::open(&config).await.expect("open");
        let number = generations.make(DAY).await.expect("made");
        let mut loader = Loader::new(config, number, 1_000);
        loader
            .apply(&batch(&log, Some(checkpoint(1, 9))))
            .await
            .expect("load");

        let mut reader = connect(&url).await;
        let held = "begin; select count(*) from telegram.channels";
        reader.execute(held).await.expect("a long reader");
        let switch = generations.begin_switch().await.expect("begun");
        let switched = switch.finish(number, false).await.expect("no failure");
        assert_eq!(switched, Switched::ReaderInTheWay);
        live.apply(&batch(&log, Some(checkpoint(1, 10))))
            .await
            .expect("still live");
        loader
            .apply(&batch(&log, Some(checkpoint(1, 10))))
            .await
            .expect("as far");
        reader.execute("commit").await.expect("gone");
        let switch = generations.begin_switch().await.expect("begun");
        let switched = switch.finish(number, false).await.expect("free");
        assert_eq!(switched, Switched::Done);
    });
}

/// An installation as the second step of the schema left it, with rows in it.
async fn older_installation(url: &str) -> sqlx::PgConnection {
    let mut connection = connect(url).await;
    let extension = "create extension timescaledb";
    connection.execute(extension).await.expect("the extension");
    let steps: [(i64, &str, &'static str); 2] = [
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
    ];
    let steps = steps.map(|(version, name, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(steps.to_vec());
    migrator.dangerous_set_table_name("telegram.schema_migrations");
    migrator.create_schema("telegram");
    migrator
        .run_direct(None, &mut connection, false)
        .await
        .expect("the older schema");
    let log_id = checkpoint(1, 1).identity.log_id;
    connection
        .execute(sqlx::AssertSqlSafe(format!(
            "select telegram.create_generation(1, interval '90 days'); select telegram.show_generation(1); \
             insert into telegram_g1.message_content (peer_id, message_id, posted_at, rank, seq, first_seq, \
             received_at, versioned, pinned, kind, origin, text) values \
             (7, 1, '2026-01-01', 1, 1, 1, '2026-01-01', true, false, 'message', 'live', 'before'); \
             insert into telegram.checkpoints values ('timescale', 1, '{log_id}', 1, 1, '2026-01-01')",
        )))
        .await
        .expect("rows of then");
    connection
}

#[test]
fn an_older_installation_is_carried_over_with_its_rows() {
    let Some(url) = timescale_url() else { return };
    let log = mixed_log();
    wait(async {
        let url = fresh_database(&url).await;
        let mut connection = older_installation(&url).await;
        let config = config::Timescale {
            counter_history: Some(Duration::from_secs(4)),
            ..timescale_config(&url)
        };
        let mut live = Timescale::new(config.clone());
        let has = live
            .checkpoint()
            .await
            .expect("carried over")
            .expect("a checkpoint");
        assert_eq!((has.seq.get(), has.identity.epoch), (1, 1));
        let history = live.snapshot().await.expect("a snapshot").sampling();
        assert_eq!(history.map(|it| it.after), Some(1), "from now on");
        let end = checkpoint(1, log.len() as u64);
        live.apply(&batch(&log, Some(end))).await.expect("goes on");
        let before: String =
            sqlx::query_scalar("select text from telegram.messages where peer_id = 7")
                .fetch_one(&mut connection)
                .await
                .expect("still there");
        assert_eq!(before, "before");
        let mut generations = Generations::open(&config).await.expect("open");
        let number = generations.make(DAY).await.expect("made");
        let mut loader = Loader::new(config, number, 1_000);
        loader.apply(&batch(&log, Some(end))).await.expect("load");
        let switch = generations.begin_switch().await.expect("begun");
        let switched = switch.finish(number, false).await.expect("as far");
        assert_eq!(switched, Switched::Done);
        live.checkpoint().await.expect("of the one before");
        let error = live.apply(&batch(&[], Some(end))).await;
        assert_eq!(error.expect_err("moved").class(), Class::Transient);
        live.checkpoint().await.expect("of the new one");
        let history = live.snapshot().await.expect("a snapshot").sampling();
        assert_eq!(history.map(|it| it.after), Some(0), "of the whole log");
        assert_eq!(everything(&mut live).await, folded_by(&log, history));
    });
}

/// A width that is configured later takes a rebuild; nothing changes under a table that is in use.
#[test]
fn chunks_keep_their_width_until_a_rebuild() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        for days in [2, 5] {
            let mut config = timescale_config(&url);
            config.chunk_interval = Some(DAY * days);
            let mut generations = Generations::open(&config).await.expect("open");
            let list = generations.list().await.expect("list");
            assert_eq!(list[0].chunk_interval, DAY * 2);
        }
    });
}
