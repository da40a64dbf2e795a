//! What rows and records are about. Pure.

use std::collections::BTreeSet;

use wal::{Header, HoleCause};

use crate::event::PeerId;
use crate::journal::Holes;
use crate::store::contract::Table;
use crate::store::mend::Subject;
use crate::store::public::PublicRow;

/// What a row is about.
pub(super) fn of_row(table: &Table, row: &PublicRow) -> Subject {
    let number = |name| {
        let at = table.columns.iter().position(|(column, _)| *column == name);
        at.and_then(|at| row.get(at)?.as_i64()).unwrap_or(0)
    };
    Subject {
        peer_id: number("peer_id"),
        message_id: number("message_id"),
    }
}

/// What a record is about.
pub(super) fn of_header(header: &Header) -> Subject {
    let peer = PeerId::from_numbers(header.peer_kind, header.peer_id);
    Subject {
        peer_id: peer.map_or(0, PeerId::marked),
        message_id: header.message_id,
    }
}

/// Whether a row comes from numbers that the log no longer has: trimmed away, or lost with a damaged segment.
pub(super) fn is_gone(table: &Table, row: &PublicRow, first: u64, holes: &Holes) -> bool {
    let is_gone = |seq: u64| {
        let hole = holes.at(seq);
        seq < first || hole.is_some_and(|hole| hole.cause == HoleCause::Damage)
    };
    let columns = table.columns.iter().zip(row);
    columns
        .filter(|((name, _), _)| matches!(*name, "seq" | "first_seq"))
        .any(|(_, value)| value.as_u64().is_some_and(is_gone))
}

/// Things of which the log no longer has everything, as the rows of a store tell: what they should be cannot be said.
#[derive(Debug)]
pub(super) struct Gone {
    first: u64,
    holes: Holes,
    subjects: BTreeSet<Subject>,
}

impl Gone {
    /// Of a log that begins at this number.
    pub(super) fn new(first: u64, holes: Holes) -> Gone {
        Gone {
            first,
            holes,
            subjects: BTreeSet::new(),
        }
    }

    /// Takes them out of both sides; returns how many rows of the store that were.
    pub(super) fn even_out(
        &mut self,
        table: &Table,
        expected: &mut Vec<PublicRow>,
        found: &mut Vec<PublicRow>,
    ) -> u64 {
        let gone = found
            .iter()
            .filter(|row| is_gone(table, row, self.first, &self.holes));
        self.subjects.extend(gone.map(|row| of_row(table, row)));
        let before = found.len();
        take(table, &self.subjects, expected, found);
        (before - found.len()) as u64
    }
}

/// Takes the rows about these subjects out of both sides; returns how many subjects that were.
pub(super) fn take(
    table: &Table,
    subjects: &BTreeSet<Subject>,
    expected: &mut Vec<PublicRow>,
    found: &mut Vec<PublicRow>,
) -> u64 {
    let mut taken = BTreeSet::new();
    for rows in [expected, found] {
        rows.retain(|row| {
            let subject = of_row(table, row);
            let take = subjects.contains(&subject);
            if take {
                taken.insert(subject);
            }
            !take
        });
    }
    taken.len() as u64
}
