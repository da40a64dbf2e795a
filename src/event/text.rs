//! A value as JSON text, written in one go: what `tidy` does to a tree of values, without the tree. Each event has
//! several such values and each store writes them, so this is one of the busiest places of the house.

use std::fmt::Display;
use std::io::Write as _;

use serde::ser::{self, Serialize};
use serde_json::{Number, Value};

use super::json::{clean, whole};

/// JSON as text. Members that are null or false are absent, and there is nothing in it that some store could not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Of any value that is a struct, a list, or a plain value.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Json {
        let mut writer = Writer {
            text: Vec::with_capacity(128),
        };
        // Nothing of ours has a form that the writer does not know.
        let written = value.serialize(&mut writer);
        let text = written
            .ok()
            .and_then(|()| String::from_utf8(writer.text).ok());
        Json(text.unwrap_or_else(|| "null".to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::Null)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unwritten(String);

impl ser::Error for Unwritten {
    fn custom<T: Display>(message: T) -> Unwritten {
        Unwritten(message.to_string())
    }
}

struct Writer {
    text: Vec<u8>,
}

impl Writer {
    fn put(&mut self, text: &[u8]) -> Result<(), Unwritten> {
        self.text.extend_from_slice(text);
        Ok(())
    }

    fn plain(&mut self, value: impl Display) -> Result<(), Unwritten> {
        write!(self.text, "{value}").map_err(ser::Error::custom)
    }

    fn string(&mut self, text: &str) -> Result<(), Unwritten> {
        if text.contains('\0') {
            serde_json::to_writer(&mut self.text, &clean(text)).map_err(ser::Error::custom)
        } else {
            serde_json::to_writer(&mut self.text, text).map_err(ser::Error::custom)
        }
    }

    fn variant<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Unwritten> {
        self.put(b"{")?;
        self.string(name)?;
        self.put(b":")?;
        value.serialize(&mut *self)?;
        self.put(b"}")
    }
}

/// A list or an object that is being written.
struct Open<'w> {
    writer: &'w mut Writer,
    empty: bool,
    /// Where the member begins whose value comes next.
    member: usize,
    close: &'static [u8],
}

impl<'w> Open<'w> {
    fn begin(writer: &'w mut Writer, open: &[u8], close: &'static [u8]) -> Open<'w> {
        writer.text.extend_from_slice(open);
        Open {
            writer,
            empty: true,
            member: 0,
            close,
        }
    }

    fn comma(&mut self) {
        self.member = self.writer.text.len();
        if !self.empty {
            self.writer.text.push(b',');
        }
    }

    fn key(&mut self, key: &str) -> Result<(), Unwritten> {
        self.comma();
        self.writer.string(key)?;
        self.writer.put(b":")
    }

    /// The value of the member that was begun; takes the member back if it is null or false.
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritten> {
        let from = self.writer.text.len();
        value.serialize(&mut *self.writer)?;
        if matches!(&self.writer.text[from..], b"null" | b"false") {
            self.writer.text.truncate(self.member);
        } else {
            self.empty = false;
        }
        Ok(())
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritten> {
        self.comma();
        self.empty = false;
        value.serialize(&mut *self.writer)
    }

    fn close(self) -> Result<(), Unwritten> {
        self.writer.put(self.close)
    }
}

macro_rules! plain {
    ($($name:ident: $type:ty),*) => { $(
        fn $name(self, value: $type) -> Result<(), Unwritten> {
            self.plain(value)
        }
    )* };
}

impl<'w> ser::Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Unwritten;
    type SerializeSeq = Open<'w>;
    type SerializeTuple = Open<'w>;
    type SerializeTupleStruct = Open<'w>;
    type SerializeTupleVariant = ser::Impossible<(), Unwritten>;
    type SerializeMap = Open<'w>;
    type SerializeStruct = Open<'w>;
    type SerializeStructVariant = ser::Impossible<(), Unwritten>;

    plain!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    );

    fn serialize_f32(self, value: f32) -> Result<(), Unwritten> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), Unwritten> {
        match whole(value).or_else(|| Number::from_f64(value)) {
            Some(number) => self.plain(number),
            None => self.serialize_unit(),
        }
    }

    fn serialize_char(self, value: char) -> Result<(), Unwritten> {
        self.string(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Unwritten> {
        self.string(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Unwritten> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<(), Unwritten> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unwritten> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unwritten> {
        self.put(b"null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritten> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<(), Unwritten> {
        self.string(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unwritten> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unwritten> {
        self.variant(name, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'w>, Unwritten> {
        Ok(Open::begin(self, b"[", b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'w>, Unwritten> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'w>, Unwritten> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unwritten> {
        Err(ser::Error::custom(name))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'w>, Unwritten> {
        Ok(Open::begin(self, b"{", b"}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'w>, Unwritten> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unwritten> {
        Err(ser::Error::custom(name))
    }
}

macro_rules! list {
    ($($name:ident: $method:ident),*) => { $(
        impl ser::$name for Open<'_> {
            type Ok = ();
            type Error = Unwritten;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritten> {
                self.item(value)
            }

            fn end(self) -> Result<(), Unwritten> {
                self.close()
            }
        }
    )* };
}

list!(SerializeSeq: serialize_element, SerializeTuple: serialize_element, SerializeTupleStruct: serialize_field);

impl ser::SerializeMap for Open<'_> {
    type Ok = ();
    type Error = Unwritten;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unwritten> {
        // Keys of ours are strings.
        self.comma();
        key.serialize(&mut *self.writer)?;
        self.writer.put(b":")
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritten> {
        self.value(value)
    }

    fn end(self) -> Result<(), Unwritten> {
        self.close()
    }
}

impl ser::SerializeStruct for Open<'_> {
    type Ok = ();
    type Error = Unwritten;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Unwritten> {
        self.key(key)?;
        self.value(value)
    }

    fn end(self) -> Result<(), Unwritten> {
        self.close()
    }
}

#[cfg(test)]
mod tests;
