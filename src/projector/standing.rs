//! Whose a store is: its checkpoint against the log. Pure.
//!
//! A store says which log and which epoch it was fed from, up to which number, and when the event of that number was
//! received. The log says what it has under that number. Numbers are given out again only in a life of the log that
//! knows nothing of the other one (an older copy was put back), and two events under one number were not received in
//! the same microsecond: so a record of another time means that the store was fed with other events.

use wal::{HoleCause, Identity};

use crate::event::Timestamp;
use crate::store::Checkpoint;

/// What the log has under a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// A record.
    Record {
        /// Its epoch.
        epoch: u32,
        /// Microseconds since the Unix epoch.
        received_at: i64,
    },
    /// Nothing, for ever.
    Hole(HoleCause),
    /// It is no longer kept.
    Gone,
}

/// Whose a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Ours; the log goes on where the store is.
    Ours,
    /// It was fed by a life of the log that is over, with events that this one has not, under numbers that it has
    /// skipped. The log goes on behind them.
    Fenced,
    /// Of another log, or of a later epoch of this one.
    OtherLog,
    /// It has more than the log.
    Ahead,
    /// It was fed with other events under the same numbers.
    Diverged {
        /// When the log's event of that number was received; none where it has none.
        ours: Option<Timestamp>,
    },
}

/// Judges a checkpoint. `tail` is the log's highest number, `there` what it has under the checkpoint's number, which
/// is not looked at when that is behind the tail.
pub fn standing(checkpoint: &Checkpoint, identity: Identity, tail: u64, there: There) -> Standing {
    let theirs = checkpoint.identity;
    if theirs.log_id != identity.log_id || theirs.epoch > identity.epoch {
        return Standing::OtherLog;
    }
    if checkpoint.seq.get() > tail {
        return Standing::Ahead;
    }
    match there {
        // A store keeps the epoch of the log that fed it, which may be later than that of the record.
        There::Record { epoch, received_at }
            if epoch <= theirs.epoch && received_at == checkpoint.updated_at.micros() =>
        {
            Standing::Ours
        }
        There::Record { received_at, .. } => Standing::Diverged {
            ours: Some(Timestamp::from_micros(received_at)),
        },
        There::Hole(HoleCause::Fence) if theirs.epoch < identity.epoch => Standing::Fenced,
        There::Hole(HoleCause::Fence) => Standing::Diverged { ours: None },
        There::Hole(HoleCause::Damage) | There::Gone => Standing::Ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wal::{LogId, Seq};

    fn checkpoint(epoch: u32, seq: u64, at: i64) -> Checkpoint {
        Checkpoint {
            identity: identity(epoch),
            seq: Seq::new(seq).expect("from 1"),
            updated_at: Timestamp::from_micros(at),
        }
    }

    fn identity(epoch: u32) -> Identity {
        Identity {
            log_id: LogId([1; 16]),
            epoch,
        }
    }

    #[test]
    fn a_store_is_ours_only_if_it_has_our_events() {
        let record = |epoch, received_at| There::Record { epoch, received_at };
        let fence = There::Hole(HoleCause::Fence);
        let damage = There::Hole(HoleCause::Damage);
        let judge =
            |epoch, seq, there| standing(&checkpoint(epoch, seq, 7), identity(2), 100, there);
        assert_eq!(judge(2, 50, record(1, 7)), Standing::Ours);
        assert_eq!(judge(1, 50, record(1, 7)), Standing::Ours, "an older epoch");
        let other = Standing::Diverged {
            ours: Some(Timestamp::from_micros(8)),
        };
        assert_eq!(judge(2, 50, record(2, 8)), other);
        assert!(matches!(
            judge(1, 50, record(2, 7)),
            Standing::Diverged { .. }
        ));
        assert_eq!(judge(1, 50, fence), Standing::Fenced);
        assert_eq!(judge(2, 50, fence), Standing::Diverged { ours: None });
        assert_eq!(
            judge(2, 50, damage),
            Standing::Ours,
            "nothing to compare with"
        );
        assert_eq!(judge(2, 50, There::Gone), Standing::Ours);
        assert_eq!(judge(3, 50, record(2, 7)), Standing::OtherLog);
        for epoch in [1, 2] {
            assert_eq!(judge(epoch, 101, There::Gone), Standing::Ahead);
        }
        let mut foreign = checkpoint(2, 50, 7);
        foreign.identity.log_id = LogId([2; 16]);
        let judged = standing(&foreign, identity(2), 100, record(2, 7));
        assert_eq!(judged, Standing::OtherLog);
    }
}
