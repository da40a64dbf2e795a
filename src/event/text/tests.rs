use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event::{Media, MediaKind, tidy};

#[test]
fn a_struct_loses_what_is_null_or_false() {
    let mut media = Media::of(MediaKind::Photo);
    assert_eq!(Json::of(&media).as_str(), r#"{"kind":"photo"}"#);
    media.width = Some(3);
    media.title = Some("a\0\"b".to_owned());
    assert_eq!(
        Json::of(&media).value(),
        json!({"kind": "photo", "width": 3, "title": "a\u{FFFD}\"b"})
    );
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec![
        "",
        "a",
        "\0",
        "\u{FFFD}",
        "x\0y",
        "\"\\\n",
        "\u{1F600}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1e20..1e20_f64).prop_map(|float| Value::from(float.round())),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..5).prop_map(|members| {
                Value::Object(
                    members
                        .into_iter()
                        .map(|(key, member)| (key.to_owned(), member))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn the_text_is_that_of_the_tidy_tree(value in value()) {
        let mut tree = value.clone();
        tidy(&mut tree);
        prop_assert_eq!(Json::of(&value).value(), tree);
    }
}
