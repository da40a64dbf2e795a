//! Verify: the log record by record; a store row by row against the fold of the log.
//!
//! A store is compared as it was at one moment with the log up to that moment's checkpoint, so this works beside a
//! running daemon. First digests per channel and day; only where they differ are rows fetched and shown. The fold is
//! pure code of its own (`store::public`), not the store's SQL, so a mistake in the SQL shows too.

mod cache;
mod digest;
mod fold;
mod generations;
mod lost;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::Value;

pub use cache::cache;
pub use digest::Bucket;
pub use generations::{Comparison, generations};

use self::digest::Digests;
use self::lost::Lost;
use crate::config::Config;
use crate::event::{Envelope, Timestamp};
use crate::failure::{Class, Classify, Exit, chain};
use crate::journal::{JournalError, JournalReader, LOG_DIR};
use crate::projector::standing::Standing;
use crate::projector::{judge, next_seq};
use crate::store::contract::{Table, VERIFIED};
use crate::store::public::PublicRow;
use crate::store::{Filter, Inspect, ProjectionError, Snapshot};

/// Differing rows that are shown; all are counted.
const SHOWN_MAX: usize = 20;
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
    /// The check's own thread failed.
    #[error("the check was interrupted")]
    Interrupted,
}

impl Classify for VerifyError {
    fn class(&self) -> Class {
        match self {
            VerifyError::Journal(error) => error.class(),
            VerifyError::Projection(error) => error.class(),
            VerifyError::OtherLog { .. } => Class::Operator,
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
            VerifyError::Interrupted => None,
        }
    }

    /// `verify` promises 2 for every reason that kept it from running.
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `log` or the store's name.
    pub target: &'static str,
    /// Nothing was found.
    pub clean: bool,
    /// Records of the log that were read.
    pub records: u64,
    /// Records in the archive that were read; 0 for a store.
    pub archived: u64,
    /// Containers of the archive that were looked at; 0 for a store.
    pub containers: usize,
    /// Rows (keys, for Redis) that were compared.
    pub rows: u64,
    /// Channel-days and tables that were compared.
    pub buckets: usize,
    /// The checkpoint up to which the store was compared; 0 for the log and for an empty store.
    pub checkpoint: u64,
    /// Rows that the store keeps from a life of the log that is over; not differences. A rebuild removes them.
    pub kept: u64,
    /// Recorded holes of the log: ranges of numbers that no record has.
    pub holes: Vec<HoleShown>,
    /// Events behind the tail of the log at that moment; not a difference.
    pub behind: u64,
    /// Differences in all.
    pub differences: u64,
    /// The first of them.
    pub shown: Vec<Difference>,
}

/// A recorded hole.
#[derive(Debug, Clone, Serialize)]
pub struct HoleShown {
    /// Its first number.
    pub first: u64,
    /// Its last number.
    pub last: u64,
    /// `damage` or `fence`.
    pub cause: &'static str,
    /// When it was recorded.
    pub noted_at: Timestamp,
}

impl From<&wal::Hole> for HoleShown {
    fn from(hole: &wal::Hole) -> HoleShown {
        HoleShown {
            first: hole.first.get(),
            last: hole.last.get(),
            cause: hole.cause.as_str(),
            noted_at: Timestamp::from_micros(hole.noted_at),
        }
    }
}

/// One difference.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// Table or file.
    pub place: String,
    /// The row's key, or the record's number.
    pub key: Vec<Value>,
    /// What sort of thing is wrong with the log (`wal::FindingKind`); none for rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// `missing`, `surplus`, `differs`, or what is damaged.
    pub what: String,
    /// Columns that differ: name, in the log, in the store.
    pub columns: Vec<(&'static str, Value, Value)>,
}

impl Report {
    fn new(target: &'static str) -> Report {
        Report {
            target,
            clean: true,
            records: 0,
            archived: 0,
            containers: 0,
            rows: 0,
            buckets: 0,
            checkpoint: 0,
            kept: 0,
            holes: Vec::new(),
            behind: 0,
            differences: 0,
            shown: Vec::new(),
        }
    }

    fn found(&mut self, difference: Difference) {
        self.clean = false;
        self.differences += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(difference);
        }
    }
}

/// Checks every record of the log, in its folder and in the configured archive: files, chain and checksums, and that
/// each payload is an event.
pub async fn log(config: &Config) -> Result<Report, VerifyError> {
    let dir = config.data_dir.join(LOG_DIR);
    let archive = config.wal.archive_dir.clone();
    let checked = tokio::task::spawn_blocking(move || {
        let live = wal::verify(&dir, &mut |_| {})?;
        let archived = match archive {
            Some(archive) => wal::verify_archive(&dir, &archive, &mut |_| {})?,
            None => wal::VerifyReport::default(),
        };
        Ok((live, archived))
    });
    let checked = checked.await.map_err(|_| VerifyError::Interrupted)?;
    let (checked, archived) = checked.map_err(JournalError::Open)?;
    let mut report = Report::new("log");
    report.records = checked.records;
    report.buckets = checked.segments;
    report.archived = archived.records;
    report.containers = archived.segments;
    let mut holes = archived.holes;
    holes.extend(checked.holes);
    // A segment may be both in the archive and still in the log.
    holes.sort_by_key(|hole| hole.first);
    holes.dedup();
    report.holes = holes.iter().map(HoleShown::from).collect();
    for finding in archived.findings.into_iter().chain(checked.findings) {
        report.found(Difference {
            kind: Some(finding.kind.as_str()),
            place: finding.segment,
            key: finding
                .seq
                .map(|seq| seq.get().into())
                .into_iter()
                .collect(),
            what: finding.what,
            columns: Vec::new(),
        });
    }
    if report.clean {
        payloads(config, &mut report).await?;
    }
    Ok(report)
}

/// A record can be intact and still hold what this version cannot read.
async fn payloads(config: &Config, report: &mut Report) -> Result<(), VerifyError> {
    let journal = JournalReader::of(config)?;
    let Some(first) = journal.first().await? else {
        return Ok(());
    };
    let mut at = first.get() - 1;
    loop {
        let records = journal.read(next_seq(at), READ_EVENTS, READ_BYTES).await?;
        let Some(last) = records.last() else {
            return Ok(());
        };
        at = last.header().seq.get();
        for error in records
            .iter()
            .filter_map(|record| Envelope::from_record(record).err())
        {
            report.found(Difference {
                kind: None,
                place: LOG_DIR.to_owned(),
                key: vec![error.seq.get().into()],
                what: chain(&error),
                columns: Vec::new(),
            });
        }
    }
}

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
    let lost = if differing.is_empty() {
        None
    } else {
        lost(journal, &mut snapshot).await?
    };
    for table in &VERIFIED {
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
        Standing::Diverged { .. } => {
            Some("the store was fed with other events than the log has".to_owned())
        }
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
            if buckets.contains(&Bucket::of(table, &row)) {
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
    for row in found {
        match expected.remove(&key_of(&row)) {
            Some(right) if right == row => {}
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
    }
    for row in expected.into_values() {
        report.found(difference(&row, "missing", Vec::new()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::CHANNELS;
    use serde_json::json;

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
