//! A batch in one transaction.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Executor as _, Row as _, Sqlite as Engine, Transaction};

use super::statements::{self, LENGTHS, Statements};
use super::{NAME, Sqlite, value};
use crate::failure::Class;
use crate::store::rows::{MessageRow, Rows, StateRow};
use crate::store::samples;
use crate::store::sql::{Bisect, StoredCheckpoint, backend, cause, moves, ours, refused};
use crate::store::{Batch, Checkpoint, Entry, Poison, ProjectionError};

const DOING: &str = "applying a batch";

fn fail(error: sqlx::Error) -> ProjectionError {
    backend(NAME, DOING, error)
}

/// Applies a batch: rows, quarantine and checkpoint, or nothing.
pub(super) async fn apply(
    statements: &Statements,
    connection: &mut SqliteConnection,
    batch: &Batch,
) -> Result<(), ProjectionError> {
    let mut transaction = begin(connection, batch).await?;
    match write(statements, &mut transaction, &batch.entries).await {
        Ok(()) => return transaction.commit().await.map_err(fail),
        Err(error) if cause(NAME, &error).class == Class::Corrupt => {}
        Err(error) => return Err(fail(error)),
    }
    // One of the events cannot be stored. Rare, so the usual path pays nothing for it: start again and look for it.
    transaction.rollback().await.map_err(fail)?;
    let mut transaction = begin(connection, batch).await?;
    write_what_fits(statements, &mut transaction, batch).await?;
    transaction.commit().await.map_err(fail)
}

pub(super) async fn begin<'c>(
    connection: &'c mut SqliteConnection,
    batch: &Batch,
) -> Result<Transaction<'c, Engine>, ProjectionError> {
    let mut transaction = connection
        .begin_with(statements::BEGIN)
        .await
        .map_err(fail)?;
    if let Some(checkpoint) = &batch.checkpoint {
        move_checkpoint(&mut transaction, checkpoint, batch.after).await?;
    }
    Ok(transaction)
}

/// First of all, so that a refusal costs nothing. The write lock is held, so what is read is what is there.
async fn move_checkpoint(
    connection: &mut SqliteConnection,
    checkpoint: &Checkpoint,
    after: u64,
) -> Result<(), ProjectionError> {
    let mine = StoredCheckpoint::of(checkpoint);
    let stored = Sqlite::read_checkpoint(connection).await.map_err(fail)?;
    if moves(NAME, stored.as_ref(), &mine, after)? {
        sqlx::query(statements::MOVE_CHECKPOINT)
            .bind(mine.log_id.clone())
            .bind(mine.epoch)
            .bind(mine.seq)
            .bind(value::time(mine.updated_at))
            .execute(connection)
            .await
            .map_err(fail)?;
    }
    Ok(())
}

/// Writes all entries but those that the store refuses, which go to the quarantine.
pub(super) async fn write_what_fits(
    statements: &Statements,
    connection: &mut SqliteConnection,
    batch: &Batch,
) -> Result<(), ProjectionError> {
    let entries = &batch.entries;
    let mut parts = Bisect::new(entries.len());
    while let Some(part) = parts.next() {
        connection.execute("savepoint part").await.map_err(fail)?;
        let tried = &entries[part.clone()];
        let error = match write(statements, connection, tried).await {
            Ok(()) => {
                connection.execute("release part").await.map_err(fail)?;
                continue;
            }
            Err(error) if cause(NAME, &error).class == Class::Corrupt => error,
            Err(error) => return Err(fail(error)),
        };
        connection
            .execute("rollback to part; release part")
            .await
            .map_err(fail)?;
        if let Some(culprit) = parts.failed(part) {
            let poison = refused(NAME, DOING, batch, culprit, error)?;
            write_quarantine(connection, &[poison])
                .await
                .map_err(fail)?;
        }
    }
    Ok(())
}

pub(super) async fn write(
    statements: &Statements,
    connection: &mut SqliteConnection,
    entries: &[Entry],
) -> Result<(), sqlx::Error> {
    let rows = Rows::of(entries);
    write_contents(statements, connection, &rows.messages).await?;
    for row in &rows.versions {
        value::bind_version(sqlx::query(statements::INSERT_VERSION), row)
            .execute(&mut *connection)
            .await?;
    }
    write_states(statements, connection, &rows.states).await?;
    for row in &rows.channel_names {
        sqlx::query(statements::INSERT_CHANNEL_NAME)
            .bind(row.peer_id)
            .bind(row.seq)
            .bind(row.kind.clone())
            .bind(row.title.clone())
            .bind(row.username.clone())
            .bind(row.migrated_from)
            .bind(value::time(row.seen_at))
            .execute(&mut *connection)
            .await?;
    }
    for row in &rows.gaps {
        sqlx::query(statements::INSERT_GAP)
            .bind(row.seq)
            .bind(row.peer_id)
            .bind(row.cause)
            .bind(row.after_pts)
            .bind(row.until_pts)
            .bind(row.after_message_id)
            .bind(row.until_message_id)
            .bind(value::time(row.noticed_at))
            .execute(&mut *connection)
            .await?;
    }
    for row in &rows.gap_closings {
        sqlx::query(statements::INSERT_GAP_CLOSING)
            .bind(row.seq)
            .bind(row.peer_id)
            .bind(row.gap.after_pts)
            .bind(row.gap.until_pts)
            .bind(row.gap.after_message_id)
            .bind(row.gap.until_message_id)
            .bind(row.outcome)
            .bind(row.found)
            .bind(value::time(row.closed_at))
            .execute(&mut *connection)
            .await?;
    }
    write_samples(statements, connection, entries).await?;
    write_quarantine(connection, &rows.quarantine).await
}

async fn write_samples(
    statements: &Statements,
    connection: &mut SqliteConnection,
    entries: &[Entry],
) -> Result<(), sqlx::Error> {
    if !statements.is_sampled {
        return Ok(());
    }
    let sampling = Sqlite::read_sampling(connection).await?;
    for row in samples::of(entries, sampling) {
        value::bind_sample(sqlx::query(ours(&statements.merge_sample)), &row)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Parts of a list with the lengths that have statements, longest first, and which statement fits each.
fn parts<T>(mut list: &[T]) -> impl Iterator<Item = (usize, &[T])> {
    std::iter::from_fn(move || {
        let which = LENGTHS.iter().position(|length| *length <= list.len())?;
        let (part, rest) = list.split_at(LENGTHS[which]);
        list = rest;
        Some((which, part))
    })
}

/// Most contents belong to messages that have none yet; what is left is an edit, a repeat or an import, and merges.
async fn write_contents(
    statements: &Statements,
    connection: &mut SqliteConnection,
    rows: &[MessageRow],
) -> Result<(), sqlx::Error> {
    for (which, part) in parts(rows) {
        let mut query = sqlx::query(ours(&statements.insert_content[which]));
        for row in part {
            query = value::bind_content(query, row);
        }
        let added = query.fetch_all(&mut *connection).await?;
        if added.len() == part.len() {
            continue;
        }
        let added: HashSet<i64> = added
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?;
        for row in part.iter().filter(|row| !added.contains(&row.seq)) {
            merge_content(statements, connection, row).await?;
        }
    }
    Ok(())
}

/// The merge of `MessageRow::merge`, with the loser kept as a version. The write lock keeps what is read true.
async fn merge_content(
    statements: &Statements,
    connection: &mut SqliteConnection,
    row: &MessageRow,
) -> Result<(), sqlx::Error> {
    let key = |sql| {
        sqlx::query(ours(sql))
            .bind(row.peer_id)
            .bind(row.message_id)
            .bind(value::time(row.posted_at))
    };
    let there = key(&statements.read_content)
        .fetch_one(&mut *connection)
        .await?;
    let (rank, first_seq): (i64, i64) = (there.try_get(0)?, there.try_get(1)?);
    if row.rank > rank {
        key(&statements.keep_version)
            .execute(&mut *connection)
            .await?;
        value::bind_content(sqlx::query(ours(&statements.replace_content)), row)
            .execute(&mut *connection)
            .await?;
    } else if row.rank < rank && row.versioned {
        let query = sqlx::query(statements::INSERT_VERSION);
        value::bind_content_as_version(query, row)
            .execute(&mut *connection)
            .await?;
    }
    if row.first_seq < first_seq {
        key(&statements.lower_first_seq)
            .bind(row.first_seq)
            .bind(value::time(row.received_at))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn write_states(
    statements: &Statements,
    connection: &mut SqliteConnection,
    rows: &[StateRow],
) -> Result<(), sqlx::Error> {
    for (which, part) in parts(rows) {
        let mut query = sqlx::query(ours(&statements.merge_state[which]));
        for row in part {
            query = value::bind_state(query, row);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn write_quarantine(
    connection: &mut SqliteConnection,
    list: &[Poison],
) -> Result<(), sqlx::Error> {
    for poison in list {
        sqlx::query(statements::INSERT_QUARANTINE)
            .bind(i64::try_from(poison.seq.get()).unwrap_or(i64::MAX))
            .bind(i64::from(poison.kind))
            .bind(value::time(poison.received_at))
            .bind(poison.reason.clone())
            .bind(poison.raw.clone())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
