//! What a message carries besides text. Paths and placeholders in the file are never followed, nor kept: they belong
//! to the export, not to the message, and would make the same message look different in the next export.

use serde_json::{Map, Value};

use super::text::plain;
use crate::event::{JsonText, Media, MediaKind, Poll, PollAnswer};
use crate::source::import::report::Notes;
use crate::source::import::value::{flag, get, int, list, rounded, str_at, text};

/// Media and poll of a message.
pub(super) fn read(value: &Value, notes: &mut Notes) -> (Option<Media>, Option<Poll>) {
    if let Some(poll) = get(value, "poll") {
        return (Some(Media::of(MediaKind::Poll)), Some(read_poll(poll)));
    }
    let media = file(value, notes).or_else(|| other(value));
    (media, None)
}

fn file(value: &Value, notes: &mut Notes) -> Option<Media> {
    let kind = if get(value, "photo").is_some() {
        MediaKind::Photo
    } else {
        match str_at(value, "media_type") {
            Some("sticker") => MediaKind::Sticker,
            Some("video_message") => MediaKind::VideoMessage,
            Some("voice_message") => MediaKind::VoiceMessage,
            Some("animation") => MediaKind::Animation,
            Some("video_file") => MediaKind::Video,
            Some("audio_file") => MediaKind::Audio,
            Some(other) => {
                notes.unknown("media type", other);
                MediaKind::Other
            }
            None if get(value, "file").is_some() => MediaKind::Document,
            None => return None,
        }
    };
    Some(Media {
        file_name: text(value, "file_name"),
        mime_type: text(value, "mime_type"),
        size: int(value, "file_size").or_else(|| int(value, "photo_file_size")),
        width: int(value, "width"),
        height: int(value, "height"),
        duration: rounded(value, "duration_seconds"),
        // Service messages use `title` for their own ends.
        title: text(value, "title").filter(|_| kind == MediaKind::Audio),
        performer: text(value, "performer"),
        emoji: text(value, "sticker_emoji"),
        spoiler: flag(value, "media_spoiler"),
        details: details(value, &["self_destruct_period_seconds"]),
        ..Media::of(kind)
    })
}

fn other(value: &Value) -> Option<Media> {
    let has = |key| get(value, key).is_some();
    if has("contact_information") {
        // Whose contact it is stays out: personal data of someone who did not post here.
        return Some(Media::of(MediaKind::Contact));
    }
    if has("place_name") {
        return Some(Media {
            title: text(value, "place_name"),
            details: details(value, &["location_information", "address"]),
            ..Media::of(MediaKind::Venue)
        });
    }
    if has("location_information") {
        let keys = ["location_information", "live_location_period_seconds"];
        return Some(Media {
            details: details(value, &keys),
            ..Media::of(MediaKind::Location)
        });
    }
    if has("game_title") {
        return Some(Media {
            title: text(value, "game_title"),
            url: text(value, "game_link"),
            details: details(value, &["game_description"]),
            ..Media::of(MediaKind::Game)
        });
    }
    if let Some(invoice) = get(value, "invoice_information") {
        // The exporter writes this object inside of a string.
        let parsed = invoice
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        let invoice = parsed.unwrap_or_else(|| invoice.clone());
        return Some(Media {
            title: text(&invoice, "title"),
            details: Some(JsonText::of(&invoice)),
            ..Media::of(MediaKind::Invoice)
        });
    }
    if has("todo_list") {
        return Some(Media {
            title: get(value, "todo_list").map(|todo| plain(todo.get("title"))),
            details: details(value, &["todo_list"]),
            ..Media::of(MediaKind::TodoList)
        });
    }
    if has("giveaway_information") || has("giveaway_results") {
        return Some(Media {
            details: details(value, &["giveaway_information", "giveaway_results"]),
            ..Media::of(MediaKind::Giveaway)
        });
    }
    has("paid_stars_amount").then(|| Media {
        details: details(value, &["paid_stars_amount"]),
        ..Media::of(MediaKind::Other)
    })
}

fn details(value: &Value, keys: &[&str]) -> Option<JsonText> {
    let found = keys
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), get(value, key)?.clone())))
        .collect::<Map<_, _>>();
    (!found.is_empty()).then(|| JsonText::of(&Value::Object(found)))
}

fn read_poll(poll: &Value) -> Poll {
    Poll {
        question: plain(poll.get("question")),
        closed: flag(poll, "closed"),
        total_voters: int(poll, "total_voters"),
        answers: list(poll, "answers")
            .iter()
            .map(|answer| PollAnswer {
                text: plain(answer.get("text")),
                voters: int(answer, "voters"),
                correct: None,
            })
            .collect(),
        ..Poll::default()
    }
}
