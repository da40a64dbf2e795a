//! Entities, reactions, buttons and polls.

use std::collections::BTreeMap;

use grammers_tl_types as tl;

use crate::event::{Button, Entity, EntityKind, Poll, PollAnswer, Reaction, ReactionKind};

/// The formatting of a text. Offsets stay in UTF-16 units; what reaches beyond the text is cut, what lies outside is
/// left out.
pub(super) fn entities(text: &str, entities: Option<&[tl::enums::MessageEntity]>) -> Vec<Entity> {
    let Some(entities) = entities.filter(|list| !list.is_empty()) else {
        return Vec::new();
    };
    let end = text.encode_utf16().count() as i64;
    let read = |entity| {
        let mut entity = entity_of(entity);
        let inside = (0..end).contains(&entity.offset) && entity.length > 0;
        entity.length = entity.length.min(end.saturating_sub(entity.offset));
        inside.then_some(entity)
    };
    entities.iter().filter_map(read).collect()
}

fn entity_of(entity: &tl::enums::MessageEntity) -> Entity {
    use EntityKind as K;
    use tl::enums::MessageEntity as E;
    let mut read = Entity {
        kind: K::Unknown,
        offset: i64::from(entity.offset()),
        length: i64::from(entity.length()),
        url: None,
        language: None,
        user_id: None,
        document_id: None,
        collapsed: false,
    };
    read.kind = match entity {
        E::Mention(_) => K::Mention,
        E::Hashtag(_) => K::Hashtag,
        E::BotCommand(_) => K::BotCommand,
        E::Url(_) => K::Link,
        E::Email(_) => K::Email,
        E::Bold(_) => K::Bold,
        E::Italic(_) => K::Italic,
        E::Code(_) => K::Code,
        E::Phone(_) => K::Phone,
        E::Cashtag(_) => K::Cashtag,
        E::Underline(_) => K::Underline,
        E::Strike(_) => K::Strikethrough,
        E::BankCard(_) => K::BankCard,
        E::Spoiler(_) => K::Spoiler,
        E::Pre(pre) => {
            read.language = filled(&pre.language);
            K::Pre
        }
        E::TextUrl(link) => {
            read.url = Some(link.url.clone());
            K::TextLink
        }
        E::MentionName(mention) => {
            read.user_id = Some(mention.user_id);
            K::MentionName
        }
        E::InputMessageEntityMentionName(_) => K::MentionName,
        E::CustomEmoji(emoji) => {
            read.document_id = Some(emoji.document_id.to_string());
            K::CustomEmoji
        }
        E::Blockquote(quote) => {
            read.collapsed = quote.collapsed;
            K::Blockquote
        }
        E::Unknown(_)
        | E::FormattedDate(_)
        | E::DiffInsert(_)
        | E::DiffReplace(_)
        | E::DiffDelete(_)
        | E::TonAddress(_) => K::Unknown,
    };
    read
}

/// The reactions to a message. Who gave them is left out.
pub(super) fn reactions(counts: &[tl::enums::ReactionCount]) -> Vec<Reaction> {
    let read = |count: &tl::enums::ReactionCount| {
        let tl::enums::ReactionCount::Count(count) = count;
        let (kind, emoji, document_id) = match &count.reaction {
            tl::enums::Reaction::Emoji(it) => {
                (ReactionKind::Emoji, Some(it.emoticon.clone()), None)
            }
            tl::enums::Reaction::CustomEmoji(it) => (
                ReactionKind::CustomEmoji,
                None,
                Some(it.document_id.to_string()),
            ),
            tl::enums::Reaction::Paid => (ReactionKind::Paid, None, None),
            tl::enums::Reaction::Empty => (ReactionKind::Unknown, None, None),
        };
        Reaction {
            kind,
            emoji,
            document_id,
            count: i64::from(count.count),
        }
    };
    counts.iter().map(read).collect()
}

/// The inline buttons; reply keyboards belong to a bot's dialogue, not to the message.
pub(super) fn buttons(markup: Option<&tl::enums::ReplyMarkup>) -> Vec<Vec<Button>> {
    let Some(tl::enums::ReplyMarkup::ReplyInlineMarkup(markup)) = markup else {
        return Vec::new();
    };
    let row = |row: &tl::enums::KeyboardInlineButtonRow| {
        let tl::enums::KeyboardInlineButtonRow::Row(row) = row;
        row.buttons.iter().map(button).collect()
    };
    markup.rows.iter().map(row).collect()
}

fn button(button: &tl::enums::KeyboardInlineButton) -> Button {
    use tl::enums::InlineButtonType as T;
    let tl::enums::KeyboardInlineButton::Button(button) = button;
    let (kind, data) = match &button.r#type {
        T::Url(it) => ("url", Some(it.url.clone())),
        T::UrlAuth(it) => ("auth", Some(it.url.clone())),
        T::InputInlineButtonTypeUrlAuth(it) => ("auth", Some(it.url.clone())),
        T::WebView(it) => ("web_view", Some(it.url.clone())),
        T::Callback(it) => {
            let kind = match it.requires_password {
                true => "callback_with_password",
                false => "callback",
            };
            // Data that is no text cannot be told as text; the raw bytes have it.
            (kind, String::from_utf8(it.data.clone()).ok())
        }
        T::Game => ("game", None),
        T::Buy => ("buy", None),
        T::SwitchInline(it) if it.same_peer => ("switch_inline_same", Some(it.query.clone())),
        T::SwitchInline(it) => ("switch_inline", Some(it.query.clone())),
        T::UserProfile(_) | T::InputInlineButtonTypeUserProfile(_) => ("user_profile", None),
        T::Copy(it) => ("copy_text", Some(it.copy_text.clone())),
        T::Disabled => ("disabled", None),
    };
    Button {
        kind: kind.to_owned(),
        text: Some(button.text.clone()),
        data,
    }
}

/// A poll and how it stands. A result names its answer by the answer's option bytes.
pub(super) fn poll(poll: &tl::enums::Poll, results: &tl::enums::PollResults) -> Poll {
    let (tl::enums::Poll::Poll(poll), tl::enums::PollResults::Results(results)) = (poll, results);
    let counted = results.results.as_deref().unwrap_or_default().iter();
    // Looked up, not looked through: a server may send any number of both. Of two for one answer the first counts.
    let counted: BTreeMap<&[u8], &tl::types::PollAnswerVoters> = counted
        .rev()
        .map(|tl::enums::PollAnswerVoters::Voters(it)| (&*it.option, it))
        .collect();
    let answer = |answer: &tl::enums::PollAnswer| {
        let (text, option) = match answer {
            tl::enums::PollAnswer::Answer(it) => (&it.text, Some(&it.option)),
            tl::enums::PollAnswer::InputPollAnswer(it) => (&it.text, None),
        };
        let result = option.and_then(|option| counted.get(&**option));
        PollAnswer {
            text: plain(text),
            voters: result.and_then(|result| result.voters).map(i64::from),
            // A result without the own vote does not tell which answer is right.
            correct: result
                .filter(|_| poll.quiz && !results.min)
                .map(|result| result.correct),
        }
    };
    Poll {
        id: Some(poll.id),
        question: plain(&poll.question),
        closed: poll.closed,
        quiz: poll.quiz,
        multiple_choice: poll.multiple_choice,
        total_voters: results.total_voters.map(i64::from),
        answers: poll.answers.iter().map(answer).collect(),
    }
}

/// A text without its formatting.
pub(super) fn plain(text: &tl::enums::TextWithEntities) -> String {
    let tl::enums::TextWithEntities::Entities(text) = text;
    text.text.clone()
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
