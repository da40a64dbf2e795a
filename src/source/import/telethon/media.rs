//! What a message carries besides text: metadata only.

use serde_json::{Value, json};

use super::plain;
use crate::event::{JsonText, Media, MediaKind, Poll, PollAnswer};
use crate::source::import::report::Notes;
use crate::source::import::value::{constructor, flag, get, int, list, rounded, text};

/// Media and poll of a message.
pub(super) fn read(media: Option<&Value>, notes: &mut Notes) -> (Option<Media>, Option<Poll>) {
    let Some(media) = media.filter(|media| !media.is_null()) else {
        return (None, None);
    };
    let name = constructor(media);
    let found = match name.strip_prefix("MessageMedia").unwrap_or(name) {
        "Empty" => return (None, None),
        "Photo" => {
            let mut found = media
                .get("photo")
                .map_or(Media::of(MediaKind::Photo), photo);
            found.spoiler = flag(media, "spoiler");
            found
        }
        "Document" => document(media),
        "WebPage" => web_page(media),
        "Poll" => return (Some(Media::of(MediaKind::Poll)), Some(poll(media))),
        // Whose contact it is stays out: personal data of someone who did not post here.
        "Contact" => Media::of(MediaKind::Contact),
        "Geo" | "GeoLive" => Media {
            details: location(media),
            ..Media::of(MediaKind::Location)
        },
        "Venue" => Media {
            title: text(media, "title"),
            details: location(media),
            ..Media::of(MediaKind::Venue)
        },
        "Game" => Media {
            id: media.get("game").and_then(|game| int(game, "id")),
            title: media.get("game").and_then(|game| text(game, "title")),
            ..Media::of(MediaKind::Game)
        },
        "Invoice" => Media {
            title: text(media, "title"),
            details: keep(media, &["total_amount", "currency", "description"]),
            ..Media::of(MediaKind::Invoice)
        },
        "Giveaway" | "GiveawayResults" => Media {
            details: keep(
                media,
                &["quantity", "months", "stars", "until_date", "winners_count"],
            ),
            ..Media::of(MediaKind::Giveaway)
        },
        "ToDo" => Media {
            title: media.get("todo").map(|todo| plain(todo, "title")),
            details: keep(media, &["todo"]),
            ..Media::of(MediaKind::TodoList)
        },
        "Story" => Media {
            id: int(media, "id"),
            ..Media::of(MediaKind::Story)
        },
        "Dice" => Media {
            emoji: text(media, "emoticon"),
            details: keep(media, &["value"]),
            ..Media::of(MediaKind::Dice)
        },
        other => {
            notes.unknown("media", name);
            Media {
                title: Some(other.to_owned()),
                ..Media::of(MediaKind::Other)
            }
        }
    };
    (Some(found), None)
}

/// A photo, with the measures of its largest size.
pub(super) fn photo(photo: &Value) -> Media {
    let area = |size: &&Value| {
        int(size, "w")
            .unwrap_or(0)
            .saturating_mul(int(size, "h").unwrap_or(0))
    };
    let largest = list(photo, "sizes").iter().max_by_key(area);
    let bytes = largest.and_then(|size| {
        // Progressive sizes list the length of each of their steps; the last is the whole.
        int(size, "size").or_else(|| list(size, "sizes").last()?.as_i64())
    });
    Media {
        id: int(photo, "id"),
        size: bytes,
        width: largest.and_then(|size| int(size, "w")),
        height: largest.and_then(|size| int(size, "h")),
        ..Media::of(MediaKind::Photo)
    }
}

fn document(media: &Value) -> Media {
    let mut found = Media::of(MediaKind::Document);
    found.spoiler = flag(media, "spoiler");
    let Some(document) = get(media, "document") else {
        return found;
    };
    found.id = int(document, "id");
    found.mime_type = text(document, "mime_type");
    found.size = int(document, "size");
    for attribute in list(document, "attributes") {
        let kind = match constructor(attribute) {
            "DocumentAttributeVideo" if flag(attribute, "round_message") => MediaKind::VideoMessage,
            "DocumentAttributeVideo" => MediaKind::Video,
            "DocumentAttributeAudio" if flag(attribute, "voice") => MediaKind::VoiceMessage,
            "DocumentAttributeAudio" => MediaKind::Audio,
            "DocumentAttributeAnimated" => MediaKind::Animation,
            "DocumentAttributeSticker" | "DocumentAttributeCustomEmoji" => MediaKind::Sticker,
            _ => MediaKind::Document,
        };
        // A sticker may be a video and an animation is one: what says more wins.
        if weight(kind) > weight(found.kind) {
            found.kind = kind;
        }
        found.file_name = found.file_name.or_else(|| text(attribute, "file_name"));
        found.width = found.width.or_else(|| int(attribute, "w"));
        found.height = found.height.or_else(|| int(attribute, "h"));
        found.duration = found.duration.or_else(|| rounded(attribute, "duration"));
        found.title = found.title.or_else(|| text(attribute, "title"));
        found.performer = found.performer.or_else(|| text(attribute, "performer"));
        found.emoji = found.emoji.or_else(|| text(attribute, "alt"));
    }
    found
}

fn weight(kind: MediaKind) -> u8 {
    match kind {
        MediaKind::Sticker => 3,
        MediaKind::Animation => 2,
        MediaKind::Document => 0,
        _ => 1,
    }
}

fn web_page(media: &Value) -> Media {
    let page = get(media, "webpage").unwrap_or(media);
    Media {
        id: int(page, "id"),
        title: text(page, "title"),
        performer: text(page, "site_name"),
        url: text(page, "url"),
        details: keep(page, &["description", "type"]),
        ..Media::of(MediaKind::WebPage)
    }
}

fn location(media: &Value) -> Option<JsonText> {
    let place = get(media, "geo")?;
    // The words of Desktop exports.
    let mut details = json!({"location_information": {
        "latitude": place.get("lat")?, "longitude": place.get("long")?,
    }});
    if let Some(address) = text(media, "address") {
        details["address"] = address.into();
    }
    if let Some(period) = int(media, "period") {
        details["live_location_period_seconds"] = period.into();
    }
    Some(JsonText::of(&details))
}

fn keep(value: &Value, keys: &[&str]) -> Option<JsonText> {
    let found = keys
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), get(value, key)?.clone())))
        .collect::<serde_json::Map<_, _>>();
    (!found.is_empty()).then(|| JsonText::of(&Value::Object(found)))
}

fn poll(media: &Value) -> Poll {
    let null = Value::Null;
    let poll = media.get("poll").unwrap_or(&null);
    let results = media.get("results").unwrap_or(&null);
    // Results name their answer by its `option` bytes, in whatever way the dump writes bytes.
    let result_of = |answer: &Value| {
        let option = answer.get("option")?;
        let results = list(results, "results").iter();
        results
            .into_iter()
            .find(|r| r.get("option") == Some(option))
    };
    let is_quiz = flag(poll, "quiz");
    let answers = list(poll, "answers").iter().map(|answer| {
        let result = result_of(answer);
        PollAnswer {
            text: plain(answer, "text"),
            voters: result.and_then(|result| int(result, "voters")),
            correct: result
                .filter(|_| is_quiz)
                .and_then(|result| result.get("correct")?.as_bool()),
        }
    });
    Poll {
        id: int(poll, "id"),
        question: plain(poll, "question"),
        closed: flag(poll, "closed"),
        quiz: is_quiz,
        multiple_choice: flag(poll, "multiple_choice"),
        total_voters: int(results, "total_voters"),
        answers: answers.collect(),
    }
}
