//! A log that is older than its stores: recognised before anything is appended.
//!
//! An older copy of the log was put back, or the log lost its end. What it appended next would get numbers that its
//! stores know already, with other events. So those numbers are skipped and a new epoch begins; the sources, whose
//! positions are those of the old copy, send again what they still have.

use wal::{Identity, Seq};

use super::floors::{self, Said};
use crate::config::Config;
use crate::journal::{Journal, JournalError};
use crate::status::Status;
use crate::store::{Checkpoint, ProjectionName};

/// Skipped beyond the highest number that is known: a store that could not be asked may know more.
const MARGIN: u64 = 1_000_000;
/// Each fence is one epoch. A store that is further ahead is no life of this log, but a damaged checkpoint.
const EPOCHS_MAX: u32 = 100;

/// What has to be skipped.
#[derive(Debug, PartialEq, Eq)]
struct Fence {
    /// The last number to skip.
    to: Seq,
    /// Epochs that a store knows of.
    above: u32,
    /// The stores that are ahead, and where they are.
    ahead: Vec<(ProjectionName, u64)>,
}

/// Asks the stores, and fences the log if one is ahead of it.
pub(super) async fn settle(
    config: &Config,
    journal: &mut Journal,
    status: &Status,
) -> Result<(), JournalError> {
    let said = floors::ask(config).await.into_iter();
    let found: Vec<_> = said.filter_map(|(name, said)| known(name, said)).collect();
    let tail = journal.reader.tail();
    let Some(fence) = needed(journal.reader.identity(), tail, &found) else {
        return Ok(());
    };
    let mut to = fence.to;
    journal.fence(to).await?;
    while journal.reader.identity().epoch <= fence.above {
        to = to.next();
        journal.fence(to).await?;
    }
    let ahead: Vec<String> = fence
        .ahead
        .iter()
        .map(|(name, seq)| format!("{name} at {seq}"))
        .collect();
    let told = format!(
        "the log ended at {tail} and was older than {}: numbers up to {} are skipped, epoch {} begins, and only what \
         the sources send again comes back",
        ahead.join(", "),
        journal.reader.tail(),
        journal.reader.identity().epoch,
    );
    tracing::error!("{told}");
    status.log(|board| {
        board.fences += 1;
        board.fenced = Some(told);
    });
    Ok(())
}

/// One that does not say where it is is compared with the log when it can be reached.
fn known(name: ProjectionName, said: Said) -> Option<(ProjectionName, Checkpoint)> {
    match said {
        Ok(checkpoint) => checkpoint.map(|it| (name, it)),
        Err(why) => {
            tracing::warn!(store = %name, error = why, "the store cannot say where it is; it is asked again when it is fed");
            None
        }
    }
}

/// Whether the log is older than a store. Pure.
fn needed(identity: Identity, tail: u64, found: &[(ProjectionName, Checkpoint)]) -> Option<Fence> {
    let is_ahead = |it: &Checkpoint| {
        let (theirs, epoch) = (it.identity, identity.epoch);
        theirs.log_id == identity.log_id
            && theirs.epoch <= epoch.saturating_add(EPOCHS_MAX)
            && (theirs.epoch > epoch || it.seq.get() > tail)
    };
    let ahead: Vec<_> = found.iter().filter(|(_, it)| is_ahead(it)).collect();
    let highest = ahead.iter().map(|(_, it)| it.seq.get()).max()?;
    Some(Fence {
        to: Seq::new(highest.max(tail).saturating_add(MARGIN))?,
        above: ahead.iter().map(|(_, it)| it.identity.epoch).max()?,
        ahead: ahead
            .iter()
            .map(|(name, it)| (*name, it.seq.get()))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use wal::LogId;

    fn at(epoch: u32, seq: u64) -> Checkpoint {
        Checkpoint {
            identity: identity(epoch),
            seq: Seq::new(seq).expect("from 1"),
            updated_at: Timestamp::from_micros(0),
        }
    }

    fn identity(epoch: u32) -> Identity {
        Identity {
            log_id: LogId([1; 16]),
            epoch,
        }
    }

    #[test]
    fn only_a_store_that_knows_more_of_this_log_makes_a_fence() {
        use ProjectionName::{Redis, Sqlite, Timescale};
        let needed = |found: &[(ProjectionName, Checkpoint)]| needed(identity(2), 100, found);
        assert_eq!(needed(&[]), None);
        assert_eq!(needed(&[(Sqlite, at(2, 100)), (Redis, at(1, 9))]), None);
        let mut foreign = at(2, 500);
        foreign.identity.log_id = LogId([9; 16]);
        assert_eq!(needed(&[(Sqlite, foreign)]), None);
        assert_eq!(needed(&[(Sqlite, at(u32::MAX, 500))]), None);

        let fence = needed(&[
            (Sqlite, at(2, 101)),
            (Redis, at(2, 50)),
            (Timescale, at(1, 700)),
        ]);
        let fence = fence.expect("two are ahead");
        assert_eq!((fence.to.get(), fence.above), (1_000_700, 2));
        assert_eq!(fence.ahead, [(Sqlite, 101), (Timescale, 700)]);

        // A later epoch that had not come far: its numbers may be ours, but it is not this life of the log.
        let fence = needed(&[(Sqlite, at(4, 7))]).expect("a later life");
        assert_eq!((fence.to.get(), fence.above), (1_000_100, 4));
    }
}
