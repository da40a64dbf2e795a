//! What is old in TimescaleDB: compressed where the edition can, dropped where that is wanted; and the rows are what the
//! log says all the same.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::Executor as _;
use sqlx::postgres::PgConnection;
use telegram_gateway::config;
use telegram_gateway::event::{Envelope, PeerId};
use telegram_gateway::store::mend::{Known, Mend as _, Mending, Subject};
use telegram_gateway::store::timescale::{Dropped, Generations, Loader, Switched, Timescale};
use telegram_gateway::store::{
    Entry, Inspect as _, Projection as _, ProjectionError, Scope, Snapshot as _,
};

use super::{batch, checkpoint, everything, folded_by, mixed_log, timescale_config, wait};
use crate::support::services::{connect, fresh_database, timescale_url};

const DAY: Duration = Duration::from_secs(86_400);

fn in_short_chunks(url: &str) -> config::Timescale {
    config::Timescale {
        chunk_interval: Some(DAY),
        keep_age: Some(DAY),
        counter_history: Some(Duration::from_secs(4)),
        ..timescale_config(url)
    }
}

async fn one<T>(connection: &mut PgConnection, sql: &'static str) -> T
where
    T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
{
    let read = sqlx::query_scalar(sql).fetch_one(connection);
    read.await.expect(sql)
}

/// How old the messages of the older half are at least.
async fn age_of_half(connection: &mut PgConnection) -> Duration {
    const SQL: &str = "select extract(epoch from now() - percentile_disc(0.5) within group (order by posted_at))::bigint \
         from telegram.messages";
    let seconds: i64 = one(connection, SQL).await;
    Duration::from_secs(seconds.unsigned_abs())
}

const HOURS: &str =
    "select string_agg(h::text, ';' order by peer_id, hour) from telegram.messages_hourly h";

/// A reader that holds what is to be dropped waits for nobody, and nothing is taken away from it.
async fn gives_way_to_a_reader(url: &str, generations: &mut Generations, age: Duration) {
    const ALL: &str = "select count(*) from telegram.messages";
    let mut reading = connect(url).await;
    reading.execute("begin").await.expect("a long reader");
    let all: i64 = one(&mut reading, ALL).await;
    let given_way = generations.drop_older(age).await.expect("gave way");
    assert_eq!(given_way, Dropped::default());
    assert_eq!(one::<i64>(&mut reading, ALL).await, all);
    reading.execute("commit").await.expect("gone");
}

#[test]
fn old_messages_go_with_all_that_is_about_them_and_stay_away() {
    let Some(url) = timescale_url() else { return };
    let log = mixed_log();
    wait(async {
        let url = fresh_database(&url).await;
        let config = in_short_chunks(&url);
        let end = Some(checkpoint(1, log.len() as u64));
        let mut store = Timescale::new(config.clone());
        store.apply(&batch(&log, end)).await.expect("applied");
        let scope = store.snapshot().await.expect("a snapshot").scope();
        let mut generations = Generations::open(&config).await.expect("open");
        let mut connection = connect(&url).await;
        let hours: String = one(&mut connection, HOURS).await;
        let all: i64 = one(&mut connection, "select count(*) from telegram.messages").await;
        let age = age_of_half(&mut connection).await;

        let _: i64 = one(&mut connection, "select telegram.processed('slow', 1)").await;
        let held = generations.drop_older(age).await.expect("held");
        assert_eq!(held.held_by.as_deref(), Some("slow"));
        let _: i64 = one(
            &mut connection,
            "select telegram.processed('slow', 1000000)",
        )
        .await;
        gives_way_to_a_reader(&url, &mut generations, age).await;
        let dropped = generations.drop_older(age).await.expect("dropped");
        assert!(dropped.held_by.is_none() && dropped.before > held.before);
        assert_eq!(
            generations.drop_older(age).await.expect("none"),
            Dropped::default()
        );

        let since = dropped.before;
        let scope = Scope { since, ..scope };
        assert_eq!(store.snapshot().await.expect("a snapshot").scope(), scope);
        let expected = folded_by(&log, scope);
        assert_eq!(everything(&mut store).await, expected);
        let left: i64 = one(&mut connection, "select count(*) from telegram.messages").await;
        assert!(left > 0 && left < all, "{left} of {all}");
        for part in log.chunks(40).rev() {
            store.apply(&batch(part, None)).await.expect("a replay");
        }
        assert_eq!(everything(&mut store).await, expected, "nothing comes back");
        assert_eq!(
            one::<String>(&mut connection, HOURS).await,
            hours,
            "counts stay"
        );

        // A rebuild keeps what the one shown keeps, and its counts.
        let number = generations.make(DAY).await.expect("made");
        generations.keep_as_shown(number).await.expect("as shown");
        let mut loader = Loader::new(config, number, 1_000);
        loader.apply(&batch(&log, end)).await.expect("a load");
        loader.count_hours(&mut generations).await.expect("counted");
        let switch = generations.begin_switch().await.expect("begun");
        assert_eq!(
            switch.finish(number, false).await.expect("as far"),
            Switched::Done
        );
        assert_eq!(everything(&mut loader).await, expected);
        assert_eq!(one::<String>(&mut connection, HOURS).await, hours);
    });
}

/// In the Apache edition, as the test services have, nothing is compressed, and all else is the same. `tests/community` has
/// the Community edition do the same; or let `TGW_TIMESCALE__URL` name a server of it.
#[test]
fn old_chunks_take_a_replay_and_late_events_compressed_or_not() {
    let Some(url) = timescale_url() else { return };
    let log = mixed_log();
    wait(async {
        let url = fresh_database(&url).await;
        let config = in_short_chunks(&url);
        let mut store = Timescale::new(config.clone());
        let scope = store.snapshot().await.expect("a snapshot").scope();
        let mut generations = Generations::open(&config).await.expect("open");
        let mut connection = connect(&url).await;
        let license: String = one(
            &mut connection,
            "select current_setting('timescaledb.license')",
        )
        .await;
        for upto in [log.len() / 2, log.len(), log.len()] {
            store
                .apply(&batch(&log[..upto], None))
                .await
                .expect("applied");
            assert_eq!(everything(&mut store).await, folded_by(&log[..upto], scope));
            let compressed = generations.compress_older(DAY).await.expect("compressed");
            assert_eq!(
                compressed > 0,
                license == "timescale",
                "{license}: {compressed}"
            );
            assert_eq!(everything(&mut store).await, folded_by(&log[..upto], scope));
        }
        // A repair takes out of them and puts into them.
        let end = checkpoint(1, log.len() as u64);
        let nothing = store.apply(&batch(&[], Some(end))).await;
        nothing.expect("the checkpoint");
        let expected = everything(&mut store).await;
        let damage = "update telegram_g1.message_content set text = 'other', views = 7";
        connection.execute(damage).await.expect("a change");
        assert_ne!(everything(&mut store).await, expected);
        generations.compress_older(DAY).await.expect("compressed");
        let mut known = Whole(&log);
        let subjects: BTreeSet<Subject> = log.iter().filter_map(subject).collect();
        let subjects: Vec<Subject> = subjects.into_iter().collect();
        let mending = Mending {
            identity: end.identity,
            subjects: &subjects,
            lost: &[],
        };
        let mended = store.mend(mending, &mut known).await.expect("mended");
        assert_eq!((mended.things, mended.left), (subjects.len() as u64, 0));
        assert_eq!(everything(&mut store).await, expected);
    });
}

/// A log that is known as a whole.
struct Whole<'a>(&'a [Entry]);

impl Known for Whole<'_> {
    type Error = ProjectionError;

    async fn events(
        &mut self,
        subjects: &[Subject],
        until: u64,
    ) -> Result<Vec<Entry>, ProjectionError> {
        let about = |entry: &&Entry| {
            entry.seq().get() <= until && subject(entry).is_some_and(|it| subjects.contains(&it))
        };
        Ok(self.0.iter().filter(about).cloned().collect())
    }
}

fn subject(entry: &Entry) -> Option<Subject> {
    let Entry::Event(Envelope { event, .. }) = entry else {
        return None;
    };
    Some(Subject {
        peer_id: event.peer.map_or(0, PeerId::marked),
        message_id: event.body.message_id().unwrap_or(0),
    })
}
