//! Verify of the cache: each window against the fold of the log.
//!
//! The cache is written while it is read, and has no snapshots. So each channel is read by itself, together with the
//! checkpoint it belongs to, and compared with the fold up to there; checkpoints only grow, so one pass over the log
//! serves all channels. A key that is absent counts only while it cannot have expired.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Difference, READ_BYTES, READ_EVENTS, Report, VerifyError};
use crate::event::Timestamp;
use crate::failure::Class;
use crate::journal::JournalReader;
use crate::projector::{entry, next_seq};
use crate::store::mend::Subject;
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
    let (first, until) = super::range(journal, checkpoint, &mut report).await?;
    let mut fold = Fold {
        model: Model::new(redis.window()),
        at: first.saturating_sub(1),
    };
    fold.advance(journal, until, progress).await?;
    let oldest = Timestamp::from_micros(Timestamp::now().micros() - redis.ttl_micros());

    let mut peers = redis.peers().await?;
    peers.extend(fold.model.cache().peers.keys().copied());
    peers.sort_unstable();
    peers.dedup();
    for peer in peers {
        let (at, found) = settled_peer(redis, peer).await?;
        fold.advance(journal, at, progress).await?;
        let none = Peer::default();
        let expected = fold.model.cache().peers.get(&peer).unwrap_or(&none);
        about(peer, &mut report, |report| {
            compare_peer(peer, expected, &found, oldest, report);
        });
    }
    let (at, found) = settled_channels(redis).await?;
    fold.advance(journal, at, progress).await?;
    for (peer, expected) in &fold.model.cache().channels {
        let found = found.get(peer);
        about(*peer, &mut report, |report| {
            compare(format!("channel:{peer}"), expected, found, true, report);
        });
    }
    let known = &fold.model.cache().channels;
    for peer in found.keys().filter(|peer| !known.contains_key(peer)) {
        about(*peer, &mut report, |report| {
            report.found(told(format!("channel:{peer}"), "surplus"));
        });
    }
    report.checkpoint = fold.at;
    report.records = fold.at;
    report.buckets = fold.model.cache().peers.len();
    Ok(report)
}

struct Fold {
    model: Model,
    at: u64,
}

impl Fold {
    async fn advance(
        &mut self,
        journal: &JournalReader,
        until: u64,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<(), VerifyError> {
        while self.at < until {
            let records = journal
                .range(next_seq(self.at), until, READ_EVENTS, READ_BYTES)
                .await?;
            let Some(last) = records.last() else {
                // What is left is a hole.
                self.at = until;
                return Ok(());
            };
            self.at = last.header().seq.get();
            let entries: Vec<_> = records.iter().map(entry).collect();
            self.model.merge(&entries);
            progress(self.at, until);
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
    Err(restless())
}

async fn settled_channels(redis: &mut Redis) -> Result<(u64, BTreeMap<i64, Fields>), VerifyError> {
    for _ in 0..TRIES {
        let at = redis.checkpoint().await?;
        let found = redis.read_channels().await?;
        if redis.checkpoint().await? == at {
            return Ok((seq_of(at), found));
        }
    }
    Err(restless())
}

fn restless() -> VerifyError {
    VerifyError::Projection(ProjectionError::Backend {
        projection: ProjectionName::Redis,
        doing: "reading the cache back",
        class: Class::Transient,
        hint: Some("try again when less is going on".to_owned()),
        source: "events were applied all the while".into(),
    })
}

/// Notes the channel if the comparison finds anything of it.
fn about(peer_id: i64, report: &mut Report, compare: impl FnOnce(&mut Report)) {
    let before = report.differences;
    compare(report);
    if report.differences > before {
        report.subjects.insert(Subject {
            peer_id,
            message_id: 0,
        });
    }
}

fn compare_peer(peer: i64, expected: &Peer, found: &Peer, oldest: Timestamp, report: &mut Report) {
    for (id, fields) in &expected.messages {
        let received = fields
            .get("received_at")
            .and_then(|text| text.parse::<Timestamp>().ok());
        let must_be = received.is_some_and(|at| at > oldest);
        compare(
            format!("msg:{peer}:{id}"),
            fields,
            found.messages.get(id),
            must_be,
            report,
        );
    }
    for id in found
        .messages
        .keys()
        .filter(|id| !expected.messages.contains_key(id))
    {
        report.found(told(format!("msg:{peer}:{id}"), "surplus"));
    }
}

fn compare(
    key: String,
    expected: &Fields,
    found: Option<&Fields>,
    must_be: bool,
    report: &mut Report,
) {
    report.rows += 1;
    match found.filter(|fields| !fields.is_empty()) {
        None if must_be => report.found(told(key, "missing")),
        // Expired: a reader takes it as a miss and asks the store.
        None => {}
        Some(found) if found == expected => {}
        Some(found) => {
            let mut difference = told(key, "differs");
            for name in expected
                .keys()
                .chain(found.keys().filter(|it| !expected.contains_key(*it)))
            {
                let (right, wrong) = (expected.get(name), found.get(name));
                if right != wrong {
                    let value =
                        |text: Option<&String>| text.cloned().map_or(Value::Null, Value::from);
                    difference.key.push(name.clone().into());
                    difference
                        .columns
                        .push(("value", value(right), value(wrong)));
                }
            }
            report.found(difference);
        }
    }
}

fn told(key: String, what: &str) -> Difference {
    Difference {
        kind: None,
        place: "key".to_owned(),
        key: vec![key.into()],
        what: what.to_owned(),
        columns: Vec::new(),
    }
}
