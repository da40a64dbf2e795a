//! Text parts to text and entities.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as WordError;
use serde_json::Value;

use crate::event::{Entity, EntityKind};
use crate::source::import::report::Notes;
use crate::source::import::value::{flag, get, int, list, str_at, text, utf16_len};

/// The text of a message and its formatting. The format has no offsets: they are the running length of the parts.
pub(super) fn read(message: &Value, notes: &mut Notes) -> (String, Vec<Entity>) {
    let parts = list(message, "text_entities");
    if !parts.is_empty() {
        return of_parts(parts, notes);
    }
    match message.get("text") {
        Some(Value::String(text)) => (text.clone(), Vec::new()),
        // Exports from before 2022 have only this form.
        Some(Value::Array(parts)) => of_parts(parts, notes),
        _ => (String::new(), Vec::new()),
    }
}

/// The text of a value that is a string or a list of parts, without its formatting.
pub(super) fn plain(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(part_text).collect(),
        _ => String::new(),
    }
}

fn part_text(part: &Value) -> Option<&str> {
    part.as_str().or_else(|| str_at(part, "text"))
}

fn of_parts(parts: &[Value], notes: &mut Notes) -> (String, Vec<Entity>) {
    let mut whole = String::new();
    let mut entities = Vec::new();
    let mut offset = 0;
    for part in parts {
        let Some(run) = part_text(part) else {
            notes.unknown("text part", "without text");
            continue;
        };
        let length = utf16_len(run);
        whole.push_str(run);
        if let (Some(kind), true) = (kind_of(part, notes), length > 0) {
            entities.push(Entity {
                kind,
                offset,
                length,
                url: text(part, "href"),
                language: text(part, "language"),
                user_id: int(part, "user_id"),
                document_id: get(part, "document_id").map(|id| match id {
                    Value::String(id) => id.clone(),
                    other => other.to_string(),
                }),
                collapsed: flag(part, "collapsed"),
            });
        }
        offset += length;
    }
    (whole, entities)
}

fn kind_of(part: &Value, notes: &mut Notes) -> Option<EntityKind> {
    let word = str_at(part, "type")?;
    if word == "plain" {
        return None;
    }
    let kind = EntityKind::deserialize(IntoDeserializer::<WordError>::into_deserializer(word));
    Some(kind.unwrap_or_else(|_| {
        notes.unknown("text part", word);
        EntityKind::Unknown
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn offsets_count_utf16_units() {
        let message = json!({"text": "", "text_entities": [
            {"type": "plain", "text": "\u{1F4DA} "},
            {"type": "bold", "text": "\u{5D0}b"},
            {"type": "custom_emoji", "text": "", "document_id": "x"},
            {"type": "text_link", "text": "go", "href": "https://example.org/"},
        ]});
        let (text, entities) = read(&message, &mut Notes::default());
        assert_eq!(text, "\u{1F4DA} \u{5D0}bgo");
        let places = entities.iter().map(|e| (e.kind, e.offset, e.length));
        assert_eq!(
            places.collect::<Vec<_>>(),
            [(EntityKind::Bold, 3, 2), (EntityKind::TextLink, 5, 2)]
        );
    }

    #[test]
    fn old_mixed_parts_and_unknown_kinds_are_read() {
        let message = json!({"text": ["a ", {"type": "sparkle", "text": "b"}, {"x": 1}]});
        let mut notes = Notes::default();
        let (text, entities) = read(&message, &mut notes);
        assert_eq!((text.as_str(), entities.len()), ("a b", 1));
        assert_eq!(entities[0].kind, EntityKind::Unknown);
        assert_eq!(notes.unknown.len(), 2);
    }

    proptest! {
        #[test]
        fn entities_lie_inside_the_text(parts in proptest::collection::vec((".{0,6}", any::<bool>()), 0..12)) {
            let parts = parts.into_iter().map(|(text, bold)| {
                json!({"type": if bold { "bold" } else { "plain" }, "text": text})
            }).collect::<Vec<_>>();
            let (text, entities) = read(&json!({"text_entities": parts}), &mut Notes::default());
            let end = utf16_len(&text);
            for entity in entities {
                prop_assert!(entity.offset >= 0 && entity.length > 0);
                prop_assert!(entity.offset + entity.length <= end);
            }
        }
    }
}
