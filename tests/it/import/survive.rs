//! Whatever a file holds: no panic, no endless loop, no formatting outside of its text.

use proptest::prelude::*;
use serde_json::Value;
use telegram_gateway::source::import::{self, Options};

use super::berlin;
use super::whole::{FIXTURES, bytes, file, json};

/// Reads whatever it is given. A file that passed the survey must not fail in the second pass.
fn survive(bytes: &[u8], options: &Options) {
    let file = file(bytes);
    let Ok(survey) = import::survey(file.path(), options, &mut |_, _| {}) else {
        return;
    };
    let expected = survey.report().read + survey.report().peers;
    let mut source = import::ImportSource::open(survey).expect("was whole");
    let mut events = 0;
    while let Some(batch) = source.next_batch().expect("was whole") {
        super::in_place(&batch.events);
        events += batch.events.len() as u64;
    }
    assert_eq!(events, expected);
}

fn loose(private: bool, truncated: bool) -> Options {
    Options {
        allow_truncated: truncated,
        include_private: private,
        ..berlin()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(
        head in proptest::sample::select(vec!["", "[", "{\"id\":1,\"messages\":[", "[{\"_\":\"Message\",", "{\"chats\":{\"list\":[{"]),
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"{}[]\",:\\_x01 ".to_vec())], 0..300),
        private: bool, truncated: bool,
    ) {
        survive(&[head.as_bytes(), &bytes].concat(), &loose(private, truncated));
    }

    #[test]
    fn mutated_exports_are_survived(
        which in 0..FIXTURES.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>(), 0..40_usize), 1..6),
        private: bool, truncated: bool,
    ) {
        let mut bytes = bytes(FIXTURES[which]);
        for (at, how, byte, n) in edits {
            let at = at.index(bytes.len());
            let end = (at + n).min(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.drain(at..end)),
                2 => { let copy = bytes[at..end].to_vec(); bytes.splice(at..at, copy); }
                _ => bytes[at] = b"{}[]\",:\\019-neulft"[usize::from(byte) % 18],
            }
            if bytes.is_empty() { break; }
        }
        survive(&bytes, &loose(private, truncated));
    }

    /// Values of the wrong type in every place, in JSON that is sound.
    #[test]
    fn wrong_types_are_survived(which in prop_oneof![Just("desktop-channel.json"), Just("telethon-array.json")], swaps in proptest::collection::vec((any::<prop::sample::Index>(), 0..7_usize), 1..8)) {
        let mut value = json(which);
        for (place, with) in swaps {
            let with = serde_json::from_str::<Value>(["null", "true", "-1", "9223372036854775808", "1e300", "\"x\"", "[{\"_\":7}]"][with]).expect("JSON");
            let mut leaves = Vec::new();
            collect(&value, &mut Vec::new(), &mut leaves);
            let pointer = &leaves[place.index(leaves.len())];
            if let Some(target) = value.pointer_mut(pointer) { *target = with; }
        }
        survive(value.to_string().as_bytes(), &loose(true, false));
    }
}

/// Pointers to everything below the messages.
fn collect(value: &Value, path: &mut Vec<String>, leaves: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(n, v)| (n.to_string(), v))
            .collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        path.push(key);
        if path.len() > 1 {
            leaves.push(format!("/{}", path.join("/")));
        }
        collect(child, path, leaves);
        path.pop();
    }
}
