//! Parses one message and leaves out, while parsing, what must not or need not be kept.
//!
//! Personal data and credentials (access hashes, file references, phone numbers, who voted or reacted) are dropped
//! here, before any other code sees the message: nothing behind this file can store them by mistake, not even where
//! a message is kept raw. Thumbnails go with them; they are most of the size of a dump.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What is done with the value of a key.
enum Treatment {
    Keep(String),
    Drop,
    /// Keep only how many elements there are.
    Count(String),
}

fn treatment(key: &str) -> Treatment {
    match key {
        "access_hash" | "file_reference" | "secret" => Treatment::Drop,
        "bytes" | "thumbs" | "video_thumbs" | "video_sizes" | "cached_page" | "alt_documents" => {
            Treatment::Drop
        }
        "recent" | "recent_voters" | "recent_reactions" | "recent_reactors" | "recent_repliers"
        | "top_reactors" => Treatment::Drop,
        "contact_vcard"
        | "contact_vcard_file_size"
        | "vcard"
        | "phone"
        | "phone_number"
        | "first_name"
        | "last_name" => Treatment::Drop,
        "inviter" | "inviter_id" | "peers" | "values" => Treatment::Drop,
        "members" | "users" | "winners" | "contact_information" => Treatment::Count(key.to_owned()),
        _ => Treatment::Keep(key.to_owned()),
    }
}

/// The message, without what is dropped.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Lean.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

struct Lean;

impl<'de> DeserializeSeed<'de> for Lean {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Lean {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(Lean)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key_seed(Key)? {
            match key {
                Treatment::Keep(key) => {
                    let value = members.next_value_seed(Lean)?;
                    map.insert(key, value);
                }
                Treatment::Drop => {
                    members.next_value::<IgnoredAny>()?;
                }
                Treatment::Count(key) => {
                    let count = members.next_value_seed(Count)?;
                    map.insert(key, Value::Number(count.into()));
                }
            }
        }
        Ok(Value::Object(map))
    }
}

/// A key, decided upon before it is copied: most of a dump is dropped.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Treatment;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Treatment, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Treatment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Treatment, E> {
        Ok(treatment(key))
    }
}

/// How many elements a list has; 1 for anything else but null.
struct Count;

impl<'de> DeserializeSeed<'de> for Count {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        Ok(match Lean.deserialize(deserializer)? {
            Value::Array(list) => list.len() as u64,
            Value::Null => 0,
            _ => 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn personal_data_is_gone_and_lists_of_people_are_counts() {
        let input = json!({
            "id": 5_463_069_126_291_358_012_i64,
            "media": {"_": "MessageMediaContact", "phone_number": "555", "first_name": "A", "vcard": "x"},
            "photo": {"access_hash": 1, "file_reference": [1, 2], "sizes": [{"bytes": [1], "w": 3}]},
            "results": {"recent_voters": [1, 2], "total_voters": 2},
            "members": ["A", null],
            "empty": [],
        });
        assert_eq!(
            parse(input.to_string().as_bytes()).expect("valid"),
            json!({
                "id": 5_463_069_126_291_358_012_i64,
                "media": {"_": "MessageMediaContact"},
                "photo": {"sizes": [{"w": 3}]},
                "results": {"total_voters": 2},
                "members": 2,
                "empty": [],
            })
        );
        assert!(parse(b"{} x").is_err());
    }
}
