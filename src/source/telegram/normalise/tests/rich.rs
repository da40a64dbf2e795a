//! Rich messages as text.

use grammers_tl_types as tl;
use tl::Deserializable;
use tl::types as t;

use super::support::{Bench, text};
use crate::event::{Body, Changed, EntityKind, Message};

fn plain(text: &str) -> tl::enums::RichText {
    let text = text.to_owned();
    t::TextPlain { text }.into()
}

fn bold(text: &str) -> tl::enums::RichText {
    t::TextBold { text: plain(text) }.into()
}

fn paragraph(texts: Vec<tl::enums::RichText>) -> tl::enums::PageBlock {
    let text = t::TextConcat { texts }.into();
    t::PageBlockParagraph { text }.into()
}

fn no_caption() -> tl::enums::PageCaption {
    t::PageCaption {
        text: tl::enums::RichText::TextEmpty,
        credit: tl::enums::RichText::TextEmpty,
    }
    .into()
}

fn rich(id: i32, beside: &str, blocks: Vec<tl::enums::PageBlock>) -> t::Message {
    let mut message = text(id, beside);
    let rich = t::RichMessage {
        rtl: false,
        part: false,
        blocks,
        photos: Vec::new(),
        documents: Vec::new(),
    };
    message.rich_message = Some(rich.into());
    message
}

fn read(blocks: Vec<tl::enums::PageBlock>) -> Message {
    Bench::everything().message(rich(7, "", blocks))
}

#[test]
fn blocks_are_lines_and_formatting_has_its_place_in_utf_16() {
    let link = t::TextUrl {
        text: plain("here"),
        url: "https://a.example".to_owned(),
        webpage_id: 0,
    };
    let message = read(vec![
        t::PageBlockHeading1 {
            text: plain("\u{1f600} News"),
        }
        .into(),
        paragraph(vec![plain("Read "), link.into(), plain(" "), bold("now")]),
        tl::enums::PageBlock::Divider,
        t::PageBlockPreformatted {
            text: plain("x = 1"),
            language: "python".to_owned(),
        }
        .into(),
    ]);
    assert_eq!(message.text, "\u{1f600} News\nRead here now\nx = 1");
    let told: Vec<_> = message
        .entities
        .iter()
        .map(|it| (it.kind, it.offset, it.length))
        .collect();
    assert_eq!(
        told,
        [
            (EntityKind::Bold, 0, 7),
            (EntityKind::TextLink, 13, 4),
            (EntityKind::Bold, 18, 3),
            (EntityKind::Pre, 22, 5),
        ]
    );
    assert_eq!(
        message.entities[1].url.as_deref(),
        Some("https://a.example")
    );
    assert_eq!(message.entities[3].language.as_deref(), Some("python"));
    let media = message.media.expect("that it is rich");
    assert_eq!(media.title.as_deref(), Some("rich_message"));
}

fn ordered(text: &str, value: Option<i32>) -> tl::enums::PageListOrderedItem {
    t::PageListOrderedItemText {
        checkbox: false,
        checked: false,
        num: None,
        text: plain(text),
        value,
        r#type: None,
    }
    .into()
}

fn cell(text: &str) -> tl::enums::PageTableCell {
    let mut cell = t::PageTableCell::from_bytes(&[0; 4]).expect("flags");
    cell.text = Some(plain(text));
    cell.into()
}

#[test]
fn lists_and_tables_can_be_read() {
    let ticked = t::PageListItemText {
        checkbox: true,
        checked: true,
        text: plain("done"),
    };
    let nested = t::PageListItemBlocks {
        checkbox: false,
        checked: false,
        blocks: vec![paragraph(vec![plain("one")]), paragraph(vec![plain("two")])],
    };
    let row = |cells: [&str; 2]| {
        let cells = cells.map(cell).to_vec();
        t::PageTableRow { cells }.into()
    };
    let message = read(vec![
        t::PageBlockList {
            items: vec![ticked.into(), nested.into()],
        }
        .into(),
        t::PageBlockOrderedList {
            reversed: false,
            items: vec![
                ordered("a", None),
                ordered("b", Some(5)),
                ordered("c", None),
            ],
            start: None,
            r#type: None,
        }
        .into(),
        t::PageBlockTable {
            bordered: false,
            striped: false,
            compact: false,
            title: tl::enums::RichText::TextEmpty,
            rows: vec![row(["BUY", "1.0810"]), row(["SL", "1.0790"])],
        }
        .into(),
        t::PageBlockAudio {
            audio_id: 1,
            caption: no_caption(),
        }
        .into(),
    ]);
    assert_eq!(
        message.text,
        "[x] done\n- one\ntwo\n1. a\n5. b\n6. c\nBUY | 1.0810\nSL | 1.0790"
    );
}

#[test]
fn what_stands_beside_the_blocks_is_told_where_they_have_no_text() {
    let message =
        Bench::everything().message(rich(7, "beside", vec![tl::enums::PageBlock::Divider]));
    assert_eq!(message.text, "beside");
}

#[test]
fn a_part_says_so() {
    let mut message = rich(7, "", vec![paragraph(vec![plain("first half")])]);
    if let Some(tl::enums::RichMessage::Message(rich)) = &mut message.rich_message {
        rich.part = true;
    }
    let message = Bench::everything().message(message);
    let details = message.media.and_then(|media| media.details);
    assert_eq!(details.expect("details").value()["part"], true);
}

#[test]
fn an_edit_of_a_block_is_an_edit_of_the_text() {
    let mut bench = Bench::everything();
    bench.message(rich(7, "", vec![paragraph(vec![plain("BUY")])]));
    let mut edit = rich(7, "", vec![paragraph(vec![plain("SELL")])]);
    edit.edit_date = Some(1_700_000_100);
    let event = bench.one(super::support::edited(edit), 2);
    let Body::Edited { changed, .. } = event.body else {
        panic!("{event:?}");
    };
    let text = Changed {
        text: true,
        ..Changed::default()
    };
    assert_eq!(changed, text);
}

#[test]
fn a_text_nested_without_end_has_one() {
    let mut nested = plain("deep");
    for _ in 0..500 {
        nested = t::TextItalic { text: nested }.into();
    }
    let message = read(vec![paragraph(vec![plain("above "), nested])]);
    assert_eq!(message.text, "above ");
}
