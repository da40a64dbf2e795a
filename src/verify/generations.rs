//! Two generations of TimescaleDB, compared before the newer one is shown.
//!
//! The server digests both; only what differs is read back and held against the log, which says who is right. The newer
//! one was just made from it, so each difference has to be explained by the older one: changed by hand or by a mistake
//! of an older version, further behind, or with rows that the log does not have.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use wal::Seq;

use super::digest::Bucket;
use super::lost::Lost;
use super::report::SHOWN_MAX;
use super::{
    Difference, READ_BYTES, READ_EVENTS, Report, VerifyError, compare, fold, lost, rows_of, subject,
};
use crate::journal::{Holes, JournalError, JournalReader};
use crate::projector::next_seq;
use crate::store::contract::{COUNTER_SAMPLES, Table, VERIFIED};
use crate::store::mend::Subject;
use crate::store::public::PublicRow;
use crate::store::timescale::{ServerDigest, TimescaleSnapshot};
use crate::store::{Scope, Snapshot as _};

/// Rows that are explained at once: about 1 KiB of memory each, three times.
const ROWS_AT_ONCE: i64 = 100_000;

/// How two generations differ, with the reason.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Comparison {
    /// Rows of the newer one.
    pub rows: u64,
    /// Channel-days and tables that are equal.
    pub equal: usize,
    /// Those that are not.
    pub differing: usize,
    /// Rows that the older one has not, or otherwise, because it has not come as far.
    pub behind: u64,
    /// Rows that the older one had not as the log says: the newer one mends them.
    pub mended: u64,
    /// Rows that only the older one has: of a life of the log that is over, or of numbers that the log no longer keeps.
    pub only_older: u64,
    /// Rows that the newer one has not as the log says. Never right.
    pub wrong: u64,
    /// The first of the mended and the wrong ones.
    pub shown: Vec<Difference>,
}

/// Compares two generations. The newer one has to have come at least as far as the older one.
pub async fn generations(
    journal: &JournalReader,
    older: &mut TimescaleSnapshot,
    newer: &mut TimescaleSnapshot,
) -> Result<Comparison, VerifyError> {
    let at = |snapshot: &TimescaleSnapshot| snapshot.checkpoint().map_or(0, |it| it.seq.get());
    let mut found = Comparison::default();
    let mut unequal = Vec::new();
    // Histories of counters that begin elsewhere, or count other intervals, are two.
    let same_history = older.sampling() == newer.sampling();
    let tables = VERIFIED.iter();
    for table in tables.filter(|it| same_history || it.name != COUNTER_SAMPLES.name) {
        let digests = newer.digests(table).await?;
        found.rows += digests.iter().map(|it| it.rows.unsigned_abs()).sum::<u64>();
        let differing = differing(table, older.digests(table).await?, &digests);
        found.differing += differing.len();
        found.equal += digests.len().saturating_sub(differing.len());
        unequal.extend(parts(differing).into_iter().map(|part| (table, part)));
    }
    if unequal.is_empty() {
        return Ok(found);
    }
    let mut work = Work {
        journal,
        first: journal.first().await?.map_or(1, Seq::get),
        until: at(newer),
        holes: journal.holes().await?,
        lost: lost(journal, older).await?,
        late: late(journal, at(older), at(newer)).await?,
        older,
        newer,
        found,
    };
    for (table, part) in unequal {
        work.explain(table, &part).await?;
    }
    Ok(work.found)
}

struct Work<'a> {
    journal: &'a JournalReader,
    older: &'a mut TimescaleSnapshot,
    newer: &'a mut TimescaleSnapshot,
    /// The numbers that the log has and the newer one was made from.
    first: u64,
    until: u64,
    holes: Holes,
    /// What the older one has of a life of the log that is over.
    lost: Option<Lost>,
    /// What was touched by the numbers that only the newer one has.
    late: BTreeSet<Subject>,
    found: Comparison,
}

impl Work<'_> {
    /// Finds the reason for the differences of some buckets of a table.
    async fn explain(
        &mut self,
        table: &Table,
        buckets: &BTreeSet<Bucket>,
    ) -> Result<(), VerifyError> {
        let range = (self.first, self.until);
        let scope = self.newer.scope();
        let mut expected = fold::rows(self.journal, range, scope, table, buckets).await?;
        let mut report = Report::new("timescale");
        let newer = rows_of(self.newer, table, buckets).await?;
        compare(table, expected.clone(), newer, &mut report);
        self.found.wrong += report.differences;
        self.show(report);

        // What the older one no longer keeps was right to be missing.
        let since = self.older.since();
        if since != scope.since {
            let scope = Scope { since, ..scope };
            expected = fold::rows(self.journal, range, scope, table, buckets).await?;
        }
        let mut older = rows_of(self.older, table, buckets).await?;
        let gone: Vec<&PublicRow> = older
            .iter()
            .filter(|row| subject::is_gone(table, row, self.first, &self.holes))
            .collect();
        self.found.only_older += gone.len() as u64;
        let gone = gone
            .into_iter()
            .map(|row| subject::of_row(table, row))
            .collect();
        subject::take(table, &gone, &mut expected, &mut older);
        if let Some(lost) = &self.lost {
            self.found.only_older += lost.even_out(table, &mut expected, &mut older);
        }
        self.found.behind += subject::take(table, &self.late, &mut expected, &mut older);
        let mut report = Report::new("timescale");
        compare(table, expected, older, &mut report);
        self.found.mended += report.differences;
        self.show(report);
        Ok(())
    }

    fn show(&mut self, report: Report) {
        let left = SHOWN_MAX.saturating_sub(self.found.shown.len());
        self.found.shown.extend(report.shown.into_iter().take(left));
    }
}

/// What the events after `older` and up to `newer` are about.
async fn late(
    journal: &JournalReader,
    older: u64,
    newer: u64,
) -> Result<BTreeSet<Subject>, VerifyError> {
    let mut late = BTreeSet::new();
    let mut at = older;
    while at < newer {
        let next = journal.range(next_seq(at), newer, READ_EVENTS, READ_BYTES);
        let records = match next.await {
            // The older one has not come as far as the log begins: everything is late that the log has.
            Err(JournalError::Read(wal::ReadError::Trimmed { .. })) => {
                let first = journal.first().await?.map_or(1, Seq::get);
                at = (first - 1).max(at + 1);
                continue;
            }
            read => read?,
        };
        let Some(last) = records.last() else { break };
        at = last.header().seq.get();
        let headers = records.iter().map(|record| record.header());
        late.extend(headers.map(subject::of_header));
    }
    Ok(late)
}

/// The buckets in which two generations differ, with the larger count of rows.
fn differing(
    table: &Table,
    older: Vec<ServerDigest>,
    newer: &[ServerDigest],
) -> Vec<(Bucket, i64)> {
    let bucket = |digest: &ServerDigest| Bucket {
        table: table.name,
        peer_id: digest.peer_id,
        day: digest.day.clone(),
    };
    let mut left: BTreeMap<Bucket, ServerDigest> = older
        .into_iter()
        .map(|digest| (bucket(&digest), digest))
        .collect();
    let mut differing = Vec::new();
    for digest in newer {
        let bucket = bucket(digest);
        let before = left.remove(&bucket);
        if before.as_ref() != Some(digest) {
            let rows = before.map_or(0, |before| before.rows).max(digest.rows);
            differing.push((bucket, rows));
        }
    }
    differing.extend(
        left.into_iter()
            .map(|(bucket, digest)| (bucket, digest.rows)),
    );
    differing.sort();
    differing
}

/// Cuts a list of buckets into parts that fit memory, by their rows.
fn parts(buckets: Vec<(Bucket, i64)>) -> Vec<BTreeSet<Bucket>> {
    let mut parts = Vec::new();
    let mut room = 0;
    for (bucket, rows) in buckets {
        if rows > room || parts.is_empty() {
            parts.push(BTreeSet::new());
            room = ROWS_AT_ONCE;
        }
        room -= rows;
        if let Some(part) = parts.last_mut() {
            part.insert(bucket);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::MESSAGES;

    fn digest(peer_id: i64, day: &str, rows: i64, sum: &str) -> ServerDigest {
        ServerDigest {
            peer_id,
            day: day.to_owned(),
            rows,
            sum: sum.to_owned(),
        }
    }

    #[test]
    fn every_bucket_that_differs_is_found_once() {
        let older = vec![
            digest(1, "2026-01-01", 5, "10"),
            digest(1, "2026-01-02", 5, "11"),
            digest(2, "2026-01-01", 7, "12"),
        ];
        let newer = [
            digest(1, "2026-01-01", 5, "10"),
            digest(1, "2026-01-02", 6, "13"),
            digest(3, "2026-01-01", 1, "14"),
        ];
        let found = differing(&MESSAGES, older, &newer);
        let found: Vec<_> = found
            .iter()
            .map(|(bucket, rows)| (bucket.peer_id, bucket.day.as_str(), *rows))
            .collect();
        let expected = [
            (1, "2026-01-02", 6),
            (2, "2026-01-01", 7),
            (3, "2026-01-01", 1),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn parts_fit_memory_and_leave_nothing_out() {
        let bucket = |peer_id| Bucket {
            table: MESSAGES.name,
            peer_id,
            day: String::new(),
        };
        let rows = [60_000, 40_000, 1, 500_000, 100_000];
        let buckets = (1..).map(bucket).zip(rows).collect();
        let sizes: Vec<usize> = parts(buckets).iter().map(BTreeSet::len).collect();
        assert_eq!(sizes, [2, 1, 1, 1], "the largest stands alone");
        assert!(parts(Vec::new()).is_empty());
    }
}
