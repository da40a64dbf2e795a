//! Filling the cache from the newest events back.
//!
//! A filling has a checkpoint of its own, which says how many numbers it has come down from its end. It is moved by the
//! same script as that of the cache, with the same guard: what is lost on the way, to a wipe or a failover, is missed by
//! the next part. The cache gets its checkpoint by one script that looks whether the filling is whole.

use ::redis::{FromRedisValue as _, Script, Value};
use wal::Seq;

use super::commands::{self, Span};
use super::{NAME, Redis};
use crate::store::{Checkpoint, Filling, ProjectionError};

impl Redis {
    pub(super) async fn apply_filling(&mut self, filling: &Filling) -> Result<(), ProjectionError> {
        let key = self.keys.filling(filling.end.seq);
        let ttl = self.config.ttl.as_secs();
        self.run_all(spans(filling), &key, ttl).await
    }

    pub(super) async fn finish_filling(
        &mut self,
        filling: &Filling,
    ) -> Result<(), ProjectionError> {
        let Checkpoint {
            identity,
            seq,
            updated_at,
        } = filling.end;
        let covered = filling.covered();
        let mut connection = self.connection().await?;
        let script = Script::new(include_str!("filled.lua"));
        let mut invocation = script.prepare_invoke();
        invocation
            .key(self.keys.checkpoint())
            .key(self.keys.filling(seq))
            .arg(covered)
            .arg(identity.log_id.to_string())
            .arg(identity.epoch)
            .arg(seq.get())
            .arg(updated_at.to_string())
            .arg(self.checkpoint_ttl);
        let doing = "ending the filling";
        let said = invocation.invoke_async(&mut connection).await;
        let said: Value = self.done(doing, said)?;
        let found = self.done(doing, u64::from_redis_value(said).map_err(Into::into))?;
        if found == covered {
            return Ok(());
        }
        Err(ProjectionError::CheckpointMoved {
            projection: NAME,
            found,
            after: covered,
        })
    }
}

/// The runs of a filling, the newest first. Their checkpoints are those of the filling.
pub(super) fn spans(filling: &Filling) -> Vec<Span<'_>> {
    let mut before = filling.before();
    let rising = commands::spans(filling.from - 1, Some(filling.end), &filling.entries);
    let spans = rising.into_iter().rev().map(|span| {
        let covered = filling.until - span.after;
        let after = std::mem::replace(&mut before, covered);
        Span {
            after,
            checkpoint: Some(Checkpoint {
                seq: Seq::new(covered).unwrap_or(Seq::FIRST),
                ..filling.end
            }),
            entries: span.entries,
        }
    });
    spans.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use crate::store::{Entry, Poison};
    use wal::{Identity, LogId};

    fn poison(seq: u64) -> Entry {
        Entry::Poison(Poison {
            seq: Seq::new(seq).expect("not zero"),
            kind: 1,
            received_at: Timestamp::from_seconds(1),
            reason: String::new(),
            raw: Vec::new(),
        })
    }

    #[test]
    fn runs_come_down_from_the_end_without_a_hole() {
        let filling = Filling {
            end: Checkpoint {
                identity: Identity {
                    log_id: LogId([1; 16]),
                    epoch: 1,
                },
                seq: Seq::new(4_998).expect("not zero"),
                updated_at: Timestamp::from_seconds(1),
            },
            until: 5_000,
            from: 501,
            upto: 4_000,
            entries: (600..3_100).map(poison).collect(),
        };
        let spans = spans(&filling);
        let covered = |span: &Span<'_>| {
            span.checkpoint
                .map(|it| it.seq.get())
                .expect("a checkpoint")
        };
        assert_eq!(spans.len(), 3);
        let mut at = 1_000;
        for span in &spans {
            assert_eq!(span.after, at);
            at = covered(span);
        }
        assert_eq!(covered(&spans[0]), 5_000 - 2_599, "down to 2600");
        assert_eq!(at, 5_000 - 500, "down to 501");
    }
}
