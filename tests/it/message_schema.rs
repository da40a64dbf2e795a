//! The published JSON of events: it is what docs/schema says, and it says the same as the SQL columns.

use proptest::prelude::*;
use serde_json::Value;
use telegram_gateway::broker::message;
use telegram_gateway::event::Json;
use telegram_gateway::store::Entry;
use telegram_gateway::store::rows::{Change, MessageRow, StateRow};
use wal::{Identity, LogId};

use crate::support::events::log;

const SCHEMA: &str = include_str!("../../docs/schema/telegram-event.v1.json");
const IDENTITY: Identity = Identity {
    log_id: LogId([7; 16]),
    epoch: 1,
};

/// The part of JSON Schema that our schema uses; anything else in it is an error.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let rules = schema
        .as_object()
        .ok_or_else(|| format!("{at}: no schema"))?;
    for (rule, what) in rules {
        let holds = match rule.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let path = what.as_str().and_then(|path| path.strip_prefix('#'));
                let target = path.and_then(|path| root.pointer(path));
                check(
                    root,
                    target.ok_or_else(|| format!("{at}: {what} leads nowhere"))?,
                    value,
                    at,
                )?;
                true
            }
            "const" => value == what,
            "enum" => what.as_array().is_some_and(|all| all.contains(value)),
            "type" => match what.as_str() {
                Some("object") => value.is_object(),
                Some("array") => value.is_array(),
                Some("string") => value.is_string(),
                Some("integer") => value.is_i64() || value.is_u64(),
                Some("boolean") => value.is_boolean(),
                _ => false,
            },
            "pattern" => value
                .as_str()
                .is_some_and(|text| text.len() == 27 && text.ends_with('Z')),
            "required" => what.as_array().is_some_and(|names| {
                names
                    .iter()
                    .all(|name| value.get(name.as_str().unwrap_or_default()).is_some())
            }),
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, what, item, &format!("{at}[{n}]"))?;
                }
                true
            }
            "properties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = what.get(name) {
                        check(root, schema, member, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => value.as_object().into_iter().flatten().all(|(name, _)| {
                schema
                    .get("properties")
                    .and_then(|known| known.get(name))
                    .is_some()
            }),
            other => return Err(format!("{at}: the test does not know the rule {other}")),
        };
        if !holds {
            return Err(format!("{at}: {rule} {what} does not hold for {value}"));
        }
    }
    Ok(())
}

/// The columns that a change sets, as the stores would.
fn columns(change: &Change) -> Value {
    match change {
        Change::Content(row) => content(row),
        Change::State(row) => state(row),
        _ => Value::Null,
    }
}

fn content(row: &MessageRow) -> Value {
    absent_if_null(serde_json::json!({
        "kind": row.kind, "posted_at": row.posted_at, "edited_at": row.edited_at, "sender_id": row.sender_id,
        "sender_name": row.sender_name, "post_author": row.post_author, "text": row.text, "entities": row.entities.as_ref().map(Json::value),
        "reply_to_message_id": row.reply_to_message_id, "reply_to_peer_id": row.reply_to_peer_id,
        "topic_id": row.topic_id, "grouped_id": row.grouped_id, "forward": row.forward.as_ref().map(Json::value), "via_bot": row.via_bot,
        "media_kind": row.media_kind, "media": row.media.as_ref().map(Json::value), "views": row.views, "forwards": row.forwards,
        "reactions": row.reactions.as_ref().map(Json::value), "poll": row.poll.as_ref().map(Json::value), "buttons": row.buttons.as_ref().map(Json::value), "pinned": row.pinned,
        "service": row.service.as_ref().map(Json::value),
    }))
}

fn state(row: &StateRow) -> Value {
    absent_if_null(serde_json::json!({
        "deleted_at": row.deleted_at.map(|it| it.1), "pinned": row.pinned.map(|it| it.1),
        "views": row.views.map(|it| it.1), "forwards": row.forwards.map(|it| it.1),
        "reactions": row.reactions.as_ref().map(|it| it.1.value()), "poll": row.poll.as_ref().map(|it| it.1.value()),
    }))
}

fn absent_if_null(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_event_is_what_the_schema_says_and_what_the_columns_say(log in log()) {
        let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
        for entry in &log {
            let Entry::Event(envelope) = entry else { continue };
            let body: Value = serde_json::from_slice(&message::body(IDENTITY, envelope)).expect("JSON");
            let verdict = check(&schema, &schema, &body, "event");
            prop_assert!(verdict.is_ok(), "{:?} in {}", verdict, body);
            let message = body.get("message").cloned().unwrap_or(Value::Null);
            prop_assert_eq!(message, columns(&Change::of(envelope)));
        }
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let good = serde_json::json!({
        "schema": "telegram.event/1", "log_id": "x", "epoch": 1, "seq": 1, "kind": "gap",
        "received_at": "2026-01-31T12:00:00.000000Z",
    });
    assert_eq!(check(&schema, &schema, &good, "event"), Ok(()));
    for (name, value) in [
        ("kind", Value::from("nonsense")),
        ("seq", Value::from("1")),
        ("extra", Value::from(1)),
        ("message", serde_json::json!({ "text": 7 })),
        (
            "message",
            serde_json::json!({ "entities": [{ "type": "bold" }] }),
        ),
    ] {
        let mut wrong = good.clone();
        wrong[name] = value;
        assert!(
            check(&schema, &schema, &wrong, "event").is_err(),
            "{wrong} is accepted"
        );
    }
}
