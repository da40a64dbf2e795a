//! Rows as the arguments of statements: one array a column, in the order of the columns that `statements` names.

use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgBindIterExt as _};
use sqlx::query::Query;

use super::value::{Jsonb, Time};
use crate::event::{Json, Timestamp};
use crate::store::rows::{MessageRow, Stamped, StateRow, VersionRow};
use crate::store::samples::SampleRow;

type Statement<'q> = Query<'q, Postgres, PgArguments>;

fn time(at: Option<Timestamp>) -> Option<Time> {
    at.map(Time::from)
}

fn json(value: &Option<Json>) -> Option<Jsonb<'_>> {
    value.as_ref().map(Jsonb)
}

/// In the order of `statements::CONTENT`.
pub(super) fn bind_contents<'q>(query: Statement<'q>, rows: &[&MessageRow]) -> Statement<'q> {
    query
        .bind(rows.iter().map(|row| row.peer_id).bind_iter())
        .bind(rows.iter().map(|row| row.message_id).bind_iter())
        .bind(rows.iter().map(|row| Time::from(row.posted_at)).bind_iter())
        .bind(rows.iter().map(|row| row.rank).bind_iter())
        .bind(rows.iter().map(|row| row.seq).bind_iter())
        .bind(rows.iter().map(|row| row.first_seq).bind_iter())
        .bind(
            rows.iter()
                .map(|row| Time::from(row.received_at))
                .bind_iter(),
        )
        .bind(rows.iter().map(|row| time(row.edited_at)).bind_iter())
        .bind(rows.iter().map(|row| row.sender_id).bind_iter())
        .bind(rows.iter().map(|row| row.reply_to_message_id).bind_iter())
        .bind(rows.iter().map(|row| row.reply_to_peer_id).bind_iter())
        .bind(rows.iter().map(|row| row.topic_id).bind_iter())
        .bind(rows.iter().map(|row| row.grouped_id).bind_iter())
        .bind(rows.iter().map(|row| row.views).bind_iter())
        .bind(rows.iter().map(|row| row.forwards).bind_iter())
        .bind(rows.iter().map(|row| row.versioned).bind_iter())
        .bind(rows.iter().map(|row| row.pinned).bind_iter())
        .bind(rows.iter().map(|row| row.kind).bind_iter())
        .bind(rows.iter().map(|row| row.origin).bind_iter())
        .bind(rows.iter().map(|row| row.media_kind).bind_iter())
        .bind(rows.iter().map(|row| row.text.as_str()).bind_iter())
        .bind(
            rows.iter()
                .map(|row| row.sender_name.as_deref())
                .bind_iter(),
        )
        .bind(
            rows.iter()
                .map(|row| row.post_author.as_deref())
                .bind_iter(),
        )
        .bind(rows.iter().map(|row| row.via_bot.as_deref()).bind_iter())
        .bind(rows.iter().map(|row| json(&row.entities)).bind_iter())
        .bind(rows.iter().map(|row| json(&row.forward)).bind_iter())
        .bind(rows.iter().map(|row| json(&row.media)).bind_iter())
        .bind(rows.iter().map(|row| json(&row.reactions)).bind_iter())
        .bind(rows.iter().map(|row| json(&row.poll)).bind_iter())
        .bind(rows.iter().map(|row| json(&row.buttons)).bind_iter())
        .bind(rows.iter().map(|row| json(&row.service)).bind_iter())
        .bind(rows.iter().map(|row| json(&row.changed)).bind_iter())
}

/// In the order of `statements::VERSION`.
pub(super) fn bind_versions<'q>(query: Statement<'q>, rows: &[VersionRow]) -> Statement<'q> {
    query
        .bind(rows.iter().map(|row| row.peer_id).bind_iter())
        .bind(rows.iter().map(|row| row.message_id).bind_iter())
        .bind(rows.iter().map(|row| Time::from(row.posted_at)).bind_iter())
        .bind(rows.iter().map(|row| row.seq).bind_iter())
        .bind(rows.iter().map(|row| time(row.edited_at)).bind_iter())
        .bind(rows.iter().map(|row| row.text.as_str()).bind_iter())
        .bind(rows.iter().map(|row| json(&row.entities)).bind_iter())
        .bind(rows.iter().map(|row| json(&row.media)).bind_iter())
        .bind(rows.iter().map(|row| json(&row.changed)).bind_iter())
}

fn stamp<T>(part: &Stamped<T>) -> Option<i64> {
    part.as_ref().map(|(seq, _)| *seq)
}

fn value<T: Clone>(part: &Stamped<T>) -> Option<T> {
    part.as_ref().map(|(_, value)| value.clone())
}

fn json_value(part: &Stamped<Json>) -> Option<Jsonb<'_>> {
    part.as_ref().map(|(_, value)| Jsonb(value))
}

/// In the order of `statements::STATE`.
pub(super) fn bind_states<'q>(query: Statement<'q>, rows: &[StateRow]) -> Statement<'q> {
    query
        .bind(rows.iter().map(|row| row.peer_id).bind_iter())
        .bind(rows.iter().map(|row| row.message_id).bind_iter())
        .bind(
            rows.iter()
                .map(|row| time(value(&row.deleted_at)))
                .bind_iter(),
        )
        .bind(rows.iter().map(|row| stamp(&row.deleted_at)).bind_iter())
        .bind(rows.iter().map(|row| value(&row.pinned)).bind_iter())
        .bind(rows.iter().map(|row| stamp(&row.pinned)).bind_iter())
        .bind(rows.iter().map(|row| value(&row.views)).bind_iter())
        .bind(rows.iter().map(|row| stamp(&row.views)).bind_iter())
        .bind(rows.iter().map(|row| value(&row.forwards)).bind_iter())
        .bind(rows.iter().map(|row| stamp(&row.forwards)).bind_iter())
        .bind(
            rows.iter()
                .map(|row| json_value(&row.reactions))
                .bind_iter(),
        )
        .bind(rows.iter().map(|row| stamp(&row.reactions)).bind_iter())
        .bind(rows.iter().map(|row| json_value(&row.poll)).bind_iter())
        .bind(rows.iter().map(|row| stamp(&row.poll)).bind_iter())
}

/// In the order of `statements::SAMPLE`.
pub(super) fn bind_samples<'q>(query: Statement<'q>, rows: &[SampleRow]) -> Statement<'q> {
    let sampled = rows.iter().map(|row| Time::from(row.sampled_at));
    let intervals = rows.iter().map(|row| Time::from(row.interval_at));
    query
        .bind(rows.iter().map(|row| row.peer_id).bind_iter())
        .bind(rows.iter().map(|row| row.message_id).bind_iter())
        .bind(intervals.bind_iter())
        .bind(sampled.bind_iter())
        .bind(rows.iter().map(|row| row.seq).bind_iter())
        .bind(rows.iter().map(|row| value(&row.views)).bind_iter())
        .bind(rows.iter().map(|row| stamp(&row.views)).bind_iter())
        .bind(rows.iter().map(|row| value(&row.forwards)).bind_iter())
        .bind(rows.iter().map(|row| stamp(&row.forwards)).bind_iter())
        .bind(
            rows.iter()
                .map(|row| json_value(&row.reactions))
                .bind_iter(),
        )
        .bind(rows.iter().map(|row| stamp(&row.reactions)).bind_iter())
        .bind(rows.iter().map(|row| json_value(&row.poll)).bind_iter())
        .bind(rows.iter().map(|row| stamp(&row.poll)).bind_iter())
}
