//! The fold of the log, as readers should see it, in bounded memory.
//!
//! Messages are split by a hash of peer and number into parts that fit memory; the log is read once for each part. The
//! header of a record tells its part, so a pass decodes only what belongs to it.

use std::collections::BTreeSet;

use wal::{Header, Record};

use super::digest::{Bucket, Digests};
use super::{READ_BYTES, READ_EVENTS, VerifyError, subject};
use crate::journal::JournalReader;
use crate::projector::{entry, next_seq};
use crate::store::contract::{Table, VERIFIED};
use crate::store::public::{Fold, PublicRow};
use crate::store::rows::Rows;
use crate::store::{Scope, samples};

/// Events folded in one pass; about 1 KiB of memory each.
const PART_EVENTS: u64 = 400_000;

/// Digests of the fold of `first..=until`, which are about so many events.
pub(super) async fn digests(
    journal: &JournalReader,
    first: u64,
    until: u64,
    events: u64,
    scope: Scope,
    report: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Digests, VerifyError> {
    let parts = events.div_ceil(PART_EVENTS).max(1);
    let mut digests = Digests::default();
    for part in 0..parts {
        let mut done = |at: u64| report(part * until + at, parts * until);
        let mine = |header: &Header| part_of(header, parts) == part;
        let fold = pass(journal, (first, until), scope, &mine, &mut done).await?;
        for table in &VERIFIED {
            fold.rows(table).for_each(|row| digests.add(table, &row));
        }
    }
    Ok(digests)
}

/// The rows of the fold that fall into these buckets of one table.
pub(super) async fn rows(
    journal: &JournalReader,
    range: (u64, u64),
    scope: Scope,
    table: &Table,
    buckets: &BTreeSet<Bucket>,
) -> Result<Vec<PublicRow>, VerifyError> {
    let peers: BTreeSet<i64> = buckets.iter().map(|bucket| bucket.peer_id).collect();
    let mine = |header: &Header| peers.contains(&subject::of_header(header).peer_id);
    let fold = pass(journal, range, scope, &mine, &mut |_| {}).await?;
    Ok(fold
        .rows(table)
        .filter(|row| buckets.contains(&Bucket::of(table, row)))
        .collect())
}

async fn pass(
    journal: &JournalReader,
    (first, until): (u64, u64),
    scope: Scope,
    mine: &(dyn Fn(&Header) -> bool + Sync),
    done: &mut (dyn FnMut(u64) + Send),
) -> Result<Fold, VerifyError> {
    let mut fold = Fold::default();
    extend(&mut fold, journal, (first, until), scope, mine, done).await?;
    Ok(fold)
}

/// Takes into a fold what is `mine` of a range.
pub(super) async fn extend(
    fold: &mut Fold,
    journal: &JournalReader,
    (first, until): (u64, u64),
    scope: Scope,
    mine: &(dyn Fn(&Header) -> bool + Sync),
    done: &mut (dyn FnMut(u64) + Send),
) -> Result<(), VerifyError> {
    let mut at = first.saturating_sub(1);
    while at < until {
        let records = journal
            .range(next_seq(at), until, READ_EVENTS, READ_BYTES)
            .await?;
        let Some(last) = records.last() else { break };
        at = last.header().seq.get();
        let entries: Vec<_> = records
            .iter()
            .filter(|record: &&Record| mine(record.header()))
            .map(entry)
            .collect();
        let mut rows = Rows::of(&entries);
        rows.keep_since(scope.since);
        fold.merge(rows);
        fold.merge_samples(samples::of(&entries, scope));
        done(at);
    }
    Ok(())
}

/// All events of one message fall into one part. Events about a channel as a whole have message number 0, so they
/// fall into one part too.
fn part_of(header: &Header, parts: u64) -> u64 {
    let mixed = (header.peer_id as u64)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(u64::from(header.peer_kind))
        ^ (header.message_id as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    (mixed ^ (mixed >> 32)) % parts
}
