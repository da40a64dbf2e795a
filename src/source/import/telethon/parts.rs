//! Entities, reactions and buttons.

use serde_json::Value;

use crate::event::{Button, Entity, EntityKind, Reaction, ReactionKind};
use crate::source::import::report::Notes;
use crate::source::import::value::{constructor, flag, get, int, list, str_at, text};

/// The formatting of a text of the given length in UTF-16 units. What reaches beyond the text is cut, what lies
/// outside is left out.
pub(super) fn entities(message: &Value, end: i64, notes: &mut Notes) -> Vec<Entity> {
    let read = |entity: &Value| {
        let kind = entity_kind(constructor(entity), notes);
        let (offset, length) = (int(entity, "offset")?, int(entity, "length")?);
        let inside = (0..end).contains(&offset);
        if !inside || length <= 0 {
            notes.unknown("entity", "outside of its text");
            return None;
        }
        Some(Entity {
            kind,
            offset,
            length: length.min(end - offset),
            url: text(entity, "url"),
            language: text(entity, "language"),
            user_id: int(entity, "user_id"),
            document_id: int(entity, "document_id").map(|id| id.to_string()),
            collapsed: flag(entity, "collapsed"),
        })
    };
    list(message, "entities").iter().filter_map(read).collect()
}

fn entity_kind(name: &str, notes: &mut Notes) -> EntityKind {
    match name
        .trim_start_matches("Input")
        .strip_prefix("MessageEntity")
    {
        Some("Unknown") => EntityKind::Unknown,
        Some("Mention") => EntityKind::Mention,
        Some("Hashtag") => EntityKind::Hashtag,
        Some("BotCommand") => EntityKind::BotCommand,
        Some("Url") => EntityKind::Link,
        Some("Email") => EntityKind::Email,
        Some("Bold") => EntityKind::Bold,
        Some("Italic") => EntityKind::Italic,
        Some("Code") => EntityKind::Code,
        Some("Pre") => EntityKind::Pre,
        Some("TextUrl") => EntityKind::TextLink,
        Some("MentionName") => EntityKind::MentionName,
        Some("Phone") => EntityKind::Phone,
        Some("Cashtag") => EntityKind::Cashtag,
        Some("Underline") => EntityKind::Underline,
        Some("Strike") => EntityKind::Strikethrough,
        Some("Blockquote") => EntityKind::Blockquote,
        Some("BankCard") => EntityKind::BankCard,
        Some("Spoiler") => EntityKind::Spoiler,
        Some("CustomEmoji") => EntityKind::CustomEmoji,
        _ => {
            notes.unknown("entity", name);
            EntityKind::Unknown
        }
    }
}

/// Reactions: an emoji as plain text in the layers of 2022, an object since.
pub(super) fn reactions(message: &Value, notes: &mut Notes) -> Option<Vec<Reaction>> {
    let reactions = get(message, "reactions")?;
    let read = |result: &Value| {
        let given = result.get("reaction").unwrap_or(&Value::Null);
        let (kind, emoji, document_id) = match (given.as_str(), constructor(given)) {
            (Some(emoji), _) => (ReactionKind::Emoji, Some(emoji.to_owned()), None),
            (None, "ReactionEmoji") => (ReactionKind::Emoji, text(given, "emoticon"), None),
            (None, "ReactionCustomEmoji") => {
                let id = int(given, "document_id").map(|id| id.to_string());
                (ReactionKind::CustomEmoji, None, id)
            }
            (None, "ReactionPaid") => (ReactionKind::Paid, None, None),
            (None, other) => {
                notes.unknown("reaction", other);
                (ReactionKind::Unknown, None, None)
            }
        };
        Reaction {
            kind,
            emoji,
            document_id,
            count: int(result, "count").unwrap_or(0),
        }
    };
    Some(list(reactions, "results").iter().map(read).collect())
}

/// Inline buttons; reply keyboards belong to a bot's dialogue, not to the message.
pub(super) fn buttons(message: &Value, notes: &mut Notes) -> Vec<Vec<Button>> {
    let Some(markup) = get(message, "reply_markup") else {
        return Vec::new();
    };
    if constructor(markup) != "ReplyInlineMarkup" {
        return Vec::new();
    }
    let rows = list(markup, "rows").iter();
    rows.map(|row| {
        let buttons = list(row, "buttons").iter();
        buttons.map(|button| read_button(button, notes)).collect()
    })
    .collect()
}

fn read_button(button: &Value, notes: &mut Notes) -> Button {
    let name = constructor(button);
    let kind = match name
        .trim_start_matches("Input")
        .strip_prefix("KeyboardButton")
    {
        Some("") => "default",
        Some("Url") => "url",
        Some("Callback") if flag(button, "requires_password") => "callback_with_password",
        Some("Callback") => "callback",
        Some("RequestPhone") => "request_phone",
        Some("RequestGeoLocation") => "request_location",
        Some("RequestPoll") => "request_poll",
        Some("RequestPeer") => "request_peer",
        Some("SwitchInline") if flag(button, "same_peer") => "switch_inline_same",
        Some("SwitchInline") => "switch_inline",
        Some("Game") => "game",
        Some("Buy") => "buy",
        Some("UrlAuth") => "auth",
        Some("UserProfile") => "user_profile",
        Some("WebView") => "web_view",
        Some("SimpleWebView") => "simple_web_view",
        Some("Copy") => "copy_text",
        _ => {
            notes.unknown("button", name);
            "unknown"
        }
    };
    let data = text(button, "url")
        .or_else(|| text(button, "query"))
        .or_else(|| text(button, "copy_text"))
        .or_else(|| bytes(button.get("data")?));
    Button {
        kind: kind.to_owned(),
        text: str_at(button, "text").map(str::to_owned),
        data,
    }
}

/// Bytes as a dump writes them, as text: an array of numbers where that is UTF-8, or base64. Anything else (the `b'...'`
/// of Python, binary data) is left out: it cannot be read back without guessing.
fn bytes(value: &Value) -> Option<String> {
    match value {
        Value::Array(numbers) => {
            let bytes = numbers.iter().map(|n| u8::try_from(n.as_u64()?).ok());
            String::from_utf8(bytes.collect::<Option<Vec<_>>>()?).ok()
        }
        Value::String(text) => String::from_utf8(base64(text)?).ok(),
        _ => None,
    }
}

/// The bytes of base64 text, padded or not, in the standard alphabet.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for &digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        let whole = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        bytes.extend_from_slice(&bits.to_be_bytes()[1..=whole]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn button_data_is_text_or_nothing() {
        assert_eq!(bytes(&json!([118, 111, 116, 101])).as_deref(), Some("vote"));
        assert_eq!(bytes(&json!("dm90ZQ==")).as_deref(), Some("vote"));
        assert_eq!(bytes(&json!("dm90ZTE=")).as_deref(), Some("vote1"));
        for nothing in [
            json!("b'vote'"),
            json!([300]),
            json!([255]),
            json!(1),
            json!("A"),
        ] {
            assert_eq!(bytes(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn both_shapes_of_reactions_are_one() {
        let old =
            json!({"reactions": {"results": [{"reaction": "+", "count": 2, "chosen": false}]}});
        let new = json!({"reactions": {"results": [
            {"reaction": {"_": "ReactionEmoji", "emoticon": "+"}, "count": 2, "chosen_order": null}]}});
        let mut notes = Notes::default();
        assert_eq!(reactions(&old, &mut notes), reactions(&new, &mut notes));
        assert!(notes.unknown.is_empty());
    }

    proptest! {
        #[test]
        fn entities_lie_inside_the_text(end in 0..100i64, offset in any::<i64>(), small in -5..120i64, length in any::<i64>()) {
            for (offset, length) in [(offset, length), (small, length), (small, small)] {
                let message = json!({"entities": [{"_": "MessageEntityBold", "offset": offset, "length": length}]});
                for entity in entities(&message, end, &mut Notes::default()) {
                    prop_assert!(entity.offset >= 0 && entity.length > 0);
                    prop_assert!(entity.offset + entity.length <= end);
                }
            }
        }
    }
}
