//! The TimescaleDB projection, on a real server, directly and through PgBouncer.

use std::time::Duration;

use sqlx::Executor as _;
use telegram_gateway::config::{self, BackendUrl};
use telegram_gateway::failure::{Class, Classify as _};
use telegram_gateway::store::contract::{Type, VERIFIED};
use telegram_gateway::store::timescale::Timescale;
use telegram_gateway::store::{Projection as _, ProjectionError};

use super::{
    any_order, batch, check_contract, check_counter_history, check_poison, check_retries,
    check_two_writers, everything, folded, mixed_log, posts, wait,
};
use crate::support::services::{
    connect, fresh_database, in_database, pgbouncer_url, timescale_url,
};

pub(super) fn timescale_config(url: &str) -> config::Timescale {
    config::Timescale {
        url: BackendUrl::parse(url).expect("an address"),
        feed: config::Feed::Here,
        direct_url: None,
        chunk_interval: None,
        keep_generation: Duration::from_secs(86_400),
        keep_age: None,
        columnstore: true,
        columnstore_age: Duration::from_secs(14 * 86_400),
        synchronous_commit: false,
        counter_history: None,
    }
}

#[test]
fn any_order_gives_the_fold_of_the_log() {
    let Some(url) = timescale_url() else { return };
    let url = wait(fresh_database(&url));
    any_order(Timescale::new(timescale_config(&url)), 32);
}

fn sampling(url: &str, seconds: Option<u64>) -> Timescale {
    Timescale::new(config::Timescale {
        counter_history: seconds.map(Duration::from_secs),
        ..timescale_config(url)
    })
}

#[test]
fn any_order_gives_the_same_history_of_counters() {
    let Some(url) = timescale_url() else { return };
    let url = wait(fresh_database(&url));
    any_order(sampling(&url, Some(4)), 32);
}

#[test]
fn the_history_of_counters_follows_its_switch() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        check_counter_history(|seconds| sampling(&url, seconds)).await;
    });
}

#[test]
fn pgbouncer_any_order_gives_the_fold_of_the_log() {
    let (Some(direct), Some(pooled)) = (timescale_url(), pgbouncer_url()) else {
        return;
    };
    let direct = wait(fresh_database(&direct));
    let name = url::Url::parse(&direct).expect("an address");
    let pooled = in_database(&pooled, name.path());
    let config = config::Timescale {
        direct_url: Some(BackendUrl::parse(&direct).expect("an address")),
        ..timescale_config(&pooled)
    };
    any_order(Timescale::new(config), 16);
}

#[test]
fn keeps_the_contract() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        check_contract(Timescale::new(timescale_config(&url))).await;
    });
}

#[test]
fn two_writers_lose_nothing() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        let store = || Timescale::new(timescale_config(&url));
        check_two_writers(store(), store()).await;
    });
}

#[test]
fn quarantines_poison() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        let mut store = Timescale::new(timescale_config(&url));
        store.checkpoint().await.expect("made");
        let mut connection = connect(&url).await;
        connection
            .execute("alter table telegram_g1.message_content add check (text <> 'poison')")
            .await
            .expect("a constraint");
        let log = check_poison(&mut store).await;
        let found: Vec<(i64, i16, String)> = sqlx::query_as(
            "select seq, kind, reason from telegram.quarantine where projection = 'timescale' order by seq",
        )
        .fetch_all(&mut connection)
        .await
        .expect("quarantine");
        let kinds: Vec<_> = found.iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(kinds, [(8, 1), (32, 1), (41, 99)]);
        assert!(
            found[0].2.contains("violates check constraint"),
            "{}",
            found[0].2
        );
        let mend = async {
            let sql = "alter table telegram_g1.message_content drop constraint message_content_text_check";
            let gone = connection.execute(sql).await;
            gone.expect("no constraint");
        };
        check_retries(&mut store, &log, mend).await;
    });
}

#[test]
fn replay_rewrites_nothing() {
    let Some(url) = timescale_url() else { return };
    let log = mixed_log();
    wait(async {
        let url = fresh_database(&url).await;
        let mut store = Timescale::new(timescale_config(&url));
        for part in log.chunks(50) {
            store.apply(&batch(part, None)).await.expect("apply");
        }
        assert_eq!(everything(&mut store).await, folded(&log));
        let mut connection = connect(&url).await;
        let sql = "select md5(string_agg(x, ',' order by x)) from (\
                   select 'c' || tableoid || ctid || xmin as x from telegram_g1.message_content union all \
                   select 's' || ctid || xmin from telegram_g1.message_state union all \
                   select 'v' || ctid || xmin from telegram_g1.message_version) t";
        let before: String = sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .expect("digest");
        for part in log.chunks(64).rev() {
            store.apply(&batch(part, None)).await.expect("a replay");
        }
        let after: String = sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .expect("digest");
        assert_eq!(before, after);
    });
}

#[test]
fn says_what_is_wrong_and_keeps_the_password() {
    let Some(base) = timescale_url() else { return };
    wait(async {
        let mut wrong = url::Url::parse(&base).expect("an address");
        wrong
            .set_password(Some("not-it-at-all"))
            .expect("a password");
        let mut away = wrong.clone();
        away.set_port(Some(1)).expect("a port");
        let nowhere = in_database(&base, "tgw_test_does_not_exist");
        for (url, class) in [
            (wrong.as_str(), Class::Operator),
            (away.as_str(), Class::Transient),
            (nowhere.as_str(), Class::Operator),
        ] {
            let mut store = Timescale::new(timescale_config(url));
            let error = store.checkpoint().await.expect_err("cannot work");
            assert_eq!(error.class(), class, "{error:?}");
            assert!(error.hint().is_some(), "{error:?}");
            assert!(!format!("{error:?} {store:?}").contains("not-it-at-all"));
        }

        // The connection dies behind its back: one error, then it goes on.
        let url = fresh_database(&base).await;
        let mut store = Timescale::new(timescale_config(&url));
        let log = posts(&["one", "two"]);
        store.apply(&batch(&log[..1], None)).await.expect("one");
        connect(&url)
            .await
            .execute(
                "select pg_terminate_backend(pid) from pg_stat_activity \
                 where datname = current_database() and pid <> pg_backend_pid() and application_name = 'telegram-gateway'",
            )
            .await
            .expect("terminate");
        let error = store.apply(&batch(&log, None)).await.expect_err("gone");
        assert_eq!(error.class(), Class::Transient, "{error:?}");
        store.apply(&batch(&log, None)).await.expect("again");
        assert_eq!(everything(&mut store).await, folded(&log));
    });
}

#[test]
fn refuses_a_schema_it_does_not_know() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        Timescale::new(timescale_config(&url))
            .checkpoint()
            .await
            .expect("made");
        let mut connection = connect(&url).await;
        connection
            .execute(
                "insert into telegram.schema_migrations (version, description, success, checksum, execution_time) \
                 values (99, 'newer', true, '\\x00', 0)",
            )
            .await
            .expect("a newer step");
        let error = Timescale::new(timescale_config(&url))
            .checkpoint()
            .await
            .expect_err("newer");
        assert!(
            matches!(error, ProjectionError::UnknownSchema { found: 99, .. }),
            "{error:?}"
        );
        connection
            .execute("delete from telegram.schema_migrations where version = 99")
            .await
            .expect("gone");
        connection
            .execute("update telegram.schema_migrations set checksum = '\\x00'")
            .await
            .expect("changed");
        let error = Timescale::new(timescale_config(&url))
            .checkpoint()
            .await
            .expect_err("changed");
        assert_eq!(error.class(), Class::Operator, "{error:?}");
    });
}

/// The real schema has the contract's columns, in order, with its types.
#[test]
fn schema_is_the_contract() {
    let Some(url) = timescale_url() else { return };
    wait(async {
        let url = fresh_database(&url).await;
        Timescale::new(timescale_config(&url))
            .checkpoint()
            .await
            .expect("made");
        let mut connection = connect(&url).await;
        for table in &VERIFIED {
            let found: Vec<(String, String)> = sqlx::query_as(
                "select column_name::text, data_type::text from information_schema.columns \
                 where table_schema = 'telegram' and table_name = $1 order by ordinal_position",
            )
            .bind(table.name)
            .fetch_all(&mut connection)
            .await
            .expect("columns");
            let expected: Vec<(String, String)> = table
                .columns
                .iter()
                .map(|(name, kind)| {
                    let kind = match kind {
                        Type::Int => "bigint",
                        Type::Text => "text",
                        Type::Time => "timestamp with time zone",
                        Type::Bool => "boolean",
                        Type::Json => "jsonb",
                    };
                    ((*name).to_owned(), kind.to_owned())
                })
                .collect();
            assert_eq!(found, expected, "{}", table.name);
        }
    });
}
