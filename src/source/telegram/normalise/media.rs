//! What a message carries besides text: metadata only, no access hashes, no file references.

use grammers_tl_types as tl;
use serde_json::{Value, json};

use super::parts::plain;
use crate::event::{JsonText, Media, MediaKind};

/// The media of a message; none where there is none. The poll is read elsewhere.
pub(super) fn read(media: &tl::enums::MessageMedia) -> Option<Media> {
    use tl::enums::MessageMedia as M;
    Some(match media {
        M::Empty => return None,
        M::Photo(it) => Media {
            spoiler: it.spoiler,
            details: keep([("ttl_seconds", it.ttl_seconds.into())]),
            ..it.photo.as_ref().map_or(Media::of(MediaKind::Photo), photo)
        },
        M::Document(it) => Media {
            spoiler: it.spoiler,
            details: keep([("ttl_seconds", it.ttl_seconds.into())]),
            ..document(it)
        },
        M::WebPage(it) => web_page(&it.webpage),
        M::Poll(_) => Media::of(MediaKind::Poll),
        // Whose contact it is stays out: personal data of someone who did not post here.
        M::Contact(_) => Media::of(MediaKind::Contact),
        M::Geo(it) => location(&it.geo, MediaKind::Location, None, None),
        M::GeoLive(it) => location(&it.geo, MediaKind::Location, None, Some(it.period)),
        M::Venue(it) => Media {
            title: Some(it.title.clone()),
            ..location(&it.geo, MediaKind::Venue, Some(&it.address), None)
        },
        M::ToDo(it) => todo(it),
        M::Story(it) => Media {
            id: Some(i64::from(it.id)),
            ..Media::of(MediaKind::Story)
        },
        M::Dice(it) => Media {
            emoji: Some(it.emoticon.clone()),
            details: keep([("value", it.value.into())]),
            ..Media::of(MediaKind::Dice)
        },
        M::Game(_) | M::Invoice(_) | M::Giveaway(_) | M::GiveawayResults(_) | M::PaidMedia(_) => {
            return commerce(media);
        }
        M::VideoStream(_) => other("video_stream"),
        M::Unsupported => other("unsupported"),
    })
}

/// Games, and what has a price.
fn commerce(media: &tl::enums::MessageMedia) -> Option<Media> {
    use tl::enums::MessageMedia as M;
    Some(match media {
        M::Game(it) => {
            let tl::enums::Game::Game(game) = &it.game;
            Media {
                id: Some(game.id),
                title: Some(game.title.clone()),
                ..Media::of(MediaKind::Game)
            }
        }
        M::Invoice(it) => Media {
            title: Some(it.title.clone()),
            details: keep([
                ("total_amount", it.total_amount.into()),
                ("currency", it.currency.clone().into()),
                ("description", it.description.clone().into()),
            ]),
            ..Media::of(MediaKind::Invoice)
        },
        M::Giveaway(it) => Media {
            details: keep([
                ("quantity", it.quantity.into()),
                ("months", it.months.into()),
                ("stars", it.stars.into()),
                ("until_date", it.until_date.into()),
            ]),
            ..Media::of(MediaKind::Giveaway)
        },
        M::GiveawayResults(it) => Media {
            details: keep([
                ("winners_count", it.winners_count.into()),
                ("months", it.months.into()),
                ("stars", it.stars.into()),
                ("until_date", it.until_date.into()),
            ]),
            ..Media::of(MediaKind::Giveaway)
        },
        M::PaidMedia(it) => Media {
            details: keep([
                ("stars_amount", it.stars_amount.into()),
                ("items", it.extended_media.len().into()),
            ]),
            ..other("paid_media")
        },
        _ => return None,
    })
}

/// Media that this model has no kind for.
pub(super) fn other(title: &str) -> Media {
    Media {
        title: Some(title.to_owned()),
        ..Media::of(MediaKind::Other)
    }
}

/// A photo, with the measures of its largest size.
pub(super) fn photo(photo: &tl::enums::Photo) -> Media {
    let photo = match photo {
        tl::enums::Photo::Photo(photo) => photo,
        tl::enums::Photo::Empty(empty) => {
            return Media {
                id: Some(empty.id),
                ..Media::of(MediaKind::Photo)
            };
        }
    };
    let largest = photo
        .sizes
        .iter()
        .filter_map(measures)
        .max_by_key(|(width, height, _)| width.saturating_mul(*height));
    Media {
        id: Some(photo.id),
        size: largest.and_then(|(_, _, bytes)| bytes),
        width: largest.map(|(width, ..)| width),
        height: largest.map(|(_, height, _)| height),
        ..Media::of(MediaKind::Photo)
    }
}

/// Width, height and bytes of one size of a photo.
fn measures(size: &tl::enums::PhotoSize) -> Option<(i64, i64, Option<i64>)> {
    use tl::enums::PhotoSize as S;
    match size {
        S::Size(it) => Some((it.w.into(), it.h.into(), Some(it.size.into()))),
        S::PhotoCachedSize(it) => {
            let bytes = i64::try_from(it.bytes.len()).ok();
            Some((it.w.into(), it.h.into(), bytes))
        }
        // The length of each step; the last is the whole.
        S::Progressive(it) => {
            let bytes = it.sizes.last().copied().map(i64::from);
            Some((it.w.into(), it.h.into(), bytes))
        }
        S::Empty(_) | S::PhotoStrippedSize(_) | S::PhotoPathSize(_) => None,
    }
}

fn document(media: &tl::types::MessageMediaDocument) -> Media {
    let mut found = Media::of(MediaKind::Document);
    let document = match &media.document {
        Some(tl::enums::Document::Document(document)) => document,
        Some(tl::enums::Document::Empty(empty)) => {
            found.id = Some(empty.id);
            return found;
        }
        None => return found,
    };
    found.id = Some(document.id);
    found.mime_type = Some(document.mime_type.clone()).filter(|it| !it.is_empty());
    found.size = Some(document.size);
    for attribute in &document.attributes {
        take_attribute(&mut found, attribute);
    }
    found
}

fn take_attribute(found: &mut Media, attribute: &tl::enums::DocumentAttribute) {
    use tl::enums::DocumentAttribute as A;
    let kind = match attribute {
        A::Video(it) => {
            found.width = found.width.or(Some(it.w.into()));
            found.height = found.height.or(Some(it.h.into()));
            // Saturates; no number becomes 0.
            found.duration = found.duration.or(Some(it.duration.round() as i64));
            match it.round_message {
                true => MediaKind::VideoMessage,
                false => MediaKind::Video,
            }
        }
        A::Audio(it) => {
            found.duration = found.duration.or(Some(it.duration.into()));
            found.title = found.title.take().or_else(|| it.title.clone());
            found.performer = found.performer.take().or_else(|| it.performer.clone());
            match it.voice {
                true => MediaKind::VoiceMessage,
                false => MediaKind::Audio,
            }
        }
        A::Animated => MediaKind::Animation,
        A::Sticker(it) => {
            found.emoji = found.emoji.take().or_else(|| Some(it.alt.clone()));
            MediaKind::Sticker
        }
        A::CustomEmoji(it) => {
            found.emoji = found.emoji.take().or_else(|| Some(it.alt.clone()));
            MediaKind::Sticker
        }
        A::ImageSize(it) => {
            found.width = found.width.or(Some(it.w.into()));
            found.height = found.height.or(Some(it.h.into()));
            MediaKind::Document
        }
        A::Filename(it) => {
            found.file_name = found
                .file_name
                .take()
                .or_else(|| Some(it.file_name.clone()));
            MediaKind::Document
        }
        A::HasStickers => MediaKind::Document,
    };
    // A sticker may be a video and an animation is one: what says more wins.
    if weight(kind) > weight(found.kind) {
        found.kind = kind;
    }
}

fn weight(kind: MediaKind) -> u8 {
    match kind {
        MediaKind::Sticker => 3,
        MediaKind::Animation => 2,
        MediaKind::Document => 0,
        _ => 1,
    }
}

fn web_page(page: &tl::enums::WebPage) -> Media {
    use tl::enums::WebPage as W;
    let nothing = Media::of(MediaKind::WebPage);
    match page {
        W::Page(page) => Media {
            id: Some(page.id),
            title: page.title.clone(),
            performer: page.site_name.clone(),
            url: Some(page.url.clone()),
            details: keep([
                ("description", page.description.clone().into()),
                ("type", page.r#type.clone().into()),
            ]),
            ..nothing
        },
        W::Pending(page) => Media {
            id: Some(page.id),
            url: page.url.clone(),
            ..nothing
        },
        W::Empty(page) => Media {
            id: Some(page.id),
            url: page.url.clone(),
            ..nothing
        },
        W::NotModified(_) => nothing,
    }
}

/// A place, in the words of Desktop exports.
fn location(
    place: &tl::enums::GeoPoint,
    kind: MediaKind,
    address: Option<&str>,
    period: Option<i32>,
) -> Media {
    let point = match place {
        tl::enums::GeoPoint::Point(point) => {
            json!({"latitude": point.lat, "longitude": point.long})
        }
        tl::enums::GeoPoint::Empty => Value::Null,
    };
    Media {
        details: keep([
            ("location_information", point),
            ("address", address.into()),
            ("live_location_period_seconds", period.into()),
        ]),
        ..Media::of(kind)
    }
}

fn todo(media: &tl::types::MessageMediaToDo) -> Media {
    let tl::enums::TodoList::List(list) = &media.todo;
    let done = |id: i32| {
        let mut completions = media.completions.iter().flatten();
        completions.any(|tl::enums::TodoCompletion::Completion(it)| it.id == id)
    };
    let items: Vec<Value> = list
        .list
        .iter()
        .map(|item| todo_item(item, &done))
        .collect();
    Media {
        title: Some(plain(&list.title)),
        details: keep([("items", items.into())]),
        ..Media::of(MediaKind::TodoList)
    }
}

fn todo_item(item: &tl::enums::TodoItem, done: &dyn Fn(i32) -> bool) -> Value {
    let tl::enums::TodoItem::Item(item) = item;
    json!({"id": item.id, "title": plain(&item.title), "done": done(item.id)})
}

/// The values that say something, as JSON; none when none does.
pub(super) fn keep<const N: usize>(values: [(&str, Value); N]) -> Option<JsonText> {
    let found = values
        .into_iter()
        .filter(|(_, value)| !value.is_null() && value != &Value::Bool(false))
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<serde_json::Map<_, _>>();
    (!found.is_empty()).then(|| JsonText::of(&Value::Object(found)))
}
