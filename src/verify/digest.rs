//! Digests of rows: equal sets of rows have equal digests, whatever the order they are met in.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::store::contract::{MESSAGES, Table};

/// What is compared at once: the rows of one peer, for messages of one day (UTC) of Telegram's date.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Bucket {
    /// The table.
    pub table: &'static str,
    /// The peer, in the marked form; 0 for rows of none.
    pub peer_id: i64,
    /// The day as `2026-01-31`; empty for tables without a date.
    pub day: String,
}

impl Bucket {
    /// The bucket of a row.
    pub fn of(table: &Table, row: &[Value]) -> Bucket {
        let column = |name| table.columns.iter().position(|(column, _)| *column == name);
        let peer_id = column("peer_id")
            .and_then(|at| row.get(at))
            .and_then(Value::as_i64)
            .unwrap_or(0);
        let posted = (table.name == MESSAGES.name)
            .then(|| column("posted_at"))
            .flatten();
        let day = posted
            .and_then(|at| row.get(at))
            .and_then(Value::as_str)
            .and_then(|text| text.split('T').next())
            .unwrap_or("");
        Bucket {
            table: table.name,
            peer_id,
            day: day.to_owned(),
        }
    }
}

/// The digest of a set of rows: how many, and the sum of their hashes. A sum, not an exclusive or, so that a row that
/// is there twice does not vanish.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RowsDigest {
    /// How many rows.
    pub(super) rows: u64,
    sum: u128,
}

impl RowsDigest {
    /// Takes in a row.
    pub(super) fn add(&mut self, row: &[Value]) {
        // Members of JSON objects are sorted by the library, so equal values have equal text.
        let text = serde_json::to_vec(row).unwrap_or_default();
        let hash = Sha256::digest(&text);
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(half));
    }
}

/// Digests by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Digests(BTreeMap<Bucket, RowsDigest>);

impl Digests {
    /// Takes in a row of a table.
    pub(super) fn add(&mut self, table: &Table, row: &[Value]) {
        self.0.entry(Bucket::of(table, row)).or_default().add(row);
    }

    /// How many buckets and rows there are.
    pub(super) fn size(&self) -> (usize, u64) {
        (
            self.0.len(),
            self.0.values().map(|digest| digest.rows).sum(),
        )
    }

    /// The buckets in which the two differ.
    pub(super) fn differences(&self, other: &Digests) -> Vec<Bucket> {
        let mut buckets: Vec<Bucket> = self
            .0
            .keys()
            .chain(other.0.keys())
            .filter(|bucket| self.0.get(bucket) != other.0.get(bucket))
            .cloned()
            .collect();
        buckets.sort();
        buckets.dedup();
        buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::CHANNELS;
    use serde_json::json;

    fn row(peer: i64, title: &str) -> Vec<Value> {
        vec![
            json!(peer),
            json!("channel"),
            json!(title),
            Value::Null,
            json!("a"),
            json!("b"),
            json!(1),
        ]
    }

    #[test]
    fn order_does_not_matter_but_every_row_does() {
        let (mut a, mut b) = (Digests::default(), Digests::default());
        for peer in [1, 2, 2] {
            a.add(&CHANNELS, &row(peer, "x"));
        }
        for peer in [2, 1, 2] {
            b.add(&CHANNELS, &row(peer, "x"));
        }
        assert_eq!(a.differences(&b), []);
        b.add(&CHANNELS, &row(1, "x"));
        b.add(&CHANNELS, &row(2, "y"));
        let peers: Vec<i64> = a
            .differences(&b)
            .iter()
            .map(|bucket| bucket.peer_id)
            .collect();
        assert_eq!(peers, [1, 2]);
        assert_eq!(a.size(), (2, 3));
    }
}
