//! Filling the cache from the newest events back.
//!
//! A filling has a checkpoint of its own, which says how many numbers it has come down from its end. It is moved by the
//! same script as that of the cache, with the same guard: what is lost on the way, to a wipe or a failover, is missed by
//! the next part. The cache gets its checkpoint by one script that looks whether the filling is whole.

use ::redis::{FromRedisValue as _, Script, Value};
use wal::Seq;

use super::commands::{self, Part};
use super::{NAME, Redis};
use crate::store::{Checkpoint, Filling, ProjectionError};

impl Redis {
    pub(super) async fn apply_filling(&mut self, filling: &Filling) -> Result<(), ProjectionError> {
        let key = self.keys.filling(filling.end.seq);
        for part in parts(filling) {
            self.run(&part, &key, self.config.ttl.as_secs()).await?;
        }
        Ok(())
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
            .arg(updated_at.to_string());
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
fn parts(filling: &Filling) -> Vec<Part> {
    let mut before = filling.before();
    let rising = commands::parts(&filling.batch());
    let parts = rising.into_iter().rev().map(|part| {
        let covered = filling.until - part.after;
        let after = std::mem::replace(&mut before, covered);
        Part {
            after,
            checkpoint: Some(Checkpoint {
                seq: Seq::new(covered).unwrap_or(Seq::FIRST),
                ..filling.end
            }),
            args: part.args,
        }
    });
    parts.collect()
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
    fn parts_come_down_from_the_end_without_a_hole() {
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
        let parts = parts(&filling);
        let covered = |part: &Part| {
            part.checkpoint
                .map(|it| it.seq.get())
                .expect("a checkpoint")
        };
        assert_eq!(parts.len(), 3);
        let mut at = 1_000;
        for part in &parts {
            assert_eq!(part.after, at);
            at = covered(part);
        }
        assert_eq!(covered(&parts[0]), 5_000 - 2_599, "down to 2600");
        assert_eq!(at, 5_000 - 500, "down to 501");
    }
}
