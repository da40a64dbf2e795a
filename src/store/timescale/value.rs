//! Values between Rust and the wire.

use serde_json::Value;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgHasArrayType, PgRow, PgTypeInfo, PgValueFormat, PgValueRef, Postgres,
};
use sqlx::{Decode, Encode, Row as _, Type};

use crate::event::{Json, Timestamp};
use crate::store::contract;

/// Oids of the types and of their arrays; fixed in PostgreSQL's catalogue, so no lookup is needed.
const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);
const JSONB: Oid = Oid(3802);
const JSONB_ARRAY: Oid = Oid(3807);
/// 2000-01-01, from where PostgreSQL counts its microseconds.
pub(super) const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// An instant as `timestamptz`: whole microseconds on both sides, never a float.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(Timestamp);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Time {
        Time(at)
    }
}

impl From<Time> for Timestamp {
    fn from(time: Time) -> Timestamp {
        time.0
    }
}

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Time {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // Timestamps stay within the years 1 to 9999, so this cannot overflow.
        buffer.extend_from_slice(&(self.0.micros() - EPOCH_MICROS).to_be_bytes());
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for Time {
    fn decode(value: PgValueRef<'_>) -> Result<Time, BoxDynError> {
        if value.format() != PgValueFormat::Binary {
            return Err("an instant came as text".into());
        }
        let bytes: [u8; 8] = value.as_bytes()?.try_into()?;
        let micros = i64::from_be_bytes(bytes).saturating_add(EPOCH_MICROS);
        Ok(Time(Timestamp::from_micros(micros)))
    }
}

/// JSON text as `jsonb`, without reading it again on this side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jsonb<'a>(pub(super) &'a Json);

impl Type<Postgres> for Jsonb<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSONB)
    }
}

impl PgHasArrayType for Jsonb<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(JSONB_ARRAY)
    }
}

impl Encode<'_, Postgres> for Jsonb<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // The version of jsonb's binary form, and then it is text.
        buffer.extend_from_slice(&[1]);
        buffer.extend_from_slice(self.0.as_str().as_bytes());
        Ok(IsNull::No)
    }
}

/// The public row of a row that has the contract's columns.
pub(super) fn public(row: &PgRow, columns: &[contract::Column]) -> Result<Vec<Value>, sqlx::Error> {
    columns
        .iter()
        .enumerate()
        .map(|(at, (_, kind))| {
            Ok(match kind {
                contract::Type::Int => row.try_get::<Option<i64>, _>(at)?.into(),
                contract::Type::Text => row.try_get::<Option<String>, _>(at)?.into(),
                contract::Type::Bool => row.try_get::<Option<bool>, _>(at)?.into(),
                contract::Type::Json => row.try_get::<Option<Value>, _>(at)?.into(),
                contract::Type::Time => row
                    .try_get::<Option<Time>, _>(at)?
                    .map(|time| time.0.to_string())
                    .into(),
            })
        })
        .collect()
}
