//! What the SQL projections share.

use std::fmt::Write as _;
use std::ops::Range;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use super::contract::{MESSAGE_VERSIONS, MESSAGES, Table};
use super::{Batch, Checkpoint, Entry, OnRefusal, Poison, ProjectionError, ProjectionName, rows};
use crate::event::Timestamp;
use crate::failure::Class;
use wal::{Identity, LogId, Seq};

mod class;

pub(super) use class::{Cause, cause};

/// Which rows of a public table to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this peer, in the marked form.
    pub peer_id: Option<i64>,
    /// Only messages posted in this half-open range; other tables have no such date and are not narrowed by it.
    pub posted: Option<(Timestamp, Timestamp)>,
    /// Only messages from this number to that one; tables without one are not narrowed by it.
    pub messages: Option<(i64, i64)>,
}

impl Filter {
    /// The range of dates, where the table has one.
    pub(super) fn posted_in(&self, table: &Table) -> Option<(Timestamp, Timestamp)> {
        self.posted.filter(|_| table.name == MESSAGES.name)
    }

    /// The range of numbers, where the table has them.
    pub(super) fn numbered_in(&self, table: &Table) -> Option<(i64, i64)> {
        let has_number = table.columns.iter().any(|(name, _)| *name == "message_id");
        self.messages.filter(|_| has_number)
    }

    /// ` where ...`, with parameters numbered from 1: the peer, then both ends of each range, each only if given.
    fn clause(&self, table: &Table) -> String {
        let mut clause = String::new();
        let mut given = 0;
        let mut add = |test: &str| {
            let word = if given == 0 { "where" } else { "and" };
            given += 1;
            // Writing to a string cannot fail.
            let _ = write!(clause, " {word} {test} ${given}");
        };
        if self.peer_id.is_some() {
            add("peer_id =");
        }
        if self.posted_in(table).is_some() {
            add("posted_at >=");
            add("posted_at <");
        }
        if self.numbered_in(table).is_some() {
            add("message_id >=");
            add("message_id <=");
        }
        clause
    }

    /// The statement that reads the rows in key order. `schema` is empty or ends in a dot.
    pub(super) fn select(&self, schema: &str, table: &Table) -> String {
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let mut order = names[..table.key].join(", ");
        // Only an input that gives one message two dates needs more than the key (see `public`).
        if table.name == MESSAGES.name {
            order.push_str(", posted_at");
        } else if table.name == MESSAGE_VERSIONS.name {
            order.push_str(", seq");
        }
        format!(
            "select {} from {schema}{}{} order by {order}",
            names.join(", "),
            table.name,
            self.clause(table)
        )
    }

    /// The statement that counts the rows.
    pub(super) fn count(&self, schema: &str, table: &Table) -> String {
        format!(
            "select count(*) from {schema}{}{}",
            table.name,
            self.clause(table)
        )
    }
}

/// A checkpoint as it is stored.
#[derive(Debug)]
pub(super) struct StoredCheckpoint {
    pub log_id: String,
    pub epoch: i64,
    pub seq: i64,
    pub updated_at: Timestamp,
}

impl StoredCheckpoint {
    pub(super) fn of(checkpoint: &Checkpoint) -> StoredCheckpoint {
        StoredCheckpoint {
            log_id: checkpoint.identity.log_id.to_string(),
            epoch: i64::from(checkpoint.identity.epoch),
            seq: i64::try_from(checkpoint.seq.get()).unwrap_or(i64::MAX),
            updated_at: checkpoint.updated_at,
        }
    }

    /// None when somebody wrote something there that is no checkpoint.
    pub(super) fn read(&self) -> Option<Checkpoint> {
        Some(Checkpoint {
            identity: Identity {
                log_id: self.log_id.parse::<LogId>().ok()?,
                epoch: u32::try_from(self.epoch).ok()?,
            },
            seq: Seq::new(u64::try_from(self.seq).ok()?)?,
            updated_at: self.updated_at,
        })
    }

    /// Which log fed the store, in words.
    pub(super) fn identity(&self) -> String {
        format!("{} epoch {}", self.log_id, self.epoch)
    }
}

/// Whether the checkpoint of a batch moves the stored one. Refused: another log, an epoch that is over, and a batch that
/// begins behind the stored checkpoint, so that rows in between would be missing. Epochs count before numbers, since a
/// new epoch may begin below the end of the one before.
pub(super) fn moves(
    projection: ProjectionName,
    stored: Option<&StoredCheckpoint>,
    mine: &StoredCheckpoint,
    after: u64,
) -> Result<bool, ProjectionError> {
    if let Some(stored) = stored
        && (stored.log_id != mine.log_id || stored.epoch > mine.epoch)
    {
        return Err(ProjectionError::OtherLog {
            projection,
            found: stored.identity(),
            ours: mine.identity(),
        });
    }
    let found = stored.map_or(0, |stored| u64::try_from(stored.seq).unwrap_or(0));
    if found < after {
        return Err(ProjectionError::CheckpointMoved {
            projection,
            found,
            after,
        });
    }
    Ok(stored.is_none_or(|stored| (stored.epoch, stored.seq) < (mine.epoch, mine.seq)))
}

/// The parts of a batch that are still to be tried, when one of its events cannot be stored: halves of halves, in
/// order, until the culprits stand alone. Rows merge in any order, so a batch may be cut anywhere.
#[derive(Debug)]
pub(super) struct Bisect(Vec<Range<usize>>);

impl Bisect {
    pub(super) fn new(len: usize) -> Bisect {
        Bisect(
            std::iter::once(0..len)
                .filter(|all| !all.is_empty())
                .collect(),
        )
    }

    /// The next part to try.
    pub(super) fn next(&mut self) -> Option<Range<usize>> {
        self.0.pop()
    }

    /// That part failed. The index of the culprit when it stands alone.
    pub(super) fn failed(&mut self, part: Range<usize>) -> Option<usize> {
        if part.len() <= 1 {
            return Some(part.start);
        }
        let middle = part.start + part.len() / 2;
        self.0.push(middle..part.end);
        self.0.push(part.start..middle);
        None
    }
}

/// The quarantine entry of an event that the store refuses; none for an entry that was poison already.
fn poison(entry: &Entry, error: &sqlx::Error) -> Option<Poison> {
    let Entry::Event(envelope) = entry else {
        return None;
    };
    Some(Poison {
        seq: envelope.seq,
        kind: envelope.event.body.kind() as u8,
        received_at: envelope.received_at,
        reason: reason(error),
        raw: envelope
            .to_record()
            .map_or_else(Vec::new, |it| it.as_bytes().to_vec()),
    })
}

/// What a refusal means: the event goes to the quarantine, or the batch is refused with it. An entry that was poison
/// already cannot be refused but for trouble of the quarantine itself.
pub(super) fn refused(
    projection: ProjectionName,
    doing: &'static str,
    batch: &Batch,
    culprit: usize,
    error: sqlx::Error,
) -> Result<Poison, ProjectionError> {
    let Some(poison) = batch.entries.get(culprit).and_then(|it| poison(it, &error)) else {
        return Err(backend(projection, doing, error));
    };
    match batch.on_refusal {
        OnRefusal::Quarantine => {
            tracing::error!(%projection, seq = poison.seq.get(), reason = poison.reason, "an event goes to the quarantine");
            Ok(poison)
        }
        OnRefusal::Stop => Err(ProjectionError::Refused {
            projection,
            seq: poison.seq,
            reason: poison.reason,
        }),
    }
}

/// Why a store refuses an event, as the quarantine tells it.
pub(super) fn reason(error: &sqlx::Error) -> String {
    rows::clean(&format!("the store refuses it: {error}"))
}

/// The error of a projection.
pub(super) fn backend(
    projection: ProjectionName,
    doing: &'static str,
    error: sqlx::Error,
) -> ProjectionError {
    let Cause { class, hint } = cause(projection, &error);
    ProjectionError::Backend {
        projection,
        doing,
        class,
        hint,
        source: error.into(),
    }
}

/// An error of ours, where no library made one.
pub(super) fn refusal(
    projection: ProjectionName,
    doing: &'static str,
    class: Class,
    hint: Option<String>,
    text: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ProjectionError {
    ProjectionError::Backend {
        projection,
        doing,
        class,
        hint,
        source: text.into(),
    }
}

/// The migrations of a store, from texts that are part of the program.
pub(super) fn migrator(
    steps: &[(i64, &'static str, &'static str)],
    table: &'static str,
) -> Migrator {
    let mut migrator = Migrator::with_migrations(
        steps
            .iter()
            .map(|&(version, name, sql)| {
                let sql = sql.into_sql_str();
                Migration::new(version, name.into(), MigrationType::Simple, sql, false)
            })
            .collect(),
    );
    // Set before the first release and never changed, which is what is dangerous about it.
    migrator.dangerous_set_table_name(table);
    migrator
}

/// The error of a migration.
pub(super) fn migration(
    projection: ProjectionName,
    newest: i64,
    error: MigrateError,
) -> ProjectionError {
    const DOING: &str = "bringing the schema up to date";
    match error {
        MigrateError::VersionMissing(found) => ProjectionError::UnknownSchema {
            projection,
            found,
            known: newest,
        },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            backend(projection, DOING, error)
        }
        MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => refusal(
            projection,
            DOING,
            Class::Operator,
            Some(format!(
                "the schema was made by another build; run that one, or empty the store and run: \
                 telegram-gateway rebuild {projection}"
            )),
            error,
        ),
        other => refusal(projection, DOING, Class::Bug, None, other),
    }
}

/// SQL that was put together from our own constants, column lists and the number of a generation; never from data.
pub(super) fn ours(sql: &str) -> AssertSqlSafe<&str> {
    AssertSqlSafe(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bisect_finds_every_culprit_and_keeps_the_rest() {
        for len in 0..40_usize {
            for bad in 0..len {
                let other = (bad * 7 + 3) % len;
                let (mut kept, mut found) = (Vec::new(), Vec::new());
                let mut parts = Bisect::new(len);
                while let Some(part) = parts.next() {
                    if part.contains(&bad) || part.contains(&other) {
                        found.extend(parts.failed(part));
                    } else {
                        kept.extend(part);
                    }
                }
                let mut expected = vec![bad, other];
                expected.sort_unstable();
                expected.dedup();
                assert_eq!(found, expected);
                assert_eq!(kept.len() + found.len(), len);
                assert!(kept.is_sorted());
            }
        }
    }

    #[test]
    fn filter_numbers_its_parameters() {
        let range = (Timestamp::from_seconds(0), Timestamp::from_seconds(1));
        let mut filter = Filter {
            peer_id: None,
            posted: Some(range),
            messages: None,
        };
        assert_eq!(
            filter.count("", &MESSAGES),
            "select count(*) from messages where posted_at >= $1 and posted_at < $2"
        );
        filter.peer_id = Some(1);
        assert_eq!(
            filter.count("g.", &MESSAGES),
            "select count(*) from g.messages where peer_id = $1 and posted_at >= $2 and posted_at < $3"
        );
        filter.messages = Some((7, 9));
        assert_eq!(
            filter.count("", &super::super::contract::GAPS),
            "select count(*) from gaps where peer_id = $1"
        );
        assert_eq!(
            filter.count("", &MESSAGE_VERSIONS),
            "select count(*) from message_versions where peer_id = $1 and message_id >= $2 and message_id <= $3"
        );
    }
}
