//! Rows that a store keeps from a life of the log that is over. Pure.
//!
//! After a fence the store has rows of numbers that the log has skipped. They may be the only copy of what they tell,
//! so they stay; and what the sources sent again lies on top of them. Such a row is no difference but counted as kept,
//! as far as it can be told by its numbers: everything else of it has to be what the log says.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::journal::Holes;
use crate::store::contract::{self, Table};
use crate::store::public::PublicRow;

/// What of the store's rows is older than the fence.
#[derive(Debug, Default)]
pub(super) struct Lost {
    holes: Holes,
    /// Messages with versions, and peers with names, of skipped numbers.
    messages: BTreeSet<(i64, i64)>,
    peers: BTreeSet<i64>,
}

impl Lost {
    /// Of a log with these holes; none where nothing was ever fenced.
    pub(super) fn new(holes: &Holes) -> Option<Lost> {
        let any = holes.iter().any(|hole| hole.cause == wal::HoleCause::Fence);
        any.then(|| Lost {
            holes: holes.clone(),
            ..Lost::default()
        })
    }

    /// The tables whose rows have to be noted first.
    pub(super) const NOTED: [Table; 3] = [
        contract::MESSAGES,
        contract::MESSAGE_VERSIONS,
        contract::CHANNEL_NAMES,
    ];

    /// Whether the rows of a table have to be noted.
    pub(super) fn is_noted(table: &Table) -> bool {
        Lost::NOTED.iter().any(|noted| noted.name == table.name)
    }

    /// Notes what a row of the store says about others.
    pub(super) fn note(&mut self, table: &Table, row: &PublicRow) {
        if !self.is_lost(table, row) {
            return;
        }
        let number = |at: usize| row.get(at).and_then(Value::as_i64).unwrap_or(0);
        if table.name == contract::CHANNEL_NAMES.name {
            self.peers.insert(number(0));
        } else {
            self.messages.insert((number(0), number(1)));
        }
    }

    /// Whether one of the row's own numbers was skipped.
    fn is_lost(&self, table: &Table, row: &PublicRow) -> bool {
        let columns = table.columns.iter().zip(row);
        columns
            .filter(|((name, _), _)| matches!(*name, "seq" | "first_seq"))
            .any(|(_, value)| value.as_u64().is_some_and(|seq| self.holes.is_fenced(seq)))
    }

    fn is_touched(&self, table: &Table, row: &PublicRow) -> bool {
        let number = |at: usize| row.get(at).and_then(Value::as_i64).unwrap_or(0);
        match table.name {
            name if name == contract::CHANNELS.name => self.peers.contains(&number(0)),
            name if name == contract::MESSAGES.name => {
                self.messages.contains(&(number(0), number(1)))
            }
            name if name == contract::MESSAGE_VERSIONS.name => {
                self.messages.contains(&(number(0), number(1)))
            }
            _ => false,
        }
    }

    /// Takes out of both sides what the fence explains; returns how many rows of the store that were.
    pub(super) fn even_out(
        &self,
        table: &Table,
        expected: &mut [PublicRow],
        found: &mut Vec<PublicRow>,
    ) -> u64 {
        let before = found.len();
        let one_a_thing = [contract::MESSAGES.name, contract::CHANNELS.name].contains(&table.name);
        if one_a_thing {
            let known: BTreeSet<String> = expected.iter().map(|row| key(table, row)).collect();
            let alone =
                |row: &PublicRow| self.is_touched(table, row) && !known.contains(&key(table, row));
            found.retain(|row| !alone(row));
        } else {
            found.retain(|row| !self.is_lost(table, row));
        }
        let gone = (before - found.len()) as u64;
        let mut kept = 0;
        for row in found.iter_mut() {
            kept += u64::from(self.blank(table, row) && one_a_thing);
        }
        for row in expected.iter_mut() {
            self.blank(table, row);
        }
        gone + kept
    }

    /// Blanks what the first events of a thing decide, where those are of skipped numbers.
    fn blank(&self, table: &Table, row: &mut PublicRow) -> bool {
        if !self.is_touched(table, row) {
            return false;
        }
        let seq = table.columns.iter().position(|(name, _)| *name == "seq");
        let seq = seq.and_then(|at| row.get(at)).cloned();
        for ((name, _), value) in table.columns.iter().zip(row.iter_mut()) {
            match *name {
                "first_seq" | "received_at" | "first_seen_at" => *value = Value::Null,
                // Counted from the first, so told apart by their numbers instead.
                "version" if table.name == contract::MESSAGE_VERSIONS.name => {
                    *value = seq.clone().unwrap_or_default();
                }
                "version" => *value = Value::Null,
                _ => {}
            }
        }
        true
    }
}

fn key(table: &Table, row: &PublicRow) -> String {
    serde_json::to_string(&row[..table.key]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wal::{Hole, HoleCause, Seq};

    /// A row of a table with these columns set and the others null.
    fn row(table: &Table, set: &[(&str, Value)]) -> PublicRow {
        let value = |name: &str| set.iter().find(|(column, _)| *column == name);
        let columns = table.columns.iter();
        columns
            .map(|(name, _)| value(name).map_or(Value::Null, |(_, value)| value.clone()))
            .collect()
    }

    fn message(id: i64, text: &str, first_seq: u64, seq: u64, version: i64) -> PublicRow {
        row(
            &contract::MESSAGES,
            &[
                ("peer_id", json!(1)),
                ("message_id", json!(id)),
                ("text", json!(text)),
                ("first_seq", json!(first_seq)),
                ("seq", json!(seq)),
                ("version", json!(version)),
                ("received_at", json!(first_seq)),
            ],
        )
    }

    fn version(id: i64, number: i64, seq: u64) -> PublicRow {
        row(
            &contract::MESSAGE_VERSIONS,
            &[
                ("peer_id", json!(1)),
                ("message_id", json!(id)),
                ("version", json!(number)),
                ("seq", json!(seq)),
            ],
        )
    }

    #[test]
    fn what_a_fence_explains_is_kept_and_nothing_else() {
        let seq = |n| Seq::new(n).expect("from 1");
        let holes = Holes::new(vec![Hole {
            first: seq(10),
            last: seq(99),
            cause: HoleCause::Fence,
            noted_at: 0,
        }]);
        let mut lost = Lost::new(&holes).expect("a fence");
        let (messages, versions) = (&contract::MESSAGES, &contract::MESSAGE_VERSIONS);
        // 1 came again, 2 did not, 3 was there before, 4 came again and was changed by hand; 5 is surplus.
        let mut found = vec![
            message(1, "a", 12, 101, 2),
            message(2, "b", 13, 13, 1),
            message(3, "c", 3, 3, 1),
            message(4, "changed", 14, 102, 2),
            message(5, "surplus", 5, 5, 1),
        ];
        let mut expected = vec![
            message(1, "a", 101, 101, 1),
            message(3, "c", 3, 3, 1),
            message(4, "d", 102, 102, 1),
        ];
        let mut found_versions = vec![version(1, 1, 12), version(1, 2, 101), version(3, 1, 3)];
        let mut expected_versions = vec![version(1, 1, 101), version(3, 1, 3)];
        found.iter().for_each(|row| lost.note(messages, row));
        found_versions
            .iter()
            .for_each(|row| lost.note(versions, row));
        assert_eq!(lost.even_out(messages, &mut expected, &mut found), 3);
        assert_eq!(found[..2], expected[..2]);
        assert_ne!(found[2], expected[2], "a change by hand shows");
        assert_eq!(found[3], message(5, "surplus", 5, 5, 1));
        let kept = lost.even_out(versions, &mut expected_versions, &mut found_versions);
        assert_eq!((kept, found_versions), (1, expected_versions));
        assert!(Lost::new(&Holes::default()).is_none());
    }
}
