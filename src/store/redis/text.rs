//! The values that hold more than one thing, as text, and taken apart again: pure.

use serde::Serialize;

use super::commands::state_groups;
use super::model::Fields;
use crate::event::Timestamp;
use crate::store::Poison;
use crate::store::rows::{MessageRow, StateRow};

/// A message's JSON: what guards it, then the content columns. `apply.lua` relies on the first three members.
pub(super) fn message_text(best: &MessageRow, first: &MessageRow) -> String {
    let content = content_text(best);
    let members = content.get(1..).unwrap_or_default();
    let (rank, first_seq, at) = (best.rank, first.first_seq, first.received_at);
    format!(r#"{{"rank":{rank},"first_seq":{first_seq},"received_at":"{at}",{members}"#)
}

/// The state of a message: a line for each part, `name seq value`. JSON has no line breaks of its own.
pub(super) fn state_text(row: &StateRow) -> String {
    let lines = state_groups(row).into_iter();
    lines.fold(String::new(), |text, group| {
        text + group.field + " " + &group.seq.to_string() + " " + &group.value + "\n"
    })
}

/// What the two values say, part by part. Text of another form is kept whole, and so differs from all that it must be.
pub(super) fn message_fields(message: Option<String>, state: Option<&str>) -> Fields {
    let mut fields = Fields::new();
    if let Some(text) = message {
        match guards(&text) {
            Some([rank, first_seq, received_at, members]) => {
                fields.insert("rank".to_owned(), rank.to_owned());
                fields.insert("first_seq".to_owned(), first_seq.to_owned());
                fields.insert("received_at".to_owned(), received_at.to_owned());
                fields.insert("content".to_owned(), format!("{{{members}"));
            }
            None => {
                fields.insert("content".to_owned(), text);
            }
        }
    }
    for line in state.unwrap_or_default().lines() {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (name, seq, value) = (word(), word(), word());
        fields.insert(format!("{}_seq", name.trim_end_matches("_at")), seq);
        fields.insert(name, value);
    }
    fields
}

fn guards(text: &str) -> Option<[&str; 4]> {
    let (rank, rest) = text
        .strip_prefix(r#"{"rank":"#)?
        .split_once(r#","first_seq":"#)?;
    let (first_seq, rest) = rest.split_once(r#","received_at":""#)?;
    let (received_at, members) = rest.split_once(r#"","#)?;
    Some([rank, first_seq, received_at, members])
}

/// A member of the set of contents seen.
pub(super) fn seen_member(id: i64, stamp: i64) -> String {
    format!("{id}:{stamp}")
}

/// What the quarantine says of a record; the record itself is in the log.
pub(super) fn quarantine_text(poison: &Poison) -> String {
    let received_at = poison.received_at.to_string();
    serde_json::json!({
        "seq": poison.seq.get(), "kind": poison.kind, "received_at": received_at, "reason": poison.reason,
    })
    .to_string()
}

/// The content columns, by their names in SQL.
#[derive(Serialize)]
struct Columns<'a> {
    kind: &'a str,
    posted_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<Timestamp>,
    origin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_author: Option<&'a str>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to_message_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to_peer_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grouped_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    via_bot: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    views: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwards: Option<i64>,
    pinned: bool,
    seq: i64,
}

/// The JSON of the content columns.
pub(super) fn content_text(row: &MessageRow) -> String {
    let columns = Columns {
        kind: row.kind,
        posted_at: row.posted_at,
        edited_at: row.edited_at,
        origin: row.origin,
        sender_id: row.sender_id,
        sender_name: row.sender_name.as_deref(),
        post_author: row.post_author.as_deref(),
        text: &row.text,
        reply_to_message_id: row.reply_to_message_id,
        reply_to_peer_id: row.reply_to_peer_id,
        topic_id: row.topic_id,
        grouped_id: row.grouped_id,
        via_bot: row.via_bot.as_deref(),
        media_kind: row.media_kind,
        views: row.views,
        forwards: row.forwards,
        pinned: row.pinned,
        seq: row.seq,
    };
    // Writing to memory does not fail, and every key is a string.
    let mut text = serde_json::to_string(&columns).unwrap_or_default();
    text.pop();
    let columns = [
        ("entities", &row.entities),
        ("forward", &row.forward),
        ("media", &row.media),
        ("reactions", &row.reactions),
        ("poll", &row.poll),
        ("buttons", &row.buttons),
        ("service", &row.service),
    ];
    for (name, json) in columns {
        if let Some(json) = json {
            text = text + ",\"" + name + "\":" + json.as_str();
        }
    }
    text.push('}');
    text
}
