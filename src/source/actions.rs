//! Service actions in the words of Telegram Desktop's exporter, which every source uses.

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

/// Whether there is a word for this action: the name of its constructor behind `MessageAction`.
pub(super) fn is_known(action: &str) -> bool {
    find(action).is_some()
}

/// The word for an action; its name in another spelling where Desktop has none.
pub(super) fn word(action: &str) -> String {
    find(action).map_or_else(|| snake_case(action), str::to_owned)
}

fn find(action: &str) -> Option<&'static str> {
    let at = WORDS.binary_search_by(|(name, _)| (*name).cmp(action));
    at.ok().map(|at| WORDS[at].1)
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

    #[test]
    fn every_action_has_a_word() {
        assert!(
            WORDS.is_sorted_by(|a, b| a.0 < b.0),
            "the table is kept sorted"
        );
        assert_eq!(word("PinMessage"), "pin_message");
        assert_eq!(word("NewTTLThing"), "new_ttlthing");
        assert_eq!(word(""), "unknown");
        assert!(is_known("ChatCreate") && !is_known("NewTTLThing"));
    }
}
