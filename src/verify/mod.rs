//! Verify: the log record by record; a store row by row against the fold of the log.
//!
//! A store is compared as it was at one moment with the log up to that moment's checkpoint, so this works beside a
//! running daemon. First digests per channel and day; only where they differ are rows fetched and shown. The fold is
//! pure code of its own (`store::public`), not the store's SQL, so a mistake in the SQL shows too.

mod cache;
mod digest;
mod fold;
mod generations;
mod log;
mod lost;
mod repair;
mod report;
mod slice;
mod subject;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

pub use cache::{cache, cache_slice};
pub use digest::Bucket;
pub use generations::{Comparison, generations};
pub use log::log;
pub use repair::{Repair, repair, repair_cache};
pub use report::{Difference, HoleShown, Report};
pub use slice::{Slice, slice};

use self::digest::Digests;
use self::lost::Lost;
use self::subject::Gone;
use crate::failure::{Class, Classify, Exit};
use crate::journal::{JournalError, JournalReader};
use crate::projector::judge;
use crate::projector::standing::Standing;
use crate::store::contract::{self, Table, VERIFIED};
use crate::store::public::PublicRow;
use crate::store::{Filter, Inspect, ProjectionError, Snapshot};

const READ_EVENTS: usize = 5_000;
const READ_BYTES: usize = 16 * 1024 * 1024;

/// Why a check could not run.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store could not be read.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The store was fed from another log.
    #[error("the store was fed from log {found}, this is log {ours}")]
    OtherLog {
        /// The log in its checkpoint.
        found: String,
        /// This log.
        ours: String,
    },
    /// A store that is not where the log can help.
    #[error("nothing is repaired: the store {0}")]
    Unrepairable(String),
    /// The check's own thread failed.
    #[error("the check was interrupted")]
    Interrupted,
}

impl Classify for VerifyError {
    fn class(&self) -> Class {
        match self {
            VerifyError::Journal(error) => error.class(),
            VerifyError::Projection(error) => error.class(),
            VerifyError::OtherLog { .. } | VerifyError::Unrepairable(_) => Class::Operator,
            VerifyError::Interrupted => Class::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            VerifyError::Journal(error) => error.hint(),
            VerifyError::Projection(error) => error.hint(),
            VerifyError::OtherLog { .. } => {
                Some("check data_dir and the store's url in the configuration".to_owned())
            }
            VerifyError::Unrepairable(_) => {
                Some("put the right log back, or rebuild the store".to_owned())
            }
            VerifyError::Interrupted => None,
        }
    }

    /// `verify` promises 2 for every reason that kept it from running.
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// The order in which tables are narrowed: the names of a channel tell whether what it is called now can be told.
const NARROWED: [&Table; VERIFIED.len()] = [
    &contract::MESSAGES,
    &contract::MESSAGE_VERSIONS,
    &contract::CHANNEL_NAMES,
    &contract::CHANNELS,
    &contract::GAPS,
    &contract::COUNTER_SAMPLES,
];

/// Compares a SQL store with the fold of the log up to the store's checkpoint.
pub async fn store<P: Inspect>(
    journal: &JournalReader,
    projection: &mut P,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Report, VerifyError> {
    let mut snapshot = projection.snapshot().await?;
    let mut report = Report::new(projection.name().as_str());
    let (first, until) = range(journal, snapshot.checkpoint(), &mut report).await?;
    let scope = snapshot.scope();
    let expected = fold::digests(journal, first, until, report.records, scope, progress).await?;
    let mut found = Digests::default();
    for table in &VERIFIED {
        let mut add = |row: PublicRow| {
            found.add(table, &row);
            ControlFlow::Continue(())
        };
        snapshot.scan(table, &Filter::default(), &mut add).await?;
    }
    (report.buckets, report.rows) = expected.size();
    let differing = expected.differences(&found);
    if differing.is_empty() {
        return Ok(report);
    }
    let lost = lost(journal, &mut snapshot).await?;
    let mut gone = Gone::new(first, journal.holes().await?);
    for table in NARROWED {
        let buckets: BTreeSet<Bucket> = differing
            .iter()
            .filter(|bucket| bucket.table == table.name)
            .cloned()
            .collect();
        if !buckets.is_empty() {
            let mut expected = fold::rows(journal, (first, until), scope, table, &buckets).await?;
            let mut found = rows_of(&mut snapshot, table, &buckets).await?;
            if let Some(lost) = &lost {
                report.kept += lost.even_out(table, &mut expected, &mut found);
            }
            report.kept += gone.even_out(table, &mut expected, &mut found);
            compare(table, expected, found, &mut report);
        }
    }
    Ok(report)
}

/// What the store has of numbers that a fence has skipped.
async fn lost<S: Snapshot>(
    journal: &JournalReader,
    snapshot: &mut S,
) -> Result<Option<Lost>, VerifyError> {
    let Some(mut lost) = Lost::new(&journal.holes().await?) else {
        return Ok(None);
    };
    for table in &Lost::NOTED {
        let mut note = |row: PublicRow| {
            lost.note(table, &row);
            ControlFlow::Continue(())
        };
        snapshot.scan(table, &Filter::default(), &mut note).await?;
    }
    Ok(Some(lost))
}

/// The numbers to fold: from the oldest kept to the store's checkpoint.
async fn range(
    journal: &JournalReader,
    checkpoint: Option<crate::store::Checkpoint>,
    report: &mut Report,
) -> Result<(u64, u64), VerifyError> {
    let (standing, _) = match &checkpoint {
        Some(checkpoint) => judge(checkpoint, journal).await?,
        None => (Standing::Ours, 0),
    };
    let until = checkpoint.map_or(0, |checkpoint| checkpoint.seq.get());
    let tail = journal.refresh().await?;
    let holes = journal.holes().await?;
    report.checkpoint = until;
    report.records = holes.between(0, until.min(tail));
    report.behind = holes.between(until, tail);
    let wrong = match standing {
        Standing::Ours | Standing::Fenced => None,
        Standing::Ahead => Some(format!("is ahead of the log, which ends at {tail}")),
        Standing::Diverged { .. } => Some("was fed with other events than the log has".to_owned()),
        Standing::OtherLog => {
            let id =
                |identity: wal::Identity| format!("{} epoch {}", identity.log_id, identity.epoch);
            return Err(VerifyError::OtherLog {
                found: checkpoint.map_or_else(String::new, |it| id(it.identity)),
                ours: id(journal.identity()),
            });
        }
    };
    if let Some(what) = wrong {
        report.misplaced = Some(what.clone());
        report.found(Difference {
            kind: None,
            place: "checkpoint".to_owned(),
            key: vec![until.into()],
            what,
            columns: Vec::new(),
        });
    }
    let first = journal.first().await?.map_or(1, wal::Seq::get);
    Ok((first, until))
}

async fn rows_of<S: Snapshot>(
    snapshot: &mut S,
    table: &Table,
    buckets: &BTreeSet<Bucket>,
) -> Result<Vec<PublicRow>, VerifyError> {
    let peers: BTreeSet<i64> = buckets.iter().map(|bucket| bucket.peer_id).collect();
    let mut rows = Vec::new();
    for peer in peers {
        // Rows of no peer carry none to filter by.
        let filter = Filter {
            peer_id: (peer != 0).then_some(peer),
            ..Filter::default()
        };
        let mut keep = |row: PublicRow| {
            let bucket = Bucket::of(table, &row);
            if bucket.peer_id == peer && buckets.contains(&bucket) {
                rows.push(row);
            }
            ControlFlow::Continue(())
        };
        snapshot.scan(table, &filter, &mut keep).await?;
    }
    Ok(rows)
}

/// Compares rows by key. The same key twice counts as surplus: a store must not hold a row twice.
fn compare(table: &Table, expected: Vec<PublicRow>, found: Vec<PublicRow>, report: &mut Report) {
    let key_of = |row: &PublicRow| serde_json::to_string(&row[..table.key]).unwrap_or_default();
    let mut expected: BTreeMap<String, PublicRow> = expected
        .into_iter()
        .map(|row| (key_of(&row), row))
        .collect();
    let difference = |row: &PublicRow, what: &str, columns| Difference {
        kind: None,
        place: table.name.to_owned(),
        key: row[..table.key].to_vec(),
        what: what.to_owned(),
        columns,
    };
    let mut subjects = BTreeSet::new();
    for row in found {
        match expected.remove(&key_of(&row)) {
            Some(right) if right == row => continue,
            Some(right) => {
                let names = table.columns.iter().map(|(name, _)| *name);
                let columns = names
                    .zip(right.iter().zip(&row))
                    .filter(|(_, (right, wrong))| right != wrong)
                    .map(|(name, (right, wrong))| (name, right.clone(), wrong.clone()))
                    .collect();
                report.found(difference(&row, "differs", columns));
            }
            None => report.found(difference(&row, "surplus", Vec::new())),
        }
        subjects.insert(subject::of_row(table, &row));
    }
    for row in expected.into_values() {
        report.found(difference(&row, "missing", Vec::new()));
        subjects.insert(subject::of_row(table, &row));
    }
    report.subjects.append(&mut subjects);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::CHANNELS;
    use serde_json::{Value, json};

    fn row(peer: i64, title: &str) -> PublicRow {
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
    fn missing_surplus_and_differing_rows_are_told_apart() {
        let mut report = Report::new("sqlite");
        let expected = vec![row(1, "same"), row(2, "right"), row(3, "gone")];
        let found = vec![
            row(1, "same"),
            row(2, "wrong"),
            row(4, "extra"),
            row(1, "same"),
        ];
        compare(&CHANNELS, expected, found, &mut report);
        let told: Vec<(i64, &str)> = report
            .shown
            .iter()
            .map(|it| (it.key[0].as_i64().unwrap_or(0), it.what.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (2, "differs"),
                (4, "surplus"),
                (1, "surplus"),
                (3, "missing")
            ]
        );
        assert_eq!(
            report.shown[0].columns,
            [("title", json!("right"), json!("wrong"))]
        );
        assert!(!report.clean && report.differences == 4);
    }
}
