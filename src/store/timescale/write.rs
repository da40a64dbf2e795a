//! A batch in one transaction.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgBindIterExt as _, PgConnection};
use sqlx::{Connection as _, Executor as _, Postgres, Row as _, Transaction};

use super::bind::{bind_contents, bind_samples, bind_states, bind_versions};
use super::copy::CopyStream;
use super::statements::Statements;
use super::value::Time;
use super::{NAME, Timescale};
use crate::event::Timestamp;
use crate::failure::Class;
use crate::store::rows::{GapClosingRow, MessageRow, Rows, StateRow};
use crate::store::samples;
use crate::store::sql::{Bisect, StoredCheckpoint, backend, cause, moves, ours, refusal, refused};
use crate::store::{Batch, Entry, Poison, ProjectionError, Scope};

const DOING: &str = "applying a batch";

fn fail(error: sqlx::Error) -> ProjectionError {
    backend(NAME, DOING, error)
}

/// What a batch writes.
pub(super) struct Writing {
    /// Contents of messages that should have no row yet: they are copied in.
    pub(super) new: Vec<MessageRow>,
    /// All the rest.
    pub(super) rest: Rows,
    /// Hours whose counts change are noted. Where not, all are counted when the load is done.
    pub(super) notes_hours: bool,
}

/// Applies a batch: rows, quarantine and checkpoint, or nothing. Returns whether the new contents were new.
pub(super) async fn apply(
    statements: &Statements,
    connection: &mut PgConnection,
    batch: &Batch,
    writing: Writing,
) -> Result<bool, ProjectionError> {
    let notes_hours = writing.notes_hours;
    let copied = !writing.new.is_empty();
    if tried(statements, connection, batch, writing).await? {
        return Ok(true);
    }
    // One of the contents was there, or one of the events cannot be stored.
    let all = Writing {
        new: Vec::new(),
        rest: Rows::of(&batch.entries),
        notes_hours,
    };
    if copied && tried(statements, connection, batch, all).await? {
        return Ok(false);
    }
    // Rare, so the usual path pays nothing for it: start again and look for it.
    let (mut transaction, since) = begin(statements, connection, batch).await?;
    write_what_fits(statements, &mut transaction, batch, since).await?;
    transaction.commit().await.map_err(fail)?;
    Ok(false)
}

/// Applies a batch; false, and nothing done, when the server refuses something of it.
async fn tried(
    statements: &Statements,
    connection: &mut PgConnection,
    batch: &Batch,
    writing: Writing,
) -> Result<bool, ProjectionError> {
    let Writing {
        mut new,
        mut rest,
        notes_hours,
    } = writing;
    let (mut transaction, since) = begin(statements, connection, batch).await?;
    new.retain(|row| since.is_none_or(|since| row.posted_at >= since));
    rest.keep_since(since);
    let written = async {
        copy_contents(statements, &mut transaction, &new).await?;
        write_rows(statements, &mut transaction, &rest).await?;
        write_samples(statements, &mut transaction, &batch.entries, since).await?;
        if notes_hours {
            note_hours(statements, &mut transaction, &new, &rest).await?;
        }
        Ok(())
    };
    match written.await {
        Ok(()) => transaction.commit().await.map(|()| true).map_err(fail),
        Err(error) if cause(NAME, &error).class == Class::Corrupt => {
            transaction.rollback().await.map_err(fail)?;
            Ok(false)
        }
        Err(error) => Err(fail(error)),
    }
}

/// Notes the hours whose counts the batch has changed: of its contents, and of the messages that it deletes.
async fn note_hours(
    statements: &Statements,
    connection: &mut PgConnection,
    new: &[MessageRow],
    rows: &Rows,
) -> Result<(), sqlx::Error> {
    let contents = new.iter().chain(&rows.messages);
    let contents = contents.map(|row| (row.peer_id, row.posted_at.hour()));
    let versions = rows.versions.iter();
    let versions = versions.map(|row| (row.peer_id, row.posted_at.hour()));
    let hours: BTreeSet<(i64, Timestamp)> = contents.chain(versions).collect();
    if !hours.is_empty() {
        sqlx::query(ours(&statements.note_hours))
            .bind(hours.iter().map(|(peer, _)| *peer).bind_iter())
            .bind(hours.iter().map(|(_, hour)| Time::from(*hour)).bind_iter())
            .execute(&mut *connection)
            .await?;
    }
    let deleted: Vec<&StateRow> = rows
        .states
        .iter()
        .filter(|row| row.deleted_at.is_some())
        .collect();
    if !deleted.is_empty() {
        sqlx::query(ours(&statements.note_hours_of))
            .bind(deleted.iter().map(|row| row.peer_id).bind_iter())
            .bind(deleted.iter().map(|row| row.message_id).bind_iter())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// As `Loader::copy_alone` says: each batch in a transaction of its own, encoded before the clock runs.
pub(super) async fn copy_alone(
    statements: &Statements,
    connection: &mut PgConnection,
    batches: &[Vec<MessageRow>],
) -> Result<Duration, ProjectionError> {
    let mut took = Duration::ZERO;
    for batch in batches {
        let bytes = CopyStream::of_contents(batch).finish();
        let begun = Instant::now();
        let copied = async {
            let mut transaction = connection.begin_with(ours(&statements.begin)).await?;
            let mut copy = transaction.copy_in_raw(&statements.copy_content).await?;
            copy.send(bytes).await?;
            copy.finish().await?;
            transaction.commit().await
        };
        copied.await.map_err(fail)?;
        took += begun.elapsed();
    }
    Ok(took)
}

async fn copy_contents(
    statements: &Statements,
    connection: &mut PgConnection,
    rows: &[MessageRow],
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let bytes = CopyStream::of_contents(rows).finish();
    let mut copy = connection.copy_in_raw(&statements.copy_content).await?;
    copy.send(bytes).await?;
    copy.finish().await?;
    Ok(())
}

/// Begins the transaction of a batch and moves the checkpoint in it. Returns also the date from which on messages are kept.
pub(super) async fn begin<'c>(
    statements: &Statements,
    connection: &'c mut PgConnection,
    batch: &Batch,
) -> Result<(Transaction<'c, Postgres>, Option<Timestamp>), ProjectionError> {
    let mut transaction = connection
        .begin_with(ours(&statements.begin))
        .await
        .map_err(fail)?;
    // The lock is held by now, so this is what the last writer left.
    let there = Timescale::read_checkpoint(statements, &mut transaction)
        .await
        .map_err(fail)?;
    if statements.live && !there.shown {
        return Err(refusal(
            NAME,
            DOING,
            Class::Transient,
            None,
            "another generation is shown now; its checkpoint is to be read first",
        ));
    }
    if let Some(checkpoint) = &batch.checkpoint {
        let mine = StoredCheckpoint::of(checkpoint);
        if moves(NAME, there.checkpoint.as_ref(), &mine, batch.after)? {
            sqlx::query(ours(&statements.move_checkpoint))
                .bind(&mine.log_id)
                .bind(mine.epoch)
                .bind(mine.seq)
                .bind(Time::from(mine.updated_at))
                .execute(&mut *transaction)
                .await
                .map_err(fail)?;
        }
    }
    Ok((transaction, there.since))
}

/// Writes all entries but those that the store refuses, which go to the quarantine.
pub(super) async fn write_what_fits(
    statements: &Statements,
    connection: &mut PgConnection,
    batch: &Batch,
    since: Option<Timestamp>,
) -> Result<(), ProjectionError> {
    let entries = &batch.entries;
    let mut parts = Bisect::new(entries.len());
    while let Some(part) = parts.next() {
        connection.execute("savepoint part").await.map_err(fail)?;
        let tried = &entries[part.clone()];
        let error = match write(statements, connection, tried, since).await {
            Ok(()) => {
                connection
                    .execute("release savepoint part")
                    .await
                    .map_err(fail)?;
                continue;
            }
            Err(error) if cause(NAME, &error).class == Class::Corrupt => error,
            Err(error) => return Err(fail(error)),
        };
        connection
            .execute("rollback to savepoint part")
            .await
            .map_err(fail)?;
        if let Some(culprit) = parts.failed(part) {
            let poison = refused(NAME, DOING, batch, culprit, error)?;
            write_quarantine(statements, connection, &[poison])
                .await
                .map_err(fail)?;
        }
    }
    Ok(())
}

pub(super) async fn write(
    statements: &Statements,
    connection: &mut PgConnection,
    entries: &[Entry],
    since: Option<Timestamp>,
) -> Result<(), sqlx::Error> {
    let mut rows = Rows::of(entries);
    rows.keep_since(since);
    write_rows(statements, connection, &rows).await?;
    write_samples(statements, connection, entries, since).await?;
    note_hours(statements, connection, &[], &rows).await
}

async fn write_rows(
    statements: &Statements,
    connection: &mut PgConnection,
    rows: &Rows,
) -> Result<(), sqlx::Error> {
    write_contents(statements, connection, &rows.messages).await?;
    if !rows.versions.is_empty() {
        let query = sqlx::query(ours(&statements.insert_versions));
        bind_versions(query, &rows.versions)
            .execute(&mut *connection)
            .await?;
    }
    if !rows.states.is_empty() {
        let query = sqlx::query(ours(&statements.merge_state));
        bind_states(query, &rows.states)
            .execute(&mut *connection)
            .await?;
    }
    if !rows.channel_names.is_empty() {
        let list = &rows.channel_names;
        sqlx::query(ours(&statements.insert_channel_names))
            .bind(list.iter().map(|row| row.peer_id).bind_iter())
            .bind(list.iter().map(|row| row.seq).bind_iter())
            .bind(list.iter().map(|row| row.kind.as_str()).bind_iter())
            .bind(list.iter().map(|row| row.title.as_deref()).bind_iter())
            .bind(list.iter().map(|row| row.username.as_deref()).bind_iter())
            .bind(list.iter().map(|row| row.migrated_from).bind_iter())
            .bind(list.iter().map(|row| Time::from(row.seen_at)).bind_iter())
            .execute(&mut *connection)
            .await?;
    }
    if !rows.gaps.is_empty() {
        let list = &rows.gaps;
        sqlx::query(ours(&statements.insert_gaps))
            .bind(list.iter().map(|row| row.seq).bind_iter())
            .bind(list.iter().map(|row| row.peer_id).bind_iter())
            .bind(list.iter().map(|row| row.cause).bind_iter())
            .bind(list.iter().map(|row| row.after_pts).bind_iter())
            .bind(list.iter().map(|row| row.until_pts).bind_iter())
            .bind(list.iter().map(|row| row.after_message_id).bind_iter())
            .bind(list.iter().map(|row| row.until_message_id).bind_iter())
            .bind(
                list.iter()
                    .map(|row| Time::from(row.noticed_at))
                    .bind_iter(),
            )
            .execute(&mut *connection)
            .await?;
    }
    write_gap_closings(statements, connection, &rows.gap_closings).await?;
    write_quarantine(statements, connection, &rows.quarantine).await
}

async fn write_samples(
    statements: &Statements,
    connection: &mut PgConnection,
    entries: &[Entry],
    since: Option<Timestamp>,
) -> Result<(), sqlx::Error> {
    if !statements.is_sampled {
        return Ok(());
    }
    let sampling = Timescale::read_sampling(&statements.read_sampling, connection).await?;
    let list = samples::of(entries, Scope { sampling, since });
    if list.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(ours(&statements.merge_samples));
    bind_samples(query, &list).execute(connection).await?;
    Ok(())
}

async fn write_gap_closings(
    statements: &Statements,
    connection: &mut PgConnection,
    list: &[GapClosingRow],
) -> Result<(), sqlx::Error> {
    if list.is_empty() {
        return Ok(());
    }
    let times = list.iter().map(|row| Time::from(row.closed_at));
    sqlx::query(ours(&statements.insert_gap_closings))
        .bind(list.iter().map(|row| row.seq).bind_iter())
        .bind(list.iter().map(|row| row.peer_id).bind_iter())
        .bind(list.iter().map(|row| row.gap.after_pts).bind_iter())
        .bind(list.iter().map(|row| row.gap.until_pts).bind_iter())
        .bind(list.iter().map(|row| row.gap.after_message_id).bind_iter())
        .bind(list.iter().map(|row| row.gap.until_message_id).bind_iter())
        .bind(list.iter().map(|row| row.outcome).bind_iter())
        .bind(list.iter().map(|row| row.found).bind_iter())
        .bind(times.bind_iter())
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Most posts have no content yet; what is left of them is a repeat or an import, and merges as every edit does.
async fn write_contents(
    statements: &Statements,
    connection: &mut PgConnection,
    rows: &[MessageRow],
) -> Result<(), sqlx::Error> {
    let (posts, mut rest): (Vec<&MessageRow>, Vec<_>) = rows.iter().partition(|row| row.is_post());
    if !posts.is_empty() {
        let query = sqlx::query(ours(&statements.insert_content));
        let added = bind_contents(query, &posts)
            .fetch_all(&mut *connection)
            .await?;
        if added.len() < posts.len() {
            let added: HashSet<i64> = added
                .iter()
                .map(|row| row.try_get(0))
                .collect::<Result<_, _>>()?;
            rest.extend(posts.iter().filter(|row| !added.contains(&row.seq)));
        }
    }
    if !rest.is_empty() {
        let query = sqlx::query(ours(&statements.merge_content));
        bind_contents(query, &rest)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn write_quarantine(
    statements: &Statements,
    connection: &mut PgConnection,
    list: &[Poison],
) -> Result<(), sqlx::Error> {
    if list.is_empty() {
        return Ok(());
    }
    let seq = |poison: &Poison| i64::try_from(poison.seq.get()).unwrap_or(i64::MAX);
    sqlx::query(ours(&statements.insert_quarantine))
        .bind(list.iter().map(seq).bind_iter())
        .bind(list.iter().map(|row| i16::from(row.kind)).bind_iter())
        .bind(
            list.iter()
                .map(|row| Time::from(row.received_at))
                .bind_iter(),
        )
        .bind(list.iter().map(|row| row.reason.as_str()).bind_iter())
        .bind(list.iter().map(|row| row.raw.as_slice()).bind_iter())
        .execute(connection)
        .await?;
    Ok(())
}
