//! Service actions, in the words Telegram Desktop's exporter has for them.

use serde_json::{Map, Value};

use crate::event::{JsonText, ReplyTo, Service};
use crate::source::actions;
use crate::source::import::report::Notes;
use crate::source::import::value::{constructor, get};

/// The service part of a message, if it is a service message.
pub(super) fn read(
    message: &Value,
    reply_to: Option<&ReplyTo>,
    notes: &mut Notes,
) -> Option<Service> {
    if constructor(message) != "MessageService" {
        return None;
    }
    let null = Value::Null;
    let action = get(message, "action").unwrap_or(&null);
    let name = constructor(action);
    let name = name.strip_prefix("MessageAction").unwrap_or(name);
    if !actions::is_known(name) {
        notes.unknown("action", name);
    }
    let word = actions::word(name);
    let mut details = arguments(action);
    if let ("pin_message" | "score_in_game", Some(reply)) = (word.as_str(), reply_to) {
        details.insert("message_id".to_owned(), reply.message_id.into());
    }
    Some(Service {
        action: word,
        details: (!details.is_empty()).then(|| JsonText::of(&Value::Object(details))),
    })
}

/// The arguments of an action, under Desktop's names where those differ.
fn arguments(action: &Value) -> Map<String, Value> {
    let members = action.as_object().into_iter().flatten();
    let mut details = Map::new();
    for (key, value) in members {
        let key = match key.as_str() {
            // The photo is the media of the message; of people only the number is kept.
            "_" | "photo" | "user_id" => continue,
            "users" => "members",
            other => other,
        };
        let is_nothing = value.is_null() || value == &Value::Bool(false);
        if !is_nothing {
            details.insert(key.to_owned(), value.clone());
        }
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn actions_speak_desktops_words() {
        let mut notes = Notes::default();
        let mut action = |action: Value| {
            let message = json!({"_": "MessageService", "action": action});
            let reply = ReplyTo {
                message_id: 7,
                peer: None,
            };
            let service = read(&message, Some(&reply), &mut notes).expect("service");
            (
                service.action,
                service.details.map(|details| details.value()),
            )
        };
        assert_eq!(
            action(json!({"_": "MessageActionPinMessage"})),
            ("pin_message".to_owned(), Some(json!({"message_id": 7})))
        );
        assert_eq!(
            action(json!({"_": "MessageActionChatAddUser", "users": 3})),
            ("invite_members".to_owned(), Some(json!({"members": 3})))
        );
        assert_eq!(
            action(json!({"_": "MessageActionNewTTLThing", "x": null, "y": 1})),
            ("new_ttlthing".to_owned(), Some(json!({"y": 1})))
        );
        assert_eq!(action(json!(null)).0, "unknown");
        assert_eq!(notes.unknown.len(), 2);
    }
}
