//! Service messages: the word for what happened, and its arguments. People are told by number alone, and only where
//! they are what it is about.

use grammers_tl_types as tl;
use grammers_tl_types::Serializable;
use serde_json::Value;

use super::media::keep;
use super::parts::plain;
use crate::event::{JsonText, ReplyTo, Service};
use crate::source::actions;

/// What a service message tells.
pub(super) fn read(action: &tl::enums::MessageAction, reply_to: Option<&ReplyTo>) -> Service {
    let name = constructor(action);
    let name = name.strip_prefix("messageAction").unwrap_or(name);
    let answered = reply_to.map(|reply| Value::from(reply.message_id));
    Service {
        action: actions::word(name),
        details: details(action, answered.unwrap_or(Value::Null)),
    }
}

/// The photo that an action is about.
pub(super) fn photo(action: &tl::enums::MessageAction) -> Option<&tl::enums::Photo> {
    match action {
        tl::enums::MessageAction::ChatEditPhoto(it) => Some(&it.photo),
        tl::enums::MessageAction::SuggestProfilePhoto(it) => Some(&it.photo),
        _ => None,
    }
}

/// The name of a value's constructor in Telegram's schema.
pub(super) fn constructor(value: &impl Serializable) -> &'static str {
    name_of(&value.to_bytes())
}

/// The name of the constructor that these bytes begin with.
pub(super) fn name_of(bytes: &[u8]) -> &'static str {
    let id = bytes.first_chunk().map(|id| u32::from_le_bytes(*id));
    id.map_or("(unknown)", tl::name_for_id)
}

fn details(action: &tl::enums::MessageAction, answered: Value) -> Option<JsonText> {
    use tl::enums::MessageAction as A;
    match action {
        A::PinMessage => keep([("message_id", answered)]),
        A::ChatCreate(it) => keep([
            ("title", it.title.clone().into()),
            ("members", it.users.clone().into()),
        ]),
        A::ChatEditTitle(it) => keep([("title", it.title.clone().into())]),
        A::ChannelCreate(it) => keep([("title", it.title.clone().into())]),
        A::ChatAddUser(it) => keep([("members", it.users.clone().into())]),
        A::ChatDeleteUser(it) => keep([("members", vec![it.user_id].into())]),
        A::ChatMigrateTo(it) => keep([("channel_id", it.channel_id.into())]),
        A::ChannelMigrateFrom(it) => keep([
            ("title", it.title.clone().into()),
            ("chat_id", it.chat_id.into()),
        ]),
        A::GameScore(it) => keep([
            ("message_id", answered),
            ("game_id", it.game_id.into()),
            ("score", it.score.into()),
        ]),
        A::CustomAction(it) => keep([("message", it.message.clone().into())]),
        A::TopicCreate(it) => keep([
            ("title", it.title.clone().into()),
            ("icon_color", it.icon_color.into()),
            ("icon_emoji_id", it.icon_emoji_id.into()),
        ]),
        A::TopicEdit(it) => keep([
            ("title", it.title.clone().into()),
            ("icon_emoji_id", it.icon_emoji_id.into()),
            ("closed", it.closed.into()),
            ("hidden", it.hidden.into()),
        ]),
        A::SetMessagesTtl(it) => keep([("period", it.period.into())]),
        A::SetChatTheme(it) => match &it.theme {
            tl::enums::ChatTheme::Theme(theme) => keep([("emoji", theme.emoticon.clone().into())]),
            tl::enums::ChatTheme::UniqueGift(_) => None,
        },
        A::PhoneCall(it) => keep([("duration", it.duration.into()), ("video", it.video.into())]),
        A::GroupCall(it) => keep([("duration", it.duration.into())]),
        A::InviteToGroupCall(it) => keep([("members", it.users.clone().into())]),
        A::GroupCallScheduled(it) => keep([("schedule_date", it.schedule_date.into())]),
        A::GeoProximityReached(it) => keep([("distance", it.distance.into())]),
        _ => payments(action),
    }
}

/// Actions about money, gifts, lists and polls.
fn payments(action: &tl::enums::MessageAction) -> Option<JsonText> {
    use tl::enums::MessageAction as A;
    match action {
        A::PaymentSent(it) => keep([
            ("currency", it.currency.clone().into()),
            ("total_amount", it.total_amount.into()),
        ]),
        A::PaymentSentMe(it) => keep([
            ("currency", it.currency.clone().into()),
            ("total_amount", it.total_amount.into()),
        ]),
        A::PaymentRefunded(it) => keep([
            ("currency", it.currency.clone().into()),
            ("total_amount", it.total_amount.into()),
        ]),
        A::GiveawayLaunch(it) => keep([("stars", it.stars.into())]),
        A::GiveawayResults(it) => keep([
            ("winners_count", it.winners_count.into()),
            ("unclaimed_count", it.unclaimed_count.into()),
        ]),
        A::BoostApply(it) => keep([("boosts", it.boosts.into())]),
        A::GiftPremium(it) => keep([
            ("currency", it.currency.clone().into()),
            ("amount", it.amount.into()),
            ("days", it.days.into()),
        ]),
        A::GiftStars(it) => keep([("stars", it.stars.into())]),
        A::PrizeStars(it) => keep([
            ("stars", it.stars.into()),
            ("giveaway_message_id", it.giveaway_msg_id.into()),
        ]),
        A::PaidMessagesRefunded(it) => {
            keep([("count", it.count.into()), ("stars", it.stars.into())])
        }
        A::PaidMessagesPrice(it) => keep([("stars", it.stars.into())]),
        A::TodoCompletions(it) => keep([
            ("completed", it.completed.clone().into()),
            ("incompleted", it.incompleted.clone().into()),
        ]),
        A::TodoAppendTasks(it) => {
            let title = |tl::enums::TodoItem::Item(item): &tl::enums::TodoItem| plain(&item.title);
            let titles: Vec<String> = it.list.iter().map(title).collect();
            keep([("items", titles.into())])
        }
        A::SuggestedPostApproval(it) => keep([
            ("rejected", it.rejected.into()),
            ("schedule_date", it.schedule_date.into()),
        ]),
        A::NoForwardsToggle(it) => keep([("enabled", it.new_value.into())]),
        A::PollAppendAnswer(it) => keep([("answer", answer(&it.answer).into())]),
        A::PollDeleteAnswer(it) => keep([("answer", answer(&it.answer).into())]),
        _ => None,
    }
}

fn answer(answer: &tl::enums::PollAnswer) -> String {
    match answer {
        tl::enums::PollAnswer::Answer(it) => plain(&it.text),
        tl::enums::PollAnswer::InputPollAnswer(it) => plain(&it.text),
    }
}
