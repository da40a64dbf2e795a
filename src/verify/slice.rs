//! A slice of a store against the log: what a daemon can afford now and then.
//!
//! A slice is a range of the log's numbers. What its events are about is read from the store by key, and held against
//! all that the log has about it. So a look costs the store a bounded number of rows and no long transaction, and the
//! memory of those; the log is read through, with pauses that leave the processor to others. Turn by turn all of the log
//! comes up. Rows of which the log knows nothing are not met this way: that takes a whole `verify`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Instant;

use wal::Header;

use super::subject::Gone;
use super::{NARROWED, READ_BYTES, READ_EVENTS, Report, VerifyError, compare, fold, lost, subject};
use crate::journal::JournalReader;
use crate::projector::next_seq;
use crate::store::contract::Table;
use crate::store::mend::Subject;
use crate::store::public::{Fold, PublicRow};
use crate::store::{Filter, Inspect, ProjectionError, Snapshot};

/// Numbers in a slice.
pub(super) const SLICE_EVENTS: u64 = 20_000;
/// Numbers folded between two pauses.
const STRETCH_EVENTS: u64 = 10_000;
/// How much longer a pause is than the work before it.
pub(super) const PAUSE_FACTOR: u32 = 3;
/// Numbers of messages that are read along, since one range is cheaper than two.
const RUN_SLACK: i64 = 16;

/// A slice that was compared.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Its number, from 0.
    pub number: u64,
    /// How many there are.
    pub of: u64,
    /// What was found.
    pub report: Report,
}

/// Compares the slice whose turn it is.
pub async fn slice<P: Inspect>(
    journal: &JournalReader,
    projection: &mut P,
    turn: u64,
) -> Result<Slice, VerifyError> {
    let mut report = Report::new(projection.name().as_str());
    let at = projection.checkpoint().await?;
    let (first, until) = super::range(journal, at, &mut report).await?;
    let of = (until + 1)
        .saturating_sub(first)
        .div_ceil(SLICE_EVENTS)
        .max(1);
    let number = turn % of;
    let from = first + number * SLICE_EVENTS;
    let slice = (from, until.min(from + SLICE_EVENTS - 1));
    if report.misplaced.is_none() {
        let subjects = subjects(journal, slice).await?;
        let store = Read::of(projection, &subjects).await?;
        store
            .compare(journal, first, &subjects, &mut report)
            .await?;
    }
    Ok(Slice { number, of, report })
}

/// What the events of a range are about.
async fn subjects(
    journal: &JournalReader,
    (from, until): (u64, u64),
) -> Result<BTreeSet<Subject>, VerifyError> {
    let mut subjects = BTreeSet::new();
    let mut at = from - 1;
    while at < until {
        let next = journal.range(next_seq(at), until, READ_EVENTS, READ_BYTES);
        let records = next.await?;
        let Some(last) = records.last() else { break };
        at = last.header().seq.get();
        let headers = records.iter().map(|record| record.header());
        subjects.extend(headers.map(subject::of_header));
    }
    Ok(subjects)
}

/// What a store had of some things at one moment, in the order in which tables are narrowed.
struct Read<S> {
    rows: Vec<Vec<PublicRow>>,
    snapshot: S,
}

impl<S: Snapshot> Read<S> {
    async fn of<P: Inspect<Snapshot = S>>(
        projection: &mut P,
        subjects: &BTreeSet<Subject>,
    ) -> Result<Read<S>, ProjectionError> {
        let mut snapshot = projection.snapshot().await?;
        let mut rows = Vec::new();
        for table in NARROWED {
            let mut found = Vec::new();
            for filter in filters(table, subjects) {
                let peer_id = filter.peer_id.unwrap_or(0);
                let mut keep = |row: PublicRow| {
                    let subject = subject::of_row(table, &row);
                    if subject.peer_id == peer_id && subjects.contains(&subject) {
                        found.push(row);
                    }
                    ControlFlow::Continue(())
                };
                snapshot.scan(table, &filter, &mut keep).await?;
            }
            rows.push(found);
        }
        Ok(Read { rows, snapshot })
    }

    /// Holds the rows against all that the log has about these things up to the store's moment.
    async fn compare(
        mut self,
        journal: &JournalReader,
        first: u64,
        subjects: &BTreeSet<Subject>,
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        let until = self.snapshot.checkpoint().map_or(0, |it| it.seq.get());
        let scope = self.snapshot.scope();
        let holes = journal.holes().await?;
        let mut lost = lost::Lost::new(&holes);
        for (table, rows) in NARROWED.into_iter().zip(&self.rows) {
            if let Some(lost) = lost.as_mut().filter(|_| lost::Lost::is_noted(table)) {
                rows.iter().for_each(|row| lost.note(table, row));
            }
        }
        // The server shall not keep old rows for the time that the log takes.
        drop(self.snapshot);
        let mine = |header: &Header| subjects.contains(&subject::of_header(header));
        let mut fold = Fold::default();
        let mut at = first - 1;
        while at < until {
            let stretch = (at + 1, until.min(at + STRETCH_EVENTS));
            let began = Instant::now();
            fold::extend(&mut fold, journal, stretch, scope, &mine, &mut |_| {}).await?;
            at = stretch.1;
            tokio::time::sleep(began.elapsed() * PAUSE_FACTOR).await;
        }
        let mut gone = Gone::new(first, holes);
        report.checkpoint = until;
        for (table, found) in NARROWED.into_iter().zip(&mut self.rows) {
            let mut expected: Vec<PublicRow> = fold.rows(table).collect();
            report.rows += expected.len() as u64;
            if let Some(lost) = &lost {
                report.kept += lost.even_out(table, &mut expected, found);
            }
            report.kept += gone.even_out(table, &mut expected, found);
            compare(table, expected, std::mem::take(found), report);
        }
        Ok(())
    }
}

/// The reads that find all rows of a table about these things, and few others.
fn filters(table: &Table, subjects: &BTreeSet<Subject>) -> Vec<Filter> {
    let is_of_messages = table.columns.iter().any(|(name, _)| *name == "message_id");
    let mut peers: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for subject in subjects
        .iter()
        .filter(|it| it.is_message() == is_of_messages)
    {
        let numbers = peers.entry(subject.peer_id).or_default();
        numbers.push(subject.message_id);
    }
    let filter = |peer: i64, messages| Filter {
        // Rows of no peer carry none to filter by.
        peer_id: (peer != 0).then_some(peer),
        messages,
        ..Filter::default()
    };
    let of_peer = |(peer, numbers): (i64, Vec<i64>)| match is_of_messages {
        true => runs(&numbers).map(|run| filter(peer, Some(run))).collect(),
        false => vec![filter(peer, None)],
    };
    peers.into_iter().flat_map(of_peer).collect()
}

/// Rising numbers as ranges.
fn runs(numbers: &[i64]) -> impl Iterator<Item = (i64, i64)> {
    numbers
        .chunk_by(|one, next| next - one <= RUN_SLACK)
        .filter_map(|run| Some((*run.first()?, *run.last()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::{GAPS, MESSAGES};

    fn subjects(list: &[(i64, i64)]) -> BTreeSet<Subject> {
        let subject = |&(peer_id, message_id)| Subject {
            peer_id,
            message_id,
        };
        list.iter().map(subject).collect()
    }

    #[test]
    fn neighbours_are_read_together_and_nothing_is_read_whole() {
        let subjects = subjects(&[(0, 0), (5, 0), (5, 1), (5, 2), (5, 18), (5, 40), (6, 7)]);
        let told = |table: &Table| -> Vec<Filter> { filters(table, &subjects) };
        let run = |peer_id, first, last| Filter {
            peer_id: Some(peer_id),
            messages: Some((first, last)),
            ..Filter::default()
        };
        assert_eq!(
            told(&MESSAGES),
            [run(5, 1, 18), run(5, 40, 40), run(6, 7, 7)]
        );
        let peers = told(&GAPS);
        assert_eq!(peers[0], Filter::default(), "gaps of no channel");
        assert_eq!((peers.len(), peers[1].peer_id), (2, Some(5)));
        assert_eq!(peers[1].messages, None);
    }
}
