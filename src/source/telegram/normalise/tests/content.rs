//! What a message says and carries.

use grammers_tl_types as tl;
use serde_json::json;
use tl::Deserializable;

use super::support::*;
use crate::event::{EntityKind, Media, MediaKind, ReplyTo, Timestamp};

#[test]
fn text_with_its_formatting_keeps_utf_16_offsets() {
    let mut bench = Bench::everything();
    let mut message = text(1, "a\u{1f600}b");
    let bold = |offset, length| tl::types::MessageEntityBold { offset, length }.into();
    let link = tl::types::MessageEntityTextUrl {
        offset: 3,
        length: 99,
        url: "https://example.org".to_owned(),
    };
    message.entities = Some(vec![
        bold(1, 2),
        link.into(),
        bold(4, 1),
        bold(-1, 2),
        bold(0, 0),
    ]);
    let read = bench.message(message);
    assert_eq!(read.text, "a\u{1f600}b");
    let runs: Vec<_> = read
        .entities
        .iter()
        .map(|it| (it.kind, it.offset, it.length))
        .collect();
    assert_eq!(
        runs,
        [(EntityKind::Bold, 1, 2), (EntityKind::TextLink, 3, 1)]
    );
    assert_eq!(read.entities[1].url.as_deref(), Some("https://example.org"));
}

#[test]
fn everything_around_the_text_is_kept() {
    let mut bench = Bench::everything();
    let mut message = text(9, "words");
    message.views = Some(10);
    message.forwards = Some(2);
    message.grouped_id = Some(77);
    message.post_author = Some("Ann".to_owned());
    message.via_bot_id = Some(5);
    message.pinned = true;
    let mut header = tl::types::MessageReplyHeader::from_bytes(&[0; 4]).expect("no fields");
    header.forum_topic = true;
    header.reply_to_msg_id = Some(8);
    header.reply_to_top_id = Some(3);
    message.reply_to = Some(header.into());
    let mut from = tl::types::MessageFwdHeader::from_bytes(&[0; 8]).expect("no fields");
    (from.date, from.channel_post, from.from_id) = (50, Some(4), Some(in_channel()));
    message.fwd_from = Some(from.into());
    let read = bench.message(message);
    assert_eq!(
        (read.views, read.forwards, read.grouped_id),
        (Some(10), Some(2), Some(77))
    );
    assert_eq!(
        (read.post_author.as_deref(), read.via_bot.as_deref()),
        (Some("Ann"), Some("5"))
    );
    assert!(read.pinned && read.posted_at == Timestamp::from_seconds(1_700_000_000));
    assert_eq!(
        read.reply_to,
        Some(ReplyTo {
            message_id: 8,
            peer: None
        })
    );
    assert_eq!(read.topic_id, Some(3));
    let forward = read.forward.expect("forwarded");
    assert_eq!(
        (forward.from, forward.message_id),
        (Some(channel()), Some(4))
    );
}

#[test]
fn buttons_tell_their_kind_and_what_is_text_of_their_data() {
    let mut bench = Bench::everything();
    let mut message = text(9, "words");
    let button = |text: &str, r#type| {
        let text = text.to_owned();
        tl::types::KeyboardInlineButton {
            style: None,
            text,
            r#type,
        }
        .into()
    };
    let url = tl::types::InlineButtonTypeUrl {
        url: "https://example.org".to_owned(),
    };
    let data = tl::types::InlineButtonTypeCallback {
        requires_password: false,
        data: vec![255],
    };
    let buttons = vec![button("go", url.into()), button("vote", data.into())];
    let rows = vec![tl::types::KeyboardInlineButtonRow { buttons }.into()];
    message.reply_markup = Some(
        tl::types::ReplyInlineMarkup {
            force_reply: false,
            rows,
        }
        .into(),
    );
    let read = bench.message(message);
    let kinds: Vec<_> = read.buttons[0]
        .iter()
        .map(|it| (it.kind.as_str(), it.data.as_deref()))
        .collect();
    assert_eq!(
        kinds,
        [("url", Some("https://example.org")), ("callback", None)]
    );
}

/// The media of a message that carries this.
fn carried(media: impl Into<tl::enums::MessageMedia>) -> Option<Media> {
    Bench::everything().message(with_media(1, media)).media
}

fn place() -> tl::enums::GeoPoint {
    tl::types::GeoPoint {
        long: 13.5,
        lat: 52.25,
        access_hash: 1,
        accuracy_radius: None,
    }
    .into()
}

fn attributes(attributes: Vec<tl::enums::DocumentAttribute>) -> tl::enums::MessageMedia {
    let document = tl::types::Document {
        id: 4,
        access_hash: 1,
        file_reference: vec![1],
        date: 1,
        mime_type: "video/mp4".to_owned(),
        size: 1 << 40,
        thumbs: None,
        video_thumbs: None,
        dc_id: 2,
        attributes,
    };
    let mut media = tl::types::MessageMediaDocument::from_bytes(&[0; 4]).expect("no fields");
    media.spoiler = true;
    media.document = Some(document.into());
    media.into()
}

fn video(round_message: bool, duration: f64) -> tl::enums::DocumentAttribute {
    tl::types::DocumentAttributeVideo {
        round_message,
        supports_streaming: false,
        nosound: false,
        duration,
        w: 640,
        h: 480,
        preload_prefix_size: None,
        video_start_ts: None,
        video_codec: None,
    }
    .into()
}

fn audio(voice: bool) -> tl::enums::DocumentAttribute {
    tl::types::DocumentAttributeAudio {
        voice,
        duration: 9,
        title: Some("title".to_owned()),
        performer: None,
        waveform: None,
    }
    .into()
}

#[test]
fn documents_are_what_their_attributes_say() {
    let sticker: tl::enums::DocumentAttribute = tl::types::DocumentAttributeSticker {
        mask: false,
        alt: "\u{1f600}".to_owned(),
        stickerset: tl::enums::InputStickerSet::Empty,
        mask_coords: None,
    }
    .into();
    let animated = tl::enums::DocumentAttribute::Animated;
    for (kind, list) in [
        (MediaKind::Document, vec![]),
        (MediaKind::Video, vec![video(false, 1.6)]),
        (MediaKind::VideoMessage, vec![video(true, f64::NAN)]),
        (MediaKind::Audio, vec![audio(false)]),
        (MediaKind::VoiceMessage, vec![audio(true)]),
        (
            MediaKind::Animation,
            vec![animated.clone(), video(false, f64::MAX)],
        ),
        (
            MediaKind::Sticker,
            vec![sticker, video(false, 1.0), animated],
        ),
    ] {
        let media = carried(attributes(list)).expect("media");
        assert_eq!(media.kind, kind);
        assert_eq!(
            (media.id, media.size, media.spoiler),
            (Some(4), Some(1 << 40), true)
        );
    }
    let media = carried(attributes(vec![video(false, 1.6)])).expect("media");
    assert_eq!(
        (media.width, media.height, media.duration),
        (Some(640), Some(480), Some(2))
    );
}

#[test]
fn a_photo_has_the_measures_of_its_largest_size() {
    let size = |w, h, size| {
        let r#type = "x".to_owned();
        tl::types::PhotoSize { r#type, w, h, size }.into()
    };
    let photo = tl::types::Photo {
        has_stickers: false,
        id: 3,
        access_hash: 1,
        file_reference: vec![],
        date: 1,
        sizes: vec![size(90, 60, 10), size(1280, 853, 999), size(320, 200, 50)],
        video_sizes: None,
        dc_id: 1,
    };
    let mut media = tl::types::MessageMediaPhoto::from_bytes(&[0; 4]).expect("no fields");
    media.photo = Some(photo.into());
    let read = carried(media).expect("media");
    assert_eq!(
        (read.kind, read.id, read.size),
        (MediaKind::Photo, Some(3), Some(999))
    );
    assert_eq!((read.width, read.height), (Some(1280), Some(853)));
}

#[test]
fn places_and_small_kinds() {
    let details = |media: &Media| media.details.as_ref().map(|it| it.value());
    let venue = tl::types::MessageMediaVenue {
        geo: place(),
        title: "Cafe".to_owned(),
        address: "Street 1".to_owned(),
        provider: String::new(),
        venue_id: String::new(),
        venue_type: String::new(),
    };
    let venue = carried(venue).expect("media");
    assert_eq!(
        (venue.kind, venue.title.as_deref()),
        (MediaKind::Venue, Some("Cafe"))
    );
    let location = json!({"latitude": 52.25, "longitude": 13.5});
    assert_eq!(
        details(&venue),
        Some(json!({"location_information": location, "address": "Street 1"}))
    );
    let live = tl::types::MessageMediaGeoLive {
        geo: tl::enums::GeoPoint::Empty,
        heading: None,
        period: 60,
        proximity_notification_radius: None,
    };
    let live = carried(live).expect("media");
    assert_eq!(live.kind, MediaKind::Location);
    assert_eq!(
        details(&live),
        Some(json!({"live_location_period_seconds": 60}))
    );
    let contact = tl::types::MessageMediaContact {
        phone_number: "+1".to_owned(),
        first_name: "Ann".to_owned(),
        last_name: String::new(),
        vcard: String::new(),
        user_id: 5,
    };
    assert_eq!(
        carried(contact),
        Some(Media::of(MediaKind::Contact)),
        "no personal data"
    );
}

#[test]
fn dice_and_pages() {
    let dice = tl::types::MessageMediaDice {
        value: 6,
        emoticon: "\u{1f3b2}".to_owned(),
        game_outcome: None,
    };
    let dice = carried(dice).expect("media");
    assert_eq!(
        (dice.kind, dice.emoji.as_deref()),
        (MediaKind::Dice, Some("\u{1f3b2}"))
    );
    let page = tl::types::WebPagePending {
        id: 8,
        url: Some("https://example.org".to_owned()),
        date: 1,
    };
    let mut media = tl::types::MessageMediaWebPage {
        force_large_media: false,
        force_small_media: false,
        manual: false,
        safe: false,
        webpage: page.into(),
    };
    let read = carried(media.clone()).expect("media");
    assert_eq!(
        (read.kind, read.url.as_deref()),
        (MediaKind::WebPage, Some("https://example.org"))
    );
    media.webpage = tl::types::WebPageNotModified {
        cached_page_views: None,
    }
    .into();
    assert_eq!(carried(media), Some(Media::of(MediaKind::WebPage)));
}

#[test]
fn a_list_tells_what_is_done() {
    let item = |id, title: &str| {
        tl::types::TodoItem {
            id,
            title: said(title),
        }
        .into()
    };
    let list = tl::types::TodoList {
        others_can_append: false,
        others_can_complete: false,
        title: said("list"),
        list: vec![item(1, "one"), item(2, "two")],
    };
    let done = tl::types::TodoCompletion {
        id: 2,
        completed_by: with_user(5),
        date: 1,
    };
    let todo = tl::types::MessageMediaToDo {
        todo: list.into(),
        completions: Some(vec![done.into()]),
    };
    let todo = carried(todo).expect("media");
    assert_eq!(
        (todo.kind, todo.title.as_deref()),
        (MediaKind::TodoList, Some("list"))
    );
    let items = todo.details.expect("items").value();
    assert_eq!(
        items["items"][1],
        json!({"id": 2, "title": "two", "done": true})
    );
}

#[test]
fn every_other_kind_of_media_has_its_word() {
    let story = tl::types::MessageMediaStory {
        via_mention: false,
        peer: in_channel(),
        id: 3,
        story: None,
    };
    assert_eq!(
        carried(story).map(|it| (it.kind, it.id)),
        Some((MediaKind::Story, Some(3)))
    );
    let prize = tl::types::MessageMediaGiveaway {
        only_new_subscribers: false,
        winners_are_visible: false,
        channels: vec![CHANNEL],
        countries_iso2: None,
        prize_description: None,
        quantity: 3,
        months: Some(6),
        stars: None,
        until_date: 9,
    };
    let prize = carried(prize).expect("media");
    assert_eq!(prize.kind, MediaKind::Giveaway);
    let details = prize.details.expect("details").value();
    assert_eq!(
        details,
        json!({"quantity": 3, "months": 6, "until_date": 9})
    );
    let paid = tl::types::MessageMediaPaidMedia {
        stars_amount: 5,
        extended_media: vec![],
    };
    assert_eq!(
        carried(paid).and_then(|it| it.title).as_deref(),
        Some("paid_media")
    );
    let unsupported = carried(tl::enums::MessageMedia::Unsupported).expect("media");
    assert_eq!(
        (unsupported.kind, unsupported.title.as_deref()),
        (MediaKind::Other, Some("unsupported"))
    );
    assert_eq!(carried(tl::enums::MessageMedia::Empty), None);
    assert_eq!(carried(a_poll(5, [1, 2])), Some(Media::of(MediaKind::Poll)));
}

#[test]
fn service_messages_speak_desktops_words() {
    use tl::enums::MessageAction as A;
    let told = |action: A| {
        let message = Bench::everything().message(service(1, action));
        let service = message.service.expect("service");
        (service.action, service.details.map(|it| it.value()))
    };
    let title = tl::types::MessageActionChatEditTitle {
        title: "new".to_owned(),
    };
    assert_eq!(
        told(title.into()),
        ("edit_group_title".to_owned(), Some(json!({"title": "new"})))
    );
    let added = tl::types::MessageActionChatAddUser { users: vec![5, 6] };
    assert_eq!(
        told(added.into()),
        (
            "invite_members".to_owned(),
            Some(json!({"members": [5, 6]}))
        )
    );
    let topic = tl::types::MessageActionTopicEdit {
        title: None,
        icon_emoji_id: None,
        closed: Some(true),
        hidden: Some(false),
    };
    assert_eq!(
        told(topic.into()),
        ("topic_edit".to_owned(), Some(json!({"closed": true})))
    );
    assert_eq!(told(A::PinMessage), ("pin_message".to_owned(), None));
    assert_eq!(told(A::HistoryClear).0, "clear_history");
    let created = tl::types::MessageActionManagedBotCreated { bot_id: 5 };
    assert_eq!(
        told(created.into()),
        ("managed_bot_created".to_owned(), None)
    );
}
