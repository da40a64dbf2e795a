//! Values between Rust and SQLite: instants as their text, JSON as text.

use serde_json::Value;
use sqlx::Row as _;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};

use crate::event::{Json, Timestamp};
use crate::store::contract;
use crate::store::rows::{MessageRow, Stamped, StateRow, VersionRow};
use crate::store::samples::SampleRow;

pub(super) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

pub(super) fn time(at: Timestamp) -> String {
    at.to_string()
}

fn json(value: Option<&Json>) -> Option<String> {
    value.map(|json| json.as_str().to_owned())
}

fn stamp<T>(part: &Stamped<T>) -> Option<i64> {
    part.as_ref().map(|(seq, _)| *seq)
}

/// In the order of `statements::CONTENT`.
pub(super) fn bind_content<'q>(query: Statement<'q>, row: &MessageRow) -> Statement<'q> {
    query
        .bind(row.peer_id)
        .bind(row.message_id)
        .bind(time(row.posted_at))
        .bind(row.rank)
        .bind(row.seq)
        .bind(row.first_seq)
        .bind(time(row.received_at))
        .bind(row.edited_at.map(time))
        .bind(row.sender_id)
        .bind(row.reply_to_message_id)
        .bind(row.reply_to_peer_id)
        .bind(row.topic_id)
        .bind(row.grouped_id)
        .bind(row.views)
        .bind(row.forwards)
        .bind(row.versioned)
        .bind(row.pinned)
        .bind(row.kind)
        .bind(row.origin)
        .bind(row.media_kind)
        .bind(row.text.clone())
        .bind(row.sender_name.clone())
        .bind(row.post_author.clone())
        .bind(row.via_bot.clone())
        .bind(json(row.entities.as_ref()))
        .bind(json(row.forward.as_ref()))
        .bind(json(row.media.as_ref()))
        .bind(json(row.reactions.as_ref()))
        .bind(json(row.poll.as_ref()))
        .bind(json(row.buttons.as_ref()))
        .bind(json(row.service.as_ref()))
        .bind(json(row.changed.as_ref()))
}

/// In the order of `statements::STATE`.
pub(super) fn bind_state<'q>(query: Statement<'q>, row: &StateRow) -> Statement<'q> {
    query
        .bind(row.peer_id)
        .bind(row.message_id)
        .bind(row.deleted_at.map(|(_, at)| time(at)))
        .bind(stamp(&row.deleted_at))
        .bind(row.pinned.map(|(_, pinned)| pinned))
        .bind(stamp(&row.pinned))
        .bind(row.views.map(|(_, views)| views))
        .bind(stamp(&row.views))
        .bind(row.forwards.map(|(_, forwards)| forwards))
        .bind(stamp(&row.forwards))
        .bind(json(row.reactions.as_ref().map(|(_, value)| value)))
        .bind(stamp(&row.reactions))
        .bind(json(row.poll.as_ref().map(|(_, value)| value)))
        .bind(stamp(&row.poll))
}

/// In the order of `statements::SAMPLE`.
pub(super) fn bind_sample<'q>(query: Statement<'q>, row: &SampleRow) -> Statement<'q> {
    query
        .bind(row.peer_id)
        .bind(row.message_id)
        .bind(time(row.interval_at))
        .bind(time(row.sampled_at))
        .bind(row.seq)
        .bind(row.views.map(|(_, views)| views))
        .bind(stamp(&row.views))
        .bind(row.forwards.map(|(_, forwards)| forwards))
        .bind(stamp(&row.forwards))
        .bind(json(row.reactions.as_ref().map(|(_, value)| value)))
        .bind(stamp(&row.reactions))
        .bind(json(row.poll.as_ref().map(|(_, value)| value)))
        .bind(stamp(&row.poll))
}

/// In the order of `statements::INSERT_VERSION`.
pub(super) fn bind_version<'q>(query: Statement<'q>, row: &VersionRow) -> Statement<'q> {
    query
        .bind(row.peer_id)
        .bind(row.message_id)
        .bind(time(row.posted_at))
        .bind(row.seq)
        .bind(row.edited_at.map(time))
        .bind(row.text.clone())
        .bind(json(row.entities.as_ref()))
        .bind(json(row.media.as_ref()))
        .bind(json(row.changed.as_ref()))
}

/// The same of a content that is itself a version.
pub(super) fn bind_content_as_version<'q>(query: Statement<'q>, row: &MessageRow) -> Statement<'q> {
    query
        .bind(row.peer_id)
        .bind(row.message_id)
        .bind(time(row.posted_at))
        .bind(row.seq)
        .bind(row.edited_at.map(time))
        .bind(row.text.clone())
        .bind(json(row.entities.as_ref()))
        .bind(json(row.media.as_ref()))
        .bind(json(row.changed.as_ref()))
}

/// The public row of a row that has the contract's columns.
pub(super) fn public(
    row: &SqliteRow,
    columns: &[contract::Column],
) -> Result<Vec<Value>, sqlx::Error> {
    columns
        .iter()
        .enumerate()
        .map(|(at, (name, kind))| {
            Ok(match kind {
                contract::Type::Int => row.try_get_unchecked::<Option<i64>, _>(at)?.into(),
                contract::Type::Text | contract::Type::Time => {
                    row.try_get_unchecked::<Option<String>, _>(at)?.into()
                }
                contract::Type::Bool => row.try_get_unchecked::<Option<bool>, _>(at)?.into(),
                contract::Type::Json => match row.try_get_unchecked::<Option<&str>, _>(at)? {
                    None => Value::Null,
                    Some(text) => {
                        serde_json::from_str(text).map_err(|error| sqlx::Error::ColumnDecode {
                            index: (*name).to_owned(),
                            source: Box::new(error),
                        })?
                    }
                },
            })
        })
        .collect()
}
