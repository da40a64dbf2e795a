//! Making things anew.

use std::collections::BTreeMap;

use sqlx::postgres::{PgBindIterExt as _, PgConnection};

use super::statements::Statements;
use super::{APPLY_SECONDS, NAME, Timescale, too_slow, write};
use crate::store::mend::{Known, Mend, Mended, Mending, Subject};
use crate::store::sql::{backend, ours};
use crate::store::{Batch, ProjectionError};

const DOING: &str = "making rows anew";

fn fail(error: sqlx::Error) -> ProjectionError {
    backend(NAME, DOING, error)
}

impl Mend for Timescale {
    async fn mend<K: Known>(
        &mut self,
        mending: Mending<'_>,
        known: &mut K,
    ) -> Result<Mended, K::Error> {
        let statements = self.prepared().await?;
        let mut connection = self.connected(DOING).await?;
        let deadline = std::time::Duration::from_secs(APPLY_SECONDS);
        let mended = mend(&statements, &mut connection, mending, known);
        let mended = tokio::time::timeout(deadline, mended).await;
        let mended = mended.map_err(|_| too_slow(DOING))??;
        self.connection = Some(connection);
        Ok(mended)
    }

    /// The server keeps its indexes itself, and hours are noted with the rows.
    async fn settle(&mut self) -> Result<bool, ProjectionError> {
        Ok(false)
    }
}

async fn mend<K: Known>(
    statements: &Statements,
    connection: &mut PgConnection,
    mending: Mending<'_>,
    known: &mut K,
) -> Result<Mended, K::Error> {
    // A batch of nothing: it takes the writer's lock, and is refused where another generation is shown.
    let nothing = Batch::partial(Vec::new());
    let (mut transaction, since) = write::begin(statements, connection, &nothing).await?;
    let there = Timescale::read_checkpoint(statements, &mut transaction)
        .await
        .map_err(fail)?;
    let until = mending.reach(NAME, there.checkpoint.as_ref())?;
    let whole = take_out(statements, &mut transaction, mending)
        .await
        .map_err(fail)?;
    let batch = Batch::partial(known.events(&whole, until).await?);
    write::write_what_fits(statements, &mut transaction, &batch, since).await?;
    transaction.commit().await.map_err(fail)?;
    Ok(mending.done(&whole, &batch))
}

/// Takes out all rows about the things of which nothing is lost, and says which those are.
async fn take_out(
    statements: &Statements,
    connection: &mut PgConnection,
    mending: Mending<'_>,
) -> Result<Vec<Subject>, sqlx::Error> {
    let schema = &statements.schema;
    let split = |all: &[Subject]| -> (Vec<Subject>, Vec<Subject>) {
        all.iter().partition(|subject| subject.is_message())
    };
    let (messages, channels) = split(mending.subjects);
    let mut found = seqs(connection, &seqs_of_messages(schema), &messages).await?;
    found.extend(seqs(connection, &seqs_of_channels(schema), &channels).await?);
    let whole = mending.whole(&found);
    let (messages, channels) = split(&whole);
    let mut steps = vec![(&messages, statements.note_hours_of.clone())];
    steps.extend(MESSAGE_TABLES.map(|table| (&messages, delete(schema, table, true))));
    steps.extend(CHANNEL_TABLES.map(|table| (&channels, delete(schema, table, false))));
    for (subjects, sql) in steps {
        execute(connection, &sql, subjects).await?;
    }
    Ok(whole)
}

const MESSAGE_TABLES: [&str; 4] = [
    "message_content",
    "message_state",
    "message_version",
    "counter_sample",
];
const CHANNEL_TABLES: [&str; 3] = ["channel_name", "gap", "gap_closing"];

/// The things of a statement, as its first two arguments.
const THINGS: &str = "unnest($1::bigint[], $2::bigint[]) as b (peer_id, message_id)";

fn delete(schema: &str, table: &str, of_messages: bool) -> String {
    let same = match of_messages {
        true => "t.peer_id = b.peer_id and t.message_id = b.message_id",
        false => "coalesce(t.peer_id, 0) = b.peer_id",
    };
    format!("delete from {schema}{table} t using {THINGS} where {same}")
}

/// All numbers in the rows about messages, looked up one by one as in the merges.
fn seqs_of_messages(schema: &str) -> String {
    let of = |table: &str, seqs: &[&str]| {
        let values: Vec<String> = seqs.iter().map(|seq| format!("(t.{seq})")).collect();
        format!(
            "select n from {schema}{table} t cross join lateral (values {}) as v (n) \
             where t.peer_id = b.peer_id and t.message_id = b.message_id",
            values.join(", ")
        )
    };
    let state = [
        "deleted_seq",
        "pinned_seq",
        "views_seq",
        "forwards_seq",
        "reactions_seq",
        "poll_seq",
    ];
    format!(
        "select b.peer_id, b.message_id, x.n from {THINGS} cross join lateral (\
         {} union {} union {} union {}) x where x.n is not null",
        of("message_content", &["seq", "first_seq"]),
        of("message_version", &["seq"]),
        of("message_state", &state),
        of("counter_sample", &state[2..]),
    )
}

fn seqs_of_channels(schema: &str) -> String {
    let of = |table: &str| {
        format!("select seq as n from {schema}{table} t where coalesce(t.peer_id, 0) = b.peer_id")
    };
    format!(
        "select b.peer_id, b.message_id, x.n from {THINGS} cross join lateral ({}) x",
        CHANNEL_TABLES.map(of).join(" union ")
    )
}

async fn seqs(
    connection: &mut PgConnection,
    sql: &str,
    subjects: &[Subject],
) -> Result<BTreeMap<Subject, Vec<i64>>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(ours(sql))
        .bind(subjects.iter().map(|it| it.peer_id).bind_iter())
        .bind(subjects.iter().map(|it| it.message_id).bind_iter())
        .fetch_all(connection)
        .await?;
    let mut found: BTreeMap<Subject, Vec<i64>> = BTreeMap::new();
    for (peer_id, message_id, seq) in rows {
        let subject = Subject {
            peer_id,
            message_id,
        };
        found.entry(subject).or_default().push(seq);
    }
    Ok(found)
}

async fn execute(
    connection: &mut PgConnection,
    sql: &str,
    subjects: &[Subject],
) -> Result<(), sqlx::Error> {
    sqlx::query(ours(sql))
        .bind(subjects.iter().map(|it| it.peer_id).bind_iter())
        .bind(subjects.iter().map(|it| it.message_id).bind_iter())
        .execute(connection)
        .await?;
    Ok(())
}
