//! Verify of the cache: each window against the fold of the log.
//!
//! The cache is written while it is read, and has no snapshots. So each channel is read by itself, together with the
//! checkpoint it belongs to, and compared with the fold up to there; checkpoints only grow, so one pass over the log
//! serves all channels. A key that is absent counts only while it cannot have expired.
//!
//! A slice is some of the channels: turn by turn all come up. Its fold holds their windows alone.

use std::collections::BTreeMap;
use std::time::Instant;

use wal::Record;

use super::slice::{PAUSE_FACTOR, SLICE_EVENTS, Slice};
use super::window::{self, Told};
use super::{READ_BYTES, READ_EVENTS, Report, VerifyError, subject};
use crate::event::Timestamp;
use crate::failure::Class;
use crate::journal::JournalReader;
use crate::projector::{entry, next_seq};
use crate::store::redis::{Fields, Model, Peer, Redis};
use crate::store::{Checkpoint, Projection, ProjectionError, ProjectionName};

/// How often one channel is read again because events were applied meanwhile.
const TRIES: usize = 100;

/// Compares the cache with the log.
pub async fn cache(
    journal: &JournalReader,
    redis: &mut Redis,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Report, VerifyError> {
    let mut report = Report::new(ProjectionName::Redis.as_str());
    let checkpoint = redis.checkpoint().await?;
    let range = super::range(journal, checkpoint, &mut report).await?;
    let part = Part {
        number: 0,
        of: 1,
        pauses: false,
    };
    compare_part(journal, redis, part, range, &mut report, progress).await?;
    Ok(report)
}

/// Compares the channels whose turn it is, with pauses that leave the processor to others. A cache that is being filled
/// has its turn later.
pub async fn cache_slice(
    journal: &JournalReader,
    redis: &mut Redis,
    turn: u64,
) -> Result<Slice, VerifyError> {
    let mut report = Report::new(ProjectionName::Redis.as_str());
    let checkpoint = redis.checkpoint().await?;
    let range = super::range(journal, checkpoint, &mut report).await?;
    let messages = redis.peers().await?.len() * redis.window();
    let of = (messages as u64).div_ceil(SLICE_EVENTS).max(1);
    let part = Part {
        number: turn % of,
        of,
        pauses: true,
    };
    if checkpoint.is_some() && report.misplaced.is_none() {
        compare_part(journal, redis, part, range, &mut report, &mut |_, _| {}).await?;
    }
    Ok(Slice {
        number: part.number,
        of,
        report,
    })
}

/// Some of the channels.
#[derive(Debug, Clone, Copy)]
struct Part {
    number: u64,
    of: u64,
    /// The log is read with pauses.
    pauses: bool,
}

impl Part {
    fn has(self, peer: i64) -> bool {
        let mixed = (peer as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) % self.of == self.number
    }
}

async fn compare_part(
    journal: &JournalReader,
    redis: &mut Redis,
    part: Part,
    (first, until): (u64, u64),
    report: &mut Report,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<(), VerifyError> {
    let mut fold = Fold {
        model: Model::new(redis.window()),
        part,
        at: first.saturating_sub(1),
    };
    fold.advance(journal, until, progress).await?;
    let told = Told {
        first,
        holes: journal.holes().await?,
        oldest: Timestamp::from_micros(Timestamp::now().micros() - redis.ttl_micros()),
        window: redis.window(),
    };

    let mut peers = redis.peers().await?;
    peers.retain(|peer| part.has(*peer));
    peers.extend(fold.model.cache().peers.keys().copied());
    peers.sort_unstable();
    peers.dedup();
    let none = Peer::default();
    for peer in peers {
        let (at, found) = settled_peer(redis, peer).await?;
        fold.advance(journal, at, progress).await?;
        let expected = fold.model.cache().peers.get(&peer).unwrap_or(&none);
        window::compare_peer(peer, expected, &found, &told, report);
    }
    let (at, mut found) = settled_channels(redis).await?;
    found.retain(|peer, _| part.has(*peer));
    fold.advance(journal, at, progress).await?;
    window::compare_channels(fold.model.cache(), &found, &told, report);
    report.checkpoint = fold.at;
    report.records = fold.at;
    report.buckets = fold.model.cache().peers.len();
    Ok(())
}

struct Fold {
    model: Model,
    part: Part,
    at: u64,
}

impl Fold {
    async fn advance(
        &mut self,
        journal: &JournalReader,
        until: u64,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<(), VerifyError> {
        if until < self.at {
            // A failover or a wipe, in between.
            return Err(restless("the cache fell back to an older state meanwhile"));
        }
        while self.at < until {
            let began = Instant::now();
            let records = journal
                .range(next_seq(self.at), until, READ_EVENTS, READ_BYTES)
                .await?;
            let Some(last) = records.last() else {
                // What is left is a hole.
                self.at = until;
                return Ok(());
            };
            self.at = last.header().seq.get();
            let mine = |record: &&Record| {
                let subject = subject::of_header(record.header());
                self.part.has(subject.peer_id)
            };
            let entries: Vec<_> = records.iter().filter(mine).map(entry).collect();
            self.model.merge(&entries);
            progress(self.at, until);
            if self.part.pauses {
                tokio::time::sleep(began.elapsed() * PAUSE_FACTOR).await;
            }
        }
        Ok(())
    }
}

fn seq_of(checkpoint: Option<Checkpoint>) -> u64 {
    checkpoint.map_or(0, |checkpoint| checkpoint.seq.get())
}

async fn settled_peer(redis: &mut Redis, peer: i64) -> Result<(u64, Peer), VerifyError> {
    for _ in 0..TRIES {
        let at = redis.checkpoint().await?;
        if let Some(found) = redis.read_peer(peer, at).await? {
            return Ok((seq_of(at), found));
        }
    }
    Err(restless("events were applied all the while"))
}

async fn settled_channels(redis: &mut Redis) -> Result<(u64, BTreeMap<i64, Fields>), VerifyError> {
    for _ in 0..TRIES {
        let at = redis.checkpoint().await?;
        let found = redis.read_channels().await?;
        if redis.checkpoint().await? == at {
            return Ok((seq_of(at), found));
        }
    }
    Err(restless("events were applied all the while"))
}

fn restless(why: &'static str) -> VerifyError {
    VerifyError::Projection(ProjectionError::Backend {
        projection: ProjectionName::Redis,
        doing: "reading the cache back",
        class: Class::Transient,
        hint: Some("try again when less is going on".to_owned()),
        source: why.into(),
    })
}
