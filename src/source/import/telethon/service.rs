//! Service actions, in the words Telegram Desktop's exporter has for them.

use serde_json::{Map, Value};

use crate::event::{JsonText, ReplyTo, Service};
use crate::source::import::report::Notes;
use crate::source::import::value::{constructor, get};

/// Constructor behind `MessageAction`, and Desktop's word.
const WORDS: &[(&str, &str)] = &[
    ("BoostApply", "boost_apply"),
    ("BotAllowed", "allow_sending_messages"),
    ("ChannelCreate", "create_channel"),
    ("ChannelMigrateFrom", "migrate_from_group"),
    ("ChatAddUser", "invite_members"),
    ("ChatCreate", "create_group"),
    ("ChatDeletePhoto", "delete_group_photo"),
    ("ChatDeleteUser", "remove_members"),
    ("ChatEditPhoto", "edit_group_photo"),
    ("ChatEditTitle", "edit_group_title"),
    ("ChatJoinedByLink", "join_group_by_link"),
    ("ChatJoinedByRequest", "join_group_by_request"),
    ("ChatMigrateTo", "migrate_to_supergroup"),
    ("ConferenceCall", "conference_call"),
    ("ContactSignUp", "joined_telegram"),
    ("CustomAction", "custom"),
    ("GameScore", "score_in_game"),
    ("GeoProximityReached", "proximity_reached"),
    ("GiftCode", "gift_code_prize"),
    ("GiftPremium", "send_premium_gift"),
    ("GiftStars", "send_stars_gift"),
    ("GiftTon", "send_ton_gift"),
    ("GiveawayLaunch", "giveaway_launch"),
    ("GiveawayResults", "giveaway_results"),
    ("GroupCall", "group_call"),
    ("GroupCallScheduled", "group_call_scheduled"),
    ("HistoryClear", "clear_history"),
    ("InviteToGroupCall", "invite_to_group_call"),
    ("PaidMessagesPrice", "paid_messages_price_change"),
    ("PaidMessagesRefunded", "paid_messages_refund"),
    ("PaymentRefunded", "refunded_payment"),
    ("PaymentSent", "send_payment"),
    ("PaymentSentMe", "send_payment"),
    ("PhoneCall", "phone_call"),
    ("PinMessage", "pin_message"),
    ("PrizeStars", "stars_prize"),
    ("RequestedPeer", "requested_peer"),
    ("ScreenshotTaken", "take_screenshot"),
    ("SecureValuesSent", "send_passport_values"),
    ("SetChatTheme", "edit_chat_theme"),
    ("SetChatWallPaper", "set_chat_wallpaper"),
    ("SetMessagesTTL", "set_messages_ttl"),
    ("StarGift", "send_star_gift"),
    ("SuggestProfilePhoto", "suggest_profile_photo"),
    ("SuggestedPostApproval", "process_suggested_post"),
    ("SuggestedPostRefund", "suggested_post_refund"),
    ("SuggestedPostSuccess", "suggested_post_success"),
    ("TodoAppendTasks", "todo_append_tasks"),
    ("TodoCompletions", "todo_completions"),
    ("TopicCreate", "topic_created"),
    ("TopicEdit", "topic_edit"),
    ("WebViewDataSent", "send_webview_data"),
];

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
    let word = WORDS
        .iter()
        .find_map(|(constructor, word)| (*constructor == name).then_some(*word));
    let word = word.map_or_else(
        || {
            notes.unknown("action", name);
            snake_case(name)
        },
        str::to_owned,
    );
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

/// `PinMessage` to `pin_message`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut previous_lower = false;
    for c in name.chars().take(64) {
        if c.is_ascii_uppercase() && previous_lower {
            out.push('_');
        }
        previous_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        }
    }
    if out.is_empty() {
        out.push_str("unknown");
    }
    out
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
        let sorted = WORDS.is_sorted_by(|a, b| a.0 < b.0);
        assert!(sorted, "the table is kept sorted");
    }
}
